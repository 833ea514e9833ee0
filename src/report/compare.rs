//! The page of a comparison of truncation strategies.

use super::chart::span;
use super::format::{self, ABSENT, NONE, count, plural};
use super::gradients;
use super::losses::{self, Losses};
use super::page::{document, section, table};
use super::svg::{COLOURS, coordinate, keyed};
use crate::analysis::comparison::{Comparison, Point, Strategy};
use maud::{Markup, PreEscaped, html};

/// Symbols whose cuts are shown.
const SHOWN: usize = 192;

/// One self-contained page: the settings, the figures, and charts of them.
pub fn html(c: &Comparison) -> String {
    let against = |heading: &str, axis: &str, x: fn(&Point) -> f64| {
        let of = |s: &Strategy, y: fn(&Point) -> Option<f64>| s.curve.iter().filter_map(|p| Some((x(p), y(p)?))).collect();
        let curves = |s: &Strategy| Losses { name: s.truncation.clone(), train: of(s, |p| p.train_loss), val: of(s, |p| p.val_loss) };
        losses::section(axis.split(' ').next().unwrap_or_default(), heading, axis, "loss, nats", &c.strategies.iter().map(curves).collect::<Vec<_>>())
    };
    let body = html! {
        p { (introduction(c)) }
        (summary(c))
        (cuts(c))
        (against("Loss against symbols", "symbols trained on", |p| p.tokens as f64))
        (against("Loss against seconds", "seconds of training alone", |p| p.seconds))
        (gradients::section(c))
        (PreEscaped(include_str!("compare.html")))
    };
    document("", &format!("Truncation strategies compared on {}", format::file_name(&c.text)), &body)
}

fn introduction(c: &Comparison) -> String {
    let model = format!("{}, {}", format::layers(c.cell, c.layers, c.hidden), plural(c.parameters, "parameter", "parameters"),);
    let batch = format!("batch {}, sequences of {}, seed {}", count(c.batch), plural(c.length, "symbol", "symbols"), c.seed);
    let many = plural(c.strategies.len() as u64, "strategy of truncation", "strategies of truncation");
    let [tokens, updates] = [|s: &Strategy| s.tokens, |s: &Strategy| s.updates].map(|f| count(c.strategies.first().map_or(0, f)));
    format!(
        "Text: {}. Model: {model}; {batch}. {many} trained it from that seed, on {tokens} symbols in {updates} updates each ({}). Device: {}. \
         Each strategy was trained once, so what another seed would change is not seen here.",
        c.text, c.training, c.device
    )
}

/// A figure and its text.
type Figure = (fn(&Strategy) -> f64, fn(&Strategy) -> String);

/// The figures drawn as bars.
const BARS: [Figure; 4] = [
    (|s| s.tokens_per_second, |s| format::rounded(s.tokens_per_second)),
    (|s| s.window_mean, |s| format::rounded(s.window_mean)),
    (|s| f64::from(s.window_max), |s| count(s.window_max)),
    (|s| s.bytes as f64, |s| format::bytes(s.bytes)),
];

fn summary(c: &Comparison) -> Markup {
    let head = ["Truncation", "Val.\u{a0}loss, nats", "Above full", "Seconds", "Cosine", "Relative bias", "Relative spread"];
    let bars = ["Symbols per s", "Mean window", "Longest window", "Activations"];
    let ending = |s: &Strategy| s.val_loss.filter(|x| x.is_finite());
    let full = c.strategies.iter().find(|s| s.truncation == "full").and_then(ending);
    let row = |(i, s): (usize, &Strategy)| {
        let above = ending(s).zip(full).filter(|_| s.truncation != "full");
        let texts = [
            ending(s).map_or(NONE.to_string(), |x| format::fixed(x, 4)),
            above.map_or(ABSENT.to_string(), |(x, full)| format::signed(x - full, 4)),
            format::fixed(s.seconds, 1),
            format::fixed(s.cosine, 4),
            format::with_error(s.relative_bias, s.relative_bias_error),
            format::number(s.relative_spread),
        ];
        let bar = |(value, text): &Figure| {
            let part = value(s) / span(c.strategies.iter().map(value).filter(|x| x.is_finite())).1;
            html! { span.bar style={ "--w:" (coordinate(100.0 * part.clamp(0.0, 1.0))) "%" } { (text(s)) } }
        };
        (keyed(i, &s.truncation), texts.into_iter().map(|t| html! { (t) }).chain(BARS.iter().map(bar)).collect())
    };
    let rows: Vec<_> = c.strategies.iter().enumerate().map(row).collect();
    let what = "Bars begin at 0. Activations are reckoned, not measured: what the longest window that occurred takes on a stream if all of it were kept, in all \
                lanes. Windows are counted from cut to cut.";
    section("Summary", what, &table("Summary", &[&head[..], &bars].concat(), &rows))
}

