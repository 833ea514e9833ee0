//! A stream of symbols laid out as contiguous lanes that are read side by side.

use super::content::Target;
use super::inputs::{Cell, Grid};
use super::{Content, SegmentInputs};
use crate::error::{Error, Result};
use crate::model::record::InputPlaces;
use std::ops::Range;

/// B lanes of L steps over a stream: lane b reads places `bL..` and predicts what lies behind each.
#[derive(Clone)]
pub struct Lanes {
    content: Content,
    /// The stream's part of its places.
    stream: Range<u64>,
    lanes: u32,
    steps: u32,
    /// Steps at the head of every lane but the first that belong to the lane before: read, not scored.
    warm_up: u32,
}

impl Lanes {
    /// Lays out a stream for training; what doesn't fill the lanes evenly is left out at the end.
    ///
    /// # Errors
    /// [`Error::Input`] if there is less than one step for every lane.
    pub fn new(content: impl Into<Content>, stream: Range<u64>, lanes: u32) -> Result<Self> {
        let content = content.into();
        let len = stream.end - stream.start;
        let steps = len.saturating_sub(content.ahead().into()) / u64::from(lanes);
        if steps == 0 {
            return Err(Error::Input(format!(
                "{} has {len} {} to train on, too short for {lanes} lanes: at least {} are needed; lower --batch",
                content.name(),
                content.unit(),
                lanes + content.ahead()
            )));
        }
        let steps = u32::try_from(steps)
            .map_err(|_| Error::Input(format!("{} is too long for {lanes} lanes: a lane has at most {} steps; raise --batch", content.name(), u32::MAX)))?;
        Ok(Lanes { content, stream, lanes, steps, warm_up: 0 })
    }

    /// Lays out a stream for evaluation, every symbol but the first scored once: lanes overlap by `warm_up` steps which are read
    /// and not scored, so that a lane starts from a state that has forgotten its zero start. `lanes` are used of `all`; the others
    /// are idle.
    ///
    /// # Errors
    /// [`Error::Input`] if there is nothing to score.
    pub fn overlapping(content: impl Into<Content>, stream: Range<u64>, lanes: u32, all: u32, warm_up: u32) -> Result<Self> {
        let content = content.into();
        let (len, ahead) = (stream.end - stream.start, content.ahead());
        let scored = len.saturating_sub(ahead.into());
        let warm_up = if lanes == 1 { 0 } else { warm_up };
        let share = u32::try_from(scored.div_ceil(u64::from(lanes))).ok().filter(|s| *s > 0 && *s < u32::MAX - warm_up);
        let Some(share) = share else {
            let (what, unit) = (content.name(), content.unit());
            return Err(Error::Input(format!("{what} has {len} {unit} to evaluate; at least {} are needed for each lane", ahead + 1)));
        };
        Ok(Lanes { steps: share + warm_up, content, stream, lanes: all, warm_up })
    }

    /// Lanes of an evaluation: one as long as that is short, then more, so that what the warm-ups cost stays small.
    pub fn for_evaluation(scored: u64, most: u32) -> u32 {
        u32::try_from(scored / (2 * u64::from(WARM_UP))).unwrap_or(u32::MAX).clamp(1, most)
    }

    /// L: steps of a lane.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// B.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Steps and lanes that are scored in a range of steps.
    pub fn scored(&self, steps: Range<u32>) -> u64 {
        let scored = |b| {
            let live = self.live(b, steps.clone());
            u64::from(live.end.saturating_sub(live.start.max(self.warm_up)))
        };
        (0..self.lanes).map(scored).sum()
    }

