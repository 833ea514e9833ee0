//! The symbols of a text and their indices.

use super::scan::characters;
use super::text::with_lf;
use super::{Tokenizer, Writer};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

/// What to do with a character that a model does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// Fail.
    #[default]
    Refuse,
    /// Skip it.
    Skip,
    /// Read this one instead.
    Symbol(char),
}

impl Unknown {
    /// The replacement symbol, if there is one.
    pub fn symbol(self) -> Option<char> {
        if let Unknown::Symbol(c) = self { Some(c) } else { None }
    }
}

impl FromStr for Unknown {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut symbol = text.strip_prefix("symbol:").unwrap_or_default().chars();
        match (text, symbol.next(), symbol.next()) {
            ("error", ..) => Ok(Unknown::Refuse),
            ("skip", ..) => Ok(Unknown::Skip),
            (_, Some(c), None) => Ok(Unknown::Symbol(c)),
            _ => match text {
                r"symbol:\n" => Ok(Unknown::Symbol('\n')),
                r"symbol:\t" => Ok(Unknown::Symbol('\t')),
                _ => Err("expected error, skip, or symbol:C with one symbol C of the model, such as symbol:?".to_string()),
            },
        }
    }
}

/// The kind of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A character of a UTF-8 text.
    #[default]
    Characters,
    /// A byte of any file.
    Bytes,
    /// A token of a UTF-8 text.
    Tokens,
}

/// The character that stands for id 0.
const FIRST_ID: u32 = 0x100;

/// The symbols of a model in the order of their indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    kind: Kind,
    /// Empty if there is a tokenizer.
    symbols: Vec<char>,
    tokenizer: Option<Arc<Tokenizer>>,
}

impl Vocabulary {
    /// All characters of a text, in the order of their code points.
    pub fn of(text: &str) -> Self {
        let mut seen = vec![false; char::MAX as usize + 1];
        if text.is_ascii() {
            text.bytes().for_each(|b| seen[b as usize] = true);
        } else {
            text.chars().for_each(|c| seen[c as usize] = true);
        }
        let symbols = (0..).zip(seen).filter(|(_, s)| *s).filter_map(|(c, _)| char::from_u32(c)).collect();
        Vocabulary { kind: Kind::Characters, symbols, tokenizer: None }
    }

    /// These characters, in the order of their code points.
    pub(super) fn of_characters(symbols: Vec<char>) -> Self {
        Vocabulary { kind: Kind::Characters, symbols, tokenizer: None }
    }

    /// The ids 0 to `count` - 1, which texts write as the characters from U+0100 on; `None` if there are more than characters.
    pub fn ids(count: u32) -> Option<Self> {
        let symbols: Vec<char> = (FIRST_ID..).filter_map(|c| char::from_u32(c).or((c > u32::from(char::MAX)).then_some('\0'))).take(count as usize).collect();
        (!symbols.contains(&'\0')).then_some(Vocabulary { kind: Kind::Characters, symbols, tokenizer: None })
    }

    /// Whether its symbols are ids, see [`Vocabulary::ids`].
    pub fn is_ids(&self) -> bool {
        self.symbols.first() == char::from_u32(FIRST_ID).as_ref() && Self::ids(self.len()).as_ref() == Some(self)
    }

    /// Adds characters. Also returns the old index of each symbol, `None` for new ones. Changes nothing if symbols are not characters.
    pub fn extended(&self, more: &[char]) -> (Self, Vec<Option<u32>>) {
        let mut symbols = self.symbols.clone();
        if self.kind == Kind::Characters {
            symbols.extend(more.iter().filter(|c| self.index(**c).is_none()));
            symbols.sort_unstable();
            symbols.dedup();
        }
        let before = symbols.iter().map(|c| self.index(*c)).collect();
        (Vocabulary { symbols, ..self.clone() }, before)
    }

    /// Whether "\r\n" and "\r" are read as "\n". False for bytes, and if "\r" is a symbol.
    pub fn joins_line_ends(&self) -> bool {
        match self.kind {
            Kind::Bytes => false,
            Kind::Characters => self.index('\r').is_none(),
            Kind::Tokens => true,
        }
    }

