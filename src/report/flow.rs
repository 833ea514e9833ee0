//! The page of a look at how gradients flow.

use super::chart::{Chart, Curve, Kind, Stroke};
use super::format;
use super::page::{self, cell};
use crate::analysis::flow::{Flow, Verdict};
use crate::model::layer_name;

/// One self-contained page: the verdict, and the pictures that it rests on.
pub fn html(f: &Flow) -> String {
    let parts = [introduction(f), profile(f), bias(f), layers(f), singular(f), sensitivity(f), reading()];
    page::document(&format!("How the gradient flows back: {}", format::file_name(&f.text)), &parts.concat())
}

fn introduction(f: &Flow) -> String {
    let m = &f.model;
    let model = format!(
        "{} of {} ({}), {} symbols",
        format::plural(m.layers.into(), "recurrent layer", "recurrent layers"),
        format::plural(m.hidden.into(), "unit", "units"),
        m.activation.name(),
        m.outputs()
    );
    let what = format!(
        "Text: {}. Model: {model}. {} were followed back over {}. Device: {}.",
        f.text,
        format::plural(f.places.into(), "loss", "losses"),
        format::plural(f.lags.len() as u64 - 1, "step", "steps"),
        f.device
    );
    page::paragraph("text", &verdict(f)) + &page::paragraph("text", &window(f)) + &page::paragraph("note", &what)
}

fn verdict(f: &Flow) -> String {
    let gradient = f.named_layer().map_or("The gradient".to_string(), |layer| format!("The gradient of {layer}, which fades slowest,"));
    let rate = format::number(f.slowest.decay_rate);
    let half = f.slowest.half_life.map_or(String::new(), |h| format!(", so it halves every {} steps", format::number(h)));
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
            format::number(f.estimated_bias),
            format::count(f.bias_symbols),
            format::number(f.measured_bias),
            format::number(f.tolerance)
        ),
        None => "No window is suggested: where the gradient does not decay, any window is biased. Random truncation has no bias, at the price of variance."
            .to_string(),
    }
}

fn line(name: &str, series: usize, points: Vec<(f64, f64)>) -> Curve {
    Curve { name: name.to_string(), points, band: Vec::new(), stroke: Stroke::Marked, series }
}

/// A picture with a logarithmic vertical axis.
fn chart([id, title, seen, x, y]: [&str; 5], curves: Vec<Curve>) -> Chart {
    let [id, title, described, x, y] = [id, title, seen, x, y].map(String::from);
    Chart { id, title, described, x, y, kind: Kind::Log, curves, level: None, whole: true, height: 300.0 }
}

fn against(lags: &[u32], y: &[f64]) -> Vec<(f64, f64)> {
    lags.iter().map(|k| f64::from(*k)).zip(y.iter().copied()).collect()
}

fn profile(f: &Flow) -> String {
    let several = f.layers.len() > 1;
    let mut lines = Vec::new();
    for (k, l) in f.layers.iter().enumerate() {
        let name = if several { layer_name(k) } else { "median".to_string() };
        let band = l.profile.low.iter().copied().zip(l.profile.high.iter().copied()).collect();
        lines.push(Curve { band, ..line(&name, k + 1, against(&f.lags, &l.profile.median)) });
    }
    // The fit, through the point in the middle of the lags that it was made for.
    let middle = f.lags.len() * 5 / 8;
    if let Some(at) = f.slowest.median.get(middle).copied().filter(|x| *x > 0.0) {
        let fit = f.lags.iter().map(|k| at * f.slowest.decay_rate.powf(f64::from(*k) - middle as f64)).collect::<Vec<_>>();
        lines.push(Curve { stroke: Stroke::Thin, ..line("geometric fit", 0, against(&f.lags, &fit)) });
    }
    let seen = format!("{} The fit's coefficient of determination is {}.", verdict(f), format::number(f.slowest.decay_fit));
    let axes = ["lag k, steps", "|dL(t)/dh(t−k)| / |dL(t)/dh(t)|, ratio"];
    let chart = chart(["profile", "Gradient by time lag", &seen, axes[0], axes[1]], lines);
    let what = "How much of the gradient of a single loss is left k steps back. Lines are medians over many losses; eight of ten lie within the band.";
    page::section("Gradient by time lag", what, &page::figure("Gradient by time lag", &chart.draw(), &[seen]))
}

fn bias(f: &Flow) -> String {
    let points = |y: fn(&crate::analysis::flow::Bias) -> f64| f.bias.iter().map(|b| (f64::from(b.tau), y(b))).collect::<Vec<_>>();
    let lines = vec![line("measured", 2, points(|b| b.measured)), line("estimated", 1, points(|b| b.estimated))];
    let axes = ["window TAU, steps", "relative bias of regular:TAU, ratio"];
    let level = Some((f.tolerance, "tolerance".to_string()));
    let chart = Chart { level, ..chart(["bias", "What a window misses", &window(f), axes[0], axes[1]], lines) };
    let what = "Norm of (the gradient in windows of TAU steps − the full gradient), divided by that of the full gradient. The estimate comes from the profile above and two truncated gradients; \
                a measured bias of 0 (one window holds all) is not drawn.";
    page::section("What a window misses", what, &page::figure("What a window misses", &chart.draw_over(Kind::Log), &[window(f)]))
}

