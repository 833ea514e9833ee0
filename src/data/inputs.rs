//! The numbers that belong to each step and lane of a segment, as the words that a model reads.

use crate::error::{Error, Result};
use crate::kernels::gather_backward::sort_by_token;
use crate::model::record::InputLayout;
use std::ops::Range;

/// The inputs of a segment, ready for upload.
#[derive(Debug, Clone)]
pub struct SegmentInputs {
    /// Words in the order of [`InputLayout`].
    pub words: Vec<u32>,
    /// B, where that is known: rows are laid out by it.
    pub(crate) lanes: Option<u32>,
}

impl SegmentInputs {
    /// Completes the words of `rows` rows by the list of rows sorted by symbol, where symbols are read.
    pub fn sorted(mut words: Vec<u32>, places: &InputLayout, rows: usize) -> Self {
        words.truncate(places.starts() as usize);
        if places.input.symbols() > 0 {
            let list = sort_by_token(&words[places.tokens() as usize..][..rows], places.input.symbols());
            words.extend(list);
        }
        SegmentInputs { words, lanes: None }
    }
}

/// What belongs to one step of one lane, besides what is read and predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
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
    places: &'a InputLayout,
    steps: Range<u32>,
    lanes: u32,
}

impl<'a> Grid<'a> {
    pub(super) fn new(places: &'a InputLayout, steps: Range<u32>, lanes: u32) -> Self {
        Grid { words: vec![0; places.words() as usize], places, steps, lanes }
    }

    /// The row of step t (counted as the segment's steps are) of lane b.
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

    /// It reads this symbol.
    pub(super) fn token(&mut self, t: u32, b: u32, symbol: u32) {
        let at = self.places.tokens() + self.row(t, b);
        self.words[at as usize] = symbol;
    }

    /// It is to predict this class.
    pub(super) fn target(&mut self, t: u32, b: u32, class: u32) {
        let at = self.places.targets() + self.row(t, b);
        self.words[at as usize] = class;
    }

    /// It reads these numbers, D of them.
    pub(super) fn read(&mut self, t: u32, b: u32, numbers: &[f32]) {
        let at = (self.places.numbers() + self.row(t, b) * self.places.numbers_ld()) as usize;
        self.words[at..at + numbers.len()].iter_mut().zip(numbers).for_each(|(word, n)| *word = n.to_bits());
    }

    /// It is to predict these numbers, V of them.
    pub(super) fn want(&mut self, t: u32, b: u32, numbers: &[f32]) {
        let first = self.places.wanted() + self.row(t, b);
        (first..).step_by(self.places.rows as usize).zip(numbers).for_each(|(at, n)| self.words[at as usize] = n.to_bits());
    }

    pub(super) fn finish(self) -> SegmentInputs {
        let rows = ((self.steps.end - self.steps.start) * self.lanes) as usize;
        SegmentInputs { lanes: Some(self.lanes), ..SegmentInputs::sorted(self.words, self.places, rows) }
    }
}

/// A window whose every number is given: for gradient checks and own data. All are `[T, B]`, time-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// B.
    pub lanes: u32,
    /// Input symbols.
    pub tokens: Vec<u32>,
    /// Input numbers in place of symbols, `[T, B, D]`.
    pub numbers: Vec<f32>,
    /// Classes to predict.
    pub targets: Vec<u32>,
    /// Numbers to predict in place of classes, `[T, B, V]`.
    pub wanted: Vec<f32>,
    /// 0 where a new sequence begins, else 1.
    pub keep: Vec<f32>,
    /// Scale of the gradient that flows from a step back to the one before.
    pub xi: Vec<f32>,
    /// Weight of a step's loss.
    pub weights: Vec<f32>,
}

impl Batch {
    /// The inputs of the steps in `range`.
    ///
    /// # Errors
    /// [`Error::Usage`] if a list is shorter than these steps and lanes need, if they are more than `places` hold, or if a symbol or a class is none
    /// of the model's.
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
        // The engine looks at classes.
        match self.tokens.get(first..end).filter(|_| read == 0).and_then(|t| t.iter().find(|t| **t >= places.input.symbols())) {
            Some(t) => wrong(format!("Batch::tokens has the symbol {t}; the model reads 0 to {}", places.input.symbols() - 1)),
            None => Ok(()),
        }
    }
}
