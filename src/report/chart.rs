//! A picture of lines over one pair of axes: what most reports need.

use super::svg::{Picture, Scale, WIDTH, apart};

/// Room for the plot: left of it the ticks, right of it the names.
const X: (f64, f64) = (64.0, WIDTH - 225.0);
const Y: (f64, f64) = (34.0, 330.0);
/// Markers of a line, at most.
const MARKERS: usize = 9;
/// Least part of the largest value that a logarithmic axis shows.
const DEEPEST: f64 = 1e-300;

/// A line, drawn where its points are finite.
pub(super) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// A band around it: lower and upper edge at the same places, or nothing.
    pub band: Vec<(f64, f64)>,
    /// Thin, without markers: theory, bounds.
    pub thin: bool,
    /// Colour and dashes.
    pub series: usize,
}

/// What is drawn.
pub(super) struct Chart {
    pub id: &'static str,
    pub title: String,
    /// What is seen, for those who don't see it.
    pub description: String,
    /// What is measured along each axis, with its unit.
    pub axes: [String; 2],
    /// Whether each axis is logarithmic.
    pub log: [bool; 2],
    pub lines: Vec<Line>,
}

impl Chart {
    fn scale(&self, axis: usize, to: (f64, f64)) -> Scale {
        let value = |p: &(f64, f64)| if axis == 0 { p.0 } else { p.1 };
        let bands = self.lines.iter().filter(|_| axis == 1).flat_map(|l| l.band.iter().flat_map(|b| [b.0, b.1]));
        let all = self.lines.iter().flat_map(|l| l.points.iter().map(value)).chain(bands);
        let fits = |x: &f64| x.is_finite() && (!self.log[axis] || *x > DEEPEST);
        let (lo, hi) = all.filter(fits).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)));
        match (self.log[axis], axis) {
            (true, _) => Scale::log((lo, hi), to),
            (false, 0) if lo >= 0.0 && lo <= hi / 4.0 => Scale::exact(hi, to),
            (false, _) => Scale::linear((lo, hi), to),
        }
    }

    /// The picture as SVG.
    pub(super) fn draw(&self) -> String {
        let (sx, sy) = (self.scale(0, X), self.scale(1, (Y.1, Y.0)));
        let mut p = Picture::new(self.id, &self.title, &self.description);
        p.axis_x(&sx, Y, &self.axes[0]);
        p.axis_y(&sy, X, &self.axes[1]);
        p.clip((X.0, X.1 + 6.0), (Y.0 - 6.0, Y.1 + 6.0));
        for line in self.lines.iter().rev() {
            p.series(line.series);
            self.band(&mut p, line, &sx, &sy);
            for part in self.parts(line, &sx, &sy) {
                p.polyline(if line.thin { "train" } else { "val" }, (!line.thin).then_some(line.series), &part);
                let every = part.len().div_ceil(MARKERS).max(1);
                part.iter().rev().step_by(every).filter(|_| !line.thin).for_each(|at| p.marker("mark", line.series, *at));
            }
            p.close();
        }
        p.close();
        self.names(&mut p, &sy);
        p.finish(Y.1 + 46.0)
    }

    /// Stretches of a line that can be drawn.
    fn parts(&self, line: &Line, sx: &Scale, sy: &Scale) -> Vec<Vec<(f64, f64)>> {
        let drawable = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!self.log[1] || *y > DEEPEST) && (!self.log[0] || *x > 0.0);
        let parts = line.points.split(|p| !drawable(p)).filter(|part| !part.is_empty());
        parts.map(|part| part.iter().map(|(x, y)| (sx.at(*x), sy.at(*y))).collect()).collect()
    }

    fn band(&self, p: &mut Picture, line: &Line, sx: &Scale, sy: &Scale) {
        let fits = |x: f64| x.is_finite() && (!self.log[1] || x > DEEPEST);
        let edges: Vec<(f64, f64, f64)> =
            line.points.iter().zip(&line.band).filter(|(_, b)| fits(b.0) && fits(b.1)).map(|((x, _), b)| (sx.at(*x), sy.at(b.0), sy.at(b.1))).collect();
        if edges.len() > 1 {
            let there = edges.iter().map(|(x, lo, _)| format!("{x:.1} {lo:.1}"));
            let back = edges.iter().rev().map(|(x, _, hi)| format!("{x:.1} {hi:.1}"));
            p.path("band", &format!("M{}Z", there.chain(back).collect::<Vec<_>>().join("L")));
        }
    }

    /// Names right of the plot, as high as their lines end.
    fn names(&self, p: &mut Picture, sy: &Scale) {
        let named: Vec<&Line> = self.lines.iter().filter(|l| !l.name.is_empty()).collect();
        let ends = |l: &&Line| l.points.iter().rev().find(|(_, y)| y.is_finite() && (!self.log[1] || *y > DEEPEST)).map_or(Y.1, |(_, y)| sy.at(*y));
        let wanted: Vec<f64> = named.iter().map(ends).collect();
        for (line, y) in named.iter().zip(apart(&wanted, 20.0, Y.0, Y.1)) {
            if line.thin {
                p.series(line.series);
                p.polyline("train", None, &[(X.1 + 18.0, y), (X.1 + 48.0, y)]);
                p.text("label", (X.1 + 55.0, y + 4.5), &super::words::clipped(&line.name, 20));
                p.close();
            } else {
                p.key(line.series, (X.1 + 18.0, y), &line.name);
            }
        }
    }
}
