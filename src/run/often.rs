//! The default interval between validations of a run on a text. It is settled before the first update by counting operations, never by a clock, so
//! that a resumed run validates at the same updates.

use super::RunConfig;
use crate::error::Result;
use crate::evaluate::EvalSet;
use crate::feed::Source;
use crate::plan::operations;
use crate::trainer::{Corpus, Goal};
use crate::truncation::Truncation;

/// Share of training's operations that validation may cost.
const COST: f64 = 0.05;
/// Validations per run, unless they cost too much; more if updates are many.
const VALIDATIONS: f64 = 25.0;
/// Most updates between validations, unless they cost too much.
const FAR_APART: f64 = 500.0;

impl RunConfig {
    /// Sets `val_every` for a corpus, if not given.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] if a size is 0 or too large.
    pub(super) fn settle_validation(&mut self, corpus: &Corpus) -> Result<()> {
        if let (None, Some(held)) = (self.val_every, &corpus.validation) {
            let config = self.training.config(&corpus.codec)?;
            let (forward, backward) = operations(&config);
            let head = 2.0 * f64::from(config.hidden) * f64::from(config.outputs());
            let (steps, updates) = self.work(&corpus.train);
            let total = match self.goal() {
                Goal::Updates(n) => n as f64,
                Goal::Epochs(n) => n as f64 * updates,
            };
            let relative = read(held) * (forward + head) / (steps * (forward + backward));
            self.val_every = Some(interval(total, relative));
        }
        Ok(())
    }

    /// Mean steps per update, overlaps and repetitions included, and updates per epoch.
    fn work(&self, train: &Source) -> (f64, f64) {
        let truncation = self.training.truncation.within(train.longest());
        match train {
            Source::Stream(lanes) => {
                let all = f64::from(lanes.steps());
                let (read, on) = match truncation {
                    Truncation::Overlapping { k1, k2 } => (f64::from(k2), f64::from(k1)),
                    random if random.is_random() => [random.expected_window(lanes.steps()); 2].into(),
                    other => [f64::from(other.longest(lanes.steps())); 2].into(),
                };
                (read.min(all), (all / on).ceil())
            }
            Source::Sequences(sequences) => {
                let packing = sequences.pack(self.training.batch, Some((self.training.seed, 0)));
                let all: f64 = (0..packing.len()).map(|w| f64::from(packing.steps(w))).sum();
                (f64::from(truncation.passes()) * all / packing.len() as f64, packing.len() as f64)
            }
        }
    }
}

/// Steps of a validation, all lanes side by side.
fn read(held: &EvalSet) -> f64 {
    match held {
        EvalSet::Stream(_, parts) => f64::from(parts.steps()),
        EvalSet::Sequences(_, packing) => (0..packing.len()).map(|w| f64::from(packing.steps(w))).sum(),
    }
}

/// Updates between validations in a run of `updates`, if one costs `relative` times as much as an update: the next round number.
fn interval(updates: f64, relative: f64) -> u64 {
    let wanted = (updates / VALIDATIONS).min(FAR_APART).max(relative / COST).max(1.0);
    let power = 10f64.powf(wanted.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= wanted).unwrap_or(wanted.ceil());
    // A run's file holds no more, see `check_counts`.
    round.min(i64::MAX as f64 / 2.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, Symbols, Text};
    use crate::run::DataKind;
    use std::sync::Arc;

    #[test]
    fn validation_is_cheap_and_frequent_where_that_can_be() {
        assert_eq!(
            [(1000.0, 0.1), (1000.0, 2.1), (1000.0, 200.0), (30.0, 0.01), (1e6, 0.5), (260.0, 1.0)].map(|(n, r)| interval(n, r)),
            [50, 50, 5000, 2, 500, 20]
        );
        for updates in 1..3000 {
            for relative in [0.001, 0.3, 1.0, 7.0, 90.0] {
                let n = interval(f64::from(updates), relative) as f64;
                assert!(relative / n <= COST * 1.0001, "{updates} {relative}: every {n}");
                assert!(
                    f64::from(updates) / n >= 10.0 || relative / COST > f64::from(updates) / VALIDATIONS || updates < 10,
                    "{updates} {relative}: every {n}"
                );
            }
        }
    }

    #[test]
    fn the_interval_is_settled_for_streams_and_sequences_and_kept() {
        let text: String = (0..4000).map(|i| format!("line {} of many\n", i * 7919 % 1009)).collect();
        let symbols = Arc::new(Symbols::new(Text::given("lines", text), Kind::Characters).unwrap());
        let settled = |change: &dyn Fn(&mut RunConfig)| {
            let mut config = RunConfig::defaults(DataKind::Text);
            change(&mut config);
            let corpus = Corpus::new(symbols.clone(), config.layout(), &config.training).unwrap();
            config.settle_validation(&corpus).unwrap();
            config
        };
        let every = |change: &dyn Fn(&mut RunConfig)| settled(change).val_every;
        let usual = every(&|_| {});
        assert!(usual >= Some(40) && usual <= Some(100), "{usual:?}");
        let lines = every(&|c| c.separator = Some("\n".to_string()));
        assert!(lines >= Some(40) && lines <= Some(100), "{lines:?}");
        assert_eq!(every(&|c| c.val_every = Some(7)), Some(7));
        assert_eq!(every(&|c| c.training.val_fraction = 0.0), None);
        // Cheaper updates leave less time for validation; an overlapping window costs as much as any other.
        assert!(every(&|c| c.training.truncation = Truncation::Regular(4)) > usual);
        assert_eq!(every(&|c| c.training.truncation = "regular:4,64".parse().unwrap()), usual);
        let epochs = settled(&|c| (c.training.updates, c.training.epochs) = (None, Some(20)));
        assert!(RunConfig::parse(&epochs.toml().unwrap()).unwrap().val_every.is_some());
    }
}
