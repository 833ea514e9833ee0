//! The computational graph of one window, from left to right: step by step if there are few, else a box to each segment.

use super::format;
use super::planned_points::MARGIN;
use super::svg::{Picture, WIDTH, coordinate};
use crate::analysis::planned::{Planned, Segment};
use crate::model::layer_name;

/// Where the first step or box may begin; left of it are the names of rows and what flows in.
const LEFT: f64 = 154.0;
const ROOM: f64 = WIDTH - 24.0 - LEFT;
/// Between the heading's line and the graph.
const ABOVE: f64 = 30.0;
/// Steps that are drawn one by one, and the least distance between two.
const STEPS: u64 = 40;
const NEAREST: f64 = 17.0;
/// Between the last step of a segment and the first of the next, in addition.
const GAP: f64 = 16.0;
/// Layers that are drawn one by one.
const LAYERS: u32 = 3;
/// Boxes that are drawn if none is left out; else so many, of which one says how many are not there.
const BOXES: usize = 24;
const BOXES_CUT: usize = 17;
/// Of a box.
const TALL: f64 = 66.0;
/// Half the size of the square of a stored state.
const STORED: f64 = 5.0;

/// Draws it below the heading at `top`, with its legend, and says where what follows may begin.
pub(super) fn draw(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    if p.graph.is_empty() {
        picture.text("name", (MARGIN, top + 30.0), "The plan lists no segments.");
        return top + 64.0;
    }
    let steps: u64 = p.graph.iter().map(|s| u64::from(s.steps)).sum();
    let pitch = ((ROOM - GAP * p.graph.len() as f64) / steps.max(1) as f64).min(64.0);
    let nodes = (1..=STEPS).contains(&steps) && pitch >= NEAREST;
    let bottom = if nodes { Nodes::new(p, top + ABOVE, pitch).draw(picture) } else { boxes(picture, p, top + ABOVE) };
    legend(picture, bottom + 30.0, nodes)
}

/// The class of a segment's fill.
fn class(s: &Segment) -> &'static str {
    match (s.held, s.recomputed) {
        (true, _) => "held",
        (false, 0) => "neither",
        _ => "again",
    }
}

/// Between two steps or boxes: what flows forward, and what flows back.
fn edge(picture: &mut Picture, (from, to): (f64, f64), y: f64, apart: f64) {
    arrow(picture, "forward", (from, y - apart), (to, y - apart));
    arrow(picture, "backward", (to, y + apart), (from, y + apart));
}

/// From a row to the one above it, and back.
fn lift(picture: &mut Picture, x: f64, (below, above): (f64, f64), apart: f64) {
    arrow(picture, "forward", (x - apart, below), (x - apart, above));
    arrow(picture, "backward", (x + apart, above), (x + apart, below));
}

fn arrow(picture: &mut Picture, class: &str, from: (f64, f64), to: (f64, f64)) {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    if !length.is_normal() {
        return;
    }
    let (ux, uy) = ((to.0 - from.0) / length, (to.1 - from.1) / length);
    let size = (length * 0.6).min(6.0);
    let neck = (to.0 - ux * size, to.1 - uy * size);
    picture.line(class, from, neck);
    let [x, y, ax, ay, bx, by] =
        [to.0, to.1, neck.0 - uy * size * 0.5, neck.1 + ux * size * 0.5, neck.0 + uy * size * 0.5, neck.1 - ux * size * 0.5].map(coordinate);
    picture.path(&format!("{class} head"), &format!("M{x} {y}L{ax} {ay}L{bx} {by}Z"));
}

fn square(picture: &mut Picture, (x, y): (f64, f64)) {
    picture.rect("stored", (x - STORED, y - STORED), (2.0 * STORED, 2.0 * STORED), 1.0);
}

/// What flows into a window from the one before: its state, but no gradient leaves.
fn inflow(picture: &mut Picture, (from, to): (f64, f64), y: f64) {
    picture.text("name end", (from - 5.0, y + 3.0), "…");
    arrow(picture, "forward", (from, y), (to, y));
}

/// How often a segment is computed again, or that it need not be.
fn mark(s: &Segment) -> String {
    if s.held { "held".to_string() } else { format!("×{}", s.recomputed) }
}

