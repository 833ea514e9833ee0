//! A heat map of a ratio by update and lag; the colour is its logarithm.

use super::format;
use super::page;
use super::svg::{Picture, Scale, WIDTH, coordinate};
use maud::{Markup, html};
use std::collections::BTreeMap;

const X: (f64, f64) = (60.0, WIDTH - 24.0);
const TOP: f64 = 50.0;
const BOTTOM: f64 = 310.0;
/// Most columns, and most shades below 1 and above it.
const COLUMNS: usize = 120;
const SHADES: usize = 20;
/// Ratios further from 1 than this many powers of ten are drawn with the last shade.
const DECADES: f64 = 12.0;
/// Width of the legend.
const LEGEND: f64 = 360.0;

/// A heat map.
pub(super) struct Heat<'a> {
    pub id: String,
    pub title: String,
    /// Rows.
    pub lags: &'a [u64],
    /// For each update, a ratio per lag.
    pub columns: Vec<(u64, &'a [f64])>,
}

/// The colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shade {
    /// Not finite.
    Unknown,
    /// From 0 (the ratio underflows) to [`SHADES`] (a ratio of 1).
    Below(usize),
    /// The same above 1: the further above, the higher.
    Above(usize),
}

/// The logarithms at the ends of the colours: at most 0, and at least 0.
fn ends(columns: &[(u64, &[f64])]) -> (f64, f64) {
    let logs = columns.iter().flat_map(|c| c.1).filter(|x| x.is_finite() && **x > 0.0).map(|x| x.log10());
    let (lo, hi) = super::chart::span(logs.chain([0.0]));
    // A ratio that differs from 1 only by rounding needs no other colour.
    (lo.floor().clamp(-DECADES, -1.0), if hi < 0.01 { 0.0 } else { hi.ceil().min(DECADES) })
}

fn shade(ratio: f64, (lo, hi): (f64, f64)) -> Shade {
    let log = ratio.log10();
    let part = |part: f64| (part.clamp(0.0, 1.0) * (SHADES - 1) as f64).round() as usize + 1;
    match ratio {
        r if !r.is_finite() || r < 0.0 => Shade::Unknown,
        0.0 => Shade::Below(0),
        _ if log <= 0.0 || hi == 0.0 => Shade::Below(part(1.0 - log / lo)),
        _ => Shade::Above(part(log / hi)),
    }
}

/// Class and opacity.
fn look(shade: Shade) -> (&'static str, f64) {
    let part = |n: usize| n as f64 / SHADES as f64;
    match shade {
        Shade::Unknown => ("unknown", 1.0),
        Shade::Below(n) => ("cool", part(n)),
        Shade::Above(n) => ("hot", 0.3 + 0.7 * part(n)),
    }
}

/// The edges of cells around these values: halfway between neighbours.
fn edges(values: &[f64]) -> Vec<f64> {
    let Some((&first, &last)) = values.first().zip(values.last()) else { return vec![0.0, 1.0] };
    let inner: Vec<f64> = values.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect();
    let around = |end: f64, next: Option<&f64>, sign: f64| next.map_or(end + sign * 0.5, |n| 2.0 * end - n);
    [vec![around(first, inner.first(), -1.0)], inner.clone(), vec![around(last, inner.last(), 1.0)]].concat()
}

impl Heat<'_> {
    pub(super) fn figure(&self) -> Markup {
        html! { figure { (page::scroll(&self.title, &self.draw())) } }
    }

    fn draw(&self) -> Markup {
        let every = self.columns.len().div_ceil(COLUMNS).max(1);
        // Counted from the end, so that the last column stays.
        let mut columns: Vec<(u64, &[f64])> = self.columns.iter().rev().step_by(every).copied().collect();
        columns.reverse();
        let ends = ends(&self.columns);
        let updates: Vec<f64> = columns.iter().map(|c| c.0 as f64).collect();
        let (mut xs, ys) = (edges(&updates), edges(&self.lags.iter().map(|k| *k as f64).collect::<Vec<_>>()));
        // There is nothing before the first update or after the last one.
        if let ([first, .., last], Some(end)) = (&mut xs[..], updates.last()) {
            (*first, *last) = (first.max(0.0), *end);
        }
        let sx = Scale::between((xs[0], xs[xs.len() - 1]), X);
        let sy = Scale::between((ys[0], ys[ys.len() - 1]), (BOTTOM, TOP));
        let mut p = Picture::new(&self.id, &self.title);
        for (shade, d) in areas(&columns, ends, (&xs, &ys), (&sx, &sy)) {
            let (class, opacity) = look(shade);
            p.path(class, &d, opacity);
        }
        p.axis_x(&sx, (BOTTOM, BOTTOM), "updates");
        p.axis_y(&sy, (X.0, X.0), "lag, steps back");
        legend(&mut p, ends);
        p.finish(BOTTOM + 46.0)
    }
}

