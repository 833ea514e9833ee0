//! The figures of a run at its end.

use super::{End, Run, bits};
use crate::data::SyntheticTask;
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::{number, optional};
use crate::metrics_log::single;
use crate::monitor::Monitor;
use crate::ranks::{Cost, Ranks};
use serde_json::{Value, json};

impl Run {
    /// The figures of the run: what `train --json` prints and `summary.json` holds.
    ///
    /// # Errors
    /// If the device fails.
    pub fn summary(&mut self, end: End, seconds_setup: f64) -> Result<Value> {
        let p = self.progress;
        let epochs = self.trainer.epochs();
        let idle = self.trainer.idle();
        let skipped = self.trainer.engine.skipped()?;
        let engine = &self.trainer.engine;
        let of_monitor = self.monitor.as_ref().map_or([0; 2], Monitor::device_bytes);
        let [planned, allocated] = [0, 1].map(|i| engine.device_bytes()[i] + of_monitor[i]);
        let activations = engine.activation_bytes();
        let here = self.trainer.updates() - self.first[0];
        let submits = (engine.counters().submits - self.first[1]) as f64 / here as f64;
        let best = optional(p.best_loss);
        let (ranks, cost) = (self.trainer.ranks().map_or(1, Ranks::count), self.trainer.ranks().map_or(Cost::default(), Ranks::cost));
        Ok(json!({
            "device": engine.description(), "backend": self.device.backend(), "updates": self.trainer.updates(), "tokens": self.trainer.tokens(),
            "epochs": number(epochs), "train_loss": optional(p.last_loss.map(single)), "val_loss": optional(p.val_loss),
            "val_bpc": optional(p.val_loss.filter(|_| self.config.predicts_symbols()).map(bits)), "best_val_loss": best, "best_update": if best.is_null() { Value::Null } else { json!(p.best_update) },
            "val_perplexity": optional(p.val_loss.filter(|_| self.config.writes_text()).map(f64::exp)),
            "val_bits_per_byte": optional(p.val_loss.zip(self.trainer.per_byte()).map(|(loss, per_byte)| bits(loss) * per_byte)),
            "tokens_per_second": number(self.trainer.tokens() as f64 / p.seconds), "device_bytes_planned": planned, "device_bytes_allocated": allocated,
            "monitor_bytes": of_monitor[1], "activation_bytes_planned": activations, "activation_bytes_allocated": (activations + allocated).saturating_sub(planned),
            "dispatches_per_window": engine.dispatches_per_window(), "submits_per_window": number(submits),
            "skipped_updates": skipped, "clipped_updates": self.config.training.clip().counted(p.clipped), "loss_explosions": p.explosions, "idle_fraction": number(idle),
            "seconds_setup": number(seconds_setup), "seconds_training": number(p.seconds), "run_dir": self.folder.path().display().to_string(),
            "window_mean": number(self.trainer.counters().window_steps as f64 / self.trainer.counters().windows as f64), "window_max": self.trainer.counters().window_max,
            "interrupted": end == End::Interrupted, "stopped_early": p.stopped_early, "val_accuracy": optional(p.val_accuracy),
            "best_val_accuracy": optional(p.best_accuracy), "chance_accuracy": optional(self.chance()), "ranks": ranks, "lane_groups": self.config.training.groups(),
            "rank_sent_bytes_per_update": number(cost.sent as f64 / here as f64), "rank_exchange_seconds": number(cost.seconds),
            "rank_additions_per_update": number(cost.adds as f64 / here as f64), "sample": "",
        }))
    }

    /// Checks that the run produced a usable model.
    ///
    /// # Errors
    /// [`Error::Anomaly`] if the last loss is not finite, or more than half of the updates were skipped because a gradient was not.
    pub fn learned(&mut self) -> Result<()> {
        let (skipped, updates) = (u64::from(self.trainer.engine.skipped()?), self.trainer.updates());
        let p = self.progress;
        let what = if 2 * skipped > updates {
            format!("{skipped} of {updates} updates were skipped because a gradient was not finite")
        } else if updates > 0 && p.last_loss.is_none() {
            format!("the loss is not finite after update {updates}")
        } else if p.validated_at.is_some() && p.val_loss.is_none() {
            "the validation loss is not finite".to_string()
        } else {
            return Ok(());
        };
        let folder = self.folder.path().display();
        let best = p.best_loss.map_or(String::new(), |_| format!("; best.safetensors is of update {}", p.best_update));
        Err(Error::Anomaly(format!("{what}; the model in {folder} is of no use{best}; begin again with a lower `lr`, or a `clip_norm`")))
    }

    /// Share of right answers of the best guess that ignores the input, on the held-out part; none if there are no answers.
    pub fn chance(&self) -> Option<f64> {
        self.config.task.map(SyntheticTask::chance).or(self.trainer.chance())
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save_summary(&self, summary: &Value) -> Result<()> {
        files::replace(&self.folder.file("summary.json"), format!("{summary:#}\n").as_bytes())
    }
}
