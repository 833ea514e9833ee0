//! The loss of a model on a text, with every symbol scored once, and the accuracy if there are answers.

use crate::data::{Content, Item, Packing, Parts, Sequences};
use crate::engine::Engine;
use crate::error::Result;
use crate::ranks::{Packed, Ranks, Unpacked};
use crate::relay::{self, Again, Reading};
use crate::truncation::Edge;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Evaluation data, laid out in lanes.
pub enum EvalSet {
    /// One or several streams, read side by side in parts.
    Stream(Content, Parts),
    /// Finite sequences.
    Sequences(Sequences, Packing),
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean loss in nats.
    pub loss: f64,
    /// Number of scored symbols.
    pub scored: u64,
    /// The sum of losses of each sequence, in list order; for streams, one sum.
    pub sums: Vec<f64>,
    /// Parts that were reread so that the loss is that of a stream read in one piece.
    pub again: Again,
}

impl EvalSet {
    /// Lays out sequences.
    pub fn sequences(sequences: Sequences, lanes: u32) -> Self {
        let packing = sequences.pack(lanes, None);
        EvalSet::Sequences(sequences, packing)
    }

    /// The numbers of the sequences of a text, see [`crate::data::Sequence::number`]; `None` for a stream or rows.
    pub fn numbers(&self) -> Option<Vec<u64>> {
        match self {
            EvalSet::Sequences(s, _) if s.content().symbols().is_some() || s.asks() => Some(s.list().iter().map(|s| s.number).collect()),
            _ => None,
        }
    }

    /// The share of the most frequent class, if sequences have classes.
    pub fn chance(&self) -> Option<f64> {
        let EvalSet::Sequences(sequences, _) = self else { return None };
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        (0..sequences.list().len()).filter_map(|i| sequences.class(i)).for_each(|class| *counts.entry(class).or_insert(0) += 1);
        counts.values().max().map(|most| *most as f64 / sequences.list().len() as f64)
    }

    /// Longest window in steps, for a plan that only evaluates.
    pub fn longest(&self) -> u32 {
        match self {
            EvalSet::Stream(_, parts) => parts.steps(),
            EvalSet::Sequences(sequences, _) => Packing::longest(sequences),
        }
    }

