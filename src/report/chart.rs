//! Curves over the course of a run: a chart with a legend below it.

use super::format;
use super::page;
use super::svg::{At, Picture, Scale, WIDTH, coordinate, swatch};
use maud::{Markup, html};

/// Horizontal ends and top of the plot.
const X: (f64, f64) = (60.0, WIDTH - 24.0);
const TOP: f64 = 36.0;
/// Most markers on a curve, most points drawn of it, and most marks for values that are not finite.
const MARKERS: usize = 14;
const POINTS: usize = 1000;
const LOST: usize = 120;
/// The first part of a curve, which [`Kind::Late`] makes no room for.
const EARLY: f64 = 0.2;

/// The range of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the lowest to the highest.
    Linear,
    /// From the lowest to the highest after the first fifth of each curve, which is so high that the rest would look flat.
    Late,
    /// From 0.
    FromZero,
    /// Logarithmic, for values above 0.
    Log,
}

/// The style of a curve: a class of the page's style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// Thick, with the dashes and markers of its series.
    Marked,
    /// A line of full colour.
    Plain,
    /// A faint line, under the others.
    Thin,
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Stroke::Marked => "val",
            Stroke::Plain => "plain",
            Stroke::Thin => "train",
        }
    }
}

/// A curve, with gaps where y is not finite.
pub(super) struct Curve {
    pub name: String,
    /// Index of its colour and dashes.
    pub series: usize,
    pub stroke: Stroke,
    pub points: Vec<At>,
    /// Low and high ends of a band around it, one per point.
    pub band: Vec<(f64, f64)>,
}

impl Curve {
    pub(super) fn new(name: impl Into<String>, series: usize, stroke: Stroke, points: impl IntoIterator<Item = At>) -> Self {
        Curve { name: name.into(), series, stroke, points: points.into_iter().collect(), band: Vec::new() }
    }
}

/// A chart of curves.
pub(super) struct Chart {
    pub id: String,
    pub title: String,
    /// Name of the vertical axis, with its unit.
    pub y: String,
    pub kind: Kind,
    pub curves: Vec<Curve>,
    /// The horizontal axis: its range, name and labels.
    pub over: Kind,
    pub x: String,
    pub label: Box<dyn Fn(f64) -> String>,
    /// A height marked by a dotted line, with its name.
    pub level: Option<(f64, String)>,
    /// Height of the plot.
    pub height: f64,
}

impl Chart {
    /// Curves over the updates.
    pub(super) fn new(id: &str, title: &str, y: &str, kind: Kind, curves: Vec<Curve>) -> Self {
        let [id, title, y, x] = [id, title, y, "updates"].map(String::from);
        Chart { id, title, y, kind, curves, over: Kind::FromZero, x, label: Box::new(format::short), level: None, height: 240.0 }
    }

    /// The chart over another quantity.
    pub(super) fn over(self, over: Kind, x: &str) -> Self {
        Chart { over, x: x.to_string(), ..self }
    }

    /// Number of points that can't be drawn: not finite or, on a logarithmic axis, not above 0.
    fn lost(&self) -> usize {
        self.curves.iter().flat_map(|c| &c.points).filter(|p| !self.drawable(p)).count()
    }

    fn drawable(&self, (x, y): &At) -> bool {
        let fits = |kind: Kind, value: f64| value.is_finite() && (kind != Kind::Log || value > 0.0);
        fits(self.over, *x) && fits(self.kind, *y)
    }

    fn scales(&self, bottom: f64) -> (Scale, Scale) {
        let places = || self.curves.iter().flat_map(|c| &c.points).filter(|p| self.drawable(p)).map(|p| p.0);
        let last = |c: &Curve| c.points.iter().filter(|p| self.drawable(p)).map(|p| p.0).fold(0.0, f64::max);
        let room = |c: &Curve, p: &At| self.kind != Kind::Late || p.0 >= EARLY * last(c);
        let values = self.curves.iter().flat_map(|c| c.points.iter().filter(move |p| room(c, p)).map(|p| p.1).chain(c.band.iter().flat_map(|b| [b.0, b.1])));
        let values = values.chain(self.level.iter().map(|l| l.0)).filter(|y| self.drawable(&(1.0, *y)));
        (scale(self.over, places(), X), scale(self.kind, values, (bottom, TOP)))
    }

