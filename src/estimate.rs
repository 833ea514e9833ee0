//! The gradient over a whole text at fixed parameters, as estimated by a truncation strategy: for tests, comparisons and research.

use crate::device::Device;
use crate::engine::Engine;
use crate::error::Result;
use crate::feed::{Cursor, Feed, Source};
use crate::model::Dropout;
use crate::model::{Config, StashPrecision};
use crate::optimizer::{Clip, Optimizer};
use crate::plan::{self, Plan, Workload};
use crate::truncation::Truncation;

/// A model with fixed parameters, a text and a strategy.
pub struct Estimator {
    engine: Engine,
    feed: Feed,
}

/// One estimate. Every window is divided by the same N, the scored steps of the whole text, whatever the strategy. So estimates of different strategies are
/// comparable, and the mean over random ones is the full gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Mean loss over the text in nats.
    pub loss: f64,
    /// The flat gradients, see [`Config::tensors`].
    pub gradients: Vec<f32>,
    /// Steps between cuts, in the order of the windows.
    pub lengths: Vec<u32>,
}

impl Estimator {
    /// Prepares a model. `lanes` is B; `seed` seeds all sampling.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(device: &Device, config: Config, parameters: &[f32], source: Source, truncation: Truncation, lanes: u32, seed: u64) -> Result<Self> {
        let feed = Feed::new(source, truncation, lanes, seed);
        let update = Optimizer::Sgd { momentum: 0.0 }.update(Clip::None);
        let task = Workload {
            config,
            lanes,
            window: feed.longest(),
            ring: feed.ring(),
            split: feed.splits(),
            update,
            dropout: Dropout::default(),
            stash: StashPrecision::F32,
            budget: plan::default_budget(),
        };
        let mut engine = Engine::new(device, config, Plan::new(&task, &device.capabilities())?, &update)?;
        engine.set_parameters(parameters)?;
        Ok(Estimator { engine, feed })
    }

    /// The architecture.
    pub fn config(&self) -> &Config {
        &self.engine.config
    }

    /// One pass over the text; `draw` selects one of independent samples of cuts (and of the order of sequences).
    ///
    /// # Errors
    /// If the device fails or the text can't be read.
    pub fn estimate(&mut self, draw: u64) -> Result<Estimate> {
        let n = self.feed.scored() as f64;
        let mut cursor = Cursor { epoch: draw, place: 0 };
        let mut lengths = Vec::new();
        while cursor.epoch == draw {
            let window = self.feed.window(cursor);
            self.feed.gradient(&mut self.engine, &window, n, cursor.place > 0, || Ok(()))?;
            self.feed.carry(&mut self.engine, &window)?;
            lengths.extend(window.lengths());
            cursor = window.next;
        }
        Ok(Estimate { loss: self.engine.loss_sum()? / n, gradients: self.engine.gradients()?, lengths })
    }

    /// The gradients as named tensors, row-major without padding.
    pub fn tensors(&self, estimate: &Estimate) -> Vec<(String, Vec<f32>)> {
        self.engine.config.tensors().into_iter().map(|t| (t.name.clone(), t.extract(&estimate.gradients))).collect()
    }
}
