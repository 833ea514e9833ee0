//! Curves over the course of a run: one picture, names at its right.

use super::format;
use super::svg::{Picture, Scale, WIDTH, apart, coordinate, escape, swatch};

/// Where the plot is; right of it are the names.
const X: (f64, f64) = (60.0, WIDTH - 212.0);
const TOP: f64 = 36.0;
/// From name to name.
const NAME: f64 = 20.0;
/// Where an axis of whole numbers ends at the earliest: its ticks are then whole.
const WHOLE: f64 = 5.0;
/// Most markers on a curve, most points of it that are drawn, and most marks of what is not finite.
const MARKERS: usize = 14;
const POINTS: usize = 1000;
const LOST: usize = 120;

/// What the vertical axis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the lowest to the highest.
    Linear,
    /// From 0.
    FromZero,
    /// Logarithmic, of what is above 0.
    Log,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// Thick, with the dashes and markers of its series.
    Marked,
    /// A line of full colour.
    Plain,
    /// A faint one, behind the others.
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

/// A curve; where y is not finite it has a gap.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub name: String,
    /// Its colour and dashes.
    pub series: usize,
    pub stroke: Stroke,
    pub points: Vec<(f64, f64)>,
    /// Low and high ends of a band around it, of its points.
    pub band: Vec<(f64, f64)>,
}

/// A picture of curves.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub id: String,
    pub title: String,
    /// What is seen, for those who don't see it.
    pub described: String,
    /// Names of the axes, with units.
    pub x: String,
    pub y: String,
    pub kind: Kind,
    pub curves: Vec<Curve>,
    /// A height that is marked by a line, with its name.
    pub level: Option<(f64, String)>,
    /// Whether x counts something, so that nothing lies between two whole numbers.
    pub whole: bool,
    /// Of the plot, at least.
    pub height: f64,
}

impl Chart {
    /// Whether there is a point to draw.
    pub(super) fn has_points(&self) -> bool {
        self.curves.iter().any(|c| c.points.iter().any(|p| self.drawable(p)))
    }

    /// Points that can't be drawn, since they are not finite or, on a logarithmic axis, not above 0.
    pub(super) fn lost(&self) -> usize {
        self.curves.iter().flat_map(|c| &c.points).filter(|p| !self.drawable(p)).count()
    }