    /// The chart with its legend, and the caption below it.
    pub(super) fn figure(&self, caption: &str) -> Markup {
        if !self.curves.iter().any(|c| c.points.iter().any(|p| self.drawable(p))) {
            return html! { p { "No figure of it is finite, so there is no picture. " (caption) } };
        }
        let lost = match self.lost() {
            0 => String::new(),
            n => format!(" Crosses at the top edge: {} not finite, or 0 on a logarithmic axis.", format::plural(n as u64, "figure", "figures")),
        };
        // A curve without a name is described by the title, or has the colour of another one.
        let named = || self.curves.iter().filter(|c| !c.name.is_empty());
        html! {
            figure {
                (page::scroll(&self.title, &self.draw()))
                @if self.level.is_some() || named().next().is_some() {
                    p.legend {
                        @for c in named() { span { (swatch(c.stroke.class(), c.series)) (c.name) } " " }
                        @if let Some((_, name)) = &self.level { span { "dotted: " (name) } }
                    }
                }
                figcaption { (caption) (lost) }
            }
        }
    }

    fn draw(&self) -> Markup {
        let bottom = TOP + self.height;
        let (sx, sy) = self.scales(bottom);
        let mut p = Picture::new(&self.id, &self.title);
        p.axis_named(&sx, (TOP, bottom), &self.x, &self.label);
        p.axis_y(&sy, X, &format!("{}{}", self.y, if self.kind == Kind::Log { ", log scale" } else { "" }));
        p.clip((X.0 - 5.0, TOP - 6.0), (X.1 - X.0 + 11.0, self.height + 12.0));
        if let Some((value, _)) = &self.level {
            p.line("level", (X.0, sy.at(*value)), (X.1, sy.at(*value)));
        }
        // Marked ones on top, the first topmost.
        let marked = |c: &&Curve| c.stroke == Stroke::Marked;
        for c in self.curves.iter().rev().filter(|c| !marked(c)).chain(self.curves.iter().rev().filter(|c| marked(c))) {
            p.series(c.series);
            self.curve(&mut p, c, &|(x, y)| (sx.at(x), sy.at(y)));
            p.close();
        }
        p.close();
        p.finish(bottom + 46.0)
    }

    fn curve(&self, p: &mut Picture, c: &Curve, place: &dyn Fn(At) -> At) {
        let rows = || c.points.iter().zip(&c.band).filter(|(at, (lo, hi))| self.drawable(&(at.0, *lo)) && self.drawable(&(at.0, *hi)));
        let corners = rows().map(|(at, b)| (at.0, b.1)).chain(rows().rev().map(|(at, b)| (at.0, b.0))).map(place);
        let corners: Vec<String> = corners.map(|(x, y)| format!("{} {}", coordinate(x), coordinate(y))).collect();
        if corners.len() > 2 {
            p.path("band", &format!("M{}Z", corners.join("L")), 0.18);
        }
        let marked = c.stroke == Stroke::Marked;
        for run in c.points.split(|at| !self.drawable(at)).filter(|run| !run.is_empty()) {
            let run: Vec<At> = thinned(run, POINTS).into_iter().map(place).collect();
            p.polyline(c.stroke.class(), marked.then_some(c.series), &run);
            // A line of one point is invisible.
            if run.len() == 1 && !marked {
                p.circle("dot", run[0], 2.5);
            }
        }
        let (drawn, lost): (Vec<At>, Vec<At>) = c.points.iter().copied().filter(|at| at.0.is_finite()).partition(|at| self.drawable(at));
        if marked {
            // Counted from the end, so that the last point has one.
            drawn.iter().rev().step_by(drawn.len().div_ceil(MARKERS).max(1)).for_each(|at| p.marker("mark", c.series, place(*at)));
        }
        for (x, _) in lost.iter().step_by(lost.len().div_ceil(LOST).max(1)).map(|at| place((at.0, 1.0))) {
            p.line("lost", (x - 4.0, TOP - 4.0), (x + 4.0, TOP + 4.0));
            p.line("lost", (x - 4.0, TOP + 4.0), (x + 4.0, TOP - 4.0));
        }
    }
}

