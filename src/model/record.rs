//! The equations of the model as recordings. Only this module knows them. Forward and backward mirror each other.
//!
//! ```text
//! forward     a_t = x_t W_xh + hp_t W_hh + b_h,  hp_t = keep_t h_{t-1},  h_t = phi(a_t),  o_t = h_t W_hy + b_y
//! backward    delta_t = (dL/do_t W_hy^T + carry_t) phi'(a_t),  carry_{t-1} = keep_t xi_t (delta_t W_hh^T)
//!             dW_hh = sum hp_t^T delta_t,  dW_xh = sum x_t^T delta_t,  db_h = sum delta_t,  dW_hy = sum h_t^T dL/do_t
//! ```
//!
//! Between layers, x_t is the h_t of the layer below, times its dropout factors (0 or 1/(1-p)) if there is dropout; so is the gradient that flows back.
//!
//! Shapes: S steps of a segment, B lanes, rows = S*B. `h` has S+1 blocks `[B,H]`; block 0 is the incoming state.

mod head;
mod input_layout;
pub mod probe;
mod sums;
mod window_shape;

use head::Head;
pub use input_layout::InputLayout;
pub(crate) use sums::elements as parts;
pub use window_shape::{StashPrecision, WindowShape};

use super::{Config, Input, Tensor};
use crate::arena::{Arena, Purpose, Slot, View};
use crate::dims::pad4;
use crate::kernel::{Capabilities, Values, Var, Word};
use crate::kernels::{carry_state, col_sum, dropout, finish, gather, gather_backward, matmul, norm, optimizer, pack, scan, transpose};
use crate::layout::Program;
pub use crate::optimizer::Update;
use crate::recording::Recording;
use matmul::{Form, StridedBatch};

/// Recording that computes W_hh^T, once per update.
pub const PREPARE: usize = 0;
/// Recording that computes a segment's losses only, from the latest h of [`forward`], in stash block 0.
pub const EVALUATE: usize = 1;
/// Recording that computes the logits of a segment's first step, from the same h.
pub const LOGITS: usize = 2;
/// Recording that ends an update: norm, clip, optimizer.
pub const UPDATE: usize = 3;
/// Recording that copies state `From` to state `To`.
pub const CARRY: usize = 4;

/// Recording that computes h of a segment, from state `From` to state `To`, in stash block `Place` of a group.
pub const fn forward(group: u32) -> usize {
    5 + 3 * group as usize
}

/// Recording that packs the latest h of [`forward`] into stash block `Place` of a group; empty if h is computed there.
pub const fn pack(group: u32) -> usize {
    6 + 3 * group as usize
}

/// Recording that adds a segment's gradients and loss, given h in stash block `Place` of a group.
pub const fn backward(group: u32) -> usize {
    7 + 3 * group as usize
}

/// The slots that the host reads or writes.
#[derive(Debug, Clone, Copy)]
pub struct HostSlots {
    /// All parameters, flat.
    pub params: Slot,
    /// All gradients, flat.
    pub gradients: Slot,
    /// Moments; a single vec4 where the rule has none.
    pub moments: [Slot; 2],
    /// Status words; see [`finish`].
    pub status: Slot,
    /// Sum of the weighted losses since it was last reset.
    pub loss: Slot,
    /// `[S*B]`: the weighted losses of the segment that [`EVALUATE`] ran on.
    pub row_loss: Slot,
    /// A segment's inputs, see [`InputLayout`].
    pub inputs: Slot,
    /// `[layers, states + ring, B, H]`: state 0 flows into the window; for the others see [`crate::schedule`]; the last `ring` are past states.
    pub states: Slot,
    /// `[layers, B, H]`.
    pub carry: Slot,
    /// `[V, B]`, rows padded to a multiple of 4: output of [`LOGITS`], without b_y.
    pub logits: Slot,
}

/// A model's recordings and what is needed to run them.
#[derive(Debug, Clone)]
pub struct ModelProgram {
    /// The recordings over a packed arena.
    pub program: Program,
    /// Slots for the host.
    pub slots: HostSlots,
    /// Layout of the inputs.
    pub inputs: InputLayout,
}

/// Records all computations of a model.
pub fn record(config: &Config, extent: WindowShape, update: &Update, capabilities: &Capabilities) -> ModelProgram {
    Recorder::new(config, extent, Some(update), *capabilities).program(update, Vec::new())
}

