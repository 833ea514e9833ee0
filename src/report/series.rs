//! Forecasts of series against the truth: a chart per target, and the errors beside those of forecasts that need no model.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format::{self, ABSENT, count, number, plural};
use super::page::{GENERATOR, document, section, table};
use crate::forecast::{Band, Drawn, Errors, METHODS, Method, Outcome, Part, Score, scaled, shown, worse};
use maud::{Markup, html};

/// Most targets drawn, and most series and targets in the table of each.
const DRAWN: usize = 12;
const LISTED: usize = 40;

/// A page on forecasts alone.
pub fn html(title: &str, introduction: &str, outcome: &Outcome) -> String {
    document(GENERATOR, title, &html! { p { (introduction) } (sections(outcome)) })
}

/// Charts and figures.
pub(super) fn sections(outcome: &Outcome) -> Markup {
    let what = "Each row of the series as it was, and as it was forecast from the rows before it; the model has seen none of them in training, if they are \
                the held-out tail of time.";
    let all = outcome.drawn.len();
    let body = html! {
        @for (i, d) in outcome.drawn.iter().take(DRAWN).enumerate() { (picture(i, d)) }
        @if all > DRAWN { p.note { "The first " (DRAWN) " of " (all) " targets are drawn; the table below tells of all." } }
    };
    html! { (section("Forecast against truth", what, &body)) (errors(&outcome.score)) (bands(&outcome.score)) (by_series(&outcome.score)) }
}

fn picture(i: usize, d: &Drawn) -> Markup {
    let curve = |name: String, series: usize, stroke: Stroke, values: &[Option<f64>]| {
        Curve::new(name, series, stroke, values.iter().enumerate().filter_map(|(i, y)| Some(((d.from + i) as f64, (*y)?))))
    };
    let mut curves = vec![curve("truth".to_string(), 0, Stroke::Plain, &d.truth)];
    for (i, ((h, values), series)) in d.ahead.iter().zip([2, 1]).enumerate() {
        let plain = curve(plural(*h, "row", "rows") + " ahead", series, Stroke::Marked, values);
        // The band of the first alone: two would hide each other.
        curves.push(Curve { band: if i == 0 { band(d.bands.first(), values) } else { Vec::new() }, ..plain });
    }
    if !d.coming.is_empty() {
        // Begins where the truth ends, so that a single row to come is visible too.
        let mut values = vec![None; d.truth.len().saturating_sub(1)];
        values.push(d.truth.last().copied().flatten());
        values.extend(&d.coming);
        let mut own = vec![None; d.truth.len().saturating_sub(1)];
        own.push(d.truth.last().copied().flatten().map(|x| (x, x)));
        own.extend(d.bands.last().into_iter().flatten());
        let coming = curve("rows to come".to_string(), 3, Stroke::Marked, &values);
        curves.push(Curve { band: band(d.bands.last().map(|_| &own), &values), ..coming });
    }
    let whose = d.series.as_ref().map_or(d.target.clone(), |s| format!("{} of {s}", d.target));
    let chart = Chart::new(&format!("forecast-{i}"), &format!("Forecast of {whose}"), &d.target, Kind::Linear, curves);
    let mut chart = chart.over(Kind::Linear, if d.row_times.is_empty() { "row of the series" } else { "time" });
    if !d.row_times.is_empty() {
        let (times, from) = (d.row_times.clone(), d.from);
        chart.label = Box::new(move |row| place(&times, from, row));
    }
    html! { h3 { (whose) } (chart.figure(&seen(d))) }
}

/// The ends of the band at each point of a curve, if it has one everywhere.
fn band(ends: Option<&Vec<Option<(f64, f64)>>>, values: &[Option<f64>]) -> Vec<(f64, f64)> {
    let there = |ends: &Vec<Option<(f64, f64)>>| values.iter().zip(ends).filter(|(y, _)| y.is_some()).map(|(_, ends)| *ends).collect::<Option<Vec<_>>>();
    ends.and_then(there).unwrap_or_default()
}

/// The time of a row, or the number of rows by which it follows the last one.
fn place(times: &[String], from: usize, row: f64) -> String {
    let i = row - from as f64;
    match times.get(i.max(0.0) as usize) {
        _ if i < 0.0 => String::new(),
        Some(time) => time.clone(),
        None => format!("+{}", format::short(i + 1.0 - times.len() as f64)),
    }
}

