//! What a training is made of, besides what it is trained on.

use crate::data::Codec;
use crate::dims::Dims;
use crate::error::{Error, Result};
use crate::feed::Feed;
use crate::model::init;
use crate::model::{Activation, Cell, Config, Dropout, Init, StashPrecision};
use crate::optimizer::{Clip, Optimizer, Schedule};
use crate::plan::{self, Bytes, Workload};
use crate::setting::{any, at_least_1, check_all, not_negative, part, positive, settings, written_as_text};
use crate::truncation::Truncation;

written_as_text!(Truncation, Init, Optimizer, Schedule);

settings! {
    /// What a training is made of, besides what it is trained on.
    ///
    /// ```
    /// use retrograd::{Error, Settings};
    ///
    /// let settings = Settings::default().hidden(128).layers(2).dropout(0.1).updates(500);
    /// assert!(settings.check().is_ok());
    /// let wrong = Settings::default().dropout(0.1).check();
    /// assert!(matches!(wrong, Err(Error::Setting { setting: "dropout", .. })));
    /// ```
    #[derive(Copy)]
    pub struct Settings {
        /// Units per layer [default: 256; for series and labels 64]
        hidden: u32 = 256, "Model", "H", units {};
        /// Layers, 1 to 8
        layers: u32 = 1, "Model", "N", layers {};
        /// Cell of the layers: rnn, gru or lstm [default: auto, which is gru for a text, else rnn]
        cell: Cell = Cell::Rnn, "Model", "CELL", any { later: true, auto: true };
        /// Activation of the layers of `cell` rnn [default: tanh; for labels relu]
        activation: Activation = Activation::Tanh, "Model", "PHI", any {};
        /// Train without biases
        no_bias: bool = false, "Model", "", any {};
        /// Initial weights: orthogonal, orthogonal:A, xavier, identity:A, normal:SIGMA, or uniform (PyTorch's default) [default: orthogonal; for labels identity:1]
        init: Init = Init::default(), "Model", "INIT", any {};
        /// Added to the initial bias of the forget gate of `cell` lstm, so that it remembers from the start; 0 as in PyTorch [default: 1]
        forget_bias: Option<f64> = None, "Model", "F", finite { later: true };
        /// Drop units between layers with this probability while training, as nn.RNN(dropout=P) does; needs 2 layers or more
        dropout: f64 = 0.0, "Model", "P", part { later: true };
        /// Embed each symbol in E learned numbers, in place of one-hot inputs: for large vocabularies
        embed: Option<u32> = None, "Model", "E", embedding {};
        /// Lanes of text trained side by side (batch size) [default: 32; for series as many as the rows fill, up to 32]
        batch: u32 = 32, "Training", "B", units {};
        /// Sum the gradient over G groups of lanes, each a pass of its own: a power of two that divides `batch`. Up to G processes (`mpirun -n`) share the groups,
        /// and their number changes no bit [default: as many as there are processes at the start]
        lane_groups: Option<u32> = None, "Training", "G", power_of_two {};
        /// How far back gradients flow, see below [default: regular:64; for labels full]
        truncation: Truncation = Truncation::Regular(64), "Training", "STRATEGY", any {};
        /// Stop after N updates [default: 1000, for series 600, unless `epochs` is given]
        updates: Option<u64> = None, "Training", "N", at_least_1 { free: true, excludes: &["epochs"], sets_aside: &["epochs"] };
        /// Stop after N passes over the training text
        epochs: Option<u64> = None, "Training", "N", at_least_1 { free: true, sets_aside: &["updates"] };
        /// sgd, sgd:MOMENTUM, rmsprop, rmsprop:ALPHA, adam, adamw or adamw:DECAY [default: adam; for series adamw:0.3]
        optimizer: Optimizer = Optimizer::Adam, "Training", "RULE", any {};
        /// Learning rate [default: 0.002; for series 0.003]
        lr: f64 = 2e-3, "Training", "LR", positive {};
        /// How the learning rate falls over the run: constant, cosine, cosine:END, exponential or exponential:END, END the part of it that is
        /// left [default: cosine for texts and series, else constant]
        schedule: Schedule = Schedule::Constant, "Training", "SCHEDULE", any {};
        /// Updates over which the learning rate rises from 0
        warmup: u64 = 0, "Training", "N", any {};
        /// Scale gradients down to this global norm at most; 0 for no clipping
        clip_norm: f64 = 1.0, "Training", "NORM", not_negative { excludes: &["clip_value"], sets_aside: &["clip_value"] };
        /// Clamp each gradient to plus or minus V instead
        clip_value: Option<f64> = None, "Training", "V", positive { sets_aside: &["clip_norm"] };
        /// Memory that training may take on the device, such as 48MiB; longer windows are then partly recomputed, not refused
        /// [default: a quarter of the machine's memory, at most 2GiB]
        memory_budget: Option<Bytes> = None, "Training", "SIZE", any {};
        /// Precision of the hidden states stored for the backward pass: f16 takes half the memory, with a relative error up to 2^-11. Arithmetic stays f32.
        /// Works on every device. States beyond +-65504 (relu, identity) are clamped
        stash: StashPrecision = StashPrecision::F32, "Training", "STASH", any { later: true };
        /// Seed of the initial weights, random cuts, task sequences, shuffling and the sample
        seed: u64 = 0, "Training", "N", any {};
        /// Fraction held out for validation: the end of a text, or randomly chosen lines or sequences, listed in held_out.txt
        val_fraction: f64 = 0.1, "Training", "PART", part {};
        /// Seed that chooses the held-out lines or sequences; `seed` does not affect them [default: 0]
        split_seed: Option<u64> = Some(0), "Training", "N", any {};
    }
}

