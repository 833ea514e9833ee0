//! Initial parameters.

use super::Config;
use crate::error::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::str::FromStr;

/// How parameters are initialised, each gate of a matrix by itself. Biases start at 0, except for [`Init::Uniform`]; see also [`remember`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// W_hh = a Q with Q a random orthogonal matrix (Haar); the other matrices as for Xavier.
    Orthogonal(f32),
    /// Uniform in +-sqrt(6 / (rows + columns)).
    Xavier,
    /// W_hh = a I; the other matrices as for Xavier.
    Identity(f32),
    /// All matrices are normal with this standard deviation.
    Normal(f32),
    /// Everything, biases too, uniform in +-1/sqrt(H): PyTorch's default.
    Uniform,
}

impl Default for Init {
    fn default() -> Self {
        Init::Orthogonal(1.0)
    }
}

impl FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Usage(format!("init `{text}` is unknown; expected orthogonal, orthogonal:A, xavier, identity:A, normal:SIGMA or uniform"));
        let number = |n: &str| n.parse::<f32>().ok().filter(|x| x.is_finite());
        match text.split_once(':') {
            None => match text {
                "orthogonal" => Ok(Init::default()),
                "xavier" => Ok(Init::Xavier),
                "uniform" => Ok(Init::Uniform),
                _ => Err(wrong()),
            },
            Some(("orthogonal", a)) => number(a).map(Init::Orthogonal).ok_or_else(wrong),
            Some(("identity", a)) => number(a).map(Init::Identity).ok_or_else(wrong),
            Some(("normal", sigma)) => number(sigma).filter(|s| *s >= 0.0).map(Init::Normal).ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Orthogonal(1.0) => f.write_str("orthogonal"),
            Init::Orthogonal(a) => write!(f, "orthogonal:{a}"),
            Init::Xavier => f.write_str("xavier"),
            Init::Identity(a) => write!(f, "identity:{a}"),
            Init::Normal(s) => write!(f, "normal:{s}"),
            Init::Uniform => f.write_str("uniform"),
        }
    }
}

impl Init {
    /// The initial flat parameters of a model, with zero padding. Every tensor is sampled from its own random stream, so its values depend only on the seed,
    /// its index in the list and its shape.
    pub fn parameters(&self, config: &Config, seed: u64) -> Vec<f32> {
        let mut flat = vec![0f32; config.elements() as usize];
        for (stream, tensor) in config.tensors().into_iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream as u64);
            let (rows, gates) = (tensor.rows as usize, tensor.gates() as usize);
            let units = tensor.cols as usize / gates;
            // Each gate is initialised as a matrix of its own.
            let parts: Vec<Vec<f32>> = (0..gates).map(|_| self.tensor(&tensor.name, [rows, units], config.hidden, &mut rng)).collect();
            let values: Vec<f32> = (0..rows).flat_map(|r| parts.iter().flat_map(move |p| p[r * units..][..units].iter().copied())).collect();
            tensor.insert(&mut flat, &values);
        }
        flat
    }

    fn tensor(&self, name: &str, [rows, cols]: [usize; 2], hidden: u32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let count = rows * cols;
        let (bias, recurrent) = (name.starts_with("b_"), name.starts_with("w_hh"));
        let mut uniform = |limit: f32| (0..count).map(|_| rng.random_range(-limit..limit)).collect::<Vec<f32>>();
        match self {
            Init::Uniform => uniform(1.0 / (hidden as f32).sqrt()),
            _ if bias => vec![0.0; count],
            Init::Orthogonal(a) if recurrent => orthogonal(rows, rng).into_iter().map(|x| x * a).collect(),
            Init::Identity(a) if recurrent => (0..count).map(|i| if i / cols == i % cols { *a } else { 0.0 }).collect(),
            Init::Normal(sigma) => (0..count).map(|_| normal(rng) as f32 * sigma).collect(),
            _ => uniform((6.0 / (rows + cols) as f32).sqrt()),
        }
    }
}

/// Adds `amount` to the biases of the gate that keeps c, if the cell has one and there are biases.
pub fn remember(config: &Config, flat: &mut [f32], amount: f32) {
    let Some(gate) = config.cell.spec().forget else { return };
    for tensor in config.tensors().iter().filter(|t| t.name.starts_with("b_h")) {
        let (mut values, units) = (tensor.extract(flat), config.hidden as usize);
        values[usize::from(gate) * units..][..units].iter_mut().for_each(|b| *b += amount);
        tensor.insert(flat, &values);
    }
}

/// A standard normal sample (Box-Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// A random orthogonal n x n matrix: the Q of a normal matrix by Gram-Schmidt, twice for accuracy. R's diagonal is positive, so Q
/// has the uniform (Haar) distribution.
fn orthogonal(n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    // Not faer's QR: it sums in as many strands as a vector register has lanes, so AVX-512 and AVX2 differ in one f32 of three million (H = 1024).
    let mut q: Vec<f64> = (0..n * n).map(|_| normal(rng)).collect();
    for i in 0..n {
        let (done, rest) = q.split_at_mut(i * n);
        let row = &mut rest[..n];
        for _ in 0..2 {
            for other in done.chunks_exact(n) {
                let dot = dot(row, other);
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = dot(row, row).sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
    }
    q.into_iter().map(|x| x as f32).collect()
}

/// Dot product in 8 strands, which the compiler can vectorize.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut strands = [0f64; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            strands[i] += a[i] * b[i];
        }
    }
    strands.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Activation;

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        let n = 37;
        let q = orthogonal(n, &mut ChaCha8Rng::seed_from_u64(1));
        for i in 0..n {
            for j in 0..n {
                let dot: f32 = (0..n).map(|k| q[i * n + k] * q[j * n + k]).sum();
                assert!((dot - f32::from(u8::from(i == j))).abs() < 1e-5, "{i} {j} {dot}");
            }
        }
    }

    #[test]
    fn texts_parse_and_print() {
        for text in ["orthogonal", "orthogonal:0.9", "xavier", "identity:0.5", "normal:0.01", "uniform"] {
            assert_eq!(text.parse::<Init>().unwrap().to_string(), text);
        }
        for text in ["", "orthogonal:x", "identity", "identity:x", "normal:-1", "normal:NaN"] {
            assert!(text.parse::<Init>().is_err(), "{text}");
        }
    }

    #[test]
    fn padding_is_zero_and_scales_are_right() {
        let config = Config { hidden: 37, layers: 2, activation: Activation::Tanh, bias: true, ..Config::symbols(11) };
        let tensors = config.tensors();
        for init in [Init::Orthogonal(1.0), Init::Orthogonal(0.5), Init::Xavier, Init::Identity(0.5), Init::Normal(0.1), Init::Uniform] {
            let flat = init.parameters(&config, 7);
            let mut again = vec![0f32; flat.len()];
            tensors.iter().for_each(|t| t.insert(&mut again, &t.extract(&flat)));
            assert_eq!(flat, again, "{init}: padding");
        }
        let flat = Init::Normal(0.1).parameters(&config, 7);
        let w = tensors[1].extract(&flat);
        let deviation = (w.iter().map(|x| x * x).sum::<f32>() / w.len() as f32).sqrt();
        assert!((deviation - 0.1).abs() < 0.01, "{deviation}");
    }
}
