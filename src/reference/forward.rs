//! The forward pass: every step of every layer, then the head.
#![forbid(unsafe_code)]

use super::cells::{Layer, Step};
use super::scalar::{Matrix, Scalar, gated};
use super::{Head, Net, Read, Targets, Tensors, Window, shapes};

/// `log sum_v exp(o_v) - o_y` and its derivative `softmax(o)_v - [v = y]`.
fn cross_entropy(o: &[f64], y: usize) -> (f64, Vec<f64>) {
    let max = o.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = o.iter().map(|value| (value - max).exp()).sum();
    let mut slope: Vec<f64> = o.iter().map(|x| (x - max).exp() / sum).collect();
    slope[y] -= 1.0;
    (sum.ln() - (o[y] - max), slope)
}

/// The mean error of o and its derivative; the derivative of |d| at 0 is taken to be 0.
fn deviation(head: Head, o: &[f64], y: &[f64]) -> (f64, Vec<f64>) {
    let count = o.len() as f64;
    let off: Vec<f64> = o.iter().zip(y).map(|(o, y)| o - y).collect();
    if let Head::Pinball { levels, count: q } = head {
        let level = |v: usize| f64::from(levels[v % q]) / 10_000.0;
        let loss = off.iter().enumerate().map(|(v, d)| (-level(v) * d).max((1.0 - level(v)) * d)).sum::<f64>() / count;
        let slope = |(v, d): (usize, &f64)| if *d == 0.0 { 0.0 } else { (f64::from(u8::from(*d > 0.0)) - level(v)) / count };
        (loss, off.iter().enumerate().map(slope).collect())
    } else if head == Head::Squared {
        (off.iter().map(|d| d * d).sum::<f64>() / count, off.iter().map(|d| 2.0 * d / count).collect())
    } else {
        let sign = |d: &f64| if *d == 0.0 { 0.0 } else { d.signum() / count };
        (off.iter().map(|d| d.abs()).sum::<f64>() / count, off.iter().map(sign).collect())
    }
}

/// All layers over all steps.
pub(super) struct Trace {
    /// per layer `[T+1,B,N*H]`: block 0 the given states, block t those after step t
    pub(super) states: Vec<Vec<f64>>,
    /// per layer `[T,B,Gd*H]`, see [`Step`]; empty for a plain RNN
    pub(super) gates: Vec<Vec<f64>>,
}

/// The checked inputs of one call. A row is a step and lane, `t * B + b`: in `[T+1,B,N*H]`, row r is the state before row r's step, and row r + B that after it.
pub(super) struct Inputs<'a> {
    pub(super) net: &'a Net,
    params: &'a Tensors,
    pub(super) window: &'a Window<'a>,
    /// B
    pub(super) lanes: usize,
    /// index of each tensor's first element among all P parameters; the last entry is P
    pub(super) starts: Vec<usize>,
}

impl<'a> Inputs<'a> {
    /// Panics where a shape does not fit. `state`: per layer `[B,N*H]`.
    pub(super) fn new(net: &'a Net, params: &'a Tensors, window: &'a Window, state: &[Vec<f64>]) -> Self {
        let lanes = shapes::shapes(net, params, window, state);
        let mut starts = vec![0];
        for tensor in params {
            starts.push(starts[starts.len() - 1] + tensor.len());
        }
        Inputs { net, params, window, lanes, starts }
    }

    /// T B
    pub(super) fn rows(&self) -> usize {
        self.window.steps * self.lanes
    }

