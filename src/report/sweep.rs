//! The page of the lab: decay against spectral radius.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format;
use super::page::{self, cell};
use crate::analysis::flow::sweep::{Family, Point, Sweep};
use crate::model::Activation;

/// One self-contained page.
pub fn html(s: &Sweep) -> String {
    let what = format!(
        "Fresh models without biases: {}, {}. Text: {}. {} each were followed back over {}. Device: {}.",
        format::plural(s.layers.into(), "layer", "layers"),
        format::plural(s.hidden.into(), "unit", "units"),
        s.text,
        format::plural(s.places.into(), "loss", "losses"),
        format::plural(s.lags.len() as u64 - 1, "step", "steps"),
        s.device
    );
    let mut activations: Vec<Activation> = s.points.iter().map(|p| p.activation).collect();
    activations.dedup();
    let each = activations.iter().map(|a| profiles(s, *a)).collect::<String>();
    page::document("Decay of the gradient against theory", &(page::paragraph("text", &what) + &decay(s) + &each + &table(s)))
}

/// Points that are drawn, by family, of one activation.
fn points(s: &Sweep, activation: Activation, family: Family) -> impl Iterator<Item = &Point> {
    s.points.iter().filter(move |p| p.activation == activation && p.family == family)
}

fn decay(s: &Sweep) -> String {
    let mut lines = Vec::new();
    let mut series = 0;
    for activation in [Activation::Identity, Activation::Tanh, Activation::Relu] {
        for family in Family::ALL {
            let at: Vec<(f64, f64)> = points(s, activation, family).map(|p| (p.spectral_radius, p.decay_rate)).collect();
            if !at.is_empty() {
                series += 1;
                lines.push(Curve { name: format!("{}, {family}", activation.name()), points: at, band: Vec::new(), stroke: Stroke::Marked, series });
            }
        }
    }
    let radii = s.points.iter().map(|p| p.spectral_radius).filter(|r| r.is_finite());
    let (lo, hi) = radii.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), r| (lo.min(r), hi.max(r)));
    lines.push(Curve { name: "theory".to_string(), points: vec![(lo, lo), (hi, hi)], band: Vec::new(), stroke: Stroke::Thin, series: 0 });
    let lost = s.points.iter().filter(|p| !p.decay_rate.is_finite()).count();
    let lost = if lost == 0 {
        String::new()
    } else {
        format!("{} exploded out of the range of numbers and are not drawn; the table names them.", format::plural(lost as u64, "model", "models"))
    };
    let seen = "Linear nets lie on the line: there the gradient is multiplied by the spectral radius a step. A squashing activation makes it smaller, the more, the larger the states are: \
                a large radius saturates the units, which then stop the gradient.";
    let [id, title, x, y] = ["decay", "Measured decay against spectral radius", "spectral radius of W_hh", "factor a step, measured"].map(String::from);
    let chart = Chart { id, title, described: format!("{seen} {lost}"), x, y, kind: Kind::FromZero, curves: lines, level: None, whole: false, height: 340.0 };
    let what = "Each marker is a fresh model. The theory for a linear net: |dL(t)/dh(t−k)| changes as the k-th power of the spectral radius.";
    page::section("Measured decay against theory", what, &page::figure("Decay", &chart.draw_over(Kind::Linear), &[seen.to_string(), lost]))
}

/// Profiles of the orthogonal family, and the theory's powers.
fn profiles(s: &Sweep, activation: Activation) -> String {
    let mut lines = Vec::new();
    let all: Vec<&Point> = points(s, activation, Family::Orthogonal).collect();
    // Few enough to be told apart.
    let every = all.len().div_ceil(7).max(1);
    for (i, p) in all.iter().step_by(every).enumerate() {
        let lags = || s.lags.iter().map(|k| f64::from(*k));
        let measured = lags().zip(p.log10_median.iter().map(|x| 10f64.powf(*x))).collect();
        lines.push(Curve { name: format!("radius {}", p.radius), points: measured, band: Vec::new(), stroke: Stroke::Marked, series: i });
        let theory = lags().map(|k| (k, p.spectral_radius.powf(k))).collect();
        lines.push(Curve { name: format!("{}^k", p.radius), points: theory, band: Vec::new(), stroke: Stroke::Thin, series: i });
    }
    if lines.is_empty() {
        return String::new();
    }
    let heading = format!("Profiles: {}, orthogonal", activation.name());
    let seen = "Strong lines: median of what is measured. Thin lines: the k-th power of the spectral radius.".to_string();
    let [x, y] = ["lag k, steps", "|dL(t)/dh(t−k)| / |dL(t)/dh(t)|, ratio"].map(String::from);
    let (id, described) = (format!("profiles-{}", activation.name()), seen.clone());
    let chart = Chart { id, title: heading.clone(), described, x, y, kind: Kind::Log, curves: lines, level: None, whole: true, height: 280.0 };
    page::section(&heading, "", &page::figure(&heading, &chart.draw(), &[seen]))
}

fn table(s: &Sweep) -> String {
    let head = ["Activation, initialisation", "Radius asked for", "Spectral radius", "Spectral norm", "Factor a step", "Fit", "Saturated", "Verdict"]
        .map(str::to_string);
    let row = |p: &Point| {
        let verdict = if p.decay_rate.is_finite() { format!("{:?}", p.verdict).to_lowercase() } else { "not finite".to_string() };
        let saturated = format!("{} %", format::fixed(100.0 * p.saturation, 1));
        let cells = [
            format::number(p.radius),
            format::number(p.spectral_radius),
            format::number(p.spectral_norm),
            format::number(p.decay_rate),
            format::number(p.decay_fit),
            saturated,
            verdict,
        ];
        (format!("{}, {}", p.activation.name(), p.family), cells.iter().map(|c| cell(c)).collect())
    };
    let rows: Vec<_> = s.points.iter().map(row).collect();
    page::section("All models", "", &page::figure("All models", &page::table(&head, &rows), &[]))
}