/// The first symbols of the text, one line per strategy, with a box from cut to cut.
fn cuts(c: &Comparison) -> Markup {
    let symbols: Vec<char> = c.stretch.chars().take(SHOWN).map(visible).collect();
    let what = "A box reaches from cut to cut: the gradient flows backward within a box and never out of it at the left. A box that is open at the end of a line \
                goes on in the next. The colour of a symbol is the weight of the edge before it: pale where it is 1 or cut, deeper where it is more.";
    let line = |(i, s): (usize, &Strategy)| {
        let cells: Vec<(char, f32)> = symbols.iter().copied().zip(s.cuts.iter().copied()).collect();
        let most = cells.iter().map(|(_, xi)| *xi).filter(|xi| xi.is_finite()).fold(1.0, f32::max);
        html! {
            b { (keyed(i, &s.truncation)) @if most > 1.0 { small { "weights up to " (format::number(most.into())) } } }
            p class={ "s" (i % COLOURS) } {
                @if cells.is_empty() { "Not recorded." }
                @for joined in cells.chunk_by(|_, next| next.1 != 0.0) {
                    span {
                        @for alike in joined.chunk_by(|a, b| a.1 == b.1) {
                            i style={ "--a:" (coordinate(shade(alike[0].1))) } { @for (symbol, _) in alike { (symbol) } }
                        }
                    }
                }
            }
        }
    };
    section("Where each strategy cuts", what, &html! { div.cuts { @for item in c.strategies.iter().enumerate() { (line(item)) } } })
}

/// The opacity of a symbol whose edge has this weight; deepest at a hundredfold weight.
fn shade(xi: f32) -> f64 {
    if xi.is_finite() && xi > 1.0 { (0.12 + 0.24 * f64::from(xi).log10()).min(0.6) } else { 0.12 }
}

/// A symbol, with a visible sign for a blank one.
fn visible(symbol: char) -> char {
    match symbol {
        '\n' => '⏎',
        ' ' => '·',
        '\t' => '→',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// Checks what all pages must hold.
    fn checked(c: &Comparison) -> String {
        let page = html(c);
        fixture::checked(&page);
        page
    }

    #[test]
    fn a_whole_page() {
        let c = fixture::comparison();
        let page = checked(&c);
        for s in &c.strategies {
            assert!(page.contains(&s.truncation));
        }
        for words in ["Where each strategy cuts", "Loss against symbols", "Loss against seconds", "Bias and spread", "Activations", "How to read this"] {
            assert!(page.contains(words), "{words}");
        }
    }

    #[test]
    fn boxes_reach_from_cut_to_cut() {
        let mut c = fixture::comparison();
        c.strategies.truncate(1);
        (c.stretch, c.strategies[0].cuts) = ("a b\nc".to_string(), vec![0.0, 1.0, 100.0, 0.0, 1.0]);
        let page = checked(&c);
        let line = "<p class=\"s0\"><span><i style=\"--a:0.12\">a</i><i style=\"--a:0.12\">·</i><i style=\"--a:0.6\">b</i></span>\
                    <span><i style=\"--a:0.12\">⏎</i><i style=\"--a:0.12\">c</i></span></p>";
        assert!(page.contains(line) && page.contains("weights up to 100"), "{page}");
    }

    #[test]
    fn text_is_never_markup() {
        let mut c = fixture::comparison();
        let evil = "<script>alert(\"1\" & '2')</script>\u{0}\u{1b}\n";
        c.text = evil.to_string();
        c.device = evil.to_string();
        c.stretch = evil.repeat(3);
        c.strategies[1].truncation = evil.to_string();
        c.strategies[1].per_parameter[0].name = evil.to_string();
        c.strategies[0].per_parameter[1].name = evil.to_string();
        let page = checked(&c);
        assert!(page.contains("&lt;script&gt;") && !page.contains('\u{0}') && !page.contains('\u{1b}'));
    }

    #[test]
    fn any_figures_make_a_page() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 1e-300] {
            let mut c = fixture::comparison();
            for s in &mut c.strategies {
                (s.seconds, s.tokens_per_second, s.window_mean, s.val_loss) = (x, x, x, Some(x));
                (s.cosine, s.relative_bias, s.relative_bias_error, s.relative_spread) = (x, x, x, x);
                for p in &mut s.per_parameter {
                    (p.cosine, p.relative_bias, p.relative_bias_error, p.relative_spread) = (x, x, x, x);
                }
                for p in &mut s.curve {
                    (p.seconds, p.train_loss, p.val_loss) = (x, Some(x), Some(x));
                }
                s.cuts = vec![x as f32; 40];
            }
            checked(&c);
        }
    }

    #[test]
    fn little_is_enough() {
        let mut c = fixture::comparison();
        c.strategies.truncate(1);
        checked(&c);
        let s = &mut c.strategies[0];
        (s.val_loss, s.bytes, s.window_max) = (None, 0, 0);
        s.curve.clear();
        s.cuts.clear();
        s.per_parameter.clear();
        checked(&c);
        c.strategies[0].truncation.clear();
        c.stretch.clear();
        c.text.clear();
        checked(&c);
        c.strategies.clear();
        checked(&c);
    }

    #[test]
    fn many_strategies_and_uneven_ones() {
        let mut c = fixture::comparison();
        let more = c.strategies.to_vec();
        for (i, mut s) in more.into_iter().enumerate() {
            s.truncation = format!("regular:{}", 100 + i);
            s.per_parameter.rotate_left(i);
            s.per_parameter.truncate(3);
            s.curve.truncate(i);
            s.cuts.truncate(10 * i);
            c.strategies.push(s);
        }
        c.strategies.iter_mut().for_each(|s| s.curve.iter_mut().for_each(|p| p.val_loss = None));
        checked(&c);
    }
}
