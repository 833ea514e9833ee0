//! Finite sequences: a text split at a separator, packed whole into the lanes of windows.
//!
//! A sequence is the text between two separators and the separator after it. Its characters are predicted one by one, the first from a zero state and the
//! separator's last character, and finally the separator. So every character is scored exactly once, except those of skipped sequences.
//!
//! Sequences with answers ([`Sequences::asked`]) are scored only at their last steps: in the text, the answers follow the symbols that are read.

use super::content::Target;
use super::inputs::{Cell, Grid};
use super::{Content, SegmentInputs, Symbols, Table};
use crate::error::{Error, Result};
use crate::model::record::InputLayout;
use crate::truncation::Edge;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One sequence: its position among the text's symbols and its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// First symbol.
    pub start: u64,
    /// Number of steps; if all are scored, that of predicted symbols, including the separator after it.
    pub len: u32,
    /// Unscored steps at its start that warm up the state.
    pub warm_up: u32,
    /// Its number in the text, from 1, counting skipped ones; for labelled lines, the line that it begins on.
    pub number: u64,
}

/// The sequences of a text, or of a part of it.
#[derive(Clone)]
pub struct Sequences {
    pub(super) content: Content,
    pub(super) list: Vec<Sequence>,
    /// The symbol that the text's first sequence reads first: the separator's last symbol, as in all other sequences.
    pub(super) before: u32,
    /// Number of sequences skipped because they have less than 2 symbols, or only the separator.
    pub(super) skipped: u64,
    pub(super) scored: Scored,
    /// The weight of each class in the loss; empty if all weigh 1.
    pub(super) weights: Arc<[f32]>,
}

/// The scored steps of a sequence, and their targets.
#[derive(Debug, Clone)]
pub(super) enum Scored {
    /// Every step; its target follows it.
    All,
    /// The last n steps; each target is n symbols after the one that the step reads.
    Answers(u32),
    /// The last step; its target is the class of the sequence.
    Labels(Arc<[u32]>),
}

impl Sequences {
    /// Splits a text at a separator.
    ///
    /// # Errors
    /// [`Error::Input`] if the separator never occurs, or no sequence is left.
    pub fn new(symbols: Arc<Symbols>, separator: &str) -> Result<Self> {
        let name = &symbols.text().name;
        let parts = symbols.split(separator)?;
        let ends = symbols.vocabulary().encode(separator).unwrap_or_default();
        // The last line may lack a line end, and a single line is a line.
        let closed = ends.len() == 1;
        if !(parts.iter().any(|(text, end)| text.end != *end) || (closed && separator == "\n")) {
            return Err(Error::Input(format!(
                "{name}: the separator {separator:?} never occurs; give the right one, or read the text as one stream: leave it out, or give `stream`"
            )));
        }
        let before = ends.last().copied().unwrap_or(0);
        let too_long = |_| Error::Input(format!("{name}: a sequence of more than {} {} is too long; give another separator", u32::MAX, symbols.unit()));
        let mut list = Vec::new();
        let mut skipped = 0;
        for (number, (text, end)) in (1..).zip(parts) {
            // The end of the text stands for a separator, which is predicted like any other.
            let end = end + u64::from(closed && text.end == end && !text.is_empty());
            if text.is_empty() || end - text.start < 2 {
                skipped += 1;
            } else {
                list.push(Sequence { start: text.start, len: u32::try_from(end - text.start).map_err(too_long)?, warm_up: 0, number });
            }
        }
        if list.is_empty() {
            return Err(Error::Input(format!("{name}: all {skipped} sequences are empty or shorter than 2 {}; give another separator", symbols.unit())));
        }
        Ok(Sequences { content: symbols.into(), list, before, skipped, scored: Scored::All, weights: Arc::default() })
    }

    /// Cuts a part of a text into pieces of `len` symbols, each predicted from a zero state and the symbol before it. Drops the remainder.
    ///
    /// # Errors
    /// [`Error::Input`] if it is shorter than one piece.
    pub fn pieces(symbols: Arc<Symbols>, part: Range<u64>, len: u32) -> Result<Self> {
        let count = (part.end - part.start).saturating_sub(1) / u64::from(len);
        if count == 0 {
            return Err(Error::Input(format!(
                "{}: {} {} are less than one piece of {len} and the one before it; lower `length`",
                symbols.text().name,
                part.end - part.start,
                symbols.unit()
            )));
        }
        let list = (0..count).map(|i| Sequence { start: part.start + 1 + i * u64::from(len), len, warm_up: 0, number: i + 1 }).collect();
        Ok(Sequences { content: symbols.into(), list, before: 0, skipped: 0, scored: Scored::All, weights: Arc::default() })
    }

