//! A text as a sequence of symbols with random access and without a copy in memory; only tokens are kept in memory.

use super::cut::Cut;
use super::encoded::Encoded;
use super::scan::{BLOCK, Index, LineEnds, Scan, characters};
use super::{Kind, Text, Unknown, Vocabulary};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// A text and its vocabulary.
pub struct Symbols {
    text: Text,
    vocabulary: Vocabulary,
    /// Symbol of every byte, or [`u32::MAX`]; used where a symbol is a byte or an ASCII character.
    table: [u32; 256],
    /// What to do with characters that are not symbols.
    unknown: Unknown,
    index: Index,
    /// All symbols if they are tokens: 4 bytes each.
    encoded: Option<Encoded>,
    unit: &'static str,
    ends: LineEnds,
    /// Characters that are not symbols, with their counts.
    foreign: Vec<(char, u64)>,
}

impl Symbols {
    /// The symbols of a text, with a vocabulary built from all of it.
    ///
    /// # Errors
    /// [`Error::Input`] for characters if the text is not UTF-8; [`Error::Usage`] for tokens, see [`Symbols::separated`].
    pub fn new(text: Text, kind: Kind) -> Result<Self> {
        match kind {
            Kind::Characters => {
                let scan = Scan::of(&text, true)?;
                let vocabulary = Vocabulary::of_characters(scan.characters.iter().map(|c| c.0).collect());
                Self::scanned(text, vocabulary, scan, Unknown::Refuse)
            }
            Kind::Bytes => Self::with(text, Vocabulary::bytes()),
            Kind::Tokens => Err(Error::Usage("tokens are made by a tokenizer; give a vocabulary that has one".to_string())),
        }
    }

    /// The symbols of a text in a given vocabulary.
    ///
    /// # Errors
    /// [`Error::Input`] if it has a character that the vocabulary lacks, saying which and where.
    pub fn with(text: Text, vocabulary: Vocabulary) -> Result<Self> {
        Self::separated(text, vocabulary, None)
    }

    /// The symbols of a text in a given vocabulary. Tokens are encoded without special tokens at the ends of the text: a stream in pieces of up to 64 KiB,
    /// which end where lines do; or, with a separator, each sequence and each separator by itself, so that [`Symbols::split`] can tell them apart.
    ///
    /// # Errors
    /// [`Error::Input`] if it has a character that the vocabulary lacks, saying which and where; or if the tokenizer fails, or makes nothing of the separator.
    pub fn separated(text: Text, vocabulary: Vocabulary, separator: Option<&str>) -> Result<Self> {
        Self::lenient(text, vocabulary, separator, Unknown::Refuse)
    }

    /// Like [`Symbols::separated`], with a choice of what to do with characters that the vocabulary lacks.
    ///
    /// # Errors
    /// As [`Symbols::separated`]; [`Error::Usage`] if `unknown` does not fit the vocabulary.
    pub fn lenient(text: Text, vocabulary: Vocabulary, separator: Option<&str>, unknown: Unknown) -> Result<Self> {
        vocabulary.check(unknown)?;
        if vocabulary.kind() == Kind::Characters {
            let scan = Scan::of(&text, vocabulary.joins_line_ends())?;
            return Self::scanned(text, vocabulary, scan, unknown);
        }
        let mark = separator.map(|s| vocabulary.line_ends(s));
        let encoded = vocabulary.tokenizer().map(|t| Encoded::new(&text, t, mark.as_deref())).transpose()?;
        let (len, unit) = encoded.as_ref().map_or((text.len(), "bytes"), |e| (e.ids.len() as u64, "tokens"));
        let (index, ends) = (Index::even(len), encoded.as_ref().map_or(LineEnds::default(), |e| e.ends));
        let table = std::array::from_fn(|b| if vocabulary.kind() == Kind::Bytes { b as u32 } else { u32::MAX });
        Ok(Symbols { text, vocabulary, table, unknown, index, encoded, unit, ends, foreign: Vec::new() })
    }

