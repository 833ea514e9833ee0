//! A plan as a table for a terminal.

use super::format;
use super::plan_facts::{bytes, facts, model, points, times};
use crate::analysis::planned::{CurvePoint, Planned};
use crate::model::record::GateStorage;

/// Characters of a line.
const WIDTH: usize = 100;
/// Rows of the curve.
const ROWS: usize = 12;

/// The plan, its bytes, and the plans of other budgets.
pub fn table(p: &Planned) -> String {
    let mut lines = vec![row("device", &p.device), row("model", &model(p)), String::new(), "plan".to_string()];
    lines.extend(facts(p).into_iter().map(|(name, text)| format!("  {}", row(name, &text))));
    lines.extend([String::new(), "bytes on the device".to_string()]);
    lines.extend(columns(&bytes(p).into_iter().map(|(name, [size, n])| [format!("  {name}"), size, n]).collect::<Vec<_>>()));
    lines.extend([String::new(), "from least to most memory; * is this plan".to_string()]);
    lines.extend(curve(p));
    lines.iter().map(|l| format::clipped(&plain(l), WIDTH) + "\n").collect()
}

/// Replaces control characters: a terminal would obey them.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>().trim_end().to_string()
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<18} {text}")
}

fn curve(p: &Planned) -> Vec<String> {
    let (points, chosen) = points(p);
    let shown = evenly(points.len(), chosen);
    let mut rows = vec![["", "device", "activations", "segment", "gates", "held", "stored", "again (mean)", "(most)", "time"].map(str::to_string)];
    rows.extend(shown.iter().filter_map(|&i| Some(cells(points.get(i)?, i == chosen))));
    let mut lines = if p.gates.is_some() { columns(&rows) } else { columns(&rows.into_iter().map(without_gates).collect::<Vec<_>>()) };
    if shown.len() < points.len() {
        lines.push(format!("  ({} of {})", shown.len(), format::plural(points.len() as u64, "plan", "plans")));
    }
    lines
}

fn without_gates([chosen, device, activations, segment, _, rest @ ..]: [String; 10]) -> [String; 9] {
    let [held, stored, mean, most, time] = rest;
    [chosen, device, activations, segment, held, stored, mean, most, time]
}

fn cells(q: &CurvePoint, chosen: bool) -> [String; 10] {
    [
        if chosen { "*" } else { "" }.to_string(),
        format::bytes(q.device_bytes),
        format::bytes(q.activation_bytes),
        format::count(q.segment_steps),
        q.gates.map_or_else(String::new, |g| if g == GateStorage::Kept { "kept" } else { "again" }.to_string()),
        format::count(q.held_segments),
        format::count(q.stored_states),
        times(q.recomputed_per_step),
        format!("{}x", q.most_recomputed),
        times(q.time_factor),
    ]
}

/// Indices of at most [`ROWS`] rows, first and last among them, and the chosen one instead of its nearest.
fn evenly(n: usize, chosen: usize) -> Vec<usize> {
    if n <= ROWS {
        return (0..n).collect();
    }
    let mut rows: Vec<usize> = (0..ROWS).map(|i| (i * (n - 1) + (ROWS - 1) / 2) / (ROWS - 1)).collect();
    if !rows.contains(&chosen) {
        // Neither the first nor the last.
        if let Some(nearest) = rows[1..ROWS - 1].iter_mut().min_by_key(|i| i.abs_diff(chosen)) {
            *nearest = chosen;
        }
    }
    rows.sort_unstable();
    rows
}

/// Aligns the first column left, all others right.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |r: &[String; N]| -> String {
        let rest: String = (1..N).map(|i| format!("  {:>1$}", r[i], widths[i])).collect();
        format!("{:<1$}", r[0], widths[0]) + &rest
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// Checks what all tables must hold.
    fn checked(p: &Planned) -> String {
        let table = table(p);
        assert!(table.lines().all(|l| l.chars().count() <= WIDTH), "{table}");
        assert!(!table.contains("NaN") && !table.contains("inf"), "{table}");
        assert!(!table.chars().any(|c| c.is_control() && c != '\n'), "{table}");
        assert_eq!(table.lines().filter(|l| l.starts_with('*')).count(), 1, "{table}");
        table
    }

    #[test]
    fn a_whole_table() {
        for p in [fixture::long_plan(), fixture::short_plan(), fixture::gated_plan()] {
            let table = checked(&p);
            for words in ["device", "model", "window", "dispatches", "head", "total", "budget"] {
                assert!(table.contains(words), "{words}");
            }
            assert!(p.bytes.keys().all(|name| table.contains(name.as_str())));
            assert_eq!(table.contains("gates"), p.gates.is_some());
        }
    }

    #[test]
    fn anything_makes_a_table() {
        let mut p = fixture::long_plan();
        p.device = "\u{1b}[2J\n".repeat(60);
        p.truncation = "long".repeat(60);
        p.bytes.insert("\u{7}".repeat(90), u64::MAX);
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300] {
            (p.time_factor, p.recomputed_per_step) = (x, x);
            p.curve.iter_mut().for_each(|q| (q.time_factor, q.recomputed_per_step) = (x, x));
            checked(&p);
        }
        for q in &mut p.curve {
            (q.device_bytes, q.activation_bytes, q.segment_steps) = (u64::MAX, u64::MAX, u32::MAX);
            (q.held_segments, q.stored_states, q.most_recomputed) = (u32::MAX, u32::MAX, u32::MAX);
        }
        checked(&p);
        p.curve.clear();
        p.graph.clear();
        p.bytes.clear();
        checked(&p);
    }

    #[test]
    fn rows_are_even_and_hold_the_chosen() {
        assert_eq!(evenly(3, 1), [0, 1, 2]);
        for n in [12, 13, 24, 100, 1000] {
            for chosen in 0..n {
                let rows = evenly(n, chosen);
                assert!(rows.len() == ROWS && rows[0] == 0 && rows[ROWS - 1] == n - 1 && rows.contains(&chosen), "{n} {chosen}: {rows:?}");
                assert!(rows.windows(2).all(|w| w[0] < w[1]), "{n} {chosen}: {rows:?}");
            }
        }
    }
}
