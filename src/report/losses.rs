//! Losses of several trainings in one chart.

use super::chart::{Chart, Curve, Kind, Stroke, span};
use super::page;
use super::svg::At;
use maud::Markup;

/// The losses of one training against a quantity.
pub(super) struct Losses {
    pub name: String,
    pub train: Vec<At>,
    pub val: Vec<At>,
}

/// A section with all losses; `axis` and `unit` name the axes.
pub(super) fn section(id: &str, heading: &str, axis: &str, unit: &str, all: &[Losses]) -> Markup {
    let what = "Bold, with markers: loss on the held-out part. Thin, in the same colour: mean training loss since the report before. On a linear scale, losses \
                of the first fifth of a curve may lie above the picture.";
    let kind = wide(all.iter().flat_map(|l| [&l.train, &l.val])).unwrap_or(Kind::Late);
    let val = all.iter().enumerate().filter(|(_, l)| !l.val.is_empty()).map(|(i, l)| Curve::new(&l.name, i, Stroke::Marked, l.val.iter().copied()));
    let train = all.iter().enumerate().map(|(i, l)| Curve::new(if l.val.is_empty() { &l.name } else { "" }, i, Stroke::Thin, l.train.iter().copied()));
    let chart = Chart::new(id, heading, unit, kind, val.chain(train).collect()).over(Kind::FromZero, axis);
    page::section(heading, what, &chart.figure(""))
}

/// A logarithmic axis, if one of the curves would flatten all others.
pub(super) fn wide<'a>(curves: impl Iterator<Item = &'a Vec<At>>) -> Option<Kind> {
    let highest = |c: &Vec<At>| c.iter().map(|p| p.1).filter(|y| y.is_finite()).fold(0.0, f64::max);
    let (lo, hi) = span(curves.map(highest).filter(|y| *y > 0.0));
    (hi > 20.0 * lo).then_some(Kind::Log)
}
