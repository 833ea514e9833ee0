//! What a run was started with: `config.toml`, whose keys are the flags of `train`.

use super::Answer;
use crate::data::{self, Difference, Missing, SyntheticTask};
use crate::device::DeviceSpec;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Activation, Config, Init, RegressionLoss, StashPrecision};
use crate::optimizer::{Clip, Optimizer, Schedule};
use crate::plan::Bytes;
use crate::trainer::{Goal, Layout, Settings};
use crate::truncation::Truncation;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Newest format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// Keys that may change when a run goes on: what is trained does not depend on them, or the file is the same by its checksum.
pub(crate) const FREE: [&str; 9] = ["updates", "epochs", "log-every", "save-every", "device", "text", "tokens", "sample", "tensorboard"];

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunConfig {
    /// Version of this list of keys.
    pub format: u32,
    /// Path of the text; none for the embedded one.
    pub text: Option<PathBuf>,
    /// Its checksum.
    pub text_checksum: String,
    /// Its bytes.
    pub text_bytes: u64,
    /// Whether symbols are bytes.
    pub bytes: bool,
    /// Path of the tokenizer whose tokens are the symbols; none for characters or bytes, or where the model of `from` brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<PathBuf>,
    /// Its checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_checksum: Option<String>,
    /// Whether a file that looks like a table is read as a text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub table_as_text: bool,
    /// What stands between finite sequences; none for one stream.
    pub separator: Option<String>,
    /// Task whose sequences are generated in place of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<SyntheticTask>,
    /// How many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<u64>,
    /// Columns of a table that are forecast, in place of a text; see [`RunConfig::wanted`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Columns that are read; none for all but those of series and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Columns that are left out where `features` names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Rows that are forecast ahead; none for 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<u32>,
    /// Column that tells series apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Column of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How times are written, as strftime has it; none to find that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// What is done where a cell is empty; none to refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Rows of a season; none to look for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season: Option<u32>,
    /// Whether changes are read and forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// What is minimized over numbers; none for squares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<RegressionLoss>,
    /// What stands between cells of a table; none to find that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// What stands before a fraction; none to find that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// Column of a table that holds the label of each line; none where no labels are predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// That of the texts; none for the only other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_column: Option<String>,
    /// Whether the first line of a table of labels names its columns; none to find out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Answer>,
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// B.
    pub batch: u32,
    /// Strategy.
    #[serde(with = "as_text")]
    pub truncation: Truncation,
    /// phi.
    pub activation: Activation,
    /// No biases.
    pub no_bias: bool,
    /// Model whose weights, architecture and vocabulary training begins with; none for `init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Whether that model gets the symbols of the text that it does not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extend_vocabulary: bool,
    /// Initial weights.
    #[serde(with = "as_text")]
    pub init: Init,
    /// Updates to stop after, unless `epochs` is given.
    pub updates: Option<u64>,
    /// Passes over the text to stop after.
    pub epochs: Option<u64>,
    /// Optimizer.
    #[serde(with = "as_text")]
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f64,
    /// How it changes.
    #[serde(with = "as_text")]
    pub schedule: Schedule,
    /// Updates over which it rises from 0.
    pub warmup: u64,
    /// Bound of the gradient's norm, 0 for none.
    pub clip_norm: f64,
    /// Bound of each gradient instead.
    pub clip_value: Option<f64>,
    /// Device asked for.
    #[serde(with = "as_text")]
    pub device: DeviceSpec,
    /// Seed.
    pub seed: u64,
    /// Part held out.
    pub val_fraction: f64,
    /// Seed by which independent sequences are held out; none for other data, and for runs that were begun before it was a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// Memory that training may take; none for a share of what there is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "size")]
    pub memory_budget: Option<Bytes>,
    /// How h is stored between the passes.
    #[serde(default)]
    pub stash: StashPrecision,
    /// Updates from one validation to the next; none for the end of each epoch.
    pub val_every: Option<u64>,
    /// Validations without a gain after which training stops.
    pub patience: Option<u64>,
    /// Updates from one report to the next.
    pub log_every: u64,
    /// Updates from one checkpoint to the next; none for about two a minute.
    pub save_every: Option<u64>,
    /// Characters of the text that is written at the end, and at most so many on the way; 0 for none.
    #[serde(default = "default_sample")]
    pub sample: usize,
    /// Probability with which a unit is dropped between layers.
    #[serde(default)]
    pub dropout: f64,
    /// Numbers that a symbol is embedded in; none for one-hot symbols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed: Option<u32>,
    /// Updates from one look at the gradient to the next; none for no looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<u64>,
    /// Whether figures are written for TensorBoard too.
    #[serde(default)]
    pub tensorboard: bool,
}

/// What runs were started with before this was a key.
fn default_sample() -> usize {
    400
}

