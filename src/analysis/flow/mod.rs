//! How the gradient flows back through time: how it vanishes or explodes, why, and what a window misses.

pub mod jacobian;
pub mod sensitivity;
pub mod sweep;
mod windows;

use crate::data::{Ends, Sequences, Symbols};
use crate::device::Device;
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::lag_profile;
use crate::model::{Config, layer_name};
use jacobian::Spectrum;

pub use crate::lag_profile::{Layer, Options, Verdict};
use sensitivity::Sensitivity;
use serde::Serialize;
use std::sync::Arc;
pub use windows::{Bias, Windows};

/// The model and the text to measure.
pub struct Subject<'a> {
    /// The model.
    pub config: Config,
    /// Its flat parameters.
    pub parameters: &'a [f32],
    /// The text.
    pub symbols: Arc<Symbols>,
    /// Its sequences; none for one stream.
    pub sequences: Option<Sequences>,
}

/// All results, the content of gradflow.json. Figures outside `layers` are those of the layer whose gradient fades slowest, which bounds a window;
/// `layers` has all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flow {
    /// Name of the text.
    pub text: String,
    /// Device.
    pub device: String,
    /// Architecture.
    pub model: Config,
    /// Number of losses that were followed back.
    pub places: u32,
    /// Lags k, steps.
    pub lags: Vec<u32>,
    /// The layer whose gradient fades slowest, counted from 0, the one that reads the text.
    pub layer: usize,
    /// Its profile.
    #[serde(flatten)]
    pub slowest: Layer,
    /// In one word.
    pub verdict: Verdict,
    /// Relative bias that a window may have.
    pub tolerance: f64,
    /// The smallest TAU whose estimated bias is at most the tolerance; none if the gradient does not decay.
    pub suggested_tau: Option<u32>,
    /// The relative bias estimated for it; see [`Windows`].
    pub estimated_bias: f64,
    /// Its relative bias on a stretch of the text, measured against the full gradient.
    pub measured_bias: f64,
    /// The same for other windows.
    pub bias: Vec<Bias>,
    /// See [`Windows`].
    pub bias_scale: f64,
    /// Symbols of that stretch.
    pub bias_symbols: u64,
    /// Largest modulus of an eigenvalue: of W_hh; for a cell with several gates, whose W_hh is not square, of the Jacobian of one step, the last of those in
    /// [`Flow::singular_values`].
    pub spectral_radius: f64,
    /// Largest singular value of the same matrix.
    pub spectral_norm: f64,
    /// See [`Sensitivity::lyapunov`].
    pub lyapunov: f64,
    /// Singular values of products of one-step Jacobians of the state: h, or h and c.
    pub singular_values: Vec<Spectrum>,
    /// The effect of a small perturbation of the first state.
    pub sensitivity: Sensitivity,
    /// All layers, the one that reads the text first.
    pub layers: Vec<Deep>,
}

/// A layer's profile, with the figures of its weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deep {
    /// Its profile.
    #[serde(flatten)]
    pub profile: Layer,
    /// In one word.
    pub verdict: Verdict,
    /// As [`Flow::spectral_radius`].
    pub spectral_radius: f64,
    /// As [`Flow::spectral_norm`].
    pub spectral_norm: f64,
    /// As [`Flow::singular_values`].
    pub singular_values: Vec<Spectrum>,
}

/// Receives the name of each stage.
pub type Observer<'a> = &'a mut dyn FnMut(&str);

/// Most steps over which sensitivity is measured.
const SENSITIVITY_STEPS: u32 = 128;
/// Steps of the longest product of Jacobians; a quarter of them if the matrices have more rows than [`WIDE`].
const PRODUCT: u32 = 32;
const WIDE: u32 = 512;

/// Measures a model on a text.
///
/// # Errors
/// If the text is too short, or the device fails.
pub fn measure(device: &Device, subject: &Subject<'_>, o: &Options, tolerance: f64, observer: Observer<'_>) -> Result<Flow> {
    let ends = match &subject.sequences {
        Some(s) => Ends::of_sequences(s, o.places(), o.lags, o.seed)?,
        None => Ends::of_stream(subject.symbols.clone(), o.places(), o.lags, o.seed)?,
    };
    observer("compiling");
    let mut engine = Engine::with_probe(device, subject.config, o.lanes, o.lags + 1, engine::STEPS)?;
    engine.set_parameters(subject.parameters)?;
    observer("following losses back");
    let layers = lag_profile::measure(&mut engine, &ends, o)?;
    observer("sensitivity to initial conditions");
    let which = &ends.list()[..o.lanes as usize];
    let steps = (o.lags + 1).min(SENSITIVITY_STEPS);
    let sensitivity = sensitivity::measure(&mut engine, &ends, which, o.warm_up, steps, o.seed)?;
    observer("singular values");
    let layers = spectra(&mut engine, subject, &ends, o, layers)?;
    drop(engine);
    observer("bias of windows");
    let profiles: Vec<Layer> = layers.iter().map(|l| l.profile.clone()).collect();
    let windows = Windows::new(device, subject, o, &profiles)?;
    let suggested_tau = windows.suggested(tolerance);
    let bias = windows.biases(suggested_tau)?;
    let chosen = suggested_tau.and_then(|tau| bias.iter().find(|b| b.tau == tau));
    let layer = lag_profile::slowest(layers.iter().map(|l| &l.profile));
    let of = layers[layer].clone();
    Ok(Flow {
        text: subject.symbols.text().name.clone(),
        device: device.to_string(),
        model: subject.config,
        places: o.places(),
        lags: (0..=o.lags).collect(),
        layer,
        verdict: of.verdict,
        tolerance,
        suggested_tau,
        estimated_bias: chosen.map_or(f64::NAN, |b| b.estimated),
        measured_bias: chosen.map_or(f64::NAN, |b| b.measured),
        bias,
        bias_scale: windows.scale,
        bias_symbols: windows.symbols()?,
        spectral_radius: of.spectral_radius,
        spectral_norm: of.spectral_norm,
        lyapunov: sensitivity.lyapunov,
        singular_values: of.singular_values,
        sensitivity,
        slowest: of.profile,
        layers,
    })
}

impl Flow {
    /// The name of the layer that the figures outside `layers` belong to; none if there is only one.
    pub fn named_layer(&self) -> Option<String> {
        Some(layer_name(self.layer)).filter(|_| self.layers.len() > 1)
    }
}

/// The figures of each layer's weights, and of its Jacobians at one position of the text.
fn spectra(engine: &mut Engine, subject: &Subject<'_>, ends: &Ends, o: &Options, layers: Vec<Layer>) -> Result<Vec<Deep>> {
    let (config, spec) = (subject.config, subject.config.cell.spec());
    let most = if spec.states * config.hidden > WIDE { PRODUCT / 4 } else { PRODUCT }.min(o.lags + 1);
    let steps = jacobian::follow(engine, ends, o, most)?;
    let deep = |(k, profile): (u32, Layer)| {
        let singular_values = jacobian::of_products(steps.iter().rev().map(|s| s.jacobian(engine, k)))?;
        let (spectral_radius, spectral_norm) = match steps.last() {
            Some(last) if spec.gates > 1 => jacobian::of_matrix(&last.jacobian(engine, k)?)?,
            _ => jacobian::of_weights(&config, subject.parameters, k)?,
        };
        Ok(Deep { verdict: profile.verdict(), profile, spectral_radius, spectral_norm, singular_values })
    };
    (0..).zip(layers).map(deep).collect()
}
