//! Synthetic tasks: finite sequences that end with a question about something seen a known number of steps before.
//!
//! A sequence is a piece of a generated text: the input symbols, one per step, followed by the
//! answers. Only the steps at which an answer is due are scored, see [`super::Sequences::asked`].

use super::{Kind, Symbols, Text, Vocabulary};
use crate::error::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A synthetic task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SyntheticTask {
    /// The adding problem over symbols: n digits, one of which is marked in each half; their sum is due at the last step.
    Adding(u32),
    /// Copy memory: 10 symbols out of 8, n - 1 blanks, a delimiter, and 10 blanks at which the 10 symbols are due.
    Copy(u32),
    /// Delayed recall: a cue, distractors, and a mark at which the cue is due.
    Recall {
        /// Number of different cues, and of different distractors, which are other symbols.
        symbols: u32,
        /// Number of distractors between the cue and the mark.
        delay: u32,
    },
}

/// Selects the sequences of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Those of a run, for training and validation.
    Run,
    /// Others, for evaluation.
    Fresh,
}

/// Number of symbols to copy, and number of different ones.
const COPIED: u32 = 10;
const COPY_SYMBOLS: u32 = 8;
/// Upper bounds of the delay and of the number of cues.
const MOST_STEPS: u32 = 1_000_000;
const MOST_CUES: u32 = 1000;
/// Upper bound of the total number of symbols.
const MOST_SYMBOLS: u64 = 1 << 30;

impl SyntheticTask {
    /// Steps of a sequence.
    pub fn steps(self) -> u32 {
        match self {
            SyntheticTask::Adding(steps) => steps,
            SyntheticTask::Copy(delay) => delay + 2 * COPIED,
            SyntheticTask::Recall { delay, .. } => delay + 2,
        }
    }

    /// Number of answers: that of scored steps, which are the last ones.
    pub fn answers(self) -> u32 {
        if let SyntheticTask::Copy(_) = self { COPIED } else { 1 }
    }

    /// V: size of the vocabulary.
    pub fn vocabulary(self) -> u32 {
        match self {
            // Digits, marked digits, sums.
            SyntheticTask::Adding(_) => 10 + 10 + 19,
            // Symbols, blank, delimiter.
            SyntheticTask::Copy(_) => COPY_SYMBOLS + 2,
            // Cues, distractors, mark.
            SyntheticTask::Recall { symbols, .. } => 2 * symbols + 1,
        }
    }

    /// The best accuracy without looking at the sequence.
    pub fn chance(self) -> f64 {
        match self {
            SyntheticTask::Adding(_) => 0.1,
            SyntheticTask::Copy(_) => 1.0 / f64::from(COPY_SYMBOLS),
            SyntheticTask::Recall { symbols, .. } => 1.0 / f64::from(symbols),
        }
    }

    /// The lowest mean loss of such answers, in nats.
    pub fn baseline(self) -> f64 {
        match self {
            // The entropy of the sum of two digits.
            SyntheticTask::Adding(_) => (0..19).map(|sum: i32| f64::from(10 - (9 - sum).abs()) / 100.0).map(|p| -p * p.ln()).sum(),
            _ => -self.chance().ln(),
        }
    }

