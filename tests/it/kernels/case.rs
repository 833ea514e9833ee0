//! One case of the table: slots full of garbage, with random values where the kernel may read, and the expected words
//! afterwards. Everything but the outputs must stay unchanged, bit for bit.

use crate::compare::Want;
use retrograd::arena::{Arena, Purpose, Slot, View};
use std::collections::BTreeMap;

/// Elements before a matrix that has a slot of its own.
const BEFORE: u32 = 8;

/// The words of a slot before a run, and the expected words after it.
pub(super) struct Content {
    pub(super) words: Vec<u32>,
    pub(super) wants: Vec<Want>,
}

/// Slots and their content.
pub(super) struct Case {
    pub(super) arena: Arena,
    pub(super) contents: BTreeMap<Slot, Content>,
    state: u64,
}

/// `rows x cols` values in a slot, row r at `offset + r * ld`.
#[derive(Clone)]
pub(super) struct Matrix {
    pub(super) slot: Slot,
    pub(super) offset: u32,
    pub(super) rows: u32,
    pub(super) cols: u32,
    pub(super) ld: u32,
    data: Vec<f64>,
}

impl Matrix {
    /// The value in row r and column c.
    pub(super) fn at(&self, r: u32, c: u32) -> f64 {
        self.data[(r * self.cols + c) as usize]
    }

    /// Index of that element in the slot.
    pub(super) fn index(&self, r: u32, c: u32) -> u32 {
        self.offset + r * self.ld + c
    }

    /// The matrix as an operand.
    pub(super) fn view(&self) -> View {
        View { slot: self.slot, offset: self.offset.into(), rows: self.rows.into(), cols: self.cols.into(), ld: self.ld }
    }
}

impl Case {
    pub(super) fn new(seed: u64) -> Self {
        Case { arena: Arena::default(), contents: BTreeMap::new(), state: seed }
    }

    /// A slot full of NaNs and huge values, all of which must stay.
    pub(super) fn slot(&mut self, name: &str, elements: u32) -> Slot {
        let slot = self.arena.persistent(name, elements, Purpose::Activations);
        let garbage = |i: u32| match i % 3 {
            0 => 0x7fc0_0000 | i,
            1 => 1e30f32.to_bits(),
            _ => (-3e20f32).to_bits(),
        };
        self.contents.insert(slot, Content { words: (0..elements).map(garbage).collect(), wants: vec![Want::Same; elements as usize] });
        slot
    }

    /// A random integer below `n`.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((z ^ (z >> 31)) >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A random number in [-1, 1).
    pub(super) fn uniform(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Sets a word of a slot.
    pub(super) fn put_bits(&mut self, slot: Slot, at: u32, bits: u32) {
        self.content(slot).words[at as usize] = bits;
    }

    /// Sets a float of a slot.
    pub(super) fn put(&mut self, slot: Slot, at: u32, x: f32) {
        self.put_bits(slot, at, x.to_bits());
    }

    /// Sets the expected value of a word.
    pub(super) fn want(&mut self, slot: Slot, at: u32, want: Want) {
        self.content(slot).wants[at as usize] = want;
    }

    fn content(&mut self, slot: Slot) -> &mut Content {
        self.contents.get_mut(&slot).expect("a slot of this case")
    }

    /// Space for a matrix with rows padded to a multiple of 4, in a slot of its own; contains garbage.
    pub(super) fn blank(&mut self, name: &str, rows: u32, cols: u32) -> Matrix {
        let ld = cols.next_multiple_of(4);
        let slot = self.slot(name, BEFORE + (rows + 2) * ld + 5);
        self.blank_at(slot, BEFORE, [rows, cols, ld])
    }

    /// Space for a matrix in a slot; its contents are left as they are.
    pub(super) fn blank_at(&mut self, slot: Slot, offset: u32, [rows, cols, ld]: [u32; 3]) -> Matrix {
        Matrix { slot, offset, rows, cols, ld, data: vec![f64::NAN; (rows * cols) as usize] }
    }

    /// A random matrix in a slot of its own, with zero padding.
    pub(super) fn matrix(&mut self, name: &str, rows: u32, cols: u32) -> Matrix {
        let blank = self.blank(name, rows, cols);
        self.matrix_at(blank.slot, blank.offset, [rows, cols, blank.ld])
    }

    /// A random matrix in a slot. Its columns are padded with zeros to a multiple of 4; up to `ld` the garbage stays.
    pub(super) fn matrix_at(&mut self, slot: Slot, offset: u32, shape: [u32; 3]) -> Matrix {
        let mut m = self.blank_at(slot, offset, shape);
        for r in 0..m.rows {
            for c in 0..m.cols {
                let x = self.uniform();
                self.set(&mut m, r, c, x);
            }
            for c in m.cols..m.cols.next_multiple_of(4).min(m.ld) {
                self.put(slot, m.index(r, c), 0.0);
            }
        }
        m
    }

    /// Replaces a value of a matrix.
    pub(super) fn set(&mut self, m: &mut Matrix, r: u32, c: u32, x: f32) {
        m.data[(r * m.cols + c) as usize] = f64::from(x);
        self.put(m.slot, m.index(r, c), x);
    }

    /// Multiplies a matrix.
    pub(super) fn scale(&mut self, m: &mut Matrix, factor: f32) {
        for r in 0..m.rows {
            for c in 0..m.cols {
                self.set(m, r, c, m.at(r, c) as f32 * factor);
            }
        }
    }

    /// Expects a matrix to hold these values after the run, with zero padding.
    pub(super) fn expect(&mut self, m: &Matrix, f: impl Fn(u32, u32) -> f64) {
        self.expect_each(m, |r, c| Want::Near(f(r, c)));
    }

    /// Like [`Case::expect`], with any [`Want`].
    pub(super) fn expect_each(&mut self, m: &Matrix, f: impl Fn(u32, u32) -> Want) {
        for r in 0..m.rows {
            for c in 0..m.cols.next_multiple_of(4).min(m.ld) {
                self.want(m.slot, m.index(r, c), if c < m.cols { f(r, c) } else { Want::Zero });
            }
        }
    }
}
