//! Splits a file into records of cells: finds the delimiter, and whether double quotes enclose cells.

use super::cells;
use crate::error::{Error, Result};
use std::ops::Range;

/// Possible delimiters, by preference.
const DELIMITERS: [(u8, &str, &str); 4] = [(b'\t', "tabs", "a tab"), (b',', "commas", "a comma"), (b';', "semicolons", "a semicolon"), (b'|', "bars", "a '|'")];
/// Records read to find the delimiter.
const SAMPLED: usize = 200;
/// Notes on multi-line cells, at most; further ones are counted.
const NOTED: usize = 3;

/// One line of the file, or several if a quoted cell spans them.
pub(super) struct Record {
    /// Its first and last line, from 1.
    pub lines: [u64; 2],
    pub cells: Vec<String>,
}

/// The records of a file, all with the same number of cells.
pub(super) struct Records {
    pub list: Vec<Record>,
    /// Name of the delimiter.
    pub between: &'static str,
    /// Notes about the file that its owner may not expect.
    pub notes: Vec<String>,
}

impl Records {
    /// Splits a file. Chooses the delimiter that splits most records into the same number
    /// of cells, 2 or more; one for which line 1 has all cells `named` comes first.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, for an unclosed quote or a record with another number of cells.
    pub(super) fn read(name: &str, content: &str, named: &[&str]) -> Result<Self> {
        cells::available()?;
        refuse_json(name, content, named)?;
        let delimiter = delimiter(content, named);
        let (_, between, one) = DELIMITERS.into_iter().find(|d| d.0 == delimiter).unwrap_or(DELIMITERS[0]);
        let (quoting, mut notes) = quotes(name, content, delimiter)?;
        let list = cut(name, content, delimiter, quoting)?;
        let columns = most_frequent(list.iter().map(|r| r.cells.len())).map_or(0, |m| m.0);
        if let Some(odd) = list.iter().find(|r| r.cells.len() != columns) {
            let way = match delimiter {
                _ if odd.cells.len() < columns => "add what is missing, or remove the line".to_string(),
                b'\t' => "a text must not hold a tab".to_string(),
                _ => format!("a text that holds {one} must stand in double quotes, or put tabs between the columns"),
            };
            let (line, n) = (odd.lines[0], odd.cells.len());
            let s = if n == 1 { "" } else { "s" };
            return Err(Error::Input(format!("{name} line {line}: {n} column{s} between {between}, expected {columns} as in most lines; {way}")));
        }
        notes.extend(long_cells(name, &list));
        Ok(Records { list, between, notes })
    }
}

/// The most frequent value: `(value, count)`.
pub(super) fn most_frequent<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    values.for_each(|v| *counts.entry(v).or_insert(0) += 1);
    counts.into_iter().max_by_key(|(_, n)| *n)
}

/// The delimiter of a file.
pub(super) fn delimiter(content: &str, named: &[&str]) -> u8 {
    let fit = |delimiter: u8| {
        let mut reader = cells::reader(content, delimiter, true);
        let all: Vec<cells::Record> = reader.records().take(SAMPLED).map_while(std::result::Result::ok).collect();
        let has_names = !named.is_empty() && all.first().is_some_and(|r| named.iter().all(|n| r.iter().any(|c| c.trim() == *n)));
        let alike = most_frequent(all.iter().map(cells::Record::len)).filter(|(n, _)| *n > 1).map_or(0, |(_, times)| times);
        (has_names, alike * 1000 / all.len().max(1))
    };
    // `max_by_key` returns the last of equals; reversed, that is the preferred one.
    DELIMITERS.iter().rev().max_by_key(|d| fit(d.0)).map_or(b'\t', |d| d.0)
}

/// Whether the delimiter splits every non-empty line into the same number of cells, 2 or more, if quotes are ignored.
fn even(content: &str, delimiter: u8) -> bool {
    let mut counts = content.lines().filter(|l| !l.trim().is_empty()).map(|l| l.bytes().filter(|b| *b == delimiter).count());
    let first = counts.next().unwrap_or(0);
    first > 0 && counts.all(|n| n == first)
}

/// Whether quotes enclose cells, for the whole file. They do if each quote that opens a cell is closed at
/// the cell's end. If one is not, and the lines are even without them, quotes are ordinary characters.
fn quotes(name: &str, content: &str, delimiter: u8) -> Result<(bool, Vec<String>)> {
    let Some([opened, at]) = stray(content.as_bytes(), delimiter) else { return Ok((true, Vec::new())) };
    if even(content, delimiter) {
        return Ok((
            false,
            vec![format!("note: {name} line {opened}: a quote opens a cell and does not close it, so quotes are read as characters of the texts")],
        ));
    }
    let where_to = if at == 0 { "to the end of the file".to_string() } else { format!("up to line {at}, where a quote stands inside of a cell") };
    Err(Error::Input(format!(
        "{name} line {opened}: a quote opens a cell and is not closed {where_to}; remove it, or put the whole cell in quotes and write each quote inside twice"
    )))
}