/// Records a model for inference only: no gradients, no moments, no work space of a backward pass. Its recordings for training are empty.
pub fn record_inference(config: &Config, extent: WindowShape, capabilities: &Capabilities) -> ModelProgram {
    let recorder = Recorder::new(config, extent, None, *capabilities);
    let empty = || Recording::new("nothing");
    let mut recordings = vec![empty(), recorder.evaluate(), recorder.logits(), empty(), recorder.carry()];
    for group in 0..extent.groups() as usize {
        recordings.extend([recorder.forward(group), empty(), empty()]);
    }
    recorder.packed(recordings)
}

/// Work space of a backward pass over a group.
struct Work {
    /// d_h, then delta, `[S*B, H]`; one for even and one for odd layers.
    delta: Vec<Slot>,
    /// Logits, then d_logits, `[V, head_rows]`.
    scores: Slot,
    /// Weighted losses, `[S*B]`.
    row_loss: Slot,
    /// Parts of the weight gradients, if their sums are split.
    parts: Option<Slot>,
}

impl Work {
    fn new(arena: &mut Arena, config: &Config, extent: WindowShape, name: &str, parts: u32) -> Self {
        let rows = extent.rows();
        let mut slot = |what: &str, elements| arena.transient(format!("{what}.{name}"), elements, Purpose::Activations);
        Work {
            delta: ["delta.even", "delta.odd"].iter().take(config.layers as usize).map(|n| slot(n, rows * pad4(config.hidden))).collect(),
            scores: slot("scores", config.outputs() * extent.head_rows),
            row_loss: slot("row_loss", pad4(rows)),
            parts: (parts > 0).then(|| slot("parts", parts)),
        }
    }
}

/// Work space for layer inputs that are not stored elsewhere, for one pass over a group.
struct Scratch {
    /// The embedded symbols, `[S*B, E]`, then their gradient; `None` if symbols are not embedded.
    embedded: Option<Slot>,
    /// h of the layer below after dropout, `[S*B, H]`, then its gradient; `None` without dropout.
    dropped: Option<Slot>,
}

impl Scratch {
    fn new(arena: &mut Arena, config: &Config, extent: WindowShape, name: &str) -> Self {
        let mut slot = |what: &str, is: bool, width| is.then(|| arena.transient(format!("{what}.{name}"), extent.rows() * pad4(width), Purpose::Activations));
        Scratch {
            embedded: slot("embedded", config.embedding() > 0, config.embedding()),
            dropped: slot("dropped", config.layers > 1 && extent.dropout.acts(), config.hidden),
        }
    }
}

struct Recorder {
    config: Config,
    extent: WindowShape,
    capabilities: Capabilities,
    tensors: Vec<Tensor>,
    arena: Arena,
    slots: HostSlots,
    inputs: InputLayout,
    /// Per group and layer: h of every stash block, `[places, S+1, B, H]`; packed if stored in half precision.
    h: Vec<Vec<Slot>>,
    /// Per layer, if packed: the unpacked h in use, `[S+1, B, H]`.
    h_work: Vec<Slot>,
    /// Per layer: W_hh^T.
    w_t: Vec<Slot>,
    /// Per group: a_t without its recurrent part, `[S*B, H]`.
    pre: Vec<Slot>,
    /// Per group: of the forward pass.
    forward: Vec<Scratch>,
    /// Per group: of the backward pass; none for inference.
    backward: Vec<Scratch>,
    /// Per group: work space of the backward pass.
    work: Vec<Work>,
    /// Logits of the evaluation, `[V, head_rows]`.
    scores: Slot,
    /// Parts of the squared norm.
    parts: Option<Slot>,
}

impl Recorder {
    /// The recordings of a model, followed by `more`.
    fn program(self, update: &Update, more: Vec<Recording>) -> ModelProgram {
        let mut recordings = vec![self.prepare(), self.evaluate(), self.logits(), self.update(update), self.carry()];
        for group in 0..self.extent.groups() as usize {
            recordings.extend([self.forward(group), self.pack(group), self.backward(group)]);
        }
        recordings.extend(more);
        self.packed(recordings)
    }

    fn packed(self, recordings: Vec<Recording>) -> ModelProgram {
        let (slots, inputs, binding_bytes) = (self.slots, self.inputs, self.capabilities.binding_bytes);
        ModelProgram { program: Program::new(self.arena, recordings, binding_bytes), slots, inputs }
    }

