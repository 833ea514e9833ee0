//! Named slots of device memory, and views of them. [`crate::layout`] places them in buffers.

use crate::kernel::Word;

/// A slot of an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) usize);

/// The purpose of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Parameters.
    Parameters,
    /// Gradients.
    Gradients,
    /// The optimizer's moments.
    Moments,
    /// States, histories and everything else that backpropagation needs from the forward pass, and its workspace.
    Activations,
    /// Tokens, targets, keep, xi, weights and positions of a segment.
    Inputs,
    /// Norms, counters and the ring of metrics.
    Status,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 6] = [Self::Parameters, Self::Gradients, Self::Moments, Self::Activations, Self::Inputs, Self::Status];
}

#[derive(Debug, Clone)]
pub(crate) struct SlotInfo {
    pub(crate) name: String,
    pub(crate) elements: u32,
    pub(crate) purpose: Purpose,
    pub(crate) persistent: bool,
}

/// Rows of a slot: `rows x cols` values, row r starting at element `offset + r * ld`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The slot.
    pub slot: Slot,
    /// First element.
    pub offset: Word,
    /// Rows, possibly known only at run time.
    pub rows: Word,
    /// Columns in use, possibly known only at run time.
    pub cols: Word,
    /// Elements from row to row; those between `cols` and `ld` are zero.
    pub ld: u32,
}

impl View {
    /// This view moved by a constant number of rows.
    #[must_use]
    pub fn from_row(mut self, row: u32) -> Self {
        self.offset = self.offset.plus(row * self.ld);
        self
    }

    /// This view with another number of rows.
    #[must_use]
    pub fn with_rows(mut self, rows: impl Into<Word>) -> Self {
        self.rows = rows.into();
        self
    }
}

/// The table of slots.
#[derive(Debug, Clone, Default)]
pub struct Arena {
    pub(crate) slots: Vec<SlotInfo>,
}

impl Arena {
    /// Adds a slot that keeps its content between recordings.
    pub fn persistent(&mut self, name: impl Into<String>, elements: u32, purpose: Purpose) -> Slot {
        self.add(name.into(), elements, purpose, true)
    }

    /// Adds a slot used only within one recording.
    pub fn transient(&mut self, name: impl Into<String>, elements: u32, purpose: Purpose) -> Slot {
        self.add(name.into(), elements, purpose, false)
    }

    /// Makes all slots persistent, to run part of a program by itself.
    #[must_use]
    pub fn all_persistent(mut self) -> Self {
        self.slots.iter_mut().for_each(|s| s.persistent = true);
        self
    }

    /// Name and bytes of the largest slot.
    pub fn largest(&self) -> (&str, u64) {
        self.slots.iter().map(|s| (s.name.as_str(), u64::from(s.elements) * 4)).max_by_key(|s| s.1).unwrap_or(("", 0))
    }

    /// The purpose of a slot.
    pub fn purpose(&self, slot: Slot) -> Purpose {
        self.slots[slot.0].purpose
    }

    fn add(&mut self, name: String, elements: u32, purpose: Purpose, persistent: bool) -> Slot {
        assert!(elements > 0, "slot {name} is empty");
        self.slots.push(SlotInfo { name, elements, purpose, persistent });
        Slot(self.slots.len() - 1)
    }

    /// Name of a slot.
    pub fn name(&self, slot: Slot) -> &str {
        &self.slots[slot.0].name
    }

    /// Elements of a slot.
    pub fn elements(&self, slot: Slot) -> u32 {
        self.slots[slot.0].elements
    }
}
