//! Bias and spread of the strategies' gradients.

use super::format;
use super::page;
use super::strategies::{extremes, named};
use super::svg::{Picture, Scale, WIDTH, escape};
use crate::analysis::comparison::{Comparison, Parameter, Strategy};
use crate::store::torch_name;

/// What can be said of a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Not finite, or drawn too seldom to have an error.
    Unknown,
    /// Exactly 0.
    Exact,
    /// Within twice its standard error.
    Unseen,
    /// As small as rounding, however often it was drawn.
    Rounding,
    /// Greater.
    Seen,
}

/// A relative difference of two gradients in single precision that rounding alone can make.
const ROUNDING: f64 = 1e-5;

/// Units: names, then two panels of floor, axis and values.
const LEFT: f64 = 172.0;
const FLOOR: f64 = 48.0;
const AXIS: f64 = 218.0;
const PANEL: f64 = (WIDTH - LEFT) / 2.0;
const TOP: f64 = 34.0;
const ROW: f64 = 34.0;

impl Verdict {
    fn of(c: &Comparison, s: &Strategy, bias: f64, error: f64) -> Self {
        // Nothing can be known of the error of a single draw.
        let single = c.draws < 2 && s.truncation.starts_with("random");
        match () {
            () if single || !bias.is_finite() || !error.is_finite() || bias < 0.0 || error < 0.0 => Verdict::Unknown,
            () if bias == 0.0 && error == 0.0 => Verdict::Exact,
            () if bias <= 2.0 * error => Verdict::Unseen,
            () if bias < ROUNDING => Verdict::Rounding,
            () => Verdict::Seen,
        }
    }

    fn overall(c: &Comparison, s: &Strategy) -> Self {
        Self::of(c, s, s.relative_bias, s.relative_bias_error)
    }
}

/// A bias with its error, if something was drawn.
pub(super) fn with_error(bias: f64, error: f64) -> String {
    if error == 0.0 || !bias.is_finite() { format::number(bias) } else { format::with_error(bias, error) }
}

/// As [`with_error`], and with words where it is 0, which no place on a logarithmic scale shows.
fn written(x: f64, error: f64) -> String {
    if x == 0.0 && error == 0.0 { "exactly 0".to_string() } else { with_error(x, error) }
}

pub(super) fn section(c: &Comparison) -> String {
    let what = "Both as parts of the norm of the full gradient, on the same scale. Left, how far the mean gradient lies off the full one: the whisker is \
                one standard error each way, the pale bar reaches to twice of it, within which no bias is seen (hollow markers). Right, how far single \
                gradients lie off their mean. Left of the dashed lines: 0, or too small for the scale.";
    if c.strategies.is_empty() {
        return page::section("Bias and spread", "No strategy was compared.", "");
    }
    let overall = page::figure("Bias and spread", &picture(c), &[biases(c), spreads(c), basis(c)]);
    page::section("Bias and spread", what, &(overall + &parameters(c)))
}

/// Ends of the common scale: whole decades around what is to be shown, five at most.
fn ends(c: &Comparison) -> (f64, f64) {
    let figures = c.strategies.iter().flat_map(|s| [s.relative_bias, s.relative_bias_error, s.relative_spread]);
    let positive: Vec<f64> = figures.filter(|x| x.is_normal() && *x > 0.0).collect();
    let hi = positive.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lo = positive.iter().copied().fold(f64::INFINITY, f64::min).max(hi * 1e-5);
    let decade = |x: f64, by: f64| 10f64.powf(by + x.log10().floor());
    let (lo, hi) = (decade(lo, 0.0), decade(hi, 1.0));
    if lo.is_normal() && hi.is_normal() { (lo, hi) } else { (0.01, 1.0) }
}

fn picture(c: &Comparison) -> String {
    let described = format!("Relative bias and relative spread of each strategy on a logarithmic scale. {} {}", biases(c), spreads(c));
    let mut p = Picture::new("bias", "Bias and spread of each strategy's gradient", &described);
    let bottom = TOP + ROW * c.strategies.len() as f64;
    for (i, s) in c.strategies.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        p.line("rule", (0.0, y + ROW), (WIDTH, y + ROW));
        p.series(i);
        p.text("label", (4.0, y + ROW / 2.0 + 4.5), &format::shortened(&s.truncation, 20));
        p.close();
    }
    for (panel, name) in ["relative bias", "relative spread"].into_iter().enumerate() {
        let left = LEFT + PANEL * panel as f64;
        let scale = Scale::log(ends(c), (left + FLOOR, left + FLOOR + AXIS));
        p.text("name", (left, 16.0), name);
        p.axis_x(&scale, (TOP, bottom), "of the full gradient's norm");
        p.line("floor", (left + FLOOR - 12.0, TOP), (left + FLOOR - 12.0, bottom + 4.0));
        p.text("tick mid", (left + 12.0, bottom + 17.0), "0");
        for (i, s) in c.strategies.iter().enumerate() {
            let y = TOP + ROW * (i as f64 + 0.5);
            p.series(i);
            if panel == 0 {
                bias(&mut p, c, s, &scale, (i, y));
            } else {
                dot(&mut p, "mark", s.relative_spread, &scale, (i, y));
                p.text("", (scale.ends().1 + 12.0, y + 4.5), &written(s.relative_spread, 0.0));
            }
            p.close();
        }
    }
    p.finish(bottom + 46.0)
}

