//! What a run is made of when some of it is said by flags, some by a file, and the rest by nobody.

use super::config::{FORMAT, content};
use super::{DataKind, RunConfig};
use crate::error::{Error, Result};
use std::path::Path;
use toml::Table;

/// Keys of which a flag of one sets aside what a file says of the others.
const EXCLUSIVE: [&[&str]; 4] =
    [&["updates", "epochs"], &["clip-norm", "clip-value"], &["text", "text-checksum", "text-bytes"], &["bytes", "tokens", "tokens-checksum"]];

/// A file of keys, each with its line.
struct Keys<'a> {
    path: &'a Path,
    values: Table,
    lines: Vec<(String, usize)>,
}

impl RunConfig {
    /// The flags among `given` (as keys), then what `file` says, then the defaults for that kind of data. All rules are checked on the whole.
    /// Also returns the keys that flags or file state.
    ///
    /// # Errors
    /// [`Error::Input`] with path, line, key and what is allowed, if the file has an unknown key or a value of a wrong type or out of range;
    /// [`Error::Usage`] if what is stated does not go together.
    pub fn merged(flags: &Self, given: &[String], file: Option<&Path>) -> Result<(Self, Vec<String>)> {
        flags.check_counts()?;
        let keys = file.map(Keys::read).transpose()?;
        let all = table(flags)?;
        let said = |key: &str| given.iter().any(|g| g == key);
        let mut stated = Table::new();
        let mut from_file = Vec::new();
        for (key, line) in keys.iter().flat_map(|k| &k.lines) {
            let overridden = said(key) || EXCLUSIVE.iter().any(|group| group.contains(&key.as_str()) && group.iter().any(|k| said(k)));
            if !overridden {
                from_file.push((key.clone(), *line));
                stated.insert(key.clone(), keys.as_ref().and_then(|k| k.values.get(key)).cloned().unwrap_or(toml::Value::Boolean(false)));
            }
        }
        stated.extend(given.iter().filter_map(|key| Some((key.clone(), all.get(key)?.clone()))));
        let mut whole = table(&Self::defaults_of(&stated))?;
        if ["updates", "epochs"].iter().any(|key| stated.contains_key(*key)) {
            whole.remove("updates");
        }
        whole.extend(stated.clone());
        let config: Self = whole.try_into().map_err(|e: toml::de::Error| Error::Usage(e.message().to_string()))?;
        // A flag may also say that there is none of it, as --stream does of separators.
        let without_value = given.iter().filter(|key| !stated.contains_key(key.as_str())).cloned().collect::<Vec<_>>();
        let stated: Vec<String> = stated.into_iter().map(|(key, _)| key).chain(without_value).collect();
        let checked = config.check().and_then(|()| config.check_stated(&stated, given));
        checked.map_err(|e| match (&keys, from_file.iter().find(|(key, _)| e.to_string().split_whitespace().next() == Some(&format!("--{key}")))) {
            (Some(keys), Some((_, line))) => keys.wrong(*line, &e.to_string()),
            _ => e,
        })?;
        Ok((config, stated))
    }

    /// What must not be stated, though it is fine as a default.
    fn check_stated(&self, stated: &[String], given: &[String]) -> Result<()> {
        if self.from.is_some() && !self.extend_vocabulary && given.iter().any(|g| g == "init") {
            return Err(Error::Usage("--init draws weights, and --from takes those of a model; leave one of them out".to_string()));
        }
        if self.sample > 0 && !self.writes_text() && stated.iter().any(|s| s == "sample") {
            let (flag, what) = match self.data_kind() {
                DataKind::Series => ("target", "forecasts numbers"),
                DataKind::Labels => ("label-column", "names labels"),
                DataKind::Task | DataKind::Text => ("task", "answers"),
            };
            return Err(Error::Usage(format!("--sample writes text, and a model with --{flag} {what}; leave --sample out, or give 0")));
        }
        Ok(())
    }
}

