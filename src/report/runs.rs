//! The page of several runs.

use super::chart::{Chart, Kind, Stroke};
use super::format;
use super::page::{self, cell};
use super::run::{capital, ended, setting};
use super::svg::{escape, swatch};
use super::training::{crosses, curve};
use crate::analysis::recorded::Recorded;
use crate::run::{Figures, Unit, bits};
use std::collections::BTreeSet;

/// One self-contained page: results, differences, and curves of all in the same pictures.
pub fn html(runs: &[Recorded]) -> String {
    let names = names(runs);
    let unread: u64 = runs.iter().map(|r| r.history.unread).sum();
    let left_out =
        if unread == 0 { String::new() } else { format!(" {} of metrics could not be read and are left out.", format::plural(unread, "line", "lines")) };
    let introduction = format!("{}: {}.{left_out}", format::plural(runs.len() as u64, "run", "runs"), format::list(&names));
    let groups = groups(runs);
    let kinds = match groups.len() {
        0 | 1 => String::new(),
        n => page::paragraph("text", &format!("They are of {n} kinds, whose losses can't be held against each other: each kind has figures of its own.")),
    };
    let body: String = groups.iter().enumerate().map(|(i, members)| group(i, groups.len(), runs, &names, members)).collect();
    let parts = [page::paragraph("text", &introduction), kinds, body, differences(runs, &names), commands(runs, &names)];
    page::run_document(&format::plural(runs.len() as u64, "run", "runs"), &parts.concat())
}

/// The runs whose losses can be held against each other, by their places; in the order in which each kind comes first.
fn groups(runs: &[Recorded]) -> Vec<Vec<usize>> {
    let mut found: Vec<(String, Vec<usize>)> = Vec::new();
    for (i, r) in runs.iter().enumerate() {
        let kind = kind(r);
        match found.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, members)) => members.push(i),
            None => found.push((kind, vec![i])),
        }
    }
    found.into_iter().map(|(_, members)| members).collect()
}

/// What the losses of a run are counted in, in words.
fn kind(r: &Recorded) -> String {
    match Unit::of(&r.config) {
        Unit::Nats if r.config.tokens.is_some() => "texts of tokens, in nats per token".to_string(),
        Unit::Nats if r.config.bytes => "texts of bytes, in nats per byte".to_string(),
        Unit::Nats => "texts of characters, in nats per character".to_string(),
        unit if unit.name() == "nats" => format!("{}, in nats each", unit.scored()),
        unit => format!("series, in {}", unit.name()),
    }
}

/// Results and curves of the runs of one kind.
fn group(i: usize, of: usize, runs: &[Recorded], names: &[String], members: &[usize]) -> String {
    let (some, called): (Vec<Recorded>, Vec<String>) = members.iter().map(|&m| (runs[m].clone(), names[m].clone())).unzip();
    let Some(first) = some.first() else { return String::new() };
    let shown = Group { runs: &some, names: &called, unit: Unit::of(&first.config), id: if of == 1 { String::new() } else { format!("-{i}") } };
    let heading = if of == 1 { "Results".to_string() } else { format!("Results: {}", kind(first)) };
    shown.results(&heading) + &shown.curves()
}

/// Runs of one kind.
struct Group<'a> {
    runs: &'a [Recorded],
    names: &'a [String],
    unit: Unit,
    /// After the ids of its pictures.
    id: String,
}

/// The folders' names, numbered where several are the same.
fn names(runs: &[Recorded]) -> Vec<String> {
    let name = |(i, r): (usize, &Recorded)| {
        let same = |others: &[Recorded]| others.iter().filter(|o| o.name == r.name).count();
        if same(runs) > 1 { format!("{} ({})", r.name, same(&runs[..i]) + 1) } else { r.name.clone() }
    };
    runs.iter().enumerate().map(name).collect()
}

