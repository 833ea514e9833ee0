//! Splits a text at a separator while reading it in pieces.

use std::ops::Range;

/// A text split at a separator as its pieces arrive.
pub(super) struct Cut<'a> {
    finder: memchr::memmem::Finder<'a>,
    /// Length of the separator in symbols.
    width: u64,
    /// Whether symbols are bytes.
    bytes: bool,
    parts: Vec<(Range<u64>, u64)>,
    /// Trailing bytes that may be the beginning of a separator.
    left: Vec<u8>,
    /// Start of the current part, and the position at which `left` begins.
    from: u64,
    place: u64,
}

impl<'a> Cut<'a> {
    /// Splits at a separator. Symbols of the separator and of the text are bytes or characters.
    pub(super) fn at(separator: &'a str, bytes: bool) -> Self {
        let width = if bytes { separator.len() } else { separator.chars().count() } as u64;
        Cut { finder: memchr::memmem::Finder::new(separator.as_bytes()), width, bytes, parts: Vec::new(), left: Vec::new(), from: 0, place: 0 }
    }

    /// Number of symbols in `bytes`; characters are counted by their first bytes.
    fn count(&self, bytes: &[u8]) -> u64 {
        if self.bytes { bytes.len() as u64 } else { bytes.iter().filter(|b| **b & 0xc0 != 0x80).count() as u64 }
    }

    /// Takes the next piece.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let mut all = std::mem::take(&mut self.left);
        all.extend_from_slice(piece);
        let (mut done, mark) = (0, self.finder.needle().len());
        let found: Vec<usize> = self.finder.find_iter(&all).collect();
        for at in found {
            let end = self.place + self.count(&all[done..at]);
            self.parts.push((self.from..end, end + self.width));
            (self.from, self.place, done) = (end + self.width, end + self.width, at + mark);
        }
        let kept = (mark - 1).min(all.len() - done);
        let rest = all.len() - kept;
        self.place += self.count(&all[done..rest]);
        self.left = all.split_off(rest);
    }

    /// The parts, including what follows the last separator of a text of `len` symbols.
    pub(super) fn finish(mut self, len: u64) -> Vec<(Range<u64>, u64)> {
        if self.from < len {
            self.parts.push((self.from..len, len));
        }
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result is that of a single search, wherever the pieces end.
    #[test]
    fn separators_are_found_over_the_ends_of_pieces() {
        for (text, separator) in [("ab||c|d||||e", "||"), ("é→→x→→→", "→→"), ("aaaaa", "aa"), ("x", "||"), ("||", "||")] {
            let whole = |bytes: bool, size: usize| {
                let mut cut = Cut::at(separator, bytes);
                let pieces: Vec<char> = text.chars().collect();
                pieces.chunks(size).for_each(|piece| cut.add(piece.iter().collect::<String>().as_bytes()));
                cut.finish(if bytes { text.len() } else { text.chars().count() } as u64)
            };
            for bytes in [true, false] {
                let (mut expected, mut from) = (Vec::new(), 0);
                let count = |part: &str| if bytes { part.len() } else { part.chars().count() } as u64;
                let parts: Vec<&str> = text.split(separator).collect();
                for (i, part) in parts.iter().enumerate() {
                    let end = from + count(part);
                    if i + 1 < parts.len() {
                        expected.push((from..end, end + count(separator)));
                        from = end + count(separator);
                    } else if !part.is_empty() {
                        expected.push((from..end, end));
                    }
                }
                for size in 1..=text.len() {
                    assert_eq!(whole(bytes, size), expected, "{text} {separator} {size}");
                }
            }
        }
    }
}
