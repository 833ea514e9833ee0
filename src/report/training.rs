//! The sections of a run's training: loss, right answers, gradient norm and clipping, learning rate, speed.

use super::chart::{Chart, Curve, Kind, Stroke, span};
use super::format::{count, percent};
use super::page::section;
use super::svg::At;
use crate::analysis::recorded::Recorded;
use crate::metrics_log::Figures;
use crate::optimizer::Clip;
use crate::run::Unit;
use maud::{Markup, html};

pub(super) fn sections(r: &Recorded) -> Markup {
    if r.history.reports.is_empty() {
        let why = "No report of training is recorded: the run has not come to its first update, or its metrics.jsonl is missing.";
        return section("Loss", why, &html! {});
    }
    html! { (loss(r)) (accuracy(r)) (norm(r)) (rate(r)) (speed(r)) }
}

/// A figure of each report.
fn reports(r: &Recorded, y: fn(&Figures) -> f64) -> impl Iterator<Item = At> {
    r.history.reports.iter().map(move |f| (f.update as f64, y(f)))
}

fn loss(r: &Recorded) -> Markup {
    let unit = Unit::of(&r.config);
    let mut curves = vec![Curve::new("training, mean", 1, Stroke::Plain, reports(r, |f| f.mean_loss))];
    if !r.history.validations.is_empty() {
        curves.insert(0, Curve::new("validation", 2, Stroke::Marked, r.history.validations.iter().map(|v| (v.update as f64, v.loss))));
    }
    let all = reports(r, |f| f.mean_loss).map(|p| p.1).chain(r.history.validations.iter().map(|v| v.loss));
    let (lo, hi) = span(all.filter(|y| y.is_finite()));
    // An exploding loss would flatten the rest.
    let kind = if lo > 0.0 && hi / lo > 20.0 { Kind::Log } else { Kind::Linear };
    let what = format!(
        "Mean training loss since the report before; with markers, loss on the held-out part, if anything is held out (--val-fraction, --val-every). {}",
        unit.explained()
    );
    section("Loss", &what, &Chart::new("loss", "Loss", unit.axis(), kind, curves).figure(""))
}

/// The share of right answers, if there are answers.
fn accuracy(r: &Recorded) -> Markup {
    let all: Vec<At> = r.history.validations.iter().filter_map(|v| Some((v.update as f64, 100.0 * v.accuracy?))).collect();
    if all.is_empty() {
        return html! {};
    }
    let y = format!("% of the held-out {}", Unit::of(&r.config).scored());
    let chart = Chart::new("accuracy", "Right answers", &y, Kind::FromZero, vec![Curve::new("right", 3, Stroke::Marked, all)]);
    let level = r.figure("chance_accuracy").map(|c| (100.0 * c, "by chance".to_string()));
    section("Right answers", "The share of held-out ones that are named right.", &Chart { level, ..chart }.figure(""))
}

fn norm(r: &Recorded) -> Markup {
    let norms = Curve::new("norm", 1, Stroke::Plain, reports(r, |f| f.norm));
    let mut chart = Chart::new("norm", "Gradient norm", "global norm of the last window's gradient", Kind::Log, vec![norms]);
    let clipping = match r.config.training.clip() {
        Clip::None => "There was no clipping (--clip-norm 0).".to_string(),
        Clip::Value(v) => format!("Each gradient was clamped to ±{v} by itself (--clip-value), so that no clipped updates are counted."),
        Clip::Norm(most) => {
            chart.level = Some((f64::from(most), format!("--clip-norm {most}")));
            let clipped = r.history.reports.iter().filter_map(|f| f.clipped).reduce(u64::saturating_add);
            clipped.map_or("How many updates were clipped is not recorded.".to_string(), |n| share(r, n) + " were clipped.")
        }
    };
    let skipped = share(r, r.history.reports.iter().map(|f| f.skipped).fold(0, u64::saturating_add));
    let what = "Norm over all parameters, before clipping, of the window at each report. Above the dotted line it is scaled down to it.";
    section("Gradient norm and clipping", what, &chart.figure(&format!("{clipping} {skipped} were skipped because a gradient was not finite.")))
}

/// A number of updates, and its share of all.
fn share(r: &Recorded, n: u64) -> String {
    let all = r.history.reports.last().map_or(0, |f| f.update);
    format!("{} of {} updates ({})", count(n), count(all), percent(n as f64 / all.max(1) as f64))
}

fn rate(r: &Recorded) -> Markup {
    let what = format!("Schedule {}, {} updates of warm-up, --lr {}.", r.config.training.schedule, count(r.config.training.warmup), r.config.training.lr);
    section("Learning rate", &what, &low("rate", "Learning rate", "learning rate", 3, reports(r, |f| f.learning_rate)))
}

fn speed(r: &Recorded) -> Markup {
    let unit = format!("{} per second", Unit::of(&r.config).scored());
    section("Throughput", "Of training alone: without set-up, validation, samples and saving.", &low("speed", "Throughput", &unit, 0, reports(r, |f| f.speed)))
}

/// A low chart of one curve.
fn low(id: &str, title: &str, y: &str, series: usize, points: impl Iterator<Item = At>) -> Markup {
    let chart = Chart::new(id, title, y, Kind::FromZero, vec![Curve::new("", series, Stroke::Plain, points)]);
    Chart { height: 140.0, ..chart }.figure("")
}
