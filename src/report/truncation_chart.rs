//! Where each strategy cuts a stretch of the text.

use super::format;
use super::page;
use super::svg::{Picture, WIDTH};
use crate::analysis::comparison::{Comparison, Strategy};

/// Symbols in a line of the picture, and most lines that are shown.
const LINE: usize = 64;
const LINES: usize = 3;

/// Units.
const LEFT: f64 = 172.0;
const CELL: f64 = (WIDTH - LEFT - 2.0) / LINE as f64;
const HEAD: f64 = 26.0;
const ROW: f64 = 34.0;
const BOX: f64 = 20.0;

pub(super) fn section(c: &Comparison) -> String {
    let symbols: Vec<char> = c.stretch.chars().take(LINE * LINES).collect();
    let what = "A box reaches from cut to cut: the gradient flows backward within a box and never out of it at the left. The colour of a symbol \
                is the weight of the edge before it: pale where it is 1 or cut, deeper where it is more.";
    if symbols.is_empty() || c.strategies.is_empty() {
        return page::section("Where each strategy cuts", "No stretch of the text was kept.", "");
    }
    let sentences = [counts(c, &symbols), weights(c, symbols.len())];
    page::section("Where each strategy cuts", what, &page::figure("Where each strategy cuts", &picture(c, &symbols), &sentences))
}

fn picture(c: &Comparison, symbols: &[char]) -> String {
    let described = format!("{} and how each strategy cuts them into boxes.", format::plural(symbols.len() as u64, "symbol", "symbols"));
    let mut p = Picture::new("cuts", "Where each strategy cuts a stretch of the text", &described);
    let heaviest = c.strategies.iter().flat_map(|s| weights_of(s, symbols.len())).fold(1.5, f32::max);
    let mut y = 0.0;
    for (line, part) in symbols.chunks(LINE).enumerate() {
        let from = line * LINE;
        for (i, symbol) in part.iter().enumerate() {
            let (shown, class) = visible(*symbol);
            p.text(class, (LEFT + (i as f64 + 0.5) * CELL, y + 15.0), &shown.to_string());
        }
        p.text("small end", (LEFT - 14.0, y + 15.0), &format!("symbols from {}", format::count(from as u64 + 1)));
        y += HEAD;
        for (i, s) in c.strategies.iter().enumerate() {
            p.series(i);
            let weights = weight_range(s, symbols.len());
            p.text("label end", (LEFT - 14.0, y + if weights.is_empty() { 14.5 } else { 10.0 }), &format::shortened(&s.truncation, 20));
            p.text("small end", (LEFT - 14.0, y + 24.0), &weights);
            row(&mut p, s, from..from + part.len(), y, heaviest);
            p.close();
            y += ROW;
        }
        y += 12.0;
    }
    p.finish(y - 12.0)
}

/// The boxes of a strategy in one line of the picture. A box that goes on in the next line is open at that side.
fn row(p: &mut Picture, s: &Strategy, range: std::ops::Range<usize>, y: f64, heaviest: f32) {
    let end = range.end.min(s.cuts.len());
    if range.start >= end {
        p.text("small", (LEFT, y + 14.0), "not recorded");
        return;
    }
    let at = |i: usize| LEFT + (i - range.start) as f64 * CELL;
    let cut = |i: usize| i >= s.cuts.len() || s.cuts[i] == 0.0;
    for (from, to) in runs(range.start, end, |i| s.cuts[i] == s.cuts[i - 1]) {
        p.rect("fill", (at(from), y), (at(to) - at(from), BOX), shade(s.cuts[from], heaviest));
    }
    for (from, to) in runs(range.start, end, |i| !cut(i)) {
        let begins = from == 0 || cut(from);
        let ends = cut(to);
        let left = if begins { at(from) + 1.2 } else { at(from) };
        let right = if ends { at(to) - 1.2 } else { at(to) };
        // Open, then closed: bottom left to top left around the right, as far as the sides are there.
        let (top, bottom) = (y, y + BOX);
        match (begins, ends) {
            (true, true) => p.polyline("box", None, &[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]),
            (true, false) => p.polyline("box", None, &[(right, top), (left, top), (left, bottom), (right, bottom)]),
            (false, true) => p.polyline("box", None, &[(left, top), (right, top), (right, bottom), (left, bottom)]),
            (false, false) => {
                p.polyline("box", None, &[(left, top), (right, top)]);
                p.polyline("box", None, &[(left, bottom), (right, bottom)]);
            }
        }
    }
}

