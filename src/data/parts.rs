//! Splits streams into parts that are read side by side. Each part begins with unscored steps before its own that warm up the state.

use super::content::Target;
use super::inputs::{Cell, Grid};
use super::{Content, SegmentInputs, Table};
use crate::error::{Error, Result};
use crate::model::record::InputLayout;
use std::ops::Range;

/// Unscored warm-up steps before a part's own.
pub const WARM_UP: u32 = 256;

/// A part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The position that its first own step reads.
    pub start: u64,
    /// Unscored steps before its own; fewer where the stream begins.
    pub warm_up: u32,
    /// Its own steps.
    pub len: u32,
    /// Index of the part that ends where this one begins; `None` for the first of a stream.
    pub before: Option<usize>,
}

/// Parts of one or several streams. Steps are counted so that every part's own steps begin at step [`Parts::warm_up`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    list: Vec<Part>,
    lanes: u32,
    warm_up: u32,
}

impl Parts {
    /// Splits a stream into parts of equal length for evaluation; every position but
    /// the first is scored once. Uses `lanes` of `all` lanes; the others are idle.
    ///
    /// # Errors
    /// [`Error::Input`] if there is nothing to score.
    pub fn of_stream(content: &Content, stream: Range<u64>, lanes: u32, all: u32, warm_up: u32) -> Result<Self> {
        let (len, ahead) = (stream.end - stream.start, content.ahead());
        let scored = len.saturating_sub(ahead.into());
        let warm_up = if lanes == 1 { 0 } else { warm_up };
        let share = u32::try_from(scored.div_ceil(u64::from(lanes))).ok().filter(|s| *s > 0 && *s < u32::MAX - warm_up);
        let Some(share) = share else {
            let (what, unit) = (content.name(), content.unit());
            return Err(Error::Input(format!("{what} has {len} {unit} to evaluate; at least {} are needed for each lane", ahead + 1)));
        };
        let list = cut(stream.start..stream.start + scored, stream.start, share, warm_up, 0);
        Ok(Parts { list, lanes: all, warm_up })
    }

    /// Splits `rows` of each series of a table into parts of at most `most` rows, to be read in `lanes` lanes. Rows before them warm up the state too.
    pub fn of_table(table: &Table, rows: &[Range<usize>], most: u32, lanes: u32) -> Self {
        let mut list = Vec::new();
        for (group, rows) in table.sheet.groups.iter().zip(rows) {
            list.extend(cut(rows.start as u64..rows.end as u64, group.rows.start as u64, most, WARM_UP, list.len()));
        }
        Parts { list, lanes, warm_up: WARM_UP }
    }

    /// Uses one lane per part, but at most `most`.
    pub fn fit_lanes(&mut self, most: usize) {
        self.lanes = self.list.len().clamp(1, most) as u32;
    }

    /// Number of lanes for an evaluation: one if it is short, more if it is long enough that warm-ups cost little.
    pub fn lanes_for(scored: u64, most: u32) -> u32 {
        u32::try_from(scored / (2 * u64::from(WARM_UP))).unwrap_or(u32::MAX).clamp(1, most)
    }

    /// The parts.
    pub fn list(&self) -> &[Part] {
        &self.list
    }

    /// B: number of lanes.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// The step at which a part's own steps begin.
    pub fn warm_up(&self) -> u32 {
        self.warm_up
    }

    /// The step after the last of the longest part.
    pub fn steps(&self) -> u32 {
        self.warm_up + self.list.iter().map(|p| p.len).max().unwrap_or(0)
    }

    /// Number of scored steps.
    pub fn scored(&self) -> u64 {
        self.list.iter().map(|p| u64::from(p.len)).sum()
    }

