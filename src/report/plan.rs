//! A plan as a picture, an SVG file of its own, and as a table for a terminal.

use super::planned_points::{MARGIN, model, times};
use super::svg::Picture;
use super::{format, graph, memory};
use crate::analysis::planned::Planned;

pub use super::terminal::table;

/// Characters that fit on a line of the picture.
const LINE: usize = 128;

/// The hatching of what is computed again.
pub(super) const HATCH: &str = "<pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
                     <rect class=\"ground\" width=\"6\" height=\"6\"/><line class=\"stripe\" x1=\"1\" y1=\"0\" x2=\"1\" y2=\"6\"/></pattern>";

/// One SVG file: what more or less memory would give, and how a window is worked through.
pub fn svg(p: &Planned) -> String {
    let seen = sentences(p);
    let mut picture = Picture::new("plan", &title(p), &seen.join(" "));
    picture.text("title", (MARGIN, 36.0), &title(p));
    let mut y = 58.0;
    for line in [model(p), p.device.clone()] {
        picture.text("small", (MARGIN, y), &format::clipped(&line, LINE));
        y += 18.0;
    }
    picture.text("heading", (MARGIN, y + 20.0), "Memory against time");
    y = memory::draw(&mut picture, p, y + 20.0);
    picture.text("heading", (MARGIN, y + 40.0), "The computational graph of one window");
    y = graph::draw(&mut picture, p, y + 40.0);
    for line in wrapped(&seen.join(" "), LINE) {
        picture.text("", (MARGIN, y), &line);
        y += 20.0;
    }
    picture.standalone(y + 8.0, include_str!("plan.css"), HATCH)
}

fn title(p: &Planned) -> String {
    format!("Plan of a window of {} within {}", format::plural(p.window.into(), "step", "steps"), format::bytes(p.budget))
}

/// What the pictures show, for those who'd rather read.
pub(super) fn sentences(p: &Planned) -> Vec<String> {
    let segments = |n: u64| format::plural(n, "segment", "segments");
    let states = |n: u64| format::plural(n, "state", "states");
    let length = format::plural(p.segment_steps.into(), "step", "steps");
    let mut out = vec![format!(
        "A window of {} is worked through in {} of at most {length}.",
        format::plural(p.window.into(), "step", "steps"),
        segments(p.segments.into())
    )];
    let room = format!("{} and the h of {}", states(p.stored_states.into()), segments(p.held_segments.into()));
    if p.graph.is_empty() {
        out.push(format!("There is room for {room} at once."));
    } else {
        let stored = p.graph.iter().filter(|s| s.stored).count() as u64;
        let held = p.graph.iter().filter(|s| s.held).count() as u64;
        out.push(format!("The first pass stores {} at segments' starts and holds the h of {}; room is for {room} at once.", states(stored), segments(held)));
    }
    out.push(match p.most_recomputed {
        0 => "Nothing is computed again.".to_string(),
        most => format!("A step is computed again at most {}, {} in the mean.", format::plural(most.into(), "time", "times"), times(p.recomputed_per_step, "")),
    });
    let [activations, all, budget] = [p.activation_bytes, p.device_bytes, p.budget].map(format::bytes);
    out.push(format!("Activations take {activations} of {all} on the device; the budget is {budget}."));
    out.push(format!("An update should take {} as long as with everything kept.", times(p.time_factor, " times")));
    out
}

/// Lines of at most so many characters; a word longer than that has a line of its own.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// Checks that tags match, attributes are quoted and numbers finite.
    fn checked(p: &Planned) -> String {
        let file = svg(p);
        let mut open: Vec<&str> = Vec::new();
        for part in file.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap();
            assert!(!text.contains('>'), "{part}");
            for entity in text.split('&').skip(1) {
                assert!(["lt;", "gt;", "amp;", "quot;", "#39;"].iter().any(|e| entity.starts_with(e)), "{text}");
            }
            let name = tag.trim_matches('/').split_whitespace().next().unwrap();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, true) => assert_eq!(tag.matches('"').count() % 2, 0, "{tag}"),
                (false, false) => open.push(name),
            }
            for value in tag.split('"').skip(1).step_by(2) {
                assert!(!value.contains("NaN") && !value.split([' ', ',']).any(|n| n.trim_start_matches('-') == "inf"), "{tag}");
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!file.contains("NaN") && !file.contains("<script") && !file.contains("href") && !file.contains("@import"));
        assert_eq!(file.matches("http").count(), 1, "nothing but the namespace");
        file
    }

    #[test]
    fn whole_pictures() {
        let long = checked(&fixture::long_plan());
        for words in ["Memory against time", "this plan: ", "budget 24.0 MiB", "1.33×", "141", "Not drawn: segments 11 to 151", "–10,000", "class=\"cut\""] {
            assert!(long.contains(words), "{words}");
        }
        let short = checked(&fixture::short_plan());
        for words in ["steps 1–4: ×1", "steps 9–12: held", "h₁₂", "layer 1"] {
            assert!(short.contains(words), "{words}");
        }
        assert_eq!(checked(&fixture::frugal_plan()).matches(">×3<").count(), 2);
    }

    #[test]
    fn text_is_never_markup() {
        let mut p = fixture::short_plan();
        let evil = "<script>alert(\"1\" & '2')</script>\u{0}\u{1b}\n";
        (p.device, p.truncation) = (evil.to_string(), evil.to_string());
        let file = checked(&p);
        assert!(file.contains("&lt;script&gt;") && !file.contains('\u{0}') && !file.contains('\u{1b}'));
    }

    #[test]
    fn any_figures_make_a_picture() {
        for mut p in [fixture::long_plan(), fixture::short_plan(), fixture::frugal_plan()] {
            for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300, 80.0] {
                (p.time_factor, p.recomputed_per_step) = (x, x);
                p.curve.iter_mut().for_each(|q| (q.time_factor, q.recomputed_per_step) = (x, x));
                checked(&p);
            }
            for n in [0, 1, u64::MAX] {
                (p.device_bytes, p.activation_bytes, p.budget) = (n, n, n);
                checked(&p);
                p.curve.iter_mut().for_each(|q| q.device_bytes = n);
                checked(&p);
            }
            p.graph.iter_mut().for_each(|s| s.steps = u32::MAX);
            checked(&p);
            p.graph.iter_mut().for_each(|s| s.steps = 0);
            checked(&p);
        }
    }

    #[test]
    fn little_is_enough() {
        for segments in [0, 1, 2, 3, 16, 17, 24, 25, 40, 1000] {
            for steps in [1, 2, 1000] {
                let mut p = fixture::long_plan();
                p.graph = vec![p.graph[0]; segments];
                p.graph.iter_mut().for_each(|s| s.steps = steps);
                p.curve.truncate(segments);
                checked(&p);
                p.layers = 7;
                checked(&p);
            }
        }
    }

    #[test]
    fn the_plan_is_among_the_points_once() {
        let mut p = fixture::long_plan();
        let (points, chosen) = super::super::planned_points::points(&p);
        assert_eq!((points.len(), points[chosen].device_bytes), (p.curve.len() + 1, p.device_bytes));
        p.curve = points;
        assert_eq!(super::super::planned_points::points(&p).0.len(), p.curve.len());
    }

    #[test]
    fn lines_are_no_longer_than_wanted() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), Vec::<String>::new());
    }
}
