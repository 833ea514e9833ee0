//! Pictures as SVG text: scales with round ticks, and the few shapes that the reports need. Colours and fonts are the page's.

use super::format;

/// Width of every picture in its own units; the page scales it to what room there is.
pub(super) const WIDTH: f64 = 960.0;

/// Colours that the page defines, as the classes `s0`, `s1`, ...
const COLOURS: usize = 7;

/// A dash pattern for each series; counts of colours, dashes and markers have no common factor, so no two of 105 series look the same.
const DASHES: [&str; 5] = ["none", "9 3", "3 3", "12 3 3 3", "6 2 2 2 2 2"];

/// Text that can stand in an element or a quoted attribute. XML knows no control characters: they become their pictures.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\0'..' ' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}'..'\u{a0}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// A coordinate with at most two decimals. What is not finite should not get here; it would be drawn at 0.
pub(super) fn coordinate(x: f64) -> String {
    if !x.is_finite() {
        return "0".to_string();
    }
    let text = format!("{x:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// Maps values to positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Between ticks, of a linear scale; none if logarithmic.
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
        // Too narrow to be told apart by f64: as wide as the value itself.
        if hi - lo <= 1e-9 * hi.abs().max(lo.abs()) {
            let by = if hi == 0.0 { 1.0 } else { 0.05 * hi.abs() };
            (lo, hi) = (lo - by, hi + by);
        }
        let step = step((hi - lo) / 5.0);
        Scale { step: Some(step), lo: (lo / step).floor() * step, hi: (hi / step).ceil() * step, from, to }
    }

    /// Linear from 0, ending where the values do.
    pub(super) fn exact(hi: f64, (from, to): (f64, f64)) -> Self {
        let hi = if hi > 0.0 && hi < 1e300 { hi } else { 1.0 };
        Scale { step: Some(step(hi / 8.0)), lo: 0.0, hi, from, to }
    }

    /// Linear, with ends as they are.
    pub(super) fn between((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        let fits = lo.abs() < 1e300 && hi.abs() < 1e300 && lo < hi;
        let (lo, hi) = if fits { (lo, hi) } else { (0.0, 1.0) };
        Scale { step: Some(step((hi - lo) / 8.0)), lo, hi, from, to }
    }

    /// Logarithmic, of positive values; the ends are taken as they are.
    pub(super) fn log((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        let fits = lo.is_normal() && hi.is_normal() && 0.0 < lo && lo <= hi;
        let (lo, hi) = if fits { (lo, hi) } else { (0.1, 1.0) };
        let (lo, hi) = if lo < hi { (lo, hi) } else { (lo / 2.0, hi * 2.0) };
        Scale { step: None, lo, hi, from, to }
    }

    /// The position of a value, which may lie outside of the ends by a tenth of the length; never further, and never not finite.
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
        // Over many decades every second, third, ... of them; over few, what lies between as well.
        let every = 1 + (last - first) / 8;
        let within: &[f64] = if self.hi / self.lo < 300.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let inside = |x: &f64| *x >= self.lo * 0.999 && *x <= self.hi * 1.001;
        (first..=last).step_by(every as usize).flat_map(|e| within.iter().map(move |m| m * 10f64.powi(e))).filter(inside).collect()
    }

    /// Where it begins and ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|s| *s >= least * 0.9999).unwrap_or(10.0 * power)
}

/// A picture that grows shape by shape.
pub(super) struct Picture {
    id: String,
    title: String,
    description: String,
    body: String,
}

impl Picture {
    /// An empty one; title and description are what is read out to those who don't see it.
    pub(super) fn new(id: impl Into<String>, title: &str, description: &str) -> Self {
        Picture { id: id.into(), title: escape(title), description: escape(description), body: String::new() }
    }

    /// What follows, until [`Picture::close`], has the colour of this series.
    pub(super) fn series(&mut self, i: usize) {
        self.body.push_str(&format!("<g class=\"s{}\">\n", i % COLOURS));
    }

    /// Ends [`Picture::series`] or [`Picture::clip`].
    pub(super) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// What follows, until [`Picture::close`], is drawn inside of this rectangle alone.
    pub(super) fn clip(&mut self, (x0, x1): (f64, f64), (y0, y1): (f64, f64)) {
        let (x, y, w, h) = (coordinate(x0), coordinate(y0), coordinate(x1 - x0), coordinate(y1 - y0));
        let id = &self.id;
        self.body.push_str(&format!(
            "<clipPath id=\"{id}-clip\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/></clipPath>\n<g clip-path=\"url(#{id}-clip)\">\n"
        ));
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(coordinate);
        self.body.push_str(&format!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"));
    }

    /// A filled rectangle; `opacity` between 0 and 1.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), opacity: f64) {
        let [x, y, w, h, opacity] = [x, y, w.max(0.0), h.max(0.0), opacity.clamp(0.0, 1.0)].map(coordinate);
        self.body.push_str(&format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" opacity=\"{opacity}\"/>\n"));
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        self.body.push_str(&format!("<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>\n", coordinate(x), coordinate(y), escape(text)));
    }

    /// A line through points, dashed as its series is.
    pub(super) fn polyline(&mut self, class: &str, series: Option<usize>, points: &[(f64, f64)]) {
        let dash = series.map_or("none", |i| DASHES[i % DASHES.len()]);
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", coordinate(*x), coordinate(*y))).collect();
        self.body.push_str(&format!("<polyline class=\"{class}\" stroke-dasharray=\"{dash}\" points=\"{}\"/>\n", points.join(" ")));
    }

    /// The marker of a series.
    pub(super) fn marker(&mut self, class: &str, series: usize, at: (f64, f64)) {
        self.body.push_str(&format!("<path class=\"{class}\" d=\"{}\"/>\n", marker(series, at)));
    }

    /// An outline of its own: lines or areas that the other shapes don't give.
    pub(super) fn path(&mut self, class: &str, d: &str) {
        self.body.push_str(&format!("<path class=\"{class}\" d=\"{d}\"/>\n"));
    }

    /// As [`Picture::path`], filled; `opacity` between 0 and 1.
    pub(super) fn area(&mut self, class: &str, d: &str, opacity: f64) {
        self.body.push_str(&format!("<path class=\"{class}\" opacity=\"{}\" d=\"{d}\"/>\n", coordinate(opacity.clamp(0.0, 1.0))));
    }

    /// Patterns that the picture's classes fill with.
    pub(super) fn define(&mut self, definitions: &str) {
        self.body.push_str(&format!("<defs>{definitions}</defs>\n"));
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): (f64, f64), r: f64) {
        let [x, y, r] = [x, y, r].map(coordinate);
        self.body.push_str(&format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>\n"));
    }

    /// What follows, until [`Picture::close`], says this to those who point at it.
    pub(super) fn hint(&mut self, text: &str) {
        self.body.push_str(&format!("<g><title>{}</title>\n", escape(text)));
    }

    /// The picture as a file of its own, with its own style and definitions: no page gives it colours and fonts.
    pub(super) fn standalone(self, height: f64, style: &str, definitions: &str) -> String {
        let Picture { id, title, description, body } = self;
        let height = coordinate(height);
        format!(
            "<svg role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n\
             <style>\n{style}</style>\n<defs>{definitions}</defs>\n<rect class=\"paper\" x=\"0\" y=\"0\" width=\"{WIDTH}\" height=\"{height}\"/>\n{body}</svg>\n"
        )
    }

    /// The picture, whole.
    pub(super) fn finish(self, height: f64) -> String {
        let Picture { id, title, description, body } = self;
        format!(
            "<svg role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" viewBox=\"0 0 {WIDTH} {}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n{body}</svg>\n",
            coordinate(height)
        )
    }

    /// A horizontal axis below a plot: grid lines over `y`, a label to each tick, and what is measured.
    pub(super) fn axis_x(&mut self, scale: &Scale, span: (f64, f64), name: &str) {
        self.axis_named(scale, span, name, &format::short);
    }

    /// The same with other labels; as many of them as there is room for.
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

    /// A vertical axis left of a plot; its name stands above, where it needs no turned head.
    pub(super) fn axis_y(&mut self, scale: &Scale, (left, right): (f64, f64), name: &str) {
        for tick in scale.ticks() {
            let y = scale.at(tick);
            self.line("grid", (left, y), (right, y));
            self.text("tick end", (left - 8.0, y + 4.0), &format::short(tick));
        }
        self.text("name", (left - 44.0, scale.to - 14.0), name);
    }

    /// A piece of a series' line with its marker, and its name after it.
    pub(super) fn key(&mut self, series: usize, (x, y): (f64, f64), name: &str) {
        self.series(series);
        self.polyline("val", Some(series), &[(x, y), (x + 30.0, y)]);
        self.marker("mark", series, (x + 15.0, y));
        self.text("label", (x + 37.0, y + 4.5), &format::shortened(name, 20));
        self.close();
    }
}

