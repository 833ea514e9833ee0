//! The progress of a run: a bar in a terminal, lines elsewhere.

use super::tell;
use super::{messages, percent};
use crate::run::{Event, Run, Unit};
use crate::trainer::Goal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Parts of a bar whose goal is not a number of updates.
const PARTS: u64 = 1000;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    goal: String,
    /// The bar's template for its position.
    what: &'static str,
    unit: &'static str,
    /// The unit of losses.
    loss: Unit,
    /// For tokens, tokens per byte.
    per_byte: Option<f64>,
    parts: u64,
    /// The last figures.
    message: String,
    /// The last validation.
    validation: String,
}

impl Progress {
    pub(super) fn new(run: &mut Run, quiet: bool) -> Self {
        let (parts, what, goal) = match run.trainer.settings().goal() {
            Goal::Updates(n) => (n, "{pos}/{len} updates", n.to_string()),
            Goal::Epochs(n) => (PARTS, "{percent}%", format!("{n} epochs")),
        };
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(parts), ProgressDrawTarget::stderr());
            bar.set_style(style(what, "  {eta} left"));
            bar
        });
        let per_byte = messages::tokens_per_byte(run);
        let mut progress = Progress {
            per_byte,
            bar,
            quiet,
            goal,
            what,
            unit: run.trainer.unit(),
            loss: Unit::of(run.config()),
            parts,
            message: String::new(),
            validation: String::new(),
        };
        progress.step(run.trainer.fraction());
        if let Some(bar) = &progress.bar {
            bar.reset_eta();
        }
        progress
    }

    fn step(&mut self, done: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position((done * self.parts as f64).round() as u64);
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => tell(text),
        }
    }

    pub(super) fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Warning(text) => self.line(&format!("warning: {text}")),
            _ if self.quiet => {}
            Event::Opened(device, updates) => self.line(&format!("device: {device}, opened again; going on after update {updates}")),
            Event::Step(done) => self.step(done),
            Event::Report(r) => {
                let message = format!("loss {:.4} {}  norm {:.3}  {:.0} {}/s", r.mean_loss, self.loss.name(), r.norm, r.speed, self.unit);
                match &self.bar {
                    Some(bar) => bar.set_message(format!("{message}{}", self.validation)),
                    None => tell(&format!("update {}/{}  {message}", r.mark.counters.updates, self.goal)),
                }
                self.message = message;
            }
            Event::Validating => {
                if let Some(bar) = &self.bar {
                    bar.set_message("validating");
                }
            }
            Event::Validated { loss, accuracy, best, last } => {
                let right = accuracy.map_or(String::new(), |a| format!(", {} right", percent(a)));
                if let Some(bar) = &self.bar {
                    let worse = if best { "" } else { ", not the best" };
                    self.validation = format!("  validation {loss:.4}{right}{worse}");
                    bar.set_message(format!("{}{}", self.message, self.validation));
                    return;
                }
                // All of them are in metrics.jsonl; only those that tell something new are shown here.
                if best || last {
                    let best = if best { ", the best so far" } else { "" };
                    let also = messages::also(self.loss, loss, self.per_byte);
                    tell(&format!("validation: {loss:.4} {}{also}{right}{best}", self.loss.name()));
                }
            }
        }
    }

    /// Leaves the bar as it is, but without the time left if it ends early.
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            bar.set_style(style(self.what, ""));
            bar.abandon();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The style of the bar. The template is fixed, so that any run shows whether it is valid.
fn style(what: &str, left: &str) -> ProgressStyle {
    ProgressStyle::with_template(&format!("{{bar:24}} {what}  {{msg}}{left}")).unwrap_or(ProgressStyle::default_bar())
}

/// A spinner with a word beside it, in a terminal, for work of unknown length.
pub(super) fn spinner(quiet: bool) -> ProgressBar {
    let hidden = quiet || !std::io::stderr().is_terminal();
    let spinner = ProgressBar::with_draw_target(None, if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}