    /// One of the tensors.
    pub(super) fn tensor(&self, n: usize) -> Matrix<'a> {
        Matrix { values: &self.params[n], first: self.starts[n] }
    }

    /// Layer k.
    pub(super) fn layer(&self, k: usize) -> Layer<'a> {
        let (net, first) = (self.net, self.net.first_tensor(k));
        let b_h = net.bias.then(|| self.tensor(first + 2));
        Layer { cell: net.cell, phi: net.phi, w_xh: self.tensor(first), w_hh: self.tensor(first + 1), b_h }
    }

    /// `[N*H]` one row of `[T,B,N*H]` or `[T+1,B,N*H]`.
    pub(super) fn row<'b>(&self, of: &'b [f64], row: usize) -> &'b [f64] {
        &of[row * self.net.wide()..][..self.net.wide()]
    }

    /// `h_t` `[H]` of a row, from one layer's states `[T+1,B,N*H]`.
    pub(super) fn h<'b>(&self, states: &'b [f64], row: usize) -> &'b [f64] {
        &self.row(states, row + self.lanes)[..self.net.hidden]
    }

    /// `x_t` `[D]` of the first layer.
    pub(super) fn read<S: Scalar>(&self, row: usize) -> Vec<S> {
        let d = self.net.inputs;
        match self.window.read {
            Read::Numbers(numbers) => numbers[row * d..][..d].iter().map(|&x| S::from(x)).collect(),
            Read::Symbols(symbols) if self.net.embedded.is_some() => (0..d).map(|i| self.tensor(0).at(symbols[row] as usize * d + i)).collect(),
            Read::Symbols(symbols) => (0..d).map(|i| S::from(f64::from(symbols[row] as usize == i))).collect(),
        }
    }

    /// A vector between layers k-1 and k, times the dropout factors, `[H]`.
    pub(super) fn dropped<S: Scalar>(&self, k: usize, x: &[S], row: usize) -> Vec<S> {
        match self.window.factors.get(k - 1) {
            Some(factors) => x.iter().zip(&factors[row * x.len()..]).map(|(x, &m)| x.scaled(m, m)).collect(),
            None => x.to_vec(),
        }
    }

    /// `x_t` `[D_k]` of layer k: the input, or `m_t h_t` of the layer below. `states`: per layer `[T+1,B,N*H]`.
    pub(super) fn x(&self, k: usize, states: &[Vec<f64>], row: usize) -> Vec<f64> {
        if k == 0 { self.read(row) } else { self.dropped(k, self.h(&states[k - 1], row), row) }
    }

    /// `hp_t = keep_t h_{t-1}`, then `cp_t = keep_t c_{t-1}`, `[N*H]`, from the state `[N*H]` before the step; derivatives also times xi.
    pub(super) fn past<S: Scalar>(&self, state: &[S], row: usize) -> Vec<S> {
        let (keep, xi) = (self.window.keep[row], self.window.xi[row]);
        state.iter().map(|s| s.scaled(keep, keep * xi)).collect()
    }

    /// All steps from the given state, per layer `[B,N*H]`.
    pub(super) fn trace(&self, state: &[Vec<f64>]) -> Trace {
        let mut trace = Trace { states: state.to_vec(), gates: vec![Vec::new(); state.len()] };
        for row in 0..self.rows() {
            for k in 0..self.net.layers {
                let past = self.past(self.row(&trace.states[k], row), row);
                let Step { gates, state } = self.layer(k).step(&self.x(k, &trace.states, row), &past);
                trace.gates[k].extend(gates);
                trace.states[k].extend(state);
            }
        }
        trace
    }

    /// The last states of a trace, per layer `[B,N*H]`.
    pub(super) fn last(&self, trace: &Trace) -> Vec<Vec<f64>> {
        trace.states.iter().map(|states| states[self.rows() * self.net.wide()..].to_vec()).collect()
    }

    /// `o = h W_hy^T + b_y` `[V]`, from the last layer's h `[H]`.
    pub(super) fn outputs<S: Scalar>(&self, h: &[S]) -> Vec<S> {
        let first = self.net.first_tensor(self.net.layers);
        let o = self.tensor(first).times_transposed(h).into_iter().enumerate();
        o.map(|(v, o): (usize, S)| if self.net.bias { o + self.tensor(first + 1).at(v) } else { o }).collect()
    }

    /// One row's contribution to L, and dL/do `[V]`. `top`: the last layer's states `[T+1,B,N*H]`.
    pub(super) fn head(&self, top: &[f64], row: usize) -> (f64, Vec<f64>) {
        let net = self.net;
        let scale = self.window.weights[row] / self.window.n;
        if scale == 0.0 {
            return (0.0, vec![0.0; net.outputs]);
        }
        let o = self.outputs(self.h(top, row));
        let (loss, slope) = match self.window.targets {
            Targets::Classes(classes) => cross_entropy(&o, classes[row] as usize),
            Targets::Numbers(numbers) => deviation(net.head, &o, &numbers[row * net.outputs..][..net.outputs]),
        };
        (scale * loss, slope.iter().map(|&slope| gated(scale, slope)).collect())
    }
}

/// Returns the loss `1/N sum_{t,b} w_t loss(o_t, y_t)` in nats and the final state, per layer `[B,N*H]`.
/// `state`: per layer `[B,N*H]`, `h_0` then `c_0` in each lane's row. `xi` has no influence.
pub fn forward(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
    let inputs = Inputs::new(net, params, window, state);
    let trace = inputs.trace(state);
    let loss = (0..inputs.rows()).map(|row| inputs.head(&trace.states[net.layers - 1], row).0).sum();
    (loss, inputs.last(&trace))
}
