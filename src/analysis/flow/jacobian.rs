//! Singular values of W_hh, and of the map of a gradient over one and several steps: J_t = diag(phi'(a_t)) W_hh^T.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Config;
use faer::Mat;
use serde::Serialize;

/// Singular values of a product of `steps` one-step Jacobians, of one layer at one position of the text; NaN if the product is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spectrum {
    /// Steps.
    pub steps: u32,
    /// The largest: the most that a gradient can grow over these steps.
    pub max: f64,
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
}

/// Spectral radius (largest modulus of an eigenvalue) and spectral norm (largest singular value) of W_hh of a layer.
///
/// # Errors
/// [`Error::Device`] if the iteration does not converge.
pub fn of_weights(config: &Config, parameters: &[f32], layer: u32) -> Result<(f64, f64)> {
    let w = w_hh(config, parameters, layer);
    if !finite(&w) {
        return Ok((f64::NAN, f64::NAN));
    }
    let eigenvalues = w.eigenvalues().map_err(|_| failed("eigenvalues"))?;
    let radius = eigenvalues.iter().map(|c| c.re.hypot(c.im)).fold(0.0, f64::max);
    Ok((radius, singular(&w)?.first().copied().unwrap_or(0.0)))
}

/// Singular values of products of 1, 2, 4, ... consecutive Jacobians, up to the number of states given, of one layer of one lane.
///
/// # Errors
/// As [`of_weights`].
pub fn of_products(config: &Config, parameters: &[f32], layer: u32, states: &[Vec<f32>]) -> Result<Vec<Spectrum>> {
    let w = w_hh(config, parameters, layer);
    // As row vectors: g_{t-1} = g_t diag(phi'(a_t)) W_hh^T, so the earliest step stands last.
    let jacobian = |h: &[f32]| Mat::from_fn(w.nrows(), w.ncols(), |i, j| f64::from(config.activation.slope(h[i])) * w[(j, i)]);
    let mut product: Option<Mat<f64>> = None;
    let mut found = Vec::new();
    for (steps, h) in (1u32..).zip(states.iter().rev()) {
        let j = jacobian(h);
        let next = product.take().map_or(j.clone(), |p| &p * &j);
        if steps.is_power_of_two() {
            let s = if finite(&next) { singular(&next)? } else { vec![f64::NAN] };
            found.push(Spectrum { steps, max: s[0], median: s[s.len() / 2], min: s[s.len() - 1] });
        }
        product = Some(next);
    }
    Ok(found)
}

/// The states of a lane after each of `steps` steps, per layer; `advance` moves the engine on by the given step.
///
/// # Errors
/// The errors of `advance`, or if the device fails.
pub(super) fn follow(engine: &mut Engine, steps: u32, mut advance: impl FnMut(&mut Engine, u32) -> Result<()>) -> Result<Vec<Vec<Vec<f32>>>> {
    let hidden = engine.config.hidden as usize;
    let mut states = vec![Vec::new(); engine.config.layers as usize];
    for t in 0..steps {
        advance(engine, t)?;
        for (layer, state) in engine.state()?.iter().enumerate() {
            states[layer].push(state[..hidden].to_vec());
        }
    }
    Ok(states)
}

fn w_hh(config: &Config, parameters: &[f32], layer: u32) -> Mat<f64> {
    let name = format!("w_hh.{layer}");
    let n = config.hidden as usize;
    let w = config.tensors().into_iter().find(|t| t.name == name).map(|t| t.extract(parameters)).unwrap_or_default();
    Mat::from_fn(n, n, |i, j| f64::from(w[i * n + j]))
}

/// From the largest to the smallest. The iteration squares values, so they are scaled to near 1 first.
fn singular(m: &Mat<f64>) -> Result<Vec<f64>> {
    let most = (0..m.ncols()).flat_map(|j| (0..m.nrows()).map(move |i| m[(i, j)].abs())).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(vec![0.0; m.ncols()]);
    }
    let near_one = Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] / most);
    let values = near_one.singular_values().map_err(|_| failed("singular values"))?;
    Ok(values.into_iter().map(|s| s * most).collect())
}

fn finite(m: &Mat<f64>) -> bool {
    (0..m.ncols()).all(|j| (0..m.nrows()).all(|i| m[(i, j)].is_finite()))
}

fn failed(what: &str) -> Error {
    Error::Device(format!("the {what} of a matrix were not found: the iteration does not converge; the weights may be damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activation, Init};

    fn config(activation: Activation) -> Config {
        Config { hidden: 13, layers: 2, activation, bias: false, ..Config::symbols(3) }
    }

    #[test]
    fn a_scaled_orthogonal_matrix_has_one_singular_value() {
        let c = config(Activation::Identity);
        let parameters = Init::Orthogonal(0.9).parameters(&c, 5);
        let (radius, norm) = of_weights(&c, &parameters, 1).unwrap();
        assert!((radius - 0.9).abs() < 1e-6 && (norm - 0.9).abs() < 1e-6, "{radius} {norm}");
        let states = vec![vec![0.3; 13]; 9];
        let found = of_products(&c, &parameters, 1, &states).unwrap();
        assert_eq!(found.iter().map(|s| s.steps).collect::<Vec<_>>(), [1, 2, 4, 8]);
        for s in found {
            let want = 0.9f64.powi(s.steps as i32);
            assert!([s.max, s.median, s.min].iter().all(|x| (x / want - 1.0).abs() < 1e-5), "{s:?}");
        }
    }

    #[test]
    fn slopes_scale_what_flows_back() {
        let c = config(Activation::Tanh);
        let parameters = Init::Orthogonal(1.0).parameters(&c, 5);
        let found = of_products(&c, &parameters, 0, &vec![vec![0.6; 13]; 2]).unwrap();
        assert!((found[0].max - 0.64).abs() < 1e-6 && (found[1].min - 0.64f64.powi(2)).abs() < 1e-6, "{found:?}");
        let c = config(Activation::Relu);
        let dead = of_products(&c, &parameters, 0, &[vec![0.0; 13]]).unwrap();
        assert_eq!(dead[0].max, 0.0);
    }

    #[test]
    fn what_is_not_finite_is_said() {
        let c = config(Activation::Identity);
        let huge = vec![f32::MAX; c.elements() as usize];
        let found = of_products(&c, &huge, 0, &vec![vec![0.0; 13]; 16]).unwrap();
        assert!(found.last().unwrap().max.is_nan());
        let nan = vec![f32::NAN; c.elements() as usize];
        assert!(of_weights(&c, &nan, 0).unwrap().0.is_nan());
    }
}
