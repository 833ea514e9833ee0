//! Sensitivity to initial conditions: the first state is perturbed a little, and states, losses and gradients diverge or converge.

use crate::data::{End, Ends};
use crate::dims::pad4;
use crate::engine::Engine;
use crate::error::Result;
use crate::lag_profile::zero_state;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use std::ops::Range;

/// Size of the perturbation of the first state, h and c: the norm of the difference, over all layers.
pub const MOVED: f64 = 1e-4;

/// The effect of a small perturbation of the first state, h and c.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// Norm of the perturbation.
    pub moved: f64,
    /// Median over the lanes of |s'_t - s_t| over that of the perturbation, s being h, or h and c, by t from 0. Values below about 1e-2 are lost in rounding errors.
    pub state: Vec<f64>,
    /// Median over the lanes of |L'_t - L_t|, nats, by t from 1.
    pub loss: Vec<f64>,
    /// Norm of the difference of the gradients of all these steps, relative to that of the gradient.
    pub gradient: f64,
    /// Finite-time Lyapunov exponent: mean of ln(growth) per step, the perturbation being rescaled to its length after each step. Above 0, small
    /// differences grow exponentially.
    pub lyapunov: f64,
}

/// Measures over windows of `steps` steps that end at the given positions, after `warm_up` steps.
///
/// # Errors
/// If the device fails, or the text can't be read.
pub fn measure(engine: &mut Engine, ends: &Ends, which: &[End], warm_up: u32, steps: u32, seed: u64) -> Result<Sensitivity> {
    let all = warm_up + steps;
    engine.set_state(&zero_state(engine))?;
    engine.advance(0..warm_up, |places, range| ends.inputs(which, all, places, range, |_| 0.0))?;
    let start = engine.state()?;
    let moved = shift(&start, &directions(engine, seed), MOVED);
    let (states, losses) = walk(engine, ends, which, &start, warm_up..all)?;
    let (states2, losses2) = walk(engine, ends, which, &moved, warm_up..all)?;
    let distance = |t: usize| median(&distances(engine, &states[t], &states2[t])) / MOVED;
    let apart = |t: usize| median(&losses[t].iter().zip(&losses2[t]).map(|(a, b)| f64::from(a - b).abs()).collect::<Vec<_>>());
    Ok(Sensitivity {
        moved: MOVED,
        state: (0..=steps as usize).map(distance).collect(),
        loss: (0..steps as usize).map(apart).collect(),
        gradient: gradients_apart(engine, ends, which, [&start, &moved], warm_up..all)?,
        lyapunov: lyapunov(engine, ends, which, [&start, &moved], warm_up..all)?,
    })
}

/// Per layer `[B, N Hp]`.
type State = Vec<Vec<f32>>;

/// A direction of length 1 over all layers, for each lane.
fn directions(engine: &Engine, seed: u64) -> State {
    let (hidden, lanes, padded) = (engine.config.hidden as usize, engine.plan.extent.lanes as usize, engine.config.state_width() as usize);
    let block = pad4(engine.config.hidden) as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all: State = vec![vec![0.0; lanes * padded]; engine.config.layers as usize];
    for lane in 0..lanes {
        // h, and c after it.
        let mut draw = || (0..padded).map(|i| if i % block < hidden { rng.random::<f64>() - 0.5 } else { 0.0 }).collect::<Vec<f64>>();
        let parts: Vec<Vec<f64>> = all.iter().map(|_| draw()).collect();
        let norm = parts.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
        for (layer, part) in all.iter_mut().zip(&parts) {
            layer[lane * padded..][..padded].iter_mut().zip(part).for_each(|(to, x)| *to = (x / norm) as f32);
        }
    }
    all
}

/// start + length * direction.
fn shift(start: &State, direction: &State, length: f64) -> State {
    let layer = |(s, d): (&Vec<f32>, &Vec<f32>)| s.iter().zip(d).map(|(s, d)| (f64::from(*s) + length * f64::from(*d)) as f32).collect();
    start.iter().zip(direction).map(layer).collect()
}

