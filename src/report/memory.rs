//! Memory against time: what other budgets would give, and where this plan lies.

use super::format;
use super::planned_points::{points, times};
use super::svg::{Picture, Scale, WIDTH};
use crate::analysis::planned::{CurvePoint, Planned};

const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 24.0;
/// Between the heading's line and the plot, where the axis has its name.
const ABOVE: f64 = 46.0;
const HEIGHT: f64 = 250.0;
/// Below the smallest time factor, so that labels have room there.
const FLOOR: f64 = 30.0;
/// More points than this are a line only.
const MARKED: usize = 48;
/// About the width of a character, and the height of a line.
const CHARACTER: f64 = 6.9;
const LINE: f64 = 15.0;

/// Left, top, right, bottom.
type Area = [f64; 4];

/// What is taken already, so that labels don't lie upon each other or on lines.
struct Room {
    plot: Area,
    taken: Vec<Area>,
    /// Line of the budget: a label may cross it if nothing else is left.
    crossed: Option<Area>,
}

impl Room {
    /// A label's place beside a point: the first that is free, if it may be across the line of the budget.
    fn beside(&mut self, (x, y): (f64, f64), text: &str, across: bool) -> Option<(f64, f64)> {
        let width = text.chars().count() as f64 * CHARACTER;
        let [right, left] = [x + 9.0, x - 9.0 - width];
        let places =
            [(right, y - 7.0), (left, y + 19.0), (right, y + 19.0), (left, y - 7.0), (right, y - 27.0), (left, y + 39.0), (right, y - 47.0), (left, y - 47.0)];
        let area = |(x, y): (f64, f64)| [x, y - LINE + 3.0, x + width, y + 4.0];
        let clear = |at: &(f64, f64)| self.is_free(area(*at)) && self.crossed.is_none_or(|line| !overlap(area(*at), line));
        let found = places.into_iter().find(clear);
        let (x, y) = found.or_else(|| places.into_iter().find(|at| across && self.is_free(area(*at))))?;
        self.taken.push(area((x, y)));
        Some((x, y))
    }

    fn is_free(&self, a: Area) -> bool {
        let inside = a[0] >= self.plot[0] && a[1] >= self.plot[1] && a[2] <= self.plot[2] && a[3] <= self.plot[3];
        inside && !self.taken.iter().any(|b| overlap(a, *b))
    }

    /// A line of corners, with a little room around it.
    fn take(&mut self, line: &[(f64, f64)]) {
        for pair in line.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
            self.taken.push([x0.min(x1) - 3.0, y0.min(y1) - 3.0, x0.max(x1) + 3.0, y0.max(y1) + 3.0]);
        }
    }
}

fn overlap(a: Area, b: Area) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// Draws it below the heading at `top`, and says where it ends.
pub(super) fn draw(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    let (points, chosen) = points(p);
    let (top, bottom) = (top + ABOVE, top + ABOVE + HEIGHT);
    let (lo, hi) = reach(&points, p.budget);
    let x = Scale::log((lo, hi), (LEFT, RIGHT));
    let (y, kind) = factors(&points, (bottom - FLOOR, top));
    axes(picture, (lo, hi), &x, (top, bottom));
    picture.axis_y(&y, (LEFT, RIGHT), &format!("predicted time of an update; 1 = everything is kept{kind}"));
    let place = |q: &CurvePoint| (x.at(q.device_bytes as f64), y.at(q.time_factor));
    let places: Vec<(f64, f64)> = points.iter().map(place).collect();
    let line = stairs(&places);
    picture.polyline("val", None, &line);
    let mut room = Room { plot: [LEFT, top, RIGHT, bottom], taken: Vec::new(), crossed: None };
    room.take(&line);
    budget(picture, p.budget, (lo, hi), &x, (top, bottom), &mut room);
    for (q, at) in points.iter().zip(&places).filter(|_| points.len() <= MARKED) {
        picture.hint(&hint(q));
        picture.circle("point", *at, 3.6);
        picture.close();
    }
    if let (Some(own), Some(&at)) = (points.get(chosen), places.get(chosen)) {
        picture.hint(&hint(own));
        picture.circle("chosen", at, 7.0);
        picture.close();
        room.taken.push([at.0 - 8.0, at.1 - 8.0, at.0 + 8.0, at.1 + 8.0]);
        let text = format!("this plan: {}, {}", format::bytes(own.device_bytes), times(own.time_factor, "×"));
        // It must be there, be it upon something else.
        let (x, y) = room.beside(at, &text, true).unwrap_or((LEFT + 8.0, top + 36.0));
        picture.text("label halo", (x, y), &text);
    }
    recomputed(picture, &points, &places, &mut room);
    bottom + 40.0
}

