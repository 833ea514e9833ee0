//! One step of each cell, forward over any [`Scalar`], and its derivative, by the equations at the top of [`super`].
#![forbid(unsafe_code)]

use super::scalar::{Matrix, Scalar};

/// The recurrent cell of every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// `h = phi(x W_xh + hp W_hh + b)`
    Rnn,
    /// gated recurrent unit; gates r, z, n, in PyTorch's order and convention (b_hn lies inside the product with r)
    Gru,
    /// long short-term memory; gates i, f, g, o, in PyTorch's order
    Lstm,
}

impl Cell {
    /// G: blocks of H columns of `w_xh` and `w_hh`.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Gb = Gd: blocks of H columns of `b_h` and of delta. A GRU's are r, z, n, q, with b_in for n and b_hn for q.
    pub fn deltas(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru | Cell::Lstm => 4,
        }
    }

    /// N: vectors of H numbers that pass from step to step: h, and the c of an LSTM.
    pub fn states(self) -> usize {
        match self {
            Cell::Rnn | Cell::Gru => 1,
            Cell::Lstm => 2,
        }
    }

    /// The part of delta `[Gd*H]` that `x W_xh` receives, `[G*H]`: all of it; for a GRU d_r, d_z, d_n.
    pub(super) fn delta_of_x(self, delta: &[f64]) -> Vec<f64> {
        delta[..delta.len() / self.deltas() * self.gates()].to_vec()
    }

    /// The part of delta `[Gd*H]` that `hp W_hh` receives, `[G*H]`: all of it; for a GRU d_r, d_z, d_q.
    pub(super) fn delta_of_h(self, delta: &[f64]) -> Vec<f64> {
        let hidden = delta.len() / self.deltas();
        match self {
            Cell::Rnn | Cell::Lstm => delta.to_vec(),
            Cell::Gru => [&delta[..2 * hidden], &delta[3 * hidden..]].concat(),
        }
    }
}

/// The activation of a plain RNN: `h = phi(a)`, elementwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phi {
    /// `h = tanh(a)`, `phi' = 1 - h^2`
    Tanh,
    /// `h = max(a, 0)`, `phi' = 1` where `h > 0`, else 0
    Relu,
    /// `h = a`, `phi' = 1`
    Identity,
}

impl Phi {
    /// `phi(a)`. Relu passes NaN on, so that a diverged state stays visible.
    fn of<S: Scalar>(self, a: &S) -> S {
        match self {
            Phi::Tanh => tanh(a),
            Phi::Relu => a.map(|a| if a <= 0.0 { 0.0 } else { a }, |a| if a <= 0.0 { 0.0 } else { 1.0 }),
            Phi::Identity => a.clone(),
        }
    }

    /// `phi'(a)`, expressed in `h = phi(a)`.
    fn derivative_from_h(self, h: f64) -> f64 {
        match self {
            Phi::Tanh => 1.0 - h * h,
            Phi::Relu => f64::from(h > 0.0),
            Phi::Identity => 1.0,
        }
    }
}

fn tanh<S: Scalar>(a: &S) -> S {
    a.map(f64::tanh, |a| a.cosh().powi(-2))
}

/// The logistic function `1 / (1 + exp(-a))`.
fn sigma<S: Scalar>(a: &S) -> S {
    a.map(|a| 1.0 / (1.0 + (-a).exp()), |a| 0.25 * (0.5 * a).cosh().powi(-2))
}

/// A layer's cell and parameters.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) cell: Cell,
    pub(super) phi: Phi,
    /// `[D_k,G*H]`
    pub(super) w_xh: Matrix<'a>,
    /// `[H,G*H]`
    pub(super) w_hh: Matrix<'a>,
    /// `[1,Gb*H]`
    pub(super) b_h: Option<Matrix<'a>>,
}

/// What a step of one layer and lane computes.
pub(super) struct Step<S> {
    /// `[Gd*H]` the gates, i, f, g, o of an LSTM, r, z, n, q of a GRU; empty for a plain RNN
    pub(super) gates: Vec<S>,
    /// `[N*H]` the new state, h then c
    pub(super) state: Vec<S>,
}

/// The gradients of one step of one layer and lane.
pub(super) struct Slopes {
    /// `[Gd*H]` delta: the gradient of what each gate's nonlinearity reads, and of a GRU's q
    pub(super) delta: Vec<f64>,
    /// `[N*H]` the gradient of hp and cp, but for the path through `hp W_hh`
    pub(super) past: Vec<f64>,
}

