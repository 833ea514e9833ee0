//! The gated recurrent unit (Cho et al. 2014) as PyTorch's `nn.GRU`: the reset gate acts on the product with W_hh. The blocks are n, r, z, q: x_t W_xh and
//! its gradients use n, r, z; hp_t W_hh and its gradients r, z, q.
//!
//! ```text
//! r, z = sigma(x_t W_xh + hp_t W_hh + b)_{r,z};  q = hp_t W_hn + b_hn;  n = tanh(x_t W_xn + b_xn + r q);  h_t = (1-z) n + z hp_t
//! d_n = g_h (1-z) (1-n^2);  d_z = g_h (hp_t-n) z (1-z);  d_q = d_n r;  d_r = d_n q r (1-r)
//! dL/dh_{t-1} = keep_t xi_t (g_h z + (d_r, d_z, d_q) W_hh^T)
//! ```

use super::{Backward, Curve, Forward, Spec};
use crate::host::{self, sigmoid, tanh};

pub(super) static SPEC: Spec = Spec {
    gates: 3,
    states: 1,
    keeps_gates: true,
    direct: true,
    input: &[2, 0, 1],
    hidden: &[0, 1, 2],
    bias: &[2, 0, 1, 3],
    apart: Some(2),
    curves: &[Some(Curve::Tanh), Some(Curve::Sigmoid), Some(Curve::Sigmoid), None],
    forget: None,
    torch: "GRU",
    onnx: &[1, 0, 2],
    source: include_str!("../../shaders/cells/gru.wgsl"),
    forward,
    backward,
};

fn forward(step: Forward<'_>) {
    let Forward { gates: [n, r, z, q], bias: [b_n, b_r, b_z, b_q], hp, h, .. } = step;
    host::vectorized(
        #[inline(always)]
        || {
            for (gate, bias) in [(&mut *r, b_r), (&mut *z, b_z)] {
                gate.iter_mut().zip(bias).for_each(|(a, b)| *a = sigmoid(*a + b));
            }
            q.iter_mut().zip(b_q).for_each(|(q, b)| *q += b);
            for (((n, b), r), q) in n.iter_mut().zip(b_n).zip(&*r).zip(&*q) {
                *n = tanh(*n + b + r * q);
            }
            for (((h, n), z), hp) in h.iter_mut().zip(&*n).zip(&*z).zip(hp) {
                *h = (1.0 - z) * n + z * hp;
            }
        },
    );
}

fn backward(step: Backward<'_>) {
    let Backward { gates: [n, r, z, q], before: hp, g_h, .. } = step;
    host::vectorized(
        #[inline(always)]
        || {
            for (((n, z), g), hp) in n.iter_mut().zip(z).zip(g_h).zip(hp) {
                let flow = *g * *z;
                let d_n = *g * (1.0 - *z) * (1.0 - *n * *n);
                *z = *g * (hp - *n) * *z * (1.0 - *z);
                (*n, *g) = (d_n, flow);
            }
            for ((r, q), d_n) in r.iter_mut().zip(q).zip(&*n) {
                (*q, *r) = (d_n * *r, d_n * *q * *r * (1.0 - *r));
            }
        },
    );
}