/// Where a value is drawn: at the floor if it is 0 or below the scale, nowhere if it is no number.
fn place(x: f64, scale: &Scale) -> Option<f64> {
    let (from, to) = scale.ends();
    let at = scale.at(x);
    match x {
        x if !x.is_finite() || x < 0.0 => None,
        _ if at < from - 0.5 => Some(from - FLOOR + 12.0),
        _ => Some(at.min(to)),
    }
}

fn dot(p: &mut Picture, class: &str, x: f64, scale: &Scale, (series, y): (usize, f64)) {
    if let Some(at) = place(x, scale) {
        p.marker(class, series, (at, y));
        // What is drawn at the floor and isn't 0 says so.
        if x > 0.0 && at < scale.ends().0 {
            p.text("small mid", (at, y - 8.0), ">0");
        }
    }
}

fn bias(p: &mut Picture, c: &Comparison, s: &Strategy, scale: &Scale, (series, y): (usize, f64)) {
    let (value, error) = (s.relative_bias, s.relative_bias_error);
    let from = scale.ends().0;
    let inside = |x: f64| place(x.max(0.0), scale).map(|at| at.max(from));
    if error > 0.0 && value.is_finite() && error.is_finite() {
        if let Some(to) = inside(2.0 * error) {
            p.rect("bar", (from, y - 7.0), (to - from, 14.0), 0.16);
        }
        if let (Some(lo), Some(hi)) = (inside(value - error), inside(value + error)) {
            p.line("whisker", (lo, y), (hi, y));
            p.line("whisker", (hi, y - 5.0), (hi, y + 5.0));
            if value - error > 0.0 && lo > from {
                p.line("whisker", (lo, y - 5.0), (lo, y + 5.0));
            }
        }
    }
    let class = if Verdict::overall(c, s) == Verdict::Seen { "mark" } else { "hollow" };
    dot(p, class, value, scale, (series, y));
    p.text("", (scale.ends().1 + 12.0, y + 4.5), &written(value, error));
}

/// The strategies by what can be said of their bias.
fn biases(c: &Comparison) -> String {
    let of = |verdict: Verdict| -> Vec<String> {
        let those = c.strategies.iter().filter(|s| Verdict::overall(c, s) == verdict);
        those.map(|s| format!("{} ({})", s.truncation, with_error(s.relative_bias, s.relative_bias_error))).collect()
    };
    let names = |verdict: Verdict| -> Vec<String> { c.strategies.iter().filter(|s| Verdict::overall(c, s) == verdict).map(|s| s.truncation.clone()).collect() };
    let say = |items: Vec<String>, before: &str, behind: &str| match items.is_empty() {
        true => String::new(),
        false => format!("{before} with {}{behind}.", format::list(&items)),
    };
    let parts = [
        say(of(Verdict::Seen), "A bias is seen", ""),
        say(of(Verdict::Unseen), "No bias is seen", ": it is within twice its standard error"),
        say(of(Verdict::Rounding), "It is as small as rounding in single precision", ""),
        say(names(Verdict::Exact), "It is exactly 0", ""),
        say(names(Verdict::Unknown), "Nothing can be said of the bias", ", whose figures are not finite or of too few draws"),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|s| !s.is_empty()).collect();
    parts.join(" ")
}

fn spreads(c: &Comparison) -> String {
    let mut spread: Vec<&Strategy> = c.strategies.iter().filter(|s| s.relative_spread.is_finite() && s.relative_spread > 0.0).collect();
    spread.sort_by(|a, b| b.relative_spread.total_cmp(&a.relative_spread));
    if spread.is_empty() {
        return "No strategy shows a spread.".to_string();
    }
    let each: Vec<String> = spread.iter().map(|s| format!("{} with {}", s.truncation, format::number(s.relative_spread))).collect();
    let rest = if spread.len() < c.strategies.len() { "; no other shows any" } else { "" };
    format!("The spread, in norms of the full gradient: {}{rest}.", format::list(&each))
}

fn basis(c: &Comparison) -> String {
    let draws = format::plural(c.draws.into(), "draw", "draws");
    let tokens = format::plural(c.gradient_tokens, "symbol", "symbols");
    format!("Measured against the full gradient of {tokens} at {}, with {draws} of each random strategy.", escape(&c.gradient_at))
}

