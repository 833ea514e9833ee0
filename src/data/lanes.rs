//! A stream of symbols laid out as contiguous lanes that are trained side by side.

use crate::error::{Error, Result};
use crate::kernels::gather_backward::sort_by_token;
use crate::model::record::InputPlaces;
use std::ops::Range;

/// B lanes of L steps over a stream: lane b reads symbols `bL..` and predicts the one behind each.
#[derive(Debug, Clone)]
pub struct Lanes {
    tokens: Vec<u32>,
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
    pub fn new(tokens: Vec<u32>, lanes: u32, what: &str) -> Result<Self> {
        let steps = (tokens.len() as u64).saturating_sub(1) / u64::from(lanes);
        let short =
            || Error::Input(format!("{what} has {} characters, too short for {lanes} lanes: at least {} are needed; lower --batch", tokens.len(), lanes + 1));
        let steps = u32::try_from(steps).ok().filter(|s| *s > 0).ok_or_else(short)?;
        Ok(Lanes { tokens, lanes, steps, warm_up: 0 })
    }

    /// Lays out a stream for evaluation, every symbol but the first scored once: lanes overlap by `warm_up` steps which are read
    /// and not scored, so that a lane starts from a state that has forgotten its zero start.
    ///
    /// # Errors
    /// [`Error::Input`] if there is nothing to score.
    pub fn overlapping(tokens: Vec<u32>, lanes: u32, warm_up: u32, what: &str) -> Result<Self> {
        let scored = (tokens.len() as u64).saturating_sub(1);
        let share = u32::try_from(scored.div_ceil(u64::from(lanes))).ok().filter(|s| *s > 0);
        let short = || Error::Input(format!("{what} has {} characters; at least 2 are needed", tokens.len()));
        Ok(Lanes { steps: share.ok_or_else(short)? + warm_up, tokens, lanes, warm_up })
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
        (0..self.lanes).flat_map(|b| steps.clone().map(move |t| (t, b))).filter(|&(t, b)| self.at(t, b).is_some_and(|(_, live)| live)).count() as u64
    }

    /// Place of step t of lane b in the stream and whether it is scored; none where the lane is idle.
    fn at(&self, t: u32, b: u32) -> Option<(usize, bool)> {
        let (t, b, share, warm) = (t as usize, b as usize, (self.steps - self.warm_up) as usize, self.warm_up as usize);
        let place = (b * share + t).checked_sub(warm)?;
        (place + 1 < self.tokens.len()).then_some((place, t >= warm))
    }

    /// The inputs of the steps in `range`, a segment, as the words that a model reads; `edges` gives keep and xi of step t.
    pub fn inputs(&self, places: &InputPlaces, range: Range<u32>, edges: impl Fn(u32) -> (f32, f32)) -> SegmentInputs {
        let mut words = vec![0u32; places.words() as usize];
        let mut row = 0;
        for t in range {
            let (keep, xi) = edges(t);
            for b in 0..self.lanes {
                let set = |words: &mut Vec<u32>, place: u32, value: u32| words[place as usize + row] = value;
                let at = self.at(t, b);
                if let Some((place, live)) = at {
                    set(&mut words, places.tokens(), self.tokens[place]);
                    set(&mut words, places.targets(), self.tokens[place + 1]);
                    set(&mut words, places.weights(), f32::from(u8::from(live)).to_bits());
                }
                // The stream's first step starts from zero, in whichever lane it is read.
                let keep = if at.is_none_or(|(place, _)| place == 0) { 0.0 } else { keep };
                set(&mut words, places.keep(), keep.to_bits());
                set(&mut words, places.xi(), xi.to_bits());
                row += 1;
            }
        }
        SegmentInputs::sorted(words, places, row)
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
    pub fn inputs(&self, places: &InputPlaces, range: Range<u32>) -> SegmentInputs {
        let rows = (range.start * self.lanes) as usize..(range.end * self.lanes) as usize;
        let mut words = vec![0u32; places.words() as usize];
        let mut put = |place: u32, values: &[u32]| words[place as usize..][..rows.len()].copy_from_slice(&values[rows.clone()]);
        put(places.tokens(), &self.tokens);
        put(places.targets(), &self.targets);
        put(places.keep(), bytemuck::cast_slice(&self.keep));
        put(places.xi(), bytemuck::cast_slice(&self.xi));
        put(places.weights(), bytemuck::cast_slice(&self.weights));
        SegmentInputs::sorted(words, places, rows.len())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lanes: &Lanes, range: Range<u32>) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let rows = (range.end - range.start) * lanes.lanes();
        let places = InputPlaces { rows: rows.next_multiple_of(4), vocab: 100 };
        let w = lanes.inputs(&places, range, |_| (1.0, 1.0)).words;
        let cut = |at: u32| w[at as usize..][..rows as usize].to_vec();
        (cut(places.tokens()), cut(places.targets()), cut(places.weights()).into_iter().map(f32::from_bits).collect())
    }

    #[test]
    fn lanes_are_contiguous_and_time_major() {
        let lanes = Lanes::new((0..12).collect(), 3, "text").unwrap();
        assert_eq!(lanes.steps(), 3);
        let (tokens, targets, weights) = words(&lanes, 1..3);
        assert_eq!(tokens, [1, 4, 7, 2, 5, 8]);
        assert_eq!(targets, [2, 5, 8, 3, 6, 9]);
        assert_eq!(weights, [1.0; 6]);
    }

    #[test]
    fn overlapping_lanes_score_every_symbol_once() {
        for (n, b, warm) in [(50, 4, 3), (50, 1, 3), (7, 8, 2), (2, 3, 5), (51, 5, 0)] {
            let lanes = Lanes::overlapping((0..n).collect(), b, warm, "text").unwrap();
            let (tokens, targets, weights) = words(&lanes, 0..lanes.steps());
            let mut scored: Vec<u32> = targets.iter().zip(&weights).filter(|(_, w)| **w == 1.0).map(|(t, _)| *t).collect();
            scored.sort_unstable();
            assert_eq!(scored, (1..n).collect::<Vec<_>>(), "{n} {b} {warm}");
            assert_eq!(lanes.scored(0..lanes.steps()), u64::from(n - 1));
            assert!(tokens.iter().zip(&targets).zip(&weights).all(|((x, y), w)| *w == 0.0 || x + 1 == *y));
        }
    }

    #[test]
    fn too_short_a_stream_is_refused_with_the_length_needed() {
        let e = Lanes::new(vec![0; 32], 32, "text").unwrap_err().to_string();
        assert!(e.contains("at least 33"), "{e}");
    }
}
