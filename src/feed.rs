//! The sequence of windows of a text and their gradients, as training and gradient estimates share them.

use crate::data::{Item, Lanes, Packing, Sequences};
use crate::engine::Engine;
use crate::error::Result;
use crate::model::record::InputLayout;
use crate::truncation::{Cuts, Draw, Truncation};
use std::ops::Range;

/// Training data.
pub enum Source {
    /// One stream in lanes; the state is carried from window to window.
    Stream(Lanes),
    /// Finite sequences, repacked each epoch; a window is a batch of whole ones.
    Sequences(Sequences),
}

impl Source {
    /// Steps of a lane, or of the longest sequence.
    pub fn longest(&self) -> u32 {
        match self {
            Source::Stream(lanes) => lanes.steps(),
            Source::Sequences(sequences) => sequences.longest(),
        }
    }
}

/// A position in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// Number of complete passes.
    pub epoch: u64,
    /// For a stream, the first step not scored yet; for sequences, the index of the next window.
    pub place: u32,
}

/// The window of one update.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Where it begins.
    pub cursor: Cursor,
    /// Where the next one begins.
    pub next: Cursor,
    /// Its steps; for a stream, counted from the lane's start.
    pub steps: Range<u32>,
    /// For a stream, the first step whose loss belongs to it.
    pub scored_from: u32,
    /// Number of scored (step, lane) pairs.
    pub scored: u64,
    /// N: divisor of the sum of losses in the gradient.
    pub n: f64,
    /// For sequences, where each is cut, in the order of the packing.
    cuts: Vec<Cuts>,
}

impl Window {
    /// Steps between cuts.
    pub fn lengths(&self) -> Vec<u32> {
        if self.cuts.is_empty() { vec![self.steps.end - self.steps.start] } else { self.cuts.iter().flat_map(Cuts::lengths).collect() }
    }
}

/// The windows of a text under a truncation strategy.
pub struct Feed {
    source: Source,
    truncation: Truncation,
    lanes: u32,
    seed: u64,
    /// Mean length of a window, if lengths are random.
    expected: f64,
    /// The packing of an epoch; `None` for a stream.
    packing: Option<(u64, Packing)>,
}

impl Feed {
    /// The windows of a source; `seed` determines packings and cuts.
    pub fn new(source: Source, truncation: Truncation, lanes: u32, seed: u64) -> Self {
        let longest = source.longest();
        let truncation = truncation.within(longest);
        let expected = if truncation.is_random() { truncation.expected_window(longest) } else { 0.0 };
        Feed { source, truncation, lanes, seed, expected, packing: None }
    }

    /// The training data.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The strategy.
    pub fn truncation(&self) -> Truncation {
        self.truncation
    }

    /// Number of (step, lane) pairs scored in one pass.
    pub fn scored(&self) -> u64 {
        match &self.source {
            Source::Stream(lanes) => lanes.scored(0..lanes.steps()),
            Source::Sequences(sequences) => sequences.scored(),
        }
    }

    /// Steps of the longest window.
    pub fn longest(&self) -> u32 {
        match &self.source {
            Source::Stream(lanes) => self.truncation.longest(lanes.steps()),
            Source::Sequences(sequences) => Packing::longest(sequences),
        }
    }

    /// Number of past states to keep: one for each window that has been reached and not begun.
    pub fn ring(&self) -> u32 {
        match (&self.source, self.truncation) {
            (Source::Stream(_), Truncation::Overlapping { k1, k2 }) => k2 / k1,
            _ => 0,
        }
    }

    /// Whether an extra segment may begin where a later window begins.
    pub fn splits(&self) -> bool {
        matches!((&self.source, self.truncation), (Source::Stream(_), Truncation::Overlapping { k1, k2 }) if k2 % k1 != 0)
    }

    /// Forward and backward passes over a window.
    pub fn passes(&self) -> u32 {
        if let Source::Sequences(_) = self.source { self.truncation.passes() } else { 1 }
    }

    /// The packing of an epoch.
    pub fn packing(&mut self, epoch: u64) -> Option<&Packing> {
        let Source::Sequences(sequences) = &self.source else { return None };
        if self.packing.as_ref().is_none_or(|p| p.0 != epoch) {
            self.packing = Some((epoch, sequences.pack(self.lanes, Some((self.seed, epoch)))));
        }
        self.packing.as_ref().map(|p| &p.1)
    }

    /// The fraction of a pass before a position.
    pub fn fraction(&mut self, cursor: Cursor) -> f64 {
        if cursor.place == 0 {
            // An epoch that may never be read need not be packed.
            return 0.0;
        }
        let all = match &self.source {
            Source::Stream(lanes) => lanes.steps(),
            Source::Sequences(_) => self.packing(cursor.epoch).map_or(1, |p| p.len() as u32),
        };
        f64::from(cursor.place) / f64::from(all)
    }

