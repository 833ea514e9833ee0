//! The page of a run.

use super::format::{self, ABSENT, count, plural};
use super::page::{GENERATOR, document, scroll, section, table};
use super::{monitored, plan, plan_facts, series, training};
use crate::analysis::recorded::Recorded;
use crate::metrics_log::Sample;
use crate::model::Config;
use crate::run::{Unit, bits};
use maud::{Markup, html};

/// One self-contained page: figures, charts, samples, configuration, command.
pub fn html(r: &Recorded) -> String {
    let body = html! {
        p { (introduction(r)) }
        dl.tiles { @for (name, value, more) in tiles(r) { div { dt { (name) } dd { (value) @if !more.is_empty() { small { (more) } } } } } }
        @if let Some(forecast) = &r.forecast { (series::sections(forecast)) }
        (training::sections(r))
        (monitored::sections(r))
        (planned(r))
        @if r.config.writes_text() { (samples(r)) }
        (configuration(r))
        (section(
            "The command that repeats it",
            "On the same device, with the same text at the same place, it gives the same bits; --out names the folder.",
            &html! { pre { (r.command) } },
        ))
    };
    document(GENERATOR, &format!("Run {}", r.name), &body)
}

/// How the run ended, if known.
pub(super) fn ended(r: &Recorded) -> &'static str {
    let is = |key: &str| r.summary.as_ref().is_some_and(|s| s[key] == true);
    match &r.summary {
        None => "no end recorded: it goes on, was killed, or failed",
        Some(_) if is("interrupted") => "interrupted",
        Some(_) if is("stopped_early") => "stopped early: validation did not improve",
        Some(_) => "done",
    }
}

fn introduction(r: &Recorded) -> String {
    let (c, s) = (&r.config, &r.config.training);
    let text = c.text.as_ref().and_then(|t| t.file_name()).map_or("the embedded text".into(), |n| n.to_string_lossy());
    format!(
        "A recurrent network: {}{}, trained on {text} with truncation {} and {}. State: {}.{}",
        format::layers(s.cell, s.layers, s.hidden),
        format::phi(s.cell, s.activation),
        s.truncation,
        s.optimizer,
        ended(r),
        unread(r.history.unread)
    )
}

/// The number of unread lines, if there are any.
pub(super) fn unread(lines: u64) -> String {
    if lines == 0 { String::new() } else { format!(" {} of metrics.jsonl could not be read, and left out.", plural(lines, "line", "lines")) }
}

/// Number of parameters, if the size of the vocabulary is known.
fn parameters(r: &Recorded) -> Option<u64> {
    let (s, planned) = (&r.config.training, r.planned.as_ref()?);
    if planned.parameters > 0 {
        return Some(planned.parameters);
    }
    let config = Config { hidden: s.hidden, layers: s.layers, cell: s.cell, activation: s.activation, bias: !s.no_bias, ..Config::symbols(planned.vocabulary) };
    Some(config.parameters())
}

pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// A loss, and the same in another unit.
fn loss(unit: Unit, x: f64) -> (String, String) {
    let more = match unit {
        _ if !x.is_finite() => String::new(),
        Unit::Nats => format!("{} bits per symbol", format::fixed(bits(x), 4)),
        _ if unit.name() == "nats" => format!("nats per {}", unit.scored().trim_end_matches('s')),
        _ => unit.name().to_string(),
    };
    (format::fixed(x, 4) + if unit == Unit::Nats && x.is_finite() { " nats" } else { "" }, more)
}

