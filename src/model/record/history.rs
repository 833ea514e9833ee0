//! What the forward pass over a segment leaves for the backward pass: per layer h, and for a cell with gates their activations and c.
//!
//! Either all of it is stored in the stash ([`GateStorage::Kept`]), or h alone, with c at the segment's start ([`GateStorage::Recomputed`]): then
//! activations and c of the other steps are computed once more before the backward pass, in work space.

use super::{GateStorage, StashPrecision, WindowShape};
use crate::arena::{Arena, Purpose, Slot};
use crate::dims::Dims;
use crate::kernel::{Var, Word};

/// A part of the history of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `[S+1, B, H]`.
    H,
    /// `[S+1, B, H]`, for a cell with c.
    C,
    /// Rows of gates, `[S*B, blocks H]`: x_t W_xh, the activations, the deltas.
    Gates,
}

/// A pass over a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    Backward,
}

/// A slot for each part; none if the part is elsewhere, or the cell lacks it.
type Slots = [Option<Slot>; 3];

/// Elements of each part in a segment of `steps` steps.
fn sizes(dims: &Dims, steps: u32) -> [u32; 3] {
    [(steps + 1) * dims.block(), (steps + 1) * dims.block(), steps * dims.lanes * dims.gates_width()]
}

/// Which parts are stored.
fn stored(dims: &Dims, gates: GateStorage) -> [bool; 3] {
    let kept = dims.spec().keeps_gates && gates == GateStorage::Kept;
    [true, kept && dims.spec().states == 2, kept]
}

/// Bytes of a segment of `steps` steps of a layer, as far as they matter to a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentBytes {
    /// What is stored, as f32, without [`SegmentBytes::first_c`].
    pub stored: u64,
    /// The largest part.
    pub largest: u64,
    /// The state at its start, as far as it is stored besides.
    pub first_c: u64,
    /// Work space of a pass for what is not stored.
    pub worked: u64,
}

impl SegmentBytes {
    /// Bytes that a step adds if everything is stored.
    pub(crate) fn per_step(dims: &Dims) -> u64 {
        let stored = |steps| Self::new(dims, steps, GateStorage::Kept).stored;
        stored(2) - stored(1)
    }

    pub(crate) fn new(dims: &Dims, steps: u32, gates: GateStorage) -> Self {
        let (spec, is) = (dims.spec(), stored(dims, gates));
        let block = 4 * u64::from(dims.block());
        let (states, rows) = (u64::from(steps) + 1, u64::from(steps) * u64::from(spec.blocks()));
        let sizes = [states * block, states * block, rows * block];
        let stored = sizes.iter().zip(is).filter(|s| s.1).map(|s| s.0).sum();
        let c_is_worked = spec.states == 2 && !is[1];
        SegmentBytes {
            stored,
            largest: if spec.keeps_gates { sizes[0].max(sizes[2]) } else { sizes[0] },
            first_c: if c_is_worked { block } else { 0 },
            worked: if spec.keeps_gates && !is[2] { sizes[2] } else { 0 } + if c_is_worked { sizes[1] } else { 0 },
        }
    }
}

/// The slots of the history.
pub(super) struct History {
    /// Elements of each part in a segment.
    sizes: [u32; 3],
    /// Per group and layer: the parts that are stored, of every place; packed if stored in half precision.
    stash: Vec<Vec<Slots>>,
    /// Per layer: the same parts as they are computed with, if they are stored in half precision.
    unpacked: Vec<Slots>,
    /// Per pass and group: the parts that are not stored.
    work: [Vec<Slots>; 2],
    /// Per group and layer: c at the start of the segment of every place, where c is not stored; `[places, B, H]`.
    first_c: Vec<Vec<Slot>>,
}

