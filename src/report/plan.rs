//! A plan as a chart (an SVG file or part of a run's page), and as a table for a terminal.

use super::format;
use super::page::printable;
use super::plan_facts::{facts, model, points, times};
use super::svg::{At, Picture, Scale, WIDTH};
use crate::analysis::planned::{Planned, Segment};
use maud::Markup;

pub use super::terminal::table;

/// Left margin of text, and horizontal ends of the plots.
const MARGIN: f64 = 24.0;
const X: (f64, f64) = (76.0, WIDTH - 24.0);
/// Height of the memory plot, and of a segment's box.
const HEIGHT: f64 = 250.0;
const BOX: f64 = 44.0;
/// Most boxes drawn; if there are more segments, several share one.
const BOXES: usize = 400;
/// Least width of a box with text in it.
const ROOM: f64 = 26.0;
/// Characters on a line of the file.
const LINE: usize = 128;
/// Above this factor of time the scale is logarithmic; up to this factor of memory the budget is drawn.
const WIDE: f64 = 6.0;

/// One SVG file: the plans for more or less memory, and how a window is processed.
pub fn svg(p: &Planned) -> String {
    let title = format!("Plan of a window of {} within {}", format::plural(p.window, "step", "steps"), format::bytes(p.budget));
    let mut picture = Picture::new("plan", &title);
    picture.text("title", (MARGIN, 36.0), &title);
    for (i, line) in [model(p), p.device.clone()].iter().enumerate() {
        picture.text("small", (MARGIN, 58.0 + 18.0 * i as f64), &format::clipped(line, LINE));
    }
    let mut y = draw(&mut picture, p, 108.0);
    y += 14.0;
    for (name, text) in facts(p) {
        y += 20.0;
        picture.text("name", (MARGIN, y), name);
        picture.text("", (MARGIN + 130.0, y), &text);
    }
    printable(&picture.standalone(y + 20.0, include_str!("plan.css")))
}

/// The same chart for a page.
pub(super) fn picture(p: &Planned) -> Markup {
    let mut picture = Picture::new("plan", "Memory against time, and one window segment by segment");
    let bottom = draw(&mut picture, p, 16.0);
    picture.finish(bottom + 8.0)
}

/// Draws below `top`. Returns the lower end.
fn draw(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    picture.text("heading", (MARGIN, top), "Memory against time");
    let y = memory(picture, p, top + 46.0);
    picture.text("heading", (MARGIN, y + 50.0), "One window, segment by segment");
    window(picture, p, y + 70.0)
}

/// The plans of other budgets, with this one among them.
fn memory(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    let (points, chosen) = points(p);
    let mib = |bytes: u64| bytes.max(1) as f64 / f64::from(1 << 20);
    let bottom = top + HEIGHT;
    let most = points.iter().map(|q| mib(q.device_bytes)).fold(0.0, f64::max);
    // A budget far beyond the usable memory would leave no room for the curve.
    let budget = Some(mib(p.budget)).filter(|b| *b <= WIDE * most);
    let (lo, hi) = super::chart::span(points.iter().map(|q| mib(q.device_bytes)).chain(budget));
    let x = Scale::log((lo, hi), X);
    let (lo, hi) = super::chart::span(points.iter().map(|q| q.time_factor).filter(|t| t.is_finite() && *t > 0.0).chain([1.0, 1.1]));
    let y = if hi > WIDE * lo { Scale::log((lo, hi), (bottom, top)) } else { Scale::linear((lo, hi), (bottom, top)) };
    picture.axis_x(&x, (top, bottom), "MiB on the device, log scale");
    picture.axis_y(&y, X, "predicted time of an update; 1 = everything is kept");
    let places: Vec<At> = points.iter().map(|q| (x.at(mib(q.device_bytes)), y.at(q.time_factor))).collect();
    // Between two plans, a budget allows the smaller one.
    let stairs: Vec<At> = places.windows(2).flat_map(|w| [w[0], (w[1].0, w[0].1)]).chain(places.last().copied()).collect();
    picture.polyline("val", None, &stairs);
    let mut before = None;
    for (q, at) in points.iter().zip(&places) {
        picture.circle("point", *at, 3.0);
        // The stairs go right and down, so the space above them is free.
        if before.replace(q.most_recomputed) != Some(q.most_recomputed) {
            picture.text("small", (at.0 + 5.0, at.1 - 7.0), &format!("×{}", q.most_recomputed));
        }
    }
    if let Some(at) = budget.map(|b| x.at(b)) {
        picture.line("budget", (at, top), (at, bottom));
    }
    picture.circle("chosen", places[chosen], 7.0);
    let y = bottom + 66.0;
    picture.circle("chosen", (X.0 + 14.0, y - 4.5), 7.0);
    picture.text("", (X.0 + 34.0, y), &format!("this plan: {}, {}", format::bytes(p.device_bytes), times(p.time_factor)));
    picture.line("budget", (X.0 + 250.0, y - 4.5), (X.0 + 278.0, y - 4.5));
    let far = if budget.is_none() { ", beyond the right edge" } else { "" };
    picture.text("", (X.0 + 288.0, y), &format!("budget: {}{far}", format::bytes(p.budget)));
    picture.polyline("val", None, &[(X.0 + 580.0, y - 4.5), (X.0 + 608.0, y - 4.5)]);
    picture.text("", (X.0 + 618.0, y), "other budgets; ×: computed again");
    y
}

