//! The sweep: fresh models over spectral radius, initialisation and activation; the measured decay against the theory's |lambda|^k.

use super::jacobian;
use crate::data::{Ends, Symbols};
use crate::device::Device;
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::lag_profile::{self, Options, Verdict};
use crate::model::{Activation, Config, Init};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// A family of initial recurrent matrices, one for each spectral radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// a Q, Q orthogonal: every singular value is a.
    Orthogonal,
    /// Normal with standard deviation a / sqrt(H): eigenvalues (nearly) fill the disc of radius a, and the largest singular value is about 2 a.
    Normal,
    /// a I.
    Identity,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 3] = [Family::Orthogonal, Family::Normal, Family::Identity];

    /// The initialisation of this family with a spectral radius.
    pub fn init(self, radius: f64, hidden: u32) -> Init {
        match self {
            Family::Orthogonal => Init::Orthogonal(radius as f32),
            Family::Normal => Init::Normal((radius / f64::from(hidden).sqrt()) as f32),
            Family::Identity => Init::Identity(radius as f32),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Orthogonal => "orthogonal",
            Family::Normal => "normal",
            Family::Identity => "identity",
        })
    }
}

/// One fresh model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// phi.
    pub activation: Activation,
    /// The distribution of W_hh.
    pub family: Family,
    /// The requested radius.
    pub radius: f64,
    /// The actual spectral radius of W_hh.
    pub spectral_radius: f64,
    /// Its largest singular value.
    pub spectral_norm: f64,
    /// Measured factor per step, see [`lag_profile::Layer`]; NaN (null) if gradients are not finite.
    pub decay_rate: f64,
    /// Fit of that decay, see [`lag_profile::Layer`].
    pub decay_fit: f64,
    /// In one word.
    pub verdict: Verdict,
    /// Share of units whose slope is below 0.1.
    pub saturation: f64,
    /// Median profile by lag, log10.
    pub log10_median: Vec<f64>,
}

/// The points of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// Name of the text.
    pub text: String,
    /// Device.
    pub device: String,
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// Number of losses that were followed back, for each point.
    pub places: u32,
    /// Lags, steps.
    pub lags: Vec<u32>,
    /// One for each activation, family and radius.
    pub points: Vec<Point>,
}

/// The grid of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Spectral radii.
    pub radii: Vec<f64>,
    /// Activations.
    pub activations: Vec<Activation>,
    /// H.
    pub hidden: u32,
    /// Layers; the profile is that of the layer whose gradient fades slowest.
    pub layers: u32,
    /// Seed of the weights.
    pub seed: u64,
}

/// Measures fresh models without biases on a text.
///
/// # Errors
/// If the text is too short, or the device fails.
pub fn sweep(device: &Device, symbols: &Arc<Symbols>, grid: &Grid, o: &Options, observer: &mut dyn FnMut(&Point)) -> Result<Sweep> {
    let ends = Ends::of_stream(symbols.clone(), o.places(), o.lags, o.seed)?;
    let mut points = Vec::new();
    for &activation in &grid.activations {
        let config = Config { hidden: grid.hidden, layers: grid.layers, activation, bias: false, ..Config::symbols(symbols.vocabulary().len()) };
        let mut engine = Engine::with_probe(device, config, o.lanes, o.lags + 1, engine::STEPS)?;
        for (family, radius) in Family::ALL.into_iter().flat_map(|f| grid.radii.iter().map(move |r| (f, *r))) {
            let parameters = family.init(radius, grid.hidden).parameters(&config, grid.seed);
            engine.set_parameters(&parameters)?;
            let mut layers = lag_profile::measure(&mut engine, &ends, o)?;
            let slowest = lag_profile::slowest(&layers);
            let layer = layers.swap_remove(slowest);
            let (spectral_radius, spectral_norm) = jacobian::of_weights(&config, &parameters, slowest as u32)?;
            let verdict = layer.verdict();
            points.push(Point {
                activation,
                family,
                radius,
                spectral_radius,
                spectral_norm,
                decay_rate: layer.decay_rate,
                decay_fit: layer.decay_fit,
                verdict,
                saturation: layer.saturation,
                log10_median: layer.log10_median,
            });
            observer(&points[points.len() - 1]);
        }
    }
    Ok(Sweep {
        text: symbols.text().name.clone(),
        device: device.to_string(),
        hidden: grid.hidden,
        layers: grid.layers,
        places: o.places(),
        lags: (0..=o.lags).collect(),
        points,
    })
}