    /// Cuts a text into pieces of `steps` input symbols, one per step, followed by `answers` symbols,
    /// which are the targets of the last steps in order; only those are scored. Drops the remainder.
    ///
    /// # Errors
    /// [`Error::Input`] if it is shorter than one piece.
    ///
    /// # Panics
    /// If `answers` is 0 or more than `steps`.
    pub fn asked(symbols: Arc<Symbols>, steps: u32, answers: u32) -> Result<Self> {
        assert!((1..=steps).contains(&answers), "{answers} answers at {steps} steps");
        let piece = u64::from(steps) + u64::from(answers);
        let count = symbols.len() / piece;
        if count == 0 {
            return Err(Error::Input(format!("{}: {} symbols are less than one sequence, which has {piece}", symbols.text().name, symbols.len())));
        }
        // The first step of a sequence reads the symbol before `start`.
        let list = (0..count).map(|i| Sequence { start: i * piece + 1, len: steps, warm_up: 0, number: i + 1 }).collect();
        Ok(Sequences { content: symbols.into(), list, before: 0, skipped: 0, scored: Scored::Answers(answers), weights: Arc::default() })
    }

    /// Parts of a text, each with its class, which is the target of its last step, and its number.
    ///
    /// # Panics
    /// If a part is empty or exceeds the text, or the numbers of parts, classes and numbers differ.
    pub fn labelled(symbols: Arc<Symbols>, parts: Vec<Range<u64>>, classes: Vec<u32>, numbers: &[u64]) -> Self {
        assert!(
            parts.len() == classes.len() && parts.len() == numbers.len() && parts.iter().all(|p| p.start < p.end && p.end <= symbols.len()),
            "parts of a text with a class each"
        );
        // The first step of a sequence reads the symbol before `start`.
        let one = |(p, number): (Range<u64>, &u64)| Sequence { start: p.start + 1, len: (p.end - p.start) as u32, warm_up: 0, number: *number };
        let list = parts.into_iter().zip(numbers).map(one).collect();
        Sequences { content: symbols.into(), list, before: 0, skipped: 0, scored: Scored::Labels(classes.into()), weights: Arc::default() }
    }

    /// Sequences of a table's rows; each part comes with the number of unscored steps at its start.
    pub fn rows(table: Arc<Table>, parts: &[(Range<usize>, usize)]) -> Self {
        // The first step of a sequence reads the position before `start`.
        let one = |(rows, warm_up): &(Range<usize>, usize)| Sequence {
            start: rows.start as u64 + 1,
            len: rows.len() as u32,
            warm_up: *warm_up as u32,
            number: rows.start as u64 + 1,
        };
        Sequences { content: table.into(), list: parts.iter().map(one).collect(), before: 0, skipped: 0, scored: Scored::All, weights: Arc::default() }
    }

    /// The sequences, in the order of the text.
    pub fn list(&self) -> &[Sequence] {
        &self.list
    }

    /// The content that they are parts of.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Distance from the symbol that a step reads to the one that it predicts.
    pub fn ahead(&self) -> u32 {
        if let Scored::Answers(n) = self.scored { n } else { 1 }
    }

    /// The class of a sequence, if they have classes.
    pub fn class(&self, sequence: usize) -> Option<u32> {
        if let Scored::Labels(classes) = &self.scored { classes.get(sequence).copied() } else { None }
    }

    /// The symbol that the first step reads if a sequence begins the text.
    pub fn before(&self) -> u32 {
        self.before
    }

    /// Number of sequences skipped because they have less than 2 symbols, or only the separator.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Number of scored steps.
    pub fn scored(&self) -> u64 {
        self.list.iter().map(|s| u64::from(self.scored_of(s))).sum()
    }

