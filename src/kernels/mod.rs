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

/// Every kernel.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    const OTHERS: [&Kernel; 17] = [
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
        &transpose::KERNEL,
        &pack::UNPACK,
    ];
    OTHERS.into_iter().chain(scan::forward::KERNELS.iter().flatten()).chain(scan::backward::KERNELS.iter().flatten())
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
