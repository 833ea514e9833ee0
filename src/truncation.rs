//! Where windows end, and what flows backward over each edge.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A truncation strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// The whole lane is one window.
    Full,
    /// Consecutive windows of this many steps, state carried; the last may be shorter.
    Regular(u32),
}

impl Default for Truncation {
    fn default() -> Self {
        Truncation::Regular(64)
    }
}

impl FromStr for Truncation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Usage(format!("truncation `{text}` is unknown; expected full, or regular:TAU with TAU at least 1, such as regular:64"));
        match text.split_once(':') {
            None if text == "full" => Ok(Truncation::Full),
            Some(("regular", tau)) => tau.parse().ok().filter(|t| *t > 0).map(Truncation::Regular).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Truncation::Full => f.write_str("full"),
            Truncation::Regular(tau) => write!(f, "regular:{tau}"),
        }
    }
}

impl Truncation {
    /// Steps of the longest window over lanes of `lane` steps.
    pub fn longest(&self, lane: u32) -> u32 {
        match self {
            Truncation::Full => lane,
            Truncation::Regular(tau) => lane.min(*tau),
        }
    }

    /// The window that starts at step `from`.
    pub fn window(&self, from: u32, lane: u32) -> Range<u32> {
        from..from + self.longest(lane - from)
    }

    /// Windows of one pass over the lanes.
    pub fn windows(&self, lane: u32) -> u64 {
        u64::from(lane.div_ceil(self.longest(lane)))
    }

    /// xi of the edge before step d, counted from the start of a window of a stream, or of a finite sequence.
    pub fn xi(&self, d: u32) -> f32 {
        let cut = match self {
            Truncation::Full => d == 0,
            Truncation::Regular(tau) => d.is_multiple_of(*tau),
        };
        f32::from(u8::from(!cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_lane_in_order() {
        for (t, lane) in [(Truncation::Full, 100), (Truncation::Regular(7), 100), (Truncation::Regular(500), 100), (Truncation::Regular(1), 3)] {
            let (mut from, mut count) = (0, 0);
            while from < lane {
                let w = t.window(from, lane);
                assert!(w.start == from && w.end > from && w.end - w.start <= t.longest(lane));
                (from, count) = (w.end, count + 1);
            }
            assert_eq!((from, count), (lane, t.windows(lane)));
        }
    }

    #[test]
    fn texts_parse_and_print() {
        for text in ["full", "regular:64"] {
            assert_eq!(text.parse::<Truncation>().unwrap().to_string(), text);
        }
        for text in ["", "regular", "regular:0", "regular:-1", "regular:x", "full:3", "regular:4294967296"] {
            assert!(text.parse::<Truncation>().is_err(), "{text}");
        }
    }
}
