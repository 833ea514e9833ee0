//! What the numbers that a model reads and gives stand for.

use super::{Series, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Input, Output};

/// What a model's inputs and outputs stand for.
#[derive(Debug, Clone, PartialEq)]
pub enum Codec {
    /// A symbol is read, the next one predicted.
    Text(Vocabulary),
    /// A symbol is read, the label of its sequence predicted.
    Labels {
        /// The symbols.
        vocabulary: Vocabulary,
        /// The labels, by class.
        labels: Vec<String>,
    },
    /// Numbers of a row are read, those of rows to come forecast.
    Series(Series),
}

impl Codec {
    /// What is read; symbols are embedded in `size` numbers, if it is not 0.
    pub fn input(&self, size: u32) -> Input {
        match self {
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } if size > 0 => Input::Embedded { symbols: v.len(), size },
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } => Input::Symbols(v.len()),
            Codec::Series(s) => Input::Numbers(s.features.len() as u32),
        }
    }

    /// What is predicted.
    pub fn output(&self) -> Output {
        match self {
            Codec::Text(v) => Output::Classes(v.len()),
            Codec::Labels { labels, .. } => Output::Classes(labels.len() as u32),
            Codec::Series(s) => Output::Numbers { count: s.outputs.len() as u32, deviation: s.loss },
        }
    }

    /// The symbols that are read, where symbols are.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Codec::Text(v) | Codec::Labels { vocabulary: v, .. } => Some(v),
            Codec::Series(_) => None,
        }
    }

    /// The symbols that are read and predicted.
    ///
    /// # Errors
    /// [`Error::Input`] if something else is predicted, saying what.
    pub fn text(&self) -> Result<&Vocabulary> {
        match self {
            Codec::Text(v) => Ok(v),
            Codec::Labels { .. } => Err(Error::Input("the model predicts labels of sequences, not the next symbol; `retrograd eval` reads it".to_string())),
            Codec::Series(_) => {
                Err(Error::Input("the model forecasts numeric series, not the next symbol; `retrograd eval` and `predict` read it".to_string()))
            }
        }
    }

    /// The series that are read and forecast.
    ///
    /// # Errors
    /// [`Error::Input`] if symbols are read.
    pub fn series(&self) -> Result<&Series> {
        match self {
            Codec::Series(s) => Ok(s),
            Codec::Text(_) | Codec::Labels { .. } => {
                Err(Error::Input("the model reads symbols, not numeric series; train one with `retrograd train FILE.csv --target COLUMN`".to_string()))
            }
        }
    }
}