    /// Bytes of text that the predicted symbols stand for; `None` for values.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn scored_bytes(&self, content: &Content) -> Result<Option<u64>> {
        let Some(symbols) = content.symbols() else { return Ok(None) };
        self.list.iter().map(|p| symbols.bytes(p.start + 1..p.start + 1 + u64::from(p.len))).sum::<Result<u64>>().map(Some)
    }

    /// The steps in a range at which a part reads something.
    pub fn live(&self, part: usize, steps: &Range<u32>) -> Range<u32> {
        let p = &self.list[part];
        let start = (self.warm_up - p.warm_up).clamp(steps.start, steps.end);
        start..(self.warm_up + p.len).clamp(start, steps.end)
    }

    /// The position that a part reads at a step.
    pub fn place(&self, part: usize, step: u32) -> u64 {
        self.list[part].start + u64::from(step) - u64::from(self.warm_up)
    }

    /// Whether a part has read something before a step.
    pub fn goes_on(&self, part: usize, step: u32) -> bool {
        step > self.warm_up - self.list[part].warm_up
    }

    /// The inputs of the steps in `range`, a segment, as the words that a model reads. Each lane reads the named part, or is idle. Parts begin from a zero
    /// state, but if `goes_on`, their first own step continues from the current state.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn inputs(&self, content: &Content, places: &InputLayout, lanes: &[Option<usize>], range: Range<u32>, goes_on: bool) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), lanes.len() as u32);
        for (b, part) in (0..).zip(lanes) {
            let Some(part) = *part else { continue };
            let live = self.live(part, &range);
            if live.is_empty() {
                continue;
            }
            content.fill(&mut grid, (live.clone(), b), self.place(part, live.start) as i64, 0, Target::Ahead(1))?;
            for t in live {
                let keep = f32::from(u8::from(goes_on || self.goes_on(part, t)));
                grid.set(t, b, Cell { keep, xi: 0.0, weight: f32::from(u8::from(t >= self.warm_up)) });
            }
        }
        Ok(grid.finish())
    }
}

/// Splits `places` of a stream that begins at `origin` into parts of at most `most`; `first` is the index of the first.
fn cut(places: Range<u64>, origin: u64, most: u32, warm_up: u32, first: usize) -> Vec<Part> {
    let part = |(i, start): (usize, u64)| Part {
        start,
        warm_up: u64::from(warm_up).min(start - origin) as u32,
        len: u64::from(most).min(places.end - start) as u32,
        before: i.checked_sub(1).map(|i| first + i),
    };
    places.clone().step_by(most as usize).enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Symbols, Text};
    use crate::model::Config;
    use std::sync::Arc;

    /// The bytes 0, 1, 2, ... as a stream.
    fn counting(n: u8) -> (Content, Range<u64>) {
        let text = Text::given("text", (0..n).collect::<Vec<u8>>());
        (Arc::new(Symbols::new(text, Kind::Bytes).unwrap()).into(), 0..u64::from(n))
    }

    #[test]
    fn every_place_is_scored_once_and_parts_follow_each_other() {
        for (n, b, all, warm) in [(50, 4, 4, 3), (50, 1, 3, 3), (7, 8, 8, 2), (2, 3, 3, 5), (51, 5, 7, 0)] {
            let (content, stream) = counting(n);
            let parts = Parts::of_stream(&content, stream, b, all, warm).unwrap();
            let mut lanes: Vec<Option<usize>> = (0..parts.list().len()).map(Some).collect();
            lanes.resize(all as usize, None);
            let rows = parts.steps() * all;
            let places = InputLayout::new(&Config::symbols(256), rows);
            let words = parts.inputs(&content, &places, &lanes, 0..parts.steps(), false).unwrap().words;
            let column = |at: u32| &words[at as usize..][..rows as usize];
            let (tokens, targets, weights) = (column(places.tokens()), column(places.targets()), column(places.weights()));
            let mut scored: Vec<u32> = targets.iter().zip(weights).filter(|(_, w)| **w == 1f32.to_bits()).map(|(t, _)| *t).collect();
            scored.sort_unstable();
            assert_eq!(scored, (1..u32::from(n)).collect::<Vec<_>>(), "{n} {b} {warm}");
            assert_eq!(parts.scored(), u64::from(n - 1));
            assert!(tokens.iter().zip(targets).zip(weights).all(|((x, y), w)| *w == 0 || x + 1 == *y));
            for (i, p) in parts.list().iter().enumerate() {
                assert_eq!(p.before, i.checked_sub(1));
                assert!(p.before.is_none_or(|b| parts.list()[b].start + u64::from(parts.list()[b].len) == p.start));
                assert!(p.start >= p.warm_up.into() && p.warm_up == u64::from(parts.warm_up()).min(p.start) as u32);
            }
        }
    }

    #[test]
    fn short_evaluations_take_one_lane() {
        assert_eq!([100, 1023, 1024, 10_000_000].map(|n| Parts::lanes_for(n, 32)), [1, 1, 2, 32]);
    }
}
