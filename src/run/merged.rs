//! The settings of a run, merged from flags, a file and the defaults.

use super::config::{FORMAT, content, in_keys, newer, of_key, setting};
use super::{DataKind, RunConfig};
use crate::error::{Error, Result};
use crate::model::Cell;
use crate::settings::no_activation;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Stated settings of a run: values by key. `None` states that there is no such thing, as a stream has no separator.
pub type Stated = BTreeMap<String, Option<Value>>;

/// A file of keys, each with its line.
struct Keys<'a> {
    path: &'a Path,
    values: Table,
    lines: Vec<(String, usize)>,
}

impl RunConfig {
    /// The settings from flags, else from `file`, else the defaults for that kind of data. All rules are checked on the result.
    /// Also returns the keys that flags or file state.
    ///
    /// # Errors
    /// [`Error::Input`] with path, line, key and what is allowed, if the file has an unknown key or a value of a wrong type or out of range;
    /// [`Error::Setting`] if the stated settings conflict.
    pub fn merged(flags: &Stated, file: Option<&Path>) -> Result<(Self, Vec<String>)> {
        let keys = file.map(Keys::read).transpose()?;
        let mut stated: Stated = keys.iter().flat_map(|k| &k.values).map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        // A run's record of the time when there was no other cell.
        if stated.contains_key("format") && !stated.contains_key("cell") {
            stated.insert("cell".to_string(), Some(Cell::Rnn.name().into()));
        }
        for name in flags.keys().filter_map(|flag| setting(flag)).flat_map(|s| s.sets_aside) {
            stated.remove(&name.replace('_', "-"));
        }
        let from_file: Vec<String> = stated.keys().filter(|key| !flags.contains_key(*key)).cloned().collect();
        stated.extend(flags.clone());
        let checked = Self::of(&stated).and_then(|config| config.check_stated(&stated, flags).map(|()| config));
        let config = checked.map_err(|e| {
            let Error::Setting { setting, .. } = &e else { return e };
            let key = setting.replace('_', "-");
            let line = keys.as_ref().filter(|_| from_file.contains(&key)).and_then(|k| Some((k, k.lines.iter().find(|l| l.0 == key)?.1)));
            line.map_or(e.clone(), |(keys, line)| keys.wrong(line, &e.to_string()))
        })?;
        Ok((config, stated.into_keys().collect()))
    }

    /// The stated settings, over the defaults for that kind of data.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value that is invalid or conflicts with the others.
    pub fn of(stated: &Stated) -> Result<Self> {
        let mut config = Self::defaults_of(stated);
        if ["updates", "epochs"].iter().any(|key| stated.contains_key(*key)) {
            config.training.updates = None;
        }
        config.put_all(stated)?;
        config.check().map(|()| config)
    }

    /// Refuses settings that are fine as defaults, but not when stated.
    fn check_stated(&self, stated: &Stated, flags: &Stated) -> Result<()> {
        if self.training.cell != Cell::Rnn && flags.contains_key("activation") {
            return Err(no_activation(self.training.cell));
        }
        let draws = self.from.is_none() || self.extend_vocabulary;
        let fresh = [("init", "draws weights"), ("forget_bias", "adds to fresh biases")];
        if let Some((setting, does)) = fresh.into_iter().find(|(s, _)| !draws && flags.contains_key(&s.replace('_', "-"))) {
            return Err(Error::setting(setting, format!("`{setting}` {does}, and `from` takes those of a model; leave one of them out")));
        }
        if self.sample > 0 && !self.writes_text() && stated.contains_key("sample") {
            let (setting, what) = match self.data_kind() {
                DataKind::Series => ("target", "forecasts numbers"),
                DataKind::Labels => ("label_column", "names labels"),
                DataKind::Task | DataKind::Text => ("task", "answers"),
            };
            return Err(Error::setting("sample", format!("`sample` writes text, and a model with `{setting}` {what}; leave `sample` out, or give 0")));
        }
        Ok(())
    }
}