    /// Scored symbols per byte of text, which convert a loss per symbol to one per byte; `None` if the targets are not text.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn per_byte(&self) -> Result<Option<f64>> {
        let (scored, bytes) = match self {
            EvalSet::Stream(content, parts) => (parts.scored(), parts.scored_bytes(content)?),
            EvalSet::Sequences(sequences, _) => (sequences.scored(), sequences.scored_bytes()?),
        };
        Ok(bytes.filter(|b| *b > 0).map(|b| scored as f64 / b as f64))
    }

    /// Evaluates a model. Before every segment, `check` may stop it with an error. Overwrites the engine's state.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or `check` fails.
    pub fn evaluate(&self, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<Evaluation> {
        self.evaluate_by(None, engine, check)
    }

    /// Like [`EvalSet::evaluate`], shared out over ranks, all of which call it. The sum is made in an order that does not depend on their number.
    ///
    /// # Errors
    /// As there, on any rank.
    pub fn evaluate_by(&self, ranks: Option<&Ranks>, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<Evaluation> {
        let (sums, scored, again) = match self {
            EvalSet::Stream(content, parts) => {
                let (sum, again) = stream(content, parts, ranks, engine, check)?;
                (vec![sum], parts.scored(), again)
            }
            EvalSet::Sequences(sequences, packing) => {
                let all = |_: usize, steps: Range<u32>| vec![Edge { xi: 0.0, scored: true }; steps.len()];
                let mut sums = vec![0.0; sequences.list().len()];
                let mut windows = (0..packing.len()).filter(|w| is_own(ranks, *w));
                let own = windows.try_for_each(|w| {
                    let inputs = |places: &_, segment| check().and_then(|()| sequences.inputs(packing, w, places, segment, all));
                    let lanes = engine.plan.extent.lanes;
                    engine.evaluate(0..packing.steps(w), inputs, |segment, losses| {
                        for item in packing.items(w) {
                            let live = item.from.max(segment.start)..(item.from + sequences.list()[item.sequence as usize].len).min(segment.end);
                            sums[item.sequence as usize] += live.map(|t| f64::from(losses[((t - segment.start) * lanes + item.lane) as usize])).sum::<f64>();
                        }
                    })
                });
                (merged(ranks, packing, own.map(|()| sums))?, sequences.scored(), Again::default())
            }
        };
        Ok(Evaluation { loss: sums.iter().sum::<f64>() / scored as f64, scored, sums, again })
    }

    /// For sequences with answers, the class predicted at each scored step: the one with the highest logit. `None` for other sequences. Advances one step
    /// at a time over these steps, since an evaluation keeps no logits. Overwrites the engine's state.
    ///
    /// # Errors
    /// As for [`EvalSet::evaluate`].
    pub fn answers(&self, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<Option<Answers>> {
        self.answers_by(None, engine, check)
    }

    /// Like [`EvalSet::answers`], shared out over ranks, all of which call it.
    ///
    /// # Errors
    /// As there, on any rank.
    pub fn answers_by(&self, ranks: Option<&Ranks>, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<Option<Answers>> {
        let mut answers = Answers::default();
        let asked = self.ask(ranks, engine, check, |scores, right, sequence| answers.add(scores, right, sequence));
        let Some(ranks) = ranks else { return asked.map(|asked| asked.then_some(answers)) };
        let all = ranks.share(asked.clone().map(|_| answers.packed()))?;
        let mut answers = Answers::default();
        all.iter().for_each(|bytes| answers.unpack(bytes));
        asked.map(|asked| asked.then_some(answers))
    }

    /// For sequences with answers, the class probabilities at the last scored step of
    /// each, in list order; `None` for other sequences. Overwrites the engine's state.
    ///
    /// # Errors
    /// As for [`EvalSet::evaluate`].
    pub fn probabilities(&self, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<Option<Vec<Vec<f64>>>> {
        let EvalSet::Sequences(sequences, _) = self else { return Ok(None) };
        let mut found = vec![Vec::new(); sequences.list().len()];
        let asked = self.ask(None, engine, check, |scores, _, sequence| found[sequence as usize] = softmax(scores))?;
        Ok(asked.then_some(found))
    }

    /// Passes the logits, the right class and the sequence of each scored step to `take`; returns false for sequences without answers.
    fn ask(&self, ranks: Option<&Ranks>, engine: &mut Engine, check: impl Fn() -> Result<()>, mut take: impl FnMut(&[f32], u32, u32)) -> Result<bool> {
        let EvalSet::Sequences(sequences, packing) = self else { return Ok(false) };
        if !sequences.asks() {
            return Ok(false);
        }
        let (lanes, classes) = (engine.plan.extent.lanes as usize, engine.config.outputs() as usize);
        let places = *engine.inputs();
        let all = |_: usize, steps: Range<u32>| vec![Edge { xi: 0.0, scored: true }; steps.len()];
        for w in (0..packing.len()).filter(|w| is_own(ranks, *w)) {
            let inputs = |places: &_, steps| check().and_then(|()| sequences.inputs(packing, w, places, steps, all));
            let mut from = 0;
            for t in answered(sequences, packing, w) {
                engine.advance(from..t, inputs)?;
                let one = inputs(&places, t..t + 1)?;
                let logits = engine.step(&one)?;
                let [targets, weights] = [places.targets(), places.weights()].map(|p| &one.words[p as usize..]);
                for lane in (0..lanes).filter(|&lane| weights[lane] != 0) {
                    let reads = |i: &&Item| i.lane as usize == lane && (i.from..i.from + sequences.list()[i.sequence as usize].len).contains(&t);
                    let scores: Vec<f32> = (0..classes).map(|v| logits[v * lanes + lane]).collect();
                    if let Some(item) = packing.items(w).iter().find(reads) {
                        take(&scores, targets[lane], item.sequence);
                    }
                }
                from = t + 1;
            }
        }
        Ok(true)
    }
}

/// Whether this rank reads a window.
fn is_own(ranks: Option<&Ranks>, window: usize) -> bool {
    ranks.is_none_or(|r| window % r.count() as usize == r.rank() as usize)
}

/// The sums of all sequences, each from the rank that has read it.
fn merged(ranks: Option<&Ranks>, packing: &Packing, own: Result<Vec<f64>>) -> Result<Vec<f64>> {
    let Some(ranks) = ranks.filter(|r| r.several()) else { return own };
    let bytes = own.map(|sums| {
        let mut packed = Packed::default();
        packed.doubles(&sums);
        packed.0
    });
    let all: Vec<Vec<f64>> = ranks.share(bytes)?.iter().map(|b| Unpacked(b).doubles()).collect();
    let mut sums = all[0].clone();
    for w in 0..packing.len() {
        let from = &all[w % all.len()];
        packing.items(w).iter().for_each(|item| sums[item.sequence as usize] = from[item.sequence as usize]);
    }
    Ok(sums)
}

/// The sum of losses of streams.
fn stream(content: &Content, parts: &Parts, ranks: Option<&Ranks>, engine: &mut Engine, check: impl Fn() -> Result<()>) -> Result<(f64, Again)> {
    let (segment, lanes) = (engine.plan.extent.steps, engine.plan.extent.lanes as usize);
    // For the first reading, sums each segment separately.
    let (mut whole, mut part) = (0.0, 0.0);
    let read = |engine: &mut Engine, reading: &Reading<'_>| {
        let mut sums = vec![0.0; lanes];
        let inputs = |places: &_, segment| check().and_then(|()| parts.inputs(content, places, reading.lanes, segment, reading.again));
        engine.evaluate(reading.steps.clone(), inputs, |steps, losses| {
            losses.chunks_exact(lanes).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, l)| *sum += f64::from(*l)));
            if !reading.again {
                part = losses.iter().fold(part, |sum, l| sum + f64::from(*l));
                if steps.end.is_multiple_of(segment) {
                    (whole, part) = (whole + part, 0.0);
                }
            }
        })?;
        Ok(sums)
    };
    let (found, again) = match ranks {
        Some(ranks) => relay::read_by(ranks, engine, parts, read)?,
        None => relay::read(engine, parts, read)?,
    };
    let sum = if again.parts == 0 && ranks.is_none() { whole + part } else { found.iter().flatten().sum() };
    Ok((sum, again))
}

