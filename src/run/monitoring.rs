//! Observations during a run: the gradient flow, and text that the model writes.

use super::{Event, Run};
use crate::error::{Error, Result};
use crate::metrics_log::{Line, Monitored, Sample};
use crate::sample::{Options, Sampler};
use crate::store::Model;

/// Fractions of training after which text is written, besides after the first update.
const SAMPLED: [f64; 4] = [0.125, 0.25, 0.5, 1.0];
/// Most characters of such a text.
const SAMPLE: usize = 200;

impl Run {
    /// Whether the gradient is due for a look after the next update.
    pub(super) fn look_due(&self) -> bool {
        self.config.monitor.is_some_and(|n| (self.trainer.updates() + 1).is_multiple_of(n))
    }

    /// Records how the gradient flows after an update.
    pub(super) fn look(&mut self, before: &[f32], observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.trainer.busy();
        let Some(monitor) = &mut self.monitor else { return Ok(()) };
        let updates = self.trainer.updates();
        let (after, gradients) = (self.trainer.engine.parameters()?, self.trainer.engine.gradients()?);
        let mut seen = monitor.look(&self.trainer, [before, &after, &gradients], updates)?;
        self.take_figures(true, observer)?;
        let p = &mut self.progress;
        seen.clipped_updates = self.config.training.clip().counted(p.clipped - p.looked_clipped);
        seen.skipped_updates = p.skipped - p.looked_skipped;
        (p.looked_clipped, p.looked_skipped) = (p.clipped, p.skipped);
        self.write_line(&Line::Monitored(Monitored { update: updates, tokens: self.trainer.tokens(), monitor: seen }), observer);
        Ok(())
    }

    /// Number of sample points passed.
    pub(super) fn sampled(&mut self) -> u32 {
        if self.config.sample == 0 || !self.config.writes_text() || self.trainer.updates() == 0 {
            return 0;
        }
        let fraction = self.trainer.fraction();
        1 + SAMPLED.into_iter().filter(|part| fraction >= *part).count() as u32
    }

    /// Writes a short text with the current model, to show how it learns.
    pub(super) fn sample(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.take_figures(true, observer)?;
        self.pause()?;
        self.trainer.busy();
        let text = self.text(SAMPLE.min(self.config.sample as usize))?;
        if self.trainer.interrupted() {
            return Err(Error::Interrupted);
        }
        self.progress.samples = self.sampled();
        self.write_line(&Line::Sample(Sample { update: self.trainer.updates(), tokens: self.trainer.tokens(), text }), observer);
        self.go()
    }

    /// Text of `length` symbols that the current model writes, from the run's seed; shorter if the interrupt flag is set.
    ///
    /// # Errors
    /// If the device fails.
    pub fn text(&mut self, length: usize) -> Result<String> {
        if length == 0 {
            return Ok(String::new());
        }
        let model = self.model()?;
        self.written(&model, length)
    }

    /// Whether the best model by validation, in best.safetensors, is better than the last.
    pub fn best_is_better(&self) -> bool {
        self.progress.best_loss.is_some_and(|best| self.progress.val_loss.is_none_or(|last| best < last))
    }

    /// Text as by [`Run::text`], but of the best model by validation, and the update of that model.
    ///
    /// # Errors
    /// If the device fails, or the best model can't be read.
    pub fn best_text(&mut self, length: usize) -> Result<(String, u64)> {
        if length > 0 && self.best_is_better() {
            let model = Model::load(&self.folder.file("best.safetensors"))?;
            return Ok((self.written(&model, length)?, self.progress.best_update));
        }
        Ok((self.text(length)?, self.trainer.updates()))
    }

    fn written(&self, model: &Model, length: usize) -> Result<String> {
        let vocabulary = model.codec.text()?;
        let separator = self.config.separator.as_deref().map_or(Ok(Vec::new()), |s| vocabulary.encode(s))?;
        let mut sampler = Sampler::new(model.config, &model.parameters, Options { seed: self.config.training.seed, separator, ..Options::default() })?;
        let (mut text, mut writer) = (Vec::new(), vocabulary.writer(&[]));
        for _ in (0..length).take_while(|_| !self.trainer.interrupted()) {
            writer.push(sampler.draw()?, &mut text)?;
        }
        writer.end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
