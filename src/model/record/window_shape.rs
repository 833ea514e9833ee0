//! How much of a window is in memory at once, and how it is stored.

use crate::dims::pad4;
use crate::kernels::dropout::Dropout;
use crate::setting::choices;

/// How h is stored between the forward and the backward pass over a segment. All arithmetic is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StashPrecision {
    /// As computed.
    #[default]
    F32,
    /// Rounded to half precision, two values per word; what flows between segments is not rounded.
    F16,
}

impl StashPrecision {
    /// Values per word.
    pub fn per_word(self) -> u32 {
        match self {
            StashPrecision::F32 => 1,
            StashPrecision::F16 => 2,
        }
    }
}

choices!(StashPrecision { F32 = "f32", F16 = "f16" });

/// What is stored of the gates of a cell between the forward and the backward pass over a segment. For a cell without gates it has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateStorage {
    /// Their activations, and c, as the forward pass computed them.
    #[default]
    Kept,
    /// Only h, and c at the segment's start: before the backward pass, one product of all rows gives the activations again. They may differ
    /// in the last bits from those of the scan, so a window has one way of storage.
    Recomputed,
}

choices!(GateStorage { Kept = "kept", Recomputed = "recomputed" });

/// How much of a window is in memory at once; decided by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WindowShape {
    /// B.
    pub lanes: u32,
    /// S: maximum steps per segment.
    pub steps: u32,
    /// States that the passes over a window store or use in between; see [`crate::schedule`].
    pub states: u32,
    /// Segments whose h is in memory at once.
    pub places: u32,
    /// Of these, the number per slot: a binding may not be larger than the adapter allows.
    pub places_per_slot: u32,
    /// Additional past states, stored after the others.
    pub ring: u32,
    /// Rows that the head processes at once.
    pub head_rows: u32,
    /// How h is stored.
    #[serde(default)]
    pub stash: StashPrecision,
    /// What is stored of gates.
    #[serde(default)]
    pub gates: GateStorage,
    /// Dropout between layers while gradients are computed.
    #[serde(default)]
    pub dropout: Dropout,
}

impl WindowShape {
    /// Elements from one row to the next of the logits of one step.
    pub fn logits_ld(&self) -> u32 {
        pad4(self.lanes)
    }

    /// Number of states per layer, past ones included.
    pub fn all_states(&self) -> u32 {
        self.states + self.ring
    }

    /// Number of slots for the stash of a layer.
    pub fn groups(&self) -> u32 {
        self.places.div_ceil(self.places_per_slot)
    }

    /// Rows of a whole segment.
    pub fn rows(&self) -> u32 {
        self.steps * self.lanes
    }
}
