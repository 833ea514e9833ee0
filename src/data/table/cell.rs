//! Reads the cells of numeric columns, and detects how a table writes numbers.

use crate::error::{Error, Result, quoted};

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    /// Empty, or a word for a missing value.
    Missing,
    Wrong(Wrong),
}

/// Why a cell is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Infinite,
    Large,
    Time,
    Grouped,
    Text,
}

/// Words for missing values, and the error values of spreadsheets.
const NOTHING: [&str; 31] = [
    "nan", "na", "n/a", "nat", "null", "none", "nil", "missing", "n.a.", "<na>", "\\n", "-", "--", "---", "–", "—", "−", ".", "..", "?", "*", "#n/a", "#na",
    "#n/a n/a", "#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!", "-nan",
];

/// Whether a cell means a missing value.
pub(super) fn missing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || NOTHING.iter().any(|n| text.eq_ignore_ascii_case(n))
}

/// How a table writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Decimal mark, a point or a comma. The other one, spaces and apostrophes may separate thousands.
    pub decimal: char,
}

impl Style {
    /// Reads a cell.
    pub(super) fn cell(self, text: &str) -> Cell {
        let text = text.trim();
        if missing(text) {
            return Cell::Missing;
        }
        match text.to_ascii_lowercase().as_str() {
            "true" => return Cell::Number(1.0),
            "false" => return Cell::Number(0.0),
            _ => {}
        }
        let core = Core::of(text);
        let plain = core.digits.parse::<f64>();
        let x = match plain {
            Ok(x) if self.decimal == '.' || !core.digits.contains('.') => x,
            _ => match self.grouped(core.digits) {
                Some(x) => x,
                None => return Cell::Wrong(plain.map_or_else(|_| not_a_number(text), |_| Wrong::Grouped)),
            },
        };
        let x = if core.negative { -x } else { x };
        if x.is_nan() {
            Cell::Missing
        } else if x.is_infinite() && text.to_ascii_lowercase().contains("inf") {
            Cell::Wrong(Wrong::Infinite)
        } else if x.abs() > f64::from(f32::MAX) {
            Cell::Wrong(Wrong::Large)
        } else {
            Cell::Number(x)
        }
    }

    /// Parses a number with thousands separators or a decimal comma.
    fn grouped(self, digits: &str) -> Option<f64> {
        let (number, exponent) = match digits.find(['e', 'E']) {
            Some(at) => digits.split_at(at),
            None => (digits, ""),
        };
        let (whole, fraction) = number.split_once(self.decimal).map_or((number, None), |(w, f)| (w, Some(f)));
        let whole = without_groups(whole, if self.decimal == '.' { ',' } else { '.' })?;
        let fraction = fraction.map_or(String::new(), |f| format!(".{f}"));
        if !fraction.chars().skip(1).all(|c| c.is_ascii_digit()) {
            return None;
        }
        format!("{whole}{fraction}{exponent}").parse().ok()
    }
}

/// Removes thousands separators, which must all be the same character.
fn without_groups(text: &str, other: char) -> Option<String> {
    let Some(between) = text.chars().find(|c| !c.is_ascii_digit()) else { return Some(text.to_string()) };
    if between != other && !APART.contains(&between) {
        return None;
    }
    let mut groups = text.split(between);
    let first = groups.next()?;
    let digits = |g: &str| g.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=3).contains(&first.len()) && digits(first) && groups.clone().all(|g| g.len() == 3 && digits(g));
    fits.then(|| text.split(between).collect())
}

/// Characters that only separate thousands: non-breaking and thin spaces, apostrophes, underscores.
const APART: [char; 7] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '’', '_'];

/// A cell split into sign, digits and unit.
struct Core<'a> {
    negative: bool,
    digits: &'a str,
    unit: Option<char>,
}

impl<'a> Core<'a> {
    fn of(text: &'a str) -> Self {
        let mut core = Core { negative: false, digits: text, unit: None };
        if let Some(inner) =
            core.digits.strip_prefix('(').and_then(|t| t.strip_suffix(')')).filter(|t| t.starts_with(|c: char| c.is_ascii_digit() || is_unit(c)))
        {
            // Accounting notation.
            (core.negative, core.digits) = (true, inner.trim());
        }
        for _ in 0..2 {
            // The sign may precede or follow a unit. A plain sign belongs to the number.
            if let Some(rest) = core.digits.strip_prefix('\u{2212}').or(core.digits.strip_prefix('-')).filter(|r| !r.starts_with(['-', '+', '\u{2212}'])) {
                (core.negative, core.digits) = (!core.negative, rest.trim_start());
            } else if let Some(rest) = core.digits.strip_prefix('+').filter(|r| r.starts_with(|c: char| is_unit(c) || c.is_ascii_digit())) {
                core.digits = rest;
            }
            if let Some(c) = core.digits.chars().next().filter(|c| is_unit(*c)) {
                (core.unit, core.digits) = (Some(c), core.digits[c.len_utf8()..].trim_start());
            }
        }
        if let Some(c) = core.digits.chars().next_back().filter(|c| is_unit(*c) && core.unit.is_none()) {
            (core.unit, core.digits) = (Some(c), core.digits[..core.digits.len() - c.len_utf8()].trim_end());
        }
        core
    }
}

