//! A plan in words and figures, for its chart, its table and the page of a run.

use super::format::{self, count, number, plural};
use crate::analysis::planned::{CurvePoint, Planned};
use crate::model::record::GateStorage;

/// The model, in a line.
pub(super) fn model(p: &Planned) -> String {
    let layers = format!("{}, {}", p.cell.spec().torch, plural(p.layers, "layer", "layers"));
    let [h, b, v] = [p.hidden, p.batch, p.vocabulary].map(count);
    format!("{layers}, hidden {h}, batch {b}, vocabulary {v}; truncation {}", p.truncation)
}

/// A factor.
pub(super) fn times(x: f64) -> String {
    number(x) + if x.is_finite() { "x" } else { "" }
}

/// The plan as rows of a name and a text.
pub(super) fn facts(p: &Planned) -> Vec<(&'static str, String)> {
    let again = match p.most_recomputed {
        0 => "nothing".to_string(),
        most => format!("each step at most {most}x, {} in the mean", times(p.recomputed_per_step)),
    };
    let steps = |n: u32| plural(n, "step", "steps");
    let mut facts = vec![
        ("window", steps(p.window)),
        ("segments", format!("{} of at most {}", count(p.segments), steps(p.segment_steps))),
        ("held at once", format!("h of {}, in {}", plural(p.held_segments, "segment", "segments"), p.stash.name())),
        ("stored at once", format!("{} at segments' starts", plural(p.stored_states, "state", "states"))),
        ("computed again", again),
        ("predicted time", format!("{} that of keeping everything", times(p.time_factor))),
        ("dispatches", format!("{} a window", count(p.dispatches))),
        ("head", format!("{} at once", plural(p.head_rows, "row", "rows"))),
    ];
    if p.lane_groups > 1 {
        let (groups, lanes, sent) = (count(p.lane_groups), plural(p.batch / p.lane_groups, "lane", "lanes"), format::bytes(p.rank_sent_bytes));
        facts.push(("lane groups", format!("{groups} of {lanes}; bytes are of a rank, and with {groups} ranks each sends {sent} an update")));
    }
    // After what is held.
    facts.splice(3..3, p.gates.map(|gates| ("gates", stored(gates).to_string())));
    facts
}

/// What is stored of gates, in words.
fn stored(gates: GateStorage) -> &'static str {
    match gates {
        GateStorage::Kept => "kept",
        GateStorage::Recomputed => "recomputed by one product a segment",
    }
}

/// Bytes by purpose, largest first, then the total and the budget.
pub(super) fn bytes(p: &Planned) -> Vec<(String, [String; 2])> {
    let mut rows: Vec<(&str, u64)> = p.bytes.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    rows.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    rows.extend([("total", p.device_bytes), ("budget", p.budget)]);
    rows.iter().map(|(name, n)| (format::clipped(name, 40), [format::bytes(*n), count(*n)])).collect()
}

/// The curve from least to most memory with this plan on it, and its index.
pub(super) fn points(p: &Planned) -> (Vec<CurvePoint>, usize) {
    let mut points = p.curve.clone();
    points.sort_by_key(|q| q.device_bytes);
    let kind = |q: &CurvePoint| (q.device_bytes, q.segment_steps, q.gates, q.held_segments, q.stored_states);
    let own = CurvePoint {
        device_bytes: p.device_bytes,
        activation_bytes: p.activation_bytes,
        segment_steps: p.segment_steps,
        gates: p.gates,
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

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_plan_is_among_the_points_once() {
        let mut p = fixture::long_plan();
        let (found, chosen) = points(&p);
        assert_eq!((found.len(), found[chosen].device_bytes), (p.curve.len() + 1, p.device_bytes));
        p.curve = found;
        assert_eq!(points(&p).0.len(), p.curve.len());
    }
}
