//! The metrics of a run: gathers what the device records of each update into reports, without ever waiting for it.

use crate::engine::Metrics;
use crate::metrics_log::{Figures, Line, single};
use crate::model::Output;
use crate::optimizer::Clip;
use crate::store::Progress;
use crate::trainer::Counters;
use serde_json::Value;
use std::collections::VecDeque;

/// A JSON number; null if it is not finite.
pub fn number(x: impl Into<f64>) -> Value {
    serde_json::Number::from_f64(x.into()).map_or(Value::Null, Value::Number)
}

/// Like [`number`]; null for `None`.
pub fn optional(x: Option<f64>) -> Value {
    x.map_or(Value::Null, number)
}

/// The host's record of an update when it is issued, kept until the device's metrics arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Counters after the update.
    pub counters: Counters,
    /// Passes over the text.
    pub epochs: f64,
    /// Its learning rate.
    pub learning_rate: f32,
    /// Seconds of training so far, excluding everything else.
    pub seconds: f64,
}

/// One report: on the last window, and on all since the previous report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The update after which it is made.
    pub mark: Mark,
    /// Mean loss of the last window in nats.
    pub loss: f32,
    /// Mean loss of all windows since the last report.
    pub mean_loss: f64,
    /// Norm of the last window's gradient, before clipping.
    pub norm: f32,
    /// Symbols per second since the last report.
    pub speed: f64,
    /// Updates skipped since the last report.
    pub skipped: u64,
    /// Updates whose gradient was scaled down since the last report; `None` if gradients are clamped element by element.
    pub clipped: Option<u64>,
    /// The lowest loss so far, if this one has jumped far above it.
    pub jumped_from: Option<f64>,
}

impl Report {
    /// The line of `metrics.jsonl`.
    pub fn line(&self) -> Line {
        let m = &self.mark;
        Line::Report(Figures {
            update: m.counters.updates,
            tokens: m.counters.tokens,
            epoch: m.epochs,
            loss: single(self.loss),
            mean_loss: self.mean_loss,
            norm: single(self.norm),
            learning_rate: single(m.learning_rate),
            speed: self.speed,
            seconds: m.seconds,
            skipped: self.skipped,
            clipped: self.clipped,
            ranks: None,
            lane_groups: None,
        })
    }
}

/// Collects metrics as they arrive, in update order.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Pending reports, oldest first.
    due: VecDeque<Mark>,
    /// Number of updates whose metrics have arrived.
    arrived: u64,
    /// The mark of the last report.
    last: Mark,
    /// Loss of a uniform guess in nats.
    guess: f64,
    clip: Clip,
}

impl Meter {
    /// A meter for updates after `mark` of a model with this output.
    pub fn new(mark: Mark, output: Output, clip: Clip) -> Self {
        // Values are standardized: the mean is off by about 1.
        let guess = if let Output::Classes(n) = output { f64::from(n).ln() } else { 1.0 };
        Meter { due: VecDeque::new(), arrived: mark.counters.updates, last: mark, guess, clip }
    }

    /// Schedules a report after this update.
    pub fn report_at(&mut self, mark: Mark) {
        self.due.push_back(mark);
    }

    /// Number of updates whose metrics have arrived.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Adds the metrics of the next updates, which arrived together, `seconds` after training began; returns the reports due after any of them. The device
    /// works on after an update is issued, so speed is measured between arrivals, and is the same for all that arrive together.
    pub fn take_all(&mut self, figures: &[Metrics], seconds: f64, progress: &mut Progress) -> Vec<Report> {
        let before = self.last;
        let mut reports: Vec<Report> = figures.iter().filter_map(|m| self.take(*m, seconds, progress)).collect();
        let tokens = self.last.counters.tokens - before.counters.tokens;
        let speed = tokens as f64 / (seconds - before.seconds);
        reports.iter_mut().for_each(|r| r.speed = speed);
        reports
    }

    /// Adds the metrics of the next update.
    fn take(&mut self, m: Metrics, seconds: f64, progress: &mut Progress) -> Option<Report> {
        self.arrived += 1;
        let loss = Some(m.loss).filter(|l| l.is_finite());
        progress.first_loss = progress.first_loss.or(loss);
        progress.last_loss = loss;
        if m.applies {
            progress.since_loss += f64::from(m.loss);
            progress.since_applied += 1;
            let clipped = u64::from(self.clip.scales(m.norm));
            (progress.since_clipped, progress.clipped) = (progress.since_clipped + clipped, progress.clipped + clipped);
            progress.skipped_in_a_row = 0;
        } else {
            progress.since_skipped += 1;
            progress.skipped += 1;
            progress.skipped_in_a_row += 1;
        }
        let mut mark = self.due.pop_front_if(|mark| mark.counters.updates == self.arrived)?;
        mark.seconds = seconds;
        let mean_loss = std::mem::take(&mut progress.since_loss) / std::mem::take(&mut progress.since_applied) as f64;
        let skipped = std::mem::take(&mut progress.since_skipped);
        let clipped = self.clip.counted(std::mem::take(&mut progress.since_clipped));
        self.last = mark;
        let jumped_from = self.jump(mean_loss, progress);
        Some(Report { mark, loss: m.loss, mean_loss, norm: m.norm, speed: 0.0, skipped, clipped, jumped_from })
    }

