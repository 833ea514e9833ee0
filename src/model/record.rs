//! The equations of the model as recordings. Only this module knows them, and [`crate::cells`] the step of each cell. Forward and backward mirror each other.
//!
//! ```text
//! forward     h_t, c_t = step(x_t W_xh + b_h, hp_t W_hh, hp_t, cp_t),  hp_t = keep_t h_{t-1},  o_t = h_t W_hy + b_y
//! backward    delta_t, direct_t = step_back(dL/do_t W_hy^T + carry_t),  carry_{t-1} = keep_t xi_t (delta_t W_hh^T + direct_t)
//!             dW_hh = sum hp_t^T delta_t,  dW_xh = sum x_t^T delta_t,  db_h = sum delta_t,  dW_hy = sum h_t^T dL/do_t
//! ```
//!
//! Between layers, x_t is the h_t of the layer below, times its dropout factors (0 or 1/(1-p)) if there is dropout; so is the gradient that flows back.
//!
//! Shapes: S steps of a segment, B lanes, rows = S*B. `h` (and `c`) has S+1 blocks `[B,H]`; block 0 is the incoming state. A row of gates has G
//! columns per unit, or one more block for a gate with two biases; see [`crate::cells`].

mod head;
mod history;
mod input_layout;
mod passes;
pub mod probe;
mod sums;
mod window_shape;

use head::Head;
pub(crate) use history::SegmentBytes;
use history::{History, Part, Pass};
pub use input_layout::InputLayout;
pub(crate) use sums::elements as parts;
pub use window_shape::{GateStorage, StashPrecision, WindowShape};

use super::{Config, Tensor};
use crate::arena::{Arena, Purpose, Slot, View};
use crate::dims::{Dims, pad4};
use crate::kernel::{Capabilities, Values, Var, Word};
use crate::kernels::{carry_state, finish, matmul, norm, optimizer, pack, transpose};
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
    /// `[layers, states + ring, B, N H]`: state 0 flows into the window; for the others see [`crate::schedule`]; the last `ring` are past states.
    pub states: Slot,
    /// `[layers, B, N H]`.
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
    Recorder::new(config, extent, Some(update), *capabilities, extent.logits_ld()).program(update, Vec::new())
}

/// Records a model for inference only: no gradients, no moments, no work space of a backward pass. Its recordings for training are empty.
pub fn record_inference(config: &Config, extent: WindowShape, capabilities: &Capabilities) -> ModelProgram {
    Recorder::new(config, extent, None, *capabilities, extent.logits_ld()).inference()
}

/// Like [`record_inference`], but [`LOGITS`] computes those of all rows of a segment, `[V, S*B]`.
pub fn record_outputs(config: &Config, extent: WindowShape, capabilities: &Capabilities) -> ModelProgram {
    Recorder::new(config, extent, None, *capabilities, pad4(extent.rows())).inference()
}

