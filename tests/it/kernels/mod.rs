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
mod scan;
mod scan_backward;
mod scan_forward;
mod sums;
mod tokens;
mod update;

use retrograd::kernels;

/// One row per kernel; each is a separate test.
const TABLE: [(&str, fn()); 38] = [
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
    ("scan_backward_gru", scan_backward::scan_backward_gru),
    ("scan_backward_lstm", scan_backward::scan_backward_lstm),
    ("scan_backward_rnn", scan_backward::scan_backward_rnn),
    ("scan_backward_held_gru", scan_backward::scan_backward_held_gru),
    ("scan_backward_held_lstm", scan_backward::scan_backward_held_lstm),
    ("scan_backward_held_rnn", scan_backward::scan_backward_held_rnn),
    ("step_backward_gru", scan_backward::step_backward_gru),
    ("step_backward_lstm", scan_backward::step_backward_lstm),
    ("step_backward_rnn", scan_backward::step_backward_rnn),
    ("gates_gru", scan_forward::gates_gru),
    ("gates_lstm", scan_forward::gates_lstm),
    ("gates_rnn", scan_forward::gates_rnn),
    ("scan_forward_gru", scan_forward::scan_forward_gru),
    ("scan_forward_lstm", scan_forward::scan_forward_lstm),
    ("scan_forward_rnn", scan_forward::scan_forward_rnn),
    ("scan_forward_held_gru", scan_forward::scan_forward_held_gru),
    ("scan_forward_held_lstm", scan_forward::scan_forward_held_lstm),
    ("scan_forward_held_rnn", scan_forward::scan_forward_held_rnn),
    ("step_forward_gru", scan_forward::step_forward_gru),
    ("step_forward_lstm", scan_forward::step_forward_lstm),
    ("step_forward_rnn", scan_forward::step_forward_rnn),
    ("transpose", sums::transpose),
    ("unpack", pack::unpack),
];

#[test]
fn every_kernel_has_a_row() {
    let mut rows: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let mut kernels: Vec<&str> = kernels::all().map(|k| k.name).collect();
    rows.sort_unstable();
    kernels.sort_unstable();
    assert_eq!(rows, kernels);
}
