//! The forward and the backward pass over a segment.

use super::{GateStorage, Head, Pass, Recorder, Scratch, Work};
use crate::arena::{Slot, View};
use crate::dims::pad4;
use crate::kernel::{Var, Word};
use crate::kernels::matmul::Form;
use crate::kernels::{col_sum, dropout, gather, gather_backward, pack, scan};
use crate::model::{Dropout, Input};
use crate::recording::Recording;

impl Recorder {
    /// Records x_t W_xh of layer k, all rows at once.
    fn input_projection(&self, r: &mut Recording, scratch: &Scratch, group: usize, k: u32, pre: View) {
        if k == 0 && matches!(self.config.input, Input::Symbols(_)) {
            return gather::record(r, "pre.0", self.capabilities.matmul, self.input(self.inputs.tokens()), self.param("w_xh", 0), pre);
        }
        let x = self.x(r, scratch, group, k);
        self.product(r, &format!("pre.{k}"), Form::Nn, [x, self.param("w_xh", k), pre], 0.into());
    }

    /// x_t of layer k as numbers, `[rows, D]`; computed into `scratch` if not stored.
    fn x(&self, r: &mut Recording, scratch: &Scratch, group: usize, k: u32) -> View {
        let variant = self.capabilities.matmul;
        match self.config.input {
            _ if k > 0 => {
                let below = self.h(group, k - 1, 1);
                let Some(slot) = scratch.dropped else { return below };
                let dropped = self.hidden(slot, 0.into(), self.rows());
                dropout::record(r, &format!("dropped.{k}"), variant, self.extent.dropout, k, self.extent.lanes, [below, dropped]);
                dropped
            }
            Input::Numbers(n) => {
                View { slot: self.slots.inputs, offset: self.inputs.numbers().into(), rows: self.rows(), cols: n.into(), ld: self.inputs.numbers_ld() }
            }
            Input::Symbols(_) | Input::Embedded { .. } => {
                let x = self.embedded(scratch);
                let embed = self.tensor(self.slots.params, "embed").expect("symbols are embedded");
                gather::record(r, "embedded", variant, self.input(self.inputs.tokens()), embed, x);
                x
            }
        }
    }

    /// The embedded symbols, then their gradient.
    fn embedded(&self, scratch: &Scratch) -> View {
        let size = self.config.embedding();
        View { slot: scratch.embedded.expect("symbols are embedded"), offset: 0.into(), rows: self.rows(), cols: size.into(), ld: pad4(size) }
    }

    pub(super) fn forward(&self, group: usize) -> Recording {
        let mut r = Recording::new("forward");
        let spec = self.dims.spec();
        for k in 0..self.config.layers {
            self.input_projection(&mut r, &self.forward[group], group, k, self.gates(Pass::Forward, group, k, 0, spec.gates));
            scan::forward::record(&mut r, &format!("h.{k}"), &self.capabilities, self.scan(Pass::Forward, group, k));
            if let (Some(c), Some(first)) = (self.c(Pass::Forward, group, k), self.first_c(group, k)) {
                let block = View { rows: self.extent.lanes.into(), ..c };
                dropout::record(&mut r, &format!("c.first.{k}"), self.capabilities.matmul, Dropout::default(), k, self.extent.lanes, [block, first]);
            }
        }
        r
    }

    /// The operands of the forward scan of layer k.
    fn scan(&self, pass: Pass, group: usize, k: u32) -> scan::forward::Operands {
        let (state, first) = (self.dims.state(), k * self.extent.all_states() * self.dims.state());
        scan::forward::Operands {
            cell: self.config.cell,
            gates: self.gates(pass, group, k, 0, self.dims.spec().blocks()),
            w: self.param("w_hh", k),
            bias: self.tensor(self.slots.params, &format!("b_h.{k}")),
            keep: self.input(self.inputs.keep()),
            states: self.slots.states,
            state_in: Word::scaled(Var::From, state).plus(first),
            state_out: Word::scaled(Var::To, state).plus(first),
            h: self.h(group, k, 0),
            c: self.c(pass, group, k),
            lanes: self.extent.lanes,
            activation: self.config.activation,
        }
    }

    pub(super) fn pack(&self, group: usize) -> Recording {
        let mut r = Recording::new("pack");
        for (name, operands) in (0..self.config.layers).flat_map(|k| self.packing(group, k)) {
            pack::pack(&mut r, &format!("pack.{name}"), self.capabilities.matmul, operands);
        }
        r
    }

    pub(super) fn backward(&self, group: usize) -> Recording {
        let mut r = Recording::new("backward");
        self.restore(&mut r, group);
        let work = &self.work[group];
        let d_h = self.d_h(work, self.config.layers - 1);
        self.head(&mut r, group, Head::Gradients(work.parts), [work.scores, work.row_loss], d_h);
        for k in (0..self.config.layers).rev() {
            self.again(&mut r, group, k);
            self.scan_backward(&mut r, group, k, work, false);
            let delta = self.delta(work, group, k);
            self.weight_gradients(&mut r, group, k, delta, work.parts);
            if k > 0 {
                self.flow_down(&mut r, group, k, delta, self.d_h(work, k - 1));
            }
        }
        r
    }

