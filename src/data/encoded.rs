//! A text as tokens.

use super::scan::LineEnds;
use super::text::with_lf;
use super::{Text, Tokenizer};
use crate::error::{Error, Result};
use crate::platform;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes of a text that are encoded at once, at most: an encoding takes many times the memory of its tokens.
const PIECE: usize = 64 << 10;
/// Pieces in flight.
const WAVE: usize = 1024;

/// A sequence's positions, and the end of the separator after it.
type Part = (Range<u64>, u64);

/// The tokens of a text, in memory.
pub(super) struct Encoded {
    pub(super) ids: Vec<u32>,
    /// Bytes of the text as read, with line ends joined.
    len: u64,
    stored: Stored,
    /// Cache of the last lookup: the number of its piece, and the byte at which each token of that piece begins. Lookups mostly go in order.
    looked: Mutex<Option<(usize, Vec<usize>)>>,
    /// First token and first byte of each separately encoded piece.
    pieces: Vec<(u64, u64)>,
    /// The separator of finite sequences, and their positions as in [`super::Symbols::split`]; `None` for a stream.
    separated: Option<(String, Vec<Part>)>,
    /// Number of unknown tokens.
    pub(super) unknown: u64,
    /// Whether decoding the tokens changes the beginning of the text.
    pub(super) altered: bool,
    pub(super) ends: LineEnds,
}

impl Encoded {
    /// Encodes a stream; or each sequence and each separator by itself, so that sequences end where tokens do.
    pub(super) fn new(text: &Text, tokenizer: &Tokenizer, separator: Option<&str>) -> Result<Self> {
        let (mut content, mut ends, mut stored) = (String::with_capacity(text.len() as usize), LineEnds::default(), Stored(Vec::new()));
        text.characters(|at, piece| {
            ends.add(piece);
            stored.add(at, piece, &mut content);
            Ok(())
        })?;
        stored.0.push((content.len() as u64, text.len()));
        let content = &content[..];
        let wrong = |what: String| Error::Input(format!("{}: {what}", text.name));
        let encode = |content: &str| tokenizer.encode(content).map_err(|e| wrong(e.to_string()));
        let mark = separator.map_or(Ok(Vec::new()), encode)?;
        if let Some(separator) = separator.filter(|_| mark.is_empty()) {
            return Err(wrong(format!("the tokenizer has no token for the separator {separator:?}; give another one, or another tokenizer")));
        }
        let parts = parts(content, separator);
        let jobs: Vec<Job> = parts.iter().flat_map(|(range, ended)| jobs(content, range.clone(), *ended)).collect();
        let mut encoded = Encoded {
            ids: Vec::new(),
            len: content.len() as u64,
            stored,
            looked: Mutex::new(None),
            pieces: Vec::new(),
            separated: None,
            unknown: 0,
            altered: false,
            ends,
        };
        let (mut places, mut from) = (Vec::new(), 0);
        for wave in jobs.chunks(WAVE) {
            let done: Vec<Vec<u32>> = platform::map(wave, 8, |job| encode(&content[job.range.clone()]))?;
            for (job, ids) in wave.iter().zip(done) {
                encoded.piece(job.range.start, &ids);
                if let Some(ended) = job.last {
                    let end = encoded.ids.len() as u64;
                    if ended {
                        encoded.piece(job.range.end, &mark);
                    }
                    places.push((from..end, encoded.ids.len() as u64));
                    from = encoded.ids.len() as u64;
                }
            }
        }
        if encoded.ids.is_empty() {
            return Err(wrong("the tokenizer makes no token of it; give another one".to_string()));
        }
        encoded.separated = separator.map(|s| (s.to_string(), places));
        encoded.unknown = tokenizer.unknown().map_or(0, |unknown| encoded.ids.iter().filter(|id| **id == unknown).count() as u64);
        let pieces = if separator.is_some() { encoded.pieces.partition_point(|p| p.1 < PIECE as u64) } else { 1 };
        let first = encoded.pieces.get(pieces).copied().unwrap_or((encoded.ids.len() as u64, content.len() as u64));
        encoded.altered = tokenizer.decode(&encoded.ids[..first.0 as usize])? != content[..first.1 as usize];
        Ok(encoded)
    }

