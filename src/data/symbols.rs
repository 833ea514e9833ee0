//! A text as a sequence of symbols that can be read from any place on, without a copy of it in memory; tokens alone are kept there.

use super::encoded::Encoded;
use super::{Kind, Text, Vocabulary};
use crate::error::{Error, Result};
use std::ops::Range;

/// Characters from one entry of the index of a text of several-byte characters to the next.
const BLOCK: usize = 256;

/// A text and its vocabulary.
pub struct Symbols {
    text: Text,
    vocabulary: Vocabulary,
    /// Symbol of every byte, [`u32::MAX`] for none; of use where a symbol is a byte or an ASCII character.
    table: [u32; 256],
    /// Byte at which every [`BLOCK`]th character begins, and the end; none where every symbol is one byte.
    blocks: Option<Vec<u64>>,
    /// All of them, where they are tokens: 4 bytes each.
    encoded: Option<Encoded>,
    len: u64,
    unit: &'static str,
}

impl Symbols {
    /// The symbols of a text, whose vocabulary is built from all of it.
    ///
    /// # Errors
    /// [`Error::Input`] if characters are asked for and it is not UTF-8; [`Error::Usage`] for tokens, see [`Symbols::separated`].
    pub fn new(text: Text, kind: Kind) -> Result<Self> {
        let vocabulary = match kind {
            Kind::Characters => Vocabulary::of(text.utf8()?),
            Kind::Bytes => Vocabulary::bytes(),
            Kind::Tokens => return Err(Error::Usage("tokens are made by a tokenizer; give a vocabulary that has one".to_string())),
        };
        Self::with(text, vocabulary)
    }

    /// The symbols of a text in a given vocabulary.
    ///
    /// # Errors
    /// [`Error::Input`] if it has a character that the vocabulary lacks, saying which and where.
    pub fn with(text: Text, vocabulary: Vocabulary) -> Result<Self> {
        Self::separated(text, vocabulary, None)
    }

    /// The symbols of a text in a given vocabulary. If they are tokens, the text is encoded, without tokens that only mark its ends: as a stream in
    /// pieces of up to 64 KiB, which end where lines do; or, with a separator, each sequence and each separator by itself, so that
    /// [`Symbols::split`] can tell them apart.
    ///
    /// # Errors
    /// [`Error::Input`] if it has a character that the vocabulary lacks, saying which and where; or the tokenizer fails, or makes nothing of the
    /// separator.
    pub fn separated(text: Text, vocabulary: Vocabulary, separator: Option<&str>) -> Result<Self> {
        let mut table = [u32::MAX; 256];
        let single = if vocabulary.kind() == Kind::Bytes { 256 } else { 128 };
        (0..single).for_each(|b| table[b] = char::from_u32(b as u32).and_then(|c| vocabulary.index(c)).unwrap_or(u32::MAX));
        let (mut blocks, mut len) = (None, text.bytes().len() as u64);
        if vocabulary.kind() == Kind::Characters {
            let content = text.utf8()?;
            let unknown = |(_, c): &(usize, char)| if c.is_ascii() { table[*c as usize] == u32::MAX } else { vocabulary.index(*c).is_none() };
            if let Some((at, c)) = content.char_indices().find(unknown) {
                let Error::Input(message) = vocabulary.unknown(content, at, c) else { unreachable!("an error of input") };
                return Err(Error::Input(format!("{}: {message}", text.name)));
            }
            if !content.is_ascii() {
                let mut index: Vec<u64> = content.char_indices().step_by(BLOCK).map(|(at, _)| at as u64).collect();
                index.push(len);
                len = content.chars().count() as u64;
                blocks = Some(index);
            }
        }
        let encoded = vocabulary.tokenizer().map(|t| Encoded::new(&text, t, separator)).transpose()?;
        len = encoded.as_ref().map_or(len, |e| e.ids.len() as u64);
        let unit = match vocabulary.kind() {
            Kind::Characters => "characters",
            Kind::Bytes => "bytes",
            Kind::Tokens => "tokens",
        };
        Ok(Symbols { text, vocabulary, table, blocks, encoded, len, unit })
    }

    /// The same under another word for what a symbol is.
    #[must_use]
    pub(super) fn called(self, unit: &'static str) -> Self {
        Symbols { unit, ..self }
    }

    /// The text.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Number of symbols.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that stand for what the tokenizer has no other for.
    pub fn unknown(&self) -> u64 {
        self.encoded.as_ref().map_or(0, |e| e.unknown)
    }

    /// Whether the text's beginning is another one, when it is written again from its tokens: its case, or its spaces, say.
    pub fn altered(&self) -> bool {
        self.encoded.as_ref().is_some_and(|e| e.altered)
    }

    /// What a symbol is called: characters, bytes or tokens; symbols where they are generated.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// Reads the symbols from place `from` on.
    ///
    /// # Errors
    /// [`Error::Input`] if another program has changed the text since it was opened.
    ///
    /// # Panics
    /// If that is beyond the end.
    pub fn read(&self, from: u64, out: &mut [u32]) -> Result<()> {
        assert!(from + out.len() as u64 <= self.len, "{} symbols at {from} of {}", out.len(), self.len);
        if let Some(encoded) = &self.encoded {
            out.copy_from_slice(&encoded.ids[from as usize..][..out.len()]);
            return Ok(());
        }
        let changed = || Error::Input(format!("{} has changed while it was read; start again with a text that stays", self.text.name));
        let known = |index: Option<u32>| index.filter(|i| *i != u32::MAX).ok_or_else(changed);
        let Some(blocks) = &self.blocks else {
            let bytes = &self.text.bytes()[from as usize..][..out.len()];
            return out.iter_mut().zip(bytes).try_for_each(|(o, b)| known(Some(self.table[*b as usize])).map(|i| *o = i));
        };
        if out.is_empty() {
            return Ok(());
        }
        let last = (from as usize + out.len()).div_ceil(BLOCK);
        let bytes = &self.text.bytes()[blocks[from as usize / BLOCK] as usize..blocks[last] as usize];
        let mut chars = std::str::from_utf8(bytes).map_err(|_| changed())?.chars().skip(from as usize % BLOCK);
        out.iter_mut().try_for_each(|o| {
            let index = chars.next().and_then(|c| if c.is_ascii() { Some(self.table[c as usize]) } else { self.vocabulary.index(c) });
            known(index).map(|i| *o = i)
        })
    }

