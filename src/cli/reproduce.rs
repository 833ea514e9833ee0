//! The command that repeats a run, built from its settings.

#[cfg(test)]
use super::train_flags;
#[cfg(test)]
use crate::error::Error;
use crate::phrase::shell_word;
use crate::plan::Bytes;
use crate::run::{RunConfig, declared};
use crate::setting::Form;
#[cfg(test)]
use clap::{Args as _, Command, FromArgMatches};
use toml::Value;

/// The settings of a run that `train` begins with these arguments.
#[cfg(test)]
fn parse(arguments: &[String]) -> crate::error::Result<RunConfig> {
    let command = train_flags::Args::augment_args(Command::new("train"));
    let matches = command.try_get_matches_from(std::iter::once("train".to_string()).chain(arguments.iter().cloned()));
    let args = matches.and_then(|m| train_flags::Args::from_arg_matches(&m)).map_err(|e| Error::Usage(super::one_line(&e)))?;
    RunConfig::merged(&args.stated()?, None).map(|(config, _)| config)
}

/// The keys that differ from their defaults, and the arguments of `train` that set them.
pub(super) fn arguments(config: &RunConfig) -> (Vec<String>, Vec<String>) {
    let mut mine = config.values();
    let stated = mine.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    // The other defaults are those for its cell, whether that is the usual one or not.
    let mut default = RunConfig::defaults_of(&stated).values();
    default.insert("cell".to_string(), config.data_kind().cell().name().into());
    // Values recorded by the program have no flag.
    declared().filter(|s| s.form == Form::Noted && s.name != "text").for_each(|s| drop(mine.remove(&s.key())));
    // Of two that contradict each other, only the one in effect.
    if config.training.updates.is_some() {
        mine.remove("epochs");
    }
    if config.training.clip_value.is_some() {
        mine.remove("clip-norm");
    }
    // The length of a sample means nothing if none is written.
    if !config.writes_text() {
        mine.remove("sample");
    }
    let (mut keys, mut out, mut text) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in mine.iter().filter(|(key, value)| default.get(*key) != Some(*value)) {
        keys.push(key.clone());
        match (key.as_str(), value) {
            ("text", value) => {
                let path = shown(value);
                text = if path.starts_with('-') { vec!["--".to_string(), path] } else { vec![path] };
            }
            ("separator", Value::String(s)) if s == "\n" => out.push("--lines".to_string()),
            ("separator", Value::String(s)) => flag(&mut out, key, s.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r")),
            ("memory-budget", Value::Integer(n)) => flag(&mut out, key, size(*n as u64)),
            ("difference", value) => out.push(format!("--difference={}", shown(value))),
            ("table-as-text", _) => out.push("--text".to_string()),
            (_, Value::Boolean(true)) => out.push(format!("--{key}")),
            (_, value) => flag(&mut out, key, shown(value)),
        }
    }
    // A path that begins with a dash must stand last.
    let arguments = if text.len() > 1 { [out, text].concat() } else { [text, out].concat() };
    (keys, arguments)
}

fn flag(out: &mut Vec<String>, key: &str, value: String) {
    if value.starts_with('-') {
        out.push(format!("--{key}={value}"));
    } else {
        out.extend([format!("--{key}"), value]);
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A size in a unit in which it is exact.
fn size(bytes: u64) -> String {
    let short = Bytes(bytes).to_string();
    if short.parse::<Bytes>() == Ok(Bytes(bytes)) { short } else { bytes.to_string() }
}

/// The keys that differ from their defaults, and the command for a shell.
pub(super) fn command(config: &RunConfig) -> (Vec<String>, String) {
    let (keys, arguments) = arguments(config);
    let words: Vec<String> = ["retrograd", "train"].iter().map(|w| (*w).to_string()).chain(arguments.iter().map(|a| shell_word(a))).collect();
    (keys, words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(config: &RunConfig) -> RunConfig {
        let mut found = parse(&arguments(config).1).unwrap();
        (found.text_checksum, found.text_bytes) = (config.text_checksum.clone(), config.text_bytes);
        found.tokens_checksum.clone_from(&config.tokens_checksum);
        found
    }

    #[test]
    fn the_command_of_defaults_is_bare() {
        assert_eq!(command(&parse(&[]).unwrap()).1, "retrograd train");
    }

    /// Gives each flag a value other than its default, so that none is forgotten: a new flag without a line here fails.
    #[test]
    fn every_flag_comes_back() {
        let cases: &[&[&str]] = &[
            &["it's a book.txt"],
            &["--bytes"],
            &["sales.csv", "--text"],
            &["--tokens", "/a/tokenizer.json"],
            &["--separator", "\\n\\t\\\\n-"],
            &["--separator=-"],
            &["--lines"],
            &["--val-fraction", "0.05"],
            &["--hidden", "12"],
            &["--layers", "3"],
            &["--cell", "rnn"],
            &["a.csv", "--target", "x", "--cell", "gru"],
            &["--cell", "lstm", "--forget-bias", "0"],
            &["--activation", "relu"],
            &["--no-bias"],
            &["--init", "normal:0.1"],
            &["--batch", "7"],
            &["--lane-groups", "4"],
            &["--rank-timeout", "60"],
            &["--truncation", "random-tail:8,4"],
            &["--updates", "77"],
            &["--epochs", "3"],
            &["--optimizer", "adamw:0.02"],
            &["--lr", "0.0000123"],
            &["--schedule", "cosine:0.1"],
            &["--warmup", "5"],
            &["--clip-norm", "0"],
            &["--clip-value", "0.25"],
            &["--memory-budget", "1234567"],
            &["--memory-budget", "48MiB"],
            &["--stash", "f16"],
            &["--layers", "2", "--dropout", "0.25"],
            &["--embed", "8"],
            &["mails.tsv", "--label-column", "mood", "--text-column=2"],
            &["mails.tsv", "--label-column=2", "--header=no", "--split-seed=3", "--updates=9"],
            &["traces.csv", "--label-column=kind", "--sequence-column=id", "--class-weights=1,2.5", "--ignore=z"],
            &["--lines", "--split-seed=3"],
            &["--seed", "18446744073709"],
            &["--device", "gpu:2"],
            &["--val-every", "9"],
            &["--patience", "4"],
            &["--log-every", "1"],
            &["--save-every", "10"],
            &["--sample", "0"],
            &["--tensorboard"],
            &["--monitor", "50"],
            &["--task", "recall:8,20", "--examples", "500"],
            &["--from", "runs/book"],
            &["--from", "runs/book", "--extend-vocabulary"],
            &["a.csv", "--target", "x,y", "--features", "x,\"a,b\"", "--horizon", "3", "--series", "s", "--time", "t"],
            &["a.csv", "--target=x", "--missing=mean", "--season=12", "--difference", "--loss=absolute", "--delimiter=;"],
            &["a.csv", "--target=x", "--quantiles=0.1,0.5,0.9", "--scale=series"],
            &["a.csv", "--target=x", "--difference=targets", "--delimiter=\\t", "--decimal=,", "--ignore=z"],
            &["a.csv", "--target=x", "--time=t", "--time-format=%d/%m/%Y %H:%M"],
            &["--lines", "--epochs=2", "--val-every=9", "--patience=4", "--clip-value=3", "--", "-odd name.txt"],
        ];
        let mut seen: Vec<String> = Vec::new();
        for case in cases {
            let config = parse(&case.iter().map(|a| (*a).to_string()).collect::<Vec<_>>()).unwrap();
            let (keys, found) = (arguments(&config).0, again(&config));
            assert!(found == config && !keys.is_empty(), "{case:?}: {found:?}");
            seen.extend(keys);
        }
        // Flags that do not affect training are no keys; all others must have been seen.
        let others = ["out", "resume", "config", "profile", "detect-anomaly", "on-device-lost", "quiet", "json", "lines", "stream", "help"];
        for argument in train_flags::Args::augment_args(Command::new("train")).get_arguments() {
            let name = argument.get_id().as_str().replace('_', "-");
            assert!(others.contains(&name.as_str()) || seen.contains(&name), "no case for --{name}");
        }
    }
}
