//! Keywords as settings.

use crate::errors::exception;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use retrograd::Error;
use retrograd::run::{Stated, declared};
use retrograd::setting::{Form, Setting};
use std::collections::BTreeMap;

/// What is stated, by keyword: a word, or that there is no such thing.
pub(crate) type Words = BTreeMap<String, Option<String>>;

/// The settings that can be stated.
fn all() -> impl Iterator<Item = &'static Setting> {
    declared().filter(|s| s.form != Form::Noted)
}

/// The stated settings, by key.
pub(crate) fn stated(words: &Words) -> PyResult<Stated> {
    let read = |(name, word): (&String, &Option<String>)| {
        let setting = all().find(|s| s.name == name).ok_or_else(|| PyTypeError::new_err(format!("there is no setting {name:?}")))?;
        let Some(word) = word else { return Ok((setting.key(), None)) };
        // A string of Python has no escapes left.
        let value = if name == "separator" { (setting.parse)(word) } else { setting.read(word) };
        let shown = word.escape_debug().to_string();
        value.map(|v| (setting.key(), Some(v))).map_err(|e| {
            let message = format!("`{name}` {}: {e}", if shown.is_empty() { "\"\"" } else { &shown });
            exception(&Error::Setting { setting: setting.name, message })
        })
    };
    words.iter().map(read).collect()
}

/// The declarations of all settings that can be stated: dicts with name, help, section, choices, whether it is a switch, and its value's form.
#[pyfunction]
#[pyo3(name = "_settings")]
pub(crate) fn settings() -> String {
    let one = |s: &Setting| {
        serde_json::json!({
            "name": s.name, "help": s.text(), "section": s.section, "choices": s.all(), "switch": s.form == Form::Switch,
            "value": s.value, "excludes": s.excludes, "alone": if let Form::Optional(word) = s.form { Some(word) } else { None },
        })
    };
    serde_json::Value::Array(all().map(one).collect()).to_string()
}
