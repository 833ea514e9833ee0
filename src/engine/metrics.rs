//! What the device notes of each update, read back without waiting.

use super::Engine;
use crate::error::{Error, Result};
use crate::kernels::finish;

/// One row of the ring of metrics: the device's record of an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Mean loss of the window in nats.
    pub loss: f32,
    /// Global norm of the gradient before clipping; infinity if the gradient was not finite.
    pub norm: f32,
    /// Whether the update was applied.
    pub applies: bool,
    /// Updates applied so far.
    pub applied: u32,
}

impl Engine {
    /// Requests the metrics of `count` updates from number `first` (from 0), among the last 1,024, without waiting for them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn request_metrics(&mut self, first: u64, count: u32) -> Result<()> {
        let rows = u64::from(finish::RING_ROWS);
        let row = (first % rows) as u32;
        let before_end = count.min(finish::RING_ROWS - row);
        for (row, count) in [(row, before_end), (0, count - before_end)] {
            if count > 0 {
                self.executor.request(self.slots.status, finish::RING + row * finish::RING_WORDS, count * finish::RING_WORDS)?;
            }
        }
        Ok(())
    }

    /// The metrics requested that have arrived, in order; all of them if `wait`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn collect_metrics(&mut self, wait: bool) -> Result<Vec<Metrics>> {
        let mut all = Vec::new();
        while let Some(words) = self.executor.collect(wait)? {
            all.extend(metrics_of(&words));
        }
        Ok(all)
    }

    /// The metrics of update number `update` (from 0), one of the last 1,024; waits for them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn metrics(&mut self, update: u64) -> Result<Metrics> {
        self.request_metrics(update, 1)?;
        let found = self.collect_metrics(true)?.pop();
        found.ok_or_else(|| self.unanswered())
    }

    /// Like [`Engine::metrics`], without blocking. Discards the answers to earlier requests that were not collected.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn metrics_async(&mut self, update: u64) -> Result<Metrics> {
        self.request_metrics(update, 1)?;
        let mut found = None;
        while let Some(words) = self.executor.collect_async().await? {
            found = metrics_of(&words).last();
        }
        found.ok_or_else(|| self.unanswered())
    }

    fn unanswered(&self) -> Error {
        Error::Device(format!("{}: no answer to a request for metrics", self.executor.description()))
    }

    /// Number of updates skipped because a gradient was not finite.
    ///
    /// # Errors
    /// If the device fails.
    pub fn skipped(&mut self) -> Result<u32> {
        let mut words = [0u32];
        self.executor.download(self.slots.status, finish::SKIPPED as u32, &mut words)?;
        Ok(words[0])
    }
}

/// Decodes rows of the metrics ring.
fn metrics_of(words: &[u32]) -> impl Iterator<Item = Metrics> + '_ {
    let one = |w: &[u32]| Metrics { loss: f32::from_bits(w[0]), norm: f32::from_bits(w[1]), applies: w[2] != 0, applied: w[3] };
    words.chunks_exact(finish::RING_WORDS as usize).map(one)
}