/// Softmax of logits.
fn softmax(scores: &[f32]) -> Vec<f64> {
    let most = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(f64::from(*s)));
    let parts: Vec<f64> = scores.iter().map(|s| (f64::from(*s) - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|p| p / sum).collect()
}

/// Confusion counts of right and predicted classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Counts by right and predicted class; `None` if no logit is above all others.
    pub counts: BTreeMap<(u32, Option<u32>), u64>,
    /// The last answer of each sequence, by its index.
    pub last: BTreeMap<u32, Option<u32>>,
}

impl Answers {
    /// The share of right answers.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().filter(|((right, answer), _)| Some(*right) == *answer).map(|(_, n)| n).sum();
        right as f64 / self.counts.values().sum::<u64>() as f64
    }

    /// The figures of each of `classes` classes.
    pub fn by_class(&self, classes: u32) -> Vec<ClassFigures> {
        let mut found = vec![ClassFigures::default(); classes as usize];
        for ((right, answer), n) in &self.counts {
            if let Some(of) = found.get_mut(*right as usize) {
                of.count += n;
                of.right += if Some(*right) == *answer { *n } else { 0 };
            }
            if let Some(of) = answer.and_then(|a| found.get_mut(a as usize)) {
                of.named += n;
            }
        }
        found
    }

    /// As bytes.
    fn packed(&self) -> Vec<u8> {
        let word = |answer: Option<u32>| answer.map_or(0, |a| a as usize + 1);
        let mut packed = Packed::default();
        packed.count(self.counts.len());
        for ((right, answer), n) in &self.counts {
            [*right as usize, word(*answer), *n as usize].into_iter().for_each(|x| packed.count(x));
        }
        for (sequence, answer) in &self.last {
            [*sequence as usize, word(*answer)].into_iter().for_each(|x| packed.count(x));
        }
        packed.0
    }

    /// Adds those of another rank.
    fn unpack(&mut self, bytes: &[u8]) {
        let answer = |word: usize| word.checked_sub(1).map(|a| a as u32);
        let mut words = Unpacked(bytes);
        for _ in 0..words.count() {
            let key = (words.count() as u32, answer(words.count()));
            *self.counts.entry(key).or_insert(0) += words.count() as u64;
        }
        while !words.is_empty() {
            let sequence = words.count() as u32;
            self.last.insert(sequence, answer(words.count()));
        }
    }

    /// Adds an answer of a sequence, given the logits of all classes.
    fn add(&mut self, scores: &[f32], right: u32, sequence: u32) {
        let answer = foremost(scores);
        *self.counts.entry((right, answer)).or_insert(0) += 1;
        self.last.insert(sequence, answer);
    }
}

/// How often a class was right and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassFigures {
    /// Sequences of the class.
    pub count: u64,
    /// Sequences that were named so.
    pub named: u64,
    /// Those of the class that were named so.
    pub right: u64,
}

