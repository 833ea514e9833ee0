//! What `--monitor` has recorded: the gradient by lag, updates against weights, saturation.

use super::chart::{Chart, Kind, Stroke};
use super::heat::Heat;
use super::training::{chart, curve, figure};
use super::{format, page};
use crate::analysis::recorded::Recorded;
use crate::model::layer_name;
use crate::run::{LayerProfile, Monitored, ParameterFigures};
use crate::store::torch_name;

pub(super) fn sections(r: &Recorded) -> String {
    let all = &r.history.monitored;
    let Some(last) = all.last() else {
        let how = "Lag profiles of the gradient, the size of updates against that of weights, and the share of saturated units are not recorded for this run. \
                   Train with `--monitor 50` to have them recorded every 50 updates.";
        return page::section("Gradient by lag", "", &page::prose("text", how));
    };
    [profiles(all, last), parameters(all, last), saturation(all, last)].concat()
}

/// The name of a layer, where there are several.
fn layer(k: usize, of: usize) -> String {
    if of == 1 { "layer".to_string() } else { layer_name(k) }
}

/// A figure of every layer over the updates.
fn layers(all: &[Monitored], last: &Monitored, figure: fn(&LayerProfile) -> f64) -> Vec<super::chart::Curve> {
    let points = |k: usize| all.iter().filter_map(|m| Some((m.update as f64, figure(m.layers.get(k)?)))).collect();
    (0..last.layers.len()).map(|k| curve(&layer(k, last.layers.len()), k + 1, Stroke::Marked, points(k))).collect()
}

fn profiles(all: &[Monitored], last: &Monitored) -> String {
    let what = "How much of the gradient is left k steps back: |dL_t/dh_{t-k}| / |dL_t/dh_t|, the median over many t and lanes. Full blue is 1, all of it; \
                the fainter, the less; orange is more than 1.";
    let count = last.layers.len();
    // Other lags than the last one's are of a run that went on with another setting.
    let alike: Vec<&Monitored> = all.iter().filter(|m| m.lags == last.lags).collect();
    let heat = |k: usize| {
        let title = format!("Gradient by lag{}", if count == 1 { String::new() } else { format!(", {}", layer(k, count)) });
        let columns = alike.iter().filter_map(|m| Some((m.update, &m.layers.get(k)?.median[..]))).collect();
        let seen = fades(last, k);
        let heading = if count == 1 { String::new() } else { format!("<h3>{}</h3>\n", layer_name(k).replacen('l', "L", 1)) };
        let picture = Heat { id: format!("lags-{k}"), title: title.clone(), described: seen.clone(), lags: &last.lags, columns };
        heading + &page::figure(&title, &picture.draw(), &[seen])
    };
    let heats: String = (0..count).map(heat).collect();
    page::section("Gradient by lag", what, &(heats + &ending(last) + &half_lives(all, last)))
}

/// How the last profile of a layer fades, in words.
fn fades(last: &Monitored, k: usize) -> String {
    let Some(l) = last.layers.get(k) else { return String::new() };
    let end = last.lags.last().zip(l.median.last());
    let left = end.map_or(String::new(), |(lag, x)| {
        let left = match *x {
            0.0 => "nothing is left".to_string(),
            x if x.is_finite() => format!("{} times as much is left", format::number(x)),
            _ => "it is not finite".to_string(),
        };
        format!(" {} steps back {left}.", format::count(*lag))
    });
    let half = if l.half_life.is_finite() { format!("it halves in {} steps", format::number(l.half_life)) } else { "it does not halve".to_string() };
    format!("At update {}: each step back multiplies the gradient by {}, {half}.{left}", format::count(last.update), format::number(l.decay_rate))
}

/// The last profile, with its spread.
fn ending(last: &Monitored) -> String {
    let profile = |(k, l): (usize, &LayerProfile)| {
        let points = last.lags.iter().zip(&l.median).map(|(lag, x)| (*lag as f64, *x)).collect();
        let mut c = curve(&layer(k, last.layers.len()), k + 1, Stroke::Marked, points);
        c.band = l.low.iter().copied().zip(l.high.iter().copied()).collect();
        c
    };
    let title = format!("Lag profile at update {}", format::count(last.update));
    let curves = last.layers.iter().enumerate().map(profile).collect();
    let mut picture: Chart = chart("profile", &title, "ratio, with its spread as a band", Kind::Log, curves, "");
    (picture.x, picture.described) = ("lag, steps back".to_string(), (0..last.layers.len()).map(|k| fades(last, k)).collect::<Vec<_>>().join(" "));
    format!("<h3>{title}</h3>\n{}", figure(&picture, &[]))
}

fn half_lives(all: &[Monitored], last: &Monitored) -> String {
    let mut picture = chart("half-life", "Half-life of the gradient", "steps back in which it halves", Kind::Log, layers(all, last, |l| l.half_life), "");
    picture.height = 160.0;
    let why = "Where the gradient does not fade, there is no half-life.".to_string();
    format!("<h3>{}</h3>\n{}", picture.title, figure(&picture, &[if picture.lost() > 0 { why } else { String::new() }]))
}

/// A figure of every parameter over the updates.
fn over(all: &[Monitored], last: &Monitored, value: fn(&ParameterFigures) -> f64) -> Vec<super::chart::Curve> {
    let of = |name: &str| all.iter().filter_map(|m| Some((m.update as f64, value(m.parameters.iter().find(|p| p.name == name)?)))).collect();
    last.parameters.iter().enumerate().map(|(i, p)| curve(&torch_name(&p.name), i, Stroke::Marked, of(&p.name))).collect()
}

fn parameters(all: &[Monitored], last: &Monitored) -> String {
    if last.parameters.is_empty() {
        return String::new();
    }
    let mut ratios = chart("ratios", "Updates against weights", "|change of an update| / |weights|", Kind::Log, over(all, last, |p| p.update_ratio), "");
    ratios.level = Some((1e-3, "0.001".to_string()));
    let norms = chart("norms", "Gradient norm of each parameter", "norm", Kind::Log, over(all, last, |p| p.grad_norm), "");
    let what = "How far one update moves each parameter, against its size. A ratio around 0.001 is a common rule of thumb: far above it training is apt to be \
                unstable, far below it is slow. Biases begin at 0, so that their first ratios are large.";
    page::section(&ratios.title, what, &figure(&ratios, &[])) + &page::section(&norms.title, "", &figure(&norms, &[]))
}

fn saturation(all: &[Monitored], last: &Monitored) -> String {
    let percent = layers(all, last, |l| 100.0 * l.saturation);
    let mut picture = chart("saturation", "Saturation", "% of the units", Kind::FromZero, percent, "");
    picture.height = 160.0;
    page::section("Saturation", "The share of units whose activation is so near its end that next to no gradient passes.", &figure(&picture, &[]))
}
