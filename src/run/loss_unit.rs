//! What a loss is counted in.

use super::{DataKind, RunConfig, bits};
use crate::model::RegressionLoss;

/// What a loss is counted in: for those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Cross entropy of symbols.
    Nats,
    /// Cross entropy of labels, one to a line.
    Labels,
    /// Cross entropy of the answers of a task.
    Answers,
    /// Squares, or absolute values, of what standardised numbers are off by.
    Numbers(RegressionLoss),
}

impl Unit {
    /// That of a run.
    pub fn of(config: &RunConfig) -> Self {
        match config.data_kind() {
            DataKind::Series => Unit::Numbers(config.loss.unwrap_or_default()),
            DataKind::Labels => Unit::Labels,
            DataKind::Task => Unit::Answers,
            DataKind::Text => Unit::Nats,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nats | Unit::Labels | Unit::Answers => "nats",
            Unit::Numbers(RegressionLoss::Squared) => "squared deviations",
            Unit::Numbers(RegressionLoss::Absolute) => "deviations",
        }
    }

    /// What is scored, and counted as what was trained on.
    pub fn scored(self) -> &'static str {
        match self {
            Unit::Nats => "symbols",
            Unit::Labels => "labels",
            Unit::Answers => "answers",
            Unit::Numbers(_) => "rows",
        }
    }

    /// What the axis of a picture says.
    pub fn axis(self) -> &'static str {
        match self {
            Unit::Nats => "loss, nats per symbol",
            Unit::Labels => "loss, nats per label",
            Unit::Answers => "loss, nats per answer",
            Unit::Numbers(RegressionLoss::Squared) => "loss, squared standard deviations",
            Unit::Numbers(RegressionLoss::Absolute) => "loss, standard deviations",
        }
    }

    /// A loss in other words, for where there is room: bits, or the root of squares; empty if there are none.
    pub fn also(self, loss: f64) -> String {
        match self {
            Unit::Nats => format!("{:.4} bits per symbol", bits(loss)),
            Unit::Numbers(RegressionLoss::Squared) => format!("{:.4} deviations rms", loss.sqrt()),
            // Where there are right answers, their share says more.
            Unit::Numbers(RegressionLoss::Absolute) | Unit::Labels | Unit::Answers => String::new(),
        }
    }

    /// What the table of a picture's loss says it is.
    pub fn explained(self) -> &'static str {
        match self {
            Unit::Nats => "1 nat is 1.443 bits.",
            Unit::Labels => "It is that of the right label, in nats.",
            Unit::Answers => "It is that of the right answers, in nats.",
            Unit::Numbers(_) => "It is that of standardised numbers: 1 deviation is a standard deviation of the training part.",
        }
    }
}
