//! What a run was started with: `config.toml`, whose keys are the settings.

use super::series::{ahead, apart, fraction_mark, strftime};
use super::{Answer, Stated};
use crate::data::{self, ClassWeights, Difference, Missing, ScaleBy, SyntheticTask};
use crate::device::DeviceSpec;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Quantiles, RegressionLoss};
use crate::plan::Bytes;
use crate::setting::{Field, Form, Setting, Value, any, at_least_1, check_all, not_empty, settings, shown, written_as_text};
use crate::store::Model;
use crate::trainer::{Goal, Layout, Settings};
use std::path::{Path, PathBuf};
use toml::Table;

/// Newest format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// Keys that earlier versions had, and what they are called.
const RENAMED: [(&str, &str); 1] = [("history", "stash")];

written_as_text!(SyntheticTask, DeviceSpec, ClassWeights, Quantiles);

settings! {
    /// What a run is started with.
    pub struct RunConfig {
        /// Version of this list of keys
        format: u32 = FORMAT, "Run", "", any { form: Form::Noted };
        /// Path of the text; none for the embedded one
        text: Option<PathBuf> = None, "Text", "TEXT", any { form: Form::Noted, free: true, sets_aside: &["text_checksum", "text_bytes"] };
        /// Checksum of the text
        text_checksum: String = String::new(), "Text", "", any { form: Form::Noted };
        /// Bytes of the text
        text_bytes: u64 = 0, "Text", "", any { form: Form::Noted };
        /// Read a file that looks like a table (.csv, .tsv, columns of numbers) as the characters of a text
        table_as_text: bool = false, "Text", "", any { flag: "text" };
        /// Read any file as bytes instead of UTF-8 characters; there are 256 symbols then
        bytes: bool = false, "Text", "", any { sets_aside: &["tokens", "tokens_checksum"] };
        /// Read the text as the tokens of this Hugging Face tokenizer (its tokenizer.json), which the model's file then holds; `embed` suits large
        /// vocabularies. Needs a build with tokenizers (cargo's feature "tokens")
        tokens: Option<PathBuf> = None, "Text", "FILE", any { free: true, word: absolute, sets_aside: &["bytes", "tokens_checksum"] };
        /// Checksum of the tokenizer
        tokens_checksum: Option<String> = None, "Text", "", any { form: Form::Noted };
        /// Separator between independent sequences of the text; \n, \t, \r and \\ are escapes
        separator: Option<String> = None, "Text", "STRING", not_empty { word: unescaped };
        /// Train on a generated task instead of a text: adding:T, copy:T or recall:SYMBOLS,T, see below
        task: Option<SyntheticTask> = None, "Text", "TASK", any {};
        /// Number of sequences of `task`, including the held-out ones [default: 20000]
        examples: Option<u64> = None, "Text", "N", at_least_1 {};
        /// Classify the lines of a table: the column of their labels, by its name in the first line or its number from 1. Columns are separated by tabs,
        /// commas, semicolons or bars. Held-out lines are sampled, the same share of each label. Other defaults are then `hidden` 64, `activation` relu,
        /// `init` identity:1, `truncation` full, `lr` 0.001, `schedule` cosine, and `updates` for 20 passes over the lines, from 2000 to 20000. Lines of
        /// more than 200 characters get a lower `lr`
        label_column: Option<String> = None, "Text", "COLUMN", any {};
        /// Column of the texts, if there are several besides the labels'
        text_column: Option<String> = None, "Text", "COLUMN", any {};
        /// Classify sequences of numbers, one step a row: the column that says which sequence a row is a step of. Without it, a table whose columns besides
        /// the labels' are two or more of numbers has one sequence a row, of one number a step. `features`, `ignore`, `missing`, `delimiter` and `decimal`
        /// say how such tables are read
        sequence_column: Option<String> = None, "Text", "COLUMN", any {};
        /// Weights of the labels in the training loss: balanced (inverse to their counts), or a number for each in the order of the sorted labels, such as
        /// 1,5. Their mean over the training part is made 1
        class_weights: Option<ClassWeights> = None, "Text", "WEIGHTS", any {};
        /// Whether the first line of a table of labels names its columns [default: detected, with a note]
        header: Option<Answer> = None, "Text", "ANSWER", any {};
        /// Start from this model's weights, architecture and vocabulary, with a fresh optimizer
        from: Option<PathBuf> = None, "Model", "RUN|FILE", any { word: absolute };
        /// Add the text's characters that the model of `from` lacks, with fresh weights (`init`, `seed`)
        extend_vocabulary: bool = false, "Model", "", any {};
        /// Forecast these columns of a CSV file, which is read instead of a text; comma-separated names
        target: Option<String> = None, "Series", "COLUMNS", any {};
        /// Input columns; comma-separated names, with double quotes around one that has a comma [default: all named columns but those of `series`, `time`
        /// and `ignore`, which must be numbers]
        features: Option<String> = None, "Series", "COLUMNS", any { excludes: &["ignore"] };
        /// Columns to leave out
        ignore: Option<String> = None, "Series", "COLUMNS", any {};
        /// Forecast the next N rows, each directly [default: 1]
        horizon: Option<u32> = None, "Series", "N", ahead {};
        /// Column that says which series a row belongs to, if the file has several; each starts from a zero state
        series: Option<String> = None, "Series", "COLUMN", any {};
        /// Column with the time of a row: not an input, but copied beside forecasts. Rows must be sorted by it, oldest or newest first. Numbers and most
        /// date and time formats are understood
        time: Option<String> = None, "Series", "COLUMN", any {};
        /// Rows per season, for the seasonal naive forecast that the model is compared with [default: detected]
        season: Option<u32> = None, "Series", "N", at_least_1 {};
        /// Forecast changes from the last known row, with changes as inputs too (all, the default value) or plain values (targets), or read and forecast
        /// changes from the values one `season` before (season). Use all for most series with a trend, whose values leave the range seen in training;
        /// targets for series without one whose next value is near the last; season where a season repeats itself. Errors stay in the series' own units [default: chosen by the training part: all if its later rows lie beyond its earlier ones, else targets if the last value
        /// forecasts better than the mean, else none]
        difference: Option<Difference> = None, "Series", "WHAT", any { form: Form::Optional("all") };
        /// Loss: squared error (its optimum is the conditional mean) or absolute error (the median, less sensitive to outliers) [default: squared]
        loss: Option<RegressionLoss> = None, "Series", "LOSS", any {};
        /// Standardise values by all series of the file together, or each series by its own rows, those before the held-out tail, so that one model serves
        /// series of any size; new series by all of their rows [default: all]
        scale: Option<ScaleBy> = None, "Series", "BY", any {};
        /// Forecast quantiles of these levels, such as 0.1,0.5,0.9, in place of single values: the loss is the pinball loss, and errors are those of level
        /// 0.5. At most 9 levels between 0 and 1, rising, 0.5 among them; quantiles that cross are sorted [default: off]
        quantiles: Option<Quantiles> = None, "Series", "LEVELS", any {};
        /// What to do with empty cells: refuse the file, or fill in the previous row's value, zero, or the training part's mean [default: refuse; with a
        /// trained model, as in training, or previous]
        missing: Option<Missing> = None, "Series", "WHAT", any {};
        /// Cell delimiter: one character, or \t [default: detected: , ; \t or |]
        delimiter: Option<char> = None, "Series", "C", apart { word: delimiter };
        /// Decimal mark: a point or a comma; the other one, spaces and apostrophes may separate thousands [default: detected]
        decimal: Option<char> = None, "Series", "C", fraction_mark { word: mark };
        /// strftime format of the time column, such as %d/%m/%Y %H:%M [default: detected]
        time_format: Option<String> = None, "Series", "FORMAT", strftime {};
        /// Where to train: auto (a hardware GPU, else the CPU), gpu, gpu:INDEX (see `retrograd devices`) or cpu
        device: DeviceSpec = DeviceSpec::Auto, "Training", "DEVICE", any { free: true };
        /// Of several processes that train together (`mpirun -n`): end all if one has not answered for so many seconds, or for four times the longest update so
        /// far if that is more [default: 20]
        rank_timeout: Option<u64> = None, "Training", "SECONDS", at_least_1 { free: true };
        /// Validate every N updates, and at the end [default: for texts about 25 times a run, fewer if that cost over 5% of training's operations; for series
        /// every 25 updates or more; else after each epoch]
        val_every: Option<u64> = None, "Run", "N", at_least_1 {};
        /// Stop after N validations in a row without a new best
        patience: Option<u64> = None, "Run", "N", at_least_1 {};
        /// Report the loss every N updates
        log_every: u64 = 50, "Run", "N", at_least_1 { free: true };
        /// Save a checkpoint every N updates [default: about two a minute]
        save_every: Option<u64> = None, "Run", "N", at_least_1 { free: true };
        /// Characters of the text that the best model writes at the end, and of which up to 200 are written to metrics.jsonl on the way; 0 for none [default: 400]
        sample: u64 = 400, "Run", "N", any { free: true, later: true };
        /// Look at the gradient every N updates: lag profile, norms and update-to-weight ratios by parameter, saturated units, for
        /// metrics.jsonl and report.html. It takes a small part of the memory budget and, at 50, under 3% of the time [default: off]
        monitor: Option<u64> = None, "Run", "N", at_least_1 {};
        /// Write the figures for TensorBoard too, in the run's folder tensorboard
        tensorboard: bool = false, "Run", "", any { free: true };
    }
    and /// What is trained, and how.
    training: Settings
}