impl ClassFigures {
    /// The share of those named so that are of the class; `None` if none was named so.
    pub fn precision(&self) -> Option<f64> {
        (self.named > 0).then(|| self.right as f64 / self.named as f64)
    }

    /// The share of the class that was named so; `None` if the class does not occur.
    pub fn recall(&self) -> Option<f64> {
        (self.count > 0).then(|| self.right as f64 / self.count as f64)
    }

    /// The harmonic mean of both; `None` if the class does not occur and was never named.
    pub fn f1(&self) -> Option<f64> {
        (self.count + self.named > 0).then(|| 2.0 * self.right as f64 / (self.count + self.named) as f64)
    }

    /// The mean F1 over the classes that occur or were named; `None` if there are none.
    pub fn macro_f1(all: &[Self]) -> Option<f64> {
        let own: Vec<f64> = all.iter().filter_map(Self::f1).collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    }
}

/// The class with the highest logit; `None` for a tie, or if a logit is NaN.
fn foremost(scores: &[f32]) -> Option<u32> {
    let (mut top, mut alone) = (0, !scores.is_empty());
    for v in 1..scores.len() {
        match scores[v].partial_cmp(&scores[top])? {
            Ordering::Greater => (top, alone) = (v, true),
            Ordering::Equal => alone = false,
            Ordering::Less => {}
        }
    }
    alone.then_some(top as u32)
}

/// The steps of a window at which any lane is scored, in order.
fn answered(sequences: &Sequences, packing: &Packing, window: usize) -> BTreeSet<u32> {
    let steps = packing.items(window).iter().flat_map(|item| {
        let sequence = &sequences.list()[item.sequence as usize];
        let end = item.from + sequence.len;
        end - sequences.scored_of(sequence)..end
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foremost_is_above_all_others() {
        let values = [f32::NEG_INFINITY, -1.0, 0.0, -0.0, 2.0, f32::INFINITY, f32::NAN];
        for n in 0..5 {
            for i in 0..values.len().pow(n) {
                let scores: Vec<f32> = (0..n).map(|k| values[i / values.len().pow(k) % values.len()]).collect();
                let above = |v: &usize| (0..scores.len()).all(|u| u == *v || scores[u] < scores[*v]);
                assert_eq!(foremost(&scores), (0..scores.len()).find(above).map(|v| v as u32), "{scores:?}");
            }
        }
    }

    /// Against figures worked out by hand.
    #[test]
    fn figures_of_classes_are_those_of_the_textbook() {
        // Right a: 3 named a, 1 named b; right b: 2 named b, 1 undecided; c occurs never, and is never named.
        let counts = [((0, Some(0)), 3), ((0, Some(1)), 1), ((1, Some(1)), 2), ((1, None), 1)];
        let found = Answers { counts: counts.into_iter().collect(), ..Answers::default() }.by_class(3);
        assert_eq!(found.iter().map(ClassFigures::precision).collect::<Vec<_>>(), [Some(1.0), Some(2.0 / 3.0), None]);
        assert_eq!(found.iter().map(ClassFigures::recall).collect::<Vec<_>>(), [Some(0.75), Some(2.0 / 3.0), None]);
        let f1 = [6.0 / 7.0, 2.0 / 3.0];
        assert_eq!(found.iter().map(ClassFigures::f1).collect::<Vec<_>>(), [Some(f1[0]), Some(f1[1]), None]);
        assert!((ClassFigures::macro_f1(&found).unwrap() - (f1[0] + f1[1]) / 2.0).abs() < 1e-15);
    }

    /// 1,000 answers out of 50,000 classes with rising logits: comparing each class with all others would take minutes, a table of classes by classes 20 GB.
    #[test]
    fn answers_of_many_classes_take_no_longer_than_their_scores() {
        let (classes, count) = (50_000u32, 1_000);
        let mut scores: Vec<f32> = (0..classes).map(|v| v as f32).collect();
        let mut answers = Answers::default();
        for sequence in 0..count {
            let right = sequence * 50;
            scores[right as usize] += if sequence % 2 == 0 { classes as f32 } else { 0.0 };
            answers.add(&scores, right, sequence);
            scores[right as usize] = right as f32;
        }
        assert_eq!((answers.accuracy(), answers.last.len(), answers.counts.len()), (0.5, 1_000, 1_000));
        assert_eq!([answers.last[&2], answers.last[&3]], [Some(100), Some(classes - 1)]);
    }
}
