//! The plan: how much of a window is held at once. A window is worked through in segments of S steps; its activations are kept
//! for all of them, or only the states between them, each segment then being computed a second time on the backward sweep.

use crate::dims::{Dims, pad4};
use crate::error::{Error, Result};
use crate::kernel::Capabilities;
use crate::model::record::Extent;

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
/// Floating-point operations of a segment, so that no submission runs long enough for a driver to think that it hangs: a fifth of a
/// second on a small integrated GPU, some seconds in software.
const SEGMENT_FLOPS: u64 = 20_000_000_000;

impl Plan {
    /// Plans for windows of at most `window` steps.
    ///
    /// # Errors
    /// [`Error::Usage`] if not even the smallest plan fits the adapter's limits.
    pub fn new(dims: Dims, window: u32, capabilities: &Capabilities) -> Result<Self> {
        let unit = u64::from(dims.state()) * 4;
        let layers = u64::from(dims.layers);
        let longest = window.min(LONGEST_SEGMENT).min(Self::affordable(dims));
        let keep = Self::with(dims, window, longest, false);
        let fits = |p: &Plan| p.largest_slot(dims) <= capabilities.binding_bytes;
        if fits(&keep) && unit * (layers + 2) * u64::from(window) <= ACTIVATION_BYTES {
            return Ok(keep);
        }
        // One state per layer and segment, and (layers + 2) S of work: least where S is about sqrt(window); more if it is free.
        let cost = |s: u32| unit * (layers * u64::from(window.div_ceil(s)) + (layers + 2) * u64::from(s));
        let least = (f64::from(window) * layers as f64 / (layers as f64 + 2.0)).sqrt().ceil().max(1.0) as u32;
        let least = least.min(longest);
        let best = (least..=longest).rev().find(|&s| cost(s) <= ACTIVATION_BYTES && fits(&Self::with(dims, window, s, true))).unwrap_or(least);
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

    /// Plans for windows of at most `window` steps of which a segment may begin anywhere within one, and that many past states.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_ring(dims: Dims, window: u32, ring: u32, capabilities: &Capabilities) -> Result<Self> {
        let mut plan = Self::new(dims, window, capabilities)?;
        if ring > 0 {
            // A window in several segments has one more where a segment begins out of turn: a short one wastes little.
            if !plan.recompute {
                plan = Self::with(dims, window, plan.extent.steps.min(window.div_ceil(4)), false);
                plan.extent.places += 1;
            }
            plan.extent.segments += 1;
            plan.extent.ring = ring;
        }
        Ok(plan)
    }

    /// Plans for an evaluation, which reads a text segment by segment and keeps nothing of those before.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn for_evaluation(dims: Dims, longest: u32, capabilities: &Capabilities) -> Result<Self> {
        let unit = u64::from(dims.state()) * 4 * (u64::from(dims.layers) + 2);
        let fitting = u32::try_from(ACTIVATION_BYTES / 4 / unit).unwrap_or(u32::MAX).max(1);
        let steps = longest.min(LONGEST_SEGMENT).min(Self::affordable(dims)).min(fitting);
        Self::new(dims, steps, capabilities)
    }

    /// Steps that [`SEGMENT_FLOPS`] allow: three products of `[B,H]` and `[H,H]` per layer and step (two of them above the first layer
    /// again for W_xh), three of the head.
    fn affordable(dims: Dims) -> u32 {
        let [h, v, b, l] = [dims.hidden, dims.vocab, dims.lanes, dims.layers].map(u64::from);
        let step = (6 * b * h * h).saturating_mul(2 * l - 1).saturating_add(6 * b * h * v);
        u32::try_from(SEGMENT_FLOPS / step).unwrap_or(u32::MAX).max(1)
    }

    /// The plan with segments of `steps` steps.
    pub fn with(dims: Dims, window: u32, steps: u32, recompute: bool) -> Self {
        let segments = window.div_ceil(steps);
        let rows = pad4(steps * dims.lanes);
        let chunk = u32::try_from(HEAD_BYTES / 4 / u64::from(dims.vocab)).unwrap_or(u32::MAX).max(4) / 4 * 4;
        let places = if recompute { 1 } else { segments };
        let extent = Extent { lanes: dims.lanes, steps, segments, places, ring: 0, head_rows: rows.min(chunk) };
        Plan { extent, window, recompute }
    }

    /// Bytes of the largest slot.
    fn largest_slot(&self, dims: Dims) -> u64 {
        let e = &self.extent;
        let unit = u64::from(dims.state()) * 4;
        let history = unit * u64::from(e.places) * u64::from(e.steps + 1);
        let states = unit * u64::from(dims.layers) * u64::from(e.states());
        let inputs = 4 * (6 * u64::from(e.rows() + 4) + u64::from(dims.vocab));
        let parameters = 4 * u64::from(dims.hidden_padded()) * u64::from(dims.vocab.max(dims.hidden) + 4);
        history.max(states).max(inputs).max(parameters)
    }

    /// The segments of a window.
    pub fn segments(&self, window: std::ops::Range<u32>) -> Vec<std::ops::Range<u32>> {
        window.clone().step_by(self.extent.steps as usize).map(|t| t..(t + self.extent.steps).min(window.end)).collect()
    }
}
