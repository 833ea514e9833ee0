//! The page of a run.

use super::page::{self, cell};
use super::svg::{Picture, escape};
use super::{format, graph, memory, monitored, plan, planned_points, series, training};
use crate::analysis::planned::Planned;
use crate::analysis::recorded::Recorded;
use crate::model::Config;
use crate::run::{Sample, Unit, bits};

/// One self-contained page: figures, pictures, samples, configuration, command.
pub fn html(r: &Recorded) -> String {
    let parts = [
        page::paragraph("text", &introduction(r)),
        tiles(r),
        r.forecast.as_ref().map_or(String::new(), series::sections),
        training::sections(r),
        monitored::sections(r),
        planned(r),
        if r.config.writes_text() { samples(r) } else { String::new() },
        configuration(r),
        command(r),
    ];
    page::run_document(&format!("Run {}", r.name), &parts.concat())
}

/// The text that was trained on.
fn text(r: &Recorded) -> String {
    let name = r.config.text.as_ref().and_then(|t| t.file_name());
    name.map_or("the embedded text".to_string(), |n| n.to_string_lossy().into_owned())
}

/// How the run ended, as far as it is known.
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
    let c = &r.config;
    let layers = format::plural(c.training.layers.into(), "layer", "layers");
    let model = format!("{layers} of {}", format::plural(c.training.hidden.into(), "unit", "units"));
    let unread = match r.history.unread {
        0 => String::new(),
        n => format!(" {} of metrics.jsonl could not be read and {} left out.", format::plural(n, "line", "lines"), if n == 1 { "is" } else { "are" }),
    };
    format!(
        "A recurrent network, {model} ({}), trained on {} with truncation {} and {}. State: {}.{unread}",
        format!("{:?}", c.training.activation).to_lowercase(),
        text(r),
        c.training.truncation,
        c.training.optimizer,
        ended(r)
    )
}

/// Parameters, if the size of the vocabulary is known.
fn parameters(r: &Recorded) -> Option<u64> {
    let (c, planned) = (&r.config, r.planned.as_ref()?);
    if planned.parameters > 0 {
        return Some(planned.parameters);
    }
    let vocab = planned.vocabulary;
    Some(
        Config { hidden: c.training.hidden, layers: c.training.layers, activation: c.training.activation, bias: !c.training.no_bias, ..Config::symbols(vocab) }
            .parameters(),
    )
}

pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// The main figures.
fn tiles(r: &Recorded) -> String {
    let mut out = String::new();
    let mut tile = |name: &str, value: String, more: String, class: &str| {
        let more = if more.is_empty() { more } else { format!("<small>{}</small>", escape(&more)) };
        out.push_str(&format!("<div class=\"{class}\"><dt>{}</dt><dd>{}{more}</dd></div>\n", escape(name), escape(&value)));
    };
    let h = &r.history;
    let unit = Unit::of(&r.config);
    let loss = |x: f64| match x.is_finite() {
        true if unit.name() == "nats" => format!("{} nats", format::fixed(x, 4)),
        true => format::fixed(x, 4),
        false => format::NONE.to_string(),
    };
    let in_bits = |x: f64| match x.is_finite() {
        true if unit == Unit::Nats => format!("{} bits per symbol", format::fixed(bits(x), 4)),
        true if unit.name() == "nats" => format!("per {}", unit.scored().trim_end_matches('s')),
        true => unit.name().to_string(),
        false => String::new(),
    };
    if let Some(right) = h.validations.last().and_then(|v| v.accuracy) {
        let chance = r.figure("chance_accuracy").map_or(String::new(), |c| format!("by chance {}%", format::fixed(100.0 * c, 1)));
        tile(&format!("Right {}", unit.scored()), format!("{}%", format::fixed(100.0 * right, 1)), chance, "");
    }
    if let Some(last) = h.validations.last() {
        tile("Validation loss", loss(last.loss), in_bits(last.loss), "");
        if let Some(best) = h.validations.iter().filter(|v| v.loss.is_finite()).min_by(|a, b| a.loss.total_cmp(&b.loss)) {
            tile("Best validation loss", loss(best.loss), format!("at update {}", format::count(best.update)), "");
        }
    }
    if let Some(last) = h.reports.last() {
        tile("Training loss", loss(last.mean_loss), in_bits(last.mean_loss), "");
        let updates = h.updates();
        let epochs = r.figure("epochs").map_or(String::new(), |e| if e == 1.0 { "1 epoch".to_string() } else { format!("{} epochs", format::number(e)) });
        tile("Updates", format::count(updates), epochs, "");
        let scored = unit.scored();
        tile(&capital(scored), format::short(last.tokens as f64), format!("{} trained on", format::count(last.tokens)), "");
        let speed = r.figure("tokens_per_second").unwrap_or(last.tokens as f64 / last.seconds);
        tile("Speed", format::rounded(speed), format!("{scored} per second"), "");
        tile("Time", format!("{} s", format::rounded(r.figure("seconds_training").unwrap_or(last.seconds))), "of training alone".to_string(), "");
    }
    if let Some(n) = parameters(r) {
        tile("Parameters", format::count(n), String::new(), "");
    }
    if let Some(bytes) = r.figure("device_bytes_allocated") {
        tile("Memory on the device", format::bytes(bytes as u64), String::new(), "");
    }
    if let Some(device) = r.summary.as_ref().and_then(|s| s["device"].as_str()).or(r.planned.as_ref().map(|p| p.device.as_str())) {
        tile("Device", device.to_string(), String::new(), "wide");
    }
    format!("<dl class=\"tiles\">\n{out}</dl>\n")
}

