//! A run's figures for TensorBoard: the lines of `metrics.jsonl`, as events in the folder `tensorboard`.

use super::folder::{Folder, Growing};
use crate::error::{Error, Result};
use crate::model::layer_name;
use crate::store::events::{What, event};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What stands in the name of every event file.
const NAME: &str = "events.out.tfevents.";

/// A file of events that grows.
pub(super) struct Board {
    file: Growing,
}

impl Board {
    /// Begins another file, after `updates` of a run that was started with `config`; where there are others, what they say of later
    /// updates is taken back.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written.
    pub(super) fn open(folder: &Folder, updates: u64, config: &str) -> Result<Self> {
        let path = folder.file("tensorboard");
        let failed = |e: std::io::Error| Error::Input(format!("cannot write {}: {e}; make the folder writable", path.display()));
        fs::create_dir_all(&path).map_err(failed)?;
        let others = others(&path).map_err(failed)?;
        // TensorBoard reads the files in the order of their names, whatever the clock did meanwhile.
        let seconds = (now() as u64).max(others.iter().copied().max().unwrap_or(0));
        let file = Growing::open(path.join(format!("{NAME}{seconds:010}.retrograd.{:04}", others.len())), 0)?;
        let mut board = Board { file };
        board.event(0, &What::Version)?;
        if !others.is_empty() {
            board.event(updates + 1, &What::Start)?;
        }
        if others.is_empty() || updates == 0 {
            board.event(updates, &What::Text("config", &verbatim(config)))?;
        }
        Ok(board)
    }

    /// Writes what a line of the metrics says.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written; it then waits for the next time.
    pub(super) fn write(&mut self, line: &Value) -> Result<()> {
        let update = line["update"].as_u64().unwrap_or(0);
        match line["sample"].as_str() {
            Some(text) => self.event(update, &What::Text("sample", &verbatim(text))),
            None => self.event(update, &What::Scalars(&scalars(line))),
        }
    }

    fn event(&mut self, step: u64, what: &What<'_>) -> Result<()> {
        self.file.push(&event(now(), step, what))
    }
}

/// The event files that there are: the seconds in their names.
fn others(path: &Path) -> std::io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some(rest) = name.strip_prefix(NAME) {
            found.push(rest.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0));
        }
    }
    Ok(found)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A text as it is, in Markdown.
fn verbatim(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The numbers of a line by their names. What is null in a report was not finite.
fn scalars(line: &Value) -> Vec<(String, f64)> {
    let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
    if let Some(monitor) = line.get("monitor") {
        return monitored(monitor);
    }
    if line.get("best").is_some() {
        return vec![("loss/validation".to_string(), number(&line["val_loss"]))];
    }
    let names = [
        ("loss/train", "mean_loss"),
        ("grad_norm", "grad_norm"),
        ("learning_rate", "learning_rate"),
        ("tokens_per_second", "tokens_per_second"),
        ("skipped", "skipped_updates"),
        ("clipped", "clipped_updates"),
    ];
    // With --clip-value no gradient is scaled as a whole, and there is nothing to count.
    let counted = |key: &str| key != "clipped_updates" || line[key].is_u64();
    names.into_iter().filter(|(_, key)| counted(key)).map(|(name, key)| (name.to_string(), number(&line[key]))).collect()
}

/// What is monitored of layers and parameters.
fn monitored(monitor: &Value) -> Vec<(String, f64)> {
    let mut out = Vec::new();
    let mut take = |name: String, of: &Value, key: &str| {
        if let Some(x) = of.get(key) {
            out.push((format!("{key}/{name}"), x.as_f64().unwrap_or(f64::NAN)));
        }
    };
    for (k, layer) in monitor["layers"].as_array().into_iter().flatten().enumerate() {
        ["decay_rate", "half_life", "saturation"].into_iter().for_each(|key| take(layer_name(k).replace(' ', "_"), layer, key));
    }
    for parameter in monitor["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or("unnamed");
        ["grad_norm", "weight_norm", "update_ratio"].into_iter().for_each(|key| take(name.to_string(), parameter, key));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_become_scalars_by_what_they_are() {
        let named = |line: Value| scalars(&line).into_iter().map(|(n, x)| format!("{n}={x}")).collect::<Vec<_>>().join(" ");
        let report = json!({ "update": 5, "mean_loss": 2.5, "grad_norm": null, "learning_rate": 0.1, "tokens_per_second": 9.0, "skipped_updates": 1, "clipped_updates": 3 });
        assert_eq!(named(report.clone()), "loss/train=2.5 grad_norm=NaN learning_rate=0.1 tokens_per_second=9 skipped=1 clipped=3");
        let mut clamped = report;
        clamped["clipped_updates"] = Value::Null;
        assert!(!named(clamped).contains("clipped"));
        assert_eq!(named(json!({ "update": 5, "val_loss": 1.5, "best": true, "mean_loss": null })), "loss/validation=1.5");
        let monitor = json!({ "layers": [{ "half_life": 9.5, "saturation": 0.5 }, { "decay_rate": 0.5 }], "parameters": [{ "name": "w_hh.0", "grad_norm": 0.1, "update_ratio": null }] });
        // The number of a layer is that of its tensors, and of all that names layers.
        assert_eq!((layer_name(0), layer_name(1)), ("layer 0".to_string(), "layer 1".to_string()));
        assert_eq!(
            named(json!({ "update": 5, "monitor": monitor })),
            "half_life/layer_0=9.5 saturation/layer_0=0.5 decay_rate/layer_1=0.5 grad_norm/w_hh.0=0.1 update_ratio/w_hh.0=NaN"
        );
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(verbatim("# a\n\n```"), "    # a\n    \n    ```\n");
    }
}
