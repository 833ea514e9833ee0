//! What a training run is made of, besides what it is trained on.

use crate::data::Codec;
use crate::error::Result;
use crate::feed::Feed;
use crate::model::{Config, Dropout, Init, StashPrecision};
use crate::optimizer::{Clip, Optimizer, Schedule};
use crate::plan::{self, Workload};
use crate::truncation::Truncation;

/// What a training run is made of, besides the text.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: crate::model::Activation,
    /// Whether there are biases.
    pub bias: bool,
    /// Initial parameters.
    pub init: Init,
    /// Truncation strategy.
    pub truncation: Truncation,
    /// Optimizer.
    pub rule: Optimizer,
    /// Clipping.
    pub clip: Clip,
    /// Learning rate.
    pub lr: f32,
    /// How it changes.
    pub schedule: Schedule,
    /// Updates over which it rises from 0.
    pub warmup: u64,
    /// Where training ends: the learning rate's schedule depends on it.
    pub goal: Goal,
    /// Seed of the initial parameters and of all that is drawn.
    pub seed: u64,
    /// Part held out, 0 for none: of a stream its end, of independent sequences some that are drawn.
    pub val_fraction: f64,
    /// Seed by which independent sequences are held out; none as runs did that were begun before it was a setting: those at the end of a text, lines with
    /// labels by `seed`.
    pub split_seed: Option<u64>,
    /// Bytes that training may take on the device; none for [`crate::plan::default_budget`].
    pub memory_budget: Option<u64>,
    /// How h is stored between the passes.
    pub stash: StashPrecision,
    /// Probability with which a unit is dropped between layers.
    pub dropout: f64,
    /// E: numbers that a symbol is embedded in; 0 for one-hot symbols.
    pub embed: u32,
    /// Bytes of it that something else on the device takes.
    pub reserved: u64,
}

/// Where training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// After so many updates.
    Updates(u64),
    /// After so many passes over the training text.
    Epochs(u64),
}

impl Settings {
    /// The architecture for what is read and predicted.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] if a size is 0 or too large.
    pub fn config(&self, codec: &Codec) -> Result<Config> {
        let (input, output) = (codec.input(self.embed), codec.output());
        let config = Config { input, output, hidden: self.hidden, layers: self.layers, activation: self.activation, bias: self.bias };
        config.dims(self.lanes).checked().map(|_| config)
    }

    /// What a plan is made for.
    pub fn task(&self, config: Config, feed: &Feed) -> Workload {
        Workload {
            config,
            lanes: self.lanes,
            window: feed.longest(),
            ring: feed.ring(),
            split: feed.splits(),
            update: self.rule.update(self.clip),
            stash: self.stash,
            dropout: Dropout::new(self.dropout, self.seed),
            budget: self.memory_budget.unwrap_or_else(plan::default_budget).saturating_sub(self.reserved),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hidden: 256,
            layers: 1,
            lanes: 32,
            activation: crate::model::Activation::Tanh,
            bias: true,
            init: Init::default(),
            truncation: Truncation::Regular(64),
            rule: Optimizer::Adam,
            clip: Clip::Norm(1.0),
            lr: 2e-3,
            schedule: Schedule::Constant,
            warmup: 0,
            goal: Goal::Updates(1000),
            seed: 0,
            val_fraction: 0.1,
            split_seed: Some(0),
            memory_budget: None,
            stash: StashPrecision::F32,
            dropout: 0.0,
            embed: 0,
            reserved: 0,
        }
    }
}
