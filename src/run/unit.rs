//! What a loss is counted in.

use super::{DataKind, RunConfig, bits};
use crate::model::Deviation;

/// What a loss is counted in: for those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Cross entropy of symbols.
    Nats,
    /// That of labels.
    Labels,
    /// Squares, or absolute values, of what standardised numbers are off by.
    Numbers(Deviation),
}

impl Unit {
    /// That of a run.
    pub fn of(config: &RunConfig) -> Self {
        match config.data_kind() {
            DataKind::Series => Unit::Numbers(config.loss.unwrap_or_default()),
            DataKind::Labels => Unit::Labels,
            DataKind::Text | DataKind::Task => Unit::Nats,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nats | Unit::Labels => "nats",
            Unit::Numbers(Deviation::Squared) => "squared deviations",
            Unit::Numbers(Deviation::Absolute) => "deviations",
        }
    }

    /// What the axis of a picture says.
    pub fn axis(self) -> &'static str {
        match self {
            Unit::Nats => "loss, nats per symbol",
            Unit::Labels => "loss, nats per label",
            Unit::Numbers(Deviation::Squared) => "loss, squared standard deviations",
            Unit::Numbers(Deviation::Absolute) => "loss, standard deviations",
        }
    }

    /// A loss in other words, for where there is room: bits, or the root of squares; empty if there are none.
    pub fn also(self, loss: f64) -> String {
        match self {
            Unit::Nats => format!("{:.4} bits per symbol", bits(loss)),
            Unit::Numbers(Deviation::Squared) => format!("{:.4} deviations rms", loss.sqrt()),
            Unit::Labels | Unit::Numbers(Deviation::Absolute) => String::new(),
        }
    }

    /// What the table of a picture's loss says it is.
    pub fn explained(self) -> &'static str {
        match self {
            Unit::Nats | Unit::Labels => "1 nat is 1.443 bits.",
            Unit::Numbers(_) => "It is that of standardised numbers: 1 deviation is a standard deviation of the training part.",
        }
    }
}
