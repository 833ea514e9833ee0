//! The sections of `--monitor`: the gradient by lag, updates against weights, saturation.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format::{self, count, number, percent};
use super::heat::Heat;
use super::page::{section, table};
use crate::analysis::recorded::Recorded;
use crate::metrics_log::{LayerProfile, Monitored, ParameterFigures};
use crate::model::{Cell, layer_name};
use crate::store::torch_name;
use maud::{Markup, html};

pub(super) fn sections(r: &Recorded) -> Markup {
    let all = &r.history.monitored;
    let Some(last) = all.last() else {
        let how = "Lag profiles of the gradient, the size of updates against that of weights, and the share of saturated units are not recorded for this run. \
                   Train with --monitor 50 to have them recorded every 50 updates.";
        return section("Gradient by lag", how, &html! {});
    };
    let cell = r.config.training.cell;
    html! { (profiles(all, last, cell)) (parameters(all, last)) (saturation(all, last, cell)) }
}

/// A figure of each layer over the updates.
fn layers(all: &[Monitored], last: &Monitored, figure: fn(&LayerProfile) -> f64) -> Vec<Curve> {
    let points = |k: usize| all.iter().filter_map(move |m| Some((m.update as f64, figure(m.monitor.layers.get(k)?))));
    (0..last.monitor.layers.len()).map(|k| Curve::new(layer_name(k), k + 1, Stroke::Marked, points(k))).collect()
}

fn profiles(all: &[Monitored], last: &Monitored, cell: Cell) -> Markup {
    let what = "How much of the gradient is left k steps back: |dL_t/dh_{t-k}| / |dL_t/dh_t|, the median over many t and lanes. Full blue is 1, all of it; \
                the fainter, the less; orange is more than 1, grey not finite.";
    // Lags other than the last one's are from a run that continued with another setting.
    let alike: Vec<&Monitored> = all.iter().filter(|m| m.monitor.lags == last.monitor.lags).collect();
    let heat = |k: usize| {
        let columns = alike.iter().filter_map(|m| Some((m.update, &m.monitor.layers.get(k)?.median[..]))).collect();
        Heat { id: format!("lags-{k}"), title: format!("Gradient by lag, {}", layer_name(k)), lags: &last.monitor.lags, columns }.figure()
    };
    let profile = |(k, l): (usize, &LayerProfile)| {
        let points = last.monitor.lags.iter().zip(&l.median).map(|(lag, x)| (*lag as f64, *x));
        Curve { band: l.low.iter().copied().zip(l.high.iter().copied()).collect(), ..Curve::new(layer_name(k), k + 1, Stroke::Marked, points) }
    };
    let title = format!("Lag profile at update {}", count(last.update));
    let curves = last.monitor.layers.iter().enumerate().map(profile).collect();
    let ending = Chart::new("profile", &title, "ratio, with its spread as a band", Kind::Log, curves).over(Kind::FromZero, "lag, steps back");
    let half = Chart::new("half-life", "Half-life of the gradient", "steps back in which it halves", Kind::Log, layers(all, last, |l| l.half_life));
    let row = |(k, l): (usize, &LayerProfile)| (layer_name(k), vec![number(l.decay_rate), number(l.half_life), percent(l.saturation)]);
    let saturated = format!("saturated {}", format::saturated(cell)[1]);
    let head = ["layer", "factor a step back", "half-life, steps", &saturated];
    let body = html! {
        @for k in 0..last.monitor.layers.len() { h3 { "Layer " (k) } (heat(k)) }
        h3 { "At update " (count(last.update)) }
        (table("Layers", &head, &last.monitor.layers.iter().enumerate().map(row).collect::<Vec<_>>()))
        (ending.figure(""))
        h3 { "Half-life of the gradient" }
        (Chart { height: 160.0, ..half }.figure("Where the gradient does not fade, there is no half-life."))
    };
    section("Gradient by lag", what, &body)
}

/// A figure of each parameter over the updates.
fn over(all: &[Monitored], last: &Monitored, value: fn(&ParameterFigures) -> f64) -> Vec<Curve> {
    let of = |name: &str| all.iter().filter_map(|m| Some((m.update as f64, value(m.monitor.parameters.iter().find(|p| p.name == name)?)))).collect::<Vec<_>>();
    last.monitor.parameters.iter().enumerate().map(|(i, p)| Curve::new(torch_name(&p.name), i, Stroke::Marked, of(&p.name))).collect()
}

fn parameters(all: &[Monitored], last: &Monitored) -> Markup {
    let ratios = Chart::new("ratios", "Updates against weights", "|change of an update| / |weights|", Kind::Log, over(all, last, |p| p.update_ratio));
    let ratios = Chart { level: Some((1e-3, "0.001".to_string())), ..ratios };
    let norms = Chart::new("norms", "Gradient norm of each parameter", "norm", Kind::Log, over(all, last, |p| p.grad_norm));
    let what = "How far one update moves each parameter, against its size. A ratio around 0.001 is a common rule of thumb: far above it training is apt to be \
                unstable, far below it is slow. Biases begin at 0, so that their first ratios are large.";
    html! { (section("Updates against weights", what, &ratios.figure(""))) (section("Gradient norm of each parameter", "", &norms.figure(""))) }
}

fn saturation(all: &[Monitored], last: &Monitored, cell: Cell) -> Markup {
    let [one, many] = format::saturated(cell);
    let chart = Chart::new("saturation", "Saturation", &format!("% of the {many}"), Kind::FromZero, layers(all, last, |l| 100.0 * l.saturation));
    let what =
        format!("The share of {many} whose activation is so near its end that next to no gradient passes: its slope is below a tenth of the {one}'s steepest.");
    section("Saturation", &what, &Chart { height: 160.0, ..chart }.figure(""))
}