fn planned(r: &Recorded) -> String {
    let Some(p) = &r.planned else {
        let how = "The plan of this run is not recorded. `retrograd plan` with the same flags shows it, and `--svg plan.svg` draws it.";
        return page::section("Memory and the window", "", &page::prose("text", how));
    };
    let (memory, window) = (memory_picture(p), window_picture(p));
    let what = format!("A window of {} on {}.", format::plural(p.window.into(), "step", "steps"), p.device);
    let body = format!(
        "<div class=\"plan\">\n{}{}</div>\n",
        page::figure("Memory against time", &memory, &plan::sentences(p)),
        page::figure("The window", &window, &[])
    );
    page::section("Memory and the window", &what, &(body + &bytes(p)))
}

fn memory_picture(p: &Planned) -> String {
    let mut picture = Picture::new("memory", "Memory against time", "What other budgets would give, and where this plan lies.");
    picture.text("heading", (planned_points::MARGIN, 16.0), "Memory against time");
    let bottom = memory::draw(&mut picture, p, 16.0);
    picture.finish(bottom + 8.0)
}

fn window_picture(p: &Planned) -> String {
    let mut picture =
        Picture::new("window", "The computational graph of one window", "Steps or segments from left to right; what is held, stored and computed again.");
    picture.define(plan::HATCH);
    picture.text("heading", (planned_points::MARGIN, 16.0), "The computational graph of one window");
    let bottom = graph::draw(&mut picture, p, 16.0);
    picture.finish(bottom)
}

/// What the bytes on the device are for.
fn bytes(p: &Planned) -> String {
    let rows: Vec<(String, Vec<String>)> = p.bytes.iter().map(|(name, n)| (escape(name), vec![cell(&format::bytes(*n)), cell(&format::count(*n))])).collect();
    let head = ["On the device".to_string(), "size".to_string(), "bytes".to_string()];
    page::scroll("Bytes on the device", &page::table(&head, &rows))
}

fn samples(r: &Recorded) -> String {
    let mut all: Vec<Sample> = r.history.samples.clone();
    let updates = r.history.updates();
    // What is printed at the end goes further than the last one on the way.
    if let Some(text) = r.summary.as_ref().and_then(|s| s["sample"].as_str()).filter(|t| !t.is_empty()) {
        // Of the best model, where that is not the last.
        let update = r.figure("sample_update").map_or(updates, |u| u as u64);
        let tokens = r.history.validations.iter().find(|v| v.update == update).map_or(r.figure("tokens").unwrap_or(0.0) as u64, |v| v.tokens);
        all.retain(|s| s.update != update);
        all.push(Sample { update, tokens, text: text.to_string() });
    }
    let what = "What the model writes by itself, always from the same seed, at temperature 0.7.";
    if all.is_empty() {
        let how =
            "No text is recorded: the run was started with `--sample 0`, or has not come to its first update. `retrograd sample` writes text with a model.";
        return page::section("Samples", "", &page::prose("text", how));
    }
    let one = |s: &Sample| {
        let best = if s.update < updates && r.figure("sample_update") == Some(s.update as f64) { ", the best model" } else { "" };
        let head = format!("Update {}, {}{best}", format::count(s.update), format::plural(s.tokens, "symbol", "symbols"));
        format!("<h3>{head}</h3>\n<pre>{}</pre>\n", escape(&s.text))
    };
    page::section("Samples", what, &all.iter().map(one).collect::<String>())
}