    /// Bytes of the text that all that is predicted stands for; none where that is numbers.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn scored_bytes(&self) -> Result<Option<u64>> {
        let symbols = self.content.symbols();
        symbols.map(|s| s.bytes(self.stream.start + 1..self.stream.end)).transpose()
    }

    /// Place in the stream of step 0 of lane b; of the first lanes it may lie before the stream's start.
    fn origin(&self, b: u32) -> i64 {
        i64::from(b) * i64::from(self.steps - self.warm_up) - i64::from(self.warm_up)
    }

    /// The steps of a range at which lane b has something to read and to predict.
    fn live(&self, b: u32, steps: Range<u32>) -> Range<u32> {
        let (origin, len) = (self.origin(b), (self.stream.end - self.stream.start) as i64);
        let limit = |x: i64| x.clamp(i64::from(steps.start), i64::from(steps.end)) as u32;
        limit(-origin)..limit(len - i64::from(self.content.ahead()) - origin)
    }

    /// The inputs of the steps in `range`, a segment, as the words that a model reads; `edge` gives keep, xi and weight of step t.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn inputs(&self, places: &InputPlaces, range: Range<u32>, edge: impl Fn(u32) -> (f32, f32, f32)) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), self.lanes);
        for b in 0..self.lanes {
            let live = self.live(b, range.clone());
            if live.is_empty() {
                continue;
            }
            let place = self.origin(b) + i64::from(live.start);
            self.content.fill(&mut grid, (live.clone(), b), self.stream.start as i64 + place, 0, Target::Ahead(1))?;
            for t in live.clone() {
                let (keep, xi, weight) = edge(t);
                // The stream's first step starts from zero, in whichever lane it is read.
                let keep = if place + i64::from(t - live.start) == 0 { 0.0 } else { keep };
                let weight = if t >= self.warm_up { weight } else { 0.0 };
                grid.set(t, b, Cell { keep, xi, weight });
            }
        }
        Ok(grid.finish())
    }
}

/// Steps that a lane of an evaluation reads, unscored, before its part begins.
pub const WARM_UP: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Symbols, Text};
    use crate::model::Config;
    use std::sync::Arc;

    /// The bytes 0, 1, 2, ... as a stream.
    fn counting(n: u8) -> (Arc<Symbols>, Range<u64>) {
        let text = Text::given("text", (0..n).collect::<Vec<u8>>());
        (Arc::new(Symbols::new(text, Kind::Bytes).unwrap()), 0..u64::from(n))
    }

    fn words(lanes: &Lanes, range: Range<u32>) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let rows = (range.end - range.start) * lanes.lanes();
        let places = InputPlaces::new(&Config::symbols(256), rows);
        let w = lanes.inputs(&places, range, |_| (1.0, 1.0, 1.0)).unwrap().words;
        let cut = |at: u32| w[at as usize..][..rows as usize].to_vec();
        (cut(places.tokens()), cut(places.targets()), cut(places.weights()).into_iter().map(f32::from_bits).collect())
    }

    #[test]
    fn lanes_are_contiguous_and_time_major() {
        let (symbols, all) = counting(12);
        let lanes = Lanes::new(symbols, all, 3).unwrap();
        assert_eq!(lanes.steps(), 3);
        let (tokens, targets, weights) = words(&lanes, 1..3);
        assert_eq!(tokens, [1, 4, 7, 2, 5, 8]);
        assert_eq!(targets, [2, 5, 8, 3, 6, 9]);
        assert_eq!(weights, [1.0; 6]);
    }

    #[test]
    fn overlapping_lanes_score_every_symbol_once() {
        for (n, b, all, warm) in [(50, 4, 4, 3), (50, 1, 3, 3), (7, 8, 8, 2), (2, 3, 3, 5), (51, 5, 7, 0)] {
            let (symbols, stream) = counting(n);
            let lanes = Lanes::overlapping(symbols, stream, b, all, warm).unwrap();
            let (tokens, targets, weights) = words(&lanes, 0..lanes.steps());
            let mut scored: Vec<u32> = targets.iter().zip(&weights).filter(|(_, w)| **w == 1.0).map(|(t, _)| *t).collect();
            scored.sort_unstable();
            assert_eq!(scored, (1..u32::from(n)).collect::<Vec<_>>(), "{n} {b} {warm}");
            assert_eq!(lanes.scored(0..lanes.steps()), u64::from(n - 1));
            assert_eq!(lanes.scored(1..3), words(&lanes, 1..3.min(lanes.steps())).2.iter().sum::<f32>() as u64);
            assert!(tokens.iter().zip(&targets).zip(&weights).all(|((x, y), w)| *w == 0.0 || x + 1 == *y));
        }
    }

    #[test]
    fn too_short_a_stream_is_refused_with_the_length_needed() {
        let (symbols, all) = counting(32);
        let e = Lanes::new(symbols, all, 32).err().unwrap().to_string();
        assert!(e.contains("at least 33"), "{e}");
    }

    #[test]
    fn short_evaluations_take_one_lane() {
        assert_eq!([100, 1023, 1024, 10_000_000].map(|n| Lanes::for_evaluation(n, 32)), [1, 1, 2, 32]);
    }
}
