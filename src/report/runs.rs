//! The page of several runs.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format::{self, ABSENT, NONE, count, plural};
use super::losses::{self, Losses};
use super::page::{GENERATOR, document, section, table};
use super::run::{capital, ended, setting, unread};
use super::svg::{At, keyed};
use crate::analysis::recorded::Recorded;
use crate::metrics_log::Figures;
use crate::run::{Unit, bits};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// One self-contained page: results, differences, and the curves of all runs in the same charts.
pub fn html(runs: &[Recorded]) -> String {
    let runs = named(runs);
    let groups = groups(&runs);
    let title = plural(runs.len() as u64, "run", "runs");
    let names: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    let body = html! {
        p { (title) ": " (names.join(", ")) "." (unread(runs.iter().map(|(_, r)| r.history.unread).sum())) }
        @if groups.len() > 1 {
            p { "They are of " (groups.len()) " kinds, whose losses can't be held against each other: each kind has figures of its own." }
        }
        @for (i, (kind, members)) in groups.iter().enumerate() {
            @if groups.len() == 1 { (group("Results", "", members)) } @else { (group(&format!("Results: {kind}"), &format!("-{i}"), members)) }
        }
        (differences(&runs))
        (section("The commands that repeat them", "", &html! { @for (name, r) in &runs { h3 { (name) } pre { (r.command) } } }))
    };
    document(GENERATOR, &title, &body)
}

/// A run with its name on this page.
type Named<'a> = (String, &'a Recorded);

/// The runs with the names of their folders, numbered if several are the same.
fn named(runs: &[Recorded]) -> Vec<Named<'_>> {
    let name = |(i, r): (usize, &Recorded)| {
        let same = |others: &[Recorded]| others.iter().filter(|o| o.name == r.name).count();
        if same(runs) > 1 { format!("{} ({})", r.name, same(&runs[..i]) + 1) } else { r.name.clone() }
    };
    runs.iter().enumerate().map(|(i, r)| (name((i, r)), r)).collect()
}

/// Groups of runs whose losses can be compared, in order of first appearance.
fn groups<'a>(runs: &[Named<'a>]) -> Vec<(String, Vec<Named<'a>>)> {
    let mut found: Vec<(String, Vec<Named<'a>>)> = Vec::new();
    for run in runs {
        let kind = kind(run.1);
        match found.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, members)) => members.push(run.clone()),
            None => found.push((kind, vec![run.clone()])),
        }
    }
    found
}

/// The kind of a run: its data, and the unit of its losses.
fn kind(r: &Recorded) -> String {
    match Unit::of(&r.config) {
        Unit::Nats if r.config.tokens.is_some() => "texts of tokens, in nats per token".to_string(),
        Unit::Nats if r.config.bytes => "texts of bytes, in nats per byte".to_string(),
        Unit::Nats => "texts of characters, in nats per character".to_string(),
        unit if unit.name() == "nats" => format!("{}, in nats each", unit.scored()),
        unit => format!("series, in {}", unit.name()),
    }
}

/// Results and curves of the runs of one kind; `id` is appended to the ids of the charts.
fn group(heading: &str, id: &str, runs: &[Named<'_>]) -> Markup {
    let unit = Unit::of(&runs[0].1.config);
    let scored = unit.scored();
    let axis = format!("{scored} trained on");
    let loss = |name: &str, axis: &str, x: fn(u64, f64) -> f64| {
        let curves = |(name, r): &Named<'_>| Losses {
            name: name.clone(),
            train: r.history.reports.iter().map(|f| (x(f.tokens, f.seconds), f.mean_loss)).collect(),
            val: r.history.validations.iter().map(|v| (x(v.tokens, v.seconds), v.loss)).collect(),
        };
        losses::section(&format!("{name}{id}"), &format!("Loss against {name}"), axis, unit.axis(), &runs.iter().map(curves).collect::<Vec<_>>())
    };
    let figures = |title: &str, y: &str, figure: fn(&Figures) -> f64| {
        let all: Vec<Vec<At>> = runs.iter().map(|(_, r)| r.history.reports.iter().map(|f| (f.tokens as f64, figure(f))).collect()).collect();
        let kind = losses::wide(all.iter()).unwrap_or(Kind::FromZero);
        let curves = runs.iter().zip(all).enumerate().map(|(i, ((name, _), points))| Curve::new(name, i, Stroke::Marked, points)).collect();
        let chart = Chart::new(&format!("{}{id}", title.replace(' ', "-")), title, y, kind, curves);
        section(title, "", &chart.over(Kind::FromZero, &axis).figure(""))
    };
    html! {
        (results(heading, unit, runs))
        (loss(scored, &axis, |tokens, _| tokens as f64))
        (loss("seconds", "seconds of training alone", |_, seconds| seconds))
        (figures("Learning rate", "learning rate", |f| f.learning_rate))
        (figures("Throughput", &format!("{scored} per second"), |f| f.speed))
    }
}

