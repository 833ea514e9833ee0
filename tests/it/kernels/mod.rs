//! The table of kernels: one row each, which runs the kernel on random values in awkward sizes on both executors and in every
//! variant, with the plainest possible f64 loop as the oracle. The rows share no code with the crate except for recording.

mod carry_state;
mod case;
mod dropout;
mod loss;
mod matmul;
mod optimizer;
mod pack;
mod regression_loss;
mod run;
mod scan_backward;
mod scan_forward;
mod sums;
mod tokens;
mod update;

use retrograd::kernels::KERNELS;

/// One row per kernel; each is a separate test.
const TABLE: [(&str, fn()); 23] = [
    ("carry_state", carry_state::carry_state),
    ("col_sum", sums::col_sum),
    ("regression_loss", regression_loss::regression_loss),
    ("dropout", dropout::dropout),
    ("finish", update::finish),
    ("gather", tokens::gather),
    ("gather_backward", tokens::gather_backward),
    ("loss", loss::loss),
    ("matmul", matmul::matmul),
    // One of the forms that the test of matmul covers.
    ("matmul_staged", matmul::matmul),
    ("norm", update::norm),
    ("optimizer", optimizer::optimizer),
    ("pack", pack::pack),
    ("part_sum", sums::part_sum),
    ("row_sum", sums::row_sum),
    ("scan_backward", scan_backward::scan_backward),
    ("scan_backward_held", scan_backward::scan_backward_held),
    ("scan_forward", scan_forward::scan_forward),
    ("scan_forward_held", scan_forward::scan_forward_held),
    ("step_backward", scan_backward::step_backward),
    ("step_forward", scan_forward::step_forward),
    ("transpose", sums::transpose),
    ("unpack", pack::unpack),
];

#[test]
fn every_kernel_has_a_row() {
    let mut rows: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let mut kernels: Vec<&str> = KERNELS.iter().map(|k| k.name).collect();
    rows.sort_unstable();
    kernels.sort_unstable();
    assert_eq!(rows, kernels);
}
