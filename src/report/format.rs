//! Numbers and lists as a reader wants them. All of it is plain text: whoever puts it into a page escapes it.

use crate::phrase::noun;

/// What stands where there is no finite number.
pub(super) const NONE: &str = "not finite";

/// A number with three significant digits.
pub(super) fn number(x: f64) -> String {
    significant(x, 3)
}

/// A value and its standard error, which decides how many decimals are worth writing.
pub(super) fn with_error(x: f64, error: f64) -> String {
    if !x.is_finite() || !error.is_finite() || !(1e-4..1e5).contains(&error) || x.abs() >= 1e6 {
        return format!("{} ± {}", number(x), significant(error, 2));
    }
    let decimals = (1.0 - error.log10().floor()).max(0.0) as usize;
    format!("{} ± {}", fixed(x, decimals), fixed(error, decimals))
}

fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return NONE.to_string();
    }
    if x == 0.0 {
        return "0".to_string();
    }
    // The exponent after rounding: 9.999 has one digit more than it seems.
    let text = format!("{:.*e}", digits - 1, x);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match exponent {
        -3..0 => minus(&format!("{:.*}", digits - 1 + exponent.unsigned_abs() as usize, x)),
        0..6 => minus(&grouped(&format!("{:.*}", (digits - 1).saturating_sub(exponent as usize), x))),
        _ => format!("{}·10{}", minus(mantissa), superscript(exponent)),
    }
}

/// A typographic minus, as wide as a plus.
fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

fn superscript(n: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        _ => '⁹',
    };
    n.to_string().chars().map(digit).collect()
}

/// A fixed number of decimals.
pub(super) fn fixed(x: f64, decimals: usize) -> String {
    if x.is_finite() { minus(&grouped(&format!("{x:.decimals$}"))) } else { NONE.to_string() }
}

/// With its sign, also where it is positive.
pub(super) fn signed(x: f64, decimals: usize) -> String {
    let text = fixed(x, decimals);
    // A difference that rounds to nothing has no sign worth showing.
    let nothing = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
    match x.is_finite() {
        true if nothing => text.replace('\u{2212}', ""),
        true if x > 0.0 => format!("+{text}"),
        _ => text,
    }
}

/// A whole number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// As [`count`], rounded.
pub(super) fn rounded(x: f64) -> String {
    if x.abs() < 100.0 { number(x) } else { fixed(x, 0) }
}

fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut out = sign.to_string();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out + rest
}

/// A number as short as an axis wants it: `20k`, `1.5M`.
pub(super) fn short(x: f64) -> String {
    let (scale, unit) = match x.abs() {
        a if a >= 1e12 || !a.is_finite() => return number(x),
        a if a >= 1e9 => (1e9, "G"),
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        a if a > 0.0 && a < 1e-3 => {
            let text = significant(x, 1);
            return text.strip_prefix("1·").map_or(text.clone(), str::to_string);
        }
        _ => (1.0, ""),
    };
    let text = format!("{:.4}", x / scale);
    minus(text.trim_end_matches('0').trim_end_matches('.')) + unit
}

/// A power of ten as it is written on an axis.
pub(super) fn power(exponent: i32) -> String {
    match exponent {
        0 => "1".to_string(),
        1 => "10".to_string(),
        n => format!("10{}", superscript(n)),
    }
}

/// Bytes in binary units.
pub(super) fn bytes(n: u64) -> String {
    let mut x = n as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if x < 1023.95 {
            return if unit == "bytes" { format!("{n} bytes") } else { format!("{} {unit}", number(x)) };
        }
        x /= 1024.0;
    }
    format!("{} TiB", number(x))
}

/// Words in a row: `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 box`, `2 boxes`.
pub(super) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), noun(n, one, many))
}

/// At most so many characters, an ellipsis in the middle if some are left out: names that begin alike mostly end differently.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_string();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (&all[..kept.div_ceil(2)], &all[all.len() - kept / 2..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// The name of a file without the folders that it lies in; another name as it is.
pub(super) fn file_name(name: &str) -> &str {
    let path = std::path::Path::new(name);
    if path.is_absolute() || path.exists() { path.file_name().and_then(|n| n.to_str()).unwrap_or(name) } else { name }
}

/// At most so many characters, the last an ellipsis if some are left out.
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
            (1.5e-7, "1.50·10⁻⁷"),
            (2e9, "2.00·10⁹"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ];
        for (x, want) in cases {
            assert_eq!(number(x), want);
        }
    }

    #[test]
    fn the_error_decides_the_decimals() {
        let cases = [
            (0.03142, 0.0213, "0.031 ± 0.021"),
            (12.0, 0.5, "12.00 ± 0.50"),
            (1234.0, 150.0, "1,234 ± 150"),
            (1e-7, 3e-8, "1.00·10⁻⁷ ± 3.0·10⁻⁸"),
            (f64::NAN, 1.0, "not finite ± 1.0"),
        ];
        for (x, error, want) in cases {
            assert_eq!(with_error(x, error), want);
        }
    }

    #[test]
    fn units_and_signs() {
        assert_eq!([short(1e-5), short(2e-5)], ["10⁻⁵", "2·10⁻⁵"]);
        assert_eq!([short(0.0), short(0.25), short(9000.0), short(20_000.0), short(1.5e6)], ["0", "0.25", "9000", "20k", "1.5M"]);
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(1 << 20), bytes(u64::MAX)], ["0 bytes", "1023 bytes", "1.00 KiB", "1.00 MiB", "1.68·10⁷ TiB"]);
        assert_eq!([signed(0.118, 3), signed(-0.118, 3), signed(-0.0001, 3), signed(f64::NAN, 3)], ["+0.118", "−0.118", "0.000", NONE]);
        assert_eq!([count(7), count(1000), count(1_234_567)], ["7", "1,000", "1,234,567"]);
        assert_eq!([clipped("random", 6), clipped("random:1", 6)], ["random", "rando…"]);
        assert_eq!(
            [shortened("random", 6), shortened("mails-seed-1, train", 10), shortened("mails-seed-2, train", 10)],
            ["random", "mails…rain", "mails…rain"]
        );
        assert_eq!([shortened("book-hidden-256-lr-1", 12), shortened("book-hidden-256-lr-2", 12)], ["book-h…-lr-1", "book-h…-lr-2"]);
        assert_eq!([file_name("/a/b/book.txt"), file_name("Cicero, De finibus (embedded)")], ["book.txt", "Cicero, De finibus (embedded)"]);
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