impl History {
    pub(super) fn new(arena: &mut Arena, dims: &Dims, shape: WindowShape, trains: bool) -> Self {
        let (spec, block, layers) = (dims.spec(), dims.block(), dims.layers);
        let sizes = sizes(dims, shape.steps);
        let stored = stored(dims, shape.gates);
        let worked = [false, !stored[1] && spec.states == 2, !stored[2]];
        let half = shape.stash == StashPrecision::F16;
        let places = |group: u32| shape.places_per_slot.min(shape.places - group * shape.places_per_slot);
        let mut slots = |which: [bool; 3], names: [String; 3], lasts: bool, count: u32, per_word: u32| -> Slots {
            let mut names = names.into_iter();
            let mut slot = |i: usize| {
                let name = names.next().unwrap_or_default();
                let elements = count * (sizes[i] / per_word);
                which[i]
                    .then(|| if lasts { arena.persistent(name, elements, Purpose::Activations) } else { arena.transient(name, elements, Purpose::Activations) })
            };
            [slot(0), slot(1), slot(2)]
        };
        let mut stash = Vec::new();
        for g in 0..shape.groups() {
            let layer = |k: u32| slots(stored, ["h", "c", "gates"].map(|n| format!("{n}.{k}.{g}")), true, places(g), shape.stash.per_word());
            stash.push((0..layers).map(layer).collect());
        }
        let unpacked = (0..if half { layers } else { 0 }).map(|k| slots(stored, ["h", "c", "gates"].map(|n| format!("{n}.work.{k}")), true, 1, 1)).collect();
        let forward = (0..shape.groups()).map(|g| slots(worked, ["", "c", "pre"].map(|n| format!("{n}.{g}")), false, 1, 1)).collect();
        let again = worked.map(|w| w && trains && spec.keeps_gates);
        let backward = (0..shape.groups()).map(|g| slots(again, ["", "c", "gates"].map(|n| format!("{n}.again.{g}")), false, 1, 1)).collect();
        let firsts = if trains && again[1] { shape.groups() } else { 0 };
        let mut first = |g: u32, k: u32| arena.persistent(format!("c.first.{k}.{g}"), places(g) * block, Purpose::Activations);
        let first_c = (0..firsts).map(|g| (0..layers).map(|k| first(g, k)).collect()).collect();
        History { sizes, stash, unpacked, work: [forward, backward], first_c }
    }

    /// The slot of a part of layer k as it is computed with, and the offset of its first element.
    pub(super) fn place(&self, pass: Pass, group: usize, k: u32, part: Part) -> (Slot, Word) {
        let (layer, i) = (k as usize, part as usize);
        let found = match (self.unpacked.get(layer).and_then(|s| s[i]), self.stash[group][layer][i]) {
            (Some(unpacked), _) => Some((unpacked, 0.into())),
            (None, Some(stored)) => Some((stored, Word::scaled(Var::Place, self.sizes[i]))),
            (None, None) => self.work[pass as usize][group][i].map(|slot| (slot, 0.into())),
        };
        found.expect("a part of the cell's history")
    }

    /// Where c at the start of a segment is stored, if c is not.
    pub(super) fn first_c(&self, group: usize, k: u32, block: u32) -> Option<(Slot, Word)> {
        Some((self.first_c.get(group)?[k as usize], Word::scaled(Var::Place, block)))
    }

    /// The parts of layer k that are stored in half precision: as they are computed with, packed, the offset of the latter, and their elements in a whole
    /// segment.
    pub(super) fn packed(&self, group: usize, k: u32) -> impl Iterator<Item = (Part, Slot, Slot, Word)> {
        let (unpacked, stash) = (self.unpacked.get(k as usize).copied().unwrap_or_default(), self.stash[group][k as usize]);
        let sizes = self.sizes;
        [Part::H, Part::C, Part::Gates].into_iter().filter_map(move |part| {
            let i = part as usize;
            Some((part, unpacked[i]?, stash[i]?, Word::scaled(Var::Place, sizes[i])))
        })
    }
}
