//! Reads parts of streams side by side with the results of reading each stream in one piece.
//!
//! A part begins with some warm-up steps from a zero state. Most nets have forgotten their start by then; some have not, and some
//! never do. So the state of each part at its first own step is compared with the final state of the previous part, at the same
//! position. If the two differ, the part is reread from the latter until its state agrees with its earlier reading at the same step:
//! from there on, that reading is right. If the final state of a part changes, the next part is checked again, until no states differ.
//! The first part of a stream never changes, so each round settles at least one more: at worst, a stream is read from end to end.

use crate::data::Parts;
use crate::engine::Engine;
use crate::error::Result;
use crate::ranks::{Packed, Ranks, Unpacked};
use std::ops::Range;

/// The relative distance of two states of a layer above which they differ. Rounding stays
/// far below; a difference of this size changes a mean loss by less than 1e-4 nats.
pub const TOLERANCE: f64 = 1e-4;
/// Steps from a part's first own step to the first check whether it agrees with its earlier reading; the distance doubles for each next check.
const FIRST_MARK: u32 = 256;

/// Steps of some parts, to be read from the engine's current state.
pub struct Reading<'a> {
    /// The part that each lane reads.
    pub lanes: &'a [Option<usize>],
    /// The steps.
    pub steps: Range<u32>,
    /// Whether parts are reread: their first own step then continues from the engine's state.
    pub again: bool,
}

/// Statistics of rereading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Again {
    /// Number of parts that follow another.
    pub of: u64,
    /// How many of them were reread.
    pub parts: u64,
    /// Reread steps, counted per lane.
    pub steps: u64,
    /// Steps of the first reading, warm-ups included.
    pub first: u64,
    /// Number of rounds of rereading.
    pub rounds: u64,
}

/// Reads all parts. `read` advances the engine over the given steps and returns a result for each lane. Returns the results of each part, of its own steps
/// in order, stretch by stretch, and statistics of rereading. Overwrites the engine's state.
///
/// # Errors
/// If the device or `read` fails.
pub fn read<T: Default>(engine: &mut Engine, parts: &Parts, read: impl FnMut(&mut Engine, &Reading<'_>) -> Result<Vec<T>>) -> Result<(Vec<Vec<T>>, Again)> {
    let mut relay = Relay::new(parts, engine.plan.extent.steps, read);
    let lanes = engine.plan.extent.lanes as usize;
    for batch in relay.batches(lanes) {
        relay.first(engine, &batch)?;
    }
    relay.settle(engine, lanes)
}

/// Like [`read`], with the first reading shared out over ranks, all of which call it. Each then does all that is left.
///
/// # Errors
/// As there, on any rank.
pub fn read_by(
    ranks: &Ranks,
    engine: &mut Engine,
    parts: &Parts,
    read: impl FnMut(&mut Engine, &Reading<'_>) -> Result<Vec<f64>>,
) -> Result<(Vec<Vec<f64>>, Again)> {
    let mut relay = Relay::new(parts, engine.plan.extent.steps, read);
    let lanes = engine.plan.extent.lanes as usize;
    let (batches, count) = (relay.batches(lanes), ranks.count() as usize);
    let of_rank = |rank: usize| batches.iter().skip(rank).step_by(count);
    let own = of_rank(ranks.rank() as usize).try_for_each(|batch| relay.first(engine, batch));
    let packed = own.map(|()| of_rank(ranks.rank() as usize).flatten().fold(Packed::default(), |packed, &part| relay.packed(part, packed)).0);
    for (rank, bytes) in ranks.share(packed)?.iter().enumerate() {
        let mut unpacked = Unpacked(bytes);
        of_rank(rank).flatten().for_each(|&part| relay.unpack(part, &mut unpacked));
    }
    relay.settle(engine, lanes)
}

impl Again {
    /// The statistics in words; `None` if nothing was reread. `what` is the name of parts, `unit` that of steps.
    pub fn note(&self, what: &str, unit: &str) -> Option<String> {
        let share = 100.0 * self.steps as f64 / self.first.max(1) as f64;
        let Again { of, parts, steps, rounds, .. } = self;
        let times = if *rounds == 1 { "once".to_string() } else { format!("{rounds} times") };
        (*parts > 0).then(|| {
            format!(
                "{parts} of {of} {what} still differed, at their first own step, from where the one before had ended; they were read again from there, \
                 {steps} {unit} more ({share:.1}% of the first reading, which began again {times}), so that the figure is that of one stream"
            )
        })
    }
}

/// Whether two states, `[layers, width]`, differ in any layer by more than `tolerance` times the longer one.
pub(crate) fn differ(a: &[f32], b: &[f32], width: usize, tolerance: f64) -> bool {
    if a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()) {
        return false;
    }
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let wide = |x: &f32| f64::from(*x);
    a.chunks_exact(width).zip(b.chunks_exact(width)).any(|(a, b)| {
        let apart = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let most = tolerance * norm(&mut a.iter().map(wide)).max(norm(&mut b.iter().map(wide)));
        // NaN differs from everything.
        !matches!(apart.partial_cmp(&most), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal))
    })
}