    /// The window at a position.
    pub fn window(&mut self, cursor: Cursor) -> Window {
        let (draw, truncation) = (Draw { seed: self.seed, epoch: cursor.epoch }, self.truncation);
        self.packing(cursor.epoch);
        let (steps, scored_from, scored, n, next, cuts) = match (&self.source, &self.packing) {
            (Source::Sequences(sequences), Some((_, packing))) => {
                let w = cursor.place as usize;
                let cuts = |item: &Item| truncation.cuts(sequences.list()[item.sequence as usize].len, item.sequence, draw);
                let scored = packing.scored(w);
                let last = w + 1 == packing.len();
                (0..packing.steps(w), 0, scored, scored as f64, if last { 0 } else { cursor.place + 1 }, packing.items(w).iter().map(cuts).collect())
            }
            (Source::Stream(lanes), _) => {
                let w = truncation.window(cursor.place, lanes.steps(), draw);
                let scored = lanes.scored(w.scored_from..w.steps.end);
                let n = if truncation.is_random() { self.expected * f64::from(self.lanes) } else { scored as f64 };
                let next = if w.steps.end == lanes.steps() { 0 } else { w.steps.end };
                (w.steps, w.scored_from, scored, n, next, Vec::new())
            }
            _ => unreachable!("sequences have a packing"),
        };
        let next = Cursor { epoch: cursor.epoch + u64::from(next == 0), place: next };
        Window { cursor, next, steps, scored_from, scored, n, cuts }
    }

    /// Computes loss and gradient of a window from the current state, divided by `n`, and adds them to the current ones with `accumulate`, else replaces
    /// them. [`Feed::carry`] then moves the state to the start of the next window.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or `check`, called before every segment, fails.
    pub fn gradient(&self, engine: &mut Engine, window: &Window, n: f64, accumulate: bool, check: impl Fn() -> Result<()>) -> Result<()> {
        self.gradient_of(0..self.lanes, engine, window, n, accumulate, check)
    }

    /// Like [`Feed::gradient`], of some lanes only, with an engine of as many.
    ///
    /// # Errors
    /// As there.
    pub fn gradient_of(&self, own: Range<u32>, engine: &mut Engine, window: &Window, n: f64, accumulate: bool, check: impl Fn() -> Result<()>) -> Result<()> {
        let segments = self.segments(engine, window);
        match (&self.source, &self.packing) {
            (Source::Stream(lanes), _) => {
                if let Some(slot) = self.ring_slot(window).filter(|_| window.steps.start > 0) {
                    engine.load_state(slot)?;
                }
                // Sets aside the initial state of a later window when it is first reached.
                let place = |t| segments.iter().position(|s| s.start == t).unwrap_or(segments.len()) as u32;
                let kept = self.ring_slot(window).map(|_| self.boundary(window).map_or(segments.len() as u32, place));
                let edge = |t: u32| {
                    let xi = self.truncation.xi(t - window.steps.start);
                    (f32::from(u8::from(t > 0)), xi, f32::from(u8::from(t >= window.scored_from)))
                };
                let inputs = |places: &InputLayout, segment| check().and_then(|()| lanes.inputs_of(own.clone(), places, segment, edge));
                engine.gradient_over(&segments, inputs, n, accumulate, kept)
            }
            (Source::Sequences(sequences), Some((_, packing))) => (0..self.passes()).try_for_each(|pass| {
                let edges = |item: usize, range| window.cuts[item].edges(range, pass);
                let w = window.cursor.place as usize;
                let inputs = |places: &InputLayout, segment| check().and_then(|()| sequences.inputs_of(own.clone(), packing, w, places, segment, edges));
                engine.gradient_over(&segments, inputs, n, accumulate || pass > 0, None)
            }),
            _ => unreachable!("sequences have a packing"),
        }
    }

    /// Moves the state to the start of the next window.
    ///
    /// # Errors
    /// If the device fails.
    pub fn carry(&self, engine: &mut Engine, window: &Window) -> Result<()> {
        match self.ring_slot(window) {
            Some(slot) => engine.save_state(slot),
            None => engine.carry(),
        }
    }

    /// The ring slot of a window's initial state, which the window that replaces it reuses.
    fn ring_slot(&self, window: &Window) -> Option<u32> {
        let Truncation::Overlapping { k1, .. } = self.truncation else { return None };
        Some(self.ring()).filter(|r| *r > 0).map(|r| window.cursor.place / k1 % r)
    }

    /// The step within a window at which a later window begins, if any: a segment must begin there.
    fn boundary(&self, window: &Window) -> Option<u32> {
        let (Truncation::Overlapping { k1, k2 }, Source::Stream(_)) = (self.truncation, &self.source) else { return None };
        let t = (u64::from(window.scored_from) + u64::from(k1)).checked_sub(u64::from(k2 % k1))? as u32;
        Some(t).filter(|t| (window.scored_from + 1..window.steps.end).contains(t))
    }

    fn segments(&self, engine: &Engine, window: &Window) -> Vec<Range<u32>> {
        let plan = &engine.plan;
        match self.boundary(window) {
            Some(t) => [plan.segments(window.steps.start..t), plan.segments(t..window.steps.end)].concat(),
            None => plan.segments(window.steps.clone()),
        }
    }
}