fn subscript(n: u64) -> String {
    n.to_string().bytes().filter_map(|d| char::from_u32(0x2080 + u32::from(d.saturating_sub(b'0')))).collect()
}

/// A window step by step.
struct Nodes<'a> {
    graph: &'a [Segment],
    layers: u32,
    /// Rows of layers that are drawn.
    rows: u32,
    top: f64,
    /// From step to step.
    pitch: f64,
    radius: f64,
}

impl<'a> Nodes<'a> {
    fn new(p: &'a Planned, top: f64, pitch: f64) -> Self {
        let rows = if (1..=LAYERS).contains(&p.layers) { p.layers } else { 1 };
        Nodes { graph: &p.graph, layers: p.layers, rows, top, pitch, radius: if pitch < 30.0 { pitch * 0.26 } else { (pitch * 0.32).min(16.0) } }
    }

    /// The height of a row: losses above, then the layers from the last to the first, then inputs.
    fn row(&self, i: u32) -> f64 {
        self.top + 48.0 + f64::from(i) * (2.0 * self.radius + 26.0)
    }

    fn draw(&self, picture: &mut Picture) -> f64 {
        let bottom = self.row(self.rows + 1) + self.radius + 12.0;
        self.names(picture);
        let (mut x, mut step, mut before) = (LEFT + self.pitch / 2.0, 1, None);
        for s in self.graph.iter().filter(|s| s.steps > 0) {
            let start = x - self.pitch / 2.0;
            self.ground(picture, s, step, start, bottom);
            for i in 0..s.steps {
                self.step(picture, s, (x, step));
                for row in 1..=self.rows {
                    self.enter(picture, (before, x), row, (i == 0 && s.stored).then_some(start - GAP / 2.0));
                }
                before = Some(x);
                x += self.pitch;
                step += 1;
            }
            x += GAP;
        }
        let cut = LEFT - 28.0;
        picture.line("cut", (cut, self.row(0) + 4.0), (cut, self.row(self.rows + 1) - 4.0));
        bottom
    }

    fn names(&self, picture: &mut Picture) {
        let mut name = |row, text: &str| picture.text("name", (MARGIN, self.row(row) + 4.5), text);
        name(0, "loss o");
        for row in 1..=self.rows {
            let layer = layer_name((self.rows - row) as usize);
            match (self.rows, self.layers) {
                (1, 1) => name(row, "state h"),
                (1, layers) => name(row, &format!("h of {layers}")),
                _ => name(row, &format!("h, {layer}")),
            }
        }
        name(self.rows + 1, "input x");
    }

    /// What lies after a segment's steps, with its name.
    fn ground(&self, picture: &mut Picture, s: &Segment, first: u64, start: f64, bottom: f64) {
        let width = f64::from(s.steps) * self.pitch;
        picture.rect("panel", (start, self.top), (width, bottom - self.top), 1.0);
        let last = first + u64::from(s.steps) - 1;
        let range = if first == last { first.to_string() } else { format!("{first}–{last}") };
        let long = format!("{}{range}: {}", if first == last { "step " } else { "steps " }, mark(s));
        let x = start + width / 2.0;
        if long.chars().count() as f64 * 6.5 <= width + GAP {
            picture.text("small mid", (x, self.top + 18.0), &long);
        } else {
            picture.text("range", (x, self.top + 14.0), &range);
            picture.text("range", (x, self.top + 28.0), &mark(s));
        }
    }

    /// One step in all rows, with what goes up and what comes down.
    fn step(&self, picture: &mut Picture, s: &Segment, (x, step): (f64, u64)) {
        let (r, small) = (self.radius, self.radius * 0.8);
        let apart = (r * 0.35).clamp(2.8, 5.0);
        let named = r >= 12.0;
        for row in 0..=self.rows {
            let (above, below) = (if row == 0 { small } else { r }, if row == self.rows { small } else { r });
            let ends = (self.row(row + 1) - below, self.row(row) + above);
            // The input gets no gradient.
            if row == self.rows {
                arrow(picture, "forward", (x, ends.0), (x, ends.1));
            } else {
                lift(picture, x, ends, apart);
            }
        }
        for (row, name) in [(0, "o"), (self.rows + 1, "x")] {
            picture.circle("outer", (x, self.row(row)), small);
            if named {
                picture.text("range", (x, self.row(row) + 3.5), &(name.to_string() + &subscript(step)));
            }
        }
        for row in 1..=self.rows {
            picture.circle(class(s), (x, self.row(row)), r);
            if named {
                let style = if s.held { "mid on-held" } else { "mid halo" };
                picture.text(style, (x, self.row(row) + 4.5), &format!("h{}", subscript(step)));
            }
        }
    }