/// The state of one lane, `[layers, width]`, from that of all lanes, by layer `[B, width]`.
pub(crate) fn lane_of(state: &[Vec<f32>], lane: usize, width: usize) -> Vec<f32> {
    state.iter().flat_map(|layer| layer[lane * width..][..width].iter().copied()).collect()
}

/// The inverse; idle lanes are zero.
pub(crate) fn lanes_with(states: &[Option<&[f32]>], layers: usize, width: usize) -> Vec<Vec<f32>> {
    let layer = |k: usize| states.iter().flat_map(|s| s.map_or(vec![0.0; width], |s| s[k * width..][..width].to_vec())).collect();
    (0..layers).map(layer).collect()
}

struct Relay<'a, T, F> {
    parts: &'a Parts,
    read: F,
    /// Steps at which states are checked, including ends of parts that others follow; the last is the end of the longest part.
    marks: Vec<u32>,
    /// For each part, the state at its first own step; empty if it follows none.
    starts: Vec<Vec<f32>>,
    /// For each part, its states at the marks.
    states: Vec<Vec<Vec<f32>>>,
    /// For each part, the results up to each mark.
    found: Vec<Vec<T>>,
    again: Again,
    touched: Vec<bool>,
    /// Whether to reread parts whose predecessor is being reread, too.
    bold: bool,
}