    /// Detects a jump: a loss that gives up half of the gain over a uniform guess, and at least a fifth of the guess. Reported once until the loss comes back.
    fn jump(&self, mean_loss: f64, progress: &mut Progress) -> Option<f64> {
        let lowest = progress.lowest_loss.unwrap_or(f64::INFINITY);
        let jumped = mean_loss > lowest + (0.5 * (self.guess - lowest)).max(0.2 * self.guess);
        if mean_loss < lowest {
            progress.lowest_loss = Some(mean_loss);
        }
        let before = std::mem::replace(&mut progress.exploded, jumped);
        progress.explosions += u64::from(jumped && !before);
        Some(lowest).filter(|_| jumped && !before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(updates: u64) -> Mark {
        Mark { counters: Counters { updates, tokens: updates * 10, ..Counters::default() }, epochs: 0.0, learning_rate: 0.1, seconds: updates as f64 * 0.5 }
    }

    fn metrics(loss: f32, applies: bool) -> Metrics {
        Metrics { loss, norm: 1.0, applies, applied: 0 }
    }

    #[test]
    fn reports_gather_what_came_since_the_last() {
        let (mut meter, mut progress) = (Meter::new(mark(0), Output::Classes(50), Clip::Norm(0.75)), Progress::default());
        meter.report_at(mark(1));
        meter.report_at(mark(4));
        let first = meter.take_all(&[metrics(4.0, true)], 0.5, &mut progress)[0];
        assert_eq!((first.mean_loss, first.speed), (4.0, 20.0));
        assert!(meter.take_all(&[metrics(3.0, true), metrics(f32::NAN, false)], 1.5, &mut progress).is_empty());
        assert_eq!((progress.skipped_in_a_row, progress.last_loss), (1, None));
        let second = meter.take_all(&[metrics(2.0, true)], 2.0, &mut progress)[0];
        assert_eq!((second.mean_loss, second.loss, second.skipped, second.speed), (2.5, 2.0, 1, 20.0));
        assert_eq!((progress.skipped_in_a_row, progress.first_loss), (0, Some(4.0)));
        assert_eq!((first.clipped, second.clipped, progress.clipped), (Some(1), Some(2), 3), "the skipped one was not clipped");
        assert_eq!(second.line().update(), 4);
    }

    #[test]
    fn speed_is_that_of_what_has_arrived_not_of_what_was_issued() {
        let (mut meter, mut progress) = (Meter::new(mark(0), Output::Classes(50), Clip::None), Progress::default());
        // Issued at once, and completed together two seconds later.
        for updates in [1, 2] {
            meter.report_at(Mark { seconds: 1e-6, ..mark(updates) });
        }
        let reports = meter.take_all(&[metrics(4.0, true), metrics(3.0, true)], 2.0, &mut progress);
        assert_eq!(reports.iter().map(|r| (r.speed, r.mark.seconds)).collect::<Vec<_>>(), [(10.0, 2.0); 2]);
        meter.report_at(mark(3));
        assert_eq!(meter.take_all(&[metrics(3.0, true)], 3.0, &mut progress)[0].speed, 10.0);
    }

    #[test]
    fn only_norms_above_the_bound_are_counted() {
        for (clip, wanted) in [(Clip::Norm(1.0), Some(0)), (Clip::Norm(0.99), Some(1)), (Clip::None, Some(0)), (Clip::Value(0.1), None)] {
            let (mut meter, mut progress) = (Meter::new(mark(0), Output::Classes(50), clip), Progress::default());
            meter.report_at(mark(1));
            assert_eq!(meter.take(metrics(1.0, true), 1.0, &mut progress).unwrap().clipped, wanted, "{clip:?}");
        }
    }

    #[test]
    fn a_jump_of_the_loss_is_noticed_once() {
        let (mut meter, mut progress) = (Meter::new(mark(0), Output::Classes(55), Clip::None), Progress::default());
        let mut jumps = Vec::new();
        for (i, loss) in (1..).zip([4.0, 2.0, 1.5, 2.2, 3.5, 3.9, 1.6, 9.0]) {
            meter.report_at(mark(i));
            if meter.take(metrics(loss, true), 1.0, &mut progress).unwrap().jumped_from.is_some() {
                jumps.push(loss);
            }
        }
        assert_eq!((jumps, progress.explosions), (vec![3.5, 9.0], 2));
    }
}
