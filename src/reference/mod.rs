//! The f64 reference: the equations of ARCHITECTURE.md in plain loops. Everything else is tested against it.
//! Per layer, lane and step, with row vectors, sigma the logistic function and * elementwise:
//!
//! ```text
//! forward     hp_t = keep_t h_{t-1}    cp_t = keep_t c_{t-1}
//!   rnn       a = x W_xh + hp W_hh + b                     h = phi(a)
//!   lstm      a = x W_xh + hp W_hh + b, blocks i, f, g, o  i, f, o = sigma(a)   g = tanh(a)
//!             c = f*cp + i*g                               h = o*tanh(c)
//!   gru       r, z = sigma(x W_xh + hp W_hh + b), blocks r, z
//!             q = hp W_hn + b_hn    n = tanh(x W_in + b_in + r*q)    h = (1-z)*n + z*hp
//!   head      o_t = h_t W_hy^T + b_y                       L = 1/N sum_{t,b} w_t loss(o_t, y_t)
//! backward    dh = dL/do_t W_hy + carry_h                  below the top: (delta_x^{k+1} W_xh^{k+1}^T) + carry_h
//!   rnn       d = dh*phi'(a)
//!   lstm      dc = carry_c + dh*o*(1-tanh(c)^2)
//!             d_i = dc*g*i*(1-i)   d_f = dc*cp*f*(1-f)   d_g = dc*i*(1-g^2)   d_o = dh*tanh(c)*o*(1-o)
//!   gru       d_n = dh*(1-z)*(1-n^2)   d_z = dh*(hp-n)*z*(1-z)   d_q = d_n*r   d_r = d_n*q*r*(1-r)
//!   carry     carry_h of step t-1 = keep_t xi_t (delta_h W_hh^T, for gru + dh*z)
//!             carry_c of step t-1 = keep_t xi_t dc*f
//!             dW_hh = sum hp^T delta_h   dW_xh = sum x^T delta_x   db_h = sum delta
//!             dW_hy = sum dL/do_t^T h_t  db_y  = sum dL/do_t
//! ```
//!
//! delta holds the blocks of d in the order above; delta_x and delta_h are all of it, but for gru (d_r,d_z,d_n) and (d_r,d_z,d_q). Columns of `w_xh` and
//! `w_hh` are gate-major in PyTorch's order: gate g of unit j is column g*H+j. `w_hy` is stored as `[V,H]`, the transpose of the formula in
//! ARCHITECTURE.md. `loss` is the cross entropy of softmax(o_t) in nats, or the mean squared or absolute error of o. Between layers x_t is m_t h_t of the
//! layer below, with m_t the dropout factors, and the gradient that flows back is multiplied by m_t too. If symbols are embedded, x_t is a row of `embed`.
//! A factor (`keep`, `xi`, `w`) of exactly 0 contributes exactly 0, whatever it multiplies: a reset drops even a state that is not finite, and the target
//! of a step with weight 0 is never read.
#![forbid(unsafe_code)]

mod backward;
mod cells;
pub mod checks;
pub mod dropout;
mod forward;
mod forward_mode;
pub mod optimizer;
mod scalar;
mod shapes;

pub use backward::backward;
pub use cells::{Cell, Phi};
pub use forward::forward;

/// The loss of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// cross entropy of the softmax with a class
    Softmax,
    /// `1/V sum_v (o_v - y_v)^2`
    Squared,
    /// `1/V sum_v |o_v - y_v|`
    Absolute,
    /// `1/V sum_v max(q (y_v - o_v), (q - 1) (y_v - o_v))`, q the level v mod Q, in ten-thousandths
    Pinball {
        /// the levels
        levels: [u16; 9],
        /// Q
        count: usize,
    },
}

/// The sizes of a network; its parameters are listed by [`Net::tensors`].
#[derive(Clone, Copy, Debug)]
pub struct Net {
    /// number of symbols embedded in D dimensions, if any
    pub embedded: Option<usize>,
    /// D: number of one-hot symbols or numbers
    pub inputs: usize,
    /// V: number of outputs
    pub outputs: usize,
    /// their loss
    pub head: Head,
    /// H: units of each layer
    pub hidden: usize,
    /// number of stacked layers, at least 1
    pub layers: usize,
    /// cell of every layer
    pub cell: Cell,
    /// activation of every layer's cell, if plain
    pub phi: Phi,
    /// whether there are `b_h` and `b_y`
    pub bias: bool,
}