/// The main figures: name, value, and further text.
fn tiles(r: &Recorded) -> Vec<(String, String, String)> {
    let (h, unit, mut tiles) = (&r.history, Unit::of(&r.config), Vec::new());
    let mut tile = |name: &str, value: String, more: String| tiles.push((name.to_string(), value, more));
    let scored = unit.scored();
    if let Some(last) = h.validations.last() {
        if let Some(right) = last.accuracy {
            let chance = r.figure("chance_accuracy").map_or(String::new(), |c| format!("by chance {}", format::percent(c)));
            tile(&format!("Right {scored}"), format::percent(right), chance);
        }
        let (value, more) = loss(unit, last.loss);
        tile("Validation loss", value, more);
        if let Some(best) = h.validations.iter().filter(|v| v.loss.is_finite()).min_by(|a, b| a.loss.total_cmp(&b.loss)) {
            tile("Best validation loss", loss(unit, best.loss).0, format!("at update {}", count(best.update)));
        }
    }
    if let Some(last) = h.reports.last() {
        let (value, more) = loss(unit, last.mean_loss);
        tile("Training loss", value, more);
        let epochs = r.figure("epochs").map_or(String::new(), |e| if e == 1.0 { "1 epoch".to_string() } else { format!("{} epochs", format::number(e)) });
        tile("Updates", count(h.updates), epochs);
        tile(&capital(scored), format::short(last.tokens as f64), format!("{} trained on", count(last.tokens)));
        let speed = r.figure("tokens_per_second").unwrap_or(last.tokens as f64 / last.seconds);
        tile("Speed", format::rounded(speed), format!("{scored} per second"));
        tile("Time", format!("{} s", format::rounded(r.figure("seconds_training").unwrap_or(last.seconds))), "of training alone".to_string());
    }
    if let Some(n) = parameters(r) {
        tile("Parameters", count(n), String::new());
    }
    if let Some(bytes) = r.figure("device_bytes_allocated") {
        tile("Memory on the device", format::bytes(bytes as u64), String::new());
    }
    if let Some(device) = r.summary.as_ref().and_then(|s| s["device"].as_str()).or(r.planned.as_ref().map(|p| p.device.as_str())) {
        tile("Device", String::new(), device.to_string());
    }
    tiles
}

fn planned(r: &Recorded) -> Markup {
    let Some(p) = &r.planned else {
        let how = html! {
            p { "The plan of this run is not recorded. " code { "retrograd plan" } " with the same flags shows it, and " code { "--svg plan.svg" } " draws it." }
        };
        return section("Memory and the window", "", &how);
    };
    let what = format!("A window of {} on {}.", plural(p.window, "step", "steps"), p.device);
    let facts: Vec<(&str, Vec<String>)> = plan_facts::facts(p).into_iter().map(|(name, text)| (name, vec![text])).collect();
    let bytes: Vec<(String, Vec<String>)> = plan_facts::bytes(p).into_iter().map(|(name, cells)| (name, cells.into())).collect();
    let body = html! {
        figure.plan { (scroll("Memory against time", &plan::picture(p))) }
        div.text { (table("Plan", &["Plan", ""], &facts)) }
        (table("Bytes on the device", &["On the device", "size", "bytes"], &bytes))
    };
    section("Memory and the window", &what, &body)
}

fn samples(r: &Recorded) -> Markup {
    let mut all: Vec<Sample> = r.history.samples.clone();
    let updates = r.history.updates;
    // The text at the end is longer than the last sample during training.
    if let Some(text) = r.summary.as_ref().and_then(|s| s["sample"].as_str()).filter(|t| !t.is_empty()) {
        // From the best model, if that is not the last.
        let update = r.figure("sample_update").map_or(updates, |u| u as u64);
        let tokens = r.history.validations.iter().find(|v| v.update == update).map_or(r.figure("tokens").unwrap_or(0.0) as u64, |v| v.tokens);
        all.retain(|s| s.update != update);
        all.push(Sample { update, tokens, text: text.to_string() });
    }
    let best = |s: &Sample| s.update < updates && r.figure("sample_update") == Some(s.update as f64);
    let body = html! {
        @for s in &all {
            h3 { "Update " (count(s.update)) ", " (plural(s.tokens, "symbol", "symbols")) @if best(s) { ", the best model" } }
            pre { (s.text) }
        }
    };
    let what = match all.is_empty() {
        true => "No text is recorded: the run was started with --sample 0, or has not come to its first update. `retrograd sample` writes text with a model.",
        false => "What the model writes by itself, always from the same seed, at temperature 0.7.",
    };
    section("Samples", what, &body)
}