    fn piece(&mut self, byte: usize, ids: &[u32]) {
        if !ids.is_empty() {
            self.pieces.push((self.ids.len() as u64, byte as u64));
            self.ids.extend_from_slice(ids);
        }
    }

    /// See [`super::Symbols::split`].
    pub(super) fn split(&self, separator: &str) -> Option<&[Part]> {
        self.separated.as_ref().filter(|(s, _)| s == separator).map(|(_, places)| &places[..])
    }

    /// The byte of the text at which a token begins; the text's length after the last token.
    pub(super) fn byte(&self, text: &Text, tokenizer: &Tokenizer, place: u64) -> Result<u64> {
        let end = self.len;
        let behind = self.pieces.partition_point(|p| p.0 <= place);
        if place >= self.ids.len() as u64 || behind == 0 {
            return Ok(if behind == 0 { 0 } else { end });
        }
        let (token, byte) = self.pieces[behind - 1];
        let next = self.pieces.get(behind).map_or(end, |p| p.1);
        if place == token {
            return Ok(byte);
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let starts = match looked.take().filter(|(piece, _)| *piece == behind) {
            Some((_, starts)) => starts,
            None => tokenizer.starts(&self.stored.part(text, byte..next)?)?,
        };
        let found = starts.get((place - token) as usize).map_or(next, |s| byte + *s as u64);
        *looked = Some((behind, starts));
        Ok(found)
    }
}

/// Bytes from one recorded position to the next, at most.
const STRIDE: usize = 4096;

/// Positions of a text as read, and in its file: one every [`STRIDE`] bytes and one at the end. They differ since a two-byte line end is read as one.
struct Stored(Vec<(u64, u64)>);

impl Stored {
    /// Appends to `read` a piece that begins at byte `at` of the file and splits no line end.
    fn add(&mut self, at: u64, piece: &str, read: &mut String) {
        let mut from = 0;
        while from < piece.len() {
            self.0.push((read.len() as u64, at + from as u64));
            let joined = |to: usize| piece.as_bytes()[to - 1] == b'\r' && piece.as_bytes().get(to) == Some(&b'\n');
            let ends = |to: &usize| piece.is_char_boundary(*to) && !joined(*to);
            let to = (from + 1..=piece.len().min(from + STRIDE)).rev().find(ends).unwrap_or(piece.len());
            read.push_str(&with_lf(&piece[from..to]));
            from = to;
        }
    }