impl Group<'_> {
    fn results(&self, heading: &str) -> String {
        let (runs, names, nats) = (self.runs, self.names, self.unit.name() == "nats");
        let scored = capital(self.unit.scored());
        let answers = runs.iter().any(|r| r.history.validations.iter().any(|v| v.accuracy.is_some()));
        let validation = if nats { "Validation loss, nats" } else { "Validation loss" };
        let speed = format!("{scored} per s");
        let mut head: Vec<String> = ["Run", validation, "Lowest", "Training loss", "Updates", &scored, &speed, "Seconds", "State"].map(escape).into();
        if answers {
            head.insert(1, "Right".to_string());
        }
        let rows: Vec<(String, Vec<String>)> = runs.iter().zip(names).enumerate().map(|(i, (r, name))| (swatch(i) + &escape(name), row(r, answers))).collect();
        let mut ranked: Vec<(&String, f64)> = runs.iter().zip(names).filter_map(|(r, n)| Some((n, best(r)?))).collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        let seen = match ranked[..] {
            [(first, low), .., (last, high)] if low < high => {
                let gap = format::fixed(high - low, 4);
                format!("{first} has the lowest validation loss, {}{}; {last} the highest, {gap} more.", format::fixed(low, 4), if nats { " nats" } else { "" })
            }
            _ => String::new(),
        };
        page::section(heading, "", &page::figure("Results", &page::table(&head, &rows), &[seen]))
    }
}

/// The lowest validation loss.
fn best(r: &Recorded) -> Option<f64> {
    r.history.validations.iter().map(|v| v.loss).filter(|l| l.is_finite()).min_by(f64::total_cmp)
}

fn row(r: &Recorded, answers: bool) -> Vec<String> {
    let (h, none) = (&r.history, || "—".to_string());
    let loss = |l: f64| format::fixed(l, 4);
    let (val, last) = (h.validations.last(), h.reports.last());
    let texts = [
        best(r).map_or_else(none, loss),
        last.map_or_else(none, |f| loss(f.mean_loss)),
        format::count(h.updates()),
        last.map_or_else(none, |f| format::count(f.tokens)),
        last.map_or_else(none, |f| format::rounded(r.figure("tokens_per_second").unwrap_or(f.tokens as f64 / f.seconds))),
        last.map_or_else(none, |f| format::rounded(r.figure("seconds_training").unwrap_or(f.seconds))),
        ended(r).split(':').next().unwrap_or_default().to_string(),
    ];
    let first = match val {
        Some(v) if v.loss.is_finite() && Unit::of(&r.config) != Unit::Nats => cell(&loss(v.loss)),
        Some(v) if v.loss.is_finite() => format!("<td>{}<small>{} bits</small></td>", loss(v.loss), loss(bits(v.loss))),
        Some(_) => cell(format::NONE),
        None => cell("—"),
    };
    let right = answers.then(|| cell(&val.and_then(|v| v.accuracy).map_or("—".to_string(), |a| format!("{}%", format::fixed(100.0 * a, 1)))));
    right.into_iter().chain([first]).chain(texts.iter().map(|t| cell(t))).collect()
}

/// Settings in which they are not all alike.
fn differences(runs: &[Recorded], names: &[String]) -> String {
    let tables: Vec<toml::Table> = runs.iter().map(|r| r.config.values()).collect();
    let keys: BTreeSet<&String> = tables.iter().flat_map(|t| t.keys()).collect();
    let differs = |key: &str| tables.iter().any(|t| t.get(key) != tables[0].get(key));
    // What tells texts from each other says nothing that their paths don't, unless those are the same.
    let shown = |key: &&&String| differs(key) && !(key.starts_with("text-") && differs("text"));
    let row = |key: &String| (escape(key), tables.iter().map(|t| cell(&setting(key, t.get(key)))).collect());
    let mut rows: Vec<(String, Vec<String>)> = keys.iter().filter(shown).map(|key| row(key)).collect();
    let devices: Vec<&str> = runs.iter().map(|r| r.summary.as_ref().and_then(|s| s["device"].as_str()).unwrap_or("—")).collect();
    if devices.iter().any(|d| *d != devices[0]) {
        rows.push(("trained on".to_string(), devices.iter().map(|d| cell(d)).collect()));
    }
    if rows.is_empty() {
        return page::section("What differs", "Nothing: all of them were started with the same configuration.", "");
    }
    let head: Vec<String> = std::iter::once("Setting".to_string()).chain(names.iter().map(|n| escape(n))).collect();
    let table = format!("<div class=\"differ\">{}</div>\n", page::scroll("What differs", &page::table(&head, &rows)));
    page::section("What differs", "Settings that are not the same in all of them.", &table)
}

/// What the curves are drawn against.
struct Against {
    id: &'static str,
    heading: String,
    axis: String,
    tokens: bool,
}

