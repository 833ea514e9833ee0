//! The f64 reference: the equations of ARCHITECTURE.md in plain loops. Everything else is tested against it.
//! Per layer, lane and step, with row vectors:
//!
//! ```text
//! forward     hp_t = keep_t h_{t-1}
//!             a_t  = x_t W_xh + hp_t W_hh + b_h         h_t = phi(a_t)
//!             o_t  = h_t W_hy^T + b_y                   L = 1/N sum_{t,b} w_t loss(o_t, y_t)
//! backward    g_t     = dL/do_t W_hy + carry_t          (below the top: delta^{k+1}_t W_xh^{k+1}^T + carry_t)
//!             delta_t = g_t phi'(a_t)                   carry_{t-1} = keep_t xi_t (delta_t W_hh^T)
//!             dW_hh = sum hp_t^T delta_t   dW_xh = sum x_t^T delta_t   db_h = sum delta_t
//!             dW_hy = sum dL/do_t^T h_t    db_y  = sum dL/do_t
//! ```
//!
//! Here `w_hy` is stored as `[V,H]`, the transpose of the formula in ARCHITECTURE.md. `loss` is the cross entropy of softmax(o_t) in nats, or the mean
//! squared or absolute error of o. Between layers x_t is m_t h_t of the layer below, with m_t the dropout factors, and the gradient that flows back is
//! multiplied by m_t too. If symbols are embedded, x_t is a row of `embed`. A factor (`keep`, `xi`, `w`) of exactly 0 contributes exactly 0, whatever it
//! multiplies: a reset drops even a state that is not finite, and the target of a step with weight 0 is never read.
#![forbid(unsafe_code)]

pub mod checks;
pub mod dropout;
pub mod optimizer;

