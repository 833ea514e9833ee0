//! Optimizers: SGD with momentum, RMSprop, Adam, AdamW as PyTorch defines them; clipping.

use crate::error::{Error, Result};
use crate::kernels::optimizer::Constants;
use crate::model::record::Update;
use std::fmt;
use std::str::FromStr;

/// An update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// m = momentum m + g; p -= lr m
    Sgd {
        /// 0 for plain gradient descent.
        momentum: f32,
    },
    /// v = alpha v + (1 - alpha) g^2; p -= lr g / (sqrt(v) + 1e-8)
    RmsProp {
        /// Decay of the mean square.
        alpha: f32,
    },
    /// Adam with beta 0.9 and 0.999, eps 1e-8.
    Adam,
    /// Adam with decoupled weight decay.
    AdamW {
        /// p -= lr decay p at each update.
        decay: f32,
    },
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Usage(format!(
                "optimizer `{text}` is unknown; expected sgd, sgd:MOMENTUM, rmsprop, rmsprop:ALPHA, adam, adamw or adamw:DECAY, with MOMENTUM and ALPHA in [0,1), DECAY >= 0"
            ))
        };
        let (name, number) = match text.split_once(':') {
            Some((name, n)) => (name, Some(n.parse::<f32>().ok().filter(|x| x.is_finite() && *x >= 0.0).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let below_one = |x: f32| if x < 1.0 { Ok(x) } else { Err(wrong()) };
        match (name, number) {
            ("sgd", n) => Ok(Optimizer::Sgd { momentum: below_one(n.unwrap_or(0.0))? }),
            ("rmsprop", n) => Ok(Optimizer::RmsProp { alpha: below_one(n.unwrap_or(0.99))? }),
            ("adam", None) => Ok(Optimizer::Adam),
            ("adamw", n) => Ok(Optimizer::AdamW { decay: n.unwrap_or(0.01) }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Optimizer::Sgd { momentum: 0.0 } => f.write_str("sgd"),
            Optimizer::Sgd { momentum } => write!(f, "sgd:{momentum}"),
            Optimizer::RmsProp { alpha } => write!(f, "rmsprop:{alpha}"),
            Optimizer::Adam => f.write_str("adam"),
            Optimizer::AdamW { decay } => write!(f, "adamw:{decay}"),
        }
    }
}

/// How gradients are bounded before an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// Not at all.
    None,
    /// All gradients are scaled so that their global norm is at most this.
    Norm(f32),
    /// Each gradient is clamped to plus or minus this.
    Value(f32),
}

impl Clip {
    /// Whether a gradient of this norm is scaled down as a whole.
    pub fn scales(&self, norm: f32) -> bool {
        matches!(*self, Clip::Norm(most) if norm > most)
    }

    /// A number of gradients that were scaled down; none where that is not what clipping does.
    pub fn counted(&self, scaled: u64) -> Option<u64> {
        if matches!(self, Clip::Value(_)) { None } else { Some(scaled) }
    }
}

impl Optimizer {
    /// What the kernels need to know.
    pub fn update(&self, clip: Clip) -> Update {
        let (beta1, beta2) = (0.9f64, 0.999f64);
        let clip_value = if let Clip::Value(v) = clip { v } else { 0.0 };
        let clip_norm = if let Clip::Norm(n) = clip { n } else { 0.0 };
        let constants = |rule, a, decay| Constants { rule, a, b: beta2 as f32, eps: 1e-8, decay, clip_value };
        let (constants, moments) = match *self {
            Optimizer::Sgd { momentum } => (constants(0, momentum, 0.0), [momentum != 0.0, false]),
            Optimizer::RmsProp { alpha } => (constants(1, alpha, 0.0), [false, true]),
            Optimizer::Adam => (constants(2, beta1 as f32, 0.0), [true, true]),
            Optimizer::AdamW { decay } => (constants(2, beta1 as f32, decay), [true, true]),
        };
        Update { constants, betas: [beta1, beta2], clip_norm, moments }
    }
}

/// How the learning rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Along half a cosine down to this part of it.
    Cosine(f64),
    /// By the same factor each update, down to this part of it.
    Exponential(f64),
}

impl Schedule {
    /// The part of the learning rate at a fraction, 0 to 1, of the run.
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
    fn rules_parse_and_print() {
        for text in ["sgd", "sgd:0.9", "rmsprop:0.99", "adam", "adamw:0.01"] {
            assert_eq!(text.parse::<Optimizer>().unwrap().to_string(), text);
        }
        for text in ["constant", "cosine:0.1", "exponential:0.01"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "constant:1", "cosine:2", "cosine:x", "exponential:0", "linear"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
        for text in ["", "adam:1", "sgd:1", "sgd:-0.1", "rmsprop:x", "adamw:NaN", "lion"] {
            assert!(text.parse::<Optimizer>().is_err(), "{text}");
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
