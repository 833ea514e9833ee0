//! The page of a sweep: decay against spectral radius.

use super::chart::{Chart, Curve, Kind, Stroke, span};
use super::format::{number, percent, plural};
use super::page::{document, section, table};
use crate::analysis::flow::sweep::{Family, Point, Sweep};
use crate::model::Activation;
use maud::{Markup, html};

/// Most profiles in a chart.
const PROFILES: usize = 7;

/// One self-contained page.
pub fn html(s: &Sweep) -> String {
    let mut activations: Vec<Activation> = s.points.iter().map(|p| p.activation).collect();
    activations.dedup();
    let body = html! {
        p {
            "Fresh models without biases: " (plural(s.layers, "layer", "layers")) ", " (plural(s.hidden, "unit", "units")) ". Text: " (s.text) ". "
            (plural(s.places, "loss", "losses")) " each were followed back over " (plural(s.lags.len() as u64 - 1, "step", "steps")) ". Device: " (s.device) "."
        }
        (decay(s, &activations))
        @for activation in activations { (profiles(s, activation)) }
        (all(s))
    };
    document("", "Decay of the gradient against theory", &body)
}

/// Models of one family and activation.
fn points(s: &Sweep, activation: Activation, family: Family) -> impl Iterator<Item = &Point> {
    s.points.iter().filter(move |p| p.activation == activation && p.family == family)
}

fn decay(s: &Sweep, activations: &[Activation]) -> Markup {
    let kinds = activations.iter().flat_map(|a| Family::ALL.map(|f| (*a, f)));
    let line = |(i, (a, f)): (usize, (Activation, Family))| {
        Curve::new(format!("{}, {f}", a.name()), i + 1, Stroke::Marked, points(s, a, f).map(|p| (p.spectral_radius, p.decay_rate)))
    };
    let (lo, hi) = span(s.points.iter().map(|p| p.spectral_radius).filter(|r| r.is_finite()));
    let theory = Curve::new("theory", 0, Stroke::Thin, [(lo, lo), (hi, hi)]);
    let lines = kinds.enumerate().map(line).chain([theory]).collect();
    let chart = Chart::new("decay", "Measured decay against spectral radius", "factor a step, measured", Kind::FromZero, lines);
    let chart = Chart { height: 340.0, ..chart.over(Kind::Linear, "spectral radius of W_hh") };
    let what = "Each marker is a fresh model. The theory for a linear net: |dL(t)/dh(t−k)| changes as the k-th power of the spectral radius.";
    let caption = "Linear nets lie on the line: there the gradient is multiplied by the spectral radius a step. A squashing activation makes it smaller, the more, the \
                   larger the states are: a large radius saturates the units, which then stop the gradient. Models that exploded out of the range of numbers are \
                   crosses; the table names them.";
    section("Measured decay against theory", what, &chart.figure(caption))
}

/// Profiles of the orthogonal family, and the powers that theory predicts.
fn profiles(s: &Sweep, activation: Activation) -> Markup {
    let all: Vec<&Point> = points(s, activation, Family::Orthogonal).collect();
    let lags = || s.lags.iter().map(|k| f64::from(*k));
    let both = |(i, p): (usize, &&Point)| {
        let measured = lags().zip(p.log10_median.iter().map(|x| 10f64.powf(*x)));
        let theory = lags().map(|k| (k, p.spectral_radius.powf(k)));
        [Curve::new(format!("radius {}", p.radius), i, Stroke::Marked, measured), Curve::new("", i, Stroke::Thin, theory)]
    };
    let lines: Vec<Curve> = all.iter().step_by(all.len().div_ceil(PROFILES).max(1)).enumerate().flat_map(both).collect();
    let heading = format!("Profiles: {}, orthogonal", activation.name());
    let chart = Chart::new(&format!("profiles-{}", activation.name()), &heading, "|dL(t)/dh(t−k)| / |dL(t)/dh(t)|, ratio", Kind::Log, lines);
    let caption = "Strong lines: median of what is measured. Thin lines of the same colour: the k-th power of the spectral radius.";
    section(&heading, "", &chart.over(Kind::FromZero, "lag k, steps").figure(caption))
}

fn all(s: &Sweep) -> Markup {
    let head = ["Activation, initialisation", "Radius asked for", "Spectral radius", "Spectral norm", "Factor a step", "Fit", "Saturated", "Verdict"];
    let row = |p: &Point| {
        let mut cells: Vec<String> = [p.radius, p.spectral_radius, p.spectral_norm, p.decay_rate, p.decay_fit].map(number).into();
        cells.push(percent(p.saturation));
        cells.push(if p.decay_rate.is_finite() { format!("{:?}", p.verdict).to_lowercase() } else { "exploded".to_string() });
        (format!("{}, {}", p.activation.name(), p.family), cells)
    };
    section("All models", "", &table("All models", &head, &s.points.iter().map(row).collect::<Vec<_>>()))
}