/// The first quote that opens a cell and is not closed at the cell's end: its line, and the line of the next quote, or 0 if there is none.
fn stray(content: &[u8], delimiter: u8) -> Option<[u64; 2]> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let (mut at, mut line, mut opened) = (At::Start, 1, 0);
    for (i, &b) in content.iter().enumerate() {
        let end = b == b'\n' || b == b'\r';
        at = match (at, b) {
            (At::Start, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Closed,
            // A doubled quote stands for one.
            (At::Closed, b'"') => At::Quoted,
            (At::Quoted, _) => At::Quoted,
            (_, b) if b == delimiter || end => At::Start,
            (At::Closed, _) => return Some([opened, line]),
            (At::Start | At::Plain, _) => At::Plain,
        };
        line += u64::from(end && !(b == b'\r' && content.get(i + 1) == Some(&b'\n')));
    }
    (at == At::Quoted).then_some([opened, 0])
}

/// The non-empty records.
fn cut(name: &str, content: &str, delimiter: u8, quoting: bool) -> Result<Vec<Record>> {
    let mut reader = cells::reader(content, delimiter, quoting);
    let (bytes, mut list, mut record) = (content.as_bytes(), Vec::new(), cells::Record::new());
    let (mut from, mut line) = (0, 1);
    while reader.read_record(&mut record).map_err(|e| Error::Input(format!("{name}: {e}")))? {
        let to = (reader.position().byte() as usize).min(bytes.len());
        // A record includes the empty lines before it and its own line end.
        let begins = from + bytes[from..to].iter().take_while(|b| b"\r\n".contains(b)).count();
        let ends = to - bytes[begins..to].iter().rev().take_while(|b| b"\r\n".contains(b)).count();
        let first = line + ends_of_lines(bytes, from..begins);
        let last = first + ends_of_lines(bytes, begins..ends);
        line = last + ends_of_lines(bytes, ends..to);
        from = to;
        if record.iter().any(|cell| !cell.trim().is_empty()) {
            list.push(Record { lines: [first, last], cells: record.iter().map(str::to_string).collect() });
        }
    }
    Ok(list)
}

/// Number of line ends in a range: \n, \r\n, or \r alone. A range may end between \r and \n.
fn ends_of_lines(bytes: &[u8], range: Range<usize>) -> u64 {
    range.filter(|&i| bytes[i] == b'\n' || (bytes[i] == b'\r' && bytes.get(i + 1) != Some(&b'\n'))).count() as u64
}

/// A note on each of the first records that span several lines.
fn long_cells(name: &str, list: &[Record]) -> Vec<String> {
    let long: Vec<&Record> = list.iter().filter(|r| r.lines[1] > r.lines[0]).collect();
    let told = |r: &&Record| {
        let [first, last] = r.lines;
        let count = last - first + 1;
        format!("note: {name} lines {first} to {last} are one record: a quoted cell goes over {count} lines; if its quotes are stray, remove them")
    };
    let mut notes: Vec<String> = long.iter().take(NOTED).map(told).collect();
    if long.len() > NOTED {
        notes.push(format!("note: {name}: quoted cells of {} more records go over several lines", long.len() - NOTED));
    }
    notes
}

/// Refuses JSON, with the command that converts it to a table.
fn refuse_json(name: &str, content: &str, named: &[&str]) -> Result<()> {
    let object = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok();
    let start = content.trim_start();
    let first = start.lines().next().unwrap_or_default();
    let (what, found, each) = match start.chars().next() {
        Some('{') => ("JSON Lines", object(first), ""),
        Some('[') => {
            let list = serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(start).ok();
            ("JSON", list.and_then(|l| l.into_iter().next()), ".[] | ")
        }
        _ => return Ok(()),
    };
    let Some(found) = found else { return Ok(()) };
    let keys: Vec<&String> = found.keys().collect();
    let known = |name: &&&str| found.contains_key(**name);
    let label = named.iter().find(known).map(|n| (*n).to_string()).or(keys.iter().find(|k| among(k, LABELS)).map(|k| (*k).clone()));
    let label = label.or(keys.last().map(|k| (*k).clone())).unwrap_or_default();
    let text = named.iter().skip(1).find(known).map(|n| (*n).to_string());
    let text = text.or(keys.iter().find(|k| **k != &label && found[**k].is_string()).map(|k| (*k).clone())).unwrap_or("text".to_string());
    let cells = serde_json::json!([text, label]);
    let command = format!("jq -r '{each}[.[{}], .[{}]] | @tsv' {} > lines.tsv", cells[0], cells[1], shell(name));
    Err(Error::Input(format!("{name} is {what}, not a table; convert it with {command} and train on that with `label_column` 2")))
}

