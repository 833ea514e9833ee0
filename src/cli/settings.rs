//! The settings as flags, and messages that name flags.

use crate::run::{RunConfig, Stated, declared};
use crate::setting::{Form, Setting, Value, shown};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::marker::PhantomData;

/// The settings that a command has flags for.
pub(super) trait List {
    /// Whether there is a flag for a setting.
    fn has(setting: &Setting) -> bool;
    /// The default shown in the help, if it differs from the declared one.
    fn default(_: &Setting) -> Option<String> {
        None
    }
    /// One heading for all, instead of their own.
    const HEADING: Option<&'static str> = None;
}

/// Settings stated on a command line.
#[derive(Debug, Clone)]
pub(super) struct Flags<L> {
    /// By key.
    pub(super) stated: Stated,
    list: PhantomData<L>,
}

impl<L> Flags<L> {
    /// Whether a key is stated.
    pub(super) fn has(&self, key: &str) -> bool {
        self.stated.contains_key(key)
    }
}

impl<L: List> clap::FromArgMatches for Flags<L> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |s: &&Setting| matches.value_source(s.name) == Some(ValueSource::CommandLine);
        let value = |s: &Setting| if s.form == Form::Switch { Some(Value::Boolean(true)) } else { matches.get_one::<Value>(s.name).cloned() };
        let stated = flags::<L>().filter(given).map(|s| (s.key(), value(s))).collect();
        Ok(Flags { stated, list: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<L: List> clap::Args for Flags<L> {
    fn augment_args(command: Command) -> Command {
        let (heading, defaults) = (L::HEADING, RunConfig::default());
        flags::<L>().fold(command, |command, s| {
            let mut arg = argument(s, &help(s, L::default(s), &defaults)).help_heading(heading.unwrap_or(s.section));
            for other in s.excludes.iter().filter(|other| flags::<L>().any(|s| s.name == **other)) {
                arg = arg.conflicts_with(*other);
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flags<L: List>() -> impl Iterator<Item = &'static Setting> {
    let mut all: Vec<&Setting> = declared().filter(|s| s.form != Form::Noted && L::has(s)).collect();
    all.sort_by_key(|s| SECTIONS.iter().position(|name| *name == s.section));
    all.into_iter()
}

/// The sections of help, in their order.
const SECTIONS: [&str; 5] = ["Text", "Series", "Model", "Training", "Run"];

/// A setting's help for a terminal.
fn help(setting: &Setting, own: Option<String>, defaults: &RunConfig) -> String {
    let text = in_flags(&setting.text());
    let (text, told) = match text.split_once(" [default: ") {
        Some((before, after)) => (before.to_string(), Some(after.trim_end_matches(']').to_string())),
        None => (text, None),
    };
    let value = defaults.get(&setting.key()).filter(|_| setting.form != Form::Switch).map(|v| shown(&v));
    own.or(told).or(value).map_or(text.clone(), |default| format!("{text} [default: {default}]"))
}

fn argument(setting: &'static Setting, help: &str) -> Arg {
    let arg = Arg::new(setting.name).long(setting.flag()).help(help.to_string());
    let arg = match setting.form {
        Form::Switch => return arg.action(ArgAction::SetTrue),
        Form::Optional(default) => arg.num_args(0..=1).require_equals(true).default_missing_value(default),
        Form::Value | Form::Noted => arg,
    };
    let arg = arg.value_name(setting.value);
    match setting.choices {
        [] => arg.value_parser(|word: &str| setting.read(word).map_err(|e| in_flags(&e))),
        _ => arg.value_parser(PossibleValuesParser::new(setting.all()).map(Value::String)),
    }
}

/// Flags besides settings that messages of the library name: arguments of its functions, and actions on a run.
const OTHERS: [&str; 11] = ["best", "last_model", "out", "resume", "stream", "unknown", "on_device_lost", "lags", "length", "vocabulary", "lanes"];

/// The flag for a name between backticks in a message.
fn flag(name: &str) -> Option<String> {
    // --lines sets the separator, so the message should name that flag.
    if name == "separator" && std::env::args().any(|a| a == "--lines") {
        return Some("lines".to_string());
    }
    let setting = declared().find(|s| s.name == name && s.form != Form::Noted).map(Setting::flag);
    setting.or_else(|| OTHERS.contains(&name).then(|| name.replace('_', "-")))
}

/// A message with the settings between its backticks renamed to flags.
pub(super) fn in_flags(message: &str) -> String {
    let mut parts = message.split('`').peekable();
    let mut out = parts.next().unwrap_or_default().to_string();
    while let Some(name) = parts.next() {
        match (parts.peek().is_some(), flag(name)) {
            (true, Some(flag)) => {
                out += &format!("--{flag}");
                out += parts.next().unwrap_or_default();
            }
            _ => out += &format!("`{name}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(unreachable_pub)] // the made-up settings
    use super::*;

    #[test]
    fn settings_are_named_as_flags_and_nothing_else_is() {
        let cases = [
            ("`dropout` needs `layers` 2 or more", "--dropout needs --layers 2 or more"),
            ("`val_fraction` 0.1", "--val-fraction 0.1"),
            ("`table_as_text` reads a table", "--text reads a table"),
            ("see `retrograd train --help`; `lr`", "see `retrograd train --help`; --lr"),
            ("a lone ` at the end", "a lone ` at the end"),
            ("unknown value `x`", "unknown value `x`"),
        ];
        for (message, wanted) in cases {
            assert_eq!(in_flags(message), wanted);
        }
    }

    crate::setting::settings! {
        /// Made up.
        pub struct Made {
            /// Grams of sugar, with `layers`
            sugar: u32 = 3, "Model", "G", crate::setting::at_least_1 { free: true };
            /// Whether to stir
            stirred: bool = false, "Model", "", crate::setting::any {};
        }
    }

    /// One declaration makes the field, its builder, the key, the flag with its help, and the bounds of all three.
    #[test]
    fn a_made_up_setting_is_whole_by_its_declaration() {
        let [sugar, stirred] = Made::FIELDS else { panic!("two settings") };
        let mut made = Made::default().sugar(5).stirred(true);
        assert_eq!((sugar.get)(&made), Ok(Some(Value::Integer(5))));
        assert!((sugar.put)(&mut made, Some(&Value::Integer(0))).is_err_and(|e| e.contains("1 or more")) && made.sugar == 5);
        assert!((sugar.put)(&mut made, Some(&Value::Integer(7))).is_ok() && made.sugar == 7 && made.stirred);
        made.sugar = 0;
        let wrong = crate::setting::check_all(&made, Made::FIELDS).unwrap_err();
        assert!(matches!(&wrong, crate::error::Error::Setting { setting: "sugar", .. }), "{wrong}");
        assert_eq!((sugar.setting.key(), sugar.setting.free, stirred.setting.form), ("sugar".to_string(), true, Form::Switch));
        let command =
            Command::new("made").arg(argument(&sugar.setting, &help(&sugar.setting, None, &RunConfig::default()))).arg(argument(&stirred.setting, ""));
        let parse = |words: &[&str]| command.clone().try_get_matches_from([&["made"], words].concat());
        let matches = parse(&["--sugar", "4", "--stirred"]).unwrap();
        assert!(matches.get_one::<Value>("sugar") == Some(&Value::Integer(4)) && matches.get_flag("stirred"));
        assert!(parse(&["--sugar", "0"]).unwrap_err().to_string().contains("1 or more"));
        assert!(command.clone().render_long_help().to_string().contains("Grams of sugar, with --layers"));
    }
}
