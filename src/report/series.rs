//! Forecasts of series against the truth: a picture of each target, and how good they are beside forecasts that need no model.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format;
use super::page::{self, cell};
use super::svg::escape;
use crate::forecast::{Drawn, Errors, METHODS, Method, Outcome, Part, Score, scaled, shown, worse};

/// Most targets that are drawn.
const DRAWN: usize = 12;

/// A page of forecasts alone.
pub fn html(title: &str, introduction: &str, outcome: &Outcome) -> String {
    page::run_document(title, &(page::paragraph("text", introduction) + &sections(outcome)))
}

/// Pictures and figures.
pub(super) fn sections(outcome: &Outcome) -> String {
    let what = "Each row of the series as it was, and as it was forecast from the rows before it; the model has seen none of them in training, if they are \
                the held-out tail of time.";
    let mut body: String = outcome.drawn.iter().take(DRAWN).enumerate().map(|(i, d)| picture(i, d)).collect();
    if outcome.drawn.len() > DRAWN {
        body += &page::paragraph("note", &format!("The first {DRAWN} of {} targets are drawn; the table below tells of all.", outcome.drawn.len()));
    }
    page::section("Forecast against truth", what, &body) + &errors(&outcome.score)
}

fn ahead(h: u32) -> String {
    format!("{h} {} ahead", if h == 1 { "row" } else { "rows" })
}

fn picture(i: usize, d: &Drawn) -> String {
    let points = |values: &[Option<f64>]| -> Vec<(f64, f64)> { values.iter().enumerate().filter_map(|(i, y)| Some(((d.from + i) as f64, (*y)?))).collect() };
    let curve = |name: String, series: usize, stroke: Stroke, values: &[Option<f64>]| Curve { name, series, stroke, points: points(values), band: Vec::new() };
    let mut curves = vec![curve("truth".to_string(), 0, Stroke::Plain, &d.truth)];
    let strokes = [(2, Stroke::Marked), (1, Stroke::Marked)];
    curves.extend(d.ahead.iter().zip(strokes).map(|((h, values), (series, stroke))| curve(ahead(*h), series, stroke, values)));
    let whose = d.series.as_ref().map_or(d.target.clone(), |s| format!("{} of {s}", d.target));
    let to = d.from + d.truth.len().saturating_sub(1);
    if !d.coming.is_empty() {
        // It begins where the truth ends, so that a single row to come is seen too.
        let mut values = vec![None; d.truth.len().saturating_sub(1)];
        values.push(d.truth.last().copied().flatten());
        values.extend(&d.coming);
        curves.push(curve("rows to come".to_string(), 3, Stroke::Marked, &values));
    }
    let [id, title] = [format!("forecast-{i}"), format!("Forecast of {whose}")];
    let (x, label) = if d.row_times.is_empty() { ("row of the series", None) } else { ("time", Some(&d.row_times)) };
    let named = |tick: f64| match label {
        Some(times) => place(times, d.from, tick),
        None => format::short(tick),
    };
    let seen = seen(d, to);
    let described = format!("Curves over the rows of the series. {}", seen.join(" "));
    let chart = Chart { id, title, described, x: x.to_string(), y: d.target.clone(), kind: Kind::Linear, curves, level: None, whole: true, height: 260.0 };
    if !chart.has_points() {
        return page::paragraph("text", &format!("Forecast of {whose}: no value is finite, so there is no picture."));
    }
    format!("<h3>{}</h3>\n{}", escape(&whose), page::figure(&chart.title, &chart.draw_named(Kind::Linear, &named), &seen))
}

/// The time of a row, or how many rows after the last one it is.
fn place(times: &[String], from: usize, row: f64) -> String {
    let i = row - from as f64;
    match times.get(i.max(0.0) as usize) {
        _ if i < 0.0 => String::new(),
        Some(time) => time.clone(),
        None => format!("+{}", format::short(i + 1.0 - times.len() as f64)),
    }
}

