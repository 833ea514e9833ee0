//! The page on how gradients flow.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format::{self, ABSENT, count, number, percent, plural};
use super::page::{document, section, table};
use super::svg::At;
use crate::analysis::flow::{Bias, Deep, Flow, Verdict, jacobian::Spectrum};
use crate::model::layer_name;
use maud::{Markup, PreEscaped, html};

/// One self-contained page: the verdict, and the charts behind it.
pub fn html(f: &Flow) -> String {
    let m = &f.model;
    let body = html! {
        p { (verdict(f)) }
        p { (window(f)) }
        p.note {
            "Text: " (f.text) ". Model: " (format::layers(m.cell, m.layers, m.hidden)) (format::phi(m.cell, m.activation)) ", " (m.outputs()) " symbols. "
            @if m.cell.spec().states == 2 { "Here h stands for the whole state of a layer, h and c together. " }
             (plural(f.places, "loss", "losses")) " were followed back over "
            (plural(f.lags.len() as u64 - 1, "step", "steps")) ". Device: " (f.device) "."
        }
        (profile(f)) (bias(f)) (layers(f)) (singular(f)) (sensitivity(f))
        (PreEscaped(include_str!("flow.html")))
    };
    document("", &format!("How the gradient flows back: {}", format::file_name(&f.text)), &body)
}

fn verdict(f: &Flow) -> String {
    let gradient = f.named_layer().map_or("The gradient".to_string(), |layer| format!("The gradient of {layer}, which fades slowest,"));
    let rate = number(f.slowest.decay_rate);
    let half = f.slowest.half_life.map_or(String::new(), |h| format!(", so it halves every {} steps", number(h)));
    match f.verdict {
        _ if !f.slowest.decay_rate.is_finite() => format!("{gradient} explodes: on its way back it leaves the range of numbers."),
        Verdict::Vanishing => format!("{gradient} vanishes: a step back multiplies it by {rate}{half}."),
        Verdict::Stable => {
            format!("{gradient} is stable: a step back multiplies it by {rate}, and over all lags that were measured it stays within a factor of 2.")
        }
        Verdict::Exploding => format!("{gradient} explodes: a step back multiplies it by {rate}."),
    }
}

fn window(f: &Flow) -> String {
    match f.suggested_tau {
        Some(tau) => format!(
            "Suggested window: --truncation regular:{tau}. Its gradient should miss {} of the full one; measured on {} symbols it misses {}. The tolerance is {}.",
            number(f.estimated_bias),
            count(f.bias_symbols),
            number(f.measured_bias),
            number(f.tolerance)
        ),
        None => "No window is suggested: where the gradient does not decay, any window is biased. Random truncation has no bias, at the price of variance."
            .to_string(),
    }
}

fn line(name: &str, series: usize, points: impl IntoIterator<Item = At>) -> Curve {
    Curve::new(name, series, Stroke::Marked, points)
}

/// A chart with a logarithmic vertical axis.
fn chart([id, title, x, y]: [&str; 4], over: Kind, curves: Vec<Curve>) -> Chart {
    Chart { height: 300.0, ..Chart::new(id, title, y, Kind::Log, curves).over(over, x) }
}

fn profile(f: &Flow) -> Markup {
    let against = |y: &[f64]| -> Vec<At> { f.lags.iter().map(|k| f64::from(*k)).zip(y.iter().copied()).collect() };
    let mut lines = Vec::new();
    for (k, l) in f.layers.iter().enumerate() {
        let name = if f.layers.len() > 1 { layer_name(k) } else { "median".to_string() };
        let band = l.profile.low.iter().copied().zip(l.profile.high.iter().copied()).collect();
        lines.push(Curve { band, ..line(&name, k + 1, against(&l.profile.median)) });
    }
    // The fit, through the middle of the lags that it was fitted to.
    let middle = f.lags.len() * 5 / 8;
    if let Some(at) = f.slowest.median.get(middle).copied().filter(|x| *x > 0.0) {
        let fit: Vec<f64> = f.lags.iter().map(|k| at * f.slowest.decay_rate.powf(f64::from(*k) - middle as f64)).collect();
        lines.push(Curve::new("geometric fit", 0, Stroke::Thin, against(&fit)));
    }
    let caption = format!("The fit's coefficient of determination is {}.", number(f.slowest.decay_fit));
    let what = "How much of the gradient of a single loss is left k steps back. Lines are medians over many losses; eight of ten lie within the band.";
    let chart = chart(["profile", "Gradient by time lag", "lag k, steps", "|dL(t)/dh(t−k)| / |dL(t)/dh(t)|, ratio"], Kind::FromZero, lines);
    section("Gradient by time lag", what, &chart.figure(&caption))
}

