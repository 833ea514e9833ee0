//! Windows of equal length that end at chosen positions of a text, one per lane: for measuring the losses of single steps.

use super::inputs::{Cell, Grid};
use super::{SegmentInputs, Sequences, Symbols};
use crate::error::{Error, Result};
use crate::model::record::InputLayout;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;
use std::sync::Arc;

/// The end of a lane's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The position after the symbol that the first step of the sequence or text reads: mostly the one that it predicts.
    pub first: u64,
    /// The same for the window's last step.
    pub last: u64,
}

impl End {
    /// Steps from the start of the sequence to the window's last step: a longer window reads nothing more.
    pub fn depth(&self) -> u64 {
        self.last - self.first
    }
}

/// Positions of a text at which windows may end.
pub struct Ends {
    symbols: Arc<Symbols>,
    /// The symbol that the first step reads if a sequence begins the text.
    before: u32,
    /// Distance from the symbol that a step reads to the one that it predicts.
    ahead: usize,
    /// The sampled positions.
    list: Vec<End>,
}

impl Ends {
    /// `count` positions of a stream: evenly spaced, each shifted at random by less than the spacing, with at least `lags` steps before each.
    ///
    /// # Errors
    /// [`Error::Input`] if the text is too short.
    pub fn of_stream(symbols: Arc<Symbols>, count: u32, lags: u32, seed: u64) -> Result<Self> {
        let least = 1 + u64::from(lags);
        let there = symbols.len().saturating_sub(least);
        if there == 0 {
            return Err(Error::Input(format!(
                "{} has {} {}; lags of up to {lags} steps need at least {}; lower `lags`, or give a longer text",
                symbols.text().name,
                symbols.len(),
                symbols.unit(),
                least + 1
            )));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let place = |i: u32| least + ((f64::from(i) + rng.random::<f64>()) / f64::from(count) * there as f64) as u64;
        let list = (0..count).map(place).map(|last| End { first: 1, last: last.min(symbols.len() - 1) }).collect();
        Ok(Ends { symbols, before: 0, ahead: 1, list })
    }

    /// `count` positions in sequences spread evenly over the text, each at a step sampled among the scored ones. Lags reach back to the start of the sequence.
    ///
    /// # Errors
    /// [`Error::Input`] if no sequence is longer than `lags`.
    pub fn of_sequences(sequences: &Sequences, count: u32, lags: u32, seed: u64) -> Result<Self> {
        let Some(symbols) = sequences.content().symbols().cloned() else {
            return Err(Error::Usage(format!("{} has no symbols; only windows of texts can be looked at", sequences.content().name())));
        };
        if sequences.longest() <= lags {
            return Err(Error::Input(format!(
                "the longest sequence of {} has {} steps; lags of up to {lags} need one of {}; lower `lags`, or give `stream` to read on over separators",
                symbols.text().name,
                sequences.longest(),
                lags + 1
            )));
        }
        let list = sequences.list();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let place = |i: u32| {
            let s = list[((f64::from(i) + rng.random::<f64>()) / f64::from(count) * list.len() as f64) as usize % list.len()];
            let last = s.start + u64::from(rng.random_range(s.len - sequences.scored_of(&s)..s.len));
            // The separator implied by the end of the text has no position.
            End { first: s.start, last: last.min(symbols.len() - 1) }
        };
        let list = (0..count).map(place).collect();
        Ok(Ends { symbols, before: sequences.before(), ahead: sequences.ahead() as usize, list })
    }

    /// All positions.
    pub fn list(&self) -> &[End] {
        &self.list
    }

    /// The inputs of the steps in `range` of windows of `steps` steps that end at `which`, one per
    /// lane; `weight` returns the loss weight of a step. Steps before a lane's first symbol are idle.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn inputs(&self, which: &[End], steps: u32, places: &InputLayout, range: Range<u32>, weight: impl Fn(u32) -> f32) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), which.len() as u32);
        let mut read = Vec::new();
        for (b, end) in (0..).zip(which) {
            // Step t reads the symbol before last - (steps - 1 - t).
            let idle = u64::from(steps).saturating_sub(1 + end.depth()).min(u64::from(range.end)) as u32;
            let live = range.start.max(idle)..range.end;
            if live.is_empty() {
                continue;
            }
            let from = end.last - u64::from(steps - 1 - live.start);
            read.resize((live.end - live.start) as usize + self.ahead, 0);
            if from == 0 {
                read[0] = self.before;
                self.symbols.read(0, &mut read[1..])?;
            } else {
                self.symbols.read(from - 1, &mut read)?;
            }
            for (t, (&token, &target)) in live.clone().zip(read.iter().zip(&read[self.ahead..])) {
                let keep = if from + u64::from(t - live.start) == end.first { 0.0 } else { 1.0 };
                grid.token(t, b, token);
                grid.target(t, b, target);
                grid.set(t, b, Cell { keep, xi: 1.0, weight: weight(t) });
            }
        }
        Ok(grid.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Text};

    #[test]
    fn windows_end_where_they_should() {
        let text: String = ('a'..='z').collect();
        let symbols = Arc::new(Symbols::new(Text::given("t", text), Kind::Characters).unwrap());
        let ends = Ends::of_stream(symbols, 4, 5, 1).unwrap();
        assert!(ends.list().iter().all(|e| e.first == 1 && (6..26).contains(&e.last)), "{:?}", ends.list());
        let which = [End { first: 1, last: 25 }, End { first: 1, last: 2 }, End { first: 10, last: 12 }];
        let places = InputLayout::new(&crate::model::Config::symbols(26), 12);
        let words = ends.inputs(&which, 6, &places, 2..6, |t| if t == 5 { 1.0 } else { 0.0 }).unwrap().words;
        let column = |place: u32, b: usize| (0..4).map(|t| words[place as usize + t * 3 + b]).collect::<Vec<u32>>();
        assert_eq!(column(places.tokens(), 0), [21, 22, 23, 24]);
        assert_eq!(column(places.targets(), 0), [22, 23, 24, 25]);
        assert_eq!(column(places.targets(), 1), [0, 0, 1, 2]);
        assert_eq!(column(places.keep(), 1).into_iter().map(f32::from_bits).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(column(places.keep(), 2).into_iter().map(f32::from_bits).collect::<Vec<_>>(), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(column(places.weights(), 2).into_iter().map(f32::from_bits).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_text_that_is_too_short_is_refused() {
        let symbols = Arc::new(Symbols::new(Text::given("book", "abcdef"), Kind::Characters).unwrap());
        assert!(Ends::of_stream(symbols.clone(), 4, 4, 1).is_ok());
        let e = Ends::of_stream(symbols.clone(), 4, 5, 1).err().unwrap().to_string();
        assert!(e.contains("book has 6 characters; lags of up to 5 steps need at least 7"), "{e}");
    }
}