    fn drawable(&self, (x, y): &(f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (self.kind != Kind::Log || *y > 0.0)
    }

    fn scales(&self, bottom: f64, x: Kind) -> (Scale, Scale) {
        let all = || self.curves.iter().flat_map(|c| &c.points);
        let places = || all().filter(|p| self.drawable(p)).map(|p| p.0);
        let (least, most) = (places().fold(f64::INFINITY, f64::min), places().fold(0.0, f64::max));
        let bands = self.curves.iter().flat_map(|c| &c.band).flat_map(|(lo, hi)| [*lo, *hi]);
        let level = self.level.iter().map(|l| l.0);
        let values = || all().map(|p| p.1).chain(bands.clone()).chain(level.clone()).filter(|y| self.drawable(&(0.0, *y)));
        let (lo, hi) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), y| (lo.min(y), hi.max(y)));
        let ends = (bottom, TOP);
        let y = match self.kind {
            Kind::Linear => Scale::linear((lo, hi), ends),
            Kind::FromZero => Scale::linear((0.0, hi), ends),
            Kind::Log => Scale::log(rounded(lo, hi), ends),
        };
        let x = match x {
            Kind::Linear => Scale::linear((least, most), X),
            Kind::FromZero => Scale::exact(if self.whole { most.max(WHOLE) } else { most }, X),
            Kind::Log => Scale::log((least, most), X),
        };
        (x, y)
    }

    /// The picture; the horizontal axis begins at 0.
    pub(super) fn draw(&self) -> String {
        self.draw_over(Kind::FromZero)
    }

    /// The picture over another horizontal axis.
    pub(super) fn draw_over(&self, x: Kind) -> String {
        self.draw_named(x, &format::short)
    }

    /// The same, with labels of its own under the horizontal axis.
    pub(super) fn draw_named(&self, x: Kind, label: &dyn Fn(f64) -> String) -> String {
        let height = self.height.max(NAME * self.curves.len() as f64);
        let bottom = TOP + height;
        let (sx, sy) = self.scales(bottom, x);
        let mut p = Picture::new(self.id.clone(), &self.title, &self.described);
        p.axis_named(&sx, (TOP, bottom), &self.x, label);
        p.axis_y(&sy, X, &format!("{}{}", self.y, if self.kind == Kind::Log { ", log scale" } else { "" }));
        p.clip((X.0 - 5.0, X.1 + 6.0), (TOP - 6.0, bottom + 6.0));
        if let Some((value, _)) = &self.level {
            p.line("level", (X.0, sy.at(*value)), (X.1, sy.at(*value)));
        }
        // Marked ones above; the first on top of the others.
        let marked = |c: &&Curve| c.stroke == Stroke::Marked;
        for c in self.curves.iter().rev().filter(|c| !marked(c)).chain(self.curves.iter().rev().filter(|c| marked(c))) {
            self.curve(&mut p, c, &sx, &sy);
        }
        p.close();
        self.names(&mut p, &sy, bottom);
        p.finish(bottom + 46.0) + &self.legend()
    }

    /// The names once more, for where there is no room beside the plot: phones see the left end of a picture first.
    fn legend(&self) -> String {
        if self.curves.len() + usize::from(self.level.is_some()) < 2 {
            return String::new();
        }
        let curves = self.curves.iter().map(|c| format!("<span>{}{}</span>", swatch(c.series), escape(&c.name)));
        let level = self.level.iter().map(|(_, name)| format!("<span>dotted: {}</span>", escape(name)));
        format!("<p class=\"legend\" aria-hidden=\"true\">{}</p>\n", curves.chain(level).collect::<Vec<_>>().join(" "))
    }

    fn curve(&self, p: &mut Picture, c: &Curve, sx: &Scale, sy: &Scale) {
        p.series(c.series);
        let place = |(x, y): &(f64, f64)| (sx.at(*x), sy.at(*y));
        if !c.band.is_empty() {
            let rows: Vec<_> = c.points.iter().zip(&c.band).filter(|(at, (lo, hi))| self.drawable(&(at.0, *lo)) && self.drawable(&(at.0, *hi))).collect();
            let up = rows.iter().map(|(at, (_, hi))| place(&(at.0, *hi)));
            let down = rows.iter().rev().map(|(at, (lo, _))| place(&(at.0, *lo)));
            let corners: Vec<String> = up.chain(down).map(|(x, y)| format!("{} {}", coordinate(x), coordinate(y))).collect();
            if rows.len() > 1 {
                p.path("band", &format!("M{}Z", corners.join("L")));
            }
        }
        let marked = c.stroke == Stroke::Marked;
        for run in c.points.split(|at| !self.drawable(at)).filter(|run| !run.is_empty()) {
            let run: Vec<(f64, f64)> = thinned(run, POINTS).iter().map(place).collect();
            p.polyline(c.stroke.class(), marked.then_some(c.series), &run);
            // A line to nowhere is not seen.
            if run.len() == 1 && !marked {
                p.circle("dot", run[0], 2.5);
            }
        }
        let drawn: Vec<&(f64, f64)> = c.points.iter().filter(|at| self.drawable(at)).collect();
        if marked {
            let every = drawn.len().div_ceil(MARKERS).max(1);
            drawn.iter().rev().step_by(every).for_each(|at| p.marker("mark", c.series, place(at)));
        }
        let lost: Vec<f64> = c.points.iter().filter(|at| !self.drawable(at) && at.0.is_finite()).map(|at| sx.at(at.0)).collect();
        for x in lost.iter().step_by(lost.len().div_ceil(LOST).max(1)) {
            let [l, r, t, b] = [x - 4.0, x + 4.0, TOP - 4.0, TOP + 4.0].map(coordinate);
            p.path("lost", &format!("M{l} {t}L{r} {b}M{l} {b}L{r} {t}"));
        }
        p.close();
    }

    /// Names right of the plot, as high as their curves end.
    fn names(&self, p: &mut Picture, sy: &Scale, bottom: f64) {
        let last = |c: &Curve| c.points.iter().rev().find(|at| self.drawable(at)).map_or(bottom, |at| sy.at(at.1));
        let mut wanted: Vec<f64> = self.curves.iter().map(last).collect();
        wanted.extend(self.level.iter().map(|l| sy.at(l.0)));
        let placed = apart(&wanted, NAME, TOP, bottom);
        for (c, y) in self.curves.iter().zip(&placed) {
            let at = (X.1 + 18.0, *y);
            if c.stroke == Stroke::Marked {
                p.key(c.series, at, &c.name);
            } else {
                p.series(c.series);
                p.polyline(c.stroke.class(), None, &[at, (at.0 + 30.0, at.1)]);
                p.text("label", (at.0 + 37.0, at.1 + 4.5), &format::shortened(&c.name, 20));
                p.close();
            }
        }
        if let (Some((_, name)), Some(y)) = (&self.level, placed.get(self.curves.len())) {
            p.line("level", (X.1 + 18.0, *y), (X.1 + 48.0, *y));
            p.text("", (X.1 + 55.0, y + 4.5), &format::shortened(name, 20));
        }
    }
}

