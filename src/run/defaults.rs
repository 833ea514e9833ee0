//! The default settings of a run, by kind of data.

use super::{RunConfig, Stated};
use crate::model::{Activation, Cell, Init};
use crate::optimizer::{Optimizer, Schedule};
use crate::settings::Settings;
use crate::truncation::Truncation;

/// The kind of data a run is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// A text: the next symbol is predicted.
    Text,
    /// The sequences of a synthetic task.
    Task,
    /// Lines with labels.
    Labels,
    /// A table of numbers.
    Series,
}

impl DataKind {
    /// The cell that `cell` auto stands for: what learns most in the same time. README's section on cells has the figures.
    pub fn cell(self) -> Cell {
        match self {
            DataKind::Text => Cell::Gru,
            DataKind::Task | DataKind::Labels | DataKind::Series => Cell::Rnn,
        }
    }
}

/// Number of sequences of a task: enough that they are not memorised.
const EXAMPLES: u64 = 20_000;

impl RunConfig {
    /// The kind of data it is trained on.
    pub fn data_kind(&self) -> DataKind {
        if self.target.is_some() {
            DataKind::Series
        } else if self.label_column.is_some() {
            DataKind::Labels
        } else if self.task.is_some() {
            DataKind::Task
        } else {
            DataKind::Text
        }
    }

    /// The defaults for the kind of data that the stated keys imply.
    pub(crate) fn defaults_of(stated: &Stated) -> Self {
        let has = |key: &str| stated.get(key).is_some_and(Option::is_some);
        let kind = match () {
            () if has("target") => DataKind::Series,
            () if has("label-column") => DataKind::Labels,
            () if has("task") => DataKind::Task,
            () => DataKind::Text,
        };
        let named = stated.get("cell").and_then(|v| v.as_ref()?.as_str()?.parse().ok());
        // Whoever names an activation means the cell that has one to choose.
        let named = named.or(has("activation").then_some(Cell::Rnn));
        let mut config = Self::defaults_for(kind, named.unwrap_or(kind.cell()));
        // The held-out sequences of a text are chosen at random, like lines with labels.
        if kind == DataKind::Text && has("separator") {
            config.training.split_seed = Some(0);
        }
        config
    }

    /// The defaults for a kind of data. Those that depend on the data itself are chosen when it is opened, see [`RunConfig::open_corpus`].
    pub fn defaults(kind: DataKind) -> Self {
        Self::defaults_for(kind, kind.cell())
    }

    /// The defaults for a kind of data and a cell.
    pub(crate) fn defaults_for(kind: DataKind, cell: Cell) -> Self {
        let mut usual = Settings::default().cell(cell).updates(1000);
        usual.split_seed = None;
        let training = match kind {
            // A text is memorised sooner or later: the best model should be the last.
            DataKind::Text => usual.schedule(Schedule::Cosine(0.0)),
            DataKind::Task => usual,
            // A label depends on symbols anywhere in its line: to find them takes gradients through the whole line, and a state that keeps what it has read.
            // The number of updates follows from the number of lines, once that is known.
            DataKind::Labels => {
                let mut kept = usual.truncation(Truncation::Full).hidden(64);
                if cell == Cell::Rnn {
                    kept = kept.activation(Activation::Relu).init(Init::Identity(1.0));
                }
                kept.updates = None;
                kept.lr(1e-3).schedule(Schedule::Cosine(0.0)).split_seed(0)
            }
            // A few hundred rows are memorised: hence a small net, weight decay, and a rate that ends low, so that the best model is a settled one.
            DataKind::Series => {
                let small = usual.hidden(64).optimizer(Optimizer::AdamW { decay: 0.3 });
                small.updates(600).lr(3e-3).schedule(Schedule::Cosine(0.0))
            }
        };
        let mut config = RunConfig::default().training(training);
        config.examples = (kind == DataKind::Task).then_some(EXAMPLES);
        if kind != DataKind::Text {
            config.sample = 0;
        }
        config
    }
}