/// Percent signs and currencies.
fn is_unit(c: char) -> bool {
    matches!(c, '%' | '‰' | '$' | '¢' | '£' | '¤' | '¥' | '\u{20a0}'..='\u{20cf}')
}

fn not_a_number(text: &str) -> Wrong {
    let count = |which: &str| text.chars().filter(|c| which.contains(*c)).count();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let others = text.chars().filter(|c| !c.is_ascii_digit() && !"-/:. TZ+".contains(*c)).count();
    // A leading minus is not part of a date. Points between three numbers are; between more or other ones they separate thousands.
    let inside = text.trim_start_matches(['-', '+']);
    let groups: Vec<&str> = inside.split(['.', ' ']).collect();
    let thousands = groups.len() > 1 && groups[1..].iter().all(|g| g.len() == 3) && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_digit()));
    if !thousands && digits >= 3 && others == 0 && (inside.contains(['-', '/', ':']) || count(".") == 2) {
        return Wrong::Time;
    }
    if digits > 0 && text.chars().all(|c| c.is_ascii_digit() || "+-,.eE".contains(c) || APART.contains(&c)) {
        return Wrong::Grouped;
    }
    Wrong::Text
}

/// A cell and its line.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    line: u64,
    text: String,
}

/// Traits of the cells of one column.
#[derive(Debug, Clone, Default)]
struct Kind {
    /// The first cell with a unit, and the unit; the first cell without one.
    unit: Option<(char, Seen)>,
    bare: Option<Seen>,
    /// The first TRUE or FALSE, and the first number that is neither 0 nor 1.
    boolean: Option<Seen>,
    number: Option<Seen>,
    /// The first whole number without thousands separators; and the first with exactly three digits after a point, which may separate thousands.
    whole: Option<Seen>,
    threes: Option<Seen>,
}

/// Examines all cells of the numeric columns before any is read, so that equal cells mean the same throughout the table.
pub(super) struct Survey {
    columns: Vec<(String, Kind)>,
    /// The first cell with a certain decimal point; with a certain decimal comma; with a comma that may be either.
    point: Option<Seen>,
    comma: Option<Seen>,
    either: Option<Seen>,
}

impl Survey {
    pub(super) fn new(names: &[String]) -> Self {
        Survey { columns: names.iter().map(|n| (n.clone(), Kind::default())).collect(), point: None, comma: None, either: None }
    }