/// The activation: `h = phi(a)`, elementwise.
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
    fn value(self, a: f64) -> f64 {
        match self {
            Phi::Tanh => a.tanh(),
            Phi::Relu if a <= 0.0 => 0.0,
            Phi::Relu | Phi::Identity => a,
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

/// The loss of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// cross entropy of the softmax with a class
    Softmax,
    /// `1/V sum_v (o_v - y_v)^2`
    Squared,
    /// `1/V sum_v |o_v - y_v|`
    Absolute,
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
    /// activation of every layer
    pub phi: Phi,
    /// whether there are `b_h` and `b_y`
    pub bias: bool,
}

impl Net {
    /// A net of tanh units with biases that reads one-hot symbols and predicts the next; a base for struct update syntax.
    pub fn symbols(vocab: usize, hidden: usize, layers: usize) -> Self {
        Net { embedded: None, inputs: vocab, outputs: vocab, head: Head::Softmax, hidden, layers, phi: Phi::Tanh, bias: true }
    }

    /// Names and shapes (rows, columns) of the tensors in order. Where symbols are embedded, `embed` `[symbols,D]`; for each layer k, counted
    /// from 0: `w_xh.k` `[D_k,H]` (D_0 = D, else H), `w_hh.k` `[H,H]` and, with bias, `b_h.k` `[1,H]`; then `w_hy` `[V,H]` and, with bias, `b_y` `[1,V]`.
    pub fn tensors(&self) -> Vec<(String, [usize; 2])> {
        let mut list: Vec<_> = self.embedded.map(|symbols| ("embed".to_string(), [symbols, self.inputs])).into_iter().collect();
        for k in 0..self.layers {
            let inputs = if k == 0 { self.inputs } else { self.hidden };
            list.push((format!("w_xh.{k}"), [inputs, self.hidden]));
            list.push((format!("w_hh.{k}"), [self.hidden, self.hidden]));
            if self.bias {
                list.push((format!("b_h.{k}"), [1, self.hidden]));
            }
        }
        list.push(("w_hy".to_string(), [self.outputs, self.hidden]));
        if self.bias {
            list.push(("b_y".to_string(), [1, self.outputs]));
        }
        list
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

/// Results of [`backward`].
#[derive(Clone, Debug)]
pub struct Backward {
    /// `1/N sum_{t,b} w_t loss(o_t, y_t)`, nats
    pub loss: f64,
    /// dL/dw, shapes and order of [`Net::tensors`]
    pub gradients: Tensors,
    /// per layer `[B,H]`: `h_T`
    pub state: Vec<Vec<f64>>,
    /// per layer `[B,H]`: the gradient that flows out at the window's start, `keep_1 xi_1 (delta_1 W_hh^T)`
    pub carry: Vec<Vec<f64>>,
    /// per layer `[T,B,H]`: `delta_t`
    pub delta: Vec<Vec<f64>>,
    /// per layer `[T+1,B,H]`: `h_0` (the state passed in) to `h_T`
    pub h: Vec<Vec<f64>>,
}

/// `factor * value`, where a factor of 0 gives 0 even if the value is not finite.
fn gated(factor: f64, value: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { factor * value }
}

/// `factor x`, likewise, `[C]`.
fn scaled(factor: f64, x: &[f64]) -> Vec<f64> {
    x.iter().map(|&value| gated(factor, value)).collect()
}

/// `x W`: x `[R]`, `W` `[R,C]`, result `[C]`.
fn times(x: &[f64], w: &[f64]) -> Vec<f64> {
    let columns = w.len() / x.len();
    let column = |c: usize| (0..x.len()).map(|r| x[r] * w[r * columns + c]).sum();
    (0..columns).map(column).collect()
}

/// `x W^T`: x `[C]`, `W` `[R,C]`, result `[R]`.
fn times_transposed(x: &[f64], w: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum();
    w.chunks(x.len()).map(dot).collect()
}

/// `sum += factor x`, likewise, both `[C]`.
fn add(sum: &mut [f64], factor: f64, x: &[f64]) {
    for (total, &value) in sum.iter_mut().zip(x) {
        *total += gated(factor, value);
    }
}

/// `sum += x^T y`: x `[R]`, y `[C]`, sum `[R,C]`.
fn add_outer(sum: &mut [f64], x: &[f64], y: &[f64]) {
    for (row, factor) in sum.chunks_mut(y.len()).zip(x) {
        add(row, *factor, y);
    }
}

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
    if head == Head::Squared {
        (off.iter().map(|d| d * d).sum::<f64>() / count, off.iter().map(|d| 2.0 * d / count).collect())
    } else {
        let sign = |d: &f64| if *d == 0.0 { 0.0 } else { d.signum() / count };
        (off.iter().map(|d| d.abs()).sum::<f64>() / count, off.iter().map(sign).collect())
    }
}

/// The checked inputs of one call.
struct Inputs<'a> {
    net: &'a Net,
    params: &'a Tensors,
    window: &'a Window<'a>,
    /// B
    lanes: usize,
}

/// A row is a step and lane, `t * B + b`. In `h` `[T+1,B,H]`, row r is `h_{t-1}` of row r, and row r + B is its `h_t`.
impl<'a> Inputs<'a> {
    /// Panics where a shape does not fit. `state`: per layer `[B,H]`.
    fn new(net: &'a Net, params: &'a Tensors, window: &'a Window, state: &[Vec<f64>]) -> Self {
        let lanes = checks::shapes(net, params, window, state);
        Inputs { net, params, window, lanes }
    }

    /// `[H]` one row of `[T,B,H]` or `[T+1,B,H]`.
    fn row<'b>(&self, of: &'b [f64], row: usize) -> &'b [f64] {
        &of[row * self.net.hidden..][..self.net.hidden]
    }

    /// `x_t` `[D_k]` of layer k: the input, or `m_t h_t` of the layer below. `h`: per layer `[T+1,B,H]`.
    fn x(&self, k: usize, h: &[Vec<f64>], row: usize) -> Vec<f64> {
        if k > 0 {
            return self.dropped(k, self.row(&h[k - 1], row + self.lanes), row);
        }
        let d = self.net.inputs;
        match self.window.read {
            Read::Numbers(numbers) => numbers[row * d..][..d].to_vec(),
            Read::Symbols(symbols) if self.net.embedded.is_some() => self.params[0][symbols[row] as usize * d..][..d].to_vec(),
            Read::Symbols(symbols) => {
                let mut one_hot = vec![0.0; d];
                one_hot[symbols[row] as usize] = 1.0;
                one_hot
            }
        }
    }

    /// A vector between layers k-1 and k, times the dropout factors, `[H]`.
    fn dropped(&self, k: usize, x: &[f64], row: usize) -> Vec<f64> {
        match self.window.factors.get(k - 1) {
            Some(factors) => x.iter().zip(self.row(factors, row)).map(|(&x, &m)| gated(m, x)).collect(),
            None => x.to_vec(),
        }
    }

    /// `hp_t = keep_t h_{t-1}` `[H]`, from one layer's `h`.
    fn hp(&self, h: &[f64], row: usize) -> Vec<f64> {
        scaled(self.window.keep[row], self.row(h, row))
    }

    /// `h_t = phi(x_t W_xh + hp_t W_hh + b_h)`: per layer `[T+1,B,H]`, block 0 the given state; and the last blocks.
    fn forward_states(&self, state: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let (mut h, mut last) = (Vec::new(), Vec::new());
        for (k, start) in state.iter().enumerate() {
            let own = &self.params[self.net.first_tensor(k)..];
            let mut here = start.clone();
            for row in 0..self.window.steps * self.lanes {
                let mut a = times(&self.x(k, &h, row), &own[0]);
                add(&mut a, 1.0, &times(&self.hp(&here, row), &own[1]));
                if self.net.bias {
                    add(&mut a, 1.0, &own[2]);
                }
                here.extend(a.iter().map(|&a| self.net.phi.value(a)));
            }
            last.push(here[here.len() - start.len()..].to_vec());
            h.push(here);
        }
        (h, last)
    }

    /// One row's contribution to L, and dL/do `[V]`, with `o = h W_hy^T + b_y`. `top`: `h` of the last layer, `[T+1,B,H]`.
    fn head(&self, top: &[f64], row: usize) -> (f64, Vec<f64>) {
        let net = self.net;
        let scale = self.window.weights[row] / self.window.n;
        if scale == 0.0 {
            return (0.0, vec![0.0; net.outputs]);
        }
        let own = &self.params[net.first_tensor(net.layers)..];
        let mut o = times_transposed(self.row(top, row + self.lanes), &own[0]);
        if net.bias {
            add(&mut o, 1.0, &own[1]);
        }
        let (loss, slope) = match self.window.targets {
            Targets::Classes(classes) => cross_entropy(&o, classes[row] as usize),
            Targets::Numbers(numbers) => deviation(net.head, &o, &numbers[row * net.outputs..][..net.outputs]),
        };
        (scale * loss, scaled(scale, &slope))
    }

    /// The head over all rows: returns L and `d_h = dL/do W_hy` `[T,B,H]`, and adds to `dW_hy` `[V,H]` and `db_y`.
    fn head_backward(&self, top: &[f64], gradients: &mut Tensors) -> (f64, Vec<f64>) {
        let first = self.net.first_tensor(self.net.layers);
        let (mut loss, mut d_h) = (0.0, Vec::new());
        for row in 0..self.window.steps * self.lanes {
            let (row_loss, d_o) = self.head(top, row);
            loss += row_loss;
            d_h.extend(times(&d_o, &self.params[first]));
            add_outer(&mut gradients[first], &d_o, self.row(top, row + self.lanes));
            if self.net.bias {
                add(&mut gradients[first + 1], 1.0, &d_o);
            }
        }
        (loss, d_h)
    }

    /// One layer back in time: `delta_t = (d_h_t + carry_t) phi'(a_t)`, `carry_{t-1} = keep_t xi_t (delta_t W_hh^T)`.
    /// `h` `[T+1,B,H]`; `d_h` `[T,B,H]` becomes delta; `carry` `[B,H]` holds what flows in, then what flows out.
    fn scan_backward(&self, w_hh: &[f64], h: &[f64], d_h: &mut [f64], carry: &mut [f64]) {
        let (phi, hidden) = (self.net.phi, self.net.hidden);
        for row in (0..self.window.steps * self.lanes).rev() {
            let h = self.row(h, row + self.lanes);
            let carry = &mut carry[row % self.lanes * hidden..][..hidden];
            let delta = &mut d_h[row * hidden..][..hidden];
            for j in 0..hidden {
                delta[j] = (delta[j] + carry[j]) * phi.derivative_from_h(h[j]);
            }
            let scale = self.window.keep[row] * self.window.xi[row];
            carry.copy_from_slice(&scaled(scale, &times_transposed(delta, w_hh)));
        }
    }

    /// Adds layer k's `dW_xh = sum x_t^T delta_t`, `dW_hh = sum hp_t^T delta_t`, `db_h = sum delta_t`.
    /// `h`: of all layers, each `[T+1,B,H]`; `delta` `[T,B,H]`.
    fn layer_gradients(&self, k: usize, h: &[Vec<f64>], delta: &[f64], gradients: &mut Tensors) {
        let own = &mut gradients[self.net.first_tensor(k)..];
        for row in 0..self.window.steps * self.lanes {
            let delta = self.row(delta, row);
            add_outer(&mut own[0], &self.x(k, h, row), delta);
            add_outer(&mut own[1], &self.hp(&h[k], row), delta);
            if self.net.bias {
                add(&mut own[2], 1.0, delta);
            }
        }
    }
}