    /// `count` sequences, `steps() + answers()` symbols each, concatenated; sampled from a seed.
    ///
    /// # Errors
    /// [`Error::Usage`] if they have too many symbols.
    pub fn symbols(self, seed: u64, set: Set, count: u64) -> Result<Symbols> {
        let all = count.saturating_mul(u64::from(self.steps() + self.answers()));
        if all > MOST_SYMBOLS {
            return Err(Error::Usage(format!(
                "{count} sequences of {} steps of the task {self} are {all} symbols; at most {MOST_SYMBOLS} are made; lower `examples`",
                self.steps()
            )));
        }
        // A different key from initial weights, packings and cuts, which use the same seed.
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0073_796e_7468_6574);
        rng.set_stream(u64::from(set == Set::Fresh));
        let names: Vec<char> = (0..self.vocabulary()).map(name).collect();
        let (mut text, mut one) = (String::with_capacity(all as usize), Vec::new());
        for _ in 0..count {
            one.clear();
            self.draw(&mut rng, &mut one);
            text.extend(one.iter().map(|&i| names[i as usize]));
        }
        let names: Vec<String> = names.into_iter().map(String::from).collect();
        Ok(Symbols::with(Text::given(&format!("task {self}"), text), Vocabulary::new(Kind::Characters, &names)?)?.called("symbols"))
    }

    /// One sequence: the indices of its inputs, then those of its answers.
    fn draw(self, rng: &mut ChaCha8Rng, out: &mut Vec<u32>) {
        match self {
            SyntheticTask::Adding(steps) => {
                out.extend((0..steps).map(|_| rng.random_range(0..10u32)));
                let marked = [rng.random_range(0..steps / 2), rng.random_range(steps / 2..steps)].map(|t| t as usize);
                let sum: u32 = marked.iter().map(|&t| out[t]).sum();
                marked.iter().for_each(|&t| out[t] += 10);
                out.push(20 + sum);
            }
            SyntheticTask::Copy(delay) => {
                let (blank, delimiter) = (COPY_SYMBOLS, COPY_SYMBOLS + 1);
                let copied: Vec<u32> = (0..COPIED).map(|_| rng.random_range(0..COPY_SYMBOLS)).collect();
                out.extend(&copied);
                out.extend((1..delay).map(|_| blank).chain([delimiter]).chain((0..COPIED).map(|_| blank)));
                out.extend(copied);
            }
            SyntheticTask::Recall { symbols, delay } => {
                let cue = rng.random_range(0..symbols);
                out.push(cue);
                out.extend((0..delay).map(|_| rng.random_range(symbols..2 * symbols)));
                out.extend([2 * symbols, cue]);
            }
        }
    }
}

/// The character of an index, in code point order; the first are printable and one byte long.
fn name(index: u32) -> char {
    const PRINTABLE: u32 = 0x7f - 0x21;
    char::from_u32(if index < PRINTABLE { 0x21 + index } else { 0x100 + index - PRINTABLE }).unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl FromStr for SyntheticTask {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: String| Error::Usage(format!("task `{text}`: {what}"));
        let expected = || wrong("expected adding:T, copy:T or recall:SYMBOLS,T, such as recall:8,20".to_string());
        let whole = |what: &str, text: &str, least: u32, most: u32| {
            let found = text.parse().ok().filter(|n| (least..=most).contains(n));
            found.ok_or_else(|| wrong(format!("{what} is `{text}`; expected a whole number from {least} to {most}")))
        };
        let (kind, numbers) = text.split_once(':').ok_or_else(expected)?;
        let numbers: Vec<&str> = numbers.split(',').collect();
        match (kind, &numbers[..]) {
            ("adding", [steps]) => whole("T, the digits of a sequence,", steps, 2, MOST_STEPS).map(SyntheticTask::Adding),
            ("copy", [delay]) => whole("T, the steps between the 10 symbols and their copy,", delay, 1, MOST_STEPS).map(SyntheticTask::Copy),
            ("recall", [symbols, delay]) => {
                let symbols = whole("SYMBOLS, the cues there are,", symbols, 2, MOST_CUES)?;
                Ok(SyntheticTask::Recall { symbols, delay: whole("T, the distractors,", delay, 1, MOST_STEPS)? })
            }
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for SyntheticTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntheticTask::Adding(steps) => write!(f, "adding:{steps}"),
            SyntheticTask::Copy(delay) => write!(f, "copy:{delay}"),
            SyntheticTask::Recall { symbols, delay } => write!(f, "recall:{symbols},{delay}"),
        }
    }
}

