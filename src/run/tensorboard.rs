//! A run's figures for TensorBoard: the lines of `metrics.jsonl`, as events in the folder `tensorboard`.

use super::folder::{Folder, Growing};
use crate::error::{Error, Result};
use crate::metrics_log::{LayerProfile, Line, Look, ParameterFigures};
use crate::model::layer_name;
use crate::platform;
use crate::store::events::{What, event};
use std::fs;
use std::path::Path;

/// Prefix of every event file's name.
const NAME: &str = "events.out.tfevents.";

/// A file of events that grows.
pub(super) struct Board {
    file: Growing,
}

impl Board {
    /// Begins another file, after `updates` of a run that was started with `config`. If there are others, their events of later updates are
    /// discarded.
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

    /// Writes a line of the metrics.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written; it then stays pending.
    pub(super) fn write(&mut self, line: &Line) -> Result<()> {
        match line {
            Line::Sample(s) => self.event(s.update, &What::Text("sample", &verbatim(&s.text))),
            _ => self.event(line.update(), &What::Scalars(&scalars(line))),
        }
    }

    fn event(&mut self, step: u64, what: &What<'_>) -> Result<()> {
        self.file.push(&event(now(), step, what))
    }
}

/// The existing event files: the seconds in their names.
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
    platform::unix_seconds()
}

/// A text verbatim, in Markdown.
fn verbatim(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The values of a line, by name.
fn scalars(line: &Line) -> Vec<(String, f64)> {
    let named = |all: &[(&str, f64)]| all.iter().map(|(name, x)| (name.to_string(), *x)).collect();
    match line {
        Line::Sample(_) => Vec::new(),
        Line::Monitored(m) => monitored(&m.monitor),
        Line::Validation(v) => named(&[("loss/validation", v.loss)]),
        Line::Report(r) => {
            let all = [
                ("loss/train", r.mean_loss),
                ("grad_norm", r.norm),
                ("learning_rate", r.learning_rate),
                ("tokens_per_second", r.speed),
                ("skipped", r.skipped as f64),
                ("clipped", r.clipped.unwrap_or(0) as f64),
            ];
            // Where each gradient value is clamped by itself, no gradient is scaled as a whole, and there is nothing to count.
            named(&all[..all.len() - usize::from(r.clipped.is_none())])
        }
    }
}

/// The monitored values of layers and parameters.
fn monitored(look: &Look) -> Vec<(String, f64)> {
    let layer = |(k, l): (usize, &LayerProfile)| {
        let name = layer_name(k).replace(' ', "_");
        [("decay_rate", l.decay_rate), ("half_life", l.half_life), ("saturation", l.saturation)].map(|(key, x)| (format!("{key}/{name}"), x))
    };
    let parameter = |p: &ParameterFigures| {
        [("grad_norm", p.grad_norm), ("weight_norm", p.weight_norm), ("update_ratio", p.update_ratio)].map(|(key, x)| (format!("{key}/{}", p.name), x))
    };
    look.layers.iter().enumerate().flat_map(layer).chain(look.parameters.iter().flat_map(parameter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics_log::{Figures, Monitored, Validation};

    #[test]
    fn lines_become_scalars_by_what_they_are() {
        let named = |line: &Line| scalars(line).into_iter().map(|(n, x)| format!("{n}={x}")).collect::<Vec<_>>().join(" ");
        let figures = Figures { update: 5, mean_loss: 2.5, norm: f64::NAN, learning_rate: 0.1, speed: 9.0, skipped: 1, clipped: Some(3), ..Figures::default() };
        assert_eq!(named(&Line::Report(figures)), "loss/train=2.5 grad_norm=NaN learning_rate=0.1 tokens_per_second=9 skipped=1 clipped=3");
        assert!(!named(&Line::Report(Figures { clipped: None, ..figures })).contains("clipped"));
        assert_eq!(named(&Line::Validation(Validation { loss: 1.5, best: true, ..Validation::default() })), "loss/validation=1.5");
        let layer = LayerProfile { median: vec![], low: vec![], high: vec![], decay_rate: 0.5, half_life: 9.5, saturation: 0.25 };
        let parameter = ParameterFigures { name: "w_hh.0".to_string(), grad_norm: 0.1, weight_norm: 2.0, update_ratio: f64::NAN };
        let monitor = Look { lags: vec![], layers: vec![layer], parameters: vec![parameter], clipped_updates: None, skipped_updates: 0 };
        // A layer has the same number here as in its tensors' names and wherever else it is named.
        assert_eq!((layer_name(0), layer_name(1)), ("layer 0".to_string(), "layer 1".to_string()));
        assert_eq!(
            named(&Line::Monitored(Monitored { update: 5, tokens: 1, monitor })),
            "decay_rate/layer_0=0.5 half_life/layer_0=9.5 saturation/layer_0=0.25 grad_norm/w_hh.0=0.1 weight_norm/w_hh.0=2 update_ratio/w_hh.0=NaN"
        );
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(verbatim("# a\n\n```"), "    # a\n    \n    ```\n");
    }
}
