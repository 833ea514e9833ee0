//! Pictures as SVG: scales with round ticks, and the few shapes that the reports need. Colours and fonts are the page's.

use super::format;
use maud::{Markup, PreEscaped, html};

/// Width of every picture in its own units; the page scales it to the available room.
pub(super) const WIDTH: f64 = 960.0;

/// Colours that the page defines, as the classes `s0`, `s1`, ...
pub(super) const COLOURS: usize = 7;

/// A dash pattern per series. The numbers of colours, dashes and markers have no common factor, so no two of 105 series look the same.
const DASHES: [&str; 5] = ["none", "9 3", "3 3", "12 3 3 3", "6 2 2 2 2 2"];

/// A position in a picture: x, y.
pub(super) type At = (f64, f64);

/// A coordinate with at most two decimals. Values that are not finite should not get here; they would be drawn at 0.
pub(super) fn coordinate(x: f64) -> String {
    let text = format!("{:.2}", if x.is_finite() { x } else { 0.0 });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// Maps values to positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Distance between ticks of a linear scale; none if logarithmic.
    step: Option<f64>,
    lo: f64,
    hi: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Linear, widened to round ends.
    pub(super) fn linear((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        let drawable = |x: f64| x.abs() < 1e300;
        let (mut lo, mut hi) = if drawable(lo) && drawable(hi) && lo <= hi { (lo, hi) } else { (0.0, 1.0) };
        // Too narrow for f64 to tell apart: as wide as the value itself.
        if hi - lo <= 1e-9 * hi.abs().max(lo.abs()) {
            let by = if hi == 0.0 { 1.0 } else { 0.05 * hi.abs() };
            (lo, hi) = (lo - by, hi + by);
        }
        let step = step((hi - lo) / 5.0);
        Scale { step: Some(step), lo: (lo / step).floor() * step, hi: (hi / step).ceil() * step, from, to }
    }

    /// Linear, with exactly these ends.
    pub(super) fn between((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        let fits = lo.abs() < 1e300 && hi.abs() < 1e300 && lo < hi;
        let (lo, hi) = if fits { (lo, hi) } else { (0.0, 1.0) };
        Scale { step: Some(step((hi - lo) / 8.0)), lo, hi, from, to }
    }

    /// Logarithmic, for positive values. Its ends are 1, 2 or 5 times a power of ten, so that there are ticks however close the values are.
    pub(super) fn log((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        let fits = lo.is_normal() && hi.is_normal() && 0.0 < lo && lo <= hi && hi < 1e300;
        let (lo, hi) = if fits { (lo, hi) } else { (0.1, 1.0) };
        let steps = |x: f64| [0.5, 1.0, 2.0, 5.0, 10.0].map(|m| m * 10f64.powf(x.log10().floor()));
        let below = steps(lo).into_iter().rfind(|s| *s <= lo * 1.0001).unwrap_or(lo);
        let above = steps(hi).into_iter().find(|s| *s >= hi * 0.9999).unwrap_or(hi);
        let (lo, hi) = if below < above { (below, above) } else { (below / 2.0, above * 2.0) };
        Scale { step: None, lo, hi, from, to }
    }

    /// The position of a value. It may lie beyond the ends by a tenth of the length, but never further, and is always finite.
    pub(super) fn at(&self, x: f64) -> f64 {
        let part = if self.step.is_none() { (x.max(f64::MIN_POSITIVE) / self.lo).ln() / (self.hi / self.lo).ln() } else { (x - self.lo) / (self.hi - self.lo) };
        let part = if part.is_nan() { 0.0 } else { part.clamp(-0.1, 1.1) };
        self.from + part * (self.to - self.from)
    }

    /// Round values between the ends.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if let Some(step) = self.step {
            let first = (self.lo / step - 1e-6).ceil();
            let count = ((self.hi / step + 1e-6).floor() - first).min(20.0) as i64;
            return (0..=count).map(|i| (first + i as f64) * step).collect();
        }
        let (first, last) = (self.lo.log10().floor() as i32, self.hi.log10().ceil() as i32);
        // Over many decades every second, third, ... of them; over few, also values in between.
        let every = 1 + (last - first) / 8;
        let within: &[f64] = match self.hi / self.lo {
            r if r < 6.0 => &[1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            r if r < 300.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let inside = |x: &f64| *x >= self.lo * 0.999 && *x <= self.hi * 1.001;
        (first..=last).step_by(every as usize).flat_map(|e| within.iter().map(move |m| m * 10f64.powi(e))).filter(inside).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `least`.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|s| *s >= least * 0.9999).unwrap_or(10.0 * power)
}

/// A picture that is built shape by shape.
pub(super) struct Picture {
    id: String,
    title: String,
    body: String,
}

impl Picture {
    /// An empty picture; screen readers read out the title.
    pub(super) fn new(id: &str, title: &str) -> Self {
        Picture { id: id.to_string(), title: title.to_string(), body: String::new() }
    }

    fn push(&mut self, shape: &Markup) {
        self.body.push_str(&shape.0);
        self.body.push('\n');
    }

    /// Opens a group with the colour of this series.
    pub(super) fn series(&mut self, i: usize) {
        self.body.push_str(&format!("<g class=\"s{}\">\n", i % COLOURS));
    }

    /// Closes the group that [`Picture::series`] or [`Picture::clip`] opened.
    pub(super) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// Opens a group that is drawn inside this rectangle only.
    pub(super) fn clip(&mut self, (x, y): At, (w, h): (f64, f64)) {
        let ([x, y, w, h], id) = ([x, y, w, h].map(coordinate), format!("{}-clip", self.id));
        self.push(&html! { clipPath id=(id) { rect x=(x) y=(y) width=(w) height=(h) {} } });
        self.body.push_str(&format!("<g clip-path=\"url(#{id})\">\n"));
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): At, (x2, y2): At) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(coordinate);
        self.push(&html! { line class=(class) x1=(x1) y1=(y1) x2=(x2) y2=(y2) {} });
    }

    /// A filled rectangle; `opacity` between 0 and 1.
    pub(super) fn rect(&mut self, class: &str, (x, y): At, (w, h): (f64, f64), opacity: f64) {
        let [x, y, w, h, opacity] = [x, y, w.max(0.0), h.max(0.0), opacity.clamp(0.0, 1.0)].map(coordinate);
        self.push(&html! { rect class=(class) x=(x) y=(y) width=(w) height=(h) opacity=(opacity) {} });
    }

    pub(super) fn text(&mut self, class: &str, (x, y): At, text: &str) {
        self.push(&html! { text class=(class) x=(coordinate(x)) y=(coordinate(y)) { (text) } });
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): At, r: f64) {
        self.push(&html! { circle class=(class) cx=(coordinate(x)) cy=(coordinate(y)) r=(r) {} });
    }

    /// A line through points, with the dashes of its series.
    pub(super) fn polyline(&mut self, class: &str, series: Option<usize>, points: &[At]) {
        self.push(&polyline(class, series, points));
    }

    /// The marker of a series.
    pub(super) fn marker(&mut self, class: &str, series: usize, at: At) {
        self.path(class, &marker(series, at), 1.0);
    }

    /// An outline; `opacity` between 0 and 1.
    pub(super) fn path(&mut self, class: &str, d: &str, opacity: f64) {
        self.push(&html! { path class=(class) opacity=(coordinate(opacity.clamp(0.0, 1.0))) d=(d) {} });
    }

    /// The complete picture.
    pub(super) fn finish(self, height: f64) -> Markup {
        self.svg(height, None, "")
    }

    /// The picture as a file with its own style, since no page gives it colours and fonts.
    pub(super) fn standalone(self, height: f64, style: &str) -> String {
        self.svg(height, Some((WIDTH, height)), style).into_string()
    }

    fn svg(self, height: f64, size: Option<(f64, f64)>, style: &str) -> Markup {
        html! {
            svg role="img" aria-label=(self.title) width=[size.map(|s| s.0)] height=[size.map(|s| s.1)] viewBox={ "0 0 " (WIDTH) " " (coordinate(height)) }
                xmlns="http://www.w3.org/2000/svg" {
                @if size.is_some() {
                    title { (self.title) }
                    style { (PreEscaped(style)) }
                    rect.paper width="100%" height="100%" {}
                }
                (PreEscaped(self.body))
            }
        }
    }

    /// A horizontal axis below a plot: grid lines over `span`, a label per tick, and the name.
    pub(super) fn axis_x(&mut self, scale: &Scale, span: (f64, f64), name: &str) {
        self.axis_named(scale, span, name, &format::short);
    }

    /// The same with other labels, as many as there is room for.
    pub(super) fn axis_named(&mut self, scale: &Scale, (top, bottom): (f64, f64), name: &str, label: &dyn Fn(f64) -> String) {
        let ticks: Vec<(f64, String)> = scale.ticks().into_iter().map(|tick| (scale.at(tick), label(tick))).collect();
        let widest = ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as f64 * 7.0 + 10.0;
        let apart = ticks.windows(2).map(|w| w[1].0 - w[0].0).fold(f64::INFINITY, f64::min);
        let every = (widest / apart).ceil().max(1.0) as usize;
        for (i, (x, label)) in ticks.iter().enumerate() {
            self.line("grid", (*x, top), (*x, bottom));
            if i % every == 0 {
                self.text("tick mid", (*x, bottom + 17.0), label);
            }
        }
        self.line("axis", (scale.from, bottom), (scale.to, bottom));
        self.text("name mid", ((scale.from + scale.to) / 2.0, bottom + 38.0), name);
    }

    /// A vertical axis left of a plot; its name stands above, so that it need not be rotated.
    pub(super) fn axis_y(&mut self, scale: &Scale, (left, right): (f64, f64), name: &str) {
        for tick in scale.ticks() {
            let y = scale.at(tick);
            self.line("grid", (left, y), (right, y));
            self.text("tick end", (left - 8.0, y + 4.0), &format::short(tick));
        }
        self.text("name", (left - 44.0, scale.to - 14.0), name);
    }
}