/// The outline of all cells of a shade; adjacent cells of a column with the same shade are merged.
fn areas(columns: &[(u64, &[f64])], ends: (f64, f64), (xs, ys): (&[f64], &[f64]), (sx, sy): (&Scale, &Scale)) -> BTreeMap<Shade, String> {
    let mut out: BTreeMap<Shade, String> = BTreeMap::new();
    for ((_, ratios), x) in columns.iter().zip(xs.windows(2)) {
        let shades: Vec<Shade> = ratios.iter().take(ys.len() - 1).map(|r| shade(*r, ends)).collect();
        let mut first = 0;
        for run in shades.chunk_by(|a, b| a == b) {
            let [l, r] = [x[0], x[1]].map(|x| coordinate(sx.at(x)));
            let [b, t] = [ys[first], ys[first + run.len()]].map(|y| coordinate(sy.at(y)));
            out.entry(run[0]).or_default().push_str(&format!("M{l} {b}H{r}V{t}H{l}Z"));
            first += run.len();
        }
    }
    out
}

/// The legend above the plot: a bar of all shades, and its powers of ten.
fn legend(p: &mut Picture, (lo, hi): (f64, f64)) {
    let scale = Scale::between((lo, hi), (X.1 - LEGEND, X.1));
    p.text("name end", (X.1 - LEGEND - 14.0, 18.0), "median ratio, log scale:");
    let cell = (hi - lo) / 60.0;
    for at in (0..60).map(|i| lo + cell * f64::from(i)) {
        let (class, opacity) = look(shade(10f64.powf(at + cell / 2.0), (lo, hi)));
        p.rect(class, (scale.at(at), 8.0), (LEGEND / 60.0, 12.0), opacity);
    }
    let every = (((hi - lo) / 7.0).ceil() as i32).max(1);
    for e in (lo as i32..=hi as i32).filter(|e| e % every == 0) {
        p.text("tick mid", (scale.at(f64::from(e)).min(X.1 - 12.0), 34.0), &format::short(10f64.powi(e)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_follow_the_logarithm() {
        let ends = ends(&[(1, &[1.0, 1e-4, 30.0, 0.0, f64::NAN][..])]);
        assert_eq!(ends, (-4.0, 2.0));
        assert_eq!([1.0, 1e-4, 1e-9].map(|x| shade(x, ends)), [Shade::Below(SHADES), Shade::Below(1), Shade::Below(1)]);
        assert_eq!([100.0, 0.0, f64::NAN, f64::INFINITY].map(|x| shade(x, ends)), [Shade::Above(SHADES), Shade::Below(0), Shade::Unknown, Shade::Unknown]);
        assert_eq!(shade(1.0001, super::ends(&[(1, &[1.0, 1.0001][..])])), Shade::Below(SHADES));
    }

    #[test]
    fn cells_meet_and_merge() {
        assert_eq!(edges(&[0.0, 1.0, 4.0]), [-0.5, 0.5, 2.5, 5.5]);
        assert_eq!(edges(&[7.0]), [6.5, 7.5]);
        let heat = Heat { id: "h".into(), title: "t".into(), lags: &[0, 1, 2], columns: vec![(10, &[1.0, 1.0, 0.1][..])] };
        let svg = heat.draw().into_string();
        assert_eq!(svg.matches("<path class=\"cool\"").count(), 2, "{svg}");
        let empty = Heat { lags: &[], columns: vec![(10, &[][..])], ..heat };
        assert!(empty.draw().into_string().contains("</svg>"));
    }
}
