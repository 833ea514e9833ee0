//! One pass over a text of characters: its distinct characters, its line ends, and an index of where every n-th character begins.

use super::Text;
use crate::error::Result;

/// Characters per entry of the index.
pub(super) const BLOCK: u64 = 256;

/// Counts of line ends by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineEnds {
    /// "\n" alone.
    pub lf: u64,
    /// "\r\n".
    pub crlf: u64,
    /// "\r" alone.
    pub cr: u64,
}

impl LineEnds {
    /// A note for the user if there are line ends other than "\n", all of which are read as "\n".
    pub fn note(&self) -> Option<String> {
        match (self.lf, self.crlf, self.cr) {
            (_, 0, 0) => None,
            (0, _, 0) => Some("line ends are CRLF; read as LF".to_string()),
            (0, 0, _) => Some("line ends are CR; read as LF".to_string()),
            (lf, crlf, cr) => Some(format!("line ends are mixed ({lf} LF, {crlf} CRLF, {cr} CR); all are read as LF")),
        }
    }
}

/// The result of a pass.
pub(super) struct Scan {
    /// The distinct characters as read, in code point order, with their counts.
    pub(super) characters: Vec<(char, u64)>,
    pub(super) index: Index,
    pub(super) ends: LineEnds,
}

/// The bytes at which characters begin.
#[derive(Default)]
pub(super) struct Index {
    /// Number of characters.
    pub(super) len: u64,
    /// The byte at which the first begins.
    pub(super) start: u64,
    /// The byte at which every [`BLOCK`]th begins, and the end; `None` if every character is one byte and they are contiguous.
    pub(super) blocks: Option<Vec<u64>>,
    /// For each block, the bytes before it that stand for no character; empty if there are none.
    unread: Vec<u64>,
}

impl Index {
    /// The index of `len` one-byte symbols; also of symbols kept elsewhere.
    pub(super) fn even(len: u64) -> Self {
        Index { len, ..Index::default() }
    }

    /// Number of bytes before a block that stand for characters.
    pub(super) fn read_before(&self, block: usize) -> u64 {
        let at = self.blocks.as_ref().and_then(|b| b.get(block)).map_or(0, |b| b - self.start);
        at - self.unread.get(block).copied().unwrap_or(0)
    }

    /// The index of the characters for which `known` is true; the others are skipped.
    pub(super) fn of_some(text: &Text, line_ends: bool, known: impl Fn(char) -> bool) -> Result<Self> {
        let mut index = Indexer::default();
        text.characters(|at, piece| {
            index.begin(at);
            for (width, c) in widths(piece, line_ends) {
                if known(c) { index.one(width, c.len_utf8()) } else { index.skip(width) }
            }
            Ok(())
        })?;
        Ok(index.finish())
    }
}

/// The characters of a text as read, each with the byte at which it begins. With `line_ends`, "\r\n" and "\r" are "\n".
pub(super) fn characters(text: &str, line_ends: bool) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut all = text.char_indices().peekable();
    std::iter::from_fn(move || match all.next()? {
        (at, '\r') if line_ends => {
            all.next_if(|(_, c)| *c == '\n');
            Some((at, '\n'))
        }
        other => Some(other),
    })
}

/// The same, each with the number of bytes it takes in the text.
fn widths(text: &str, line_ends: bool) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut all = characters(text, line_ends).peekable();
    std::iter::from_fn(move || all.next().map(|(at, c)| (all.peek().map_or(text.len(), |next| next.0) - at, c)))
}

impl Scan {
    /// Scans a text.
    ///
    /// # Errors
    /// If it can't be read, or is not UTF-8.
    pub(super) fn of(text: &Text, line_ends: bool) -> Result<Self> {
        let (mut index, mut ends, mut counts) = (Indexer::default(), LineEnds::default(), vec![0u64; char::MAX as usize + 1]);
        text.characters(|at, piece| {
            index.begin(at);
            if piece.is_ascii() {
                count_bytes(piece.as_bytes(), &mut counts);
                index.ascii(piece.as_bytes(), line_ends, &mut ends);
            } else if !line_ends || memchr::memchr(b'\r', piece.as_bytes()).is_none() {
                for c in piece.chars() {
                    counts[c as usize] += 1;
                    index.one(c.len_utf8(), c.len_utf8());
                }
                ends.add(piece);
            } else {
                for (width, c) in widths(piece, line_ends) {
                    counts[c as usize] += 1;
                    index.one(width, c.len_utf8());
                }
                ends.add(piece);
            }
            Ok(())
        })?;
        if line_ends {
            // Pieces of ASCII were counted without joining line ends.
            let ended = ends.lf + ends.crlf + ends.cr;
            (counts['\r' as usize], counts['\n' as usize]) = (0, ended);
        }
        let characters = (0..).zip(counts).filter(|(_, n)| *n > 0).filter_map(|(c, n)| Some((char::from_u32(c)?, n))).collect();
        Ok(Scan { characters, index: index.finish(), ends })
    }
}