/// A table of all parameters, coloured where a bias is seen.
fn parameters(c: &Comparison) -> String {
    let mut order: Vec<&str> = Vec::new();
    for p in c.strategies.iter().flat_map(|s| &s.per_parameter) {
        if !order.contains(&p.name.as_str()) {
            order.push(&p.name);
        }
    }
    if order.is_empty() {
        return String::new();
    }
    let head: Vec<String> = ["Parameter".to_string()].into_iter().chain(c.strategies.iter().enumerate().map(|(i, s)| named(i, s))).collect();
    let shades = shades(c);
    let find = |s: &Strategy, name: &str| s.per_parameter.iter().find(|p| p.name == name).map_or("<td>—</td>".to_string(), |p| heat(c, s, p, shades));
    let rows: Vec<(String, Vec<String>)> = order.iter().map(|name| (escape(&torch_name(name)), c.strategies.iter().map(|s| find(s, name)).collect())).collect();
    let what = "Parameter by parameter: relative bias with its standard error, and below it cosine and relative spread. Coloured where a bias is seen, \
                the deeper the greater (on a logarithmic scale).";
    page::paragraph("note", what) + &page::figure("Bias, cosine and spread of each parameter", &page::table(&head, &rows), &[greatest(c)])
}

/// Least and greatest bias that is seen; no less than a thousandth of the greatest.
fn shades(c: &Comparison) -> (f64, f64) {
    let seen = c.strategies.iter().flat_map(|s| s.per_parameter.iter().map(move |p| (s, p))).filter(|(s, p)| verdict(c, s, p) == Verdict::Seen);
    let (lo, hi) = seen.fold((f64::INFINITY, 0.0_f64), |(lo, hi), (_, p)| (lo.min(p.relative_bias), hi.max(p.relative_bias)));
    (lo.max(hi * 1e-3), hi)
}

fn verdict(c: &Comparison, s: &Strategy, p: &Parameter) -> Verdict {
    Verdict::of(c, s, p.relative_bias, p.relative_bias_error)
}

fn heat(c: &Comparison, s: &Strategy, p: &Parameter, (lo, hi): (f64, f64)) -> String {
    let spread = if p.relative_spread == 0.0 { String::new() } else { format!(" · spread {}", format::number(p.relative_spread)) };
    let bias = escape(&with_error(p.relative_bias, p.relative_bias_error));
    let small = escape(&format!("cosine {}{spread}", format::fixed(p.cosine, 3)));
    if verdict(c, s, p) != Verdict::Seen {
        return format!("<td>{bias}<small>{small}</small></td>");
    }
    let part = Scale::log((lo, hi), (0.0, 1.0)).at(p.relative_bias).clamp(0.0, 1.0);
    format!("<td class=\"heat\" style=\"--a: {:.2}\">{bias}<small>{small}</small></td>", 0.08 + 0.42 * part)
}

/// The greatest bias of any parameter, and of which strategy.
fn greatest(c: &Comparison) -> String {
    let all = c.strategies.iter().flat_map(|s| s.per_parameter.iter().map(move |p| (s, p)));
    let seen = all.filter(|(s, p)| verdict(c, s, p) == Verdict::Seen);
    let Some((s, p)) = seen.max_by(|a, b| a.1.relative_bias.total_cmp(&b.1.relative_bias)) else {
        return "No parameter shows a bias.".to_string();
    };
    let bias = with_error(p.relative_bias, p.relative_bias_error);
    let turned = extremes(c, |s| s.cosine)
        .map_or(String::new(), |(least, _)| format!(" Over all parameters {} has the lowest cosine, {}.", least.truncation, format::fixed(least.cosine, 4)));
    format!("The greatest relative bias is that of {} in {}, {bias}.{turned}", s.truncation, torch_name(&p.name))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_bias_within_twice_its_error_is_not_claimed() {
        let mut c = fixture::comparison();
        c.strategies.truncate(1);
        let mut said = |bias: f64, error: f64| {
            (c.strategies[0].relative_bias, c.strategies[0].relative_bias_error) = (bias, error);
            biases(&c)
        };
        assert_eq!(said(0.0, 0.0), "It is exactly 0 with full.");
        assert!(said(0.031, 0.02).starts_with("No bias") && said(0.0, 0.1).starts_with("No bias"));
        assert_eq!(said(0.041, 0.02), "A bias is seen with full (0.041 ± 0.020).");
        assert!(said(1e-7, 0.0).starts_with("It is as small as rounding") && said(1e-3, 0.0).starts_with("A bias"));
        // However surely it was measured, it is rounding.
        assert!(
            said(8e-8, 8e-9).starts_with("It is as small as rounding") && said(8e-8, 8e-8).starts_with("No bias") && said(2e-5, 1e-6).starts_with("A bias")
        );
        assert!(said(f64::NAN, 0.0).starts_with("Nothing") && said(0.1, f64::INFINITY).starts_with("Nothing"));
        c.draws = 1;
        c.strategies[0].truncation = "random:0.5".into();
        assert!(biases(&c).starts_with("Nothing"));
    }
}