/// The declarations of all settings, those of training first.
pub fn declared() -> impl Iterator<Item = &'static Setting> {
    let training = Settings::FIELDS.iter().map(|f| &f.setting);
    training.chain(RunConfig::FIELDS.iter().map(|f| &f.setting))
}

/// The declaration of a key of a file.
pub(crate) fn setting(key: &str) -> Option<&'static Setting> {
    declared().find(|s| s.key() == key)
}

/// Whether a key may change when a run goes on: what is trained does not depend on it, or the file is the same by its checksum.
pub(crate) fn is_free(key: &str) -> bool {
    setting(key).is_some_and(|s| s.free)
}

/// What is done with the field of a key, wherever it is.
enum Place {
    Training(&'static Field<Settings>),
    Own(&'static Field<RunConfig>),
}

fn place(key: &str) -> Option<Place> {
    let training = Settings::FIELDS.iter().find(|f| f.setting.key() == key).map(Place::Training);
    training.or_else(|| RunConfig::FIELDS.iter().find(|f| f.setting.key() == key).map(Place::Own))
}

pub(super) fn content(path: &Path) -> Result<String> {
    data::whole(path, "the config.toml of a run")
}

impl RunConfig {
    /// The value of a key; none where there is none, or a file can't hold it.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        match place(key)? {
            Place::Training(f) => (f.get)(&self.training).ok()?,
            Place::Own(f) => (f.get)(self).ok()?,
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// What is expected of its value; or that there is no such key.
    pub(crate) fn put(&mut self, key: &str, value: Option<&Value>) -> std::result::Result<(), String> {
        match place(key) {
            _ if setting(key).is_some_and(|s| s.is_auto(value)) => Ok(()),
            Some(Place::Training(f)) => (f.put)(&mut self.training, value),
            Some(Place::Own(f)) => (f.put)(self, value),
            None => Err(unknown(key)),
        }
    }

    /// Sets what is stated.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value that is not possible by itself.
    pub(crate) fn put_all(&mut self, stated: &Stated) -> Result<()> {
        for (key, value) in stated {
            let name = setting(key).map_or("", |s| s.name);
            self.put(key, value.as_ref()).map_err(|e| Error::setting(name, if e.contains(key) { e } else { format!("`{name}`: {e}") }))?;
        }
        Ok(())
    }

    /// The keys that have a value, and their values.
    pub(crate) fn values(&self) -> Table {
        declared().filter_map(|s| Some((s.key(), self.get(&s.key())?))).collect()
    }

    /// Takes over what a model decides.
    pub(crate) fn take_architecture(&mut self, model: &Model) {
        let has = &model.config;
        self.training = self.training.hidden(has.hidden).layers(has.layers).cell(has.cell).activation(has.activation).no_bias(!has.bias);
        self.training.embed = Some(has.embedding()).filter(|e| *e > 0);
        self.bytes = model.codec.vocabulary().is_some_and(|v| v.kind() == data::Kind::Bytes);
    }

    /// How the text is laid out.
    pub fn layout(&self) -> Layout<'_> {
        let asked = |task: SyntheticTask| Layout::Asked { steps: task.steps(), answers: task.answers() };
        self.task.map_or_else(|| self.separator.as_deref().into(), asked)
    }

    /// Where training ends.
    pub fn goal(&self) -> Goal {
        self.training.goal()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let head = "# What this run was started with, by the flags of `retrograd train`; --resume goes on with it, --config begins another with it.\n";
        files::replace(path, format!("{head}{}", self.toml()?).as_bytes())
    }

    /// Reads the file of a run.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not that of a run.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {}", path.display(), e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")));
        let text = &content(path)?;
        let table: Table = text.parse().map_err(|e| wrong(&e))?;
        match table.get("format").and_then(Value::as_integer) {
            Some(n) if n > i64::from(FORMAT) => Err(wrong(&newer(n))),
            _ if let Some((old, new)) = RENAMED.iter().find(|(old, _)| table.contains_key(*old)) => {
                Err(wrong(&format!("it is of an earlier version: its key {old} is called {new} now; rename it in the file")))
            }
            _ => Self::parse(text).map_err(|e| wrong(&format!("{e}; the file is damaged or not a run's: put back the one that the run wrote"))),
        }
    }