/// A key's value as it is given on the command line.
pub(super) fn setting(key: &str, value: Option<&toml::Value>) -> String {
    match value {
        None => "—".to_string(),
        Some(toml::Value::String(s)) => s.escape_debug().to_string(),
        Some(toml::Value::Integer(n)) if key == "memory-budget" => format::bytes(*n as u64),
        Some(other) => other.to_string(),
    }
}

fn configuration(r: &Recorded) -> String {
    let table = r.config.values();
    let row = |(key, value): (&String, &toml::Value)| {
        let given = r.given.contains(key);
        let (class, note) = if given { ("given", "given") } else { ("", "") };
        format!("<tr class=\"{class}\"><th scope=\"row\">{}</th>{}{}</tr>\n", escape(key), cell(&setting(key, Some(value))), cell(note))
    };
    let rows: String = table.iter().map(row).collect();
    let head = "<thead><tr><th scope=\"col\">setting</th><th scope=\"col\">value</th><th scope=\"col\">other than by default</th></tr></thead>";
    let body = page::scroll("Configuration", &format!("<table class=\"text\">\n{head}\n<tbody>\n{rows}</tbody>\n</table>\n"));
    page::section("Configuration", "The content of config.toml; bold is what differs from the defaults.", &body)
}

fn command(r: &Recorded) -> String {
    let what = "On the same device, with the same text at the same place, it gives the same bits; --out names the folder.";
    page::section("The command that repeats it", what, &format!("<pre>{}</pre>\n", escape(&r.command)))
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, runs};
    use super::*;
    use crate::run::MetricsLog;

    /// Checks what every page must hold: tags match, attributes are quoted, numbers finite, no id twice, nothing fetched or run.
    fn checked(page: &str) {
        fixture::well_formed(page);
        for part in page.split('"').skip(1).step_by(2) {
            assert!(!part.contains("NaN") && !part.split([' ', ',']).any(|n| n.trim_start_matches('-') == "inf"), "{part}");
        }
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|p| p.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "an id occurs twice");
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http-equiv"));
    }

    #[test]
    fn a_whole_page() {
        let r = fixture::recorded(60);
        let page = html(&r);
        checked(&page);
        for words in ["Run book", "Gradient by lag, layer 1", "Updates against weights", "Saturation", "rnn.weight_hh_l1", "bits per symbol", "this plan: "] {
            assert!(page.contains(words), "{words}");
        }
        assert!(!page.contains("--monitor 50"));
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
                for l in &mut m.layers {
                    [&mut l.median, &mut l.low, &mut l.high].into_iter().for_each(|c| c.fill(x));
                    (l.decay_rate, l.half_life, l.saturation) = (x, x, x);
                }
                m.parameters.iter_mut().for_each(|p| (p.grad_norm, p.update_ratio) = (x, x));
            }
            checked(&html(&r));
            checked(&runs::html(&[r, fixture::recorded(3)]));
        }
    }

    #[test]
    fn little_is_enough() {
        let mut r = fixture::recorded(1);
        checked(&html(&r));
        (r.planned, r.summary) = (None, None);
        checked(&html(&r));
        r.history = MetricsLog { monitored: r.history.monitored, ..MetricsLog::default() };
        r.history.monitored.iter_mut().for_each(|m| (m.lags, m.layers, m.parameters) = (Vec::new(), Vec::new(), Vec::new()));
        checked(&html(&r));
        r.history.monitored.clear();
        checked(&html(&r));
        checked(&runs::html(&[r.clone(), r]));
        checked(&runs::html(&[]));
    }

    #[test]
    fn many_reports_make_no_giant() {
        let page = html(&fixture::recorded(20_000));
        checked(&page);
        assert!(page.len() < 1_500_000, "{} bytes", page.len());
    }
}