/// Returns the loss `1/N sum_{t,b} w_t loss(o_t, y_t)` in nats and the final state, per layer `[B,H]`.
/// `state`: per layer `[B,H]`, `h_0`. `xi` has no influence.
pub fn forward(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
    let inputs = Inputs::new(net, params, window, state);
    let (h, last) = inputs.forward_states(state);
    let row_loss = |row| inputs.head(&h[net.layers - 1], row).0;
    let loss = (0..window.steps * inputs.lanes).map(row_loss).sum();
    (loss, last)
}

/// Backpropagation through time over one window, by the formulas at the top of this module.
///
/// `state`: per layer `[B,H]`, `h_0`. `carry`: per layer `[B,H]`, the part of dL/dh_T that flows in from the following segment (zeros
/// if none). The preceding segment takes the returned `carry`; gradients and losses of segments add up.
pub fn backward(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>], carry: &[Vec<f64>]) -> Backward {
    let inputs = Inputs::new(net, params, window, state);
    checks::layers("carry", net, carry, inputs.lanes);
    let (h, state) = inputs.forward_states(state);
    let mut gradients: Tensors = params.iter().map(|p| vec![0.0; p.len()]).collect();
    let (loss, mut d_h) = inputs.head_backward(&h[net.layers - 1], &mut gradients);
    let mut delta = vec![Vec::new(); net.layers];
    let mut carry = carry.to_vec();
    for k in (0..net.layers).rev() {
        let own = &params[net.first_tensor(k)..];
        inputs.scan_backward(&own[1], &h[k], &mut d_h, &mut carry[k]);
        inputs.layer_gradients(k, &h, &d_h, &mut gradients);
        delta[k] = std::mem::take(&mut d_h);
        let below: Vec<Vec<f64>> = delta[k].chunks(net.hidden).map(|delta| times_transposed(delta, &own[0])).collect();
        if k > 0 {
            d_h = below.iter().enumerate().flat_map(|(row, d_x)| inputs.dropped(k, d_x, row)).collect();
        } else if let (Some(_), Read::Symbols(symbols)) = (net.embedded, window.read) {
            for (d_x, &symbol) in below.iter().zip(symbols) {
                add(&mut gradients[0][symbol as usize * net.inputs..][..net.inputs], 1.0, d_x);
            }
        }
    }
    Backward { loss, gradients, state, carry, delta, h }
}