    /// Without `update`, the slots for training have 4 elements.
    fn new(config: &Config, extent: WindowShape, update: Option<&Update>, capabilities: Capabilities) -> Self {
        let mut arena = Arena::default();
        let (elements, hidden, rows) = (config.elements(), pad4(config.hidden), extent.rows());
        let state = extent.lanes * hidden;
        let inputs = InputLayout::new(config, rows);
        let ring = finish::RING + finish::RING_ROWS * finish::RING_WORDS;
        let trained = |count: u32, otherwise: u32| if update.is_some() { count } else { otherwise };
        let mut moment = |name: &str, i: usize| {
            let used = update.is_some_and(|u| u.moments[i]);
            arena.persistent(name, if used { elements } else { 4 }, Purpose::Moments)
        };
        let moments = [moment("m", 0), moment("v", 1)];
        let head = config.outputs() * extent.head_rows;
        let logits = config.outputs() * extent.logits_ld();
        let slots = HostSlots {
            params: arena.persistent("params", elements, Purpose::Parameters),
            gradients: arena.persistent("gradients", trained(elements, 4), Purpose::Gradients),
            moments,
            status: arena.persistent("status", ring, Purpose::Status),
            loss: arena.persistent("loss", 4, Purpose::Status),
            row_loss: arena.persistent("row_loss.evaluate", pad4(rows), Purpose::Activations),
            inputs: arena.persistent("inputs", inputs.words(), Purpose::Inputs),
            states: arena.persistent("states", config.layers * extent.all_states() * state, Purpose::Activations),
            carry: arena.persistent("carry", trained(config.layers * state, 4), Purpose::Activations),
            logits: arena.persistent("logits", logits, Purpose::Activations),
        };
        let block = (extent.steps + 1) * state;
        let parts = sums::elements(config, extent, &capabilities);
        let held = |group: u32| extent.places_per_slot.min(extent.places - group * extent.places_per_slot) * (block / extent.stash.per_word());
        let worked = if extent.stash == StashPrecision::F16 { config.layers } else { 0 };
        Recorder {
            tensors: config.tensors(),
            h: (0..extent.groups())
                .map(|g| (0..config.layers).map(|k| arena.persistent(format!("h.{k}.{g}"), held(g), Purpose::Activations)).collect())
                .collect(),
            h_work: (0..worked).map(|k| arena.persistent(format!("h.work.{k}"), block, Purpose::Activations)).collect(),
            w_t: (0..trained(config.layers, 0)).map(|k| arena.persistent(format!("w_hh_t.{k}"), hidden * hidden, Purpose::Parameters)).collect(),
            pre: (0..extent.groups()).map(|g| arena.transient(format!("pre.{g}"), rows * hidden, Purpose::Activations)).collect(),
            forward: (0..extent.groups()).map(|g| Scratch::new(&mut arena, config, extent, &format!("forward.{g}"))).collect(),
            backward: (0..trained(extent.groups(), 0)).map(|g| Scratch::new(&mut arena, config, extent, &format!("backward.{g}"))).collect(),
            work: (0..trained(extent.groups(), 0)).map(|g| Work::new(&mut arena, config, extent, &g.to_string(), parts)).collect(),
            scores: arena.transient("scores.evaluate", head, Purpose::Activations),
            parts: update.map(|_| arena.transient("parts", 2 * norm::PARTS, Purpose::Status)),
            config: *config,
            extent,
            capabilities,
            arena,
            slots,
            inputs,
        }
    }

    /// A parameter, or its gradient if `slot` is that of the gradients; `None` if the model has no such tensor.
    fn tensor(&self, slot: Slot, name: &str) -> Option<View> {
        let t = self.tensors.iter().find(|t| t.name == name)?;
        Some(View { slot, offset: t.offset.into(), rows: t.rows.into(), cols: t.cols.into(), ld: t.ld })
    }

    fn param(&self, name: &str, k: u32) -> View {
        self.tensor(self.slots.params, &format!("{name}.{k}")).expect("every layer has its matrices")
    }

    fn gradient(&self, name: &str, k: u32) -> View {
        self.tensor(self.slots.gradients, &format!("{name}.{k}")).expect("every layer has its matrices")
    }

    fn hidden(&self, slot: Slot, offset: Word, rows: Word) -> View {
        View { slot, offset, rows, cols: self.config.hidden.into(), ld: pad4(self.config.hidden) }
    }

    fn state(&self) -> u32 {
        self.extent.lanes * pad4(self.config.hidden)
    }

    /// All rows of the segment.
    fn rows(&self) -> Word {
        Word::scaled(Var::Steps, self.extent.lanes)
    }

