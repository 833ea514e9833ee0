//! The page of a comparison of truncation strategies.

use super::page::{self, cell};
use super::strategies::{above_full, ending, named};
use super::svg::escape;
use super::{captions, cost, curves, format, gradients, truncation_chart};
use crate::analysis::comparison::{Comparison, Strategy};

/// One self-contained page: what was compared, pictures, and sentences that say no more than the numbers do.
pub fn html(c: &Comparison) -> String {
    let parts = [
        page::paragraph("text", &introduction(c)),
        summary(c),
        truncation_chart::section(c),
        curves::sections(c),
        gradients::section(c),
        cost::section(c),
        captions::section(),
    ];
    page::document(&format!("Truncation strategies compared on {}", format::file_name(&c.text)), &parts.concat())
}

fn introduction(c: &Comparison) -> String {
    let spans = |f: fn(&Strategy) -> u64| match (c.strategies.iter().map(f).min(), c.strategies.iter().map(f).max()) {
        (Some(lo), Some(hi)) if lo < hi => format!("{} to {}", format::count(lo), format::count(hi)),
        (Some(n), _) => format::count(n),
        _ => "no".to_string(),
    };
    let model = format!(
        "{} of {} with {}",
        format::plural(c.layers.into(), "recurrent layer", "recurrent layers"),
        format::plural(c.hidden.into(), "unit", "units"),
        format::plural(c.parameters, "parameter", "parameters"),
    );
    let batch = format!("batch {}, sequences of {}, seed {}", format::count(c.batch.into()), format::plural(c.length.into(), "symbol", "symbols"), c.seed);
    let many = format::plural(c.strategies.len() as u64, "strategy of truncation", "strategies of truncation");
    format!(
        "Text: {}. Model: {model}; {batch}. {many} trained it from that seed, on {} symbols in {} updates each ({}). Device: {}. \
         Each strategy was trained once, so what another seed would change is not seen here.",
        c.text,
        spans(|s| s.tokens),
        spans(|s| s.updates),
        c.training,
        c.device
    )
}

fn summary(c: &Comparison) -> String {
    let head = [
        "Truncation",
        "Val.\u{a0}loss, nats",
        "Above full",
        "Symbols per s",
        "Seconds",
        "Cosine",
        "Relative bias",
        "Relative spread",
        "Mean window",
        "Longest window",
        "Activations",
    ]
    .map(escape);
    let rows: Vec<(String, Vec<String>)> = c.strategies.iter().enumerate().map(|(i, s)| (named(i, s), row(c, s))).collect();
    let table = page::table(&head, &rows);
    page::section("Summary", "", &page::figure("Summary", &table, &summary_sentences(c)))
}

fn row(c: &Comparison, s: &Strategy) -> Vec<String> {
    let above = match above_full(c, s) {
        _ if s.truncation == "full" => "—".to_string(),
        Some(x) => format::signed(x, 4),
        None => "—".to_string(),
    };
    let texts = [
        ending(s).map_or(format::NONE.to_string(), |x| format::fixed(x, 4)),
        above,
        format::rounded(s.tokens_per_second),
        format::fixed(s.seconds, 1),
        format::fixed(s.cosine, 4),
        gradients::with_error(s.relative_bias, s.relative_bias_error),
        format::number(s.relative_spread),
        format::rounded(s.window_mean),
        format::count(s.window_max.into()),
        format::bytes(s.bytes),
    ];
    texts.iter().map(|t| cell(t)).collect()
}

fn summary_sentences(c: &Comparison) -> Vec<String> {
    let mut ranked: Vec<(&Strategy, f64)> = c.strategies.iter().filter_map(|s| Some((s, ending(s)?))).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut out = Vec::new();
    if let [best, .., worst] = ranked[..]
        && best.1 < worst.1
    {
        let order = format!("{} ends with the lowest validation loss, {} nats", best.0.truncation, format::fixed(best.1, 3));
        out.push(format!(
            "{order}; {} with the highest, {}, which is {} more.",
            worst.0.truncation,
            format::fixed(worst.1, 3),
            format::number(worst.1 - best.1)
        ));
    } else if let [_, .., last] = ranked[..] {
        out.push(format!("All that have a finite validation loss end at {} nats.", format::fixed(last.1, 3)));
    } else if let [only] = ranked[..] {
        out.push(format!("{} ends at {} nats; there is no other validation loss to hold against it.", only.0.truncation, format::fixed(only.1, 3)));
    }
    let lost: Vec<String> = c.strategies.iter().filter(|s| ending(s).is_none()).map(|s| s.truncation.clone()).collect();
    if !lost.is_empty() {
        out.push(format!("No finite validation loss at the end: {}.", format::list(&lost)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// All pages must hold this.
    fn checked(c: &Comparison) -> String {
        let page = html(c);
        fixture::well_formed(&page);
        for part in page.split('"').skip(1).step_by(2) {
            assert!(!part.contains("NaN") && !part.split([' ', ',']).any(|n| n.trim_start_matches('-') == "inf"), "{part}");
        }
        assert!(!page.contains("NaN") && !page.contains("http-equiv") && !page.contains("<script") && !page.contains("src="));
        assert_eq!(page.matches("<svg role").count(), page.matches("<desc").count());
        page
    }

    #[test]
    fn a_whole_page() {
        let c = fixture::comparison();
        let page = checked(&c);
        for s in &c.strategies {
            assert!(page.contains(&s.truncation));
        }
        for words in ["Where each strategy cuts", "Loss against symbols", "Loss against seconds", "Bias and spread", "Cost", "How to read this"] {
            assert!(page.contains(words), "{words}");
        }
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
