//! Places slots in memory: packs them by lifetime into a few buffers (banks).
//!
//! A slot is persistent, or it lives within one recording only, from the first dispatch that binds it to the last; slots
//! whose lifetimes don't overlap may share bytes. Two slots bound by the same dispatch are in different banks if it writes
//! either of them: the state of a buffer is tracked as a whole, so it can't be bound for reading and for writing at once.

use crate::arena::{Arena, Purpose, Slot, SlotInfo};
use crate::kernel::Access;
use crate::recording::Recording;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Slots begin at multiples of this many elements (256 bytes, the strictest alignment of a binding).
const ALIGN: u64 = 64;

impl Arena {
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
            // The bank that grows least; the first of equals.
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

    /// The lifetime of each slot on the timeline of all dispatches; persistent ones live forever.
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
            _ if slot.persistent => 0..usize::MAX,
            Some((_, range)) => range,
            None => panic!("transient slot {} is used by no recording", slot.name),
        };
        self.slots.iter().zip(lives).map(life).collect()
    }

    /// For each slot, the slots that must not share its bank.
    fn apart(&self, recordings: &[&Recording]) -> Vec<BTreeSet<usize>> {
        let mut apart = vec![BTreeSet::new(); self.slots.len()];
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

    /// Bytes per purpose. Bytes shared by several slots count for the largest; alignment counts for its own slot.
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

/// The place of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the bank.
    pub bank: usize,
    /// First element in the bank, a multiple of 64.
    pub offset: u32,
    /// Number of elements.
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
    /// The place of `slot`.
    pub fn place(&self, slot: Slot) -> Place {
        self.places[slot.0]
    }

    /// Bytes of all banks.
    pub fn bytes(&self) -> u64 {
        self.banks.iter().map(|&n| u64::from(n) * 4).sum()
    }

    /// Bytes used for `purpose`.
    pub fn bytes_for(&self, purpose: Purpose) -> u64 {
        self.by_purpose.get(&purpose).copied().unwrap_or(0)
    }
}

/// Everything that an executor needs: recordings, and the layout of their slots.
#[derive(Debug, Clone)]
pub struct Program {
    /// The slots.
    pub arena: Arena,
    /// Their layout.
    pub layout: Layout,
    /// The recordings; [`crate::exec::Executor::run`] takes an index into this list.
    pub recordings: Vec<Recording>,
}

impl Program {
    /// Packs the arena for the recordings. No bank is larger than `bank_bytes`, unless a single slot is.
    pub fn new(arena: Arena, recordings: Vec<Recording>, bank_bytes: u64) -> Self {
        let layout = arena.pack(&recordings.iter().collect::<Vec<_>>(), bank_bytes);
        Program { arena, layout, recordings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::model::Activation;
    use crate::model::Config;
    use crate::model::Dropout;
    use crate::model::record::{StashPrecision, WindowShape, record};
    use crate::optimizer::{Clip, Optimizer};
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    /// Programs of random models: slots that share bytes never live at once, and a slot that a dispatch writes shares its bank with no other of its slots.
    #[test]
    fn slots_share_bytes_only_when_their_lives_are_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..50 {
            let mut n = |most: u32| rng.random_range(1..=most);
            let config = Config { hidden: n(70), layers: n(4), activation: Activation::Tanh, bias: n(2) == 1, ..Config::symbols(n(90)) };
            let (lanes, steps, places) = (n(9), n(20), n(4));
            let stash = if n(2) == 1 { StashPrecision::F32 } else { StashPrecision::F16 };
            let extent = WindowShape {
                lanes,
                steps,
                states: 2 + n(4),
                places,
                places_per_slot: n(places),
                ring: n(3),
                head_rows: 4 * n(30),
                stash,
                gates: Default::default(),
                dropout: Dropout::new(f64::from(n(2)) / 4.0, 1),
            };
            let program = record(&config, extent, &Optimizer::Adam.update(Clip::None), &cpu::capabilities()).program;
            let recordings: Vec<&Recording> = program.recordings.iter().collect();
            let lives = program.arena.lives(&recordings);
            let place = |s: usize| program.layout.place(Slot(s));
            let end = |p: Place| p.offset + p.elements;
            let slots = 0..program.arena.slots.len();
            for (a, b) in slots.clone().flat_map(|a| (0..a).map(move |b| (a, b))) {
                let (x, y) = (place(a), place(b));
                let shared = x.bank == y.bank && x.offset < end(y) && y.offset < end(x);
                let at_once = lives[a].start < lives[b].end && lives[b].start < lives[a].end;
                assert!(!(shared && at_once), "{} and {}", program.arena.name(Slot(a)), program.arena.name(Slot(b)));
            }
            for d in recordings.iter().flat_map(|r| &r.dispatches) {
                for (i, w) in d.kernel.bindings.iter().enumerate().filter(|(_, b)| b.access == Access::ReadWrite) {
                    let bank = program.layout.place(d.bindings[i]).bank;
                    let alone = d.bindings.iter().enumerate().all(|(j, s)| j == i || program.layout.place(*s).bank != bank);
                    assert!(alone, "{}: {} shares its bank", d.label, w.name);
                }
            }
            let by_purpose: u64 = Purpose::ALL.iter().map(|p| program.layout.bytes_for(*p)).sum();
            assert_eq!(by_purpose, program.layout.bytes());
            let used: u64 = slots.map(|s| u64::from(place(s).elements)).sum();
            assert!(program.layout.bytes() < used * 4 + 256 * program.arena.slots.len() as u64, "nothing is shared");
        }
    }

    #[test]
    fn a_recording_prints_every_dispatch() {
        let config = Config { hidden: 5, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(7) };
        let extent = WindowShape {
            lanes: 2,
            steps: 3,
            states: 3,
            places: 1,
            places_per_slot: 1,
            ring: 0,
            head_rows: 8,
            stash: StashPrecision::F32,
            gates: Default::default(),
            dropout: Dropout::default(),
        };
        let program = record(&config, extent, &Optimizer::Adam.update(Clip::None), &cpu::capabilities()).program;
        let forward = program.recordings[crate::model::record::forward(0)].print(&program.arena);
        let lines: Vec<&str> = forward.lines().collect();
        assert_eq!(lines.len(), 3, "{forward}");
        assert!(
            lines[1].contains("gather") && lines[1].contains("tokens=inputs") && lines[1].contains("out=pre.0*") && lines[1].contains("rows=2*Steps"),
            "{forward}"
        );
        assert!(lines[2].contains("scan_forward") && lines[2].contains("h=h.0.0*") && lines[2].contains("tile=16x16"), "{forward}");
    }
}
