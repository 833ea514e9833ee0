//! How much of a window is held at once, and how.

use crate::dims::pad4;
use crate::kernels::dropout::Dropout;
use crate::setting::choices;

/// How h is stored between the forward and the backward pass over a segment. All arithmetic is that of f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StashPrecision {
    /// As it was computed.
    #[default]
    F32,
    /// Rounded to half precision, two numbers a word; what flows between segments is not.
    F16,
}

impl StashPrecision {
    /// Numbers that a word holds.
    pub fn per_word(self) -> u32 {
        match self {
            StashPrecision::F32 => 1,
            StashPrecision::F16 => 2,
        }
    }
}

choices!(StashPrecision { F32 = "f32", F16 = "f16" });

/// How much of a window is held at once, decided by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WindowShape {
    /// B.
    pub lanes: u32,
    /// S: most steps of a segment.
    pub steps: u32,
    /// States that the passes of a window store and pass through, see [`crate::schedule`].
    pub states: u32,
    /// Segments whose h is held at once.
    pub places: u32,
    /// Of these, those that one slot holds: a binding may not be larger than the adapter allows.
    pub places_per_slot: u32,
    /// Past states that are kept besides, after those.
    pub ring: u32,
    /// Rows of the head that are worked on at once.
    pub head_rows: u32,
    /// How the h of a place is stored.
    #[serde(default)]
    pub stash: StashPrecision,
    /// What is dropped between layers while gradients are made.
    #[serde(default)]
    pub dropout: Dropout,
}

impl WindowShape {
    /// Elements from row to row of the logits of one step.
    pub fn logits_ld(&self) -> u32 {
        pad4(self.lanes)
    }

    /// All states of a layer.
    pub fn all_states(&self) -> u32 {
        self.states + self.ring
    }

    /// Slots that the stash of a layer takes.
    pub fn groups(&self) -> u32 {
        self.places.div_ceil(self.places_per_slot)
    }

    /// Rows of a whole segment.
    pub fn rows(&self) -> u32 {
        self.steps * self.lanes
    }
}
