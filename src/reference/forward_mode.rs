//! Gradients in forward mode: the forward pass over duals.
#![forbid(unsafe_code)]

use super::forward::Inputs;
use super::scalar::{Dual, gated};
use super::{Head, Net, Targets, Tensors, Window};

/// Forward mode, also known as real-time recurrent learning: carries `dh_t/dw`, and `dc_t/dw`, forward in time, separately for each lane.
///
/// Every step is that of the forward pass, on numbers that hold their derivatives with respect to the P parameters w and obey the rules of sum, product
/// and chain. The derivatives of the state given are 0. For a plain RNN and unit j that is the textbook's recurrence:
///
/// ```text
/// da_j/dw   = partial a_j / partial w                       x_d for w_xh[d,j], hp_i for w_hh[i,j], 1 for b_h[j]
///           + sum_d w_xh[d,j] dx_d/dw                       x: the h of the layer below at the same step; never scaled
///           + keep_t xi_t sum_i w_hh[i,j] dh_{t-1,i}/dw     the edge in time
/// dh_t,j/dw = phi'(a_j) da_j/dw                             dh_0/dw = 0
/// dL/dw     = 1/N sum_{t,b} w_t sum_v dloss/do_v do_t,v/dw    softmax(o_t)_v - [v = y_t], or 2/V (o_v - y_v), or sign(o_v - y_v)/V
/// ```
///
/// If symbols are embedded, x_d itself depends on a parameter; with dropout, x is the h below times its factors, and its slopes likewise.
///
/// `state`: per layer `[B,N*H]`. Returns the gradients, shapes and order of [`Net::tensors`]. Memory: N H P values per layer;
/// time: of the order of `T B layers (2 G H^2 + V H) P`.
pub fn forward_mode(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> Tensors {
    let inputs = Inputs::new(net, params, window, state);
    let mut gradient = vec![0.0; inputs.starts[params.len()]];
    for lane in 0..inputs.lanes {
        let start = |state: &Vec<f64>| inputs.row(state, lane).iter().map(|&s| Dual::from(s)).collect();
        let mut states: Vec<Vec<Dual>> = state.iter().map(start).collect();
        for row in (lane..inputs.rows()).step_by(inputs.lanes) {
            for k in 0..net.layers {
                let x = if k == 0 { inputs.read(row) } else { inputs.dropped(k, &states[k - 1][..net.hidden], row) };
                states[k] = inputs.layer(k).step(&x, &inputs.past(&states[k], row)).state;
            }
            if window.weights[row] != 0.0 {
                score(&inputs, &inputs.outputs(&states[net.layers - 1][..net.hidden]), row, &mut gradient);
            }
        }
    }
    let ends = inputs.starts.windows(2);
    ends.map(|ends| gradient[ends[0]..ends[1]].to_vec()).collect()
}

/// Adds one row's contribution to dL/dw to `gradient` `[P]`. `o` `[V]`.
fn score(inputs: &Inputs, o: &[Dual], row: usize, gradient: &mut [f64]) {
    let (net, scale) = (inputs.net, inputs.window.weights[row] / inputs.window.n);
    for (v, output) in o.iter().enumerate() {
        let slope = match inputs.window.targets {
            Targets::Classes(classes) => {
                let softmax = 1.0 / o.iter().map(|other| (other.value - output.value).exp()).sum::<f64>();
                softmax - f64::from(v == classes[row] as usize)
            }
            Targets::Numbers(numbers) => {
                let off = output.value - numbers[row * net.outputs + v];
                let slope = match net.head {
                    Head::Squared => 2.0 * off,
                    Head::Pinball { levels, count } => f64::from(u8::from(off > 0.0)) - f64::from(levels[v % count]) / 10_000.0,
                    Head::Absolute | Head::Softmax => off.signum(),
                };
                slope / net.outputs as f64
            }
        };
        for (total, partial) in gradient.iter_mut().zip(&output.partials) {
            *total += gated(scale * slope, *partial);
        }
    }
}