    /// Examines a cell of a column.
    pub(super) fn look(&mut self, column: usize, line: u64, text: &str) {
        let text = text.trim();
        if missing(text) {
            return;
        }
        let seen = || Some(Seen { line, text: text.to_string() });
        let kind = &mut self.columns[column].1;
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            kind.boolean = kind.boolean.take().or_else(seen);
            return;
        }
        let core = Core::of(text);
        if !core.digits.starts_with(|c: char| c.is_ascii_digit() || ".,".contains(c)) {
            return;
        }
        match core.unit {
            Some(c) if kind.unit.is_none() => kind.unit = seen().map(|s| (c, s)),
            // Some cells may omit the currency, but units must not differ.
            Some(c) if kind.bare.is_none() && kind.unit.as_ref().is_some_and(|u| u.0 != c) => kind.bare = seen(),
            Some(_) => {}
            None if kind.bare.is_none() && core.digits != "0" => kind.bare = seen(),
            None => {}
        }
        if kind.number.is_none() && core.digits != "0" && core.digits != "1" {
            kind.number = seen();
        }
        match fraction_of(core.digits) {
            Some(Sure::Point) => self.point = self.point.take().or_else(seen),
            Some(Sure::Comma) => self.comma = self.comma.take().or_else(seen),
            Some(Sure::Neither(c)) => {
                if c == ',' {
                    self.either = self.either.take().or_else(seen);
                } else if kind.threes.is_none() {
                    kind.threes = seen();
                }
            }
            None if kind.whole.is_none() => kind.whole = seen(),
            None => {}
        }
    }

    /// The style of the table's numbers. `given` is the decimal mark chosen by the user, `usual` the one to use if nothing tells.
    ///
    /// # Errors
    /// [`Error::Input`] with two lines, if their cells contradict each other.
    pub(super) fn style(&self, file: &str, delimiter: char, given: Option<char>, usual: Option<char>) -> Result<(Style, Vec<String>)> {
        let mut notes = Vec::new();
        for (name, kind) in &self.columns {
            self.check(file, name, kind)?;
            if let Some((c, seen)) = &kind.unit {
                notes.push(format!("column {}: the unit {c} is left out, {} in line {} is read as its number", quoted(name), quoted(&seen.text), seen.line));
            }
            if kind.boolean.is_some() {
                notes.push(format!("column {}: TRUE and FALSE are read as 1 and 0", quoted(name)));
            }
        }
        if let Some(decimal) = given {
            return Ok((Style { decimal }, notes));
        }
        let wrong = |what: String| Err(Error::Input(format!("{file}: {what}")));
        let say = "say which by `decimal` . or `decimal` ,";
        match (&self.point, &self.comma) {
            (Some(a), Some(b)) => wrong(format!(
                "line {} has {}, with a point before the fraction, and line {} has {}, with a comma there or points between thousands; write all numbers alike",
                a.line,
                quoted(&a.text),
                b.line,
                quoted(&b.text)
            )),
            (None, Some(seen)) => {
                notes.push(format!("numbers are written with a comma before the fraction, such as {} in line {}", quoted(&seen.text), seen.line));
                Ok((Style { decimal: ',' }, notes))
            }
            (Some(_), None) => Ok((Style { decimal: '.' }, notes)),
            (None, None) => {
                if let Some(decimal) = usual {
                    return Ok((Style { decimal }, notes));
                }
                if let Some(seen) = &self.either {
                    return wrong(format!(
                        "line {} has {}, whose comma may stand before a fraction or between thousands, and no other number tells; {say}",
                        seen.line,
                        quoted(&seen.text)
                    ));
                }
                // If cells are not separated by commas, a comma may be the decimal mark, and points may separate thousands.
                let doubtful = |kind: &&(String, Kind)| delimiter != ',' && kind.1.threes.is_some() && kind.1.whole.is_some();
                if let Some((Some(a), Some(b))) = self.columns.iter().find(doubtful).map(|(_, k)| (&k.threes, &k.whole)) {
                    return wrong(format!(
                        "line {} has {} and line {} has {}, so that the point may stand before a fraction or between thousands; {say}",
                        a.line,
                        quoted(&a.text),
                        b.line,
                        quoted(&b.text)
                    ));
                }
                Ok((Style { decimal: '.' }, notes))
            }
        }
    }

    /// The cells of a column have one unit or none; a boolean column has no other numbers.
    fn check(&self, file: &str, name: &str, kind: &Kind) -> Result<()> {
        let wrong = |a: &Seen, b: &Seen, what: &str| {
            Err(Error::Input(format!(
                "{file} line {}, column {}: {}, but {} in line {}: {what}; write all cells of the column alike",
                a.line,
                quoted(name),
                quoted(&a.text),
                quoted(&b.text),
                b.line
            )))
        };
        if let (Some((c, a)), Some(b)) = (&kind.unit, &kind.bare) {
            let other = Core::of(&b.text).unit;
            if other.is_some() || *c == '%' || *c == '‰' {
                return wrong(b, a, "their units differ");
            }
        }
        match (&kind.boolean, &kind.number) {
            (Some(a), Some(b)) => wrong(a, b, "a truth among numbers"),
            _ => Ok(()),
        }
    }
}

/// What a cell reveals about the decimal mark.
enum Sure {
    Point,
    Comma,
    /// It has one point or comma, which may also separate thousands.
    Neither(char),
}

