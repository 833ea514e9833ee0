//! A comparison of strategies that is asked for.

use crate::analysis::compare::Plan;
use crate::device::DeviceSpec;
use crate::error::{Error, Result};
use crate::run::{RunConfig, Stated, declared};
use crate::setting::Value;
use crate::truncation::Truncation;

/// Settings that strategies are compared under.
pub const COMPARED: [&str; 13] =
    ["hidden", "layers", "cell", "forget_bias", "activation", "init", "batch", "optimizer", "lr", "clip_norm", "val_fraction", "seed", "device"];

/// Strategies that are compared if none are named.
pub const STRATEGIES: [&str; 6] = ["full", "regular:4", "regular:16", "regular:64", "random:0.9375", "random-tail:16,4"];

/// Defaults that differ from those of training.
pub const DEFAULTS: [(&str, &str); 3] = [("hidden", "128"), ("lr", "0.004"), ("schedule", "constant")];

/// A comparison that is asked for.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    /// The stated settings, by key.
    pub stated: &'a Stated,
    /// Strategies, as for `truncation`.
    pub strategies: &'a [String],
    /// Updates of each strategy.
    pub updates: u64,
    /// Symbols per sequence.
    pub length: u32,
    /// Gradients sampled for each random strategy.
    pub draws: u32,
}

impl Compared<'_> {
    /// What is compared, and where.
    ///
    /// # Errors
    /// If a setting is not possible.
    pub fn plan(&self) -> Result<(Plan, DeviceSpec)> {
        let mut stated = self.stated.clone();
        let has = |name: &str| self.stated.contains_key(&name.replace('_', "-"));
        stated.extend(DEFAULTS.iter().filter(|(key, _)| !has(key)).map(|(key, word)| (key.to_string(), read(key, word))));
        let config = RunConfig::of(&stated)?;
        if config.training.val_fraction == 0.0 {
            return Err(Error::setting("val_fraction", "`val_fraction` is 0, and strategies are judged by validation; give it above 0"));
        }
        let mut settings = config.training.truncation(Truncation::Full).updates(self.updates);
        settings.split_seed = None;
        let plan = Plan { strategies: strategies(self.strategies)?, settings, updates: self.updates, length: self.length, draws: self.draws };
        Ok((plan, config.device))
    }
}

fn read(key: &str, word: &str) -> Option<Value> {
    declared().find(|s| s.name == key).and_then(|s| s.read(word).ok())
}

/// Strategies separated by spaces, semicolons or commas; a number after a comma belongs to the strategy before it.
fn strategies(words: &[String]) -> Result<Vec<Truncation>> {
    let mut names: Vec<String> = Vec::new();
    for word in words.iter().flat_map(|w| w.split([' ', ';'])).filter(|w| !w.is_empty()) {
        for (i, part) in word.split(',').enumerate().filter(|(_, p)| !p.is_empty()) {
            match names.last_mut() {
                Some(last) if i > 0 && part.starts_with(|c: char| c.is_ascii_digit()) => *last = format!("{last},{part}"),
                _ => names.push(part.to_string()),
            }
        }
    }
    names.iter().map(|n| n.parse()).collect()
}