/// Least and most bytes of the axis. A budget far beyond what can be used would leave the curve no room; it is named at the edge.
fn reach(points: &[CurvePoint], budget: u64) -> (f64, f64) {
    let bytes = || points.iter().map(|q| q.device_bytes.max(1) as f64);
    let (mut lo, mut hi) = (bytes().fold(f64::MAX, f64::min), bytes().fold(1.0, f64::max));
    let budget = budget as f64;
    if (lo / 4.0..=hi * 4.0).contains(&budget) {
        (lo, hi) = (lo.min(budget), hi.max(budget));
    }
    let margin = (hi / lo).powf(0.04).max(1.3);
    (lo / margin, hi * margin)
}

/// The scale of time factors, and what to say of it: those of little memory may be tens of times those of much.
fn factors(points: &[CurvePoint], ends: (f64, f64)) -> (Scale, &'static str) {
    let finite = || points.iter().map(|q| q.time_factor).filter(|x| x.is_finite() && *x > 0.0);
    let (lo, hi) = (finite().fold(1.0, f64::min), finite().fold(1.1, f64::max));
    if hi > 6.0 * lo { (Scale::log((lo, hi * 1.1), ends), " (log scale)") } else { (Scale::linear((lo, hi), ends), "") }
}

/// Between two plans, a budget allows the smaller one.
fn stairs(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    for at in places {
        if let Some(&(_, before)) = out.last() {
            out.push((at.0, before));
        }
        out.push(*at);
    }
    out
}

fn axes(picture: &mut Picture, ends: (f64, f64), x: &Scale, (top, bottom): (f64, f64)) {
    for tick in ticks(ends) {
        let at = x.at(tick);
        picture.line("grid", (at, top), (at, bottom));
        picture.text("tick mid", (at, bottom + 18.0), &exact_bytes(tick));
    }
    picture.line("axis", (LEFT, bottom), (RIGHT, bottom));
    picture.text("name mid", ((LEFT + RIGHT) / 2.0, bottom + 38.0), "bytes on the device (log scale)");
}

/// Powers of two, or, where there are too few of them, multiples of one.
fn ticks((lo, hi): (f64, f64)) -> Vec<f64> {
    let (first, last) = (lo.log2().ceil() as i32, hi.log2().floor() as i32);
    if hi / lo >= 8.0 {
        let every = 1 + (last - first) / 9;
        return (first..=last).step_by(every.max(1) as usize).map(|e| 2f64.powi(e)).collect();
    }
    let step = 2f64.powi(((hi - lo) / 4.0).log2().floor() as i32).max(1.0);
    (0..10).map(|i| ((lo / step).ceil() + f64::from(i)) * step).take_while(|x| *x <= hi).collect()
}

/// Bytes without a digit too many: a tick is a round number of them.
fn exact_bytes(x: f64) -> String {
    let (mut x, mut unit) = (x, "bytes");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if x < 1024.0 {
            break;
        }
        (x, unit) = (x / 1024.0, next);
    }
    format!("{x} {unit}")
}