fn layers(f: &Flow) -> String {
    let head = ["Layer", "Verdict", "Factor a step", "Half-life, steps", "Spectral radius", "Spectral norm", "Saturated units"].map(str::to_string);
    let row = |(k, l): (usize, &crate::analysis::flow::Deep)| {
        let cells = [
            format!("{:?}", l.verdict).to_lowercase(),
            format::number(l.profile.decay_rate),
            l.profile.half_life.map_or("—".to_string(), format::number),
            format::number(l.spectral_radius),
            format::number(l.spectral_norm),
            format!("{} %", format::fixed(100.0 * l.profile.saturation, 1)),
        ];
        (k.to_string(), cells.iter().map(|c| cell(c)).collect())
    };
    let rows: Vec<_> = f.layers.iter().enumerate().map(row).collect();
    let what = "Spectral radius and norm are those of W_hh: the largest modulus of an eigenvalue, and the largest singular value. A unit is saturated where its slope phi′ is \
                below 0.1: what flows back through it is all but stopped.";
    page::section("Why: weights and units", what, &page::figure("Layers", &page::table(&head, &rows), &[]))
}

fn singular(f: &Flow) -> String {
    let points = |y: fn(&crate::analysis::flow::jacobian::Spectrum) -> f64| f.singular_values.iter().map(|s| (f64::from(s.steps), y(s))).collect::<Vec<_>>();
    let largest = f.singular_values.first().map_or(f64::NAN, |s| s.max);
    let seen = format!(
        "One step can multiply a gradient by {} at most, and {} by {}.",
        format::number(largest),
        format::plural(f.singular_values.last().map_or(0, |s| s.steps).into(), "step", "steps"),
        format::number(f.singular_values.last().map_or(f64::NAN, |s| s.max))
    );
    let lines = vec![line("largest", 2, points(|s| s.max)), line("median", 1, points(|s| s.median)), line("smallest", 3, points(|s| s.min))];
    let chart = chart(["singular", "Singular values", &seen, "steps back", "singular value, ratio"], lines);
    let of = f.named_layer().map_or(String::new(), |layer| format!(", of {layer}"));
    let what = format!(
        "Singular values of products of the one-step Jacobians diag(phi′(a)) W_hh-transposed, at one place of the text{of}. The gradient can't grow faster \
         than the largest of them."
    );
    page::section("Why: Jacobians", &what, &page::figure("Singular values", &chart.draw_over(Kind::Log), &[seen]))
}

fn sensitivity(f: &Flow) -> String {
    let s = &f.sensitivity;
    let indexed = |y: &[f64], from: usize| y.iter().enumerate().map(|(t, y)| ((t + from) as f64, *y)).collect::<Vec<_>>();
    let growth = format::number(s.lyapunov.exp());
    let fate = if s.lyapunov > 0.0 { "what differs a little runs apart exponentially" } else { "what differs a little comes together again" };
    let seen = format!(
        "A move of h_0 is multiplied by {growth} a step (Lyapunov exponent {} a step): {fate}. The gradient of all {} steps then differs by {} of its norm.",
        format::number(s.lyapunov),
        s.loss.len(),
        format::number(s.gradient)
    );
    let lines = vec![line("states", 1, indexed(&s.state, 0)), line("losses, nats", 2, indexed(&s.loss, 1))];
    let axes = ["step t", "|h′−h| / |h′₀−h₀|, ratio; |L′−L|, nats"];
    let chart = chart(["sensitivity", "Sensitivity to initial conditions", &seen, axes[0], axes[1]], lines);
    let what = "The first state is moved by 1e-4, and both go on over the same text. A full gradient through many steps of a chaotic net says little: it is the slope of a surface that \
                is all ripples. Distances below about a hundredth of the first are rounding.";
    page::section("Sensitivity to initial conditions", what, &page::figure("Sensitivity", &chart.draw(), &[seen]))
}

fn reading() -> String {
    let text = [
        "A gradient that flows back k steps passes k Jacobians. Their product shrinks or grows geometrically, and so does what a loss can teach the steps before it: a vanishing \
         gradient cannot learn what lies far back, and an exploding one makes steps that are far too long, which clipping bounds.",
        "The estimate needs no full gradient. How what is missed falls with the window is taken from the profile: what a lag contributes is proportional to the mean of |dL/dh| there, \
         and a loss that is d steps after its window's start reaches back d lags. How large it is, is taken from the gradients in two windows, a short and a long one, since the \
         gradients of single losses cancel in their sum, in a trained net most of them.",
    ];
    page::section("How to read this", "", &text.iter().map(|t| page::paragraph("text", t)).collect::<String>())
}