    /// Reads its text.
    ///
    /// # Errors
    /// [`Error::Input`] if a key is missing or unknown; [`Error::Setting`] if one has a value that is not possible.
    pub fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| Error::Input(e.message().to_string()))?;
        let mut config = RunConfig::default();
        for (key, value) in &table {
            config.put(key, Some(value)).map_err(|e| Error::Input(of_key(key, value, &e)))?;
        }
        // What a file does not say is absent, not a default.
        for s in declared().filter(|s| !table.contains_key(&s.key())) {
            match s {
                s if s.optional => config.put(&s.key(), None).map_err(Error::Input)?,
                s if s.later => {}
                s => return Err(Error::Input(format!("missing key {}", s.key()))),
            }
        }
        config.check().map_err(|e| e.reworded(|message| in_keys(&message)))?;
        Ok(config)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`Error::Setting`] if a file can't hold a value.
    pub fn toml(&self) -> Result<String> {
        check_all(&self.training, Settings::FIELDS).and_then(|()| check_all(self, Self::FIELDS))?;
        Ok(declared().filter_map(|s| Some(format!("{} = {}\n", s.key(), self.get(&s.key())?))).collect())
    }

    /// That each value is within its bounds, and all go together.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is not possible.
    pub fn check(&self) -> Result<()> {
        self.training.check()?;
        check_all(self, Self::FIELDS)?;
        let wrong = |setting: &'static str, what: &str| Err(Error::setting(setting, what));
        if self.task.is_some() && (self.text.is_some() || self.separator.is_some() || self.bytes) {
            return wrong("task", "`task` makes sequences of its own; leave out the text, `separator` and `bytes`");
        }
        if self.task.is_some() != self.examples.is_some() {
            return wrong("examples", "`examples` counts the sequences of a `task`; give both");
        }
        if self.tokens.is_some() && (self.bytes || self.task.is_some() || self.target.is_some() || self.label_column.is_some()) {
            return wrong("tokens", "`tokens` makes tokens of a text; leave out `bytes`, `task`, `target` and `label_column`");
        }
        if self.extend_vocabulary && (self.from.is_none() || !self.writes_text()) {
            return wrong("extend_vocabulary", "`extend_vocabulary` is for `from` with a text; leave it out");
        }
        if self.table_as_text && (self.target.is_some() || self.label_column.is_some() || self.task.is_some()) {
            return wrong("table_as_text", "`table_as_text` reads a table as characters; leave it out with `target`, `label_column` and `task`");
        }
        self.check_series()?;
        self.check_labels()?;
        if self.training.split_seed.is_some() && !self.draws_split() {
            return wrong("split_seed", "`split_seed` draws which lines or sequences are held out, and of other data the tail is; leave it out");
        }
        if self.monitor.is_some() && !(self.writes_text() || self.task.is_some()) {
            return wrong("monitor", "`monitor` looks at texts alone; leave it out where series or labels are trained on");
        }
        if self.training.val_fraction == 0.0 && (self.patience.is_some() || self.val_every.is_some()) {
            let setting = if self.patience.is_some() { "patience" } else { "val_every" };
            return wrong(setting, "`patience` and `val_every` need a held-out part; give `val_fraction` above 0");
        }
        Ok(())
    }

    /// The keys that decide what is trained, and must not change during a run.
    pub fn keys(&self) -> Vec<String> {
        declared().filter(|s| !s.free && s.name != "format").map(Setting::key).filter(|key| self.get(key).is_some()).collect()
    }

    /// The keys among `given` whose values differ in `other`: key, value here, value there.
    pub fn differences(&self, other: &Self, given: &[String]) -> Vec<[String; 3]> {
        let show = |key: &str, v: Option<Value>| match v {
            None => "not given".to_string(),
            Some(Value::Integer(n)) if key == "memory-budget" => Bytes(n as u64).to_string(),
            Some(v) => shown(&v),
        };
        let pairs = given.iter().map(|k| (k, self.get(k), other.get(k)));
        pairs.filter(|(_, here, there)| here != there).map(|(k, here, there)| [k.clone(), show(k, here), show(k, there)]).collect()
    }
}

