//! What a comparison of truncation strategies found: the content of `compare.json`, and of the report.

use serde::{Deserialize, Serialize};

/// All of it.
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
    /// B.
    pub batch: u32,
    /// Symbols of a sequence.
    pub length: u32,
    /// Seed.
    pub seed: u64,
    /// Optimizer, learning rate and clipping, in words.
    pub training: String,
    /// The weights at which gradients are compared, in words.
    pub gradient_at: String,
    /// Single gradients that were drawn of each random strategy, to measure bias and spread.
    pub draws: u32,
    /// Symbols whose full gradient the strategies' gradients are compared with.
    pub gradient_tokens: u64,
    /// A stretch of the text whose cuts are shown: the symbols of one sequence's beginning.
    pub stretch: String,
    /// One entry a strategy, in the order asked for; the full gradient first.
    pub strategies: Vec<Strategy>,
}

/// What was found of one strategy.
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
    /// Standard error of that mean, in the same unit: a bias below about twice this is none that was seen. 0 where nothing is drawn.
    pub relative_bias_error: f64,
    /// Root mean square of norm(single draw - mean of draws) / norm of the full gradient; 0 where nothing is drawn.
    pub relative_spread: f64,
    /// Activation bytes that the longest window that occurred takes on a stream, where a window is all that is held: the states of every
    /// layer and two work buffers, of all lanes.
    pub bytes: u64,
    /// Mean steps from cut to cut.
    pub window_mean: f64,
    /// Most steps from cut to cut that occurred.
    pub window_max: u32,
    /// The same figures for each parameter tensor.
    pub per_parameter: Vec<Parameter>,
    /// Losses during training.
    pub curve: Vec<Point>,
    /// Of the stretch: the weight of the edge before each symbol, as many as the stretch has symbols: 0 where it is cut, else xi.
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
    /// Mean training loss since the point before, nats; none if not finite, or not measured here.
    pub train_loss: Option<f64>,
    /// Validation loss, nats, where it was measured.
    pub val_loss: Option<f64>,
}