/// Cuts `from..to` into runs; a symbol belongs to the run before it if `joined`.
fn runs(from: usize, to: usize, joined: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let starts: Vec<usize> = (from..to).filter(|i| *i == from || !joined(*i)).collect();
    let ends = starts.iter().skip(1).copied().chain([to]);
    starts.iter().copied().zip(ends).collect()
}

/// Opacity of a cell.
fn shade(xi: f32, heaviest: f32) -> f64 {
    if !xi.is_finite() || xi <= 0.0 || heaviest <= 1.0 {
        return 0.12;
    }
    0.12 + 0.5 * f64::from((xi.ln() / heaviest.ln()).clamp(-0.2, 1.0))
}

/// What is drawn for a symbol, and how.
fn visible(symbol: char) -> (char, &'static str) {
    match symbol {
        '\n' => ('⏎', "char blank"),
        ' ' => ('·', "char blank"),
        '\t' => ('→', "char blank"),
        c => (c, "char"),
    }
}

/// Weights of edges that are not cut.
fn weights_of(s: &Strategy, symbols: usize) -> impl Iterator<Item = f32> {
    s.cuts.iter().take(symbols).copied().filter(|xi| xi.is_finite() && *xi != 0.0)
}

/// Least and greatest weight, if any edge is weighted at all.
fn range(s: &Strategy, symbols: usize) -> Option<(f64, f64)> {
    let (lo, hi) = weights_of(s, symbols).fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), xi| (lo.min(xi), hi.max(xi)));
    let weighted = lo <= hi && !((lo - 1.0).abs() < 1e-6 && (hi - 1.0).abs() < 1e-6);
    weighted.then_some((f64::from(lo), f64::from(hi)))
}

fn weight_range(s: &Strategy, symbols: usize) -> String {
    match range(s, symbols) {
        None => String::new(),
        Some((lo, hi)) if hi - lo < 1e-6 * hi => format!("each edge × {}", format::number(lo)),
        Some((lo, hi)) => format!("edges × {}–{}", format::number(lo), format::number(hi)),
    }
}

/// How many boxes, and how long.
fn counts(c: &Comparison, symbols: &[char]) -> String {
    let each = |s: &Strategy| {
        let end = symbols.len().min(s.cuts.len());
        let lengths: Vec<u64> = runs(0, end, |i| s.cuts[i] != 0.0).iter().map(|(from, to)| (to - from) as u64).collect();
        let many = format::plural(lengths.len() as u64, "box", "boxes");
        match (lengths.iter().min(), lengths.iter().max()) {
            (Some(lo), Some(hi)) if lo < hi => format!("{} has {many} of {} to {}", s.truncation, format::count(*lo), format::count(*hi)),
            (Some(n), _) => format!("{} has {many} of {}", s.truncation, format::count(*n)),
            _ => format!("of {} none is recorded", s.truncation),
        }
    };
    let total = c.stretch.chars().count();
    let shown = format::plural(symbols.len() as u64, "symbol", "symbols");
    let what = if total > symbols.len() {
        format!("Of the {} symbols kept, the first {shown} are shown", format::count(total as u64))
    } else {
        format!("In these {shown}")
    };
    let each: Vec<String> = c.strategies.iter().map(each).collect();
    format!("{what}: {}. A box at the end may go on after it.", each.join("; "))
}

fn weights(c: &Comparison, symbols: usize) -> String {
    let each = |s: &Strategy| {
        let (lo, hi) = range(s, symbols)?;
        let upto = if hi - lo < 1e-6 * hi { String::new() } else { format!(" to {}", format::number(hi)) };
        Some(format!("{} with {}{upto}", s.truncation, format::number(lo)))
    };
    let weighted: Vec<String> = c.strategies.iter().filter_map(each).collect();
    if weighted.is_empty() {
        return "No edge that is not cut has another weight than 1.".to_string();
    }
    format!("Edges that are not cut are weighted by {}.", format::list(&weighted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_the_range() {
        assert_eq!(runs(2, 7, |i| i != 4), [(2, 4), (4, 7)]);
        assert_eq!(runs(0, 3, |_| false), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(runs(0, 0, |_| true), []);
    }

    #[test]
    fn blanks_are_seen() {
        assert_eq!([visible('\n').0, visible(' ').0, visible('x').0], ['⏎', '·', 'x']);
    }
}