impl<F: FnMut(&mut Engine, &Reading<'_>) -> Result<Vec<f64>>> Relay<'_, f64, F> {
    /// Adds the first reading of a part to a message.
    fn packed(&self, part: usize, mut packed: Packed) -> Packed {
        packed.floats(&self.starts[part]);
        packed.count(self.states[part].len());
        self.states[part].iter().for_each(|s| packed.floats(s));
        packed.doubles(&self.found[part]);
        packed
    }

    /// Takes it from one.
    fn unpack(&mut self, part: usize, unpacked: &mut Unpacked<'_>) {
        self.starts[part] = unpacked.floats();
        self.states[part] = (0..unpacked.count()).map(|_| unpacked.floats()).collect();
        self.found[part] = unpacked.doubles();
    }
}

/// A part being reread.
struct Run<T> {
    part: usize,
    states: Vec<Vec<f32>>,
    found: Vec<T>,
}

impl<'a, T: Default, F: FnMut(&mut Engine, &Reading<'_>) -> Result<Vec<T>>> Relay<'a, T, F> {
    fn new(parts: &'a Parts, segment: u32, read: F) -> Self {
        let (list, own) = (parts.list(), parts.warm_up());
        let mut marks: Vec<u32> = list.iter().filter_map(|p| Some(own + list[p.before?].len)).collect();
        if !marks.is_empty() {
            // Aligned to ends of segments, which would otherwise be split.
            let doubled = (0..32).map_while(|i| FIRST_MARK.checked_shl(i)?.checked_add(own)?.checked_next_multiple_of(segment));
            marks.extend(doubled.take_while(|m| *m < parts.steps()));
        }
        marks.push(parts.steps());
        marks.sort_unstable();
        marks.dedup();
        let again = Again {
            of: list.iter().filter(|p| p.before.is_some()).count() as u64,
            first: list.iter().map(|p| u64::from(p.warm_up) + u64::from(p.len)).sum(),
            ..Again::default()
        };
        let none = || (0..list.len()).map(|_| Vec::new());
        let found = (0..list.len()).map(|_| Vec::new()).collect();
        Relay {
            parts,
            read,
            marks,
            starts: none().collect(),
            states: none().map(|_: Vec<f32>| Vec::new()).collect(),
            found,
            again,
            touched: vec![false; list.len()],
            bold: true,
        }
    }

    /// Rereads what must be.
    fn settle(mut self, engine: &mut Engine, lanes: usize) -> Result<(Vec<Vec<T>>, Again)> {
        while self.round(engine, lanes)? {}
        self.again.parts = self.touched.iter().filter(|t| **t).count() as u64;
        Ok((self.found, self.again))
    }

    /// The parts to read side by side: all in order, or if there are too many, parts of similar length.
    fn batches(&self, lanes: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.parts.list().len()).collect();
        if order.len() > lanes {
            order.sort_by_key(|i| (self.parts.list()[*i].len, self.parts.list()[*i].warm_up));
        }
        order.chunks(lanes).map(<[usize]>::to_vec).collect()
    }

    fn end(&self, part: usize) -> u32 {
        self.parts.warm_up() + self.parts.list()[part].len
    }

    /// The first reading of a batch.
    fn first(&mut self, engine: &mut Engine, batch: &[usize]) -> Result<()> {
        let mut lanes: Vec<Option<usize>> = batch.iter().copied().map(Some).collect();
        lanes.resize(engine.plan.extent.lanes as usize, None);
        let (list, own, width) = (self.parts.list(), self.parts.warm_up(), engine.config.state_width() as usize);
        let warm = batch.iter().map(|&i| list[i].warm_up).max().unwrap_or(0);
        if warm > 0 {
            (self.read)(engine, &Reading { lanes: &lanes, steps: own - warm..own, again: false })?;
        }
        if self.again.of > 0 {
            let state = engine.state()?;
            batch.iter().enumerate().filter(|(_, i)| list[**i].before.is_some()).for_each(|(b, &i)| self.starts[i] = lane_of(&state, b, width));
        }
        let end = batch.iter().map(|&i| self.end(i)).max().unwrap_or(own);
        for (steps, whole) in self.stretches(end) {
            let found = (self.read)(engine, &Reading { lanes: &lanes, steps, again: false })?;
            let state = if self.again.of > 0 && whole { engine.state()? } else { Vec::new() };
            for ((b, &i), found) in batch.iter().enumerate().zip(found) {
                self.found[i].push(found);
                self.states[i].push(if state.is_empty() { Vec::new() } else { lane_of(&state, b, width) });
            }
        }
        Ok(())
    }

    /// The steps from mark to mark up to `end`, and whether each stretch reaches its mark.
    fn stretches(&self, end: u32) -> Vec<(Range<u32>, bool)> {
        let starts = std::iter::once(self.parts.warm_up()).chain(self.marks.iter().copied());
        starts.zip(&self.marks).take_while(|(from, _)| *from < end).map(|(from, to)| (from..end.min(*to), *to <= end)).collect()
    }

    /// The final state of a part.
    fn ended(&self, part: usize) -> &[f32] {
        let at = self.marks.partition_point(|m| *m < self.end(part));
        &self.states[part][at]
    }

    /// Rereads parts whose initial state differs from the final state of the previous one; returns whether there were any.
    fn round(&mut self, engine: &mut Engine, lanes: usize) -> Result<bool> {
        let width = engine.config.state_width() as usize;
        let differs = |i: usize| self.parts.list()[i].before.is_some_and(|p| differ(&self.starts[i], self.ended(p), width, TOLERANCE));
        let wrong: Vec<bool> = (0..self.starts.len()).map(differs).collect();
        // Rereading a part after another reread one only helps if the latter ends as before.
        let sure = |i: usize| self.parts.list()[i].before.is_none_or(|p| !wrong[p]);
        let due: Vec<usize> = (0..wrong.len()).filter(|&i| wrong[i] && (self.bold || sure(i))).collect();
        if due.is_empty() {
            return Ok(false);
        }
        let guesses = due.iter().filter(|&&i| !sure(i)).count();
        let from: Vec<Vec<f32>> = due.iter().map(|&i| self.parts.list()[i].before.map_or(Vec::new(), |p| self.ended(p).to_vec())).collect();
        let mut runs = Vec::new();
        for (due, from) in due.chunks(lanes).zip(from.chunks(lanes)) {
            runs.extend(self.again(engine, due, from, width)?);
        }
        let (mut failed, mut open) = (0, wrong.clone());
        for (run, from) in runs.into_iter().zip(from) {
            let before = self.parts.list()[run.part].before;
            if before.is_some_and(|p| open[p] || differ(&from, self.ended(p), width, TOLERANCE)) {
                failed += 1;
                continue;
            }
            open[run.part] = false;
            self.starts[run.part] = from;
            self.touched[run.part] = true;
            self.states[run.part].splice(..run.states.len(), run.states);
            self.found[run.part].splice(..run.found.len(), run.found);
        }
        self.bold &= 2 * failed <= guesses;
        self.again.rounds += 1;
        Ok(true)
    }

    /// Rereads some parts from the given states, each until it agrees with its earlier reading.
    fn again(&mut self, engine: &mut Engine, due: &[usize], from: &[Vec<f32>], width: usize) -> Result<Vec<Run<T>>> {
        let mut lanes: Vec<Option<usize>> = due.iter().copied().map(Some).collect();
        lanes.resize(engine.plan.extent.lanes as usize, None);
        let mut states: Vec<Option<&[f32]>> = from.iter().map(|s| Some(s.as_slice())).collect();
        states.resize(lanes.len(), None);
        engine.set_state(&lanes_with(&states, engine.config.layers as usize, width))?;
        let mut runs: Vec<Run<T>> = due.iter().map(|&part| Run { part, states: Vec::new(), found: Vec::new() }).collect();
        let end = due.iter().map(|&i| self.end(i)).max().unwrap_or(0);
        for (i, (steps, whole)) in self.stretches(end).into_iter().enumerate() {
            let found = (self.read)(engine, &Reading { lanes: &lanes, steps: steps.clone(), again: true })?;
            let state = if whole { engine.state()? } else { Vec::new() };
            for ((b, run), found) in runs.iter_mut().enumerate().zip(found) {
                if lanes[b].is_none() {
                    continue;
                }
                run.found.push(found);
                self.again.steps += u64::from(self.parts.live(run.part, &steps).len() as u32);
                let now = if whole { lane_of(&state, b, width) } else { Vec::new() };
                let met = whole && !differ(&now, &self.states[run.part][i], width, TOLERANCE);
                run.states.push(now);
                if met || steps.end >= self.end(run.part) {
                    lanes[b] = None;
                }
            }
            if lanes.iter().all(Option::is_none) {
                break;
            }
        }
        Ok(runs)
    }
}
