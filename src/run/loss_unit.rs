//! The unit of a loss.

use super::{DataKind, RunConfig, bits};
use crate::model::RegressionLoss;

/// The unit of a loss, as shown to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Cross entropy of symbols.
    Nats,
    /// Cross entropy of labels, one to a line.
    Labels,
    /// Cross entropy of the answers of a task.
    Answers,
    /// Squares, or absolute values, of the errors of standardised values.
    Numbers(RegressionLoss),
    /// Pinball losses of quantiles of standardised values.
    Quantiles,
}

impl Unit {
    /// The unit of a run's loss.
    pub fn of(config: &RunConfig) -> Self {
        match config.data_kind() {
            DataKind::Series if config.quantiles.is_some() => Unit::Quantiles,
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
            Unit::Numbers(RegressionLoss::Absolute) | Unit::Quantiles => "deviations",
        }
    }

    /// Name of the items that are scored, and counted in training.
    pub fn scored(self) -> &'static str {
        match self {
            Unit::Nats => "symbols",
            Unit::Labels => "labels",
            Unit::Answers => "answers",
            Unit::Numbers(_) | Unit::Quantiles => "rows",
        }
    }

    /// Label of a chart's loss axis.
    pub fn axis(self) -> &'static str {
        match self {
            Unit::Nats => "loss, nats per symbol",
            Unit::Labels => "loss, nats per label",
            Unit::Answers => "loss, nats per answer",
            Unit::Numbers(RegressionLoss::Squared) => "loss, squared standard deviations",
            Unit::Numbers(RegressionLoss::Absolute) => "loss, standard deviations",
            Unit::Quantiles => "pinball loss, standard deviations",
        }
    }

    /// A loss in another unit, where there is room: bits, or the root of squares; empty if there is none.
    pub fn also(self, loss: f64) -> String {
        match self {
            Unit::Nats => format!("{:.4} bits per symbol", bits(loss)),
            Unit::Numbers(RegressionLoss::Squared) => format!("{:.4} deviations rms", loss.sqrt()),
            // Where there are right answers, their share says more.
            Unit::Numbers(RegressionLoss::Absolute) | Unit::Quantiles | Unit::Labels | Unit::Answers => String::new(),
        }
    }

    /// Explanation of the unit, for the table of a loss chart.
    pub fn explained(self) -> &'static str {
        match self {
            Unit::Nats => "1 nat is 1.443 bits.",
            Unit::Labels => "It is that of the right label, in nats.",
            Unit::Answers => "It is that of the right answers, in nats.",
            Unit::Quantiles => {
                "It is the mean pinball loss of the quantiles of standardised numbers: 1 deviation is a standard deviation of the training part."
            }
            Unit::Numbers(_) => "It is that of standardised numbers: 1 deviation is a standard deviation of the training part.",
        }
    }
}