    /// The edge into a step from the one before, and the square of a stored state on it.
    fn enter(&self, picture: &mut Picture, (before, x): (Option<f64>, f64), row: u32, stored: Option<f64>) {
        let (y, apart) = (self.row(row), (self.radius * 0.6).clamp(3.6, 5.0));
        match before {
            Some(before) => edge(picture, (before + self.radius, x - self.radius), y, apart),
            None => inflow(picture, (LEFT - 44.0, x - self.radius), y - apart),
        }
        if let Some(at) = stored {
            square(picture, (at, y - apart));
        }
    }
}

/// Which segments are drawn; none stands for those that are left out.
fn drawn(graph: &[Segment]) -> Vec<Option<usize>> {
    let steps: u64 = graph.iter().map(|s| u64::from(s.steps)).sum();
    // No box is narrower than the number of the last step.
    let room = (ROOM / (6.2 * (format::count(steps).len() + 1) as f64 + 2.0)) as usize;
    if graph.len() <= room.min(BOXES) {
        return (0..graph.len()).map(Some).collect();
    }
    let boxes = room.clamp(3, BOXES_CUT) - 1;
    let first = (boxes * 10).div_ceil(16);
    let last = graph.len() - (boxes - first);
    (0..first).map(Some).chain([None]).chain((last..graph.len()).map(Some)).collect()
}

/// A window segment by segment.
fn boxes(picture: &mut Picture, p: &Planned, top: f64) -> f64 {
    let shown = drawn(&p.graph);
    let slot = (ROOM / shown.len() as f64).min(110.0);
    let (outer, radius) = (14.0_f64.min(slot * 0.25), 10.0);
    let rows = [top + 12.0, top + 56.0, top + 56.0 + TALL + 34.0];
    let middle = top + 56.0 + TALL / 2.0;
    for (y, name) in [(rows[0], "losses o"), (middle, "states h"), (rows[2], "inputs x")] {
        picture.text("name", (MARGIN, y + 4.5), name);
    }
    let starts: Vec<u64> = p.graph.iter().scan(1, |at, s| Some(std::mem::replace(at, *at + u64::from(s.steps)))).collect();
    for (i, item) in shown.iter().enumerate() {
        let (x, width) = (LEFT + i as f64 * slot + outer / 2.0, slot - outer);
        let center = x + width / 2.0;
        if i == 0 {
            inflow(picture, (LEFT - 44.0, x), middle - 14.0);
        } else {
            edge(picture, (x - outer, x), middle, 14.0);
        }
        let (Some(k), Some(s)) = (item, item.and_then(|k| p.graph.get(k))) else {
            let hidden = (p.graph.len() + 1).saturating_sub(shown.len());
            for (dy, text) in [(-22.0, "…".to_string()), (0.0, format::count(hidden as u64)), (15.0, "more".to_string()), (32.0, "…".to_string())] {
                picture.text("range", (center, middle + dy), &text);
            }
            continue;
        };
        let first = starts.get(*k).copied().unwrap_or(1);
        picture.hint(&hint(s, *k, first));
        picture.rect(class(s), (x, middle - TALL / 2.0), (width, TALL), 1.0);
        picture.close();
        let (style, text) = if s.held { ("small mid on-held", mark(s)) } else { ("mid halo strong", mark(s)) };
        picture.text(style, (center, middle + 4.5), &text);
        lift(picture, center, (middle - TALL / 2.0, rows[0] + radius), 4.0);
        arrow(picture, "forward", (center, rows[2] - radius), (center, middle + TALL / 2.0));
        picture.circle("outer", (center, rows[0]), radius);
        picture.circle("outer", (center, rows[2]), radius);
        picture.text("range", (center, rows[0] + 3.5), "o");
        picture.text("range", (center, rows[2] + 3.5), "x");
        if s.stored {
            square(picture, (x, middle - 14.0));
        }
        range(picture, (center, rows[2] + 28.0), first, s.steps);
    }
    picture.line("cut", (LEFT - 24.0, middle - TALL / 2.0 - 14.0), (LEFT - 24.0, middle + TALL / 2.0 + 14.0));
    hidden(picture, &p.graph, &shown, rows[2] + 64.0)
}

