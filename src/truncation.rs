//! Truncation strategies: where windows end, and how gradients are scaled at each step back.
//!
//! Strategies differ only in this: `xi_t` scales the gradient that flows from step t to the previous one, and is 0 at a
//! cut. Randomized truncation scales what it does not cut so that the expectation of xi, given the earlier cuts, is 1: then
//! the mean of the sum of a stream's window gradients is the full gradient, if each is divided by the same constant N.

use crate::error::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A truncation strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truncation {
    /// The whole lane or sequence is one window.
    Full,
    /// Consecutive windows of this many steps, with the state carried over; the last may be shorter.
    Regular(u32),
    /// An update every `k1` steps that reaches back `k2 > k1`, with the loss of the last `k1`.
    Overlapping {
        /// Steps from one update to the next.
        k1: u32,
        /// Steps that an update reaches back.
        k2: u32,
    },
    /// At each step the gradient continues with this probability, scaled by its inverse, and is cut otherwise.
    Random(f64),
    /// A cut has probability (ALPHA - 1) / ((ALPHA - 2) L0 + d) at distance d from the last: mean length L0, polynomial weights.
    RandomTail {
        /// Mean length on an endless stream.
        mean: f64,
        /// Exponent.
        alpha: f64,
    },
}

impl Default for Truncation {
    fn default() -> Self {
        Truncation::Regular(64)
    }
}

impl FromStr for Truncation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Usage(format!("truncation `{text}`: {why}"));
        let (name, numbers) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let numbers: Option<Vec<&str>> = numbers.map(|n| n.split(',').collect());
        let often = |t: Truncation| {
            let goes_on = 1.0 - t.cut_probability(1);
            if goes_on < 1e-6 {
                Err(wrong("it would cut at practically every step; expected a gradient that goes on at least once in a million steps"))
            } else {
                Ok(t)
            }
        };
        match (name, numbers.as_deref()) {
            ("full", None) => Ok(Truncation::Full),
            ("regular", Some([tau])) => {
                whole(tau).map(Truncation::Regular).ok_or_else(|| wrong("expected regular:TAU with TAU a whole number of at least 1 step"))
            }
            ("regular", Some([k1, k2])) => match (whole(k1), whole(k2)) {
                (Some(k1), Some(k2)) if k1 == k2 => Ok(Truncation::Regular(k1)),
                (Some(k1), Some(k2)) if k1 < k2 => Ok(Truncation::Overlapping { k1, k2 }),
                (Some(k1), Some(k2)) => Err(wrong(&format!(
                    "K1 {k1} is above K2 {k2}; expected regular:K1,K2 with K1 <= K2, since an update every K1 steps that reaches back less would leave losses out"
                ))),
                _ => Err(wrong("expected regular:K1,K2 with whole numbers of at least 1 step")),
            },
            ("random", Some([pi])) => match pi.parse::<f64>() {
                Ok(pi) if pi > 0.0 && pi <= 1.0 => often(Truncation::Random(pi)),
                _ => Err(wrong("expected random:PI with PI above 0 and at most 1, the probability that the gradient goes on at a step, such as random:0.95")),
            },
            ("random-tail", Some([mean, alpha])) => match (mean.parse::<f64>(), alpha.parse::<f64>()) {
                (Ok(mean), Ok(alpha)) if mean > 1.0 && mean.is_finite() && alpha > 2.0 && alpha.is_finite() => often(Truncation::RandomTail { mean, alpha }),
                (Ok(mean), Ok(_)) if mean.is_nan() || mean <= 1.0 => {
                    Err(wrong("expected random-tail:L0,ALPHA with L0 above 1, the mean length of a window in steps; at 1 every step would be cut"))
                }
                (Ok(_), Ok(_)) => {
                    Err(wrong("expected random-tail:L0,ALPHA with ALPHA above 2, such as 4 or 6; at 2 the lengths have no mean (and up to 3 no variance)"))
                }
                _ => Err(wrong("expected random-tail:L0,ALPHA with two numbers, such as random-tail:16,4")),
            },
            _ => Err(wrong("expected full, regular:TAU, regular:K1,K2, random:PI or random-tail:L0,ALPHA")),
        }
    }
}

