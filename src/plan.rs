//! The plan: how much of a window is held at once. A window is worked through in segments of S steps; its activations are kept
//! for all of them, or only the states between them, each segment then being computed a second time on the backward sweep.

use crate::dims::{Dims, pad4};
use crate::error::{Error, Result};
use crate::kernel::Capabilities;
use crate::model::record::Extent;

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What is held at once.
    pub extent: Extent,
    /// Steps of the longest window that it was made for.
    pub window: u32,
    /// Whether h is computed a second time on the backward sweep.
    pub recompute: bool,
}

/// Bytes of activations that a plan may take; beyond, h is recomputed.
const ACTIVATION_BYTES: u64 = 256 << 20;
/// Bytes of one chunk of logits.
const HEAD_BYTES: u64 = 16 << 20;
/// Longest segment: what one submission works through.
const LONGEST_SEGMENT: u32 = 1024;

impl Plan {
    /// Plans for windows of at most `window` steps.
    ///
    /// # Errors
    /// [`Error::Usage`] if not even the smallest plan fits the adapter's limits.
    pub fn new(dims: Dims, window: u32, capabilities: &Capabilities) -> Result<Self> {
        let unit = u64::from(dims.state()) * 4;
        let layers = u64::from(dims.layers);
        let longest = window.min(LONGEST_SEGMENT);
        let keep = Self::with(dims, window, longest, false);
        let fits = |p: &Plan| p.largest_slot(dims) <= capabilities.binding_bytes;
        if fits(&keep) && unit * (layers + 2) * u64::from(window) <= ACTIVATION_BYTES {
            return Ok(keep);
        }
        // One state per layer and segment, and (layers + 2) S of work: least where S is about sqrt(window); more if it is free.
        let cost = |s: u32| unit * (layers * u64::from(window.div_ceil(s)) + (layers + 2) * u64::from(s));
        let least = (f64::from(window) * layers as f64 / (layers as f64 + 2.0)).sqrt().ceil().max(1.0) as u32;
        let best = (least..=longest.max(least)).rev().find(|&s| cost(s) <= ACTIVATION_BYTES && fits(&Self::with(dims, window, s, true))).unwrap_or(least);
        let plan = Self::with(dims, window, best, true);
        if !fits(&plan) {
            return Err(Error::Usage(format!(
                "one buffer of the plan would take {} bytes, the device allows {}; lower --batch, --hidden or the window",
                plan.largest_slot(dims),
                capabilities.binding_bytes
            )));
        }
        Ok(plan)
    }

    /// The plan with segments of `steps` steps.
    pub fn with(dims: Dims, window: u32, steps: u32, recompute: bool) -> Self {
        let segments = window.div_ceil(steps);
        let rows = pad4(steps * dims.lanes);
        let chunk = u32::try_from(HEAD_BYTES / 4 / u64::from(dims.vocab)).unwrap_or(u32::MAX).max(4) / 4 * 4;
        let places = if recompute { 1 } else { segments };
        let extent = Extent { lanes: dims.lanes, steps, segments, places, head_rows: rows.min(chunk) };
        Plan { extent, window, recompute }
    }

    /// Bytes of the largest slot of activations.
    fn largest_slot(&self, dims: Dims) -> u64 {
        let e = &self.extent;
        let unit = u64::from(dims.state()) * 4;
        let history = unit * u64::from(e.places) * u64::from(e.steps + 1);
        let states = unit * u64::from(dims.layers) * u64::from(e.segments + 1);
        history.max(states)
    }

    /// The segments of a window.
    pub fn segments(&self, window: std::ops::Range<u32>) -> Vec<std::ops::Range<u32>> {
        window.clone().step_by(self.extent.steps as usize).map(|t| t..(t + self.extent.steps).min(window.end)).collect()
    }
}