    /// Unpacks what is stored in half precision, even if it has just been computed: the results must depend only on what is stored.
    pub(super) fn restore(&self, r: &mut Recording, group: usize) {
        for (name, operands) in (0..self.config.layers).flat_map(|k| self.packing(group, k)) {
            pack::unpack(r, &format!("unpack.{name}"), self.capabilities.matmul, operands);
        }
    }

    /// Computes the activations of layer k, and c, again from h, if they are not stored.
    pub(super) fn again(&self, r: &mut Recording, group: usize, k: u32) {
        let spec = self.dims.spec();
        if !spec.keeps_gates || self.extent.gates == GateStorage::Kept {
            return;
        }
        let gates = |from, count| self.gates(Pass::Backward, group, k, from, count);
        self.input_projection(r, &self.backward[group], group, k, gates(0, spec.gates));
        // hp_t W_hh: added to x_t W_xh, but for the block of a gate with two biases.
        let (w, first, h) = (self.param("w_hh", k), spec.before_hidden(), self.h(group, k, 0));
        let columns = |from: u32, count: u32| {
            let hidden = self.dims.hidden_padded();
            View { offset: w.offset.plus(from * hidden), cols: (count * hidden).into(), ..w }
        };
        let (added, apart) = (spec.gates - first, first);
        self.product(r, &format!("again.{k}"), Form::NnMasked, [h, columns(0, added), gates(first, added)], 1.into());
        if apart > 0 {
            self.product(r, &format!("again.q.{k}"), Form::NnMasked, [h, columns(added, apart), gates(spec.gates, apart)], 0.into());
        }
        let c = self.c(Pass::Backward, group, k);
        if let (Some(c), Some(first)) = (c, self.first_c(group, k)) {
            let block = View { rows: self.extent.lanes.into(), ..c };
            dropout::record(r, &format!("c.again.{k}"), self.capabilities.matmul, Dropout::default(), k, self.extent.lanes, [first, block]);
        }
        scan::forward::record_gates(r, &format!("gates.{k}"), self.capabilities.matmul, self.scan(Pass::Backward, group, k));
    }

    /// Turns d_h of a layer into its delta.
    pub(super) fn scan_backward(&self, r: &mut Recording, group: usize, k: u32, work: &Work, probe: bool) {
        let g = self.states(self.g[if probe { k as usize } else { 0 }], 0.into(), self.rows());
        let operands = scan::backward::Operands {
            cell: self.config.cell,
            past: self.c(Pass::Backward, group, k).unwrap_or_else(|| self.h(group, k, 0)),
            w_t: self.w_t(k),
            keep: self.input(self.inputs.keep()),
            xi: self.input(self.inputs.xi()),
            d_h: self.d_h(work, k),
            delta: self.delta(work, group, k),
            carry: self.states(self.slots.carry, (k * self.dims.state()).into(), self.extent.lanes.into()),
            carry_in: Word::var(Var::CarryIn),
            probe: scan::backward::Probe { g, on: probe },
            lanes: self.extent.lanes,
            activation: self.config.activation,
        };
        scan::backward::record(r, &format!("delta.{k}"), &self.capabilities, operands);
    }

    /// d_h of the layer below k: delta W_xh^T, with the dropout mask of the forward pass.
    pub(super) fn flow_down(&self, r: &mut Recording, group: usize, k: u32, delta: View, d_h: View) {
        let (label, delta) = (format!("d_h.{}", k - 1), self.input_delta(delta));
        let Some(slot) = self.backward[group].dropped else {
            return self.product(r, &label, Form::Nt, [delta, self.param("w_xh", k), d_h], 0.into());
        };
        let dropped = self.hidden(slot, 0.into(), self.rows());
        self.product(r, &label, Form::Nt, [delta, self.param("w_xh", k), dropped], 0.into());
        dropout::record(r, &format!("d_dropped.{k}"), self.capabilities.matmul, self.extent.dropout, k, self.extent.lanes, [dropped, d_h]);
    }

    fn weight_gradients(&self, r: &mut Recording, group: usize, k: u32, delta: View, parts: Option<Slot>) {
        let more = Word::var(Var::Accumulate);
        let (all, delta) = (delta, self.input_delta(delta));
        let recurrent = [self.h(group, k, 0), self.hidden_delta(all), self.gradient("w_hh", k)];
        self.long_sum(r, &format!("d_w_hh.{k}"), Form::TnMasked, recurrent, more, parts);
        let (starts, d_w_xh, variant) = (self.input(self.inputs.starts()), self.gradient("w_xh", k), self.capabilities.matmul);
        if k == 0 && matches!(self.config.input, Input::Symbols(_)) {
            gather_backward::record(r, "d_w_xh.0", variant, starts, delta, d_w_xh, more);
        } else {
            let x = self.x(r, &self.backward[group], group, k);
            self.long_sum(r, &format!("d_w_xh.{k}"), Form::Tn, [x, delta, d_w_xh], more, parts);
        }
        if k == 0
            && let Some(d_embed) = self.tensor(self.slots.gradients, "embed")
        {
            let d_x = self.embedded(&self.backward[group]);
            self.product(r, "d_embedded", Form::Nt, [delta, self.param("w_xh", 0), d_x], 0.into());
            gather_backward::record(r, "d_embed", variant, starts, d_x, d_embed, more);
        }
        if let Some(d_b) = self.tensor(self.slots.gradients, &format!("b_h.{k}")) {
            col_sum::record(r, &format!("d_b_h.{k}"), self.capabilities.matmul, all, d_b, more);
        }
    }
}
