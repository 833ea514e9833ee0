//! The kernels: one file per family, named like its shader in `shaders/`. Each holds the formula, the static, a record function that checks shapes, and
//! the CPU implementation.

pub mod carry_state;
pub mod col_sum;
pub mod dropout;
pub mod finish;
pub mod gather;
pub mod gather_backward;
pub mod loss;
pub mod matmul;
pub mod norm;
pub mod optimizer;
pub mod pack;
pub mod part_sum;
pub mod regression_loss;
pub mod row_sum;
pub mod scan;
pub mod transpose;

use crate::kernel::{Bound, Kernel};
use crate::setting::choices;

/// Every kernel.
pub static KERNELS: [&Kernel; 23] = [
    &carry_state::KERNEL,
    &col_sum::KERNEL,
    &regression_loss::KERNEL,
    &dropout::KERNEL,
    &finish::KERNEL,
    &gather::KERNEL,
    &gather_backward::KERNEL,
    &loss::KERNEL,
    &matmul::KERNEL,
    &matmul::STAGED,
    &norm::KERNEL,
    &optimizer::KERNEL,
    &pack::KERNEL,
    &part_sum::KERNEL,
    &row_sum::KERNEL,
    &scan::backward::KERNEL,
    &scan::backward::HELD,
    &scan::forward::KERNEL,
    &scan::forward::HELD,
    &scan::backward::STEP,
    &scan::forward::STEP,
    &transpose::KERNEL,
    &pack::UNPACK,
];

/// The activation function; discriminants match `shaders/phi.wgsl`.
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
    fn from_word(word: u32) -> Self {
        [Activation::Tanh, Activation::Relu, Activation::Identity][word as usize]
    }

    /// x = phi(x), element by element.
    fn apply(self, x: &mut [f32]) {
        crate::host::vectorized(
            #[inline(always)]
            || match self {
                Activation::Tanh => x.iter_mut().for_each(|x| *x = crate::host::tanh(*x)),
                // A comparison, not max(): NaN stays NaN.
                Activation::Relu => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
                Activation::Identity => {}
            },
        );
    }

    /// phi'(a), from h = phi(a).
    pub fn slope(self, h: f32) -> f32 {
        match self {
            Activation::Tanh => 1.0 - h * h,
            Activation::Relu => f32::from(u8::from(h > 0.0)),
            Activation::Identity => 1.0,
        }
    }

    /// g *= phi'(a), element by element, as a function of y = phi(a).
    fn apply_slope(self, g: &mut [f32], y: &[f32]) {
        crate::host::vectorized(
            #[inline(always)]
            || match self {
                Activation::Tanh => g.iter_mut().zip(y).for_each(|(g, y)| *g *= 1.0 - y * y),
                Activation::Relu => g.iter_mut().zip(y).for_each(|(g, y)| *g *= if *y > 0.0 { 1.0 } else { 0.0 }),
                Activation::Identity => {}
            },
        );
    }
}

/// The bindings of a call as slices: the first `R` read, the next `W` written.
fn slices<'a, const R: usize, const W: usize>(bound: &'a mut [Bound<'_>]) -> ([&'a [f32]; R], [&'a mut [f32]; W]) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for b in bound {
        match b {
            Bound::Read(s) => reads.push(&**s),
            Bound::Write(s) => writes.push(&mut **s),
        }
    }
    (reads.try_into().expect("read bindings of the kernel"), writes.try_into().expect("written bindings of the kernel"))
}

/// The part of `data` that starts at `offset` vec4s.
fn from_vec4(data: &[f32], offset: u32) -> &[f32] {
    &data[offset as usize * 4..]
}

/// As [`from_vec4`], mutable.
fn from_vec4_mut(data: &mut [f32], offset: u32) -> &mut [f32] {
    &mut data[offset as usize * 4..]
}
