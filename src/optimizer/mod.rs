//! Optimizers as PyTorch defines them, clipping, and schedules of the learning rate. An update rule is one file of this folder and one line of the list below.

mod clip;
mod rule;
mod schedule;

pub use clip::Clip;
pub use rule::Constants;
pub(crate) use rule::{Rule, Step};
pub use schedule::Schedule;

use crate::error::{Error, Result};
use rule::Parameter;
use std::fmt;
use std::str::FromStr;

/// From `file { RULE: Variant { parameter }, ... }`, makes the modules, the enum and the list of rules.
macro_rules! optimizers {
    ($($file:ident { $($rule:ident: $name:ident $({ $parameter:ident })?),+ })+) => {
        $(pub mod $file;)+

        /// An update rule.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Optimizer {
            $($(
                #[doc = concat!("See [`", stringify!($file), "`].")]
                $name $({
                    #[doc = concat!("See [`", stringify!($file), "`].")]
                    $parameter: f32,
                })?,
            )+)+
        }

        /// Every rule; kernels identify them by their index.
        pub(crate) const RULES: &[Rule] = &[$($($file::$rule,)+)+];

        /// For each rule, makes the optimizer from its parameter.
        const MADE: [fn(f32) -> Optimizer; RULES.len()] = [$($(|_value| Optimizer::$name $({ $parameter: _value })?,)+)+];

        impl Optimizer {
            /// The rule's name, and its parameter or 0.
            fn parts(&self) -> (&'static str, f32) {
                match self {
                    $($(Optimizer::$name $({ $parameter })? => ($file::$rule.name, optimizers!(@value $($parameter)?)),)+)+
                }
            }
        }
    };
    (@value) => { 0.0 };
    (@value $parameter:ident) => { *$parameter };
}

optimizers! {
    sgd { SGD: Sgd { momentum } }
    rmsprop { RMSPROP: RmsProp { alpha } }
    adam { ADAM: Adam, ADAMW: AdamW { decay } }
}

/// An optimizer update, apart from the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The rule.
    pub rule: Optimizer,
    /// Its constants.
    pub constants: Constants,
    /// beta1 and beta2 of the bias corrections.
    pub betas: [f64; 2],
    /// Gradient clipping.
    pub clip: Clip,
    /// Whether the rule keeps a first and a second moment.
    pub moments: [bool; 2],
}

impl Optimizer {
    /// The rule's index in [`RULES`].
    pub(crate) fn place(&self) -> usize {
        let (name, _) = self.parts();
        RULES.iter().position(|rule| rule.name == name).expect("the list has every rule")
    }

    /// The update that kernels compute.
    pub fn update(&self, clip: Clip) -> Update {
        let (rule, (_, parameter)) = (&RULES[self.place()], self.parts());
        Update { rule: *self, constants: (rule.constants)(parameter), betas: rule.betas, clip, moments: (rule.moments)(parameter) }
    }

    /// One of each rule, with its parameter's default.
    pub fn all() -> Vec<Self> {
        RULES.iter().zip(MADE).map(|(rule, made)| made(rule.parameter.as_ref().map_or(0.0, |p| p.default))).collect()
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Usage(format!("optimizer `{text}` is unknown; expected {}", expected()));
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number.parse::<f32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (rule, made) = RULES.iter().zip(MADE).find(|(rule, _)| rule.name == name).ok_or_else(wrong)?;
        match (&rule.parameter, number) {
            (Some(p), number) => Some(number.unwrap_or(p.default)).filter(|x| (0.0..p.below).contains(x)).map(made).ok_or_else(wrong),
            (None, None) => Ok(made(0.0)),
            (None, Some(_)) => Err(wrong()),
        }
    }
}

/// A description of valid optimizers.
fn expected() -> String {
    let parameters = || RULES.iter().filter_map(|rule| rule.parameter.as_ref());
    let forms: Vec<String> =
        RULES.iter().flat_map(|rule| [Some(rule.name.to_string()), rule.parameter.as_ref().map(|p| format!("{}:{}", rule.name, p.name))]).flatten().collect();
    let bounds: Vec<String> = parameters().map(Parameter::bounds).collect();
    let (last, others) = forms.split_last().expect("there are rules");
    format!("{} or {last}, with {}", others.join(", "), bounds.join(", "))
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = self.parts();
        f.write_str(name)?;
        match &RULES[self.place()].parameter {
            Some(p) if !(p.implied && value == p.default) => write!(f, ":{value}"),
            _ => Ok(()),
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
        for text in ["", "adam:1", "sgd:1", "sgd:-0.1", "rmsprop:x", "adamw:NaN", "adamw:inf", "lion"] {
            assert!(text.parse::<Optimizer>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_rule_is_found_by_its_name() {
        for (i, rule) in Optimizer::all().into_iter().enumerate() {
            assert_eq!((rule.place(), rule.to_string().parse()), (i, Ok(rule)), "two rules are named {}", RULES[i].name);
            assert_eq!(RULES[i].name.parse(), Ok(rule));
        }
    }
}