fn fraction_of(digits: &str) -> Option<Sure> {
    let marks = |c: char| digits.matches(c).count();
    let (points, commas) = (marks('.'), marks(','));
    let last = digits.rfind(['.', ','])?;
    let c = if digits[last..].starts_with('.') { '.' } else { ',' };
    let sure = |c: char| Some(if c == '.' { Sure::Point } else { Sure::Comma });
    let other = if c == '.' { ',' } else { '.' };
    if points + commas > 1 {
        // Twice the same: thousands separators. Both: the last one is the decimal mark. Otherwise not a number.
        return match (points, commas) {
            _ if digits.split(['.', ',']).any(str::is_empty) => None,
            (0, _) | (_, 0) if digits.split(c).skip(1).all(|g| g.len() == 3) => sure(other),
            (1, _) if c == '.' => sure(c),
            (_, 1) if c == ',' => sure(c),
            _ => None,
        };
    }
    let (before, after) = (&digits[..last], &digits[last + 1..]);
    let three = after.len() == 3 && after.bytes().all(|b| b.is_ascii_digit());
    if three && (1..=3).contains(&before.len()) && !before.starts_with('0') && before.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Sure::Neither(c));
    }
    sure(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: Style = Style { decimal: '.' };
    const COMMA: Style = Style { decimal: ',' };

    #[test]
    fn cells_are_what_they_say() {
        for (text, x) in [("1", 1.0), (" -2.5e3 ", -2500.0), ("+0.1", 0.1), (".5", 0.5), ("1e-320", 1e-320), ("3.4e38", 3.4e38), ("TRUE", 1.0), ("false", 0.0)]
        {
            assert_eq!(POINT.cell(text), Cell::Number(x), "{text}");
        }
        for text in ["", "  ", "NaN", "nan", "NA", "null", "-", "-nan", "#N/A", "NaT", "--", "#DIV/0!", "—", "<NA>", "\\N"] {
            assert_eq!(POINT.cell(text), Cell::Missing, "{text}");
        }
        let cases = [
            ("inf", Wrong::Infinite),
            ("-Infinity", Wrong::Infinite),
            ("3.5e38", Wrong::Large),
            ("1e999", Wrong::Large),
            ("2020-01-31", Wrong::Time),
            ("2020-01-31T00:00:00Z", Wrong::Time),
            ("31.01.2020", Wrong::Time),
            ("12:30", Wrong::Time),
            ("1,5", Wrong::Grouped),
            ("1.234,5", Wrong::Grouped),
            ("12 34", Wrong::Grouped),
            ("12.345.678", Wrong::Grouped),
            ("--5", Wrong::Grouped),
            ("north", Wrong::Text),
            ("12 kg", Wrong::Text),
        ];
        for (text, why) in cases {
            assert_eq!(POINT.cell(text), Cell::Wrong(why), "{text}");
        }
    }

    #[test]
    fn signs_units_and_thousands_are_read() {
        for (text, x) in [
            ("\u{2212}5.5", -5.5),
            ("\u{2212}$5", -5.0),
            ("$-5", -5.0),
            ("12.5%", 12.5),
            ("12.5 %", 12.5),
            ("$1,234.50", 1234.5),
            ("€ 7", 7.0),
            ("7 €", 7.0),
            ("($1,234)", -1234.0),
            ("1,234,567", 1_234_567.0),
            ("1 234.5", 1234.5),
            ("1\u{202f}234\u{202f}567", 1_234_567.0),
            ("1'234.5e2", 123_450.0),
        ] {
            assert_eq!(POINT.cell(text), Cell::Number(x), "{text}");
        }
        for (text, x) in [("1,5", 1.5), ("-0,25", -0.25), ("1.234,5", 1234.5), ("1.234", 1234.0), ("12.345.678", 12_345_678.0), ("5", 5.0), ("1,5e3", 1500.0)] {
            assert_eq!(COMMA.cell(text), Cell::Number(x), "{text}");
        }
        for text in ["1.5", "12.34,5", "1,5,5", "1.2345"] {
            assert_eq!(COMMA.cell(text), Cell::Wrong(Wrong::Grouped), "{text}");
        }
    }

    fn style(cells: &[&str], delimiter: char) -> std::result::Result<char, String> {
        let mut survey = Survey::new(&["y".to_string()]);
        (1..).zip(cells).for_each(|(line, text)| survey.look(0, line, text));
        survey.style("f", delimiter, None, None).map(|s| s.0.decimal).map_err(|e| e.to_string())
    }

    #[test]
    fn the_whole_table_says_what_a_comma_is() {
        for (cells, delimiter, c) in [
            (&["1.5", "2"][..], ',', '.'),
            (&["1,5", "2"], ';', ','),
            (&["1.234", "12,5"], ';', ','),
            (&["1,234", "1,234.5"], ',', '.'),
            (&["1,234", "1,234,567"], ',', '.'),
            (&["1,234", "0,234"], ';', ','),
            (&["1.234", "5.678"], ';', '.'),
            (&["980", "1.020"], ',', '.'),
            (&["980", "1.02", "1.034"], ';', '.'),
            (&["1 234", "2"], ';', '.'),
            (&["0%", "0", "5%"], ',', '.'),
            (&["$5", "7"], ',', '.'),
            (&["TRUE", "0"], ',', '.'),
        ] {
            assert_eq!(style(cells, delimiter), Ok(c), "{cells:?}");
        }
        for (cells, delimiter, words) in [
            (&["1,234", "950"][..], ',', "`decimal`"),
            (&["980", "1.020"], ';', "`decimal`"),
            (&["48.93", "12.345.678"], ',', "write all numbers alike"),
            (&["5%", "0.5"], ',', "units differ"),
            (&["$5", "€5"], ',', "units differ"),
            (&["TRUE", "5"], ',', "truth among numbers"),
        ] {
            let found = style(cells, delimiter);
            assert!(found.as_ref().is_err_and(|e| e.contains(words)), "{cells:?}: {found:?}");
        }
    }
}
