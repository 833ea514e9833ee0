//! Losses during training, against symbols and against seconds.

use super::format;
use super::page;
use super::strategies::{above_full, ending};
use super::svg::{Picture, Scale, WIDTH, apart};
use crate::analysis::comparison::{Comparison, Point, Strategy};

/// Units: the plot, and right of it the names.
const X: (f64, f64) = (56.0, WIDTH - 212.0);
const Y: (f64, f64) = (36.0, 376.0);

/// Most markers on a line.
const MARKERS: usize = 14;

/// Above this ratio of losses a linear scale shows nothing but the greatest.
const WIDE: f64 = 10.0;

pub(super) fn sections(c: &Comparison) -> String {
    let what = "Bold lines with markers: validation loss where it was measured. Thin lines: training loss.";
    if !c.strategies.iter().any(|s| s.curve.iter().any(|p| finite(p.train_loss).or(finite(p.val_loss)).is_some())) {
        return page::section("Loss against symbols and seconds", "No finite loss was recorded during training.", "");
    }
    let tokens = Against { id: "loss-tokens", heading: "Loss against symbols", x: |p| p.tokens as f64, unit: 1.0, axis: "symbols trained on", of: "symbols" };
    let most = all(c).map(|p| p.seconds).filter(|x| x.is_finite()).fold(0.0, f64::max);
    let (unit, axis, of) = match most {
        m if m >= 3.0 * 3600.0 => (3600.0, "hours of training alone", "h"),
        m if m >= 600.0 => (60.0, "minutes of training alone", "min"),
        _ => (1.0, "seconds of training alone", "s"),
    };
    let seconds = Against { id: "loss-seconds", heading: "Loss against seconds", x: |p| p.seconds, unit, axis, of };
    let first = page::figure(tokens.heading, &tokens.picture(c), &[endings(c), tokens.reached(c), tokens.hidden(c), missing(c)]);
    let second = page::figure(seconds.heading, &seconds.picture(c), &[speeds(c), seconds.reached(c), seconds.hidden(c)]);
    page::section(tokens.heading, what, &first)
        + &page::section(seconds.heading, "The same losses against the time that training alone took on this device.", &second)
}

fn all(c: &Comparison) -> impl Iterator<Item = &Point> {
    c.strategies.iter().flat_map(|s| &s.curve)
}

fn finite(x: Option<f64>) -> Option<f64> {
    x.filter(|x| x.is_finite())
}

/// What losses are drawn against.
struct Against {
    id: &'static str,
    heading: &'static str,
    x: fn(&Point) -> f64,
    /// How much of it is 1 on the axis.
    unit: f64,
    axis: &'static str,
    /// How it is called after a number.
    of: &'static str,
}

impl Against {
    fn at(&self, p: &Point) -> f64 {
        (self.x)(p) / self.unit
    }

    /// Points of one kind of loss, in order.
    fn points(&self, s: &Strategy, loss: fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
        s.curve.iter().filter_map(|p| Some((self.at(p), finite(loss(p))?))).filter(|(x, _)| x.is_finite()).collect()
    }

    fn both(&self, c: &Comparison) -> Vec<(f64, f64)> {
        c.strategies.iter().flat_map(|s| self.points(s, |p| p.val_loss).into_iter().chain(self.points(s, |p| p.train_loss))).collect()
    }

    fn longest(&self, c: &Comparison) -> f64 {
        all(c).map(|p| self.at(p)).filter(|x| x.is_finite()).fold(0.0, f64::max)
    }

