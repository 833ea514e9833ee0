//! Flags that choose the model of a run.

use crate::run::Chosen;
use crate::session::Source;

/// Flags that choose among a run's models.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub(super) struct Which {
    /// For a run, use the model with the lowest validation loss (best.safetensors) [default for series and labels]
    #[arg(long)]
    pub best: bool,
    /// For a run, use the model at the end of training (model.safetensors) [default for texts and tasks]
    #[arg(long, conflicts_with = "best")]
    pub last_model: bool,
}

impl Which {
    /// The chosen model.
    pub(super) fn chosen(self) -> Chosen {
        match (self.best, self.last_model) {
            (true, _) => Chosen::Best,
            (_, true) => Chosen::Last,
            _ => Chosen::Default,
        }
    }
}

/// The model's file, and how to use the other one if the best was taken by default.
pub(super) fn said(source: &Source) -> String {
    let how = if source.best_by_default { ", the best by validation (--last-model takes the last)" } else { "" };
    format!("{}{how}", source.file.display())
}