    /// The symbols of a scanned text of characters.
    fn scanned(text: Text, vocabulary: Vocabulary, scan: Scan, unknown: Unknown) -> Result<Self> {
        let foreign: Vec<(char, u64)> = scan.characters.into_iter().filter(|(c, _)| vocabulary.index(*c).is_none()).collect();
        let index = match unknown {
            _ if foreign.is_empty() => scan.index,
            Unknown::Refuse => return Err(first_unknown(&text, &vocabulary)),
            Unknown::Skip => Index::of_some(&text, vocabulary.joins_line_ends(), |c| vocabulary.index(c).is_some())?,
            Unknown::Symbol(_) => scan.index,
        };
        if index.len == 0 {
            return Err(Error::Input(format!("{}: none of its characters is among the symbols that the model was trained on; give another text", text.name)));
        }
        let mut symbols = Symbols { text, vocabulary, table: [u32::MAX; 256], unknown, index, encoded: None, unit: "characters", ends: scan.ends, foreign };
        for b in 0..128u8 {
            let c = if b == b'\r' && symbols.vocabulary.joins_line_ends() { '\n' } else { b as char };
            symbols.table[usize::from(b)] = symbols.symbol(c).unwrap_or(u32::MAX);
        }
        Ok(symbols)
    }

    /// The index of a character, or of its replacement.
    fn symbol(&self, c: char) -> Option<u32> {
        self.vocabulary.index(c).or_else(|| self.vocabulary.index(self.unknown.symbol()?))
    }