    /// Losses that the picture must hold: all but those of the first fifth, which are so high that the rest would be flat below them.
    fn losses(&self, c: &Comparison) -> (f64, f64) {
        let least = 0.2 * self.longest(c);
        let span =
            |from: f64| self.both(c).iter().filter(|(x, _)| *x >= from).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), (_, y)| (lo.min(*y), hi.max(*y)));
        let late = span(least);
        if late.0 <= late.1 { late } else { span(f64::NEG_INFINITY) }
    }

    fn scales(&self, c: &Comparison) -> (Scale, Scale) {
        let (lo, hi) = self.losses(c);
        let y = if lo > 0.0 && hi / lo > WIDE { Scale::log((lo, hi), (Y.1, Y.0)) } else { Scale::linear((lo, hi), (Y.1, Y.0)) };
        (Scale::exact(self.longest(c), X), y)
    }

    fn picture(&self, c: &Comparison) -> String {
        let (sx, sy) = self.scales(c);
        let described = format!("Curves of {}. {} {}", format::plural(c.strategies.len() as u64, "strategy", "strategies"), endings(c), self.reached(c));
        let mut p = Picture::new(self.id, self.heading, &described);
        p.axis_x(&sx, Y, self.axis);
        p.axis_y(&sy, X, "loss, nats");
        let place = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> { points.iter().map(|(x, y)| (sx.at(*x), sy.at(*y))).collect() };
        p.clip((X.0, X.1 + 6.0), (Y.0 - 6.0, Y.1 + 6.0));
        // Training below validation; the first strategy on top of the others.
        for (i, s) in c.strategies.iter().enumerate().rev() {
            p.series(i);
            p.polyline("train", None, &place(self.points(s, |p| p.train_loss)));
            p.close();
        }
        for (i, s) in c.strategies.iter().enumerate().rev() {
            let val = place(self.points(s, |p| p.val_loss));
            p.series(i);
            p.polyline("val", Some(i), &val);
            let every = val.len().div_ceil(MARKERS).max(1);
            // Counted from the end, so that the last has one.
            val.iter().rev().step_by(every).for_each(|at| p.marker("mark", i, *at));
            p.close();
        }
        p.close();
        self.names(&mut p, c, &sy);
        p.finish(Y.1 + 46.0)
    }

    /// Names right of the plot, as high as their curves end, or below those.
    fn names(&self, p: &mut Picture, c: &Comparison, sy: &Scale) {
        let last = |s: &Strategy| {
            let val = self.points(s, |p| p.val_loss).last().copied();
            val.or_else(|| self.points(s, |p| p.train_loss).last().copied()).map_or(Y.1, |(_, y)| sy.at(y))
        };
        let wanted: Vec<f64> = c.strategies.iter().map(last).collect();
        for (i, y) in apart(&wanted, 20.0, Y.0, Y.1).into_iter().enumerate() {
            p.key(i, (X.1 + 18.0, y), &c.strategies[i].truncation);
        }
    }

    /// When each first comes down to a loss that all reach.
    fn reached(&self, c: &Comparison) -> String {
        let curves: Vec<(&Strategy, Vec<(f64, f64)>)> =
            c.strategies.iter().map(|s| (s, self.points(s, |p| p.val_loss))).filter(|(_, v)| !v.is_empty()).collect();
        if curves.len() < 2 {
            return String::new();
        }
        let lowest = |v: &[(f64, f64)]| v.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let target = curves.iter().map(|(_, v)| lowest(v)).fold(f64::NEG_INFINITY, f64::max);
        let first = |v: &[(f64, f64)]| v.iter().find(|p| p.1 <= target).map(|p| p.0);
        let mut times: Vec<(&Strategy, f64)> = curves.iter().filter_map(|(s, v)| Some((*s, first(v)?))).collect();
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        let amount = |x: f64| if self.of == "symbols" { format::fixed(x, 0) } else { format!("{}\u{a0}{}", format::number(x), self.of) };
        let times: Vec<String> = times.iter().map(|(s, x)| format!("{} ({})", s.truncation, amount(*x))).collect();
        let who = if curves.len() == c.strategies.len() { "all of them" } else { "all that were validated" };
        let of = if self.of == "symbols" { "symbols" } else { "time" };
        format!(
            "A validation loss of {} nats or less, which {who} reach, is first measured, in the order of {of}, with {}.",
            format::fixed(target, 3),
            format::list(&times)
        )
    }

    /// Says so if the first losses don't fit into the picture.
    fn hidden(&self, c: &Comparison) -> String {
        let shown = self.losses(c).1;
        let highest = self.both(c).iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        // What rounding the axis lets in is not worth a word.
        if highest <= self.scales(c).1.ticks().last().copied().unwrap_or(shown).max(shown) {
            return String::new();
        }
        format!("Losses of the first fifth, up to {} nats, lie above the picture.", format::fixed(highest, 2))
    }
}