/// The rows that a chart shows.
fn seen(d: &Drawn) -> String {
    let to = d.from + d.truth.len().saturating_sub(1);
    let mut seen = format!("Rows {} to {}", count(d.from as u64), count(to as u64));
    if let Some([first, last]) = &d.times {
        seen += &format!(", from {first} to {last}");
    }
    // The chart has rows at its ends that not every horizon is scored on, so only the table shows errors.
    seen += ". Errors are in the table below.";
    if let Some((most, _)) = d.ahead.last().filter(|(h, _)| *h > 2) {
        seen += &format!(" Forecasts 2 to {} rows ahead are not drawn.", most - 1);
    }
    if !d.coming.is_empty() {
        seen += &format!(" At the right {} to come.", plural(d.coming.len() as u64, "row", "rows"));
    }
    seen
}

/// A figure of some errors, if there are any.
fn figure(errors: Option<Errors>, of: fn(&Errors) -> f64) -> String {
    errors.map_or(ABSENT.to_string(), |e| number(of(&e)))
}

fn errors(score: &Score) -> Markup {
    let head = ["target", "ahead", "RMSE", "naive", "seasonal naive", "MAE", "naive", "seasonal naive"];
    let mut rows = Vec::new();
    for (j, name) in score.targets.iter().enumerate() {
        let mut row = |ahead: String, errors: &dyn Fn(Method) -> Option<Errors>| {
            let figures = [Errors::rmse as fn(&Errors) -> f64, Errors::mae].into_iter().flat_map(|of| METHODS.map(|m| figure(errors(m), of)));
            rows.push((name, [ahead].into_iter().chain(figures).collect()));
        };
        if score.horizon > 1 {
            shown(score.horizon).into_iter().for_each(|h| row(h.to_string(), &|m| score.at(m, j, h)));
        }
        row(if score.horizon > 1 { format!("1 to {}", score.horizon) } else { "1".to_string() }, &|m| score.of_target(m, j));
    }
    let season = match score.season {
        Some(n) => format!("seasonal naive takes the value {} before, or as many such seasons as it takes for it to be known", plural(n, "row", "rows")),
        None => "there is no season that all forecasts could look back to".to_string(),
    };
    let left = match shown(score.horizon).len() {
        n if n < score.horizon as usize => format!(" Of {} horizons {n} are shown; `retrograd eval --json` gives all.", score.horizon),
        _ => String::new(),
    };
    let what = format!(
        "In the units of the series, over {}. Naive takes the last value known; {season}. RMSE is the root of the mean squared error, MAE the mean \
         absolute error.{left}",
        plural(score.steps, "step", "steps")
    );
    section("Errors", &what, &table("Errors", &head, &rows))
}

/// How often the truth lies in the bands between quantiles, and how wide these are.
fn bands(score: &Score) -> Markup {
    let Some(quantiles) = &score.quantiles else { return html! {} };
    let row = |b: &Band| {
        let share = |x: f64| format!("{:.1}%", 100.0 * x);
        let levels = format!("{} to {}", b.levels[0], b.levels[1]);
        (b.target.clone(), vec![levels, share(b.nominal()), share(b.coverage()), number(b.width())])
    };
    let what = "The band between a low and a high quantile holds the truth in the share of rows that should lie there, if its forecasts are calibrated.";
    let head = ["target", "levels", "should hold", "holds", "mean width"];
    section("Bands", what, &table("Bands", &head, &quantiles.bands.iter().map(row).collect::<Vec<_>>()))
}

/// Each target of each series, if there are several, the worst relative to naive first.
fn by_series(score: &Score) -> Markup {
    let mut parts = score.parts();
    if parts.len() < 2 {
        return html! {};
    }
    let mean = |figure: fn(&Errors) -> f64| scaled(&parts, figure).map_or(ABSENT.to_string(), number);
    let what = format!(
        "Root mean square errors, and the model's as a multiple of naive's: below 1 the model is better. The mean multiple is {}, of mean absolute errors {}. \
         A forecast without a model is better for {} of {}. At most {LISTED} are listed, the worst first; `retrograd eval --json` gives all.",
        mean(Errors::rmse),
        mean(Errors::mae),
        worse(&parts).len(),
        parts.len()
    );
    let key = |p: &Part<'_>| p.scaled(Errors::rmse).map_or(f64::NEG_INFINITY, |x| if x.is_nan() { f64::INFINITY } else { x });
    parts.sort_by(|a, b| key(b).total_cmp(&key(a)));
    let row = |p: &Part<'_>| {
        let mut cells: Vec<String> = METHODS.iter().map(|m| figure(p.of(*m), Errors::rmse)).collect();
        cells.push(p.scaled(Errors::rmse).map_or(ABSENT.to_string(), number));
        (p.name(), cells)
    };
    let title = if parts[0].series.is_some() { "Errors by series" } else { "Errors by target" };
    let head = ["target", "RMSE", "naive", "seasonal naive", "of naive"];
    section(title, &what, &table(title, &head, &parts.iter().take(LISTED).map(row).collect::<Vec<_>>()))
}