/// Norms of the differences of two states, over all layers, by lane.
fn distances(engine: &Engine, a: &State, b: &State) -> Vec<f64> {
    let padded = engine.config.state_width() as usize;
    let mut squares = vec![0.0; engine.plan.extent.lanes as usize];
    for (a, b) in a.iter().zip(b) {
        for (square, (a, b)) in squares.iter_mut().zip(a.chunks_exact(padded).zip(b.chunks_exact(padded))) {
            *square += a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        }
    }
    squares.into_iter().map(f64::sqrt).collect()
}

fn median(x: &[f64]) -> f64 {
    let mut x: Vec<f64> = x.to_vec();
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

/// Takes one step from the current state; the losses of the lanes.
fn step(engine: &mut Engine, ends: &Ends, which: &[End], t: u32, all: u32) -> Result<Vec<f32>> {
    let mut losses = Vec::new();
    let inputs = |places: &_, range: Range<u32>| ends.inputs(which, all, places, t + range.start..t + range.end, |_| 1.0);
    engine.evaluate(0..1, inputs, |_, rows| losses.extend_from_slice(rows))?;
    Ok(losses)
}

/// The states from the given one on, and the losses of the lanes at each step.
fn walk(engine: &mut Engine, ends: &Ends, which: &[End], start: &State, steps: Range<u32>) -> Result<(Vec<State>, Vec<Vec<f32>>)> {
    engine.set_state(start)?;
    let (mut states, mut losses) = (vec![start.clone()], Vec::new());
    for t in steps.clone() {
        losses.push(step(engine, ends, which, t, steps.end)?);
        states.push(engine.state()?);
    }
    Ok((states, losses))
}

/// The relative difference between the gradients from two states.
fn gradients_apart(engine: &mut Engine, ends: &Ends, which: &[End], starts: [&State; 2], steps: Range<u32>) -> Result<f64> {
    let mut both = Vec::new();
    for start in starts {
        engine.set_state(start)?;
        let inputs = |places: &_, range| ends.inputs(which, steps.end, places, range, |_| 1.0);
        engine.gradient(steps.clone(), inputs, f64::from(steps.end - steps.start) * which.len() as f64)?;
        both.push(engine.gradients()?.into_iter().map(f64::from).collect::<Vec<f64>>());
    }
    Ok(crate::analysis::gradcheck::relative_error(&both[1], &both[0]))
}

/// The mean log growth of the perturbation per step, rescaled to its length after each (Benettin et al. 1980).
fn lyapunov(engine: &mut Engine, ends: &Ends, which: &[End], [start, moved]: [&State; 2], steps: Range<u32>) -> Result<f64> {
    let (mut a, mut b) = (start.clone(), moved.clone());
    let mut growth = vec![0.0; which.len()];
    for t in steps.clone() {
        let before = distances(engine, &a, &b);
        for state in [&mut a, &mut b] {
            engine.set_state(state)?;
            step(engine, ends, which, t, steps.end)?;
            *state = engine.state()?;
        }
        let behind = distances(engine, &a, &b);
        growth.iter_mut().zip(before.iter().zip(&behind)).for_each(|(g, (x, y))| *g += (y / x).ln());
        b = brought_back(engine, &a, &b, &behind);
    }
    Ok(median(&growth) / f64::from(steps.end - steps.start))
}

/// a + MOVED (b - a) / |b - a|, by lane; b where the two are equal.
fn brought_back(engine: &Engine, a: &State, b: &State, distances: &[f64]) -> State {
    let padded = engine.config.state_width() as usize;
    let mut out = b.clone();
    for (out, a) in out.iter_mut().zip(a) {
        for ((out, a), d) in out.chunks_exact_mut(padded).zip(a.chunks_exact(padded)).zip(distances) {
            let factor = if *d > 0.0 { MOVED / d } else { 0.0 };
            out.iter_mut().zip(a).for_each(|(o, a)| *o = (f64::from(*a) + factor * (f64::from(*o) - f64::from(*a))) as f32);
        }
    }
    out
}