impl Layer<'_> {
    /// One step: x `[D_k]` and past `[N*H]`, hp then cp.
    pub(super) fn step<S: Scalar>(&self, x: &[S], past: &[S]) -> Step<S> {
        let hidden = past.len() / self.cell.states();
        let (hp, cp) = past.split_at(hidden);
        let (of_x, of_h) = (self.w_xh.times(x), self.w_hh.times(hp));
        let biased = |sum: S, place: usize| match &self.b_h {
            Some(b) => sum + b.at(place),
            None => sum,
        };
        let a = |place: usize| biased(of_x[place].clone() + of_h[place].clone(), place);
        match self.cell {
            Cell::Rnn => Step { gates: Vec::new(), state: (0..hidden).map(|j| self.phi.of(&a(j))).collect() },
            Cell::Lstm => {
                let gate = |place: usize| if place / hidden == 2 { tanh(&a(place)) } else { sigma(&a(place)) };
                let gates: Vec<S> = (0..4 * hidden).map(gate).collect();
                let [i, f, g, o] = [0, 1, 2, 3].map(|block| &gates[block * hidden..][..hidden]);
                let c: Vec<S> = (0..hidden).map(|j| f[j].clone() * cp[j].clone() + i[j].clone() * g[j].clone()).collect();
                let h: Vec<S> = (0..hidden).map(|j| o[j].clone() * tanh(&c[j])).collect();
                Step { gates, state: [h, c].concat() }
            }
            Cell::Gru => {
                let rz: Vec<S> = (0..2 * hidden).map(|place| sigma(&a(place))).collect();
                let (r, z) = rz.split_at(hidden);
                let q: Vec<S> = (0..hidden).map(|j| biased(of_h[2 * hidden + j].clone(), 3 * hidden + j)).collect();
                let a_n = |j: usize| biased(of_x[2 * hidden + j].clone(), 2 * hidden + j) + r[j].clone() * q[j].clone();
                let n: Vec<S> = (0..hidden).map(|j| tanh(&a_n(j))).collect();
                let h = |j: usize| (S::from(1.0) - z[j].clone()) * n[j].clone() + z[j].clone() * hp[j].clone();
                let state = (0..hidden).map(h).collect();
                Step { gates: [rz, n, q].concat(), state }
            }
        }
    }

    /// The derivative of [`Layer::step`]. `step`: its gates `[Gd*H]` and state `[N*H]`; past `[N*H]`, hp then cp; g `[N*H]`: the gradient of the new h
    /// and, but for its path through that h, of the new c.
    pub(super) fn back(&self, step: (&[f64], &[f64]), past: &[f64], g: &[f64]) -> Slopes {
        let (gates, state) = step;
        let hidden = past.len() / self.cell.states();
        let mut delta = vec![0.0; self.cell.deltas() * hidden];
        let mut d_past = vec![0.0; past.len()];
        for j in 0..hidden {
            let (place, dh) = (|block: usize| block * hidden + j, g[j]);
            match self.cell {
                Cell::Rnn => delta[j] = dh * self.phi.derivative_from_h(state[j]),
                Cell::Lstm => {
                    let [i, f, g_, o] = [0, 1, 2, 3].map(|block| gates[place(block)]);
                    let (cp, squashed) = (past[place(1)], state[place(1)].tanh());
                    let dc = g[place(1)] + dh * o * (1.0 - squashed * squashed);
                    delta[place(0)] = dc * g_ * i * (1.0 - i);
                    delta[place(1)] = dc * cp * f * (1.0 - f);
                    delta[place(2)] = dc * i * (1.0 - g_ * g_);
                    delta[place(3)] = dh * squashed * o * (1.0 - o);
                    d_past[place(1)] = dc * f;
                }
                Cell::Gru => {
                    let [r, z, n, q] = [0, 1, 2, 3].map(|block| gates[place(block)]);
                    let d_n = dh * (1.0 - z) * (1.0 - n * n);
                    delta[place(0)] = d_n * q * r * (1.0 - r);
                    delta[place(1)] = dh * (past[j] - n) * z * (1.0 - z);
                    delta[place(2)] = d_n;
                    delta[place(3)] = d_n * r;
                    d_past[j] = dh * z;
                }
            }
        }
        Slopes { delta, past: d_past }
    }
}
