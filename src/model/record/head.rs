//! The head: outputs and losses of all rows, and their gradients.

use super::Recorder;
use crate::arena::{Slot, View};
use crate::dims::pad4;
use crate::kernel::{Var, Word};
use crate::kernels::matmul::Form;
use crate::kernels::{loss, regression_loss, row_sum};
use crate::model::{Output, RegressionLoss};
use crate::recording::Recording;

/// How much of the head to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// The losses of the rows only.
    Losses,
    /// Also d_h.
    Signal,
    /// Also the head's own gradients and the sum of the losses; the slot is for parts of the gradients.
    Gradients(Option<Slot>),
}

impl Recorder {
    /// Logits and losses of all rows, in chunks so that logits never exist for all rows; then what `head` asks for.
    pub(super) fn head(&self, r: &mut Recording, group: usize, head: Head, work: [Slot; 2], d_h: impl Into<Option<View>>) {
        let (chunk, variant, accumulate) = (self.extent.head_rows, self.capabilities.matmul, Word::var(Var::Accumulate));
        let ([scores, losses], d_h) = (work, d_h.into());
        let row_loss = View { slot: losses, offset: 0.into(), rows: self.rows(), cols: 1.into(), ld: 1 };
        for (i, first) in (0..self.extent.rows()).step_by(chunk as usize).enumerate() {
            let part = Word::part(Var::Steps, self.extent.lanes, first, chunk);
            let rows = |v: View| v.from_row(first).with_rows(part);
            let h = rows(self.h(group, self.config.layers - 1, 1));
            let scores = self.scores(r, scores, h, chunk);
            self.losses(r, scores, first, rows(row_loss), head != Head::Losses);
            if let Head::Gradients(parts) = head {
                self.head_gradients(r, scores, h, if i == 0 { accumulate } else { 1.into() }, parts);
            }
            if let Some(d_h) = d_h {
                let w = self.tensor(self.slots.params, "w_hy").expect("every model has a head");
                self.product(r, "d_h", Form::Tn, [scores, w, rows(d_h)], 0.into());
            }
        }
        if matches!(head, Head::Gradients(_)) {
            let losses = View { slot: row_loss.slot, offset: 0.into(), rows: 1.into(), cols: self.rows(), ld: pad4(self.extent.rows()) };
            let total = View { slot: self.slots.loss, offset: 0.into(), rows: 1.into(), cols: 1.into(), ld: 4 };
            row_sum::record(r, "loss_sum", variant, losses, total, accumulate);
        }
    }

    /// The losses of a chunk of rows starting at row `first`; with `gradient`, d_scores overwrites the scores.
    fn losses(&self, r: &mut Recording, scores: View, first: u32, loss: View, gradient: bool) {
        let rows = |v: View| v.from_row(first).with_rows(loss.rows);
        let (bias, params, variant, inverse_n) = (self.tensor(self.slots.params, "b_y"), self.slots.params, self.capabilities.matmul, Word::var(Var::InverseN));
        let weights = rows(self.input(self.inputs.weights()));
        match self.config.output {
            Output::Classes(_) => {
                let targets = rows(self.input(self.inputs.targets()));
                loss::record(r, "loss", variant, loss::Operands { targets, weights, bias, params, logits: scores, loss, inverse_n, gradient });
            }
            Output::Numbers { count, .. } | Output::Quantiles { count, .. } => {
                let (deviation, quantiles) = match self.config.output {
                    Output::Numbers { deviation, .. } => (deviation, None),
                    Output::Quantiles { levels, .. } => (RegressionLoss::Absolute, Some(levels)),
                    Output::Classes(_) => unreachable!("numbers are forecast here"),
                };
                let offset = Word::from(self.inputs.wanted() + first);
                let targets = View { slot: self.slots.inputs, offset, rows: count.into(), cols: loss.rows, ld: self.inputs.rows };
                let operands = regression_loss::Operands { targets, weights, bias, params, outputs: scores, loss, inverse_n, gradient, deviation, quantiles };
                regression_loss::record(r, "loss", variant, operands);
            }
        }
    }

    /// logits[v, r] = W_hy[v] . h[r]; b_y is added when they are read.
    pub(super) fn scores(&self, r: &mut Recording, slot: Slot, h: View, ld: u32) -> View {
        let scores = View { slot, offset: 0.into(), rows: self.config.outputs().into(), cols: h.rows, ld };
        let w = self.tensor(self.slots.params, "w_hy").expect("every model has a head");
        self.product(r, "logits", Form::Nt, [w, h, scores], 0.into());
        scores
    }

    fn head_gradients(&self, r: &mut Recording, scores: View, h: View, accumulate: Word, parts: Option<Slot>) {
        let d_w = self.tensor(self.slots.gradients, "w_hy").expect("every model has a head");
        self.long_sum(r, "d_w_hy", Form::Nn, [scores, h, d_w], accumulate, parts);
        if let Some(d_b) = self.tensor(self.slots.gradients, "b_y") {
            row_sum::record(r, "d_b_y", self.capabilities.matmul, scores, d_b, accumulate);
        }
    }
}
