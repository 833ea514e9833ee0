//! Singular values of the map of a gradient over one and several steps, and the spectrum of W_hh or of that map.
//!
//! The map over a step is its Jacobian J_t = d s_t / d s_{t-1}, where the state s of a layer is h, or h and c: g_{t-1} = g_t J_t for row vectors. For a plain
//! RNN it is diag(phi'(a_t)) W_hh^T.

use super::Options;
use crate::data::{End, Ends, SegmentInputs};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lag_profile::zero_state;
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

/// A step of one lane.
pub struct Step {
    /// The state before it, per layer `[N Hp]`.
    state: Vec<Vec<f32>>,
    /// Its inputs, the same for every lane.
    inputs: SegmentInputs,
}

impl Step {
    /// J of a layer; the engine's state is lost.
    ///
    /// # Errors
    /// If the device fails.
    pub fn jacobian(&self, engine: &mut Engine, layer: u32) -> Result<Mat<f64>> {
        let values = engine.state_jacobian(layer, &self.state, &self.inputs)?;
        let n = (engine.config.cell.spec().states * engine.config.hidden) as usize;
        Ok(Mat::from_fn(n, n, |i, j| values[i * n + j]))
    }
}

/// The last `most` steps of a window that ends at one of the given positions, or fewer if no sequence has as many before its end. Each reads on from the
/// one before; `warm_up` steps lead to the first.
///
/// # Errors
/// If the device fails, or the text can't be read.
pub fn follow(engine: &mut Engine, ends: &Ends, o: &Options, most: u32) -> Result<Vec<Step>> {
    let ends_here = &ends.list()[..o.lanes as usize];
    let long = ends_here.iter().find(|e| e.depth() >= u64::from(most)).or(ends_here.iter().max_by_key(|e| e.depth()));
    let end: End = *long.expect("a lane");
    let steps = end.depth().clamp(1, u64::from(most)) as u32;
    let (which, all) = (vec![end; o.lanes as usize], o.warm_up + steps);
    let (places, width) = (*engine.inputs(), engine.config.state_width() as usize);
    engine.set_state(&zero_state(engine))?;
    engine.advance(0..o.warm_up, |places, range| ends.inputs(&which, all, places, range, |_| 0.0))?;
    let mut found = Vec::new();
    for t in o.warm_up..all {
        let inputs = ends.inputs(&which, all, &places, t..t + 1, |_| 0.0)?;
        let keep = f32::from_bits(inputs.words[places.keep() as usize]);
        let state = engine.state()?.iter().map(|s| s[..width].iter().map(|x| if keep == 0.0 { 0.0 } else { *x }).collect()).collect();
        engine.advance(0..1, |_, _| Ok(inputs.clone()))?;
        found.push(Step { state, inputs });
    }
    Ok(found)
}

/// Spectral radius (largest modulus of an eigenvalue) and spectral norm (largest singular value) of W_hh of a layer of a cell with one gate, where it is square.
///
/// # Errors
/// [`Error::Device`] if the iteration does not converge.
pub fn of_weights(config: &Config, parameters: &[f32], layer: u32) -> Result<(f64, f64)> {
    of_matrix(&w_hh(config, parameters, layer))
}

/// The same of any square matrix; NaN if it is not finite.
///
/// # Errors
/// As [`of_weights`].
pub fn of_matrix(m: &Mat<f64>) -> Result<(f64, f64)> {
    if !finite(m) {
        return Ok((f64::NAN, f64::NAN));
    }
    let eigenvalues = m.eigenvalues().map_err(|_| failed("eigenvalues"))?;
    let radius = eigenvalues.iter().map(|c| c.re.hypot(c.im)).fold(0.0, f64::max);
    Ok((radius, singular(m)?.first().copied().unwrap_or(0.0)))
}