/// A small picture of a series' line, for tables; its name stands beside it, so that nothing is lost to those who don't see it.
pub(super) fn swatch(series: usize) -> String {
    let (colour, dash, path) = (series % COLOURS, DASHES[series % DASHES.len()], marker(series, (15.0, 6.0)));
    format!(
        "<svg class=\"swatch s{colour}\" aria-hidden=\"true\" viewBox=\"0 0 30 12\" width=\"30\" height=\"12\">\
         <polyline class=\"val\" stroke-dasharray=\"{dash}\" points=\"0,6 30,6\"/><path class=\"mark\" d=\"{path}\"/></svg>"
    )
}

/// Circle, square, triangle.
fn marker(series: usize, (x, y): (f64, f64)) -> String {
    let at = |dx: f64, dy: f64| format!("{} {}", coordinate(x + dx), coordinate(y + dy));
    match series % 3 {
        0 => format!("M{}a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0Z", at(-4.2, 0.0)),
        1 => format!("M{}h7.6v7.6h-7.6Z", at(-3.8, -3.8)),
        _ => format!("M{}L{}L{}Z", at(0.0, -5.0), at(5.0, 4.0), at(-5.0, 4.0)),
    }
}

/// Heights near the wanted ones, in the same order, at least `gap` apart and, if there is room, within `top..bottom`.
pub(super) fn apart(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut out = wanted.to_vec();
    let mut free = top;
    for &i in &order {
        out[i] = out[i].max(free);
        free = out[i] + gap;
    }
    let mut free = bottom.max(top + gap * wanted.len().saturating_sub(1) as f64);
    for &i in order.iter().rev() {
        out[i] = out[i].min(free);
        free = out[i] - gap;
    }
    out
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
        assert_eq!(Scale::exact(6_553_600.0, (0.0, 1.0)).ticks(), [0.0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6]);
        assert_eq!(Scale::log((0.01, 10.0), (0.0, 1.0)).ticks(), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(Scale::log((1.5, 30.0), (0.0, 1.0)).ticks(), [2.0, 5.0, 10.0, 20.0]);
        assert!(Scale::log((1e-30, 1e30), (0.0, 1.0)).ticks().len() <= 9);
    }

    #[test]
    fn positions_are_finite_and_near() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300, f64::MAX];
        for lo in odd {
            for hi in odd {
                for scale in [Scale::linear((lo, hi), (10.0, 110.0)), Scale::log((lo, hi), (10.0, 110.0))] {
                    assert!(odd.iter().all(|x| (-0.001..=120.001).contains(&scale.at(*x))), "{scale:?}");
                    assert!(scale.ticks().len() <= 21, "{scale:?}");
                }
            }
        }
        let scale = Scale::log((0.01, 100.0), (0.0, 4.0));
        assert!((scale.at(1.0) - 2.0).abs() < 1e-12 && (scale.at(0.0) + 0.4).abs() < 1e-12);
        assert_eq!([coordinate(f64::NAN), coordinate(-0.001), coordinate(1.5), coordinate(10.0)], ["0", "0", "1.5", "10"]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a href=\"x\">&'\u{1}\u{7f}é"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;␁\u{fffd}é");
    }

    #[test]
    fn labels_keep_apart_and_in_order() {
        let y = apart(&[50.0, 51.0, 49.0, 500.0], 20.0, 0.0, 100.0);
        assert_eq!(y, [60.0, 80.0, 40.0, 100.0]);
        assert_eq!(apart(&[], 20.0, 0.0, 100.0), Vec::<f64>::new());
        // No room: they leave it at the bottom, but never lie upon each other.
        assert_eq!(apart(&[5.0; 4], 20.0, 0.0, 30.0), [0.0, 20.0, 40.0, 60.0]);
    }
}
