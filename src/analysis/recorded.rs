//! The content of a run's folder, for its report.

use super::planned::Planned;
use crate::error::{Error, Result};
use crate::files;
use crate::forecast::Outcome;
use crate::metrics_log::MetricsLog;
use crate::run::RunConfig;
use serde_json::Value;
use std::path::Path;

/// A run, read from its folder. All but the configuration may be missing.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The name of the folder.
    pub name: String,
    /// The settings it was started with.
    pub config: RunConfig,
    /// Keys of the configuration that differ from their defaults.
    pub given: Vec<String>,
    /// The command that repeats it.
    pub command: String,
    /// `metrics.jsonl`.
    pub history: MetricsLog,
    /// `summary.json`.
    pub summary: Option<Value>,
    /// `plan.json`.
    pub planned: Option<Planned>,
    /// `forecast.json`, of a run on a table.
    pub forecast: Option<Outcome>,
}

impl Recorded {
    /// Reads a folder; `repeat` returns the stated keys and the command.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not the folder of a run, or of a run of a newer version.
    pub fn load(path: &Path, repeat: impl Fn(&RunConfig) -> (Vec<String>, String)) -> Result<Self> {
        let file = path.join("config.toml");
        if !file.is_file() {
            let what = if path.is_dir() { "is not the folder of a run: it has no config.toml" } else { "is not a folder; give that of a run" };
            return Err(Error::Input(format!("{} {what}", path.display())));
        }
        let config = RunConfig::load(&file)?;
        let (given, command) = repeat(&config);
        let json = |name: &str| serde_json::from_slice::<Value>(&files::read(&path.join(name)).ok()?).ok();
        let metrics = path.join("metrics.jsonl");
        let history = if metrics.exists() { MetricsLog::parse(&files::read(&metrics)?) } else { MetricsLog::default() };
        // A summary older than the metrics belongs to an earlier end.
        let updates = |s: &Value| s["updates"].as_u64();
        Ok(Recorded {
            name: name(path),
            config,
            given,
            command,
            summary: json("summary.json").filter(|s| updates(s).is_some_and(|n| n >= history.updates)),
            history,
            planned: json("plan.json").and_then(|p| serde_json::from_value(p).ok()),
            forecast: json("forecast.json").and_then(|f| serde_json::from_value(f).ok()),
        })
    }

    /// A figure of the summary.
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.summary.as_ref()?.get(key)?.as_f64()
    }
}

/// The name of a folder, also where its path is `.`.
fn name(path: &Path) -> String {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    whole.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}