    /// Renames what a symbol is called.
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
        self.index.len
    }

    /// Whether there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of unknown tokens.
    pub fn unknown(&self) -> u64 {
        self.encoded.as_ref().map_or(0, |e| e.unknown)
    }

    /// Whether decoding the tokens changes the beginning of the text: its case or spaces, say.
    pub fn altered(&self) -> bool {
        self.encoded.as_ref().is_some_and(|e| e.altered)
    }

    /// Number of characters that are not symbols, and were skipped or replaced.
    pub fn foreign(&self) -> u64 {
        self.foreign.iter().map(|f| f.1).sum()
    }

    /// Notes for the user on how the text was read: its line ends, and characters that are not symbols.
    pub fn notes(&self) -> Vec<String> {
        let name = &self.text.name;
        let ends = self.ends.note().filter(|_| self.vocabulary.joins_line_ends()).map(|note| format!("note: {name}: {note}"));
        let foreign = (!self.foreign.is_empty()).then(|| {
            let mut most = self.foreign.clone();
            most.sort_by_key(|(c, n)| (std::cmp::Reverse(*n), *c));
            let list = most.iter().take(LISTED).map(|(c, n)| format!("{c:?} {n}")).collect::<Vec<_>>().join(", ");
            let more = if most.len() > LISTED { format!(" and {} more", most.len() - LISTED) } else { String::new() };
            let done = if let Unknown::Symbol(other) = self.unknown { format!("read as {other:?}") } else { "left out".to_string() };
            let (count, are) = (self.foreign(), if self.foreign() == 1 { "character is not a symbol" } else { "characters are no symbols" });
            format!("note: {name}: {count} {are} of the model, and {done}: {list}{more}")
        });
        ends.into_iter().chain(foreign).collect()
    }

    /// What a symbol is called: characters, bytes or tokens; symbols if they are generated.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// Reads the symbols from position `from` on.
    ///
    /// # Errors
    /// [`Error::Input`] if another program has changed the text since it was opened, or it can't be read.
    ///
    /// # Panics
    /// If they exceed the end.
    pub fn read(&self, from: u64, out: &mut [u32]) -> Result<()> {
        assert!(from + out.len() as u64 <= self.len(), "{} symbols at {from} of {}", out.len(), self.len());
        if let Some(encoded) = &self.encoded {
            out.copy_from_slice(&encoded.ids[from as usize..][..out.len()]);
            return Ok(());
        }
        if out.is_empty() {
            return Ok(());
        }
        let Some(blocks) = &self.index.blocks else {
            let at = self.index.start + from;
            let bytes = self.text.bytes(at..at + out.len() as u64)?;
            let known = |index: u32| if index == u32::MAX { Err(self.text.changed(at)) } else { Ok(index) };
            return out.iter_mut().zip(bytes).try_for_each(|(o, b)| known(self.table[usize::from(b)]).map(|i| *o = i));
        };
        let last = (from + out.len() as u64).div_ceil(BLOCK) as usize;
        let at = blocks[(from / BLOCK) as usize];
        let content = self.content(at..blocks[last])?;
        let mut all = self.characters(&content).skip((from % BLOCK) as usize);
        out.iter_mut().try_for_each(|o| {
            let index = all.next().and_then(|c| if c.is_ascii() { Some(self.table[c as usize]) } else { self.symbol(c) });
            index.filter(|i| *i != u32::MAX).map(|i| *o = i).ok_or_else(|| self.text.changed(at))
        })
    }

    /// A range of the text's bytes that holds whole characters.
    fn content(&self, bytes: Range<u64>) -> Result<String> {
        let at = bytes.start;
        String::from_utf8(self.text.bytes(bytes)?).map_err(|_| self.text.changed(at))
    }

    /// The characters of a piece of the text as read.
    fn characters<'a>(&'a self, content: &'a str) -> impl Iterator<Item = char> + 'a {
        let skips = self.unknown == Unknown::Skip;
        characters(content, self.vocabulary.joins_line_ends()).map(|(_, c)| c).filter(move |c| !skips || self.vocabulary.index(*c).is_some())
    }

    /// Number of bytes that the symbols in a range stand for, with a line end counted as one.
    ///
    /// # Errors
    /// [`Error::Input`] if another program has changed the text since it was opened, or it can't be read.
    pub fn bytes(&self, places: Range<u64>) -> Result<u64> {
        Ok(self.byte(places.end)?.saturating_sub(self.byte(places.start)?))
    }

    /// Number of bytes before a symbol.
    fn byte(&self, place: u64) -> Result<u64> {
        let place = place.min(self.len());
        if let (Some(encoded), Some(tokenizer)) = (&self.encoded, self.vocabulary.tokenizer()) {
            return encoded.byte(&self.text, tokenizer, place);
        }
        let Some(blocks) = &self.index.blocks else { return Ok(place) };
        let block = (place / BLOCK) as usize;
        let (before, rest) = (self.index.read_before(block), (place % BLOCK) as usize);
        if rest == 0 && block + 1 < blocks.len() {
            return Ok(before);
        }
        if place == self.len() {
            return Ok(self.index.read_before(blocks.len() - 1));
        }
        let content = self.content(blocks[block]..blocks[block + 1])?;
        Ok(before + self.characters(&content).take(rest).map(|c| c.len_utf8() as u64).sum::<u64>())
    }

    /// The parts between separators, each with the end of its separator: `(start..end of the text, end of the separator)`.
    ///
    /// # Errors
    /// [`Error::Usage`] if they are tokens that were made without this separator; [`Error::Input`] if the text can't be read.
    pub fn split(&self, separator: &str) -> Result<Vec<(Range<u64>, u64)>> {
        let separator = self.vocabulary.line_ends(separator);
        if let Some(encoded) = &self.encoded {
            let other = || Error::Usage(format!("the tokens of {} were not made for the separator {separator:?}", self.text.name));
            return encoded.split(&separator).map(<[_]>::to_vec).ok_or_else(other);
        }
        let bytes = self.vocabulary.kind() == Kind::Bytes;
        let mut cut = Cut::at(&separator, bytes);
        if bytes {
            self.text.pieces(|_, piece, _| {
                cut.add(piece);
                Ok(piece.len())
            })?;
        } else {
            self.text.characters(|_, piece| {
                cut.add(self.written(piece).as_bytes());
                Ok(())
            })?;
        }
        Ok(cut.finish(self.len()))
    }

    /// A piece of the text as read.
    fn written<'a>(&self, piece: &'a str) -> Cow<'a, str> {
        match self.unknown {
            _ if self.foreign.is_empty() => self.vocabulary.line_ends(piece),
            Unknown::Skip => self.characters(piece).collect(),
            // A separator may contain the replacement symbol.
            _ => self.characters(piece).map(|c| if self.vocabulary.index(c).is_some() { c } else { self.unknown.symbol().unwrap_or(c) }).collect(),
        }
    }
}

/// Number of characters that a note lists.
const LISTED: usize = 8;