impl<'a> Keys<'a> {
    /// Reads a file and checks each key on its own.
    fn read(path: &'a Path) -> Result<Self> {
        let text = &content(path)?;
        let mut keys = Keys { path, values: Table::new(), lines: Vec::new() };
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let places = toml::de::DeTable::parse(text).map_err(|e| keys.wrong(line(e.span().map_or(0, |s| s.start)), e.message()))?;
        keys.lines = places.get_ref().keys().map(|k| (k.get_ref().to_string(), line(k.span().start))).collect();
        keys.lines.sort_by_key(|k| k.1);
        keys.values = text.parse().map_err(|e: toml::de::Error| keys.wrong(1, e.message()))?;
        let mut alone = RunConfig::default();
        for (key, line) in &keys.lines {
            let Some(value) = keys.values.get(key) else { continue };
            alone.put(key, Some(value)).map_err(|e| keys.wrong(*line, &of_key(key, value, &e)))?;
        }
        if alone.format > FORMAT {
            let line = keys.lines.iter().find(|l| l.0 == "format").map_or(1, |l| l.1);
            return Err(keys.wrong(line, &newer(i64::from(alone.format))));
        }
        Ok(keys)
    }

    fn wrong(&self, line: usize, what: &str) -> Error {
        let what = in_keys(what).split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Input(format!("{} line {line}: {what}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::Goal;

    fn merged(file: &str, name: &str, flags: &[(&str, &str)]) -> Result<(RunConfig, Vec<String>)> {
        let path = std::env::temp_dir().join(format!("retrograd-merged-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, file).unwrap();
        let found = RunConfig::merged(&stated(flags), Some(&path));
        std::fs::remove_file(&path).unwrap();
        found
    }

    fn stated(flags: &[(&str, &str)]) -> Stated {
        flags.iter().map(|(key, word)| (key.to_string(), Some(setting(key).unwrap().read(word).unwrap()))).collect()
    }

    #[test]
    fn rules_over_two_keys_hold_for_the_whole() {
        let two = merged("dropout = 0.3\nlayers = 2\n", "two", &[]).unwrap().0.training;
        assert_eq!((two.dropout, two.layers, two.hidden), (0.3, 2, 256));
        let task = merged("task = \"recall:4,5\"\nupdates = 3\n", "task", &[]).unwrap().0;
        assert_eq!((task.examples, task.training.updates, task.sample), (Some(20_000), Some(3), 0));
        let (held, stated) = merged("val-fraction = 0.0\nhidden = 8\n", "held", &[("val-fraction", "0.1"), ("patience", "2")]).unwrap();
        assert_eq!((held.training.val_fraction, held.patience, held.training.hidden), (0.1, Some(2), 8));
        assert_eq!(stated, ["hidden", "patience", "val-fraction"]);
        // A flag overrides a key of the file that excludes it.
        let goal = |flags: &[(&str, &str)]| merged("epochs = 3\n", "goal", flags).unwrap().0.goal();
        assert_eq!((goal(&[("updates", "7")]), goal(&[])), (Goal::Updates(7), Goal::Epochs(3)));
        // An error in the file names its line; an error in a flag names the flag.
        let wrong = |file: &str, flags: &[(&str, &str)]| merged(file, "wrong", flags).unwrap_err();
        assert!(wrong("hidden = 8\ndropout = 0.3\n", &[]).to_string().contains("line 2: dropout drops units"));
        assert!(matches!(wrong("hidden = 8\n", &[("dropout", "0.3")]), Error::Setting { setting: "dropout", .. }));
    }

    #[test]
    fn a_record_without_a_cell_is_of_the_plain_one() {
        let cell = |file: &str, flags: &[(&str, &str)]| merged(file, "cell", flags).unwrap().0.training.cell;
        assert_eq!(cell("format = 1\nhidden = 8\n", &[]), Cell::Rnn);
        assert_eq!(cell("format = 1\nhidden = 8\n", &[("cell", "lstm")]), Cell::Lstm);
        assert_eq!(cell("hidden = 8\n", &[]), Cell::Gru);
    }

    #[test]
    fn what_could_not_be_read_back_is_refused_at_once() {
        let mut flags = RunConfig::defaults(DataKind::Text);
        flags.training.seed = 1 << 63;
        assert!(flags.check().unwrap_err().to_string().contains("9223372036854775808 is above"));
        flags.training.seed = i64::MAX as u64;
        assert_eq!(RunConfig::parse(&flags.toml().unwrap()).unwrap(), flags);
    }
}