    /// Number of scored steps of a sequence: its last ones.
    pub fn scored_of(&self, sequence: &Sequence) -> u32 {
        match self.scored {
            Scored::All => sequence.len - sequence.warm_up,
            Scored::Answers(n) => n,
            Scored::Labels(_) => 1,
        }
    }

    /// Bytes of text that the scored symbols stand for; `None` if values, labels or answers are scored.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn scored_bytes(&self) -> Result<Option<u64>> {
        let Some(symbols) = self.content.symbols().filter(|_| !self.asks()) else { return Ok(None) };
        self.list.iter().map(|s| symbols.bytes(s.start..s.start + u64::from(s.len))).sum::<Result<u64>>().map(Some)
    }

    /// Whether only the last steps are scored, with answers that are right or wrong.
    pub fn asks(&self) -> bool {
        !matches!(self.scored, Scored::All)
    }

    /// Length of the longest in steps.
    pub fn longest(&self) -> u32 {
        self.list.iter().map(|s| s.len).max().unwrap_or(0)
    }

    /// Packs all sequences into windows of B lanes, shuffled by `(seed, epoch)`; without a seed, ordered by length.
    pub fn pack(&self, lanes: u32, draw: Option<(u64, u64)>) -> Packing {
        let mut order: Vec<u32> = (0..self.list.len() as u32).collect();
        let mut rng = draw.map(|(seed, epoch)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(epoch + 1);
            rng
        });
        if let Some(rng) = &mut rng {
            order.shuffle(rng);
        }
        let mut packing = Packing { lanes, windows: Vec::new(), items: Vec::new() };
        for pool in order.chunks((POOL * lanes as usize).max(MIN_POOL)) {
            packing.add(self, pool);
        }
        if let Some(rng) = &mut rng {
            packing.windows.shuffle(rng);
        }
        packing
    }

    /// The inputs of the steps in `range` of a window; `edges` returns the truncation strategy's edges for a range of steps of an item.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn inputs(
        &self,
        packing: &Packing,
        window: usize,
        places: &InputLayout,
        range: Range<u32>,
        edges: impl Fn(usize, Range<u32>) -> Vec<Edge>,
    ) -> Result<SegmentInputs> {
        self.inputs_of(0..packing.lanes, packing, window, places, range, edges)
    }

    /// Like [`Sequences::inputs`], of some lanes only.
    ///
    /// # Errors
    /// As there.
    pub fn inputs_of(
        &self,
        lanes: Range<u32>,
        packing: &Packing,
        window: usize,
        places: &InputLayout,
        range: Range<u32>,
        edges: impl Fn(usize, Range<u32>) -> Vec<Edge>,
    ) -> Result<SegmentInputs> {
        let mut grid = Grid::new(places, range.clone(), lanes.end - lanes.start);
        for (i, item) in packing.items(window).iter().enumerate().filter(|(_, item)| lanes.contains(&item.lane)) {
            let lane = item.lane - lanes.start;
            let s = self.list[item.sequence as usize];
            let live = item.from.max(range.start)..(item.from + s.len).min(range.end);
            if live.is_empty() {
                continue;
            }
            // The symbols that are read here and those that are predicted after them.
            let first = live.start - item.from;
            let target = self.class(item.sequence as usize).map_or(Target::Ahead(self.ahead()), Target::Class);
            self.content.fill(&mut grid, (live.clone(), lane), s.start as i64 + i64::from(first) - 1, self.before, target)?;
            let edges = edges(i, first..first + (live.end - live.start));
            let scored_from = s.len - self.scored_of(&s);
            let weighs = self.class(item.sequence as usize).and_then(|class| self.weights.get(class as usize)).copied().unwrap_or(1.0);
            for ((t, d), edge) in live.zip(first..).zip(edges) {
                let (keep, weight) = (f32::from(u8::from(d > 0)), if edge.scored && d >= scored_from { weighs } else { 0.0 });
                grid.set(t, lane, Cell { keep, xi: edge.xi, weight });
            }
        }
        Ok(grid.finish())
    }
}

/// Sequences sorted by length and packed together, per lane: enough for a tight fit, few enough that an epoch is not ordered by length.
const POOL: usize = 64;
/// Minimum size of such a pool.
const MIN_POOL: usize = 4096;
/// Steps of a window if all sequences are shorter: several follow each other in a lane.
const SHORT: u32 = 64;

