//! The numbers that belong to each step and lane of a segment, as the words that a model reads.

use crate::error::Result;
use crate::kernels::gather_backward::sort_by_token;
use crate::model::record::InputPlaces;
use std::ops::Range;

/// The inputs of a segment, ready for upload.
#[derive(Debug, Clone)]
pub struct SegmentInputs {
    /// Words in the order of [`InputPlaces`].
    pub words: Vec<u32>,
}

impl SegmentInputs {
    /// Completes the words of `rows` rows by the list of rows sorted by token.
    pub fn sorted(mut words: Vec<u32>, places: &InputPlaces, rows: usize) -> Self {
        let list = sort_by_token(&words[places.tokens() as usize..][..rows], places.vocab);
        words.truncate(places.starts() as usize);
        words.extend(list);
        SegmentInputs { words }
    }
}

/// What belongs to one step of one lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub token: u32,
    pub target: u32,
    /// 0 where a new sequence begins, else 1.
    pub keep: f32,
    /// Scale of the gradient that flows from this step back to the one before.
    pub xi: f32,
    /// Weight of the loss.
    pub weight: f32,
}

/// A segment that is filled step by step and lane by lane. What is not set is idle: it is not scored, and its state is zero.
pub(super) struct Grid<'a> {
    words: Vec<u32>,
    places: &'a InputPlaces,
    steps: Range<u32>,
    lanes: u32,
}

impl<'a> Grid<'a> {
    pub(super) fn new(places: &'a InputPlaces, steps: Range<u32>, lanes: u32) -> Self {
        Grid { words: vec![0; places.words() as usize], places, steps, lanes }
    }

    /// Sets step t (counted as the segment's steps are) of lane b.
    pub(super) fn set(&mut self, t: u32, b: u32, cell: Cell) {
        let row = (t - self.steps.start) * self.lanes + b;
        let p = self.places;
        for (place, word) in [
            (p.tokens(), cell.token),
            (p.targets(), cell.target),
            (p.keep(), cell.keep.to_bits()),
            (p.xi(), cell.xi.to_bits()),
            (p.weights(), cell.weight.to_bits()),
        ] {
            self.words[(place + row) as usize] = word;
        }
    }

    pub(super) fn finish(self) -> SegmentInputs {
        SegmentInputs::sorted(self.words, self.places, ((self.steps.end - self.steps.start) * self.lanes) as usize)
    }
}

/// A window whose every number is given: for gradient checks and own data. All are `[T, B]`, time-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    /// B.
    pub lanes: u32,
    /// Input symbols.
    pub tokens: Vec<u32>,
    /// Symbols to predict.
    pub targets: Vec<u32>,
    /// 0 where a new sequence begins, else 1.
    pub keep: Vec<f32>,
    /// Scale of the gradient that flows from a step back to the one before.
    pub xi: Vec<f32>,
    /// Weight of a step's loss.
    pub weights: Vec<f32>,
}

impl Given {
    /// The inputs of the steps in `range`.
    ///
    /// # Errors
    /// None; it has the form of the other sources of inputs.
    pub fn inputs(&self, places: &InputPlaces, range: Range<u32>) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), self.lanes);
        for t in range {
            for b in 0..self.lanes {
                let i = (t * self.lanes + b) as usize;
                let cell = Cell { token: self.tokens[i], target: self.targets[i], keep: self.keep[i], xi: self.xi[i], weight: self.weights[i] };
                grid.set(t, b, cell);
            }
        }
        Ok(grid.finish())
    }
}
