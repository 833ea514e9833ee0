//! UTF-8 texts as sequences of characters.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// A text and where it comes from.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its path, or the name of the embedded text.
    pub name: String,
    /// Its characters.
    pub content: String,
}

impl Text {
    /// The embedded sample: the first book of Cicero's De finibus bonorum et malorum, 49 KB of Latin, from the crate `lipsum`.
    pub fn embedded() -> Self {
        Text { name: "Cicero, De finibus (embedded)".to_string(), content: lipsum::LIBER_PRIMUS.to_string() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be read, is a directory, is empty, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot read {name}: {e}; give the path of a UTF-8 text file"));
        let kind = std::fs::metadata(path).map_err(|e| failed(&e))?;
        if !kind.is_file() {
            return Err(failed(&if kind.is_dir() { "it is a directory" } else { "it is not a regular file" }));
        }
        let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
        if bytes.is_empty() {
            return Err(failed(&"it is empty"));
        }
        let content = String::from_utf8(bytes).map_err(|e| {
            let (at, byte) = (e.utf8_error().valid_up_to(), e.as_bytes()[e.utf8_error().valid_up_to()]);
            Error::Input(format!("{name} is not UTF-8: byte {byte:#04x} at offset {at}; convert it, for example with iconv -t UTF-8"))
        })?;
        Ok(Text { name, content })
    }
}

/// The symbols of a text in the order of their indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    symbols: Vec<char>,
}

impl Vocabulary {
    /// All characters of a text, in the order of their code points.
    pub fn of(text: &str) -> Self {
        Vocabulary { symbols: text.chars().collect::<BTreeSet<char>>().into_iter().collect() }
    }

    /// Number of symbols.
    pub fn len(&self) -> u32 {
        self.symbols.len() as u32
    }

    /// Whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The symbol with an index.
    pub fn symbol(&self, index: u32) -> Option<char> {
        self.symbols.get(index as usize).copied()
    }

    /// The indices of a text's characters.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first character that is not in the vocabulary, and where it stands.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let index = |(at, c): (usize, char)| {
            let unknown = |_| Error::Input(format!("character {c:?} at byte {at} is not among the {} symbols of the vocabulary", self.len()));
            self.symbols.binary_search(&c).map(|i| i as u32).map_err(unknown)
        };
        text.char_indices().map(index).collect()
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
        assert_eq!(v.symbol(4), Some('é'));
        assert!(v.encode("hx").unwrap_err().to_string().contains("'x' at byte 1"));
    }
}