/// Where the validation loss ends, against `full` if there is one.
fn endings(c: &Comparison) -> String {
    let each = |s: &Strategy| {
        let loss = format::fixed(ending(s)?, 3);
        Some(match above_full(c, s) {
            Some(x) if s.truncation != "full" && x.abs() < 0.0005 => format!("{} at {loss} (as full to three decimals)", s.truncation),
            Some(x) if s.truncation != "full" => {
                format!("{} at {loss} ({} {} full)", s.truncation, format::fixed(x.abs(), 3), if x > 0.0 { "above" } else { "below" })
            }
            _ => format!("{} at {loss}", s.truncation),
        })
    };
    let each: Vec<String> = c.strategies.iter().filter_map(each).collect();
    if each.is_empty() { "No validation loss is finite at the end.".to_string() } else { format!("Validation ends, in nats: {}.", each.join("; ")) }
}

/// Strategies that the pictures name without a curve.
fn missing(c: &Comparison) -> String {
    let without = |s: &&Strategy| !s.curve.iter().any(|p| finite(p.train_loss).or(finite(p.val_loss)).is_some());
    let names: Vec<String> = c.strategies.iter().filter(without).map(|s| s.truncation.clone()).collect();
    if names.is_empty() { String::new() } else { format!("No finite loss was recorded, so that there is no curve, of {}.", format::list(&names)) }
}

fn speeds(c: &Comparison) -> String {
    match super::strategies::extremes(c, |s| s.tokens_per_second) {
        Some((slow, fast)) if slow.tokens_per_second > 0.0 && slow.tokens_per_second < fast.tokens_per_second => format!(
            "{} trains fastest, with {} symbols per second, {} times as many as {}, the slowest.",
            fast.truncation,
            format::rounded(fast.tokens_per_second),
            format::number(fast.tokens_per_second / slow.tokens_per_second),
            slow.truncation
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// `full` and one other, with these validation losses at 0, 10, 20, ... symbols.
    fn two(full: &[f64], other: &[f64]) -> Comparison {
        let mut c = fixture::comparison();
        c.strategies.truncate(2);
        for (s, losses) in c.strategies.iter_mut().zip([full, other]) {
            let point = |(i, x): (usize, &f64)| Point { update: i as u64, tokens: 10 * i as u64, seconds: i as f64, train_loss: None, val_loss: Some(*x) };
            s.curve = losses.iter().enumerate().map(point).collect();
            s.val_loss = losses.last().copied();
        }
        c
    }

    #[test]
    fn sentences_say_what_the_curves_do() {
        let c = two(&[4.0, 3.0, 2.0, 2.5], &[4.0, 2.9, 2.8]);
        let tokens = Against { id: "t", heading: "", x: |p| p.tokens as f64, unit: 1.0, axis: "", of: "symbols" };
        assert_eq!(endings(&c), "Validation ends, in nats: full at 2.500; regular:16 at 2.800 (0.300 above full).");
        let want =
            "A validation loss of 2.800 nats or less, which all of them reach, is first measured, in the order of symbols, with full (20) and regular:16 (20).";
        assert_eq!(tokens.reached(&c), want);
        assert_eq!(tokens.hidden(&c), "Losses of the first fifth, up to 4.00 nats, lie above the picture.");
        let c = two(&[2.0], &[f64::NAN]);
        assert_eq!((tokens.reached(&c), tokens.hidden(&c)), (String::new(), String::new()));
        assert_eq!(endings(&c), "Validation ends, in nats: full at 2.000.");
        assert_eq!(missing(&c), "No finite loss was recorded, so that there is no curve, of regular:16.");
    }
}