/// The segments from left to right: held, stored and recomputed.
fn window(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    let steps = |segments: &[Segment]| segments.iter().map(|s| f64::from(s.steps)).sum::<f64>();
    let x = Scale::between((0.0, steps(&p.graph)), X);
    let most = p.graph.iter().map(|s| s.recomputed).max().unwrap_or(0);
    let every = p.graph.len().div_ceil(BOXES).max(1);
    picture.axis_x(&x, (top, top + BOX), "steps of the window");
    let mut at = 0.0;
    for shared in p.graph.chunks(every) {
        let (from, to) = (x.at(at), x.at(at + steps(shared)));
        at += steps(shared);
        let again = shared.iter().map(|s| s.recomputed).max().unwrap_or(0);
        let (class, shade) = match again {
            0 if shared.iter().all(|s| s.held) => ("held", 1.0),
            0 => ("neither", 1.0),
            n => ("again", 0.25 + 0.75 * f64::from(n) / f64::from(most)),
        };
        // A gap between boxes, if there is room for one.
        let gap = if to - from > 4.0 { 1.0 } else { 0.0 };
        picture.rect(class, (from, top + 10.0), (to - from - gap, BOX - 10.0), shade);
        if to - from >= ROOM {
            let text = if class == "held" { "held".to_string() } else { format!("×{again}") };
            picture.text("mid", ((from + to) / 2.0, top + BOX - 12.0), &text);
        }
        if shared.iter().any(|s| s.stored) {
            picture.rect("stored", (from, top), (4.0, 8.0), 1.0);
        }
    }
    let y = top + BOX + 66.0;
    let again = format!("computed again; full colour: {most}×");
    let keys = [("held", "h is held"), ("again", &again), ("stored", "state at its start is stored"), ("neither", "neither")];
    for ((class, text), x) in keys.into_iter().zip([0.0, 110.0, 370.0, 600.0]) {
        picture.rect(class, (X.0 + x, y - 12.0), if class == "stored" { (4.0, 8.0) } else { (16.0, 14.0) }, 1.0);
        picture.text("", (X.0 + x + 24.0, y), text);
    }
    if every > 1 {
        picture.text("small", (X.0 + 710.0, y), &format!("a box is {every} segments"));
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// Checks that tags match, attributes are quoted and numbers finite.
    fn checked(p: &Planned) -> String {
        let file = svg(p);
        fixture::well_formed(&file);
        assert!(!file.contains("<script") && !file.contains("href") && !file.contains("@import"));
        assert_eq!(file.matches("http").count(), 1, "nothing but the namespace");
        file
    }

    #[test]
    fn whole_pictures() {
        let long = checked(&fixture::long_plan());
        for words in ["Memory against time", "this plan: ", "budget: 24MiB", "1.33x", "157 of at most 64 steps"] {
            assert!(long.contains(words), "{words}");
        }
        // A box per segment, and one in the legend.
        let count = |file: &str, what: &str| file.matches(&format!("class=\"{what}\"")).count();
        assert_eq!([count(&long, "again"), count(&long, "held"), count(&long, "stored")], [157, 2, 158]);
        let named = |file: &str, name: &str| file.lines().filter(|l| l.contains("class=\"mid\"") && l.contains(name)).count();
        let short = checked(&fixture::short_plan());
        assert_eq!([named(&short, ">×1<"), named(&short, ">held<"), count(&short, "stored")], [2, 1, 4]);
        let gated = checked(&fixture::gated_plan());
        assert!(gated.contains("LSTM, 1 layer, hidden 256") && gated.contains(">recomputed by one product a segment<") && !long.contains(">gates<"));
        let frugal = checked(&fixture::frugal_plan());
        assert_eq!([named(&frugal, ">×3<"), count(&frugal, "stored")], [2, 5]);
    }

    #[test]
    fn text_is_never_markup() {
        let mut p = fixture::short_plan();
        let evil = "<script>alert(\"1\" & '2')</script>\u{0}\u{1b}\n";
        (p.device, p.truncation) = (evil.to_string(), evil.to_string());
        let file = checked(&p);
        assert!(file.contains("&lt;script&gt;") && !file.contains('\u{0}') && !file.contains('\u{1b}'));
    }

    #[test]
    fn any_figures_make_a_picture() {
        for mut p in [fixture::long_plan(), fixture::short_plan(), fixture::frugal_plan(), fixture::gated_plan()] {
            for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300, 80.0] {
                (p.time_factor, p.recomputed_per_step) = (x, x);
                p.curve.iter_mut().for_each(|q| (q.time_factor, q.recomputed_per_step) = (x, x));
                checked(&p);
            }
            for n in [0, 1, u64::MAX] {
                (p.device_bytes, p.activation_bytes, p.budget) = (n, n, n);
                checked(&p);
                p.curve.iter_mut().for_each(|q| q.device_bytes = n);
                checked(&p);
            }
            p.graph.iter_mut().for_each(|s| s.steps = u32::MAX);
            checked(&p);
            p.graph.iter_mut().for_each(|s| s.steps = 0);
            checked(&p);
        }
    }

    #[test]
    fn little_is_enough_and_much_is_no_giant() {
        for segments in [0, 1, 2, 399, 400, 401, 100_000] {
            let mut p = fixture::long_plan();
            p.graph = vec![p.graph[0]; segments];
            p.curve.truncate(segments);
            assert!(checked(&p).len() < 150_000);
        }
    }
}
