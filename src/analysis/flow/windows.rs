//! The bias of truncated windows: an estimate that needs no full gradient, and the measured value beside it.

use super::{Layer, Options, Subject};
use crate::analysis::gradcheck::relative_error;
use crate::data::Lanes;
use crate::device::Device;
use crate::error::Result;
use crate::estimate::Estimator;
use crate::feed::Source;
use crate::lag_profile;
use crate::truncation::Truncation;
use serde::Serialize;

/// The relative bias of one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bias {
    /// Steps of the window.
    pub tau: u32,
    /// Estimated from the profile and two truncated gradients.
    pub estimated: f64,
    /// Measured against the full gradient.
    pub measured: f64,
}

/// Windows over a stretch of a text.
///
/// The estimate is `scale` times [`lag_profile::estimated_bias`]. The profile gives how the bias falls with TAU. The distance between the gradients of a
/// short and a long window, relative to what the profile predicts for them, gives its size: the profile alone does not know how much of the
/// gradients of single losses cancels in their sum, in a trained net most of it. No full gradient is needed (after Aicher, Foti and Fox, 2019).
pub struct Windows<'a> {
    device: &'a Device,
    subject: &'a Subject<'a>,
    options: &'a Options,
    profiles: &'a [Layer],
    /// Steps of each lane, or of the longest sequence.
    longest: u32,
    /// Longest window that the stretch of text was made for.
    most: u32,
    /// Factor on the profile's estimate.
    pub scale: f64,
}

impl<'a> Windows<'a> {
    /// Computes the two gradients.
    ///
    /// # Errors
    /// If the device fails, or the text can't be read.
    pub fn new(device: &'a Device, subject: &'a Subject<'a>, options: &'a Options, profiles: &'a [Layer]) -> Result<Self> {
        // The window that the profile alone suggests.
        let guess = lag_profile::suggested_tau(profiles, 0.1);
        let most = guess.unwrap_or(64).clamp(16, 1 << 14);
        let mut windows = Windows { device, subject, options, profiles, longest: 0, most, scale: 1.0 };
        windows.longest = windows.source()?.longest();
        let pair = [(most / 2).max(1), 2 * most];
        if guess.is_some() && pair[1] < windows.longest {
            let [short, long] = [windows.gradient(Truncation::Regular(pair[0]))?, windows.gradient(Truncation::Regular(pair[1]))?];
            let apart = lag_profile::estimated_bias(profiles, pair[0]) - lag_profile::estimated_bias(profiles, pair[1]);
            let scale = relative_error(&short, &long) / apart;
            windows.scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
        }
        Ok(windows)
    }

    /// The smallest window whose estimated bias is at most `tolerance`.
    pub fn suggested(&self, tolerance: f64) -> Option<u32> {
        lag_profile::suggested_tau(self.profiles, tolerance / self.scale)
    }

    /// The bias of windows of powers of 4, up to four times the suggested window, and of the suggested one.
    ///
    /// # Errors
    /// As [`Windows::new`].
    pub fn biases(&self, suggested: Option<u32>) -> Result<Vec<Bias>> {
        let most = suggested.unwrap_or(self.most).clamp(16, 4096);
        let mut taus: Vec<u32> = (0..).map(|i| 4u32.pow(i)).take_while(|t| *t <= 4 * most).chain(suggested).collect();
        taus.sort_unstable();
        taus.dedup();
        let full = self.gradient(Truncation::Full)?;
        let bias = |tau: u32| -> Result<Bias> {
            let measured = if tau >= self.longest { 0.0 } else { relative_error(&self.gradient(Truncation::Regular(tau))?, &full) };
            Ok(Bias { tau, estimated: self.scale * lag_profile::estimated_bias(self.profiles, tau), measured })
        };
        taus.into_iter().map(bias).collect()
    }

    /// Number of symbols, or answers, whose losses are followed.
    ///
    /// # Errors
    /// If the text can't be read.
    pub fn symbols(&self) -> Result<u64> {
        Ok(match self.source()? {
            Source::Stream(lanes) => lanes.scored(0..lanes.steps()),
            Source::Sequences(s) => s.scored(),
        })
    }

    /// The sequences, or the first symbols of the text, in lanes that the longest window fits into eight times or more, if the text is long enough.
    fn source(&self) -> Result<Source> {
        if let Some(s) = &self.subject.sequences {
            return Ok(Source::Sequences(s.clone()));
        }
        let (symbols, lanes) = (&self.subject.symbols, self.options.lanes);
        let wanted = u64::from(lanes) * u64::from((16 * self.most).max(1024)) + 1;
        Ok(Source::Stream(Lanes::new(symbols.clone(), 0..wanted.min(symbols.len()), lanes)?))
    }

    fn gradient(&self, truncation: Truncation) -> Result<Vec<f64>> {
        let Subject { config, parameters, .. } = *self.subject;
        let o = self.options;
        let mut estimator = Estimator::new(self.device, config, parameters, self.source()?, truncation, o.lanes, o.seed)?;
        Ok(estimator.estimate(0)?.gradients.into_iter().map(f64::from).collect())
    }
}
