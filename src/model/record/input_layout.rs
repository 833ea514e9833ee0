//! Layout of a segment's inputs.

use crate::dims::pad4;
use crate::model::{Config, Input, Output};

/// Offsets of a segment's inputs within their slot, in words, for R rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputLayout {
    /// R, padded to a multiple of 4.
    pub rows: u32,
    /// The model's input.
    pub input: Input,
    /// The model's output.
    pub output: Output,
}

impl InputLayout {
    /// The layout of `rows` rows.
    pub fn new(config: &Config, rows: u32) -> Self {
        InputLayout { rows: pad4(rows), input: config.input, output: config.output }
    }

    /// Elements from one row of numeric inputs to the next; 0 for symbols.
    pub fn numbers_ld(&self) -> u32 {
        pad4(self.input.numbers())
    }
    /// `[R]` u32: symbols.
    pub fn tokens(&self) -> u32 {
        0
    }
    /// `[R,D]` f32: numbers, in place of symbols.
    pub fn numbers(&self) -> u32 {
        0
    }
    /// `[R]` u32: classes.
    pub fn targets(&self) -> u32 {
        self.rows * self.numbers_ld().max(1)
    }
    /// `[V,R]` f32: numbers, in place of classes.
    pub fn wanted(&self) -> u32 {
        self.targets()
    }
    /// `[R]` f32.
    pub fn keep(&self) -> u32 {
        self.targets() + self.rows * self.output.numbers().max(1)
    }
    /// `[R]` f32.
    pub fn xi(&self) -> u32 {
        self.keep() + self.rows
    }
    /// `[R]` f32.
    pub fn weights(&self) -> u32 {
        self.keep() + 2 * self.rows
    }
    /// For symbol inputs: one start per symbol and one more, then the rows sorted by symbol.
    pub fn starts(&self) -> u32 {
        self.keep() + 3 * self.rows
    }
    /// Total number of words.
    pub fn words(&self) -> u32 {
        self.starts() + if self.input.symbols() > 0 { self.rows + self.input.symbols() + 1 } else { 0 }
    }

    /// Maximum words per row.
    pub fn words_per_row(config: &Config) -> u64 {
        4 + u64::from(pad4(config.input.numbers()).max(1)) + u64::from(config.output.numbers().max(1))
    }
}