    /// h of layer k from block `from` on. Block 0 is the incoming state, so from 0 it is h_{t-1}, from 1 h_t.
    fn h(&self, group: usize, k: u32, from: u32) -> View {
        let (slot, first) = match self.extent.stash {
            StashPrecision::F32 => (self.h[group][k as usize], self.place()),
            StashPrecision::F16 => (self.h_work[k as usize], 0.into()),
        };
        self.hidden(slot, first.plus(from * self.state()), self.rows())
    }

    /// First element of stash block `Place`.
    fn place(&self) -> Word {
        Word::scaled(Var::Place, (self.extent.steps + 1) * self.state())
    }

    /// The conversion between the h of layer k in use and its stash block; `None` if h is used in that block.
    fn packing(&self, group: usize, k: u32) -> Option<pack::Operands> {
        let x = *self.h_work.get(k as usize)?;
        let count = Word::scaled(Var::Steps, self.state()).plus(self.state());
        Some(pack::Operands { x, x_offset: 0.into(), packed: self.h[group][k as usize], packed_offset: self.place(), count })
    }

    fn delta(&self, work: &Work, k: u32) -> View {
        self.hidden(work.delta[k as usize % 2], 0.into(), self.rows())
    }

    fn w_t(&self, k: u32) -> View {
        self.hidden(self.w_t[k as usize], 0.into(), self.config.hidden.into())
    }

    /// One word per row of the inputs.
    fn input(&self, place: u32) -> View {
        View { slot: self.slots.inputs, offset: place.into(), rows: self.rows(), cols: 1.into(), ld: 1 }
    }

    fn product(&self, r: &mut Recording, label: &str, form: Form, [a, b, c]: [View; 3], accumulate: Word) {
        let mask = (form == Form::TnMasked).then(|| self.input(self.inputs.keep()));
        // Sizes known only at run time are usually those of whole segments.
        let whole = Values::default().with(Var::Steps, self.extent.steps);
        let inner = if matches!(form, Form::Tn | Form::TnMasked) { a.rows } else { a.cols };
        let variant = self.capabilities.matmul_variant(c.rows.eval(&whole), c.cols.eval(&whole), inner.eval(&whole));
        matmul::record(r, label, variant, matmul::Operands { form, a, b, c, mask, accumulate }, StridedBatch::ONE);
    }

    /// Transposes W_hh of every layer: the backward scan reads rows of W_hh^T.
    fn prepare(&self) -> Recording {
        let mut r = Recording::new("prepare");
        for k in 0..self.config.layers {
            transpose::record(&mut r, &format!("w_hh_t.{k}"), self.capabilities.matmul, self.param("w_hh", k), self.w_t(k));
        }
        r
    }