fn results(heading: &str, unit: Unit, runs: &[Named<'_>]) -> Markup {
    let scored = capital(unit.scored());
    let answers = runs.iter().any(|(_, r)| r.history.validations.iter().any(|v| v.accuracy.is_some()));
    let validation = if unit.name() == "nats" { "Validation loss, nats" } else { "Validation loss" };
    let speed = format!("{scored} per s");
    let mut head = vec!["Run", validation, "Lowest", "Training loss", "Updates", &scored, &speed, "Seconds", "State"];
    if answers {
        head.insert(1, "Right");
    }
    let row = |(i, (name, r)): (usize, &Named<'_>)| (keyed(i, name), row(r, answers));
    section(heading, "", &table("Results", &head, &runs.iter().enumerate().map(row).collect::<Vec<_>>()))
}

fn row(r: &Recorded, answers: bool) -> Vec<Markup> {
    let (h, none) = (&r.history, || ABSENT.to_string());
    let loss = |l: f64| format::fixed(l, 4);
    let (val, last) = (h.validations.last(), h.reports.last());
    let best = h.validations.iter().map(|v| v.loss).filter(|l| l.is_finite()).min_by(f64::total_cmp);
    let texts = [
        best.map_or_else(none, loss),
        last.map_or_else(none, |f| loss(f.mean_loss)),
        count(h.updates),
        last.map_or_else(none, |f| count(f.tokens)),
        last.map_or_else(none, |f| format::rounded(r.figure("tokens_per_second").unwrap_or(f.tokens as f64 / f.seconds))),
        last.map_or_else(none, |f| format::rounded(r.figure("seconds_training").unwrap_or(f.seconds))),
        ended(r).split(':').next().unwrap_or_default().to_string(),
    ];
    let first = match val.map(|v| v.loss) {
        Some(l) if l.is_finite() => html! { (loss(l)) @if Unit::of(&r.config) == Unit::Nats { small { (loss(bits(l))) " bits" } } },
        Some(_) => html! { (NONE) },
        None => html! { (ABSENT) },
    };
    let right = answers.then(|| html! { (val.and_then(|v| v.accuracy).map_or(ABSENT.to_string(), format::percent)) });
    right.into_iter().chain([first]).chain(texts.iter().map(|t| html! { (t) })).collect()
}

/// Settings in which the runs differ.
fn differences(runs: &[Named<'_>]) -> Markup {
    let tables: Vec<toml::Table> = runs.iter().map(|(_, r)| r.config.values()).collect();
    let keys: BTreeSet<&String> = tables.iter().flat_map(|t| t.keys()).collect();
    let differs = |key: &str| tables.iter().any(|t| t.get(key) != tables[0].get(key));
    // The checksum and size of a text say nothing that its path does not, unless the paths are the same.
    let shown = |key: &&&String| differs(key) && !(key.starts_with("text-") && differs("text"));
    let row = |key: &&String| (key.to_string(), tables.iter().map(|t| setting(key, t.get(*key))).collect());
    let mut rows: Vec<(String, Vec<String>)> = keys.iter().filter(shown).map(row).collect();
    let devices: Vec<&str> = runs.iter().map(|(_, r)| r.summary.as_ref().and_then(|s| s["device"].as_str()).unwrap_or(ABSENT)).collect();
    if devices.iter().any(|d| *d != devices[0]) {
        rows.push(("trained on".to_string(), devices.iter().map(|d| d.to_string()).collect()));
    }
    let head: Vec<&str> = ["Setting"].into_iter().chain(runs.iter().map(|(name, _)| name.as_str())).collect();
    let what =
        if rows.is_empty() { "Nothing: all of them were started with the same configuration." } else { "Settings that are not the same in all of them." };
    section("What differs", what, &html! { @if !rows.is_empty() { div.differ { (table("What differs", &head, &rows)) } } })
}