/// The error for the first character that is not a symbol.
fn first_unknown(text: &Text, vocabulary: &Vocabulary) -> Error {
    let (mut line, mut found) = (1, None);
    let read = text.characters(|at, piece| {
        for (place, c) in characters(piece, vocabulary.joins_line_ends()) {
            if found.is_some() {
                break;
            }
            found = vocabulary.index(c).is_none().then(|| (at + place as u64, line, c));
            line += u64::from(c == '\n');
        }
        Ok(())
    });
    match (read, found) {
        (Err(e), _) => e,
        (_, Some((at, line, c))) => Error::Input(format!("{}: {}{}", text.name, vocabulary.unknown(at, line, c), text.for_unknown())),
        (_, None) => text.changed(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters of 1 to 4 bytes, over several blocks.
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

    fn all_of(symbols: &Symbols) -> Vec<u32> {
        let mut all = vec![0; symbols.len() as usize];
        symbols.read(0, &mut all).unwrap();
        all
    }

    /// Over blocks of the index, and over the pieces in which a text is read.
    #[test]
    fn lines_end_alike_however_they_do() {
        let ascii = "a line\n\nof words\n".repeat(90);
        let long = format!("{}\n{}", "x".repeat((1 << 20) - 1), "é\n".repeat(40));
        let split_there = format!("{}\né\n", "x".repeat((1 << 20) - 4));
        for lf in [ascii, mixed().replace('é', "é\n"), long, split_there, "\n".repeat(700)] {
            let expected = Symbols::new(Text::given("lf", lf.clone()), Kind::Characters).unwrap();
            assert!(expected.notes().is_empty());
            let all = all_of(&expected);
            let mixed_ends = lf.split_inclusive('\n').zip(["\r\n", "\n", "\r"].into_iter().cycle()).map(|(l, end)| l.replace('\n', end)).collect::<String>();
            // "\r" before "\n" would be one line end, not two.
            let mixed_ends = if mixed_ends.contains("\r\r\n") || lf.contains("\n\n") { lf.replace('\n', "\r\n") } else { mixed_ends };
            for (other, note) in [(lf.replace('\n', "\r\n"), "CRLF"), (lf.replace('\n', "\r"), "CR;"), (mixed_ends, "line ends"), (format!("\u{feff}{lf}"), "")]
            {
                for marked in ["", "\u{feff}"] {
                    let other = format!("{marked}{}", other.trim_start_matches('\u{feff}'));
                    let symbols = Symbols::new(Text::given("other", other), Kind::Characters).unwrap();
                    assert_eq!(symbols.vocabulary(), expected.vocabulary());
                    assert!(all_of(&symbols) == all, "{note}");
                    assert!(symbols.notes().concat().contains(note), "{:?}", symbols.notes());
                    assert_eq!(symbols.text().utf8().unwrap(), lf);
                    let len = symbols.len();
                    for from in (0..len).step_by((len as usize / 10).max(1)) {
                        let mut one = [0; 2];
                        let count = (len - from).min(2) as usize;
                        symbols.read(from, &mut one[..count]).unwrap();
                        assert_eq!(one[..count], all[from as usize..][..count]);
                        assert_eq!(symbols.bytes(from / 2..from).unwrap(), expected.bytes(from / 2..from).unwrap());
                    }
                    assert_eq!(symbols.bytes(0..len).unwrap(), lf.len() as u64);
                    for separator in ["\n", "\r\n", "\n\n", "\r\r"] {
                        assert_eq!(symbols.split(separator).unwrap(), expected.split(&separator.replace("\r\n", "\n").replace('\r', "\n")).unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_are_bytes_and_a_model_that_knows_a_return_reads_it() {
        let text = "\u{feff}ab\r\nc\rd\n";
        let bytes = Symbols::new(Text::given("t", text), Kind::Bytes).unwrap();
        assert_eq!(all_of(&bytes), text.bytes().map(u32::from).collect::<Vec<_>>());
        let known = Symbols::with(Text::given("t", text), Vocabulary::of("abcd\r\n")).unwrap();
        assert_eq!(known.vocabulary().encode("ab\r\nc\rd\n").unwrap(), all_of(&known));
        assert!(known.notes().is_empty() && known.len() == 8);
    }

    #[test]
    fn unknown_characters_are_left_out_or_read_as_another() {
        let text = "a\u{e9}b\u{1f980}\r\n\u{e9}\u{e9}".repeat(300);
        let read = |unknown| Symbols::lenient(Text::given("t", text.clone()), Vocabulary::of("ab \n"), None, unknown);
        for (unknown, becomes) in [(Unknown::Skip, ""), (Unknown::Symbol(' '), " ")] {
            let symbols = read(unknown).unwrap();
            let plain = text.replace(['\u{e9}', '\u{1f980}'], becomes).replace("\r\n", "\n");
            let expected = Symbols::with(Text::given("t", plain), Vocabulary::of("ab \n")).unwrap();
            assert_eq!(all_of(&symbols), all_of(&expected));
            assert_eq!(symbols.foreign(), 1200);
            assert_eq!(symbols.split("\n").unwrap(), expected.split("\n").unwrap());
            assert!(symbols.notes().iter().any(|n| n.contains("1200 characters are no symbols") && n.contains("'é' 900, '🦀' 300")), "{:?}", symbols.notes());
            for from in [0, 255, 256, 257, 599] {
                let mut one = [0];
                symbols.read(from, &mut one).unwrap();
                assert_eq!(one[0], all_of(&expected)[from as usize]);
                if unknown == Unknown::Skip {
                    assert_eq!(symbols.bytes(3..from.max(3)).unwrap(), expected.bytes(3..from.max(3)).unwrap());
                }
            }
        }
        assert!(read(Unknown::Refuse).err().unwrap().to_string().contains("'é'"));
        assert!(read(Unknown::Symbol('x')).err().unwrap().to_string().contains("`unknown` symbol:x"));
        let none = Symbols::lenient(Text::given("t", "éé"), Vocabulary::of("ab"), None, Unknown::Skip);
        assert!(none.err().unwrap().to_string().contains("none of its characters"));
        assert_eq!(
            ["error", "skip", "symbol: ", r"symbol:\n", "symbol:é"].map(|u| u.parse::<Unknown>().unwrap()),
            [Unknown::Refuse, Unknown::Skip, Unknown::Symbol(' '), Unknown::Symbol('\n'), Unknown::Symbol('é')]
        );
        assert!(["", "symbol", "symbol:", "symbol:ab", "symbol:\\q", "skipped"].iter().all(|u| u.parse::<Unknown>().is_err()));
    }

    /// Any change by another program is an error.
    #[test]
    fn a_file_that_changes_is_an_error() {
        let path = std::env::temp_dir().join(format!("retrograd-changes-{}.txt", std::process::id()));
        for content in ["abc\n".repeat(400), "abé\n".repeat(400), "abc\r\n".repeat(400)] {
            let symbols = |unknown| {
                std::fs::write(&path, &content).unwrap();
                Symbols::lenient(Text::open(&path).unwrap(), Vocabulary::of("abcé\n"), None, unknown).unwrap()
            };
            let mut out = vec![0; 700];
            for unknown in [Unknown::Refuse, Unknown::Skip, Unknown::Symbol('a')] {
                let opened = symbols(unknown);
                std::fs::write(&path, &content).unwrap();
                opened.read(300, &mut out).unwrap();
                for (changed, word) in
                    [(content.replace("ab", "\u{ff}"), ""), (content.replace('\n', "\u{4e00}"), ""), (content[..400].to_string(), "cut short")]
                {
                    std::fs::write(&path, changed.as_bytes().iter().map(|b| if *b == 0xc3 { 0xff } else { *b }).collect::<Vec<u8>>()).unwrap();
                    if unknown == Unknown::Refuse || !word.is_empty() {
                        let e = opened.read(300, &mut out).unwrap_err().to_string();
                        assert!(e.contains(word) && !e.contains('\n'), "{e}");
                    } else {
                        let _ = opened.read(300, &mut out);
                    }
                }
            }
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_unknown_character_is_named_with_its_place() {
        let v = Vocabulary::of("abc\n");
        let e = Symbols::with(Text::given("book", "ab\ncaé"), v).err().unwrap().to_string();
        assert!(e.contains("book: character 'é' (U+00E9) at byte 5, line 2"), "{e}");
    }
}
