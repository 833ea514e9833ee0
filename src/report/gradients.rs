//! Bias and spread of the strategies' gradients.

use super::format::{self, ABSENT, number, plural, with_error};
use super::page::{scroll, section as titled, table};
use super::svg::{Picture, Scale, WIDTH, coordinate, keyed};
use crate::analysis::comparison::{Comparison, Parameter, Strategy};
use crate::store::torch_name;
use maud::{Markup, html};

/// Relative difference of two gradients in single precision that rounding alone can cause.
const ROUNDING: f64 = 1e-5;

/// Layout in picture units: names, then two panels of floor, axis and values.
const LEFT: f64 = 172.0;
const FLOOR: f64 = 48.0;
const AXIS: f64 = 218.0;
const PANEL: f64 = (WIDTH - LEFT) / 2.0;
const TOP: f64 = 20.0;
const ROW: f64 = 34.0;

/// Whether a bias is significant: beyond twice its standard error, and beyond rounding. The error of a single sample is unknown.
fn seen(c: &Comparison, s: &Strategy, bias: f64, error: f64) -> bool {
    let single = c.draws < 2 && s.truncation.starts_with("random");
    !single && bias.is_finite() && error.is_finite() && bias > 2.0 * error && bias >= ROUNDING
}

pub(super) fn section(c: &Comparison) -> Markup {
    let what = format!(
        "Both as parts of the norm of the full gradient, on the same scale. Left, how far the mean gradient lies off the full one: the whisker is one \
         standard error each way, the pale bar reaches to twice of it. A bias within that, or as small as rounding, is not seen: its marker is hollow. Right, \
         how far single gradients lie off their mean. On the dashed lines: 0, or too small for the scale. Measured against the full gradient of {} at {}, \
         with {} of each random strategy.",
        plural(c.gradient_tokens, "symbol", "symbols"),
        c.gradient_at,
        plural(c.draws, "draw", "draws")
    );
    titled("Bias and spread", &what, &html! { (scroll("Bias and spread", &picture(c))) (parameters(c)) })
}

/// Ends of the common scale, five decades at most.
fn ends(c: &Comparison) -> (f64, f64) {
    let figures = c.strategies.iter().flat_map(|s| [s.relative_bias, s.relative_bias_error, s.relative_spread]);
    let (lo, hi) = super::chart::span(figures.filter(|x| x.is_normal() && *x > 0.0));
    (lo.max(hi * 1e-5), hi)
}

fn picture(c: &Comparison) -> Markup {
    let mut p = Picture::new("bias", "Bias and spread of each strategy's gradient");
    let bottom = TOP + ROW * c.strategies.len() as f64;
    let axes = [LEFT, LEFT + PANEL].map(|left| (left + FLOOR, left + FLOOR + AXIS));
    let scales = axes.map(|ends_at| Scale::log(ends(c), ends_at));
    for ((scale, axis), name) in scales.iter().zip(axes).zip(["relative bias", "relative spread"]) {
        p.axis_x(scale, (TOP, bottom), name);
        p.line("floor", (axis.0 - 12.0, TOP), (axis.0 - 12.0, bottom));
    }
    // At the floor if 0 or below the scale.
    let place = |panel: usize, x: f64| {
        let (at, (from, to)) = (scales[panel].at(x), axes[panel]);
        if at < from - 0.5 { from - 12.0 } else { at.min(to) }
    };
    for (i, s) in c.strategies.iter().enumerate() {
        let (y, bias, error) = (TOP + ROW * (i as f64 + 0.5), s.relative_bias, s.relative_bias_error);
        p.line("rule", (0.0, y + ROW / 2.0), (WIDTH, y + ROW / 2.0));
        p.series(i);
        p.text("label", (4.0, y + 4.5), &format::clipped(&s.truncation, 20));
        if error > 0.0 && bias.is_finite() && error.is_finite() {
            let [from, lo, hi, twice] = [0.0, bias - error, bias + error, 2.0 * error].map(|x| place(0, x));
            p.rect("bar", (from, y - 7.0), (twice - from, 14.0), 0.16);
            p.line("whisker", (lo, y), (hi, y));
        }
        for (panel, x, error) in [(0, bias, error), (1, s.relative_spread, 0.0)] {
            let class = if panel == 1 || seen(c, s, bias, error) { "mark" } else { "hollow" };
            if x.is_finite() {
                p.marker(class, i, (place(panel, x), y));
            }
            p.text("", (axes[panel].1 + 12.0, y + 4.5), &with_error(x, error));
        }
        p.close();
    }
    p.finish(bottom + 46.0)
}

/// A table of all parameters, coloured where a bias is significant.
fn parameters(c: &Comparison) -> Markup {
    let mut order: Vec<&str> = Vec::new();
    for p in c.strategies.iter().flat_map(|s| &s.per_parameter) {
        if !order.contains(&p.name.as_str()) {
            order.push(&p.name);
        }
    }
    let what = "Parameter by parameter: relative bias with its standard error, and below it cosine and relative spread. Coloured where a bias is seen, \
                the deeper the greater: from a thousandth to the whole of the full gradient, on a logarithmic scale.";
    let head: Vec<Markup> = [html! { "Parameter" }].into_iter().chain(c.strategies.iter().enumerate().map(|(i, s)| keyed(i, &s.truncation))).collect();
    let cell = |s: &Strategy, name: &str| s.per_parameter.iter().find(|p| p.name == name).map_or(html! { (ABSENT) }, |p| heat(c, s, p));
    let row = |name: &&str| (torch_name(name), c.strategies.iter().map(|s| cell(s, name)).collect());
    let table = table("Bias, cosine and spread of each parameter", &head, &order.iter().map(row).collect::<Vec<_>>());
    html! { @if !order.is_empty() { p.note { (what) } (table) } }
}

fn heat(c: &Comparison, s: &Strategy, p: &Parameter) -> Markup {
    let part = if seen(c, s, p.relative_bias, p.relative_bias_error) { (1.0 + p.relative_bias.log10() / 3.0).clamp(0.15, 1.0) } else { 0.0 };
    html! {
        div.heat style={ "--a:" (coordinate(0.5 * part)) } {
            (with_error(p.relative_bias, p.relative_bias_error))
            small { "cosine " (format::fixed(p.cosine, 3)) @if p.relative_spread != 0.0 { " · spread " (number(p.relative_spread)) } }
        }
    }
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
            let hollow = picture(&c).into_string().contains("class=\"hollow\"");
            assert!(hollow || !bias.is_finite() || seen(&c, &c.strategies[0], bias, error));
            seen(&c, &c.strategies[0], bias, error)
        };
        assert!(!said(0.0, 0.0) && !said(0.031, 0.02) && !said(0.0, 0.1) && said(0.041, 0.02) && said(1e-3, 0.0));
        // However precisely measured, it is rounding.
        assert!(!said(1e-7, 0.0) && !said(8e-8, 8e-9) && !said(8e-8, 8e-8) && said(2e-5, 1e-6));
        assert!(!said(f64::NAN, 0.0) && !said(0.1, f64::INFINITY));
        c.draws = 1;
        c.strategies[0].truncation = "random:0.5".into();
        assert!(!seen(&c, &c.strategies[0], 0.5, 0.0));
    }
}