/// The least and the greatest value.
pub(super) fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)))
}

fn scale(kind: Kind, values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Scale {
    let (lo, hi) = span(values);
    match kind {
        Kind::Linear | Kind::Late => Scale::linear((lo, hi), ends),
        // A chart is as wide as its curves; heights have room above.
        Kind::FromZero if ends == X => Scale::between((0.0, hi), ends),
        Kind::FromZero => Scale::linear((0.0, hi), ends),
        Kind::Log => Scale::log((lo, hi), ends),
    }
}

/// At most about `most` points: the lowest and the highest of each stretch, so that no peak is lost.
fn thinned(points: &[At], most: usize) -> Vec<At> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut out = Vec::with_capacity(most + 2);
    for stretch in points.chunks((2 * points.len()).div_ceil(most)) {
        let by_height = |a: &&At, b: &&At| a.1.total_cmp(&b.1);
        let mut ends: Vec<At> = stretch.iter().min_by(by_height).into_iter().chain(stretch.iter().max_by(by_height)).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        out.extend(ends);
    }
    // The last one always stays.
    out.extend(points.last().copied().filter(|last| out.last() != Some(last)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(kind: Kind, points: &[At]) -> Chart {
        Chart::new("c", "t", "nats", kind, vec![Curve::new("a", 0, Stroke::Marked, points.to_vec())])
    }

    #[test]
    fn what_is_not_finite_is_a_gap_and_a_mark() {
        let c = chart(Kind::Log, &[(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 0.0), (5.0, 3.0)]);
        let svg = c.draw().into_string();
        assert_eq!((c.lost(), svg.matches("<polyline").count(), svg.matches("class=\"lost\"").count()), (2, 2, 4), "two runs, two crosses");
        assert!(c.figure("").into_string().contains("Crosses at the top edge: 2 figures"));
        assert!(chart(Kind::Linear, &[(1.0, f64::INFINITY)]).figure("").into_string().contains("no picture"));
    }

    #[test]
    fn names_stand_below() {
        let mut c = chart(Kind::Linear, &[(1.0, 1.0), (2.0, 2.0)]);
        c.curves[0].name.clear();
        assert!(!c.figure("").into_string().contains("legend"), "one curve is what the title says");
        c.curves[0].name.push('a');
        assert!(c.figure("").into_string().contains("a</span>"));
        c.curves.push(Curve::new("b & a", 1, Stroke::Plain, [(1.0, 1.0)]));
        c.level = Some((1.5, "--clip-norm".to_string()));
        let below = c.figure("").into_string();
        let below = below.split("class=\"legend\"").nth(1).unwrap();
        assert!(["a</span>", "b &amp; a</span>", "dotted: --clip-norm"].iter().all(|name| below.contains(name)), "{below}");
    }

    #[test]
    fn what_is_late_has_the_room() {
        let points = [(0.0, 50.0), (10.0, 9.0), (50.0, 2.0), (100.0, 1.0)];
        let ends = |kind| chart(kind, &points).scales(TOP + 240.0).1.ticks();
        assert_eq!((ends(Kind::Linear).last(), ends(Kind::Late).last()), (Some(&50.0), Some(&2.0)));
        // If nothing late can be drawn, the early part sets the range.
        let lost = chart(Kind::Late, &[(1.0, 50.0), (100.0, f64::NAN)]);
        assert!(lost.scales(TOP + 240.0).1.ticks().last() >= Some(&50.0));
    }

    #[test]
    fn peaks_outlive_thinning() {
        let points: Vec<At> = (0..100_000).map(|i| (f64::from(i), if i == 77_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points, 1000);
        assert!(thin.len() <= 1001 && thin.contains(&(77_777.0, 9.0)) && thin.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!(thin.last(), points.last());
    }
}
