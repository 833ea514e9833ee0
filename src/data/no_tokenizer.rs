//! Stand-in for the tokenizer in builds without the feature `tokens`: every attempt to make one fails.

use crate::error::{Error, Result};
use std::path::Path;

/// A tokenizer; in this build there are none.
#[derive(Debug, PartialEq, Eq)]
pub enum Tokenizer {}

impl Tokenizer {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(String::new()).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
    }

    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: String) -> Result<Self> {
        Err(Error::Input(
            "this retrograd was built without tokenizers; build it with them: cargo install --path . --features tokens (in its source folder)".to_string(),
        ))
    }

    /// The content of its file.
    pub fn json(&self) -> &str {
        match *self {}
    }

    /// Number of tokens.
    pub fn len(&self) -> u32 {
        match *self {}
    }

    /// Whether it has no tokens.
    pub fn is_empty(&self) -> bool {
        match *self {}
    }

    /// The unknown token.
    pub fn unknown(&self) -> Option<u32> {
        match *self {}
    }

    /// How a token is spelled.
    pub fn spelled(&self, _: u32) -> String {
        match *self {}
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// Never.
    pub fn encode(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    /// The byte at which each token of a text begins.
    ///
    /// # Errors
    /// Never.
    pub fn starts(&self, _: &str) -> Result<Vec<usize>> {
        match *self {}
    }

    /// The text of tokens.
    ///
    /// # Errors
    /// Never.
    pub fn decode(&self, _: &[u32]) -> Result<String> {
        match *self {}
    }
}
