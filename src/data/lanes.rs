//! A stream laid out as contiguous lanes that are read side by side.

use super::content::Target;
use super::inputs::{Cell, Grid};
use super::{Content, SegmentInputs};
use crate::error::{Error, Result};
use crate::model::record::InputLayout;
use std::ops::Range;

/// B lanes of L steps over a stream: lane b reads the positions from `bL` on and predicts what follows each.
#[derive(Clone)]
pub struct Lanes {
    content: Content,
    /// The positions of the stream within the content.
    stream: Range<u64>,
    lanes: u32,
    steps: u32,
}

impl Lanes {
    /// Lays out a stream for training. A remainder that doesn't fill the lanes evenly is dropped at the end.
    ///
    /// # Errors
    /// [`Error::Input`] if there is less than one step per lane.
    pub fn new(content: impl Into<Content>, stream: Range<u64>, lanes: u32) -> Result<Self> {
        let content = content.into();
        let len = stream.end - stream.start;
        let steps = len.saturating_sub(content.ahead().into()) / u64::from(lanes);
        if steps == 0 {
            return Err(Error::Input(format!(
                "{} has {len} {} to train on, too short for {lanes} lanes: at least {} are needed; lower `batch`",
                content.name(),
                content.unit(),
                lanes + content.ahead()
            )));
        }
        let steps = u32::try_from(steps)
            .map_err(|_| Error::Input(format!("{} is too long for {lanes} lanes: a lane has at most {} steps; raise `batch`", content.name(), u32::MAX)))?;
        Ok(Lanes { content, stream, lanes, steps })
    }

    /// L: steps per lane.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// B: number of lanes.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Number of scored (step, lane) pairs in a range of steps.
    pub fn scored(&self, steps: Range<u32>) -> u64 {
        u64::from(steps.end.min(self.steps).saturating_sub(steps.start)) * u64::from(self.lanes)
    }

    /// The inputs of the steps in `range`, a segment, as the words that a model reads; `edge` returns keep, xi and weight of step t.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn inputs(&self, places: &InputLayout, range: Range<u32>, edge: impl Fn(u32) -> (f32, f32, f32)) -> Result<SegmentInputs> {
        self.inputs_of(0..self.lanes, places, range, edge)
    }

    /// Like [`Lanes::inputs`], of some lanes only.
    ///
    /// # Errors
    /// As there.
    pub fn inputs_of(&self, lanes: Range<u32>, places: &InputLayout, range: Range<u32>, edge: impl Fn(u32) -> (f32, f32, f32)) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), lanes.end - lanes.start);
        let first = lanes.start;
        for b in lanes {
            let place = u64::from(b) * u64::from(self.steps) + u64::from(range.start);
            self.content.fill(&mut grid, (range.clone(), b - first), (self.stream.start + place) as i64, 0, Target::Ahead(1))?;
            for t in range.clone() {
                let (keep, xi, weight) = edge(t);
                // The stream's first step always starts from a zero state.
                let keep = if b == 0 && t == 0 { 0.0 } else { keep };
                grid.set(t, b - first, Cell { keep, xi, weight });
            }
        }
        Ok(grid.finish())
    }
}

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
        let places = InputLayout::new(&Config::symbols(256), rows);
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
    fn too_short_a_stream_is_refused_with_the_length_needed() {
        let (symbols, all) = counting(32);
        let e = Lanes::new(symbols, all, 32).err().unwrap().to_string();
        assert!(e.contains("at least 33"), "{e}");
    }
}
