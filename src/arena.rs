//! Named slots of device memory, packed by lifetime into a few buffers (banks).
//!
//! A slot is persistent, or it lives within one recording only, from the first dispatch that binds it to the last; slots
//! whose lives don't overlap may share bytes. Two slots that one dispatch binds lie in different banks if it writes
//! either of them, because the state of a buffer is tracked as a whole: it can't be bound for reading and for writing at once.

use crate::kernel::{Access, Word};
use crate::recording::Recording;
use std::collections::BTreeMap;
use std::ops::Range;

/// Slots begin at multiples of this many elements (256 bytes, the strictest alignment of a binding).
const ALIGN: u64 = 64;

/// A slot of an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

/// What a slot's bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Parameters.
    Parameters,
    /// Gradients.
    Gradients,
    /// The optimizer's moments.
    Moments,
    /// States, histories and everything that backpropagation needs of the forward sweep, and its work space.
    Activations,
    /// Tokens, targets, keep, xi, weights and positions of a segment.
    Inputs,
    /// Norms, counters and the ring of metrics.
    Status,
}

#[derive(Debug, Clone)]
struct SlotInfo {
    name: String,
    elements: u32,
    purpose: Purpose,
    persistent: bool,
}

/// Rows of a slot: `rows x cols` numbers, row r starting at element `offset + r * ld`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Slot it lies in.
    pub slot: Slot,
    /// First element.
    pub offset: Word,
    /// Rows, possibly known only at run time.
    pub rows: Word,
    /// Columns that count, possibly known only at run time.
    pub cols: Word,
    /// Elements from row to row; what lies between `cols` and `ld` is zero.
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
    slots: Vec<SlotInfo>,
}

impl Arena {
    /// Adds a slot that keeps its content between recordings.
    pub fn persistent(&mut self, name: impl Into<String>, elements: u32, purpose: Purpose) -> Slot {
        self.add(name.into(), elements, purpose, true)
    }

    /// Adds a slot that is used within one recording only.
    pub fn transient(&mut self, name: impl Into<String>, elements: u32, purpose: Purpose) -> Slot {
        self.add(name.into(), elements, purpose, false)
    }