    /// A range of the text as read.
    fn part(&self, text: &Text, range: Range<u64>) -> Result<String> {
        let first = self.0.partition_point(|(read, _)| *read <= range.start) - 1;
        let last = self.0.partition_point(|(read, _)| *read < range.end);
        let ((read, from), (_, to)) = (self.0[first], self.0[last]);
        let changed = || text.changed(from);
        let around = String::from_utf8(text.bytes(from..to)?).map_err(|_| changed())?;
        let part = with_lf(&around).get((range.start - read) as usize..(range.end - read) as usize).map(str::to_string);
        part.ok_or_else(changed)
    }
}

/// A piece that is encoded separately.
struct Job {
    range: Range<usize>,
    /// For the last piece of a sequence: whether a separator follows.
    last: Option<bool>,
}

/// The sequences of a text, and whether a separator follows each.
fn parts(content: &str, separator: Option<&str>) -> Vec<(Range<usize>, bool)> {
    let Some(separator) = separator else { return vec![(0..content.len(), false)] };
    let (mut parts, mut from) = (Vec::new(), 0);
    for at in memchr::memmem::find_iter(content.as_bytes(), separator) {
        parts.push((from..at, true));
        from = at + separator.len();
    }
    if from < content.len() {
        parts.push((from..content.len(), false));
    }
    parts
}

/// The pieces of a sequence.
fn jobs(content: &str, sequence: Range<usize>, ended: bool) -> Vec<Job> {
    let (mut jobs, mut from) = (Vec::new(), sequence.start);
    while sequence.end - from > PIECE {
        let to = from + cut(&content.as_bytes()[from..sequence.end]);
        jobs.push(Job { range: from..to, last: None });
        from = to;
    }
    jobs.push(Job { range: from..sequence.end, last: Some(ended) });
    jobs
}

/// The end of the first piece of a text longer than [`PIECE`]: before a line that doesn't begin with a space, since few tokenizers join anything there;
/// else after any line, before a space, or between characters.
fn cut(bytes: &[u8]) -> usize {
    let window = &bytes[..PIECE];
    let line = |bare: bool| memchr::memrchr_iter(b'\n', window).map(|at| at + 1).find(|&to| !bare || !bytes[to].is_ascii_whitespace());
    let space = || memchr::memrchr(b' ', window).filter(|at| *at > 0);
    let character = || (1..=PIECE).rev().find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(PIECE);
    line(true).or_else(|| line(false)).or_else(space).unwrap_or_else(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_lines_or_at_least_between_characters() {
        let line = "a line of some words\n";
        let pieces = |content: &str| {
            let jobs = jobs(content, 0..content.len(), false);
            assert!(jobs.iter().all(|j| j.range.len() <= PIECE) && jobs[0].range.start == 0 && jobs.iter().rev().skip(1).all(|j| j.last.is_none()));
            assert!(jobs.windows(2).all(|w| w[0].range.end == w[1].range.start) && jobs.last().unwrap().range.end == content.len());
            jobs.iter().map(|j| content[j.range.clone()].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(pieces("").len(), 1);
        assert!(pieces(&line.repeat(10_000)).iter().all(|p| p.ends_with(".\n") || p.ends_with("words\n")));
        let indented = pieces(&"x\n\n    y\n".repeat(20_000));
        assert!(indented.len() > 2 && indented.iter().skip(1).all(|p| p.starts_with('x')));
        assert!(pieces(&"word ".repeat(30_000)).iter().skip(1).all(|p| p.starts_with(' ')));
        assert_eq!(pieces(&"→".repeat(50_000)).concat(), "→".repeat(50_000));
    }

    #[test]
    fn parts_are_found_however_lines_end() {
        let lines: String = (0..900).map(|i| format!("a→{i}{}", ["\n", "\r\n", "\r", "\r\r\n", "🦀\r\n"][i % 5])).collect();
        for content in [lines.clone(), format!("\u{feff}{lines}"), "x".repeat(STRIDE - 1) + "\r\n" + &lines, "→".to_string(), "\r\n".repeat(9000)] {
            let (text, mut stored, mut read) = (Text::given("lines", content), Stored(Vec::new()), String::new());
            text.characters(|at, piece| {
                stored.add(at, piece, &mut read);
                Ok(())
            })
            .unwrap();
            stored.0.push((read.len() as u64, text.len()));
            assert_eq!(read, text.utf8().unwrap());
            let places: Vec<usize> = (0..=read.len()).filter(|at| read.is_char_boundary(*at)).collect();
            for (i, &from) in places.iter().enumerate().step_by(37) {
                for &to in places[i..].iter().step_by(211) {
                    assert_eq!(stored.part(&text, from as u64..to as u64).unwrap(), read[from..to], "{from} to {to}");
                }
            }
            assert_eq!(stored.part(&text, 0..read.len() as u64).unwrap(), read);
        }
    }

    #[test]
    fn sequences_are_what_stands_between_separators() {
        assert_eq!(parts("ab|c||d", Some("|")), [(0..2, true), (3..4, true), (5..5, true), (6..7, false)]);
        assert_eq!(parts("ab|", Some("|")), [(0..2, true)]);
        assert_eq!(parts("ab|", None), [(0..3, false)]);
    }
}