fn bias(f: &Flow) -> Markup {
    let points = |y: fn(&Bias) -> f64| f.bias.iter().map(move |b| (f64::from(b.tau), y(b)));
    let lines = vec![line("measured", 2, points(|b| b.measured)), line("estimated", 1, points(|b| b.estimated))];
    let chart = chart(["bias", "What a window misses", "window TAU, steps", "relative bias of regular:TAU, ratio"], Kind::Log, lines);
    let chart = Chart { level: Some((f.tolerance, "tolerance".to_string())), ..chart };
    let what = "Norm of (the gradient in windows of TAU steps − the full gradient), divided by that of the full gradient. The estimate comes from the profile above and two \
                truncated gradients; a measured bias of 0 (one window holds all) is not drawn.";
    section("What a window misses", what, &chart.figure(""))
}

fn layers(f: &Flow) -> Markup {
    let spec = f.model.cell.spec();
    let saturated = format!("Saturated {}", format::saturated(f.model.cell)[1]);
    let head = ["Layer", "Verdict", "Factor a step", "Half-life, steps", "Spectral radius", "Spectral norm", &saturated];
    let row = |(k, l): (usize, &Deep)| {
        let cells = vec![
            format!("{:?}", l.verdict).to_lowercase(),
            number(l.profile.decay_rate),
            l.profile.half_life.map_or(ABSENT.to_string(), number),
            number(l.spectral_radius),
            number(l.spectral_norm),
            percent(l.profile.saturation),
        ];
        (k, cells)
    };
    let of = if spec.gates == 1 { "W_hh" } else { "the Jacobian of one step, the last of those below" };
    let flat = if spec.curves.is_empty() {
        "A unit is saturated where its slope phi′ is below 0.1"
    } else {
        "A gate is saturated where the slope of its sigmoid or tanh is below a tenth of the steepest"
    };
    let what = format!(
        "Spectral radius and norm are those of {of}: the largest modulus of an eigenvalue, and the largest singular value. {flat}: what flows back through it \
         is all but stopped."
    );
    let title = if spec.curves.is_empty() { "Why: weights and units" } else { "Why: steps and gates" };
    section(title, &what, &table("Layers", &head, &f.layers.iter().enumerate().map(row).collect::<Vec<_>>()))
}

fn singular(f: &Flow) -> Markup {
    let points = |y: fn(&Spectrum) -> f64| f.singular_values.iter().map(move |s| (f64::from(s.steps), y(s)));
    let lines = vec![line("largest", 2, points(|s| s.max)), line("median", 1, points(|s| s.median)), line("smallest", 3, points(|s| s.min))];
    let of = f.named_layer().map_or(String::new(), |layer| format!(", of {layer}"));
    let spec = f.model.cell.spec();
    let jacobian = match (spec.gates, spec.states) {
        (1, _) => "diag(phi′(a)) W_hh-transposed",
        (_, 1) => "dh(t)/dh(t−1)",
        _ => "d(h, c)(t)/d(h, c)(t−1)",
    };
    let what = format!(
        "Singular values of products of the one-step Jacobians {jacobian}, at one place of the text{of}. The gradient can't grow faster than the largest of \
         them."
    );
    let chart = chart(["singular", "Singular values", "steps back", "singular value, ratio"], Kind::Log, lines);
    section("Why: Jacobians", &what, &chart.figure(""))
}

fn sensitivity(f: &Flow) -> Markup {
    let s = &f.sensitivity;
    let indexed = |y: &[f64], from: usize| -> Vec<At> { y.iter().enumerate().map(|(t, y)| ((t + from) as f64, *y)).collect() };
    let lines = vec![line("states", 1, indexed(&s.state, 0)), line("losses, nats", 2, indexed(&s.loss, 1))];
    let caption = format!(
        "A move of the first state is multiplied by {} a step (Lyapunov exponent {} a step; above 0, what differs a little runs apart exponentially). The gradient of all {} \
         steps then differs by {} of its norm.",
        number(s.lyapunov.exp()),
        number(s.lyapunov),
        s.loss.len(),
        number(s.gradient)
    );
    let what = "The first state is moved by 1e-4, and both go on over the same text. A full gradient through many steps of a chaotic net says little: it is the slope of a \
                surface that is all ripples. Distances below about a hundredth of the first are rounding.";
    let axes = ["sensitivity", "Sensitivity to initial conditions", "step t", "|h′−h| / |h′₀−h₀|, ratio; |L′−L|, nats"];
    section("Sensitivity to initial conditions", what, &chart(axes, Kind::FromZero, lines).figure(&caption))
}
