//! The inputs of each step and lane of a segment, as the words that a model reads.

use crate::error::{Error, Result};
use crate::kernels::gather_backward::sort_by_token;
use crate::model::record::InputLayout;
use std::ops::Range;

/// The inputs of a segment, ready for upload.
#[derive(Debug, Clone)]
pub struct SegmentInputs {
    /// Words in the order of [`InputLayout`].
    pub words: Vec<u32>,
    /// B, if known: the row layout depends on it.
    pub(crate) lanes: Option<u32>,
}

impl SegmentInputs {
    /// Completes the words of `rows` rows: if symbols are read, appends the rows sorted by symbol.
    pub fn sorted(mut words: Vec<u32>, places: &InputLayout, rows: usize) -> Self {
        words.truncate(places.starts() as usize);
        if places.input.symbols() > 0 {
            let list = sort_by_token(&words[places.tokens() as usize..][..rows], places.input.symbols());
            words.extend(list);
        }
        SegmentInputs { words, lanes: None }
    }
}

/// Flags and weights of one step of one lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    /// 0 if a new sequence begins here, else 1.
    pub keep: f32,
    /// Scale of the gradient that flows from this step to the previous one.
    pub xi: f32,
    /// Weight of its loss.
    pub weight: f32,
}

/// A segment, filled step by step and lane by lane. Unset steps are idle: not scored, with a state of zero.
pub(super) struct Grid<'a> {
    words: Vec<u32>,
    places: &'a InputLayout,
    steps: Range<u32>,
    lanes: u32,
}

impl<'a> Grid<'a> {
    pub(super) fn new(places: &'a InputLayout, steps: Range<u32>, lanes: u32) -> Self {
        Grid { words: vec![0; places.words() as usize], places, steps, lanes }
    }

    /// The row of step t, counted like the segment's steps, of lane b.
    fn row(&self, t: u32, b: u32) -> u32 {
        (t - self.steps.start) * self.lanes + b
    }

    /// Sets step t of lane b.
    pub(super) fn set(&mut self, t: u32, b: u32, cell: Cell) {
        let (row, p) = (self.row(t, b), self.places);
        for (place, number) in [(p.keep(), cell.keep), (p.xi(), cell.xi), (p.weights(), cell.weight)] {
            self.words[(place + row) as usize] = number.to_bits();
        }
    }

    /// Sets the input symbol.
    pub(super) fn token(&mut self, t: u32, b: u32, symbol: u32) {
        let at = self.places.tokens() + self.row(t, b);
        self.words[at as usize] = symbol;
    }

    /// Sets the target class.
    pub(super) fn target(&mut self, t: u32, b: u32, class: u32) {
        let at = self.places.targets() + self.row(t, b);
        self.words[at as usize] = class;
    }

    /// Sets the D input values.
    pub(super) fn read(&mut self, t: u32, b: u32, numbers: &[f32]) {
        let at = (self.places.numbers() + self.row(t, b) * self.places.numbers_ld()) as usize;
        self.words[at..at + numbers.len()].iter_mut().zip(numbers).for_each(|(word, n)| *word = n.to_bits());
    }

    /// Sets the V target values.
    pub(super) fn want(&mut self, t: u32, b: u32, numbers: &[f32]) {
        let first = self.places.wanted() + self.row(t, b);
        (first..).step_by(self.places.rows as usize).zip(numbers).for_each(|(at, n)| self.words[at as usize] = n.to_bits());
    }

    pub(super) fn finish(self) -> SegmentInputs {
        let rows = ((self.steps.end - self.steps.start) * self.lanes) as usize;
        SegmentInputs { lanes: Some(self.lanes), ..SegmentInputs::sorted(self.words, self.places, rows) }
    }
}

/// A window given in full, for gradient checks and custom data. All arrays are `[T, B]`, time-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// B: number of lanes.
    pub lanes: u32,
    /// Input symbols.
    pub tokens: Vec<u32>,
    /// Input values instead of symbols, `[T, B, D]`.
    pub numbers: Vec<f32>,
    /// Target classes.
    pub targets: Vec<u32>,
    /// Target values instead of classes, `[T, B, V]`.
    pub wanted: Vec<f32>,
    /// 0 if a new sequence begins, else 1.
    pub keep: Vec<f32>,
    /// Scale of the gradient that flows from a step to the previous one.
    pub xi: Vec<f32>,
    /// Weight of a step's loss.
    pub weights: Vec<f32>,
}

impl Batch {
    /// The inputs of the steps in `range`.
    ///
    /// # Errors
    /// [`Error::Usage`] if an array is too short for these steps and lanes, if they exceed the rows of `places`, or if a symbol or class is out of range.
    pub fn inputs(&self, places: &InputLayout, range: Range<u32>) -> Result<SegmentInputs> {
        self.check(places, &range)?;
        let mut grid = Grid::new(places, range.clone(), self.lanes);
        let (read, wanted) = (places.input.numbers() as usize, places.output.numbers() as usize);
        for t in range {
            for b in 0..self.lanes {
                let i = (t * self.lanes + b) as usize;
                match read {
                    0 => grid.token(t, b, self.tokens[i]),
                    d => grid.read(t, b, &self.numbers[i * d..][..d]),
                }
                match wanted {
                    0 => grid.target(t, b, self.targets[i]),
                    v => grid.want(t, b, &self.wanted[i * v..][..v]),
                }
                grid.set(t, b, Cell { keep: self.keep[i], xi: self.xi[i], weight: self.weights[i] });
            }
        }
        Ok(grid.finish())
    }

    fn check(&self, places: &InputLayout, range: &Range<u32>) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        let lanes = self.lanes as usize;
        let (first, end, rows) = (range.start as usize * lanes, range.end as usize * lanes, range.len() * lanes);
        if rows > places.rows as usize {
            return wrong(format!("{} steps of {lanes} lanes are more than the {} rows of a segment; give Batch the engine's lanes", range.len(), places.rows));
        }
        let (read, wanted) = (places.input.numbers() as usize, places.output.numbers() as usize);
        let symbols = if read == 0 { ("tokens", self.tokens.len(), end) } else { ("numbers", self.numbers.len(), end * read) };
        let classes = if wanted == 0 { ("targets", self.targets.len(), end) } else { ("wanted", self.wanted.len(), end * wanted) };
        let rest = [("keep", self.keep.len(), end), ("xi", self.xi.len(), end), ("weights", self.weights.len(), end)];
        for (name, found, expected) in [symbols, classes].into_iter().chain(rest) {
            if found < expected {
                return wrong(format!("Batch::{name} has {found} elements; steps up to {} of {lanes} lanes need {expected}", range.end));
            }
        }
        // The engine checks classes.
        match self.tokens.get(first..end).filter(|_| read == 0).and_then(|t| t.iter().find(|t| **t >= places.input.symbols())) {
            Some(t) => wrong(format!("Batch::tokens has the symbol {t}; the model reads 0 to {}", places.input.symbols() - 1)),
            None => Ok(()),
        }
    }
}
