//! What the strategies cost: memory, speed, windows.

use super::format;
use super::page;
use super::strategies::extremes;
use super::svg::{Picture, WIDTH};
use crate::analysis::comparison::{Comparison, Strategy};

/// Units: names, then panels of bars with their figures after them.
const LEFT: f64 = 172.0;
const PANEL: f64 = (WIDTH - LEFT) / 4.0;
const BAR: f64 = 112.0;
const TOP: f64 = 30.0;
const ROW: f64 = 28.0;

/// A figure, and how it is written.
struct Panel {
    name: &'static str,
    value: fn(&Strategy) -> f64,
    text: fn(&Strategy) -> String,
}

const PANELS: [Panel; 4] = [
    Panel { name: "activations", value: |s| s.bytes as f64, text: |s| format::bytes(s.bytes) },
    Panel { name: "symbols per second", value: |s| s.tokens_per_second, text: |s| format::rounded(s.tokens_per_second) },
    Panel { name: "mean window, steps", value: |s| s.window_mean, text: |s| format::rounded(s.window_mean) },
    Panel { name: "longest window, steps", value: |s| f64::from(s.window_max), text: |s| format::count(s.window_max.into()) },
];

pub(super) fn section(c: &Comparison) -> String {
    let what = "Bars begin at 0. Activations are reckoned, not measured: what the longest window that occurred takes on a stream if all of it were kept, in all \
                lanes. Windows are counted from cut to cut.";
    if c.strategies.is_empty() {
        return page::section("Cost", "No strategy was compared.", "");
    }
    page::section("Cost", what, &page::figure("Cost", &picture(c), &[memory(c), windows(c)]))
}

fn picture(c: &Comparison) -> String {
    let described = format!("Bars of activation bytes, symbols per second, mean and longest window of each strategy. {} {}", memory(c), windows(c));
    let mut p = Picture::new("cost", "What each strategy costs", &described);
    let bottom = TOP + ROW * c.strategies.len() as f64;
    for (k, panel) in PANELS.iter().enumerate() {
        let left = LEFT + PANEL * k as f64;
        let most = c.strategies.iter().map(panel.value).filter(|x| x.is_finite()).fold(0.0, f64::max);
        p.text("name", (left, 16.0), panel.name);
        for (i, s) in c.strategies.iter().enumerate() {
            let y = TOP + ROW * i as f64;
            let part = (panel.value)(s) / most;
            let width = if part.is_finite() { BAR * part.clamp(0.0, 1.0) } else { 0.0 };
            p.series(i);
            p.rect("bar", (left, y + 6.0), (width, ROW - 12.0), 0.85);
            p.text("", (left + width + 6.0, y + ROW / 2.0 + 4.5), &(panel.text)(s));
            p.close();
        }
        p.line("axis", (left, TOP), (left, bottom));
    }
    for (i, s) in c.strategies.iter().enumerate() {
        p.series(i);
        p.text("label", (4.0, TOP + ROW * (i as f64 + 0.5) + 4.5), &format::shortened(&s.truncation, 20));
        p.close();
    }
    p.finish(bottom + 6.0)
}

fn memory(c: &Comparison) -> String {
    match extremes(c, |s| s.bytes as f64) {
        Some((least, most)) if least.bytes < most.bytes => {
            let times = if least.bytes == 0 { String::new() } else { format!(", {} times as much", format::number(most.bytes as f64 / least.bytes as f64)) };
            format!("{} takes least, {}; {} most, {}{times}.", least.truncation, format::bytes(least.bytes), most.truncation, format::bytes(most.bytes))
        }
        Some((one, _)) if c.strategies.len() > 1 => format!("All take {}.", format::bytes(one.bytes)),
        Some((one, _)) => format!("{} takes {}.", one.truncation, format::bytes(one.bytes)),
        None => String::new(),
    }
}

/// Names the strategy whose longest window exceeds its mean the most: what is kept must be ready for that one.
fn windows(c: &Comparison) -> String {
    let over = |s: &Strategy| f64::from(s.window_max) / s.window_mean;
    match extremes(c, over) {
        Some((_, s)) if over(s) > 1.0 => format!(
            "The longest window of {}, {} steps, is {} times its mean of {}; no other strategy exceeds its mean more.",
            s.truncation,
            format::count(s.window_max.into()),
            format::number(over(s)),
            format::rounded(s.window_mean)
        ),
        Some(_) => "No window was longer than the mean of its strategy.".to_string(),
        None => String::new(),
    }
}