/// Singular values of products of the first 1, 2, 4, ... of the given Jacobians; the last step comes first, since g_{t-2} = g_t J_t J_{t-1}.
///
/// # Errors
/// As [`of_weights`].
pub fn of_products(jacobians: impl IntoIterator<Item = Result<Mat<f64>>>) -> Result<Vec<Spectrum>> {
    let mut product: Option<Mat<f64>> = None;
    let mut found = Vec::new();
    for (steps, j) in (1u32..).zip(jacobians) {
        let j = j?;
        let next = product.take().map_or_else(|| j.clone(), |p| &p * &j);
        if steps.is_power_of_two() {
            let s = if finite(&next) { singular(&next)? } else { vec![f64::NAN] };
            found.push(Spectrum { steps, max: s[0], median: s[s.len() / 2], min: s[s.len() - 1] });
        }
        product = Some(next);
    }
    Ok(found)
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
    use crate::data::{Kind, Symbols, Text};
    use crate::device::Device;
    use crate::model::{Activation, Cell, Init};
    use std::sync::Arc;

    const OPTIONS: Options = Options { lags: 40, lanes: 4, windows: 1, warm_up: 3, seed: 1 };

    fn config(cell: Cell, activation: Activation) -> Config {
        Config { hidden: 13, layers: 2, cell, activation, bias: false, ..Config::symbols(3) }
    }

    /// An engine with these parameters, and `steps` steps of a text of three symbols.
    fn followed(config: Config, parameters: &[f32], steps: u32) -> (Engine, Vec<Step>) {
        let symbols = Arc::new(Symbols::new(Text::given("text", "abcacbabcca".repeat(20)), Kind::Characters).unwrap());
        let ends = Ends::of_stream(symbols, OPTIONS.places(), OPTIONS.lags, OPTIONS.seed).unwrap();
        let mut engine = Engine::with_probe(&Device::Cpu { threads: 1 }, config, OPTIONS.lanes, OPTIONS.lags + 1, crate::engine::STEPS).unwrap();
        engine.set_parameters(parameters).unwrap();
        let steps = follow(&mut engine, &ends, &OPTIONS, steps).unwrap();
        (engine, steps)
    }

    fn products(config: Config, parameters: &[f32], layer: u32, steps: u32) -> Vec<Spectrum> {
        let (mut engine, steps) = followed(config, parameters, steps);
        of_products(steps.iter().rev().map(|s| s.jacobian(&mut engine, layer))).unwrap()
    }

    #[test]
    fn a_scaled_orthogonal_matrix_has_one_singular_value() {
        let c = config(Cell::Rnn, Activation::Identity);
        let parameters = Init::Orthogonal(0.9).parameters(&c, 5);
        let (radius, norm) = of_weights(&c, &parameters, 1).unwrap();
        assert!((radius - 0.9).abs() < 1e-6 && (norm - 0.9).abs() < 1e-6, "{radius} {norm}");
        let found = products(c, &parameters, 1, 9);
        assert_eq!(found.iter().map(|s| s.steps).collect::<Vec<_>>(), [1, 2, 4, 8]);
        for s in found {
            let want = 0.9f64.powi(s.steps as i32);
            assert!([s.max, s.median, s.min].iter().all(|x| (x / want - 1.0).abs() < 1e-5), "{s:?}");
        }
    }

    /// diag(phi'(a_t)) W_hh^T, written out from the state after the step.
    #[test]
    fn a_plain_step_is_the_slopes_times_the_weights() {
        for (activation, slope) in [(Activation::Tanh, (|h| 1.0 - h * h) as fn(f64) -> f64), (Activation::Relu, |h| f64::from(u8::from(h > 0.0)))] {
            let c = config(Cell::Rnn, activation);
            let parameters = Init::Orthogonal(1.0).parameters(&c, 5);
            let (mut engine, steps) = followed(c, &parameters, 5);
            for layer in 0..2 {
                let w = w_hh(&c, &parameters, layer);
                for pair in steps.windows(2) {
                    let j = pair[0].jacobian(&mut engine, layer).unwrap();
                    let after = &pair[1].state[layer as usize];
                    let most = (0..13).flat_map(|i| (0..13).map(move |k| (i, k))).map(|(i, k)| (j[(i, k)] - slope(f64::from(after[i])) * w[(k, i)]).abs());
                    assert!(most.fold(0.0, f64::max) < 1e-6, "{activation}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_said() {
        let c = config(Cell::Rnn, Activation::Identity);
        let huge = vec![f32::MAX; c.elements() as usize];
        assert!(products(c, &huge, 0, 16).last().unwrap().max.is_nan());
        for cell in Cell::ALL {
            let c = config(cell, Activation::Tanh);
            assert!(products(c, &vec![f32::NAN; c.elements() as usize], 0, 2).last().unwrap().max.is_nan(), "{cell}");
        }
        let nan = vec![f32::NAN; c.elements() as usize];
        assert!(of_weights(&c, &nan, 0).unwrap().0.is_nan());
    }
}
