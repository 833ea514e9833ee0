//! Tokenizers in the `tokenizer.json` format of Hugging Face's `tokenizers`.

use crate::data::whole;
use crate::error::{Error, Result, caught};
use std::path::Path;

/// A tokenizer: text to tokens and back.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: String,
    len: u32,
    unknown: Option<u32>,
}

impl Tokenizer {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be read, or holds no tokenizer.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {e}", path.display()));
        let json = whole(path, "the tokenizer.json of a Hugging Face tokenizer")?;
        Self::new(json).map_err(|e| wrong(&e))
    }

    /// The tokenizer that a file's content describes, without its truncation and padding.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not JSON, describes no tokenizer, or one without tokens or with dropout.
    pub fn new(json: String) -> Result<Self> {
        let wrong = |what: &str| Error::Input(format!("{what}; give the tokenizer.json of a Hugging Face tokenizer"));
        let value: serde_json::Value = serde_json::from_str(&json).map_err(|e| wrong(&format!("not JSON ({e})")))?;
        let mut inner = answer(|| tokenizers::Tokenizer::from_bytes(&json)).map_err(|e| wrong(&format!("not a tokenizer ({e})")))?;
        let model = &value["model"];
        if model["dropout"].as_f64().is_some_and(|p| p > 0.0) {
            return Err(Error::Input(format!("its model has a dropout of {}, so a text has other tokens each time; set it to null", model["dropout"])));
        }
        answer(|| inner.with_truncation(None).map(drop)).map_err(|e| wrong(&e))?;
        inner.with_padding(None);
        let tokens = inner.get_vocab(true);
        let Some((last, largest)) = tokens.iter().max_by_key(|t| t.1).map(|(token, id)| (token.clone(), *id)) else {
            return Err(wrong("it has no tokens"));
        };
        // Gaps are outputs that never occur; some tokenizers have a few.
        if u64::from(largest) >= 2 * tokens.len() as u64 {
            return Err(wrong(&format!("its token {last:?} has the id {largest}, of only {} tokens", tokens.len())));
        }
        let unknown = model["unk_token"].as_str().and_then(|t| inner.token_to_id(t)).or(model["unk_id"].as_u64().and_then(|id| id.try_into().ok()));
        Ok(Tokenizer { inner, json, len: largest + 1, unknown })
    }

    /// The content of its file.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// One more than the largest id of a token, added ones included.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no tokens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The unknown token, if there is one.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The spelling of a token in the file; empty if the id has none.
    pub fn spelled(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// The tokens of a text, without special tokens at its ends.
    ///
    /// # Errors
    /// [`Error::Input`] if the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = answer(|| self.inner.encode_fast(text, false)).map_err(|e| failed(&e))?;
        match encoding.get_ids().iter().find(|id| **id >= self.len) {
            Some(id) => Err(failed(&format!("it gives the id {id}, and has {} tokens", self.len))),
            None => Ok(encoding.get_ids().to_vec()),
        }
    }

    /// The byte at which each token of a text begins.
    ///
    /// # Errors
    /// [`Error::Input`] if the tokenizer fails.
    pub fn starts(&self, text: &str) -> Result<Vec<usize>> {
        let encoding = answer(|| self.inner.encode(text, false)).map_err(|e| failed(&e))?;
        Ok(encoding.get_offsets().iter().map(|o| o.0).collect())
    }

    /// The text of tokens. Invalid bytes become U+FFFD.
    ///
    /// # Errors
    /// [`Error::Input`] if the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        answer(|| self.inner.decode(ids, false)).map_err(|e| failed(&e))
    }
}

fn failed(e: &str) -> Error {
    Error::Input(format!("the tokenizer fails: {e}"))
}

/// The result of a call, with its error in one line; panics, which crafted files can cause, are errors too.
fn answer<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    let line = |e: tokenizers::Error| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    caught(call).and_then(|done| done.map_err(line))
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.len)
    }
}

/// Tokenizers are equal if their files are.
impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Tokenizer {}
