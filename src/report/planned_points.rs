//! What the parts of a plan's picture and table have in common.

use super::format;
use crate::analysis::planned::{CurvePoint, Planned};

/// Where text begins.
pub(super) const MARGIN: f64 = 24.0;

/// What is trained, in a line.
pub(super) fn model(p: &Planned) -> String {
    let layers = format::plural(p.layers.into(), "layer", "layers");
    let [h, b, v] = [p.hidden, p.batch, p.vocabulary].map(|n| format::count(n.into()));
    format!("{layers}, hidden {h}, batch {b}, vocabulary {v}; truncation {}", p.truncation)
}

/// A factor, with the sign for it.
pub(super) fn times(x: f64, sign: &str) -> String {
    if x.is_finite() { format::number(x) + sign } else { format::NONE.to_string() }
}

/// The curve from least to most memory, this plan among it, and which one that is.
pub(super) fn points(p: &Planned) -> (Vec<CurvePoint>, usize) {
    let mut points = p.curve.clone();
    points.sort_by_key(|q| q.device_bytes);
    let kind = |q: &CurvePoint| (q.device_bytes, q.segment_steps, q.held_segments, q.stored_states);
    let own = CurvePoint {
        device_bytes: p.device_bytes,
        activation_bytes: p.activation_bytes,
        segment_steps: p.segment_steps,
        held_segments: p.held_segments,
        stored_states: p.stored_states,
        most_recomputed: p.most_recomputed,
        recomputed_per_step: p.recomputed_per_step,
        time_factor: p.time_factor,
    };
    let at = points.partition_point(|q| q.device_bytes <= own.device_bytes);
    let chosen = points.iter().position(|q| kind(q) == kind(&own)).unwrap_or_else(|| {
        points.insert(at, own);
        at
    });
    (points, chosen)
}