    /// Bytes of the text that the symbols in a range of places stand for.
    ///
    /// # Errors
    /// [`Error::Input`] if another program has changed the text since it was opened.
    pub fn bytes(&self, places: Range<u64>) -> Result<u64> {
        Ok(self.byte(places.end)?.saturating_sub(self.byte(places.start)?))
    }

    /// The byte at which a symbol begins, or the text ends.
    fn byte(&self, place: u64) -> Result<u64> {
        let (bytes, place) = (self.text.bytes(), place.min(self.len));
        if let (Some(encoded), Some(tokenizer)) = (&self.encoded, self.vocabulary.tokenizer()) {
            return encoded.byte(&self.text, tokenizer, place);
        }
        let Some(blocks) = self.blocks.as_ref().filter(|_| place < self.len) else { return Ok(if place < self.len { place } else { bytes.len() as u64 }) };
        let from = blocks[place as usize / BLOCK];
        let firsts = bytes[from as usize..].iter().enumerate().filter(|(_, b)| **b & 0xc0 != 0x80);
        Ok(from + firsts.map(|f| f.0 as u64).nth(place as usize % BLOCK).unwrap_or(0))
    }

    /// The places between separators, each with the separator behind it: `[start of the text, end of the text, end of the separator]`.
    ///
    /// # Errors
    /// [`Error::Usage`] if they are tokens that were made for no separator, or another one.
    pub fn split(&self, separator: &str) -> Result<Vec<(Range<u64>, u64)>> {
        if let Some(encoded) = &self.encoded {
            let other = || Error::Usage(format!("the tokens of {} were not made for the separator {separator:?}", self.text.name));
            return encoded.split(separator).map(<[_]>::to_vec).ok_or_else(other);
        }
        let bytes = self.text.bytes();
        // Characters are counted by their first bytes.
        let symbols = |range: Range<usize>| match self.blocks {
            None => range.len() as u64,
            Some(_) => bytes[range].iter().filter(|b| **b & 0xc0 != 0x80).count() as u64,
        };
        let width = if self.vocabulary.kind() == Kind::Bytes { separator.len() } else { separator.chars().count() } as u64;
        let (mut parts, mut from, mut place) = (Vec::new(), 0, 0);
        for at in memchr::memmem::find_iter(bytes, separator) {
            let end = place + symbols(from..at);
            parts.push((place..end, end + width));
            (from, place) = (at + separator.len(), end + width);
        }
        if from < bytes.len() {
            parts.push((place..self.len, self.len));
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of characters of 1 to 4 bytes, over several blocks.
    fn mixed() -> String {
        (0..1500u32).map(|i| ['a', 'é', '→', '🦀', '\n'][(i * i / 3 % 5) as usize]).collect()
    }

    #[test]
    fn every_place_reads_the_same_as_a_whole_pass() {
        for (content, kind) in [(mixed(), Kind::Characters), (mixed(), Kind::Bytes), ("plain text\n".repeat(60), Kind::Characters)] {
            let symbols = Symbols::new(Text::given("text", content.clone()), kind).unwrap();
            let all = symbols.vocabulary().encode(&content).unwrap();
            assert_eq!(symbols.len(), all.len() as u64);
            for from in (0..all.len()).step_by(37) {
                for len in [0, 1, 5, 255, 256, 700] {
                    let len = len.min(all.len() - from);
                    let mut out = vec![0; len];
                    symbols.read(from as u64, &mut out).unwrap();
                    assert_eq!(out, all[from..from + len], "{from} {len}");
                }
            }
        }
    }

    #[test]
    fn parts_between_separators_are_counted_in_symbols() {
        let split = |text: &str, separator: &str, kind| {
            Symbols::new(Text::given("t", text), kind).unwrap().split(separator).unwrap().into_iter().map(|(r, e)| (r.start, r.end, e)).collect::<Vec<_>>()
        };
        assert_eq!(split("ab\nc\n\nd", "\n", Kind::Characters), [(0, 2, 3), (3, 4, 5), (5, 5, 6), (6, 7, 7)]);
        assert_eq!(split("é→\n🦀\n", "\n", Kind::Characters), [(0, 2, 3), (3, 4, 5)]);
        assert_eq!(split("é|→|x", "|→|", Kind::Characters), [(0, 1, 4), (4, 5, 5)]);
        assert_eq!(split("é\nx", "\n", Kind::Bytes), [(0, 2, 3), (3, 4, 4)]);
        assert_eq!(split("abc", "x", Kind::Characters), [(0, 3, 3)]);
    }

    #[test]
    fn an_unknown_character_is_named_with_its_place() {
        let v = Vocabulary::of("abc\n");
        let e = Symbols::with(Text::given("book", "ab\ncaé"), v).err().unwrap().to_string();
        assert!(e.contains("book: character 'é' (U+00E9) at byte 5, line 2"), "{e}");
    }
}
