//! Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), as PyTorch's `nn.LSTM`; the blocks are i, f, g, o.
//!
//! ```text
//! a = x_t W_xh + hp_t W_hh + b;  i, f, o = sigma(a_i, a_f, a_o);  g = tanh(a_g);  c_t = f cp_t + i g;  h_t = o tanh(c_t)
//! dc = g_c + g_h o (1 - tanh(c_t)^2);  d_i = dc g i (1-i);  d_f = dc cp_t f (1-f);  d_g = dc i (1-g^2);  d_o = g_h tanh(c_t) o (1-o)
//! dL/dc_{t-1} = keep_t xi_t dc f
//! ```

use super::{Backward, Curve, Forward, Spec};
use crate::host::{self, sigmoid, tanh};

pub(super) static SPEC: Spec = Spec {
    gates: 4,
    states: 2,
    keeps_gates: true,
    direct: false,
    input: &[0, 1, 2, 3],
    hidden: &[0, 1, 2, 3],
    bias: &[0, 1, 2, 3],
    apart: None,
    curves: &[Some(Curve::Sigmoid), Some(Curve::Sigmoid), Some(Curve::Tanh), Some(Curve::Sigmoid)],
    forget: Some(1),
    torch: "LSTM",
    onnx: &[0, 3, 1, 2],
    source: include_str!("../../shaders/cells/lstm.wgsl"),
    forward,
    backward,
};

// Several short loops, so that each writes to few slices: a compiler vectorizes only loops for which it can check that none overlap.
fn forward(step: Forward<'_>) {
    let Forward { gates: [i, f, g, o], bias: [b_i, b_f, b_g, b_o], cp, h, c, .. } = step;
    host::vectorized(
        #[inline(always)]
        || {
            for (gate, bias) in [(&mut *i, b_i), (&mut *f, b_f), (&mut *o, b_o)] {
                gate.iter_mut().zip(bias).for_each(|(a, b)| *a = sigmoid(*a + b));
            }
            g.iter_mut().zip(b_g).for_each(|(a, b)| *a = tanh(*a + b));
            for ((((c, f), cp), i), g) in c.iter_mut().zip(&*f).zip(cp).zip(&*i).zip(&*g) {
                *c = f * cp + i * g;
            }
            h.iter_mut().zip(&*o).zip(&*c).for_each(|((h, o), c)| *h = o * tanh(*c));
        },
    );
}

fn backward(step: Backward<'_>) {
    let Backward { gates: [i, f, g, o], now: c, before: cp, g_h, g_c, .. } = step;
    host::vectorized(
        #[inline(always)]
        || {
            for (((o, g_c), g_h), c) in o.iter_mut().zip(&mut *g_c).zip(&*g_h).zip(c) {
                let y = tanh(*c);
                *g_c += g_h * *o * (1.0 - y * y);
                *o = g_h * y * *o * (1.0 - *o);
            }
            for ((i, g), dc) in i.iter_mut().zip(g).zip(&*g_c) {
                (*i, *g) = (dc * *g * *i * (1.0 - *i), dc * *i * (1.0 - *g * *g));
            }
            for ((f, dc), cp) in f.iter_mut().zip(g_c).zip(cp) {
                let flow = *dc * *f;
                *f = *dc * cp * *f * (1.0 - *f);
                *dc = flow;
            }
        },
    );
}