impl<'a> Keys<'a> {
    /// Reads a file and checks each key alone.
    fn read(path: &'a Path) -> Result<Self> {
        let text = &content(path)?;
        let mut keys = Keys { path, values: Table::new(), lines: Vec::new() };
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let places = toml::de::DeTable::parse(text).map_err(|e| keys.wrong(line(e.span().map_or(0, |s| s.start)), e.message()))?;
        keys.lines = places.get_ref().keys().map(|k| (k.get_ref().to_string(), line(k.span().start))).collect();
        keys.lines.sort_by_key(|k| k.1);
        keys.values = text.parse().map_err(|e: toml::de::Error| keys.wrong(1, e.message()))?;
        let defaults = table(&RunConfig::defaults_of(&Table::new()))?;
        for (key, line) in &keys.lines {
            let mut alone = defaults.clone();
            alone.extend(keys.values.get(key).map(|value| (key.clone(), value.clone())));
            let config: RunConfig = alone.try_into().map_err(|e: toml::de::Error| keys.wrong(*line, &allowed(key, e.message())))?;
            if config.format > FORMAT {
                let newer = format!("it was written by a newer program (format {}; this one reads up to {FORMAT}); update retrograd", config.format);
                return Err(keys.wrong(*line, &newer));
            }
            if key == "updates" && keys.values.contains_key("epochs") {
                return Err(keys.wrong(*line, "updates and epochs exclude each other; give one of them"));
            }
        }
        Ok(keys)
    }

    fn wrong(&self, line: usize, what: &str) -> Error {
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Input(format!("{} line {line}: {}", self.path.display(), what.trim_start_matches('-')))
    }
}

fn table(config: &RunConfig) -> Result<Table> {
    Table::try_from(config).map_err(|e| Error::Usage(format!("what the flags say can't be written down: {e}")))
}

/// What a wrong value's message says, with the key and in the words of a file's writer.
fn allowed(key: &str, message: &str) -> String {
    let words = [
        ("unknown field", "unknown key"),
        ("unknown variant", "unknown value"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text in quotes"),
        ("expected path string", "expected a path in quotes"),
    ];
    let message = words.iter().fold(message.to_string(), |m, (from, to)| m.replace(from, to));
    if let Some((old, new)) = super::config::RENAMED.iter().find(|(old, _)| message.starts_with(&format!("unknown key `{old}`"))) {
        return format!("unknown key `{old}`; it is called `{new}` now");
    }
    if message.contains(key) { message } else { format!("{key}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::DataKind;

    fn merged(file: &str, name: &str, flags: &RunConfig, given: &[&str]) -> Result<(RunConfig, Vec<String>)> {
        let path = std::env::temp_dir().join(format!("retrograd-merged-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, file).unwrap();
        let given: Vec<String> = given.iter().map(|g| (*g).to_string()).collect();
        let found = RunConfig::merged(flags, &given, Some(&path));
        std::fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn rules_over_two_keys_hold_for_the_whole() {
        let flags = RunConfig::defaults(DataKind::Text);
        let two = merged("dropout = 0.3\nlayers = 2\n", "two", &flags, &[]).unwrap().0;
        assert_eq!((two.dropout, two.layers, two.hidden), (0.3, 2, 256));
        let task = merged("task = \"recall:4,5\"\nupdates = 3\n", "task", &flags, &[]).unwrap().0;
        assert_eq!((task.examples, task.updates, task.sample), (Some(20_000), Some(3), 0));
        let patient = RunConfig { val_fraction: 0.1, patience: Some(2), ..flags.clone() };
        let (held, stated) = merged("val-fraction = 0.0\nhidden = 8\n", "held", &patient, &["val-fraction", "patience"]).unwrap();
        assert_eq!((held.val_fraction, held.patience, held.hidden), (0.1, Some(2), 8));
        assert_eq!(stated, ["hidden", "patience", "val-fraction"]);
        // A flag sets aside what excludes it.
        let short = RunConfig { updates: Some(7), ..flags.clone() };
        assert_eq!(merged("epochs = 3\n", "goal", &short, &["updates"]).unwrap().0.goal(), crate::trainer::Goal::Updates(7));
        assert_eq!(merged("epochs = 3\n", "goal", &flags, &[]).unwrap().0.goal(), crate::trainer::Goal::Epochs(3));
        // The file's own line is named, and a flag's fault is a flag's.
        let wrong = |file: &str, flags: &RunConfig, given: &[&str]| merged(file, "wrong", flags, given).unwrap_err().to_string();
        assert!(wrong("hidden = 8\ndropout = 0.3\n", &flags, &[]).contains("line 2: dropout drops units"));
        assert!(wrong("hidden = 8\n", &RunConfig { dropout: 0.3, ..flags.clone() }, &["dropout"]).starts_with("--dropout"));
    }

    #[test]
    fn what_could_not_be_read_back_is_refused_at_once() {
        let flags = RunConfig { seed: 1 << 63, ..RunConfig::defaults(DataKind::Text) };
        assert!(flags.check().unwrap_err().to_string().contains("--seed 9223372036854775808 is above"));
        let largest = RunConfig { seed: i64::MAX as u64, ..flags };
        assert_eq!(RunConfig::parse(&largest.text().unwrap()).unwrap(), largest);
    }
}