    /// The same slots, all persistent: for running a part of a program by itself.
    #[must_use]
    pub fn all_persistent(mut self) -> Self {
        self.slots.iter_mut().for_each(|s| s.persistent = true);
        self
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

    /// Packs all slots for the given recordings.
    ///
    /// # Panics
    /// If a transient slot is used by two recordings: its content would not survive.
    pub fn pack(&self, recordings: &[&Recording], bank_bytes: u64) -> Layout {
        let lives = self.lives(recordings);
        let apart = self.apart(recordings);
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(self.slots[i].elements), i));
        let mut banks: Vec<Bank> = Vec::new();
        for i in order {
            let size = u64::from(self.slots[i].elements).next_multiple_of(ALIGN);
            let fit = |b: &Bank| {
                let at = b.lowest_gap(&lives[i], size, &lives);
                (!b.slots.iter().any(|&(s, _)| apart[i].contains(&s)) && (at + size) * 4 <= bank_bytes).then_some(at)
            };
            // The bank that grows least; of equals the first.
            let best = banks.iter().enumerate().filter_map(|(n, b)| fit(b).map(|at| ((at + size).saturating_sub(b.elements), n, at))).min();
            let (bank, at) = match best {
                Some((_, n, at)) => (n, at),
                None => {
                    banks.push(Bank::default());
                    (banks.len() - 1, 0)
                }
            };
            banks[bank].insert(i, at, size);
        }
        let mut places = vec![Place { bank: 0, offset: 0, elements: 0 }; self.slots.len()];
        for (n, bank) in banks.iter().enumerate() {
            for (slot, at) in &bank.slots {
                places[*slot] = Place { bank: n, offset: at.start as u32, elements: self.slots[*slot].elements };
            }
        }
        let by_purpose = self.bytes_by_purpose(&banks);
        Layout { banks: banks.iter().map(|b| b.elements as u32).collect(), places, by_purpose }
    }

    /// First and last position of each slot on the timeline of all dispatches; persistent ones live always.
    fn lives(&self, recordings: &[&Recording]) -> Vec<Range<usize>> {
        let mut lives: Vec<Option<(usize, Range<usize>)>> = vec![None; self.slots.len()];
        let mut time = 0;
        for (r, recording) in recordings.iter().enumerate() {
            for dispatch in &recording.dispatches {
                for slot in &dispatch.bindings {
                    let life = lives[slot.0].get_or_insert((r, time..time));
                    assert!(self.slots[slot.0].persistent || life.0 == r, "transient slot {} is used by two recordings", self.name(*slot));
                    life.1.end = time + 1;
                }
                time += 1;
            }
        }
        let life = |(slot, life): (&SlotInfo, Option<(usize, Range<usize>)>)| match life {
            Some((_, range)) if !slot.persistent => range,
            _ => 0..usize::MAX,
        };
        self.slots.iter().zip(lives).map(life).collect()
    }

    /// For each slot the slots that must not share its bank.
    fn apart(&self, recordings: &[&Recording]) -> Vec<std::collections::BTreeSet<usize>> {
        let mut apart = vec![std::collections::BTreeSet::new(); self.slots.len()];
        for dispatch in recordings.iter().flat_map(|r| &r.dispatches) {
            for (a, x) in dispatch.bindings.iter().zip(dispatch.kernel.bindings) {
                for b in dispatch.bindings.iter().filter(|b| x.access == Access::ReadWrite && *b != a) {
                    apart[a.0].insert(b.0);
                    apart[b.0].insert(a.0);
                }
            }
        }
        apart
    }

    /// Bytes per purpose; bytes that several slots share count for the largest of them, alignment for its own slot.
    fn bytes_by_purpose(&self, banks: &[Bank]) -> BTreeMap<Purpose, u64> {
        let mut bytes = BTreeMap::new();
        for bank in banks {
            let mut edges: Vec<u64> = bank.slots.iter().flat_map(|(_, at)| [at.start, at.end]).collect();
            edges.sort_unstable();
            edges.dedup();
            for pair in edges.windows(2) {
                let owner = bank.slots.iter().filter(|(_, at)| at.start <= pair[0] && pair[1] <= at.end).max_by_key(|(s, _)| self.slots[*s].elements);
                if let Some(&(slot, _)) = owner {
                    *bytes.entry(self.slots[slot].purpose).or_insert(0) += (pair[1] - pair[0]) * 4;
                }
            }
        }
        bytes
    }
}

#[derive(Debug, Default)]
struct Bank {
    elements: u64,
    slots: Vec<(usize, Range<u64>)>,
}

impl Bank {
    fn lowest_gap(&self, life: &Range<usize>, size: u64, lives: &[Range<usize>]) -> u64 {
        let overlaps = |other: &Range<usize>| life.start < other.end && other.start < life.end;
        let mut taken: Vec<&Range<u64>> = self.slots.iter().filter(|(s, _)| overlaps(&lives[*s])).map(|(_, at)| at).collect();
        taken.sort_by_key(|at| at.start);
        let mut at = 0;
        for t in taken {
            if at + size <= t.start {
                break;
            }
            at = at.max(t.end);
        }
        at
    }

    fn insert(&mut self, slot: usize, at: u64, size: u64) {
        self.slots.push((slot, at..at + size));
        self.elements = self.elements.max(at + size);
    }
}

/// Where a slot lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bank.
    pub bank: usize,
    /// First element in the bank, a multiple of 64.
    pub offset: u32,
    /// Elements.
    pub elements: u32,
}

/// The packed arena.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Elements of each bank.
    pub banks: Vec<u32>,
    places: Vec<Place>,
    by_purpose: BTreeMap<Purpose, u64>,
}

impl Layout {
    /// Where `slot` lies.
    pub fn place(&self, slot: Slot) -> Place {
        self.places[slot.0]
    }

    /// Bytes of all banks.
    pub fn bytes(&self) -> u64 {
        self.banks.iter().map(|&n| u64::from(n) * 4).sum()
    }

    /// Bytes that serve `purpose`.
    pub fn bytes_for(&self, purpose: Purpose) -> u64 {
        self.by_purpose.get(&purpose).copied().unwrap_or(0)
    }
}