/// A key's value as given on the command line.
pub(super) fn setting(key: &str, value: Option<&toml::Value>) -> String {
    match value {
        None => ABSENT.to_string(),
        Some(toml::Value::String(s)) => s.escape_debug().to_string(),
        Some(toml::Value::Integer(n)) if key == "memory-budget" => format::bytes(*n as u64),
        Some(other) => other.to_string(),
    }
}

fn configuration(r: &Recorded) -> Markup {
    let settings = r.config.values();
    let row = |(key, value): (&String, &toml::Value)| {
        let given = if r.given.contains(key) { "given" } else { "" };
        (key.clone(), vec![html! { (setting(key, Some(value))) }, html! { b { (given) } }])
    };
    let rows: Vec<_> = settings.iter().map(row).collect();
    let body = html! { div.text { (table("Configuration", &["setting", "value", "other than by default"], &rows)) } };
    section("Configuration", "The content of config.toml.", &body)
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, runs};
    use super::*;
    use crate::metrics_log::MetricsLog;
    use crate::model::Cell;
    use crate::model::record::GateStorage;

    #[test]
    fn a_whole_page() {
        let r = fixture::recorded(60);
        let page = html(&r);
        fixture::checked(&page);
        for words in ["Run book", "Gradient by lag, layer 1", "Updates against weights", "Saturation", "rnn.weight_hh_l1", "bits per symbol", "this plan: "] {
            assert!(page.contains(words), "{words}");
        }
        assert!(!page.contains("--monitor 50"));
    }

    #[test]
    fn the_cell_is_named() {
        let mut r = fixture::recorded(60);
        assert!(html(&r).contains("A recurrent network: RNN, 2 layers, 128 units (tanh), trained on") && !html(&r).contains("gates"));
        r.config.training.cell = Cell::Lstm;
        for (gates, said) in [(GateStorage::Kept, "kept"), (GateStorage::Recomputed, "recomputed by one product a segment")] {
            r.planned.as_mut().unwrap().gates = Some(gates);
            let page = html(&r);
            fixture::checked(&page);
            for words in ["A recurrent network: LSTM, 2 layers, 128 units, trained on", "saturated gates", &format!("<td>{said}</td>")] {
                assert!(page.contains(words), "{words}");
            }
        }
    }

    #[test]
    fn any_figures_make_a_page() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300] {
            let mut r = fixture::recorded(20);
            for f in &mut r.history.reports {
                (f.loss, f.mean_loss, f.norm, f.learning_rate, f.speed, f.seconds) = (x, x, x, x, x, x);
            }
            r.history.validations.iter_mut().for_each(|v| (v.loss, v.seconds) = (x, x));
            for m in &mut r.history.monitored {
                for l in &mut m.monitor.layers {
                    [&mut l.median, &mut l.low, &mut l.high].into_iter().for_each(|c| c.fill(x));
                    (l.decay_rate, l.half_life, l.saturation) = (x, x, x);
                }
                m.monitor.parameters.iter_mut().for_each(|p| (p.grad_norm, p.update_ratio) = (x, x));
            }
            fixture::checked(&html(&r));
            fixture::checked(&runs::html(&[r, fixture::recorded(3)]));
        }
    }

    #[test]
    fn little_is_enough() {
        let mut r = fixture::recorded(1);
        fixture::checked(&html(&r));
        (r.planned, r.summary) = (None, None);
        fixture::checked(&html(&r));
        r.history = MetricsLog { monitored: r.history.monitored, ..MetricsLog::default() };
        r.history.monitored.iter_mut().for_each(|m| (m.monitor.lags, m.monitor.layers, m.monitor.parameters) = (Vec::new(), Vec::new(), Vec::new()));
        fixture::checked(&html(&r));
        r.history.monitored.clear();
        fixture::checked(&html(&r));
        fixture::checked(&runs::html(&[r.clone(), r]));
        fixture::checked(&runs::html(&[]));
    }

    #[test]
    fn many_reports_make_no_giant() {
        let page = html(&fixture::recorded(20_000));
        fixture::checked(&page);
        assert!(page.len() < 1_500_000, "{} bytes", page.len());
    }
}
