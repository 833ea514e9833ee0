//! The results of a comparison of truncation strategies: the content of `compare.json` and of its report.

use crate::model::Cell;
use serde::{Deserialize, Serialize};

/// All results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the text.
    pub text: String,
    /// Adapter, driver, backend; or the CPU's threads.
    pub device: String,
    /// Parameters of the model.
    pub parameters: u64,
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// The cell of every layer.
    #[serde(default)]
    pub cell: Cell,
    /// B.
    pub batch: u32,
    /// Symbols per sequence.
    pub length: u32,
    /// Seed.
    pub seed: u64,
    /// Optimizer, learning rate and clipping, in words.
    pub training: String,
    /// The weights at which gradients are compared, in words.
    pub gradient_at: String,
    /// Gradients sampled for each random strategy, to measure bias and spread.
    pub draws: u32,
    /// Symbols whose full gradient the strategies' gradients are compared with.
    pub gradient_tokens: u64,
    /// The stretch of text whose cuts are shown: the start of one sequence.
    pub stretch: String,
    /// One entry per strategy, in the order given; the full gradient first.
    pub strategies: Vec<Strategy>,
}

/// The results of one strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// As on the command line, such as `regular:16`.
    pub truncation: String,
    /// Updates of its training.
    pub updates: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Seconds of training alone.
    pub seconds: f64,
    /// Symbols per second of training alone.
    pub tokens_per_second: f64,
    /// Validation loss at the end, nats; none if not finite.
    pub val_loss: Option<f64>,
    /// Cosine between the mean of its gradient and the full gradient, over all parameters.
    pub cosine: f64,
    /// Norm of (mean of its gradient - full gradient) / norm of the full gradient, over all parameters.
    pub relative_bias: f64,
    /// Standard error of that mean, in the same unit: a bias below about twice this is not significant. 0 if nothing is sampled.
    pub relative_bias_error: f64,
    /// Root mean square of norm(single sample - mean of samples) / norm of the full gradient; 0 if nothing is sampled.
    pub relative_spread: f64,
    /// Activation bytes of the longest window that occurred, on a stream, where only one window is held at a time: the states of every layer and
    /// two work buffers, for all lanes.
    pub bytes: u64,
    /// Mean steps between cuts.
    pub window_mean: f64,
    /// Most steps between cuts that occurred.
    pub window_max: u32,
    /// The same figures for each parameter tensor.
    pub per_parameter: Vec<Parameter>,
    /// Losses during training.
    pub curve: Vec<Point>,
    /// For each symbol of the stretch, the weight of the edge before it: 0 if it is cut, else xi.
    pub cuts: Vec<f32>,
}

/// Bias and spread of the gradient of one parameter tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, such as `w_hh.0`.
    pub name: String,
    /// See [`Strategy::cosine`].
    pub cosine: f64,
    /// See [`Strategy::relative_bias`].
    pub relative_bias: f64,
    /// See [`Strategy::relative_bias_error`].
    pub relative_bias_error: f64,
    /// See [`Strategy::relative_spread`].
    pub relative_spread: f64,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Updates.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Seconds of training alone.
    pub seconds: f64,
    /// Mean training loss since the previous point, nats; none if not finite, or not measured here.
    pub train_loss: Option<f64>,
    /// Validation loss, nats, where it was measured.
    pub val_loss: Option<f64>,
}