fn polyline(class: &str, series: Option<usize>, points: &[At]) -> Markup {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", coordinate(*x), coordinate(*y))).collect();
    html! { polyline class=(class) stroke-dasharray=[series.map(|i| DASHES[i % DASHES.len()])] points=(points.join(" ")) {} }
}

/// A small sample of a series' line, with its marker if `class` has one. Its name stands beside it, so screen readers can skip it.
pub(super) fn swatch(class: &str, series: usize) -> Markup {
    let marked = class == "val";
    html! {
        svg class={ "swatch s" (series % COLOURS) } aria-hidden="true" viewBox="0 0 30 12" width="30" height="12" {
            (polyline(class, marked.then_some(series), &[(0.0, 6.0), (30.0, 6.0)]))
            @if marked { path.mark d=(marker(series, (15.0, 6.0))) {} }
        }
    }
}

/// A name preceded by its line.
pub(super) fn keyed(series: usize, name: &str) -> Markup {
    html! { (swatch("val", series)) (name) }
}

/// Circle, square, triangle.
fn marker(series: usize, (x, y): At) -> String {
    let at = |dx: f64, dy: f64| format!("{} {}", coordinate(x + dx), coordinate(y + dy));
    match series % 3 {
        0 => format!("M{}a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0Z", at(-4.2, 0.0)),
        1 => format!("M{}h7.6v7.6h-7.6Z", at(-3.8, -3.8)),
        _ => format!("M{}L{}L{}Z", at(0.0, -5.0), at(5.0, 4.0), at(-5.0, 4.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_span_the_values() {
        let cases = [(0.0, 1.0), (1.93, 2.41), (0.0, 204_800.0), (-3.0, 7.0), (5.0, 5.0), (0.0, 0.0), (f64::NAN, 1.0), (1e-9, 3e-9)];
        for (lo, hi) in cases {
            let scale = Scale::linear((lo, hi), (0.0, 100.0));
            let ticks = scale.ticks();
            assert!((3..=8).contains(&ticks.len()), "{lo} {hi}: {ticks:?}");
            if lo.is_finite() {
                assert!(ticks[0] <= lo && *ticks.last().unwrap() >= hi * 0.999_999, "{lo} {hi}: {ticks:?}");
            }
            for pair in ticks.windows(2) {
                let digit = format!("{:e}", (pair[1] - pair[0]) * 1.000_000_1).chars().next();
                assert!(matches!(digit, Some('1' | '2' | '5')), "{lo} {hi}: {ticks:?}");
            }
        }
        assert_eq!(Scale::between((0.0, 6_553_600.0), (0.0, 1.0)).ticks(), [0.0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6]);
    }

    #[test]
    fn log_axes_have_ticks_and_round_ends() {
        let scale = |lo, hi| Scale::log((lo, hi), (0.0, 1.0));
        assert_eq!(scale(0.01, 10.0).ticks(), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(scale(1.5, 30.0).ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!([scale(0.31, 0.45), scale(1.0, 1.0), scale(0.02, 700.0)].map(|s| (s.lo, s.hi)), [(0.2, 0.5), (0.5, 2.0), (0.02, 1000.0)]);
        for (lo, hi) in [(0.31, 0.32), (3.0, 3.0), (1e-30, 1e30), (9.99, 10.01)] {
            assert!((2..=9).contains(&scale(lo, hi).ticks().len()), "{lo} {hi}");
        }
    }

    #[test]
    fn positions_are_finite_and_near() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300, f64::MAX];
        for lo in odd {
            for hi in odd {
                for scale in [Scale::linear((lo, hi), (10.0, 110.0)), Scale::between((lo, hi), (10.0, 110.0)), Scale::log((lo, hi), (10.0, 110.0))] {
                    assert!(odd.iter().all(|x| (-0.001..=120.001).contains(&scale.at(*x))), "{scale:?}");
                    assert!(scale.ticks().len() <= 21, "{scale:?}");
                }
            }
        }
        let scale = Scale::log((0.01, 100.0), (0.0, 4.0));
        assert!((scale.at(1.0) - 2.0).abs() < 1e-12 && (scale.at(0.0) + 0.4).abs() < 1e-12);
        assert_eq!([coordinate(f64::NAN), coordinate(-0.001), coordinate(1.5), coordinate(10.0)], ["0", "0", "1.5", "10"]);
    }
}