    /// A text with its line ends as read.
    pub fn line_ends<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.joins_line_ends() { with_lf(text) } else { text.into() }
    }

    /// A short text with unknown characters skipped or replaced, and the number of them.
    ///
    /// # Errors
    /// [`Error::Usage`] if the replacement is unknown too.
    pub fn fitted(&self, text: &str, unknown: Unknown) -> Result<(String, u64)> {
        self.check(unknown)?;
        let (mut fitted, mut count) = (String::new(), 0);
        for (_, c) in characters(text, self.joins_line_ends()) {
            let known = self.kind != Kind::Characters || self.index(c).is_some();
            count += u64::from(!known);
            match unknown {
                Unknown::Skip if !known => {}
                Unknown::Symbol(other) if !known => fitted.push(other),
                _ => fitted.push(c),
            }
        }
        Ok((fitted, count))
    }

    /// Checks that unknown characters can be treated like this.
    ///
    /// # Errors
    /// [`Error::Usage`] if symbols are not characters, or the replacement is unknown.
    pub fn check(&self, unknown: Unknown) -> Result<()> {
        match unknown {
            Unknown::Refuse => Ok(()),
            _ if self.kind != Kind::Characters => {
                let what = if self.kind == Kind::Bytes { "bytes, and knows all of them" } else { "tokens, and its tokenizer says what is unknown" };
                Err(Error::Usage(format!("`unknown` is for models of characters; this one reads {what}; leave it out")))
            }
            Unknown::Symbol(c) if self.index(c).is_none() => Err(Error::Usage(format!(
                "`unknown` symbol:{} names a character that is not a symbol of the model either; give one that is",
                c.escape_default()
            ))),
            _ => Ok(()),
        }
    }

    /// All 256 bytes.
    pub fn bytes() -> Self {
        Vocabulary { kind: Kind::Bytes, symbols: (0..=255u8).map(char::from).collect(), tokenizer: None }
    }

    /// The tokens of a tokenizer.
    pub fn tokens(tokenizer: Tokenizer) -> Self {
        Vocabulary { kind: Kind::Tokens, symbols: Vec::new(), tokenizer: Some(Arc::new(tokenizer)) }
    }

    /// The symbols given as text, in index order; a byte as the character with its number.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not a vocabulary of this kind.
    pub fn new(kind: Kind, symbols: &[String]) -> Result<Self> {
        let one = |s: &String| {
            let mut chars = s.chars();
            chars.next().filter(|_| chars.next().is_none()).ok_or_else(|| Error::Input(format!("the vocabulary's symbol {s:?} is not one character")))
        };
        let symbols = symbols.iter().map(one).collect::<Result<Vec<char>>>()?;
        if !symbols.is_sorted_by(|a, b| a < b) {
            return Err(Error::Input("the vocabulary's symbols are not in the order of their code points, each once".to_string()));
        }
        if kind == Kind::Bytes && symbols != Self::bytes().symbols {
            return Err(Error::Input("the vocabulary is not that of all 256 bytes".to_string()));
        }
        if kind == Kind::Tokens {
            return Err(Error::Input("a vocabulary of tokens needs their tokenizer".to_string()));
        }
        Ok(Vocabulary { kind, symbols, tokenizer: None })
    }

    /// The kind of its symbols.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tokenizer, if symbols are tokens.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_deref()
    }

    /// Number of symbols.
    pub fn len(&self) -> u32 {
        self.tokenizer().map_or(self.symbols.len() as u32, Tokenizer::len)
    }

    /// Whether it has no symbols.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The symbols as text, in index order; tokens as their tokenizer spells them.
    pub fn symbols(&self) -> Vec<String> {
        match self.tokenizer() {
            Some(tokenizer) => (0..tokenizer.len()).map(|id| tokenizer.spelled(id)).collect(),
            None => self.symbols.iter().map(char::to_string).collect(),
        }
    }

    /// The index of a character, or of the byte with this number.
    pub fn index(&self, symbol: char) -> Option<u32> {
        self.symbols.binary_search(&symbol).ok().map(|i| i as u32)
    }

    /// A writer of symbols as text that continues after `before`.
    pub fn writer(&self, before: &[u32]) -> Writer<'_> {
        Writer::new(self, before)
    }

    /// Appends the UTF-8 text of a character or token, or a byte. Tokens are decoded in isolation, which [`Vocabulary::writer`] does better.
    pub fn write(&self, index: u32, out: &mut Vec<u8>) {
        if let Some(text) = self.tokenizer().and_then(|t| t.decode(&[index]).ok()) {
            return out.extend_from_slice(text.as_bytes());
        }
        let Some(&symbol) = self.symbols.get(index as usize) else { return };
        match self.kind {
            Kind::Characters => out.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes()),
            Kind::Bytes => out.push(symbol as u8),
            Kind::Tokens => {}
        }
    }

    /// The indices of a short text's symbols.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first character that is not in the vocabulary, and its position; or if a tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self.kind {
            Kind::Tokens => self.tokenizer().map_or(Ok(Vec::new()), |t| t.encode(&self.line_ends(text))),
            Kind::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Kind::Characters => {
                let line = |at: usize| characters(&text[..at], true).filter(|(_, c)| *c == '\n').count() as u64 + 1;
                let one = |(at, c)| self.index(c).ok_or_else(|| Error::Input(self.unknown(at as u64, line(at), c)));
                characters(text, self.joins_line_ends()).map(one).collect()
            }
        }
    }

    /// The message for a character that is not in the vocabulary.
    pub(super) fn unknown(&self, at: u64, line: u64, c: char) -> String {
        format!("character {c:?} (U+{:04X}) at byte {at}, line {line}, is not among the {} symbols that the model was trained on", c as u32, self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_characters_in_code_point_order() {
        let v = Vocabulary::of("héllo\n");
        assert_eq!(v.len(), 5);
        assert_eq!(v.encode("\nhé").unwrap(), [0, 1, 4]);
        let e = v.encode("h\nx").unwrap_err().to_string();
        assert!(e.contains("'x' (U+0078) at byte 2, line 2"), "{e}");
        let again = Vocabulary::new(Kind::Characters, &v.symbols()).unwrap();
        assert_eq!(again, v);
        assert_eq!(Vocabulary::of("abca").symbols(), ["a", "b", "c"]);
    }

    #[test]
    fn bytes_are_their_numbers() {
        let v = Vocabulary::bytes();
        assert_eq!(v.encode("é").unwrap(), [0xc3, 0xa9]);
        let mut out = Vec::new();
        [0xc3, 0xa9].into_iter().for_each(|i| v.writer(&[]).push(i, &mut out).unwrap());
        assert_eq!(out, "é".as_bytes());
        assert_eq!(Vocabulary::new(Kind::Bytes, &v.symbols()).unwrap(), v);
    }

    #[test]
    fn damaged_vocabularies_are_refused() {
        for bad in [&["a", "bc"][..], &["b", "a"], &["a", "a"], &["a", ""]] {
            let bad: Vec<String> = bad.iter().map(|s| (*s).to_string()).collect();
            assert!(Vocabulary::new(Kind::Characters, &bad).is_err(), "{bad:?}");
            assert!(Vocabulary::new(Kind::Bytes, &bad).is_err(), "{bad:?}");
        }
    }
}