/// Ends of a logarithmic axis: 1, 2 or 5 times a power of ten, so that there are ticks however near the values are to each other.
fn rounded(lo: f64, hi: f64) -> (f64, f64) {
    if !(lo.is_normal() && hi.is_normal() && lo > 0.0) {
        return (lo, hi);
    }
    let steps = |x: f64| {
        let power = 10f64.powf(x.log10().floor());
        [0.5, 1.0, 2.0, 5.0, 10.0, 20.0].map(|m| m * power)
    };
    let below = steps(lo).into_iter().rfind(|s| *s <= lo * 1.0001).unwrap_or(lo);
    let above = steps(hi).into_iter().find(|s| *s >= hi * 0.9999).unwrap_or(hi);
    if below < above { (below, above) } else { (below / 2.0, above * 2.0) }
}

/// At most about so many points, the lowest and the highest of every stretch, so that no peak is lost.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let size = (2 * points.len()).div_ceil(most);
    let mut out = Vec::with_capacity(most + 2);
    for stretch in points.chunks(size) {
        let by_height = |a: &(f64, f64), b: &(f64, f64)| a.1.total_cmp(&b.1);
        let low = stretch.iter().copied().min_by(by_height).into_iter();
        let mut ends: Vec<(f64, f64)> = low.chain(stretch.iter().copied().max_by(by_height)).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        out.extend(ends);
    }
    // Where it ends is said in words too.
    out.extend(points.last().copied().filter(|last| out.last() != Some(last)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(kind: Kind, points: &[(f64, f64)]) -> Chart {
        let curve = Curve { name: "a".into(), series: 0, stroke: Stroke::Marked, points: points.to_vec(), band: Vec::new() };
        let [id, title, described, x, y] = ["c", "t", "d", "updates", "nats"].map(String::from);
        Chart { id, title, described, x, y, kind, curves: vec![curve], level: None, whole: true, height: 200.0 }
    }

    #[test]
    fn what_is_not_finite_is_a_gap_and_a_mark() {
        let c = chart(Kind::Log, &[(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 0.0), (5.0, 3.0)]);
        let svg = c.draw();
        assert_eq!((c.lost(), svg.matches("<polyline").count(), svg.matches("class=\"lost\"").count()), (2, 3, 2), "two runs and the key");
        assert!(!chart(Kind::Linear, &[(1.0, f64::INFINITY)]).has_points());
    }

    #[test]
    fn names_stand_below_too_for_phones() {
        let mut c = chart(Kind::Linear, &[(1.0, 1.0), (2.0, 2.0)]);
        assert!(!c.draw().contains("legend"), "one curve is what the title says");
        c.curves.push(Curve { name: "b & a".into(), ..c.curves[0].clone() });
        c.level = Some((1.5, "--clip-norm".to_string()));
        let below = c.draw();
        let below = below.split("class=\"legend\"").nth(1).unwrap();
        assert!(["a</span>", "b &amp; a</span>", "dotted: --clip-norm"].iter().all(|name| below.contains(name)), "{below}");
    }

    #[test]
    fn log_axes_have_ticks() {
        assert_eq!([rounded(0.31, 0.45), rounded(1.0, 1.0), rounded(0.02, 700.0)], [(0.2, 0.5), (0.5, 2.0), (0.02, 1000.0)]);
        for (lo, hi) in [(0.31, 0.32), (3.0, 3.0), (1e-30, 1e30), (9.99, 10.01)] {
            assert!(Scale::log(rounded(lo, hi), (0.0, 1.0)).ticks().len() >= 2, "{lo} {hi}");
        }
    }

    #[test]
    fn peaks_outlive_thinning() {
        let points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), if i == 77_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points, 1000);
        assert!(thin.len() <= 1001 && thin.contains(&(77_777.0, 9.0)) && thin.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!(thin.last(), points.last());
    }
}