/// What is said of a file of a newer program.
pub(super) fn newer(format: i64) -> String {
    format!("it was written by a newer program (format {format}; this one reads up to {FORMAT}); update retrograd")
}

fn unknown(key: &str) -> String {
    match RENAMED.iter().find(|(old, _)| *old == key) {
        Some((old, new)) => format!("unknown key {old}; it is called {new} now"),
        None => {
            let near = declared().map(Setting::key).min_by_key(|known| edits(known, key)).filter(|known| edits(known, key) <= 2);
            format!("unknown key {key}; {}`retrograd train --help` lists all", near.map_or(String::new(), |n| format!("a similar one is {n}; ")))
        }
    }
}

/// Letters to change, add or remove from one word to the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

/// A message about a key of a file, its value, and what is expected of it.
pub(super) fn of_key(key: &str, value: &Value, expected: &str) -> String {
    if expected.contains(key) { expected.to_string() } else { format!("{key} {value}: {expected}") }
}

/// A message whose settings, which stand in it between backticks, are named as keys of a file.
pub(super) fn in_keys(message: &str) -> String {
    declared().fold(message.to_string(), |m, s| m.replace(&format!("`{}`", s.name), &s.key()))
}

/// A path from the root, so that a run finds the file from anywhere.
fn absolute(word: &str) -> std::result::Result<String, String> {
    std::path::absolute(word).map_or_else(|_| Ok(word.to_string()), |p| p.into_os_string().into_string().map_err(|_| "expected a path in UTF-8".to_string()))
}

/// A string in which \\n, \\t, \\r and \\\\ stand for what they do in programs.
pub(crate) fn unescaped(text: &str) -> std::result::Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') => out.push('\\'),
                other => return Err(format!("\\{} is unknown; expected \\n, \\t, \\r or \\\\", other.map_or(String::new(), String::from))),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

fn delimiter(word: &str) -> std::result::Result<String, String> {
    let word = if word == "\\t" || word == "tab" { "\t" } else { word };
    // More than one character is none of those that may stand there.
    apart(&word.parse().unwrap_or('a')).map(|()| word.to_string())
}

fn mark(word: &str) -> std::result::Result<String, String> {
    fraction_mark(&word.parse().unwrap_or('a')).map(|()| word.to_string())
}
