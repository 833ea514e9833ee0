//! Numbers and lists for readers, as plain text.

use crate::model::{Activation, Cell};
use crate::phrase::noun;
use crate::plan::Bytes;

/// Shown for a number that is not finite.
pub(super) const NONE: &str = "not finite";

/// Shown for a missing figure.
pub(super) const ABSENT: &str = "—";

/// A number with three significant digits.
pub(super) fn number(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_string();
    }
    // The exponent after rounding: 9.999 has one more digit than it seems.
    let text = format!("{x:.2e}");
    let exponent: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    match exponent {
        _ if x == 0.0 => "0".to_string(),
        -3..6 => fixed(x, (2 - exponent).max(0) as usize),
        _ => minus(&text),
    }
}

/// A value and its standard error.
pub(super) fn with_error(x: f64, error: f64) -> String {
    if error == 0.0 { number(x) } else { format!("{} ± {}", number(x), number(error)) }
}

/// A typographic minus, as wide as a plus.
fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

/// A fixed number of decimals.
pub(super) fn fixed(x: f64, decimals: usize) -> String {
    if x.is_finite() { minus(&grouped(&format!("{x:.decimals$}"))) } else { NONE.to_string() }
}

/// As [`fixed`], with a plus if positive.
pub(super) fn signed(x: f64, decimals: usize) -> String {
    let text = fixed(x, decimals);
    // A difference that rounds to zero has no sign worth showing.
    let nothing = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
    match x.is_finite() {
        true if nothing => text.replace('\u{2212}', ""),
        true if x > 0.0 => format!("+{text}"),
        _ => text,
    }
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", fixed(100.0 * share, 1))
}

/// A whole number with its thousands grouped.
pub(super) fn count(n: impl Into<u64>) -> String {
    grouped(&n.into().to_string())
}

/// As [`count`], rounded.
pub(super) fn rounded(x: f64) -> String {
    if x.abs() < 100.0 { number(x) } else { fixed(x, 0) }
}

fn grouped(text: &str) -> String {
    let whole = text.find('.').unwrap_or(text.len());
    let mut out = String::new();
    for (i, c) in text.char_indices() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) && out != "-" {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A short number for an axis: `20k`, `1.5M`, `1e-5`.
pub(super) fn short(x: f64) -> String {
    let (scale, unit) = match x.abs() {
        a if !a.is_finite() => return NONE.to_string(),
        a if a > 0.0 && !(1e-3..1e12).contains(&a) => return minus(&format!("{x:.0e}")),
        a if a >= 1e9 => (1e9, "G"),
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let text = format!("{:.4}", x / scale);
    minus(text.trim_end_matches('0').trim_end_matches('.')) + unit
}

/// Bytes in binary units.
pub(super) fn bytes(n: u64) -> String {
    Bytes(n).to_string()
}

/// `1 box`, `2 boxes`.
pub(super) fn plural(n: impl Into<u64>, one: &str, many: &str) -> String {
    let n = n.into();
    format!("{} {}", count(n), noun(n, one, many))
}

/// The layers of a model, such as `LSTM, 2 layers, 256 units`.
pub(super) fn layers(cell: Cell, layers: u32, hidden: u32) -> String {
    format!("{}, {}, {}", cell.spec().torch, plural(layers, "layer", "layers"), plural(hidden, "unit", "units"))
}

/// The activation after that, where it tells one model from another.
pub(super) fn phi(cell: Cell, activation: Activation) -> String {
    if cell.spec().curves.is_empty() { format!(" ({activation})") } else { String::new() }
}

/// What saturates, one of them and several.
pub(super) fn saturated(cell: Cell) -> [&'static str; 2] {
    if cell.spec().curves.is_empty() { ["unit", "units"] } else { ["gate", "gates"] }
}

/// The name of a file without its folders; other names unchanged.
pub(super) fn file_name(name: &str) -> &str {
    let path = std::path::Path::new(name);
    if path.is_absolute() || path.exists() { path.file_name().and_then(|n| n.to_str()).unwrap_or(name) } else { name }
}

/// At most `most` characters, the last one an ellipsis if some are cut.
pub(super) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.00"),
            (0.12345, "0.123"),
            (0.0012, "0.00120"),
            (9.999, "10.0"),
            (-0.5, "−0.500"),
            (1234.5, "1,234"),
            (123456.0, "123,456"),
            (-123456.0, "−123,456"),
            (1.5e-7, "1.50e−7"),
            (2e9, "2.00e9"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ];
        for (x, want) in cases {
            assert_eq!(number(x), want);
        }
        assert_eq!([with_error(0.5, 0.0), with_error(0.5, 0.02), with_error(f64::NAN, 1.0)], ["0.500", "0.500 ± 0.0200", "not finite ± 1.00"]);
    }

    #[test]
    fn units_and_signs() {
        assert_eq!([short(1e-5), short(2e-5), short(0.0), short(0.25), short(9000.0)], ["1e−5", "2e−5", "0", "0.25", "9000"]);
        assert_eq!([short(20_000.0), short(1.5e6), short(1e12), short(f64::NAN)], ["20k", "1.5M", "1e12", NONE]);
        assert_eq!([signed(0.118, 3), signed(-0.118, 3), signed(-0.0001, 3), signed(f64::NAN, 3)], ["+0.118", "−0.118", "0.000", NONE]);
        assert_eq!([count(7_u64), count(1000_u64), count(1_234_567_u64), percent(0.1234)], ["7", "1,000", "1,234,567", "12.3%"]);
        assert_eq!([clipped("random", 6), clipped("random:1", 6)], ["random", "rando…"]);
        assert_eq!([file_name("/a/b/book.txt"), file_name("Cicero, De finibus (embedded)")], ["book.txt", "Cicero, De finibus (embedded)"]);
    }
}