/// Counts ASCII characters, in four tables, so that no count waits for the one before.
fn count_bytes(bytes: &[u8], counts: &mut [u64]) {
    let mut tables = [[0u32; 128]; 4];
    let four = bytes.chunks_exact(4);
    four.remainder().iter().for_each(|b| counts[usize::from(*b)] += 1);
    four.for_each(|b| tables.iter_mut().zip(b).for_each(|(table, b)| table[usize::from(b & 0x7f)] += 1));
    tables.iter().for_each(|table| counts.iter_mut().zip(table).for_each(|(all, n)| *all += u64::from(*n)));
}

impl LineEnds {
    /// Counts the line ends of a piece of a text.
    pub(super) fn add(&mut self, piece: &str) {
        let bytes = piece.as_bytes();
        let (all_lf, mut crlf, mut cr) = (memchr::memchr_iter(b'\n', bytes).count() as u64, 0, 0);
        memchr::memchr_iter(b'\r', bytes).for_each(|at| *(if bytes.get(at + 1) == Some(&b'\n') { &mut crlf } else { &mut cr }) += 1);
        (self.lf, self.crlf, self.cr) = (self.lf + all_lf - crlf, self.crlf + crlf, self.cr + cr);
    }
}

/// Builds an index; it has no blocks as long as every character is one byte.
#[derive(Default)]
struct Indexer {
    begun: bool,
    start: u64,
    /// Characters so far, the byte after them, and the number of bytes that stand for none.
    len: u64,
    at: u64,
    unread: u64,
    blocks: Option<(Vec<u64>, Vec<u64>)>,
}

impl Indexer {
    /// Records where the text begins.
    fn begin(&mut self, at: u64) {
        if !self.begun {
            (self.begun, self.start, self.at) = (true, at, at);
        }
    }

    fn ascii(&mut self, bytes: &[u8], line_ends: bool, ends: &mut LineEnds) {
        let before = ends.crlf;
        // ASCII is UTF-8.
        ends.add(std::str::from_utf8(bytes).unwrap_or_default());
        if !line_ends || ends.crlf == before {
            return self.run(bytes.len() as u64);
        }
        let mut from = 0;
        for at in memchr::memmem::find_iter(bytes, b"\r\n") {
            self.run((at - from) as u64);
            self.one(2, 1);
            from = at + 2;
        }
        self.run((bytes.len() - from) as u64);
    }

    /// Adds `count` one-byte characters.
    fn run(&mut self, count: u64) {
        if let Some((blocks, unread)) = &mut self.blocks {
            let first = self.len.next_multiple_of(BLOCK);
            for place in (first..self.len + count).step_by(BLOCK as usize) {
                blocks.push(self.at + place - self.len);
                unread.push(self.unread);
            }
        }
        (self.len, self.at) = (self.len + count, self.at + count);
    }

    /// Adds a character that takes `width` bytes of the text and `own` bytes as read.
    fn one(&mut self, width: usize, own: usize) {
        if width == 1 && own == 1 {
            return self.run(1);
        }
        self.uneven();
        let place = self.len;
        if let Some((blocks, unread)) = self.blocks.as_mut().filter(|_| place.is_multiple_of(BLOCK)) {
            blocks.push(self.at);
            unread.push(self.unread);
        }
        (self.len, self.at, self.unread) = (self.len + 1, self.at + width as u64, self.unread + (width - own) as u64);
    }

    /// Skips bytes that stand for no character.
    fn skip(&mut self, width: usize) {
        self.uneven();
        (self.at, self.unread) = (self.at + width as u64, self.unread + width as u64);
    }

    /// Starts the blocks: from here on characters and bytes differ.
    fn uneven(&mut self) {
        if self.blocks.is_none() {
            let blocks: Vec<u64> = (0..self.len).step_by(BLOCK as usize).map(|place| self.start + place).collect();
            self.blocks = Some((blocks.clone(), vec![0; blocks.len()]));
        }
    }

    fn finish(self) -> Index {
        let (blocks, unread) = match self.blocks {
            Some((mut blocks, mut unread)) => {
                blocks.push(self.at);
                unread.push(self.unread);
                (Some(blocks), if self.unread > 0 { unread } else { Vec::new() })
            }
            None => (None, Vec::new()),
        };
        Index { len: self.len, start: self.start, blocks, unread }
    }
}
