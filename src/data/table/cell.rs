//! What a cell of a column of numbers says.

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    /// Empty, or a word that programs write where there is no number.
    Missing,
    /// What is wrong with it and what to do, without a subject.
    Wrong(&'static str),
}

/// Words that stand for no number.
const NOTHING: [&str; 8] = ["nan", "na", "n/a", "null", "none", "-", ".", "?"];

/// Reads a cell.
pub(super) fn cell(text: &str) -> Cell {
    let text = text.trim();
    if text.is_empty() || NOTHING.iter().any(|n| text.eq_ignore_ascii_case(n)) {
        return Cell::Missing;
    }
    match text.parse::<f64>() {
        Ok(x) if x.is_nan() => Cell::Missing,
        Ok(x) if x.is_infinite() && text.to_ascii_lowercase().contains("inf") => {
            Cell::Wrong("is infinite, which nothing can be learned from; mend or remove it")
        }
        Ok(x) if x.abs() > f64::from(f32::MAX) => Cell::Wrong("is beyond 3.4e38, the largest number of 32 bits; give the column in another unit"),
        Ok(x) => Cell::Number(x),
        Err(_) => Cell::Wrong(not_a_number(text)),
    }
}

fn not_a_number(text: &str) -> &'static str {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let apart = text.chars().filter(|c| "-/:.".contains(*c)).count();
    let others = text.chars().filter(|c| !c.is_ascii_digit() && !"-/:. TZ+".contains(*c)).count();
    if digits >= 3 && apart >= 1 && others == 0 {
        return "is a date or a time, not a number; name the column by --time, or leave it out of --features";
    }
    if digits > 0 && text.chars().all(|c| c.is_ascii_digit() || "+-,. eE".contains(c)) {
        return "is not a number as programs write it; write 1234.5, with a point and nothing between thousands";
    }
    "is text, not a number; leave the column out by naming those to read with --features, or name it by --series or --time"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_they_say() {
        for (text, x) in [("1", 1.0), (" -2.5e3 ", -2500.0), ("+0.1", 0.1), (".5", 0.5), ("1e-320", 1e-320), ("3.4e38", 3.4e38)] {
            assert_eq!(cell(text), Cell::Number(x), "{text}");
        }
        for text in ["", "  ", "NaN", "nan", "NA", "null", "-", "-nan"] {
            assert_eq!(cell(text), Cell::Missing, "{text}");
        }
        let cases = [
            ("inf", "infinite"),
            ("-Infinity", "infinite"),
            ("3.5e38", "beyond"),
            ("1e999", "beyond"),
            ("2020-01-31", "date"),
            ("2020-01-31T00:00:00Z", "date"),
            ("31.01.2020", "date"),
            ("12:30", "time"),
            ("1,5", "point"),
            ("1.234,5", "point"),
            ("north", "text"),
            ("12 kg", "text"),
        ];
        for (text, word) in cases {
            assert!(matches!(cell(text), Cell::Wrong(w) if w.contains(word)), "{text}: {:?}", cell(text));
        }
    }
}