    /// Records x_t W_xh of layer k, all rows at once.
    fn input_projection(&self, r: &mut Recording, group: usize, k: u32, pre: View) {
        if k == 0 && matches!(self.config.input, Input::Symbols(_)) {
            return gather::record(r, "pre.0", self.capabilities.matmul, self.input(self.inputs.tokens()), self.param("w_xh", 0), pre);
        }
        let x = self.x(r, &self.forward[group], group, k);
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

    fn forward(&self, group: usize) -> Recording {
        let mut r = Recording::new("forward");
        for k in 0..self.config.layers {
            let pre = self.hidden(self.pre[group], 0.into(), self.rows());
            self.input_projection(&mut r, group, k, pre);
            let state = k * self.extent.all_states() * self.state();
            let operands = scan::forward::Operands {
                pre,
                w: self.param("w_hh", k),
                bias: self.tensor(self.slots.params, &format!("b_h.{k}")),
                keep: self.input(self.inputs.keep()),
                states: self.slots.states,
                state_in: Word::scaled(Var::From, self.state()).plus(state),
                state_out: Word::scaled(Var::To, self.state()).plus(state),
                h: self.h(group, k, 0),
                lanes: self.extent.lanes,
                activation: self.config.activation,
            };
            scan::forward::record(&mut r, &format!("h.{k}"), &self.capabilities, operands);
        }
        r
    }

    fn pack(&self, group: usize) -> Recording {
        let mut r = Recording::new("pack");
        for (k, operands) in (0..self.config.layers).filter_map(|k| Some((k, self.packing(group, k)?))) {
            pack::pack(&mut r, &format!("pack.{k}"), self.capabilities.matmul, operands);
        }
        r
    }

    fn backward(&self, group: usize) -> Recording {
        let mut r = Recording::new("backward");
        // Even if h has just been computed: the results must depend only on what is stored.
        for (k, operands) in (0..self.config.layers).filter_map(|k| Some((k, self.packing(group, k)?))) {
            pack::unpack(&mut r, &format!("unpack.{k}"), self.capabilities.matmul, operands);
        }
        let work = &self.work[group];
        let d_h = self.delta(work, self.config.layers - 1);
        self.head(&mut r, group, Head::Gradients(work.parts), [work.scores, work.row_loss], &[d_h]);
        for k in (0..self.config.layers).rev() {
            let delta = self.delta(work, k);
            self.scan_backward(&mut r, group, k, delta);
            self.weight_gradients(&mut r, group, k, delta, work.parts);
            if k > 0 {
                self.flow_down(&mut r, group, k, delta, self.delta(work, k - 1));
            }
        }
        r
    }

    /// Turns d_h of a layer into its delta.
    fn scan_backward(&self, r: &mut Recording, group: usize, k: u32, delta: View) {
        let operands = scan::backward::Operands {
            h: self.h(group, k, 0),
            w_t: self.w_t(k),
            keep: self.input(self.inputs.keep()),
            xi: self.input(self.inputs.xi()),
            delta,
            carry: self.hidden(self.slots.carry, (k * self.state()).into(), self.extent.lanes.into()),
            carry_in: Word::var(Var::CarryIn),
            lanes: self.extent.lanes,
            activation: self.config.activation,
        };
        scan::backward::record(r, &format!("delta.{k}"), &self.capabilities, operands);
    }

    /// d_h of the layer below k: delta W_xh^T, with the dropout mask of the forward pass.
    fn flow_down(&self, r: &mut Recording, group: usize, k: u32, delta: View, d_h: View) {
        let label = format!("d_h.{}", k - 1);
        let Some(slot) = self.backward[group].dropped else {
            return self.product(r, &label, Form::Nt, [delta, self.param("w_xh", k), d_h], 0.into());
        };
        let dropped = self.hidden(slot, 0.into(), self.rows());
        self.product(r, &label, Form::Nt, [delta, self.param("w_xh", k), dropped], 0.into());
        dropout::record(r, &format!("d_dropped.{k}"), self.capabilities.matmul, self.extent.dropout, k, self.extent.lanes, [dropped, d_h]);
    }

    fn weight_gradients(&self, r: &mut Recording, group: usize, k: u32, delta: View, parts: Option<Slot>) {
        let more = Word::var(Var::Accumulate);
        self.long_sum(r, &format!("d_w_hh.{k}"), Form::TnMasked, [self.h(group, k, 0), delta, self.gradient("w_hh", k)], more, parts);
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
            col_sum::record(r, &format!("d_b_h.{k}"), self.capabilities.matmul, delta, d_b, more);
        }
    }

    fn evaluate(&self) -> Recording {
        let mut r = Recording::new("evaluate");
        self.head(&mut r, 0, Head::Losses, [self.scores, self.slots.row_loss], &[]);
        r
    }

    fn logits(&self) -> Recording {
        let mut r = Recording::new("logits");
        let ld = self.extent.logits_ld();
        let h = self.h(0, self.config.layers - 1, 1).with_rows(Word::part(Var::Steps, self.extent.lanes, 0, self.extent.lanes));
        self.scores(&mut r, self.slots.logits, h, ld);
        r
    }

    fn update(&self, update: &Update) -> Recording {
        let mut r = Recording::new("update");
        let (variant, count) = (self.capabilities.matmul, self.config.elements());
        let all = View { slot: self.slots.gradients, offset: 0.into(), rows: 1.into(), cols: count.into(), ld: count };
        let parts = self.parts.expect("a recorder of training");
        norm::record(&mut r, variant, all, parts);
        let slots = [parts, self.slots.loss, self.slots.status];
        finish::record(&mut r, variant, slots, update.clip.norm(), update.betas, Word::var(Var::InverseN), Word::var(Var::RingRow));
        let [m, v] = self.slots.moments;
        let slots = optimizer::Slots { gradients: self.slots.gradients, status: self.slots.status, params: self.slots.params, m, v };
        optimizer::record(&mut r, variant, slots, count, update, Word::var(Var::LearningRate));
        r
    }

    /// Copies state `From` to state `To`.
    fn carry(&self) -> Recording {
        let mut r = Recording::new("carry");
        let sizes = [self.config.layers, self.extent.lanes, pad4(self.config.hidden)];
        let places = [Var::From, Var::To].map(|v| Word::scaled(v, self.state()));
        carry_state::record(&mut r, self.capabilities.matmul, self.slots.states, sizes, self.extent.all_states() * self.state(), places);
        r
    }
}
