//! Writes symbols as text as they arrive.

use super::{Tokenizer, Vocabulary};
use crate::error::Result;

/// Bytes of a character, at most, and so the number of tokens it may be spread over.
const BYTES: usize = 4;

/// Writes symbols as they arrive. The bytes of a character may be spread over several tokens, and the text of a token may depend on the one before it (a
/// space, say), so tokens are written once their characters are complete.
pub struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    /// The last tokens written: the context of the next.
    before: Vec<u32>,
    /// Tokens not yet written.
    pending: Vec<u32>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary, before: &[u32]) -> Self {
        Writer { vocabulary, before: before[before.len().saturating_sub(BYTES)..].to_vec(), pending: Vec::new() }
    }

    /// Appends the UTF-8 text of the next symbol, or its byte. For tokens, appends what is complete so far.
    ///
    /// # Errors
    /// If a tokenizer fails.
    pub fn push(&mut self, symbol: u32, out: &mut Vec<u8>) -> Result<()> {
        let Some(tokenizer) = self.vocabulary.tokenizer() else {
            self.vocabulary.write(symbol, out);
            return Ok(());
        };
        self.pending.push(symbol);
        // A replacement character at the end may be an incomplete character. After `BYTES` tokens it is none, so the first token can be written.
        let open = tokenizer.decode(&[&self.before[..], &self.pending].concat())?.ends_with(char::REPLACEMENT_CHARACTER);
        match (open, self.pending.len()) {
            (false, all) => self.write(tokenizer, all, out),
            (true, BYTES..) => self.write(tokenizer, 1, out),
            (true, _) => Ok(()),
        }
    }

    /// Appends the rest, once there are no more symbols.
    ///
    /// # Errors
    /// If a tokenizer fails.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<()> {
        self.vocabulary.tokenizer().map_or(Ok(()), |tokenizer| self.write(tokenizer, self.pending.len(), out))
    }

    /// Writes the first `count` of the pending tokens.
    fn write(&mut self, tokenizer: &Tokenizer, count: usize, out: &mut Vec<u8>) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let now: Vec<u32> = self.pending.drain(..count).collect();
        let (known, all) = (tokenizer.decode(&self.before)?, tokenizer.decode(&[&self.before[..], &now].concat())?);
        match all.strip_prefix(&known) {
            Some(new) => out.extend_from_slice(new.as_bytes()),
            None => out.extend_from_slice(tokenizer.decode(&now)?.as_bytes()),
        }
        // Complete characters need no more context. After an incomplete one, its first tokens still count.
        let whole = self.pending.is_empty();
        self.before = if whole { now } else { [&self.before[..], &now].concat() };
        self.before.drain(..if whole { 0 } else { self.before.len().saturating_sub(BYTES) });
        Ok(())
    }
}
