//! The backward pass, by the equations at the top of [`super`].
#![forbid(unsafe_code)]

use super::cells::Slopes;
use super::forward::{Inputs, Trace};
use super::scalar::gated;
use super::{Backward, Net, Read, Tensors, Window, shapes};

/// The factors of what flows back over the edge between two steps, to h and to c, from its keep and xi.
pub(super) type Edge = fn(f64, f64) -> [f64; 2];

/// `sum += factor x`, where a factor of 0 adds 0; both `[C]`.
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

impl Inputs<'_> {
    /// The head over all rows: returns L and `d_h = dL/do W_hy` `[T,B,H]`, and adds to `dW_hy` `[V,H]` and `db_y`. `top`: the last layer's states.
    fn head_backward(&self, top: &[f64], gradients: &mut Tensors) -> (f64, Vec<f64>) {
        let first = self.net.first_tensor(self.net.layers);
        let (mut loss, mut d_h) = (0.0, Vec::new());
        for row in 0..self.rows() {
            let (row_loss, d_o) = self.head(top, row);
            loss += row_loss;
            d_h.extend(self.tensor(first).times(&d_o));
            add_outer(&mut gradients[first], &d_o, self.h(top, row));
            if self.net.bias {
                add(&mut gradients[first + 1], 1.0, &d_o);
            }
        }
        (loss, d_h)
    }

    /// Layer k back in time: from `d_h` `[T,B,H]`, what flows in from above, to g `[T,B,N*H]` and delta `[T,B,Gd*H]`.
    /// `carry` `[B,N*H]` holds what flows in from the steps after the window, then what flows out.
    fn scan_backward(&self, k: usize, trace: &Trace, d_h: &[f64], carry: &mut [f64], edge: Edge) -> (Vec<f64>, Vec<f64>) {
        let (layer, hidden, wide) = (self.layer(k), self.net.hidden, self.net.wide());
        let width = self.net.cell.deltas() * hidden;
        let (mut all_g, mut all_delta) = (vec![0.0; self.rows() * wide], vec![0.0; self.rows() * width]);
        for row in (0..self.rows()).rev() {
            let carry = &mut carry[row % self.lanes * wide..][..wide];
            let g = &mut all_g[row * wide..][..wide];
            g.copy_from_slice(carry);
            add(g, 1.0, &d_h[row * hidden..][..hidden]);
            let past = self.past(self.row(&trace.states[k], row), row);
            let gates = if trace.gates[k].is_empty() { &[] } else { &trace.gates[k][row * width..][..width] };
            let Slopes { delta, past: mut d_past } = layer.back((gates, self.row(&trace.states[k], row + self.lanes)), &past, g);
            add(&mut d_past, 1.0, &layer.w_hh.times_transposed(&layer.cell.delta_of_h(&delta)));
            let scales = edge(self.window.keep[row], self.window.xi[row]);
            for (i, carry) in carry.iter_mut().enumerate() {
                *carry = gated(scales[i / hidden], d_past[i]);
            }
            all_delta[row * width..][..width].copy_from_slice(&delta);
        }
        (all_g, all_delta)
    }

    /// Adds layer k's `dW_xh = sum x_t^T delta_t`, `dW_hh = sum hp_t^T delta_t`, `db_h = sum delta_t`.
    /// `states`: of all layers, each `[T+1,B,N*H]`; `delta` `[T,B,Gd*H]`.
    fn layer_gradients(&self, k: usize, states: &[Vec<f64>], delta: &[f64], gradients: &mut Tensors) {
        let (cell, hidden) = (self.net.cell, self.net.hidden);
        let own = &mut gradients[self.net.first_tensor(k)..];
        for (row, delta) in delta.chunks(cell.deltas() * hidden).enumerate() {
            let past: Vec<f64> = self.past(self.row(&states[k], row), row);
            add_outer(&mut own[0], &self.x(k, states, row), &cell.delta_of_x(delta));
            add_outer(&mut own[1], &past[..hidden], &cell.delta_of_h(delta));
            if self.net.bias {
                add(&mut own[2], 1.0, delta);
            }
        }
    }

    /// The gradient that layer k hands down, `delta_t W_xh^T`: to the h of the layer below `[T,B,H]`; from the first layer to `embed`, if there is one.
    fn flow_down(&self, k: usize, delta: &[f64], gradients: &mut Tensors) -> Vec<f64> {
        let (layer, width) = (self.layer(k), self.net.cell.deltas() * self.net.hidden);
        let d_x = delta.chunks(width).map(|delta| layer.w_xh.times_transposed(&layer.cell.delta_of_x(delta)));
        if k > 0 {
            return d_x.enumerate().flat_map(|(row, d_x)| self.dropped(k, &d_x, row)).collect();
        }
        if let (Some(_), Read::Symbols(symbols)) = (self.net.embedded, self.window.read) {
            for (d_x, &symbol) in d_x.zip(symbols) {
                add(&mut gradients[0][symbol as usize * self.net.inputs..][..self.net.inputs], 1.0, &d_x);
            }
        }
        Vec::new()
    }
}

/// Backpropagation through time over one window, by the formulas at the top of [`super`].
///
/// `state`: per layer `[B,N*H]`, `h_0` then `c_0` in each lane's row. `carry`: per layer `[B,N*H]`, the part of dL/d(h_T,c_T) that flows in
/// from the following segment (zeros if none). The preceding segment takes the returned `carry`; gradients and losses of segments add up.
pub fn backward(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>], carry: &[Vec<f64>]) -> Backward {
    backward_over(net, params, window, state, carry, |keep, xi| [keep * xi; 2])
}

/// [`backward`], with other factors on the edges in time.
pub(super) fn backward_over(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>], carry: &[Vec<f64>], edge: Edge) -> Backward {
    let inputs = Inputs::new(net, params, window, state);
    shapes::layers("carry", net, carry, inputs.lanes);
    let trace = inputs.trace(state);
    let mut gradients: Tensors = params.iter().map(|p| vec![0.0; p.len()]).collect();
    let (loss, mut d_h) = inputs.head_backward(&trace.states[net.layers - 1], &mut gradients);
    let (mut g, mut delta) = (vec![Vec::new(); net.layers], vec![Vec::new(); net.layers]);
    let mut carry = carry.to_vec();
    for k in (0..net.layers).rev() {
        (g[k], delta[k]) = inputs.scan_backward(k, &trace, &d_h, &mut carry[k], edge);
        inputs.layer_gradients(k, &trace.states, &delta[k], &mut gradients);
        d_h = inputs.flow_down(k, &delta[k], &mut gradients);
    }
    let state = inputs.last(&trace);
    let h = trace.states.iter().map(|s| s.chunks(net.wide()).flat_map(|row| &row[..net.hidden]).copied().collect()).collect();
    Backward { loss, gradients, state, carry, g, delta, h, states: trace.states }
}
