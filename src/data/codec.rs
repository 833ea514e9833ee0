//! The meaning of a model's inputs and outputs.

use super::{Scale, Series, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Input, Output};

/// The meaning of a model's inputs and outputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Codec {
    /// Reads symbols; predicts the next one.
    Text(Vocabulary),
    /// Reads symbols; predicts the label of their sequence.
    Labels {
        /// The symbols.
        vocabulary: Vocabulary,
        /// The label of each class.
        labels: Vec<String>,
    },
    /// Reads rows of values; predicts the label of their sequence.
    LabelledRows {
        /// The scale of each column.
        scales: Vec<Scale>,
        /// Their names; empty if they have none.
        columns: Vec<String>,
        /// The label of each class.
        labels: Vec<String>,
    },
    /// Reads rows of values; forecasts the rows after them.
    Series(Series),
}

impl Codec {
    /// The model's input. Symbols are embedded in `size` values unless `size` is 0.
    pub fn input(&self, size: u32) -> Input {
        match self {
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } if size > 0 => Input::Embedded { symbols: v.len(), size },
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } => Input::Symbols(v.len()),
            Codec::LabelledRows { scales, .. } => Input::Numbers(scales.len() as u32),
            Codec::Series(s) => Input::Numbers(s.features.len() as u32),
        }
    }

    /// The model's output.
    pub fn output(&self) -> Output {
        match self {
            Codec::Text(v) => Output::Classes(v.len()),
            Codec::Labels { labels, .. } | Codec::LabelledRows { labels, .. } => Output::Classes(labels.len() as u32),
            Codec::Series(s) => match s.quantiles {
                Some(levels) => Output::Quantiles { count: s.width() as u32, levels },
                None => Output::Numbers { count: s.width() as u32, deviation: s.loss },
            },
        }
    }

    /// The labels of a model that predicts them.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Codec::Labels { labels, .. } | Codec::LabelledRows { labels, .. } => Some(labels),
            Codec::Text(_) | Codec::Series(_) => None,
        }
    }

    /// The vocabulary of the input, if it is symbols.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } => Some(v),
            Codec::Series(_) | Codec::LabelledRows { .. } => None,
        }
    }

    /// The vocabulary of a model that predicts the next symbol.
    ///
    /// # Errors
    /// [`Error::Input`] if the model predicts something else, saying what.
    pub fn text(&self) -> Result<&Vocabulary> {
        match self {
            Codec::Text(v) => Ok(v),
            Codec::Labels { .. } => Err(Error::Input("the model predicts labels of sequences, not the next symbol; `retrograd eval` reads it".to_string())),
            Codec::LabelledRows { .. } => {
                Err(Error::Input("the model predicts labels of sequences of numbers, not the next symbol; `retrograd eval` and `predict` read it".to_string()))
            }
            Codec::Series(_) => {
                Err(Error::Input("the model forecasts numeric series, not the next symbol; `retrograd eval` and `predict` read it".to_string()))
            }
        }
    }

    /// The series of a model that forecasts.
    ///
    /// # Errors
    /// [`Error::Input`] if the model reads symbols.
    pub fn series(&self) -> Result<&Series> {
        match self {
            Codec::Series(s) => Ok(s),
            Codec::LabelledRows { .. } => {
                Err(Error::Input("the model predicts labels of sequences, and forecasts nothing; train one with `target`".to_string()))
            }
            Codec::Text(_) | Codec::Labels { .. } => {
                Err(Error::Input("the model reads symbols, not numeric series; train one with `retrograd train FILE.csv --target COLUMN`".to_string()))
            }
        }
    }
}