fn units(n: &u32) -> std::result::Result<(), String> {
    if *n > 0 { Ok(()) } else { Err("expected a whole number, 1 or more".to_string()) }
}

fn power_of_two(n: &u32) -> std::result::Result<(), String> {
    if n.is_power_of_two() { Ok(()) } else { Err("expected a power of two: 1, 2, 4, 8 and so on".to_string()) }
}

fn layers(n: &u32) -> std::result::Result<(), String> {
    if (1..=Dims::MAX_LAYERS).contains(n) { Ok(()) } else { Err(format!("expected 1 to {}", Dims::MAX_LAYERS)) }
}

fn finite(x: &f64) -> std::result::Result<(), String> {
    if x.is_finite() && x.abs() <= f64::from(f32::MAX) { Ok(()) } else { Err("expected a number".to_string()) }
}

fn embedding(n: &u32) -> std::result::Result<(), String> {
    if (1..=65_536).contains(n) { Ok(()) } else { Err("expected a whole number from 1 to 65536".to_string()) }
}

/// That a cell has no activation to choose.
pub(crate) fn no_activation(cell: Cell) -> Error {
    Error::setting("activation", format!("`activation` is for `cell` rnn, and {cell} has activations of its own; leave it out"))
}

/// Where training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// After n updates.
    Updates(u64),
    /// After n passes over the training text.
    Epochs(u64),
}

impl Settings {
    /// That each value is within its bounds, and all go together.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is not possible.
    pub fn check(&self) -> Result<()> {
        check_all(self, Self::FIELDS)?;
        Config { hidden: self.hidden, layers: self.layers, cell: self.cell, ..Config::symbols(1) }.dims(self.batch).checked()?;
        if !self.batch.is_multiple_of(self.groups()) {
            let (batch, groups) = (self.batch, self.groups());
            return Err(Error::setting(
                "lane_groups",
                format!("`lane_groups` {groups} does not divide `batch` {batch}; give a `batch` that is a multiple of it, or fewer groups"),
            ));
        }
        if self.updates.is_some() && self.epochs.is_some() {
            return Err(Error::setting("updates", "`updates` and `epochs` exclude each other; give one of them"));
        }
        if self.cell != Cell::Rnn && self.activation != Activation::Tanh {
            return Err(no_activation(self.cell));
        }
        if self.forget_bias.is_some() && (self.cell.spec().forget.is_none() || self.no_bias) {
            let why = if self.no_bias { "`no_bias` leaves out all biases".to_string() } else { format!("{} has no forget gate", self.cell) };
            return Err(Error::setting("forget_bias", format!("`forget_bias` is for `cell` lstm with biases, and {why}; leave one of them out")));
        }
        if self.dropout > 0.0 && self.layers < 2 {
            return Err(Error::setting("dropout", "`dropout` drops units between layers, and there is one layer; give `layers` 2 or more, or leave it out"));
        }
        Ok(())
    }

    /// Where training ends.
    pub fn goal(&self) -> Goal {
        match (self.updates, self.epochs) {
            (None, Some(n)) => Goal::Epochs(n),
            (n, _) => Goal::Updates(n.unwrap_or(1000)),
        }
    }

    /// Number of lane groups.
    pub fn groups(&self) -> u32 {
        self.lane_groups.unwrap_or(1).max(1)
    }

    /// Lanes of a group.
    pub fn lanes(&self) -> u32 {
        self.batch / self.groups()
    }

    /// How gradients are clipped.
    pub fn clip(&self) -> Clip {
        match self.clip_value {
            Some(v) => Clip::Value(v as f32),
            None if self.clip_norm == 0.0 => Clip::None,
            None => Clip::Norm(self.clip_norm as f32),
        }
    }

    /// The architecture for what is read and predicted.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that is not possible.
    pub fn config(&self, codec: &Codec) -> Result<Config> {
        self.check()?;
        let (input, output) = (codec.input(self.embed.unwrap_or(0)), codec.output());
        let config = Config { input, output, hidden: self.hidden, layers: self.layers, cell: self.cell, activation: self.activation, bias: !self.no_bias };
        config.dims(self.lanes()).checked().map(|_| config)
    }

    /// The initial flat parameters of a model.
    pub fn parameters(&self, config: &Config) -> Vec<f32> {
        let mut flat = self.init.parameters(config, self.seed);
        init::remember(config, &mut flat, self.forget_bias.unwrap_or(1.0) as f32);
        flat
    }

    /// What a plan is made for.
    pub fn task(&self, config: Config, feed: &Feed) -> Workload {
        Workload {
            config,
            lanes: self.lanes(),
            window: feed.longest(),
            ring: feed.ring(),
            split: feed.splits(),
            update: self.optimizer.update(self.clip()),
            stash: self.stash,
            dropout: Dropout::new(self.dropout, self.seed),
            budget: self.memory_budget.map_or_else(plan::default_budget, |b| b.0),
        }
    }
}
