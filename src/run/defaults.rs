//! What a run is made of where nobody says anything, by the kind of data that it is trained on.

use super::RunConfig;
use crate::device::DeviceSpec;
use crate::model::{Activation, Init, StashPrecision};
use crate::optimizer::{Optimizer, Schedule};
use crate::truncation::Truncation;

/// What a run is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// A text: the next symbol is predicted.
    Text,
    /// The sequences of a synthetic task.
    Task,
    /// Lines with labels.
    Labels,
    /// A table of numbers.
    Series,
}

/// Sequences of a task: enough that they are not learned by heart.
const EXAMPLES: u64 = 20_000;

impl RunConfig {
    /// What it is trained on.
    pub fn data_kind(&self) -> DataKind {
        if self.target.is_some() {
            DataKind::Series
        } else if self.label_column.is_some() {
            DataKind::Labels
        } else if self.task.is_some() {
            DataKind::Task
        } else {
            DataKind::Text
        }
    }

    /// The defaults beside some stated keys, which say the kind of data.
    pub(crate) fn defaults_of(stated: &toml::Table) -> Self {
        let has = |key: &str| stated.contains_key(key);
        let kind = match () {
            () if has("target") => DataKind::Series,
            () if has("label-column") => DataKind::Labels,
            () if has("task") => DataKind::Task,
            () => DataKind::Text,
        };
        let base = Self::defaults(kind);
        // Sequences of a text are held out by drawing, as lines with labels are.
        RunConfig { split_seed: base.split_seed.or((kind == DataKind::Text && has("separator")).then_some(0)), ..base }
    }

    /// The defaults of a kind of data. What else depends on the data is chosen when that is opened, see [`RunConfig::open_corpus`].
    pub fn defaults(kind: DataKind) -> Self {
        match kind {
            // Some hundred rows are learned by heart: a small net, weights that decay, and a rate that ends low, so that the best model is a settled one.
            DataKind::Series => RunConfig {
                hidden: 64,
                updates: Some(600),
                optimizer: Optimizer::AdamW { decay: 0.3 },
                lr: 3e-3,
                schedule: Schedule::Cosine(0.0),
                ..Self::common(kind)
            },
            // A label hangs on symbols anywhere in its line, which only gradients through all of it can find, and a state that keeps what it has read.
            DataKind::Labels => RunConfig {
                hidden: 64,
                truncation: Truncation::Full,
                activation: Activation::Relu,
                init: Init::Identity(1.0),
                // By the number of lines, once that is known.
                updates: None,
                lr: 1e-3,
                schedule: Schedule::Cosine(0.0),
                split_seed: Some(0),
                ..Self::common(kind)
            },
            DataKind::Text | DataKind::Task => Self::common(kind),
        }
    }

    fn common(kind: DataKind) -> Self {
        RunConfig {
            format: RunConfig::format(),
            text: None,
            text_checksum: String::new(),
            text_bytes: 0,
            bytes: false,
            tokens: None,
            tokens_checksum: None,
            table_as_text: false,
            separator: None,
            label_column: None,
            text_column: None,
            header: None,
            task: None,
            examples: (kind == DataKind::Task).then_some(EXAMPLES),
            target: None,
            features: None,
            horizon: None,
            series: None,
            time: None,
            missing: None,
            season: None,
            difference: None,
            loss: None,
            delimiter: None,
            decimal: None,
            time_format: None,
            ignore: None,
            hidden: 256,
            layers: 1,
            batch: 32,
            truncation: Truncation::Regular(64),
            activation: Activation::Tanh,
            no_bias: false,
            from: None,
            extend_vocabulary: false,
            init: Init::default(),
            updates: Some(1000),
            epochs: None,
            optimizer: Optimizer::Adam,
            lr: 2e-3,
            // A text is learned by heart sooner or later: the best model should be the last.
            schedule: if kind == DataKind::Text { Schedule::Cosine(0.0) } else { Schedule::Constant },
            warmup: 0,
            clip_norm: 1.0,
            clip_value: None,
            device: DeviceSpec::Auto,
            seed: 0,
            val_fraction: 0.1,
            split_seed: None,
            memory_budget: None,
            stash: StashPrecision::F32,
            dropout: 0.0,
            embed: None,
            val_every: None,
            patience: None,
            log_every: 50,
            save_every: None,
            sample: if kind == DataKind::Text { 400 } else { 0 },
            monitor: None,
            tensorboard: false,
        }
    }
}
