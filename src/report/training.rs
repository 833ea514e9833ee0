//! What training recorded of itself: loss, gradient norm and clipping, learning rate, speed.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format;
use super::page;
use crate::analysis::recorded::Recorded;
use crate::optimizer::Clip;
use crate::run::{Figures, Unit};

/// Stretches whose clipped and skipped updates are drawn.
const STRETCHES: usize = 150;

const UPDATES: &str = "updates";

pub(super) fn sections(r: &Recorded) -> String {
    if r.history.reports.is_empty() {
        let why = "No report of training is recorded: the run has not come to its first update, or its metrics.jsonl is missing.";
        return page::section("Loss", why, "");
    }
    [loss(r), accuracy(r), norm(r), rate(r), speed(r)].concat()
}

fn reports(r: &Recorded, y: fn(&Figures) -> f64) -> Vec<(f64, f64)> {
    r.history.reports.iter().map(|f| (f.update as f64, y(f))).collect()
}

pub(super) fn curve(name: &str, series: usize, stroke: Stroke, points: Vec<(f64, f64)>) -> Curve {
    Curve { name: name.to_string(), series, stroke, points, band: Vec::new() }
}

/// Ends of a curve in words: where it begins and where it ends.
fn course(points: &[(f64, f64)], unit: &str) -> String {
    let at = |(update, y): &(f64, f64)| {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!("{}{unit} at update {}", format::number(*y), format::count(*update as u64))
    };
    match points {
        [] => String::new(),
        [one] => at(one),
        [first, .., last] => format!("{}, {}", at(first), at(last)),
    }
}

/// Says that there are crosses, if there are.
pub(super) fn crosses(chart: &Chart) -> String {
    match (chart.lost(), chart.kind) {
        (0, _) => String::new(),
        (n, Kind::Log) => {
            format!("Crosses at the top edge: {}, not finite or 0.", format::plural(n as u64, "figure that can't be drawn", "figures that can't be drawn"))
        }
        (n, _) => format!("Crosses at the top edge: {}.", format::plural(n as u64, "figure that is not finite", "figures that are not finite")),
    }
}

fn loss(r: &Recorded) -> String {
    let h = &r.history;
    let train = reports(r, |f| f.mean_loss);
    let val: Vec<(f64, f64)> = h.validations.iter().map(|v| (v.update as f64, v.loss)).collect();
    let unit = Unit::of(&r.config);
    let mut seen = vec![format!("Training: {}.", course(&train, unit.name()))];
    let finite = || h.validations.iter().filter(|v| v.loss.is_finite());
    match (finite().min_by(|a, b| a.loss.total_cmp(&b.loss)), finite().next_back()) {
        (Some(best), Some(last)) => {
            let also = |loss: f64| Some(unit.also(loss)).filter(|a| !a.is_empty()).map_or(String::new(), |a| format!(" ({a})"));
            let amount = |loss: f64| format!("{} {}{}", format::fixed(loss, 4), unit.name(), also(loss));
            seen.push(format!("Validation is lowest at update {}: {}.", format::count(best.update), amount(best.loss)));
            if best.update != last.update {
                seen.push(format!("It ends at {}.", amount(last.loss)));
            }
        }
        _ if h.validations.is_empty() && r.config.training.val_fraction == 0.0 => {
            seen.push("Nothing was held out for validation (--val-fraction 0).".to_string())
        }
        _ if h.validations.is_empty() => seen.push("No validation is recorded yet; --val-every makes them more frequent.".to_string()),
        _ => seen.push("No validation loss was finite.".to_string()),
    }
    let mut curves = Vec::new();
    if !val.is_empty() {
        curves.push(curve("validation", 2, Stroke::Marked, val));
    }
    curves.push(curve("training, mean", 1, Stroke::Plain, train));
    let positive = curves.iter().flat_map(|c| &c.points).map(|p| p.1).filter(|y| y.is_finite());
    let (lo, hi) = positive.fold((f64::INFINITY, 0.0f64), |(lo, hi), y| (lo.min(y), hi.max(y)));
    // A loss that explodes would leave nothing of the rest.
    let kind = if lo > 0.0 && hi / lo > 20.0 { Kind::Log } else { Kind::Linear };
    let chart = chart("loss", "Loss", unit.axis(), kind, curves, &seen.join(" "));
    let what = format!("Mean training loss since the report before; with markers, loss on the held-out part. {}", unit.explained());
    page::section("Loss", &what, &figure(&chart, &seen))
}

/// The share of right answers, where there are answers.
fn accuracy(r: &Recorded) -> String {
    let percent = |x: f64| format!("{}%", format::fixed(100.0 * x, 1));
    let all: Vec<(f64, f64)> = r.history.validations.iter().filter_map(|v| Some((v.update as f64, 100.0 * v.accuracy?))).collect();
    let (Some(last), Some(best)) = (all.last(), all.iter().map(|p| p.1).max_by(f64::total_cmp)) else { return String::new() };
    let chance = r.figure("chance_accuracy");
    let what = Unit::of(&r.config).scored();
    let guess = chance.map_or(String::new(), |c| format!("; by chance {}", percent(c)));
    let seen = [format!(
        "At update {}, {} of the held-out {what} are right (best {}){guess}.",
        format::count(last.0 as u64),
        percent(last.1 / 100.0),
        percent(best / 100.0)
    )];
    let mut picture = chart(
        "accuracy",
        "Right answers",
        &format!("% of the held-out {what}"),
        Kind::FromZero,
        vec![curve("right", 3, Stroke::Marked, all.clone())],
        &seen[0],
    );
    picture.level = chance.map(|c| (100.0 * c, "by chance".to_string()));
    page::section("Right answers", "The share of held-out ones that are named right.", &figure(&picture, &seen))
}

