//! Monitors the gradient during a run: lag profile, norms, update-to-weight ratios. It has its own engine and changes nothing.

use crate::data::{Ends, Symbols};
use crate::device::Device;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::feed::Source;
use crate::lag_profile::{self, Layer, Options};
use crate::metrics_log::{LayerProfile, Look, ParameterFigures};
use crate::model::{Config, Tensor};
use crate::trainer::Trainer;
use std::sync::Arc;

/// Losses followed back: few, since a look should cost little, but enough for a median and a spread.
const PLACES: u32 = 8;
/// Longest lag.
const LAGS: u32 = 64;
/// Steps read before the first lag.
const WARM_UP: u32 = 24;
/// Steps between rescalings: more than elsewhere, since each costs a round trip to the device.
const STEPS: u32 = 33;

/// A monitor of a training run.
pub struct Monitor {
    engine: Engine,
    options: Options,
}

/// Longest lag over a source.
fn lags(source: &Source) -> u32 {
    LAGS.min(source.longest().saturating_sub(1)).max(1)
}

/// Device memory of a monitor in bytes.
pub fn bytes(device: &Device, config: Config, source: &Source) -> u64 {
    Engine::probe_bytes(device, config, PLACES, lags(source) + 1, STEPS)
}

impl Monitor {
    /// A monitor of `trainer`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(device: &Device, trainer: &Trainer, seed: u64) -> Result<Self> {
        let lags = lags(trainer.source());
        let engine = Engine::with_probe(device, trainer.engine.config, PLACES, lags + 1, STEPS)?;
        Ok(Monitor { engine, options: Options { lags, lanes: PLACES, windows: 1, warm_up: WARM_UP, seed } })
    }

    /// Bytes on the device, `[planned, allocated]`.
    pub fn device_bytes(&self) -> [u64; 2] {
        self.engine.device_bytes()
    }

    /// The `monitor` of a line: measurements after an update that changed `before` to `after`
    /// by `gradients`, all flat. Positions in the text are resampled for each update.
    ///
    /// # Errors
    /// If the device fails, or the text can't be read.
    pub fn look(&mut self, trainer: &Trainer, [before, after, gradients]: [&[f32]; 3], update: u64) -> Result<Look> {
        let o = Options { seed: self.options.seed ^ update, ..self.options };
        let ends = match trainer.source() {
            Source::Stream(_) => Ends::of_stream(symbols(trainer)?, o.places(), o.lags, o.seed)?,
            Source::Sequences(sequences) => Ends::of_sequences(sequences, o.places(), o.lags, o.seed)?,
        };
        self.engine.set_parameters(after)?;
        let layers = lag_profile::measure(&mut self.engine, &ends, &o)?;
        let parameters = self.engine.config.tensors().iter().map(|t| parameter(t, before, after, gradients)).collect();
        let lags = (0..=u64::from(o.lags)).collect();
        Ok(Look { lags, layers: layers.into_iter().map(layer).collect(), parameters, clipped_updates: None, skipped_updates: 0 })
    }
}

fn symbols(trainer: &Trainer) -> Result<Arc<Symbols>> {
    let found = trainer.content().symbols().cloned();
    found.ok_or_else(|| Error::setting("monitor", "`monitor` looks at texts alone; leave it out"))
}

fn layer(l: Layer) -> LayerProfile {
    let half_life = l.half_life.unwrap_or(f64::NAN);
    LayerProfile { median: l.median, low: l.low, high: l.high, decay_rate: l.decay_rate, half_life, saturation: l.saturation }
}

fn parameter(t: &Tensor, before: &[f32], after: &[f32], gradients: &[f32]) -> ParameterFigures {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let wide = |flat: &[f32]| t.extract(flat).into_iter().map(f64::from).collect::<Vec<f64>>();
    let (before, after) = (wide(before), wide(after));
    let moved: Vec<f64> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
    ParameterFigures { name: t.name.clone(), grad_norm: norm(&wide(gradients)), weight_norm: norm(&after), update_ratio: norm(&moved) / norm(&before) }
}
