//! Which steps are scored, which horizons are shown, and how figures are written.

/// The scored steps of a series, whose first forecast row is at least `from`.
pub fn scored(start: usize, from: usize, end: usize, horizon: usize) -> std::ops::Range<usize> {
    from.saturating_sub(1).max(start)..end.saturating_sub(horizon)
}

/// Horizons shown in a table: all if there are few, else a selection.
pub(crate) fn shown(horizon: u32) -> Vec<u32> {
    if horizon <= 6 {
        return (1..=horizon).collect();
    }
    let mut some: Vec<u32> = (0..=5).map(|i| 1 + (horizon - 1) * i / 5).collect();
    some.dedup();
    some
}

/// Formats with five significant digits.
pub(crate) fn significant(x: f64) -> String {
    if x != 0.0 && x.is_finite() && !(1e-3..1e7).contains(&x.abs()) {
        return format!("{x:.4e}");
    }
    let whole = if x.abs() >= 1.0 { x.abs().log10() as usize } else { 0 };
    format!("{x:.*}", 4usize.saturating_sub(whole))
}