pub(super) fn chart(id: &str, title: &str, y: &str, kind: Kind, curves: Vec<Curve>, seen: &str) -> Chart {
    let described = format!("Curves over the updates. {seen}");
    Chart { id: id.into(), title: title.into(), described, x: UPDATES.into(), y: y.into(), kind, curves, level: None, whole: true, height: 240.0 }
}

/// The picture and what is seen, or that there is nothing to see.
pub(super) fn figure(chart: &Chart, seen: &[String]) -> String {
    let mut seen = seen.to_vec();
    if !chart.has_points() {
        seen.insert(0, "No figure of it is finite, so there is no picture.".to_string());
        return page::paragraph("text", &seen[0]);
    }
    seen.push(crosses(chart));
    page::figure(&chart.title, &chart.draw(), &seen)
}

fn norm(r: &Recorded) -> String {
    let norms = reports(r, |f| f.norm);
    let clip = r.config.training.clip();
    let mut seen = vec![format!("Norm: {}.", course(&norms, "before clipping"))];
    seen.push(match clip {
        Clip::None => "There was no clipping (--clip-norm 0).".to_string(),
        Clip::Norm(_) => String::new(),
        Clip::Value(v) => format!("Each gradient was clamped to ±{v} by itself (--clip-value), so that no clipped updates are counted."),
    });
    let mut picture =
        chart("norm", "Gradient norm", "global norm of the last window's gradient", Kind::Log, vec![curve("norm", 1, Stroke::Plain, norms)], &seen.join(" "));
    if let Clip::Norm(most) = clip {
        picture.level = Some((f64::from(most), format!("--clip-norm {most}")));
    }
    let what = "Norm over all parameters, before clipping, of the window at each report. Above the dotted line it is scaled down to it.";
    page::section("Gradient norm and clipping", what, &(figure(&picture, &seen) + &clipped(r)))
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Shares of clipped and of skipped updates.
fn clipped(r: &Recorded) -> String {
    let reports = &r.history.reports;
    let updates = r.history.reports.last().map_or(0, |f| f.update);
    // What a damaged file says may be anything.
    let [all, skipped] = [sum(reports.iter().filter_map(|f| f.clipped)), sum(reports.iter().map(|f| f.skipped))];
    let clips = matches!(r.config.training.clip(), Clip::Norm(_));
    let known = clips && reports.iter().any(|f| f.clipped.is_some());
    let share = |n: u64| format!("{}%", format::number(100.0 * n as f64 / updates.max(1) as f64));
    let mut seen = Vec::new();
    if known {
        seen.push(format!("{} of {} updates were clipped ({}).", format::count(all), format::count(updates), share(all)));
    } else if clips {
        seen.push("How many updates were clipped is not recorded: the run is of an earlier version.".to_string());
    }
    if skipped > 0 {
        seen.push(format!("{} were skipped because a gradient was not finite ({}).", format::count(skipped), share(skipped)));
    }
    if all == 0 && skipped == 0 {
        return page::paragraph("text", &seen.join(" "));
    }
    let mut curves = Vec::new();
    if known {
        curves.push(curve("clipped", 4, Stroke::Plain, shares(reports, |f| f.clipped.unwrap_or(0))));
    }
    if skipped > 0 {
        curves.push(curve("skipped", 2, Stroke::Marked, shares(reports, |f| f.skipped)));
    }
    let mut picture = chart("clipped", "Clipped updates", "% of the updates since the report before", Kind::FromZero, curves, &seen.join(" "));
    picture.height = 120.0;
    figure(&picture, &seen)
}

/// Percentages of updates in stretches of reports.
fn shares(reports: &[Figures], count: fn(&Figures) -> u64) -> Vec<(f64, f64)> {
    let mut before = 0;
    let size = reports.len().div_ceil(STRETCHES).max(1);
    let share = |stretch: &[Figures]| {
        let last = stretch.last()?.update;
        let updates = last.saturating_sub(std::mem::replace(&mut before, last)).max(1);
        Some((last as f64, (100.0 * sum(stretch.iter().map(count)) as f64 / updates as f64).min(100.0)))
    };
    reports.chunks(size).filter_map(share).collect()
}

fn rate(r: &Recorded) -> String {
    let rates = reports(r, |f| f.learning_rate);
    let what =
        format!("Schedule {}, {} updates of warm-up, --lr {}.", r.config.training.schedule, format::count(r.config.training.warmup), r.config.training.lr);
    let seen = [format!("{}.", course(&rates, ""))];
    let mut picture = chart("rate", "Learning rate", "learning rate", Kind::FromZero, vec![curve("learning rate", 3, Stroke::Plain, rates)], &seen[0]);
    picture.height = 140.0;
    page::section("Learning rate", &what, &figure(&picture, &[]))
}

fn speed(r: &Recorded) -> String {
    let speeds = reports(r, |f| f.speed);
    let mut sorted: Vec<f64> = speeds.iter().map(|p| p.1).filter(|y| y.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let unit = &format!("{} per second", Unit::of(&r.config).scored());
    let seen: Vec<String> = sorted.get(sorted.len() / 2).map(|m| format!("Median {} {unit}.", format::rounded(*m))).into_iter().collect();
    let mut picture = chart("speed", "Throughput", unit, Kind::FromZero, vec![curve("throughput", 0, Stroke::Plain, speeds)], &seen.concat());
    picture.height = 140.0;
    page::section("Throughput", "Of training alone: without set-up, validation, samples and saving.", &figure(&picture, &seen))
}