fn budget(picture: &mut Picture, bytes: u64, (lo, hi): (f64, f64), x: &Scale, (top, bottom): (f64, f64), room: &mut Room) {
    let text = format!("budget {}", format::bytes(bytes));
    let value = bytes as f64;
    if !(lo..=hi).contains(&value) {
        let far = value > hi;
        let text = if far { format!("{text}, beyond this edge →") } else { format!("← {text}, beyond this edge") };
        let width = text.chars().count() as f64 * CHARACTER;
        let (class, at) = if far { ("limit halo end", RIGHT - 8.0) } else { ("limit halo", LEFT + 8.0) };
        picture.text(class, (at, top + 16.0), &text);
        room.taken.push(if far { [at - width, top, at, top + 22.0] } else { [at, top, at + width, top + 22.0] });
        return;
    }
    let at = x.at(value);
    picture.line("budget", (at, top), (at, bottom));
    room.crossed = Some([at - 3.0, top, at + 3.0, bottom]);
    let (x, y) = room.beside((at, top + 23.0), &text, false).unwrap_or((at + 9.0, top + 16.0));
    picture.text("limit halo", (x, y), &text);
}

/// Names a point where the number of times changes that a step is computed again, if there is room for it.
fn recomputed(picture: &mut Picture, points: &[CurvePoint], places: &[(f64, f64)], room: &mut Room) {
    let (mut before, mut named) = (None, false);
    for (q, at) in points.iter().zip(places) {
        let most = q.most_recomputed;
        if before.replace(most) == Some(most) {
            continue;
        }
        let (long, short) = match most {
            0 => ("nothing is computed again".to_string(), "nothing again".to_string()),
            n => (format!("each step again at most {n}×"), format!("again {n}×")),
        };
        for text in [long, short] {
            // The first one tells what the short ones mean.
            if let Some(place) = room.beside(*at, &text, !named) {
                picture.text("small halo", place, &text);
                named = true;
                break;
            }
        }
    }
}

fn hint(q: &CurvePoint) -> String {
    let steps = format::plural(q.segment_steps.into(), "step", "steps");
    format!(
        "{}, {}: segments of {steps}, {} held, {}; a step again at most {}×, {} in the mean",
        format::bytes(q.device_bytes),
        times(q.time_factor, "×"),
        format::count(q.held_segments.into()),
        format::plural(q.stored_states.into(), "state stored", "states stored"),
        q.most_recomputed,
        times(q.recomputed_per_step, "×")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_binary_and_few() {
        let mib = f64::from(1 << 20);
        assert_eq!(ticks((0.9 * mib, 20.0 * mib)), [mib, 2.0 * mib, 4.0 * mib, 8.0 * mib, 16.0 * mib]);
        assert_eq!(ticks((mib, 1.75 * mib)), [1.0, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75].map(|x| x * mib));
        for (lo, hi) in [(1.0, 1.69), (1.0, 1e15), (1e9, 1.69e9), (3.0, 30.0), (1e19, 1.8e19)] {
            let ticks = ticks((lo, hi));
            assert!((1..=10).contains(&ticks.len()), "{lo} {hi}: {ticks:?}");
            assert!(ticks.iter().all(|x| (lo..=hi).contains(x)), "{lo} {hi}: {ticks:?}");
        }
        assert_eq!([1.0, 1024.0, 1.5 * mib, 1024.0 * mib].map(exact_bytes), ["1 bytes", "1 KiB", "1.5 MiB", "1 GiB"]);
    }

    #[test]
    fn labels_find_room_or_none() {
        let mut room = Room { plot: [0.0, 0.0, 200.0, 60.0], taken: Vec::new(), crossed: None };
        let first = room.beside((10.0, 30.0), "some label", true);
        assert_eq!(first, Some((19.0, 23.0)));
        assert_eq!(room.beside((10.0, 30.0), "some label", true), Some((19.0, 49.0)));
        assert_eq!(room.beside((10.0, 30.0), "some label", true), None);
    }
}