/// Quotes a path for a shell.
fn shell(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) { name.to_string() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// Typical names of columns of labels and of texts.
const LABELS: &str = " label labels class classes category categories target sentiment topic intent tag genre language lang rating polarity type ";
const TEXTS: &str = " text texts sentence sentences message review content document comment title body tweet utterance query question line name input ";

fn among(cell: &str, names: &str) -> bool {
    let cell = cell.trim().to_lowercase();
    !cell.is_empty() && !cell.contains(' ') && names.contains(&format!(" {cell} "))
}

/// Whether a cell is a typical name of a column of labels or texts.
pub(super) fn typical(cell: &str) -> bool {
    among(cell, LABELS) || among(cell, TEXTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(content: &str) -> (Vec<Vec<String>>, Vec<String>) {
        let found = Records::read("file", content, &[]).unwrap();
        (found.list.into_iter().map(|r| r.cells).collect(), found.notes)
    }

    #[test]
    fn the_delimiter_is_the_one_that_cuts_all_lines_alike() {
        for (content, expected) in [
            ("a\tb\nc\td\n", b'\t'),
            ("a,b\nc,d\n", b','),
            ("text;label\nyes, well;up\nno;down\n", b';'),
            ("text|label\nyes, well|up\na;b|down\n", b'|'),
            // A tab only in line 1 is part of the text.
            ("a\tb,up\nc,down\nd,up\n", b','),
            ("a, b\tup\nc\tdown\n", b'\t'),
        ] {
            assert_eq!(delimiter(content, &[]), expected, "{content:?}");
        }
        // Both fit; the named column decides.
        assert_eq!(delimiter("a,b;c\nd,e;f\n", &["c"]), b';');
    }

    #[test]
    fn quotes_hold_cells_together_where_all_are_closed() {
        assert_eq!(cells("\"a, \"\"b\"\"\",x\nc,y\n").0, [["a, \"b\"", "x"], ["c", "y"]]);
        assert_eq!(cells("\"a \"\"b\"\"\"\tx\nc\ty\n").0, [["a \"b\"", "x"], ["c", "y"]]);
        // A quote never closed, or closed inside a cell, is an ordinary character.
        for content in ["a,x\n\"tis c,y\nd,x\n", "a,x\n\"tis c,y\nd,x\n\"no\" e,y\n", "a\tx\n\"c\ty\n"] {
            let (found, notes) = cells(content);
            assert!(found[1][0].starts_with('"') && notes.len() == 1 && notes[0].contains("line 2"), "{content:?} {found:?} {notes:?}");
        }
        let e = Records::read("file", "a,x\n\"tis, c,y\nd,x\n", &[]).err().unwrap().to_string();
        assert!(e.contains("line 2: a quote opens a cell and is not closed to the end"), "{e}");
        let e = Records::read("file", "a,x\n\"tis, c,y\nd,x\n\"no\" e,y\n", &[]).err().unwrap().to_string();
        assert!(e.contains("line 2") && e.contains("up to line 4"), "{e}");
    }

    #[test]
    fn cells_over_several_lines_are_noted_and_lines_are_counted() {
        let found = Records::read("file", "a,x\n\n\"b\n\nc\",y\r\n\r\nd,x\n", &[]).unwrap();
        assert_eq!(found.list.iter().map(|r| r.lines).collect::<Vec<_>>(), [[1, 1], [3, 5], [7, 7]]);
        assert!(found.notes.len() == 1 && found.notes[0].contains("lines 3 to 5"), "{:?}", found.notes);
        let e = Records::read("file", "a,x\n\nb,y\n\nc\n", &[]).err().unwrap().to_string();
        assert!(e.contains("line 5: 1 column between commas, expected 2"), "{e}");
    }

    #[test]
    fn json_is_refused_with_the_command_that_converts_it() {
        for (content, words) in [
            ("{\"text\": \"a\", \"label\": \"x\"}\n", ["JSON Lines", "jq -r '[.[\"text\"], .[\"label\"]] | @tsv'"]),
            ("{\"id\": 1, \"mood\": \"x\", \"words\": \"a\"}\n", ["JSON Lines", "[.[\"words\"], .[\"mood\"]]"]),
            ("[{\"text\": \"a\", \"label\": \"x\"}]", ["is JSON,", "'.[] | [.[\"text\"], .[\"label\"]] | @tsv'"]),
        ] {
            let e = Records::read("file", content, &["mood"]).err().unwrap().to_string();
            assert!(words.iter().all(|w| e.contains(w)), "{e}");
        }
        assert_eq!(cells("{a}\tx\n[b]\ty\n").0.len(), 2);
    }
}
