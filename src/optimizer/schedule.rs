//! Schedules of the learning rate over a run.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Schedules of the learning rate over a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Schedule {
    /// Constant.
    #[default]
    Constant,
    /// Half a cosine, down to this fraction of the initial rate.
    Cosine(f64),
    /// The same factor each update, down to this fraction of the initial rate.
    Exponential(f64),
}

impl Schedule {
    /// The fraction of the initial rate at a fraction, 0 to 1, of the run.
    pub fn factor(&self, fraction: f64) -> f64 {
        let f = fraction.clamp(0.0, 1.0);
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Cosine(end) => end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * f).cos()),
            Schedule::Exponential(end) => end.powf(f),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Usage(format!(
                "schedule `{text}` is unknown; expected constant, cosine, cosine:END, exponential or exponential:END, END the part of `lr` that is left \
                 at the end of the run, from 0 (cosine) or above 0 (exponential) to 1"
            ))
        };
        let (name, end) = match text.split_once(':') {
            Some((name, end)) => (name, Some(end.parse::<f64>().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(wrong)?)),
            None => (text, None),
        };
        match (name, end) {
            ("constant", None) => Ok(Schedule::Constant),
            ("cosine", end) => Ok(Schedule::Cosine(end.unwrap_or(0.0))),
            ("exponential", end) if end != Some(0.0) => Ok(Schedule::Exponential(end.unwrap_or(0.01))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant => f.write_str("constant"),
            Schedule::Cosine(end) => write!(f, "cosine:{end}"),
            Schedule::Exponential(end) => write!(f, "exponential:{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_parse_and_print() {
        for text in ["constant", "cosine:0.1", "exponential:0.01"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "constant:1", "cosine:2", "cosine:x", "exponential:0", "linear"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn schedules_fall_from_one_to_their_end() {
        for (schedule, middle, end) in [(Schedule::Constant, 1.0, 1.0), (Schedule::Cosine(0.2), 0.6, 0.2), (Schedule::Exponential(0.01), 0.1, 0.01)] {
            for (fraction, expected) in [(0.0, 1.0), (0.5, middle), (1.0, end), (2.0, end)] {
                assert!((schedule.factor(fraction) - expected).abs() < 1e-12, "{schedule} at {fraction}");
            }
        }
    }
}