impl TryFrom<String> for SyntheticTask {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SyntheticTask> for String {
    fn from(task: SyntheticTask) -> Self {
        task.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences as indices: `(inputs, answers)`.
    fn sequences(task: &str, seed: u64, set: Set, count: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
        let task: SyntheticTask = task.parse().unwrap();
        let symbols = task.symbols(seed, set, count).unwrap();
        assert_eq!(symbols.vocabulary().len(), task.vocabulary());
        let mut all = vec![0; symbols.len() as usize];
        symbols.read(0, &mut all).unwrap();
        let (steps, answers) = (task.steps() as usize, task.answers() as usize);
        assert_eq!(all.len(), count as usize * (steps + answers));
        all.chunks_exact(steps + answers).map(|s| (s[..steps].to_vec(), s[steps..].to_vec())).collect()
    }

    #[test]
    fn recall_asks_for_the_cue_behind_the_distractors() {
        for (task, symbols, delay) in [("recall:8,20", 8, 20), ("recall:60,3", 60, 3), ("recall:2,1", 2, 1)] {
            let all = sequences(task, 1, Set::Run, 500);
            for (read, answer) in &all {
                assert_eq!(read.len(), delay + 2);
                assert!(read[0] < symbols && read[delay + 1] == 2 * symbols, "{task}: {read:?}");
                assert!(read[1..=delay].iter().all(|d| (symbols..2 * symbols).contains(d)), "{task}: {read:?}");
                assert_eq!(answer[..], read[..1]);
            }
            assert!((0..symbols).all(|cue| all.iter().any(|(read, _)| read[0] == cue)), "{task}: every cue occurs");
        }
    }

    #[test]
    fn copy_asks_for_the_ten_symbols_behind_the_delimiter() {
        for delay in [1, 2, 30] {
            for (read, answers) in sequences(&format!("copy:{delay}"), 2, Set::Run, 100) {
                let rest = [vec![8; delay - 1], vec![9], vec![8; 10]].concat();
                assert!(read[..10].iter().all(|s| *s < 8) && read[10..] == rest, "{read:?}");
                assert_eq!(answers, read[..10]);
            }
        }
    }

    #[test]
    fn adding_asks_for_the_sum_of_the_two_marked_digits() {
        for steps in [2, 3, 10] {
            let all = sequences(&format!("adding:{steps}"), 3, Set::Run, 2000);
            for (read, answer) in &all {
                let marked: Vec<usize> = (0..steps).filter(|&t| (10..20).contains(&read[t])).collect();
                assert!(marked.len() == 2 && marked[0] < steps / 2 && marked[1] >= steps / 2, "{read:?}");
                assert!(read.iter().all(|s| *s < 20));
                assert_eq!(answer[..], [20 + read[marked[0]] - 10 + read[marked[1]] - 10]);
            }
            assert!((20..39).all(|sum| all.iter().any(|(_, answer)| answer[0] == sum)), "every sum occurs");
        }
    }

    /// Counts the best guesses on many sequences.
    #[test]
    fn chance_is_the_share_of_the_likeliest_answer() {
        for task in ["recall:5,1", "copy:1", "adding:4"] {
            let count = 20_000;
            let answers: Vec<u32> = sequences(task, 4, Set::Run, count).into_iter().flat_map(|(_, a)| a).collect();
            let task: SyntheticTask = task.parse().unwrap();
            let share = |s: u32| answers.iter().filter(|a| **a == s).count() as f64 / answers.len() as f64;
            let shares: Vec<f64> = (0..task.vocabulary()).map(share).collect();
            let most = shares.iter().fold(0.0, |a: f64, b| a.max(*b));
            let entropy: f64 = shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((most - task.chance()).abs() < 0.01 && (entropy - task.baseline()).abs() < 0.01, "{task}: {most} {entropy}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_sequences_and_fresh_ones_besides() {
        let all = |seed, set| sequences("recall:8,20", seed, set, 50);
        assert!(all(1, Set::Run) == all(1, Set::Run) && all(1, Set::Fresh) == all(1, Set::Fresh));
        assert!(all(1, Set::Run) != all(2, Set::Run) && all(1, Set::Run) != all(1, Set::Fresh));
        assert_eq!(all(1, Set::Run), sequences("recall:8,20", 1, Set::Run, 90)[..50]);
    }

    #[test]
    fn texts_parse_and_print() {
        for text in ["adding:2", "copy:1", "recall:8,20"] {
            assert_eq!(text.parse::<SyntheticTask>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("", "recall:SYMBOLS,T"),
            ("recall", "recall:SYMBOLS,T"),
            ("recall:8", "recall:SYMBOLS,T"),
            ("parity:3", "adding:T"),
            ("recall:0,5", "SYMBOLS, the cues there are, is `0`"),
            ("recall:1001,5", "from 2 to 1000"),
            ("recall:8,0", "from 1 to 1000000"),
            ("copy:0", "from 1 to"),
            ("copy:x", "`x`"),
            ("adding:1", "from 2 to"),
            ("adding:-3", "`-3`"),
        ] {
            let e = text.parse::<SyntheticTask>().unwrap_err().to_string();
            assert!(e.contains(why) && !e.contains('\n'), "{text}: {e}");
        }
        let e = "copy:1000000".parse::<SyntheticTask>().unwrap().symbols(0, Set::Run, 100_000).err().unwrap().to_string();
        assert!(e.contains("lower `examples`"), "{e}");
    }
}
