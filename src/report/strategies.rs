//! What the parts of a comparison's page ask of its strategies.

use super::svg::{escape, swatch};
use crate::analysis::comparison::{Comparison, Strategy};

/// The strategy that the others are measured by.
pub(super) fn full(c: &Comparison) -> Option<&Strategy> {
    c.strategies.iter().find(|s| s.truncation == "full")
}

/// The validation loss at the end, if there is one.
pub(super) fn ending(s: &Strategy) -> Option<f64> {
    s.val_loss.filter(|x| x.is_finite())
}

/// Validation loss above that of `full`, if both have one.
pub(super) fn above_full(c: &Comparison, s: &Strategy) -> Option<f64> {
    Some(ending(s)? - ending(full(c)?)?)
}

/// The name of a strategy with its line, for tables.
pub(super) fn named(i: usize, s: &Strategy) -> String {
    swatch(i) + &escape(&s.truncation)
}

/// The strategies with the least and the greatest of a figure, among those where it is finite.
pub(super) fn extremes(c: &Comparison, figure: fn(&Strategy) -> f64) -> Option<(&Strategy, &Strategy)> {
    let finite = || c.strategies.iter().filter(|s| figure(s).is_finite());
    let least = finite().min_by(|a, b| figure(a).total_cmp(&figure(b)))?;
    let greatest = finite().max_by(|a, b| figure(a).total_cmp(&figure(b)))?;
    Some((least, greatest))
}