/// Work space of a backward pass over a group.
struct Work {
    /// d_h `[S*B, H]`. For a cell that keeps no gates it becomes delta: then one for even and one for odd layers.
    d_h: Vec<Slot>,
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
        let count = if config.cell.spec().keeps_gates { 1 } else { config.layers.min(2) as usize };
        Work {
            d_h: ["d_h.even", "d_h.odd"].iter().take(count).map(|n| slot(n, rows * pad4(config.hidden))).collect(),
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
    /// Rows of the slot of logits, padded.
    logits_ld: u32,
    dims: Dims,
    /// h, c and gates.
    history: History,
    /// Per layer: W_hh^T.
    w_t: Vec<Slot>,
    /// Per layer: where a probe stores the gradients of the states; bound but not written otherwise.
    g: Vec<Slot>,
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

    /// The recordings without gradients.
    fn inference(self) -> ModelProgram {
        let empty = || Recording::new("nothing");
        let mut recordings = vec![empty(), self.evaluate(), self.logits(), empty(), self.carry()];
        for group in 0..self.extent.groups() as usize {
            recordings.extend([self.forward(group), empty(), empty()]);
        }
        self.packed(recordings)
    }

    fn packed(self, recordings: Vec<Recording>) -> ModelProgram {
        let (slots, inputs, binding_bytes) = (self.slots, self.inputs, self.capabilities.binding_bytes);
        ModelProgram { program: Program::new(self.arena, recordings, binding_bytes), slots, inputs }
    }

    /// Without `update`, the slots for training have 4 elements. `logits_ld` is the number of rows whose logits are computed, padded.
    fn new(config: &Config, extent: WindowShape, update: Option<&Update>, capabilities: Capabilities, logits_ld: u32) -> Self {
        let mut arena = Arena::default();
        let dims = config.dims(extent.lanes);
        let (elements, hidden, rows, state) = (config.elements(), dims.hidden_padded(), extent.rows(), dims.state());
        let inputs = InputLayout::new(config, rows);
        let ring = finish::RING + finish::RING_ROWS * finish::RING_WORDS;
        let trained = |count: u32, otherwise: u32| if update.is_some() { count } else { otherwise };
        let mut moment = |name: &str, i: usize| {
            let used = update.is_some_and(|u| u.moments[i]);
            arena.persistent(name, if used { elements } else { 4 }, Purpose::Moments)
        };
        let moments = [moment("m", 0), moment("v", 1)];
        let head = config.outputs() * extent.head_rows;
        let logits = config.outputs() * logits_ld;
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
        let parts = sums::elements(config, extent, &capabilities);
        let recurrent = dims.spec().gates * hidden * hidden;
        Recorder {
            tensors: config.tensors(),
            history: History::new(&mut arena, &dims, extent, update.is_some()),
            w_t: (0..trained(config.layers, 0)).map(|k| arena.persistent(format!("w_hh_t.{k}"), recurrent, Purpose::Parameters)).collect(),
            g: (0..trained(config.layers, 0)).take(1).map(|_| arena.persistent("g.none", 4, Purpose::Activations)).collect(),
            forward: (0..extent.groups()).map(|g| Scratch::new(&mut arena, config, extent, &format!("forward.{g}"))).collect(),
            backward: (0..trained(extent.groups(), 0)).map(|g| Scratch::new(&mut arena, config, extent, &format!("backward.{g}"))).collect(),
            work: (0..trained(extent.groups(), 0)).map(|g| Work::new(&mut arena, config, extent, &g.to_string(), parts)).collect(),
            scores: arena.transient("scores.evaluate", head, Purpose::Activations),
            parts: update.map(|_| arena.transient("parts", 2 * norm::PARTS, Purpose::Status)),
            config: *config,
            dims,
            extent,
            capabilities,
            arena,
            slots,
            inputs,
            logits_ld,
        }
    }

    /// A parameter, or its gradient if `slot` is that of the gradients; `None` if the model has no such tensor.
    fn tensor(&self, slot: Slot, name: &str) -> Option<View> {
        let t = self.tensors.iter().find(|t| t.name == name)?;
        Some(View { slot, offset: t.offset.into(), rows: t.rows.into(), cols: t.view_cols().into(), ld: t.ld })
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

    /// Rows of states, `[.., N H]`.
    fn states(&self, slot: Slot, offset: Word, rows: Word) -> View {
        let width = self.dims.state_width();
        let cols = if self.dims.spec().states == 1 { self.config.hidden } else { width };
        View { slot, offset, rows, cols: cols.into(), ld: width }
    }

    /// All rows of the segment.
    fn rows(&self) -> Word {
        Word::scaled(Var::Steps, self.extent.lanes)
    }

    /// h of layer k from block `from` on. Block 0 is the incoming state, so from 0 it is h_{t-1}, from 1 h_t.
    fn h(&self, group: usize, k: u32, from: u32) -> View {
        let (slot, first) = self.history.place(Pass::Backward, group, k, Part::H);
        self.hidden(slot, first.plus(from * self.dims.block()), self.rows())
    }

    /// c of layer k, likewise from block 0; `None` for a cell without c.
    fn c(&self, pass: Pass, group: usize, k: u32) -> Option<View> {
        let there = self.dims.spec().states == 2;
        there.then(|| self.history.place(pass, group, k, Part::C)).map(|(slot, first)| self.hidden(slot, first, self.rows()))
    }

    /// `count` blocks of the rows of gates of layer k, from block `from` on.
    fn gates(&self, pass: Pass, group: usize, k: u32, from: u32, count: u32) -> View {
        let (slot, first) = self.history.place(pass, group, k, Part::Gates);
        self.blocks(slot, first, from, count)
    }

    /// Blocks of rows of gates.
    fn blocks(&self, slot: Slot, first: Word, from: u32, count: u32) -> View {
        let (hidden, all) = (self.dims.hidden_padded(), self.dims.spec().blocks());
        let cols = if all == 1 { self.config.hidden } else { count * hidden };
        View { slot, offset: first.plus(from * hidden), rows: self.rows(), cols: cols.into(), ld: all * hidden }
    }

    /// The conversions between what is computed with and what is stored of layer k; none if that is the same.
    fn packing(&self, group: usize, k: u32) -> impl Iterator<Item = (String, pack::Operands)> {
        let [block, row, lanes] = [self.dims.block(), self.dims.gates_width(), self.extent.lanes];
        self.history.packed(group, k).map(move |(part, x, packed, packed_offset)| {
            let count = match part {
                Part::H | Part::C => Word::scaled(Var::Steps, block).plus(block),
                Part::Gates => Word::scaled(Var::Steps, lanes * row),
            };
            let name = if part == Part::H { k.to_string() } else { format!("{}.{k}", format!("{part:?}").to_lowercase()) };
            (name, pack::Operands { x, x_offset: 0.into(), packed, packed_offset, count })
        })
    }

    /// Where c at the start of a segment is stored, if c is not.
    fn first_c(&self, group: usize, k: u32) -> Option<View> {
        let (slot, offset) = self.history.first_c(group, k, self.dims.block())?;
        Some(self.hidden(slot, offset, self.extent.lanes.into()))
    }

    /// d_h of layer k, `[S*B, H]`.
    fn d_h(&self, work: &Work, k: u32) -> View {
        self.hidden(work.d_h[k as usize % work.d_h.len()], 0.into(), self.rows())
    }

    /// All blocks of delta of layer k.
    fn delta(&self, work: &Work, group: usize, k: u32) -> View {
        if self.dims.spec().keeps_gates { self.gates(Pass::Backward, group, k, 0, self.dims.spec().blocks()) } else { self.d_h(work, k) }
    }

    /// The blocks of delta that belong to W_xh.
    fn input_delta(&self, delta: View) -> View {
        let spec = self.dims.spec();
        if spec.blocks() == 1 { delta } else { self.blocks(delta.slot, delta.offset, 0, spec.gates) }
    }

    /// The blocks of delta that belong to W_hh.
    fn hidden_delta(&self, delta: View) -> View {
        let spec = self.dims.spec();
        if spec.blocks() == 1 { delta } else { self.blocks(delta.slot, delta.offset, spec.before_hidden(), spec.gates) }
    }

    fn w_t(&self, k: u32) -> View {
        let rows = if self.dims.spec().gates == 1 { self.config.hidden } else { self.dims.spec().gates * self.dims.hidden_padded() };
        self.hidden(self.w_t[k as usize], 0.into(), rows.into())
    }

    /// One word per row of the inputs.
    fn input(&self, place: u32) -> View {
        View { slot: self.slots.inputs, offset: place.into(), rows: self.rows(), cols: 1.into(), ld: 1 }
    }

    fn product(&self, r: &mut Recording, label: &str, form: Form, [a, b, c]: [View; 3], accumulate: Word) {
        let mask = form.is_masked().then(|| self.input(self.inputs.keep()));
        // Sizes known only at run time are usually those of whole segments.
        let whole = Values::default().with(Var::Steps, self.extent.steps);
        let inner = if form.transposes_a() { a.rows } else { a.cols };
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

    fn evaluate(&self) -> Recording {
        let mut r = Recording::new("evaluate");
        self.head(&mut r, 0, Head::Losses, [self.scores, self.slots.row_loss], None);
        r
    }

    fn logits(&self) -> Recording {
        let mut r = Recording::new("logits");
        let h = self.h(0, self.config.layers - 1, 1);
        // Those of one step, unless there is room for all.
        let one = self.logits_ld == self.extent.logits_ld();
        let h = if one { h.with_rows(Word::part(Var::Steps, self.extent.lanes, 0, self.extent.lanes)) } else { h };
        self.scores(&mut r, self.slots.logits, h, self.logits_ld);
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
        let (sizes, state) = ([self.config.layers, self.extent.lanes, self.dims.state_width()], self.dims.state());
        let places = [Var::From, Var::To].map(|v| Word::scaled(v, state));
        carry_state::record(&mut r, self.capabilities.matmul, self.slots.states, sizes, self.extent.all_states() * state, places);
        r
    }
}