/// Values that are written as they are given on the command line.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A size as a number of bytes, or as people write it.
fn size<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Option<Bytes>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a size in bytes, such as 16777216 or \"16MiB\"")]
    enum Size {
        Number(u64),
        Text(String),
    }
    match Size::deserialize(from)? {
        Size::Number(n) => Ok(Some(Bytes(n))),
        Size::Text(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

pub(super) fn content(path: &Path) -> Result<String> {
    data::whole(path, "the config.toml of a run")
}

/// Keys that earlier versions had, and what they are called.
pub(super) const RENAMED: [(&str, &str); 1] = [("history", "stash")];

impl RunConfig {
    /// The trainer's settings.
    pub fn settings(&self) -> Settings {
        let clip = match self.clip_value {
            Some(v) => Clip::Value(v as f32),
            None if self.clip_norm == 0.0 => Clip::None,
            None => Clip::Norm(self.clip_norm as f32),
        };
        Settings {
            hidden: self.hidden,
            layers: self.layers,
            lanes: self.batch,
            activation: self.activation,
            bias: !self.no_bias,
            init: self.init,
            truncation: self.truncation,
            rule: self.optimizer,
            clip,
            lr: self.lr as f32,
            schedule: self.schedule,
            warmup: self.warmup,
            goal: self.goal(),
            seed: self.seed,
            val_fraction: self.val_fraction,
            split_seed: self.split_seed,
            memory_budget: self.memory_budget.map(|b| b.0),
            stash: self.stash,
            dropout: self.dropout,
            embed: self.embed.unwrap_or(0),
            reserved: 0,
        }
    }

    /// Where training ends.
    pub fn goal(&self) -> Goal {
        match (self.updates, self.epochs) {
            (None, Some(n)) => Goal::Epochs(n),
            (n, _) => Goal::Updates(n.unwrap_or(1000)),
        }
    }

    /// How the text is laid out.
    pub fn layout(&self) -> Layout<'_> {
        let asked = |task: SyntheticTask| Layout::Asked { steps: task.steps(), answers: task.answers() };
        self.task.map_or_else(|| self.separator.as_deref().into(), asked)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        let again = Self::parse(&text).map_err(|e| Error::Usage(format!("what the run was started with could not be read back: {e}")))?;
        if let Some([key, here, there]) = self.differences(&again, &[self.keys(), again.keys()].concat()).first() {
            return Err(Error::Usage(format!("{key} {here} would be read back as {there}; give another value")));
        }
        files::replace(
            path,
            format!("# What this run was started with, by the flags of `retrograd train`; --resume goes on with it, --config begins another with it.\n{text}")
                .as_bytes(),
        )
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not that of a run.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {}", path.display(), e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")));
        let text = &content(path)?;
        let table: toml::Table = text.parse().map_err(|e| wrong(&e))?;
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(n) if n > i64::from(FORMAT) => {
                Err(wrong(&format!("it was written by a newer program (format {n}; this one reads up to {FORMAT}); update retrograd")))
            }
            _ if let Some((old, new)) = RENAMED.iter().find(|(old, _)| table.contains_key(*old)) => {
                Err(wrong(&format!("it is of an earlier version: its key `{old}` is called `{new}` now; rename it in the file")))
            }
            _ => Self::parse(text).map_err(|e| wrong(&format!("{e}; the file is damaged or not a run's: put back the one that the run wrote"))),
        }
    }

    /// Reads its text.
    ///
    /// # Errors
    /// [`Error::Input`] if a key is missing, unknown, or has a value that no flag takes.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| Error::Input(e.message().to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// If the text's path is not UTF-8.
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(format!("what the run was started with can't be written down: {e}")))
    }

    /// That the run's own file can hold every count.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first that is too large.
    pub(super) fn check_counts(&self) -> Result<()> {
        let counts = [
            ("seed", Some(self.seed)),
            ("split-seed", self.split_seed),
            ("warmup", Some(self.warmup)),
            ("log-every", Some(self.log_every)),
            ("sample", Some(self.sample as u64)),
            ("updates", self.updates),
            ("epochs", self.epochs),
            ("val-every", self.val_every),
            ("patience", self.patience),
            ("save-every", self.save_every),
            ("examples", self.examples),
            ("monitor", self.monitor),
            ("memory-budget", self.memory_budget.map(|b| b.0)),
            ("text-bytes", Some(self.text_bytes)),
        ];
        match counts.into_iter().find_map(|(flag, n)| n.filter(|n| *n > i64::MAX as u64).map(|n| (flag, n))) {
            Some((flag, n)) => Err(Error::Usage(format!("--{flag} {n} is above {}, the largest number that the run's config.toml holds", i64::MAX))),
            None => Ok(()),
        }
    }

    /// What flags check by themselves, and what only goes together.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first value that is not possible.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        Config { hidden: self.hidden, layers: self.layers, ..Config::symbols(1) }.dims(self.batch).checked()?;
        let positive = |x: f64| (x as f32) > 0.0 && (x as f32).is_finite();
        if !positive(self.lr) {
            return wrong(format!("--lr {} is not a number above 0 that an f32 holds", self.lr));
        }
        if self.clip_norm != 0.0 && !positive(self.clip_norm) {
            return wrong(format!("--clip-norm {} is not 0 or a number above 0 that an f32 holds", self.clip_norm));
        }
        if let Some(v) = self.clip_value.filter(|v| !positive(*v)) {
            return wrong(format!("--clip-value {v} is not a number above 0 that an f32 holds"));
        }
        if !(0.0..1.0).contains(&self.val_fraction) {
            return wrong(format!("--val-fraction {} is not from 0 to below 1", self.val_fraction));
        }
        for (flag, n) in
            [("updates", self.updates), ("epochs", self.epochs), ("val-every", self.val_every), ("patience", self.patience), ("save-every", self.save_every)]
        {
            if n == Some(0) {
                return wrong(format!("--{flag} is 0; expected at least 1"));
            }
        }
        self.check_counts()?;
        if self.log_every == 0 {
            return wrong("--log-every is 0; expected at least 1".to_string());
        }
        if self.task.is_some() && (self.text.is_some() || self.separator.is_some() || self.bytes) {
            return wrong("--task makes sequences of its own; leave out the text, --separator, --lines and --bytes".to_string());
        }
        if self.task.is_some() != self.examples.is_some() || self.examples == Some(0) {
            return wrong("--examples counts the sequences of a --task; give both, and at least 1 example".to_string());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("--dropout {} is not from 0 to below 1", self.dropout));
        }
        if self.dropout > 0.0 && self.layers < 2 {
            return wrong("--dropout drops units between layers, and there is one layer; give --layers 2 or more, or leave it out".to_string());
        }
        if self.embed == Some(0) {
            return wrong("--embed is 0; expected at least 1, or leave it out".to_string());
        }
        if self.tokens.is_some() && (self.bytes || self.task.is_some() || self.target.is_some() || self.label_column.is_some()) {
            return wrong("--tokens makes tokens of a text; leave out --bytes, --task, --target and --label-column".to_string());
        }
        if self.tokens.as_deref().is_some_and(|t| t.to_str().is_none()) {
            return wrong("the path of --tokens is not UTF-8, so a run could not find the file again; rename it".to_string());
        }
        if self.extend_vocabulary && (self.from.is_none() || !self.writes_text()) {
            return wrong("--extend-vocabulary is for --from with a text; leave it out".to_string());
        }
        if self.table_as_text && (self.target.is_some() || self.label_column.is_some() || self.task.is_some()) {
            return wrong("--text reads a table as characters; leave it out with --target, --label-column and --task".to_string());
        }
        self.check_series()?;
        self.check_labels()?;
        if self.split_seed.is_some() && !self.draws_split() {
            return wrong("--split-seed draws which lines or sequences are held out, and of other data the tail is; leave it out".to_string());
        }
        if self.monitor.is_some() && !(self.writes_text() || self.task.is_some()) {
            return wrong("--monitor looks at texts alone; leave it out where series or labels are trained on".to_string());
        }
        if self.separator.as_deref() == Some("") {
            return wrong("--separator is empty; expected at least one character".to_string());
        }
        if self.val_fraction == 0.0 && (self.patience.is_some() || self.val_every.is_some()) {
            return wrong("--patience and --val-every need a held-out part; give --val-fraction above 0".to_string());
        }
        if self.text.as_deref().is_some_and(|t| t.to_str().is_none()) {
            return wrong("the path of the text is not UTF-8, so a run could not find it again; rename it".to_string());
        }
        Ok(())
    }

    /// The keys that decide what is trained, and must not change during a run.
    pub fn keys(&self) -> Vec<String> {
        toml::Table::try_from(self).unwrap_or_default().keys().filter(|k| !FREE.contains(&k.as_str()) && *k != "format").cloned().collect()
    }

    /// The flags among `given` whose values differ in `other`: name, value here, value there.
    pub fn differences(&self, other: &Self, given: &[String]) -> Vec<[String; 3]> {
        let table = |c: &Self| toml::Table::try_from(c).unwrap_or_default();
        let (mine, theirs) = (table(self), table(other));
        let size = |v: &toml::Value| v.as_integer().and_then(|n| u64::try_from(n).ok()).map_or_else(|| v.to_string(), |n| Bytes(n).to_string());
        let show = |key: &str, v: Option<&toml::Value>| {
            v.map_or("not given".to_string(), |v| {
                v.as_str().map_or_else(|| if key == "memory-budget" { size(v) } else { v.to_string() }, |s| s.escape_debug().to_string())
            })
        };
        given.iter().filter(|k| mine.get(*k) != theirs.get(*k)).map(|k| [k.clone(), show(k, mine.get(k)), show(k, theirs.get(k))]).collect()
    }

    /// The format that is written.
    pub const fn format() -> u32 {
        FORMAT
    }
}