/// A sequence's place in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Index of the sequence.
    pub sequence: u32,
    /// Its lane.
    pub lane: u32,
    /// Its first step.
    pub from: u32,
}

/// Sequences packed into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    lanes: u32,
    windows: Vec<PackedWindow>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PackedWindow {
    steps: u32,
    /// Number of (step, lane) pairs that belong to a sequence, and of those that are scored.
    live: u64,
    scored: u64,
    items: Range<usize>,
}

impl Packing {
    /// Number of windows.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether it has no windows.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Number of steps of a window.
    pub fn steps(&self, window: usize) -> u32 {
        self.windows[window].steps
    }

    /// Number of scored (step, lane) pairs of a window.
    pub fn scored(&self, window: usize) -> u64 {
        self.windows[window].scored
    }

    /// The sequences of a window.
    pub fn items(&self, window: usize) -> &[Item] {
        &self.items[self.windows[window].items.clone()]
    }

    /// Length of the longest window possible, in any order.
    pub fn longest(sequences: &Sequences) -> u32 {
        sequences.longest().max(SHORT)
    }

    /// The fraction of all (step, lane) pairs that is idle.
    pub fn idle(&self) -> f64 {
        let all: u64 = self.windows.iter().map(|w| u64::from(w.steps) * u64::from(self.lanes)).sum();
        1.0 - self.windows.iter().map(|w| w.live).sum::<u64>() as f64 / all.max(1) as f64
    }

    /// Packs a pool of sequences: each lane of a window repeatedly takes the longest that fits, up to the length of the longest, or [`SHORT`] steps. So
    /// lanes begin with sequences of similar length, and short ones fill the rest.
    fn add(&mut self, sequences: &Sequences, pool: &[u32]) {
        let list = &sequences.list;
        let mut by_length: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        // Reversed, since the last is popped first.
        pool.iter().rev().for_each(|&i| by_length.entry(list[i as usize].len).or_default().push(i));
        let mut left: u64 = pool.iter().map(|&i| u64::from(list[i as usize].len)).sum();
        while let Some((&longest, _)) = by_length.last_key_value() {
            let share = u32::try_from(left.div_ceil(u64::from(self.lanes))).unwrap_or(u32::MAX);
            let (most, first) = (longest.max(share.min(SHORT)), self.items.len());
            let (mut steps, mut live, mut scored) = (0, 0, 0);
            for lane in 0..self.lanes {
                let mut from = 0;
                while let Some(sequence) = take_longest(&mut by_length, most - from) {
                    self.items.push(Item { sequence, lane, from });
                    let one = &list[sequence as usize];
                    from += one.len;
                    scored += u64::from(sequences.scored_of(one));
                }
                live += u64::from(from);
                steps = from.max(steps);
            }
            left -= live;
            self.windows.push(PackedWindow { steps, live, scored, items: first..self.items.len() });
        }
    }
}