/// A segment's steps, first over last.
fn range(picture: &mut Picture, (x, y): (f64, f64), first: u64, steps: u32) {
    picture.text("range", (x, y), &format::count(first));
    if steps > 1 {
        picture.text("range", (x, y + 13.0), &format!("–{}", format::count(first + u64::from(steps) - 1)));
    }
}

fn hint(s: &Segment, k: usize, first: u64) -> String {
    let stored = if s.stored { "state at its start stored" } else { "state at its start not stored" };
    let held = if s.held { "h held" } else { "h not held" };
    let last = (first + u64::from(s.steps)).saturating_sub(1);
    format!("segment {}, steps {first} to {last}: {stored}, {held}, computed again {}×", k + 1, s.recomputed)
}

/// A line on what is not drawn; returns where the graph ends.
fn hidden(picture: &mut Picture, graph: &[Segment], shown: &[Option<usize>], y: f64) -> f64 {
    let Some(first) = shown.iter().position(Option::is_none) else { return y - 14.0 };
    let missing = (graph.len() + 1).saturating_sub(shown.len());
    let rest = graph.get(first..first + missing).unwrap_or_default();
    let [stored, held] = [|s: &&Segment| s.stored, |s: &&Segment| s.held].map(|is| format::count(rest.iter().filter(is).count() as u64));
    let (least, most) = rest.iter().fold((u32::MAX, 0), |(a, b), s| (a.min(s.recomputed), b.max(s.recomputed)));
    let again = if least >= most { format!("×{most}") } else { format!("×{least} to ×{most}") };
    let text = format!(
        "Not drawn: segments {} to {}. Of them {stored} have their state stored, {held} their h held; they are computed again {again}.",
        first + 1,
        first + missing
    );
    picture.text("small", (MARGIN, y), &text);
    y
}

/// What the marks mean; returns where what follows may begin.
fn legend(picture: &mut Picture, y: f64, nodes: bool) -> f64 {
    let unit = if nodes { "a step" } else { "a segment" };
    let texts = [
        format!("{unit} whose h is held"),
        format!("{unit} computed again, ×: times"),
        "stored state at a segment's start".to_string(),
        "cut: no gradient flows past it".to_string(),
        "forward: values".to_string(),
        "backward: gradients".to_string(),
    ];
    for (i, text) in texts.iter().enumerate() {
        let (x, y) = (MARGIN + 310.0 * (i % 3) as f64, y + 26.0 * (i / 3) as f64);
        match i {
            0 => picture.rect("held", (x + 6.0, y - 8.0), (16.0, 16.0), 1.0),
            1 => picture.rect("again", (x + 6.0, y - 8.0), (16.0, 16.0), 1.0),
            2 => square(picture, (x + 14.0, y)),
            3 => picture.line("cut", (x + 14.0, y - 10.0), (x + 14.0, y + 10.0)),
            4 => arrow(picture, "forward", (x, y), (x + 28.0, y)),
            _ => arrow(picture, "backward", (x + 28.0, y), (x, y)),
        }
        picture.text("", (x + 38.0, y + 4.5), text);
    }
    y + 26.0 + 40.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(n: usize, steps: u32) -> Vec<Segment> {
        vec![Segment { steps, stored: true, held: false, recomputed: 1 }; n]
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(drawn(&graph(20, 2)), (0..20).map(Some).collect::<Vec<_>>());
        let many = drawn(&graph(157, 64));
        assert_eq!(many.len(), 17);
        assert_eq!((many[9], many[10], many[11], many[16]), (Some(9), None, Some(151), Some(156)));
        // Long numbers need wide boxes.
        let long = drawn(&graph(1000, u32::MAX));
        assert!((3..12).contains(&long.len()) && long.iter().filter(|i| i.is_none()).count() == 1);
        assert_eq!(subscript(120), "₁₂₀");
    }
}