/// What a picture shows, in words.
fn seen(d: &Drawn, to: usize) -> Vec<String> {
    let mut seen = vec![format!("Rows {} to {}.", format::count(d.from as u64), format::count(to as u64))];
    if let Some([first, last]) = &d.times {
        seen.push(format!("From {first} to {last}."));
    }
    // The picture has rows at its ends that not every horizon is scored on, so errors are those of the table alone.
    seen.push("Errors are in the table below.".to_string());
    if let Some((most, _)) = d.ahead.last().filter(|(h, _)| *h > 2) {
        seen.push(format!("Forecasts 2 to {} rows ahead are not drawn.", most - 1));
    }
    if !d.coming.is_empty() {
        seen.push(format!("At the right {} to come.", format::plural(d.coming.len() as u64, "row", "rows")));
    }
    seen
}

fn errors(score: &Score) -> String {
    let head = ["target", "ahead", "RMSE", "naive", "seasonal naive", "MAE", "naive", "seasonal naive"].map(String::from);
    let mut rows = Vec::new();
    for (j, name) in score.targets.iter().enumerate() {
        let mut row = |ahead: String, errors: &dyn Fn(Method) -> Option<Errors>| {
            let mut cells = vec![cell(&ahead)];
            for figure in [Errors::rmse as fn(&Errors) -> f64, Errors::mae] {
                cells.extend(METHODS.map(|m| cell(&errors(m).map_or("—".to_string(), |e| format::number(figure(&e))))));
            }
            rows.push((escape(name), cells));
        };
        if score.horizon > 1 {
            shown(score.horizon).into_iter().for_each(|h| row(h.to_string(), &|m| score.at(m, j, h)));
        }
        row(if score.horizon > 1 { format!("1 to {}", score.horizon) } else { "1".to_string() }, &|m| score.of_target(m, j));
    }
    let season = match score.season {
        Some(n) => {
            format!("seasonal naive takes the value {} before, or as many such seasons as it takes for it to be known", format::plural(n.into(), "row", "rows"))
        }
        None => "there is no season that all forecasts could look back to".to_string(),
    };
    let what = format!(
        "In the units of the series, over {}. Naive takes the last value known; {season}. RMSE is the root of the mean squared error, MAE the mean \
         absolute error.",
        format::plural(score.steps, "step", "steps")
    );
    let shown = shown(score.horizon).len();
    let left = score.horizon as usize - shown;
    let left = if left > 0 { format!(" Of {} horizons {shown} are shown; `retrograd eval --json` gives all.", score.horizon) } else { String::new() };
    page::section("Errors", &(what + &left), &page::scroll("Errors", &page::table(&head, &rows))) + &by_series(score)
}

/// Most series and targets in the table of each.
const LISTED: usize = 40;

/// Each target of each series, where there are several; the worst beside naive first.
fn by_series(score: &Score) -> String {
    let mut parts = score.parts();
    if parts.len() < 2 {
        return String::new();
    }
    let mean = |figure: fn(&Errors) -> f64| scaled(&parts, figure).map_or("—".to_string(), format::number);
    let mut what = format!(
        "Root mean square errors, and the model's as a multiple of naive's: below 1 the model is better. The mean multiple is {}, of mean absolute errors {}.",
        mean(Errors::rmse),
        mean(Errors::mae)
    );
    let beaten = worse(&parts).len();
    if beaten > 0 {
        what += &format!(" A forecast without a model is better for {beaten} of {}.", parts.len());
    }
    let key = |p: &Part<'_>| p.scaled(Errors::rmse).map_or(f64::NEG_INFINITY, |x| if x.is_nan() { f64::INFINITY } else { x });
    parts.sort_by(|a, b| key(b).total_cmp(&key(a)));
    if parts.len() > LISTED {
        what += &format!(" The {LISTED} worst are listed; `retrograd eval --json` gives all.");
    }
    let row = |p: &Part<'_>| {
        let mut cells: Vec<String> = METHODS.iter().map(|m| cell(&p.of(*m).map_or("—".to_string(), |e| format::number(e.rmse())))).collect();
        cells.push(cell(&p.scaled(Errors::rmse).map_or("—".to_string(), format::number)));
        (escape(&p.name()), cells)
    };
    let head = ["target", "RMSE", "naive", "seasonal naive", "of naive"].map(String::from);
    let title = if parts[0].series.is_some() { "Errors by series" } else { "Errors by target" };
    page::section(title, &what, &page::scroll(title, &page::table(&head, &parts.iter().take(LISTED).map(row).collect::<Vec<_>>())))
}
