//! The plain recurrent layer: `h_t = phi(x_t W_xh + hp_t W_hh + b)`, `delta_t = g_t phi'(a_t)`. phi' is a function of h_t, so nothing else is kept.

use super::{Backward, Curve, Forward, Spec};
use crate::host;
use crate::setting::choices;

pub(super) static SPEC: Spec = Spec {
    gates: 1,
    states: 1,
    keeps_gates: false,
    direct: false,
    input: &[0],
    hidden: &[0],
    bias: &[0],
    apart: None,
    curves: &[],
    forget: None,
    torch: "RNN",
    onnx: &[0],
    source: include_str!("../../shaders/cells/rnn.wgsl"),
    forward,
    backward,
};

/// The activation function; discriminants match `shaders/cells/rnn.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// tanh(a)
    #[default]
    Tanh,
    /// max(a, 0)
    Relu,
    /// a
    Identity,
}

choices!(Activation { Tanh = "tanh", Relu = "relu", Identity = "identity" });

impl Activation {
    /// The activation with the given number in the kernels.
    pub(crate) fn from_word(word: u32) -> Self {
        [Activation::Tanh, Activation::Relu, Activation::Identity][word as usize]
    }

    /// Whether phi'(a), where h = phi(a), is below a tenth of the steepest.
    pub fn is_flat(self, h: f32) -> bool {
        match self {
            Activation::Tanh => Curve::Tanh.is_flat(h),
            Activation::Relu => h <= 0.0 || h.is_nan(),
            Activation::Identity => false,
        }
    }
}

fn forward(step: Forward<'_>) {
    let Forward { gates: [a, ..], bias: [bias, ..], h, activation, .. } = step;
    let sums = h.iter_mut().zip(&*a).zip(bias);
    host::vectorized(
        #[inline(always)]
        || match activation {
            Activation::Tanh => sums.for_each(|((h, a), b)| *h = host::tanh(a + b)),
            // A comparison, not max(): NaN stays NaN.
            Activation::Relu => sums.for_each(|((h, a), b)| *h = if a + b < 0.0 { 0.0 } else { a + b }),
            Activation::Identity => sums.for_each(|((h, a), b)| *h = a + b),
        },
    );
}

fn backward(step: Backward<'_>) {
    let Backward { gates: [delta, ..], now, g_h, activation, .. } = step;
    let parts = delta.iter_mut().zip(&*g_h).zip(now);
    host::vectorized(
        #[inline(always)]
        || match activation {
            Activation::Tanh => parts.for_each(|((d, g), h)| *d = g * (1.0 - h * h)),
            Activation::Relu => parts.for_each(|((d, g), h)| *d = g * if *h > 0.0 { 1.0 } else { 0.0 }),
            Activation::Identity => parts.for_each(|((d, g), _)| *d = *g),
        },
    );
}
