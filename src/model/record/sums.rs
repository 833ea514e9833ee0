//! Weight gradients: sums over all rows of a segment with few results, which may be split into parts.

use super::{Recorder, WindowShape};
use crate::arena::{Slot, View};
use crate::dims::pad4;
use crate::kernel::{Capabilities, Values, Var, Word};
use crate::kernels::matmul::{self, Form, Operands, Parts, StridedBatch};
use crate::model::{Config, Input, Tensor};
use crate::recording::Recording;

/// Elements for the parts of a segment's weight gradients, which are computed one after the other; 0 if none is split.
pub(crate) fn elements(config: &Config, extent: WindowShape, capabilities: &Capabilities) -> u32 {
    let (hidden, rows) = (config.hidden, extent.rows());
    let gates = config.tensors().iter().find(|t| t.name == "w_hh.0").map_or(hidden, Tensor::view_cols);
    let recurrent = (hidden, gates, rows);
    let head = (config.outputs(), hidden, rows.min(extent.head_rows));
    // One-hot symbols need no product.
    let inputs = if let Input::Symbols(_) = config.input { recurrent } else { (config.input.width(), gates, rows) };
    let part = |(results, cols, inner): (u32, u32, u32)| match capabilities.sum_variant(results, cols, inner) {
        (_, 1) => 0,
        (_, parts) => parts * results * pad4(cols),
    };
    part(recurrent).max(part(head)).max(part(inputs))
}

impl Recorder {
    /// C (+)= op(A) B, where the inner dimension runs over rows of the segment; split into parts stored in `parts` if that is faster.
    pub(super) fn long_sum(&self, r: &mut Recording, label: &str, form: Form, [a, b, c]: [View; 3], accumulate: Word, parts: Option<Slot>) {
        // The last segment of a window, and the last chunk of a head, may be shorter; they have the same number of parts.
        let inner = if form == Form::Nn { self.extent.rows().min(self.extent.head_rows) } else { self.extent.rows() };
        let whole = Values::default().with(Var::Steps, self.extent.steps);
        let [rows, cols] = [c.rows.eval(&whole), c.cols.eval(&whole)];
        let (variant, count) = self.capabilities.sum_variant(rows, cols, inner);
        let mask = form.is_masked().then(|| self.input(self.inputs.keep()));
        let operands = Operands { form, a, b, c, mask, accumulate };
        match parts.filter(|_| count > 1) {
            Some(slot) => matmul::record_parted(r, label, variant, operands, Parts { count, slot, stride: rows * c.ld }),
            None => matmul::record(r, label, variant, operands, StridedBatch::ONE),
        }
    }
}