fn whole(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| *n > 0)
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Truncation::Full => f.write_str("full"),
            Truncation::Regular(tau) => write!(f, "regular:{tau}"),
            Truncation::Overlapping { k1, k2 } => write!(f, "regular:{k1},{k2}"),
            Truncation::Random(pi) => write!(f, "random:{pi}"),
            Truncation::RandomTail { mean, alpha } => write!(f, "random-tail:{mean},{alpha}"),
        }
    }
}

/// Identifies one random sample of cuts. Each position of the text has its own random stream, whatever the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the pass over the text.
    pub epoch: u64,
}

impl Draw {
    fn generator(self, place: u32) -> ChaCha8Rng {
        // A different key from initial weights and packings, which use the same seed.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x7472_756e_6361_7465);
        rng.set_stream((self.epoch << 32) | u64::from(place));
        rng
    }
}

/// A window of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamWindow {
    /// Its steps, counted from the lane's start.
    pub steps: Range<u32>,
    /// First step whose loss belongs to it.
    pub scored_from: u32,
}

impl Truncation {
    /// Whether it cuts at random.
    pub fn is_random(&self) -> bool {
        matches!(self, Truncation::Random(_) | Truncation::RandomTail { .. })
    }

    /// c(d): the probability of a cut d steps after the last.
    fn cut_probability(&self, d: u32) -> f64 {
        match *self {
            Truncation::Random(pi) => 1.0 - pi,
            Truncation::RandomTail { mean, alpha } => (alpha - 1.0) / ((alpha - 2.0) * mean + f64::from(d)),
            _ => 0.0,
        }
    }

    /// xi of the edge before step d, counted from the start of a window.
    pub fn xi(&self, d: u32) -> f32 {
        match self {
            _ if d == 0 => 0.0,
            Truncation::Regular(tau) => f32::from(u8::from(!d.is_multiple_of(*tau))),
            Truncation::Full | Truncation::Overlapping { .. } => 1.0,
            _ => (1.0 / (1.0 - self.cut_probability(d))) as f32,
        }
    }

    /// Samples the number of steps from a cut to the next, at most `most`.
    fn draw_length(&self, rng: &mut ChaCha8Rng, most: u32) -> u32 {
        (1..most).find(|&d| rng.random::<f64>() < self.cut_probability(d)).unwrap_or(most)
    }

    /// Length of the longest possible window over lanes of `lane` steps.
    pub fn longest(&self, lane: u32) -> u32 {
        match self {
            Truncation::Regular(tau) => lane.min(*tau),
            Truncation::Overlapping { k2, .. } => lane.min(*k2),
            _ => lane,
        }
    }

    /// The window of a stream whose first scored step is `from`.
    pub fn window(&self, from: u32, lane: u32, draw: Draw) -> StreamWindow {
        let left = lane - from;
        match self {
            Truncation::Overlapping { k1, k2 } => {
                let start = from.saturating_add(*k1).saturating_sub(*k2);
                StreamWindow { steps: start..from + left.min(*k1), scored_from: from }
            }
            _ => {
                let length = if self.is_random() { self.draw_length(&mut draw.generator(from), left) } else { self.longest(left) };
                StreamWindow { steps: from..from + length, scored_from: from }
            }
        }
    }

    /// The same strategy for lanes or sequences of at most `longest` steps: reaching back further has no effect.
    #[must_use]
    pub fn within(self, longest: u32) -> Self {
        match self {
            Truncation::Overlapping { k1, k2 } => Truncation::Overlapping { k1, k2: k2.min(longest.saturating_add(k1)) },
            other => other,
        }
    }