impl Net {
    /// A net of tanh units with biases that reads one-hot symbols and predicts the next; a base for struct update syntax.
    pub fn symbols(vocab: usize, hidden: usize, layers: usize) -> Self {
        Net { embedded: None, inputs: vocab, outputs: vocab, head: Head::Softmax, hidden, layers, cell: Cell::Rnn, phi: Phi::Tanh, bias: true }
    }

    /// Names and shapes (rows, columns) of the tensors in order. Where symbols are embedded, `embed` `[symbols,D]`; for each layer k, counted
    /// from 0: `w_xh.k` `[D_k,G*H]` (D_0 = D, else H), `w_hh.k` `[H,G*H]` and, with bias, `b_h.k` `[1,Gb*H]`; then `w_hy` `[V,H]` and, with bias,
    /// `b_y` `[1,V]`. G is [`Cell::gates`], Gb [`Cell::deltas`].
    pub fn tensors(&self) -> Vec<(String, [usize; 2])> {
        let mut list: Vec<_> = self.embedded.map(|symbols| ("embed".to_string(), [symbols, self.inputs])).into_iter().collect();
        for k in 0..self.layers {
            let inputs = if k == 0 { self.inputs } else { self.hidden };
            let columns = self.cell.gates() * self.hidden;
            list.push((format!("w_xh.{k}"), [inputs, columns]));
            list.push((format!("w_hh.{k}"), [self.hidden, columns]));
            if self.bias {
                list.push((format!("b_h.{k}"), [1, self.cell.deltas() * self.hidden]));
            }
        }
        list.push(("w_hy".to_string(), [self.outputs, self.hidden]));
        if self.bias {
            list.push(("b_y".to_string(), [1, self.outputs]));
        }
        list
    }

    /// N*H: numbers of one layer and lane that pass from step to step.
    fn wide(&self) -> usize {
        self.cell.states() * self.hidden
    }

    /// Index of `w_xh.k`; `w_hh.k` and `b_h.k` are the next two. For k = layers it is that of `w_hy`; `b_y` is the next.
    fn first_tensor(&self, k: usize) -> usize {
        usize::from(self.embedded.is_some()) + k * if self.bias { 3 } else { 2 }
    }
}

/// One tensor per entry of [`Net::tensors`], row-major.
pub type Tensors = Vec<Vec<f64>>;

/// Input of the first layer.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// `[T,B]`: the index of a one-hot vector, or of a row of `embed`
    Symbols(&'a [u32]),
    /// `[T,B,D]`
    Numbers(&'a [f64]),
}

/// Targets of the outputs.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// `[T,B]`, below V wherever the weight is not 0
    Classes(&'a [u32]),
    /// `[T,B,V]`
    Numbers(&'a [f64]),
}

/// A window's inputs; every slice is `[T,B]` row-major (time-major): step t of lane b lies at `t * B + b`.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// T
    pub steps: usize,
    /// `x_t`
    pub read: Read<'a>,
    /// `y_t`
    pub targets: Targets<'a>,
    /// `[T,B]` 0 where a new sequence begins, else 1
    pub keep: &'a [f64],
    /// `[T,B]` carry scale of the edge from step t-1 to step t; used only by the gradient
    pub xi: &'a [f64],
    /// `[T,B]` weight of the step's loss
    pub weights: &'a [f64],
    /// per layer but the last, `[T,B,H]`: factors applied to its h before the layer above reads it; empty without dropout
    pub factors: &'a [Vec<f64>],
    /// the constant N
    pub n: f64,
}

/// Results of [`backward()`].
#[derive(Clone, Debug)]
pub struct Backward {
    /// `1/N sum_{t,b} w_t loss(o_t, y_t)`, nats
    pub loss: f64,
    /// dL/dw, shapes and order of [`Net::tensors`]
    pub gradients: Tensors,
    /// per layer `[B,N*H]`: `h_T`, then `c_T`
    pub state: Vec<Vec<f64>>,
    /// per layer `[B,N*H]`: the gradient that flows out at the window's start, carry_h then carry_c
    pub carry: Vec<Vec<f64>>,
    /// per layer `[T,B,N*H]`: the gradient of `h_t`, then of `c_t` as if h_t did not depend on it (so carry_c alone)
    pub g: Vec<Vec<f64>>,
    /// per layer `[T,B,Gd*H]`: delta, blocks d; i, f, g, o; or r, z, n, q
    pub delta: Vec<Vec<f64>>,
    /// per layer `[T+1,B,H]`: `h_0` (the state passed in) to `h_T`
    pub h: Vec<Vec<f64>>,
    /// per layer `[T+1,B,N*H]`: likewise, h then c in each lane's row
    pub states: Vec<Vec<f64>>,
}