impl Against {
    fn at(&self, tokens: u64, seconds: f64) -> f64 {
        if self.tokens { tokens as f64 } else { seconds }
    }
}

impl Group<'_> {
    fn curves(&self) -> String {
        let losses = [true, false].map(|tokens| self.loss(&self.against(tokens))).concat();
        let rate = self.figures(("rates", "Learning rate", "learning rate"), |f| f.learning_rate);
        let speed = self.figures(("speeds", "Throughput", &format!("{} per second", self.unit.scored())), |f| f.speed);
        losses + &rate + &speed
    }

    /// Against what was trained on, or against seconds.
    fn against(&self, tokens: bool) -> Against {
        let scored = self.unit.scored();
        if tokens {
            Against { id: "symbols", heading: format!("Loss against {scored}"), axis: format!("{scored} trained on"), tokens }
        } else {
            Against { id: "seconds", heading: "Loss against seconds".to_string(), axis: "seconds of training alone".to_string(), tokens }
        }
    }

    fn loss(&self, against: &Against) -> String {
        let (runs, names) = (self.runs, self.names);
        let what = "Bold, with markers: loss on the held-out part. Thin: mean training loss since the report before.";
        let mut curves = Vec::new();
        for (i, (r, name)) in runs.iter().zip(names).enumerate() {
            let val: Vec<(f64, f64)> = r.history.validations.iter().map(|v| (against.at(v.tokens, v.seconds), v.loss)).collect();
            let train: Vec<(f64, f64)> = r.history.reports.iter().map(|f| (against.at(f.tokens, f.seconds), f.mean_loss)).collect();
            if !val.is_empty() {
                curves.push(curve(name, i, Stroke::Marked, val));
            }
            curves.push(curve(&format!("{name}, train"), i, Stroke::Thin, train));
        }
        let kind = wide(&curves).unwrap_or(Kind::Linear);
        let id = format!("{}{}", against.id, self.id);
        drawn(&against.heading, what, &chart((&id, &against.heading, self.unit.axis()), &against.axis, kind, curves))
    }

    fn figures(&self, what: (&str, &str, &str), figure: fn(&Figures) -> f64) -> String {
        let (runs, names) = (self.runs, self.names);
        let points = |r: &Recorded| r.history.reports.iter().map(|f| (f.tokens as f64, figure(f))).collect();
        let curves: Vec<super::chart::Curve> = runs.iter().zip(names).enumerate().map(|(i, (r, name))| curve(name, i, Stroke::Marked, points(r))).collect();
        let id = format!("{}{}", what.0, self.id);
        drawn(what.1, "", &chart((&id, what.1, what.2), &self.against(true).axis, wide(&curves).unwrap_or(Kind::FromZero), curves))
    }
}

/// A logarithmic axis, where one of the runs would leave nothing of the others.
fn wide(curves: &[super::chart::Curve]) -> Option<Kind> {
    let highest = |c: &super::chart::Curve| c.points.iter().map(|p| p.1).filter(|y| y.is_finite()).fold(0.0, f64::max);
    let tops: Vec<f64> = curves.iter().map(highest).filter(|y| *y > 0.0).collect();
    let (lo, hi) = tops.iter().fold((f64::INFINITY, 0.0f64), |(lo, hi), y| (lo.min(*y), hi.max(*y)));
    (hi > 20.0 * lo).then_some(Kind::Log)
}

fn chart((id, title, y): (&str, &str, &str), x: &str, kind: Kind, curves: Vec<super::chart::Curve>) -> Chart {
    let described = format!("Curves of {}.", format::plural(curves.len() as u64, "series", "series"));
    Chart { id: id.into(), title: title.into(), described, x: x.into(), y: y.into(), kind, curves, level: None, whole: false, height: 260.0 }
}

fn drawn(heading: &str, what: &str, chart: &Chart) -> String {
    if !chart.has_points() {
        return page::section(heading, "No finite figure is recorded.", "");
    }
    page::section(heading, what, &page::figure(heading, &chart.draw(), &[crosses(chart)]))
}

fn commands(runs: &[Recorded], names: &[String]) -> String {
    let one = |(r, name): (&Recorded, &String)| format!("<h3>{}</h3>\n<pre>{}</pre>\n", escape(name), escape(&r.command));
    page::section("The commands that repeat them", "", &runs.iter().zip(names).map(one).collect::<String>())
}