    /// Mean length of a window that begins `steps` steps before the end of a lane: the
    /// sum over n < steps of the probability that none of the first n edges is cut.
    pub fn expected_window(&self, steps: u32) -> f64 {
        let (mut survives, mut sum) = (1.0, 0.0);
        for n in 0..steps {
            if n > 0 {
                survives *= 1.0 - self.cut_probability(n);
            }
            sum += survives;
        }
        sum
    }

    /// Number of backward passes over a finite sequence: several if windows overlap, see [`Cuts::edges`].
    pub fn passes(&self) -> u32 {
        if let Truncation::Overlapping { k1, k2 } = self { k2.div_ceil(*k1) } else { 1 }
    }

    /// The cuts of a finite sequence; `index` identifies it in the text.
    pub fn cuts(&self, len: u32, index: u32, draw: Draw) -> Cuts {
        let mut bits = Vec::new();
        if self.is_random() {
            bits = vec![0u64; len.div_ceil(64) as usize];
            let mut rng = draw.generator(index);
            let mut at = 0;
            while at < len {
                bits[at as usize / 64] |= 1 << (at % 64);
                at += self.draw_length(&mut rng, len - at);
            }
        }
        Cuts { truncation: *self, len, bits }
    }
}

/// The cuts of one finite sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Cuts {
    truncation: Truncation,
    len: u32,
    /// Random cuts, one bit per step, including the first; empty for other strategies.
    bits: Vec<u64>,
}

/// The truncation of a step of a sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Scale of the gradient that flows to the previous step.
    pub xi: f32,
    /// Whether the loss counts in this pass.
    pub scored: bool,
}

impl Cuts {
    fn is_cut(&self, d: u32) -> bool {
        self.bits[d as usize / 64] >> (d % 64) & 1 == 1
    }

    /// The edges of a range of steps, counted from the sequence's start, in one of the strategy's passes.
    ///
    /// Overlapping windows (`regular:K1,K2`) are split into ceil(K2/K1) passes of windows that don't overlap: each pass scores one in ceil(K2/K1) blocks of
    /// K1 steps, and cuts at the start of the K2 steps that end with it. The sum over the passes is the gradient.
    pub fn edges(&self, range: Range<u32>, pass: u32) -> Vec<Edge> {
        if let Truncation::Overlapping { k1, k2 } = self.truncation {
            let passes = self.truncation.passes();
            let edge = |d: u32| {
                // The window of this pass that contains d ends with the first of the pass's blocks that does not end before d.
                let block = d / k1;
                let own = block + (pass + passes - block % passes) % passes;
                let end = u64::from(own + 1) * u64::from(k1);
                let inside = u64::from(d) + u64::from(k2) >= end;
                let first = u64::from(d) + u64::from(k2) == end || d == 0;
                Edge { xi: f32::from(u8::from(inside && !first)), scored: own == block }
            };
            return range.map(edge).collect();
        }
        let scored = |xi| Edge { xi, scored: true };
        if self.bits.is_empty() {
            return range.map(|d| scored(self.truncation.xi(d))).collect();
        }
        let mut last = (0..range.start).rev().find(|&d| self.is_cut(d)).unwrap_or(0);
        let drawn = |d| {
            if self.is_cut(d) {
                last = d;
            }
            scored(self.truncation.xi(d - last))
        };
        range.map(drawn).collect()
    }