/// Takes the longest sequence of at most `most` steps.
fn take_longest(by_length: &mut BTreeMap<u32, Vec<u32>>, most: u32) -> Option<u32> {
    let (&len, list) = by_length.range_mut(..=most).next_back()?;
    let sequence = list.pop();
    if list.is_empty() {
        by_length.remove(&len);
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Text};
    use rand::RngExt;

    fn sequences(text: &str, separator: &str) -> Result<Sequences> {
        Sequences::new(Arc::new(Symbols::new(Text::given("text", text), Kind::Characters).unwrap()), separator)
    }

    fn symbols_of(sequences: &Sequences) -> &Symbols {
        sequences.content().symbols().unwrap()
    }

    /// Lines of 1 to `most` characters.
    fn lines(count: usize, most: usize) -> String {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..count).map(|_| (0..rng.random_range(1..=most)).map(|_| rng.random_range('a'..='z')).collect::<String>() + "\n").collect()
    }

    #[test]
    fn every_character_is_scored_once_behind_the_one_before_it() {
        let text = "ab\n\nc\nlonger line\nx";
        let s = sequences(text, "\n").unwrap();
        // The last line is scored with a line end, though it has none.
        assert_eq!((s.skipped(), s.scored()), (1, 19));
        let symbols: Vec<u32> = symbols_of(&s).vocabulary().encode(&format!("{text}\n")).unwrap();
        for lanes in [1, 2, 5] {
            let packing = s.pack(lanes, Some((1, 2)));
            let mut seen = vec![0; symbols.len()];
            for w in 0..packing.len() {
                let rows = packing.steps(w) * lanes;
                let places = InputLayout::new(&crate::model::Config::symbols(symbols_of(&s).vocabulary().len()), rows);
                // In two segments, or as one.
                let edges = |_: usize, d: Range<u32>| d.map(|d| Edge { xi: d as f32, scored: true }).collect::<Vec<_>>();
                let cut = packing.steps(w) / 2;
                let whole = s.inputs(&packing, w, &places, 0..packing.steps(w), edges).unwrap().words;
                let tail = s.inputs(&packing, w, &places, cut..packing.steps(w), edges).unwrap().words;
                let at = |words: &[u32], place: u32, t: u32, b: u32| words[(place + t * lanes + b) as usize];
                let mut live = vec![false; rows as usize];
                for item in packing.items(w) {
                    let one = s.list()[item.sequence as usize];
                    for d in 0..one.len {
                        let (t, b, place) = (item.from + d, item.lane, one.start as usize + d as usize);
                        let before = if d == 0 { s.before } else { symbols[place - 1] };
                        let expected = [before, symbols[place], f32::from(u8::from(d > 0)).to_bits(), (d as f32).to_bits(), 1f32.to_bits()];
                        let columns = [places.tokens(), places.targets(), places.keep(), places.xi(), places.weights()];
                        assert_eq!(columns.map(|c| at(&whole, c, t, b)), expected);
                        if t >= cut {
                            assert_eq!(columns.map(|c| at(&tail, c, t - cut, b)), expected);
                        }
                        seen[place] += 1;
                        live[(t * lanes + b) as usize] = true;
                    }
                }
                let weights = &whole[places.weights() as usize..][..rows as usize];
                assert!(weights.iter().zip(&live).all(|(w, l)| (*w != 0) == *l), "idle steps are not scored");
                assert_eq!(packing.scored(w), live.iter().filter(|l| **l).count() as u64);
            }
            let once: Vec<u32> = [1, 1, 1, 0].into_iter().chain([1; 16]).collect();
            assert_eq!(seen, once, "{lanes} lanes");
        }
    }

    #[test]
    fn few_steps_are_idle() {
        for (count, most, lanes) in [(1000, 300, 32), (1000, 300, 7), (5000, 10, 32), (10_000, 80, 64), (3000, 1000, 16)] {
            let s = sequences(&lines(count, most), "\n").unwrap();
            let packing = s.pack(lanes, Some((0, 0)));
            assert!(packing.idle() < 0.05, "{count} lines of up to {most}, {lanes} lanes: {} idle", packing.idle());
            assert_eq!((0..packing.len()).map(|w| packing.scored(w)).sum::<u64>(), s.scored());
            assert!((0..packing.len()).all(|w| packing.steps(w) <= Packing::longest(&s)));
            let mut all: Vec<u32> = packing.items.iter().map(|i| i.sequence).collect();
            all.sort_unstable();
            assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_order_is_that_of_its_seed_and_epoch() {
        let s = sequences(&lines(2000, 50), "\n").unwrap();
        assert!(s.pack(8, Some((3, 4))) == s.pack(8, Some((3, 4))));
        assert!(s.pack(8, Some((3, 4))) != s.pack(8, Some((3, 5))));
        assert!(s.pack(8, Some((3, 4))) != s.pack(8, Some((4, 4))));
    }

    #[test]
    fn the_tail_is_held_out_by_whole_sequences() {
        let (train, held) = sequences(&"abc\n".repeat(10), "\n").unwrap().hold_out(0.25);
        let held = held.unwrap();
        assert_eq!((train.list().len(), held.list().len()), (7, 3));
        assert!(sequences("ab\ncd\n", "\n").unwrap().hold_out(0.0).1.is_none());
    }

    #[test]
    fn separators_that_cut_nothing_are_refused() {
        for (text, separator, word) in [("abc", "\n", "never occurs"), ("abc", "xyz", "never occurs"), ("\n\n\n", "\n", "shorter than 2")] {
            let e = sequences(text, separator).err().unwrap().to_string();
            assert!(e.contains(word), "{e}");
        }
    }
}