    /// Steps between cuts; for overlapping windows, the steps of each.
    pub fn lengths(&self) -> Vec<u32> {
        match self.truncation {
            Truncation::Overlapping { k1, k2 } => {
                let length = |b: u32| {
                    let end = u64::from(b + 1) * u64::from(k1);
                    (end.min(self.len.into()) - end.saturating_sub(k2.into())) as u32
                };
                (0..self.len.div_ceil(k1)).map(length).collect()
            }
            Truncation::Full => vec![self.len],
            Truncation::Regular(tau) => (0..self.len).step_by(tau as usize).map(|d| tau.min(self.len - d)).collect(),
            _ => {
                let starts: Vec<u32> = (0..self.len).filter(|&d| self.is_cut(d)).chain([self.len]).collect();
                starts.windows(2).map(|w| w[1] - w[0]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw { seed: 1, epoch: 2 };
    const TEXTS: [&str; 8] = ["full", "regular:7", "regular:500", "regular:1", "regular:2,5", "random:0.8", "random:1", "random-tail:8,4"];

    fn all() -> impl Iterator<Item = Truncation> {
        TEXTS.iter().map(|t| t.parse().unwrap())
    }

    #[test]
    fn windows_score_every_step_of_the_lane_once_in_order() {
        for t in all() {
            for lane in [1, 3, 100] {
                let mut from = 0;
                while from < lane {
                    let w = t.window(from, lane, DRAW);
                    assert!(w.scored_from == from && w.steps.start <= from && w.steps.end > from && w.steps.end <= lane, "{t}: {w:?}");
                    assert!(w.steps.end - w.steps.start <= t.longest(lane), "{t}: {w:?}");
                    assert_eq!(w, t.window(from, lane, DRAW));
                    from = w.steps.end;
                }
            }
        }
        let t: Truncation = "regular:2,5".parse().unwrap();
        let windows: Vec<_> = [0, 2, 4, 6].map(|from| t.window(from, 7, DRAW).steps).into_iter().collect();
        assert_eq!(windows, [0..2, 0..4, 1..6, 3..7]);
    }

    #[test]
    fn texts_parse_and_print() {
        for text in TEXTS {
            assert_eq!(text.parse::<Truncation>().unwrap().to_string(), text);
        }
        assert_eq!("regular:4,4".parse::<Truncation>().unwrap(), Truncation::Regular(4));
        for (text, why) in [
            ("", "random-tail:L0,ALPHA"),
            ("regular", "regular:TAU"),
            ("regular:0", "at least 1"),
            ("regular:-1", "at least 1"),
            ("regular:5,3", "K1 <= K2"),
            ("regular:0,3", "at least 1"),
            ("full:3", "expected full"),
            ("random:0", "above 0"),
            ("random:1.5", "at most 1"),
            ("random:1e-300", "every step"),
            ("random-tail:1.0000001,1e300", "every step"),
            ("random:NaN", "above 0"),
            ("random-tail:1,4", "L0 above 1"),
            ("random-tail:8,2", "ALPHA above 2"),
            ("random-tail:8", "random-tail:L0,ALPHA"),
            ("random-tail:inf,4", "above"),
            ("regular:4294967296", "at least 1"),
        ] {
            let e = text.parse::<Truncation>().unwrap_err().to_string();
            assert!(e.contains(why) && !e.contains('\n'), "{text}: {e}");
        }
    }

    /// 10^6 windows: the mean length of `random`, and the survival of `random-tail`, within 4 standard errors.
    #[test]
    fn cuts_follow_their_law() {
        let draws = 1_000_000u32;
        let lengths = |t: Truncation, most| -> Vec<u32> {
            let mut rng = DRAW.generator(0);
            (0..draws).map(|_| t.draw_length(&mut rng, most)).collect()
        };
        for pi in [0.5, 0.9] {
            let all = lengths(Truncation::Random(pi), u32::MAX);
            let mean = all.iter().map(|&n| f64::from(n)).sum::<f64>() / f64::from(draws);
            let expected = 1.0 / (1.0 - pi);
            let error = (pi.sqrt() * expected) / f64::from(draws).sqrt();
            assert!((mean - expected).abs() <= 4.0 * error, "PI {pi}: {mean} and {expected}");
        }
        for (mean, alpha) in [(8.0, 4.0), (3.0, 6.0), (16.0, 2.5)] {
            let t = Truncation::RandomTail { mean, alpha };
            let all = lengths(t, 200);
            let mut survives = 1.0;
            for n in 1..=128u32 {
                survives *= 1.0 - (alpha - 1.0) / ((alpha - 2.0) * mean + f64::from(n));
                if n.is_power_of_two() {
                    let found = all.iter().filter(|&&l| l > n).count() as f64 / f64::from(draws);
                    let error = (survives * (1.0 - survives) / f64::from(draws)).sqrt();
                    assert!((found - survives).abs() <= 4.0 * error, "{t}, {n} steps: {found} and {survives}");
                }
            }
        }
    }

    #[test]
    fn the_mean_window_counts_the_end_of_the_lane() {
        for steps in [1, 2, 30] {
            let closed = (1.0 - 0.8f64.powi(steps as i32)) / (1.0 - 0.8);
            assert!((Truncation::Random(0.8).expected_window(steps) - closed).abs() < 1e-12);
            assert_eq!(Truncation::Random(1.0).expected_window(steps), f64::from(steps));
        }
        // L0 is the mean on an endless stream.
        assert!((Truncation::RandomTail { mean: 8.0, alpha: 4.0 }.expected_window(1_000_000) - 8.0).abs() < 1e-3);
    }

    /// A sequence read in pieces has the same edges as a whole; its lengths are the distances between its cuts.
    #[test]
    fn edges_of_a_sequence_do_not_depend_on_where_it_is_read() {
        for t in all() {
            for (len, index) in [(1, 0), (90, 1), (200, 7)] {
                let cuts = t.cuts(len, index, DRAW);
                for pass in 0..t.passes() {
                    let whole = cuts.edges(0..len, pass);
                    for cut in [0, len / 3, len - 1] {
                        assert_eq!([cuts.edges(0..cut, pass), cuts.edges(cut..len, pass)].concat(), whole, "{t}");
                    }
                    assert_eq!(whole[0].xi, 0.0);
                }
                let scored: usize = (0..t.passes()).map(|p| cuts.edges(0..len, p).iter().filter(|e| e.scored).count()).sum();
                assert_eq!(scored, len as usize, "{t}: every step is scored in one pass");
                if t.passes() == 1 {
                    let zeros = cuts.edges(0..len, 0).iter().filter(|e| e.xi == 0.0).count();
                    assert_eq!((cuts.lengths().len(), cuts.lengths().iter().sum::<u32>()), (zeros, len), "{t}");
                }
            }
        }
    }

    #[test]
    fn overlapping_lengths_are_those_of_their_windows() {
        for (k1, k2, len, expected) in [(5, 6, 6, &[5, 2][..]), (2, 5, 7, &[2, 4, 5, 4]), (4, 6, 5, &[4, 3]), (1, 3, 4, &[1, 2, 3, 3])] {
            assert_eq!(Truncation::Overlapping { k1, k2 }.cuts(len, 0, DRAW).lengths(), expected, "{k1},{k2} of {len}");
        }
        let t: Truncation = "regular:2,4000000000".parse().unwrap();
        assert_eq!(t.within(9), Truncation::Overlapping { k1: 2, k2: 11 });
    }

    /// In every pass, a loss reaches back exactly to the start of its K2 steps.
    #[test]
    fn overlapping_windows_reach_back_k2_steps() {
        for (k1, k2) in [(1, 4), (2, 5), (3, 7), (4, 8), (5, 6)] {
            let (t, len) = (Truncation::Overlapping { k1, k2 }, 40u32);
            let cuts = t.cuts(len, 0, DRAW);
            for pass in 0..t.passes() {
                let edges = cuts.edges(0..len, pass);
                for (d, _) in edges.iter().enumerate().filter(|(_, e)| e.scored) {
                    let reaches = (0..d).rev().take_while(|&s| edges[s + 1].xi == 1.0).count() as u32;
                    let end = (d as u32 / k1 + 1) * k1;
                    let start = end.saturating_sub(k2);
                    assert_eq!(d as u32 - reaches, start, "{t}, pass {pass}, step {d}");
                }
            }
        }
    }
}
