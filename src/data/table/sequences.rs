//! Tables of sequences of numbers, each with a label: wide, one row a sequence; or long, one row a step.

use super::Missing;
use super::cell::{Cell, Style, Survey, Wrong};
use super::lines::{Layout, Lines};
use crate::data::{Text, cells};
use crate::error::{Error, Result, listed, quoted};
use std::collections::HashMap;
use std::ops::Range;

/// Rows examined to tell numbers from texts.
const LOOKED_AT: usize = 50;

/// The columns of such a table: names from its first line, or numbers from 1 on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceSpec {
    /// Column of the labels; `None` to read none.
    pub label: Option<String>,
    /// Whether the column of labels may be missing, which it is if its cells are none of these labels.
    pub known: Option<Vec<String>>,
    /// Column that says which sequence a row is a step of; `None` if each row is a sequence.
    pub sequence: Option<String>,
    /// Columns of numbers; `None` for all others.
    pub features: Option<Vec<String>>,
    /// Columns to leave out.
    pub ignored: Vec<String>,
    /// Whether the first line names the columns; `None` to detect it.
    pub header: Option<bool>,
    /// What to do with empty cells.
    pub missing: Missing,
    /// Delimiter; `None` to detect it.
    pub delimiter: Option<char>,
    /// Decimal mark; `None` to detect it.
    pub decimal: Option<char>,
}

/// Sequences of numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SequenceTable {
    /// All rows, sequence after sequence: `[rows, D]`.
    pub numbers: Vec<f64>,
    /// D: numbers in a row.
    pub width: usize,
    /// The rows of each sequence.
    pub parts: Vec<Range<u64>>,
    /// The line of the file that each begins on, from 1.
    pub lines: Vec<u64>,
    /// The label of each; empty if none were read.
    pub labels: Vec<String>,
    /// The name of each in the column of sequences; empty if each row is one.
    pub names: Vec<String>,
    /// The names of the D columns; empty if each row is a sequence.
    pub columns: Vec<String>,
    /// Notes about the table that its owner may not expect.
    pub notes: Vec<String>,
}

/// The indices of the columns.
struct Places {
    label: Option<usize>,
    sequence: Option<usize>,
    values: Vec<usize>,
    /// The names of the values' columns.
    names: Vec<String>,
}

impl SequenceTable {
    /// Whether the columns besides that of the labels are two or more, all of numbers: rows are then sequences, not texts.
    ///
    /// # Errors
    /// If the file can't be read, or lacks a column.
    pub fn fits(text: &Text, spec: &SequenceSpec) -> Result<bool> {
        cells::available()?;
        let content = text.utf8()?;
        let layout = Layout::of(&content, spec.delimiter);
        let Ok(mut lines) = opened(&text.name, &content, layout, spec) else { return Ok(false) };
        let Ok(places) = Places::find(&text.name, &lines.header, spec) else { return Ok(false) };
        let mut count = 0;
        while let (true, Ok(Some((_, record)))) = (count < LOOKED_AT, lines.next()) {
            if !places.values.iter().all(|at| is_number(record.get(*at).unwrap_or_default())) {
                return Ok(false);
            }
            count += 1;
        }
        Ok(count > 0 && places.values.len() > 1)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, what was found and what to do, if a column is missing, a cell is not a number, or sequences are not whole.
    pub fn read(text: &Text, spec: &SequenceSpec) -> Result<Self> {
        cells::available()?;
        let content = text.utf8()?;
        let layout = Layout::of(&content, spec.delimiter);
        let without = without_labels(&text.name, &content, layout, spec)?;
        let spec = without.as_ref().unwrap_or(spec);
        let mut lines = opened(&text.name, &content, layout, spec)?;
        let places = Places::find(&text.name, &lines.header, spec)?;
        let mut survey = Survey::new(&places.names);
        while let Some((line, record)) = lines.next()? {
            places.values.iter().enumerate().for_each(|(i, at)| survey.look(i, line, record.get(*at).unwrap_or_default()));
        }
        let (style, notes) = survey.style(&text.name, layout.delimiter, spec.decimal, None)?;
        let mut lines = opened(&text.name, &content, layout, spec)?;
        let mut rows = Rows { file: &text.name, spec, places: &places, style, table: SequenceTable::default(), ended: HashMap::new() };
        rows.table.width = if places.sequence.is_some() { places.values.len() } else { 1 };
        while let Some((line, record)) = lines.next()? {
            rows.take(line, record)?;
        }
        let mut table = rows.table;
        if table.parts.is_empty() {
            return Err(Error::Input(format!("{} has no row besides its header ({}); give a file with numbers below it", text.name, listed(&lines.header))));
        }
        table.columns = if places.sequence.is_some() { places.names.clone() } else { Vec::new() };
        let (shortest, longest) = table.lengths();
        table.notes = lines.notes().into_iter().chain(notes).map(|n| format!("note: {n}")).collect();
        if shortest < longest {
            table.notes.push(format!("note: the sequences have {shortest} to {longest} steps"));
        }
        Ok(table)
    }

    /// The steps of the shortest and the longest sequence.
    pub fn lengths(&self) -> (u64, u64) {
        let all = || self.parts.iter().map(|p| p.end - p.start);
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }
}

/// Whether a cell is a number, with a point or a comma before its fraction, or empty.
fn is_number(cell: &str) -> bool {
    ['.', ','].iter().any(|decimal| !matches!(Style { decimal: *decimal }.cell(cell), Cell::Wrong(_)))
}

/// The lines, with columns named by the first or numbered.
fn opened<'a>(file: &'a str, content: &'a str, layout: Layout, spec: &SequenceSpec) -> Result<Lines<'a>> {
    let named = |column: &String| column.parse::<usize>().is_err();
    let columns = spec.label.iter().chain(&spec.sequence).chain(spec.features.iter().flatten()).chain(&spec.ignored);
    let header = match spec.header {
        Some(said) => said,
        None if columns.clone().any(named) => true,
        None => {
            // A line of numbers, but for the label, is a row like the others.
            let numbered = Lines::numbered(file, content, layout)?;
            let first = numbered.first();
            let own = |i: usize| columns.clone().any(|c| c.parse() == Ok(i + 1));
            !first.iter().enumerate().all(|(i, cell)| own(i) || is_number(cell))
        }
    };
    let mut lines = if header { Lines::open(file, content, layout)? } else { Lines::numbered(file, content, layout)? };
    lines.first_column_is_text(false);
    Ok(lines)
}

/// The specification without the column of labels, if that may be missing and is.
fn without_labels(file: &str, content: &str, layout: Layout, spec: &SequenceSpec) -> Result<Option<SequenceSpec>> {
    let (Some(label), Some(known)) = (&spec.label, &spec.known) else { return Ok(None) };
    let without = SequenceSpec { label: None, ..spec.clone() };
    let mut lines = opened(file, content, layout, &if label.parse::<usize>().is_ok() { spec.clone() } else { without.clone() })?;
    let Ok(at) = find(file, &lines.header, "label_column", label) else { return Ok(Some(without)) };
    if lines.header.get(at).is_some_and(|name| name == label && label.parse::<usize>().is_err()) {
        return Ok(None);
    }
    while let Some((_, record)) = lines.next()? {
        if !known.iter().any(|l| l == record.get(at).unwrap_or_default().trim()) {
            return Ok(Some(without));
        }
    }
    Ok(None)
}

/// The index of a column, by name, or else by number from 1.
fn find(file: &str, names: &[String], setting: &str, column: &str) -> Result<usize> {
    let mut same = (0..names.len()).filter(|i| names[*i] == column);
    match (same.next(), same.next(), column.parse::<usize>()) {
        (Some(at), None, _) => Ok(at),
        (Some(one), Some(other), _) => {
            Err(Error::Input(format!("{file}: columns {} and {} are both called {}; give each a name of its own", one + 1, other + 1, quoted(column))))
        }
        (None, _, Ok(n)) if (1..=names.len()).contains(&n) => Ok(n - 1),
        (None, ..) => {
            Err(Error::Input(format!("{file} has no column {}, which `{setting}` names; its {} columns are {}", quoted(column), names.len(), listed(names))))
        }
    }
}

impl Places {
    fn find(file: &str, header: &[String], spec: &SequenceSpec) -> Result<Self> {
        let one = |setting: &str, column: &Option<String>| column.as_ref().map(|c| find(file, header, setting, c)).transpose();
        let (label, sequence) = (one("label_column", &spec.label)?, one("sequence_column", &spec.sequence)?);
        if label.is_some() && label == sequence {
            return Err(Error::setting("sequence_column", "`sequence_column` and `label_column` are the same column; a column is one or the other"));
        }
        let ignored = spec.ignored.iter().map(|c| find(file, header, "ignore", c)).collect::<Result<Vec<_>>>()?;
        let own = |at: &usize| Some(*at) == label || Some(*at) == sequence;
        if let Some(at) = ignored.iter().find(|at| own(at)) {
            return Err(Error::setting(
                "ignore",
                format!("`ignore` names column {}, which holds the labels or sequences; leave it out there", quoted(&header[*at])),
            ));
        }
        let values: Vec<usize> = match &spec.features {
            Some(names) => names.iter().map(|c| find(file, header, "features", c)).collect::<Result<_>>()?,
            // An index without a name, as pandas writes it, is no value.
            None => (0..header.len()).filter(|at| !own(at) && !ignored.contains(at) && !header[*at].is_empty()).collect(),
        };
        if let Some(at) = values.iter().find(|at| own(at)) {
            return Err(Error::setting(
                "features",
                format!("`features` names column {}, which holds the labels or sequences; leave it out there", quoted(&header[*at])),
            ));
        }
        if values.is_empty() {
            return Err(Error::Input(format!("{file} has no column of numbers besides {}; give one with the steps of each sequence", listed(header))));
        }
        Ok(Places { label, sequence, names: values.iter().map(|at| header[*at].clone()).collect(), values })
    }
}

/// The table while it is read.
struct Rows<'a> {
    file: &'a str,
    spec: &'a SequenceSpec,
    places: &'a Places,
    style: Style,
    table: SequenceTable,
    /// The last line of each sequence that has ended or goes on.
    ended: HashMap<String, u64>,
}

impl Rows<'_> {
    fn wrong<T>(&self, line: u64, what: &str) -> Result<T> {
        Err(Error::Input(format!("{} line {line}{what}", self.file)))
    }

    fn take(&mut self, line: u64, record: &cells::Record) -> Result<()> {
        let begins = self.begins(line, record)?;
        if begins {
            let at = self.table.rows();
            self.table.parts.push(at..at);
            self.table.lines.push(line);
        }
        self.label(line, record, begins)?;
        let mut values = self.places.values.clone();
        if self.places.sequence.is_none() {
            // A row that ends in empty cells is a shorter sequence.
            let empty = |at: &usize| matches!(self.style.cell(record.get(*at).unwrap_or_default()), Cell::Missing);
            while values.last().is_some_and(empty) {
                values.pop();
            }
            if values.is_empty() {
                return self.wrong(line, ": the sequence has no number; fill it in, or remove the line");
            }
        }
        for (i, at) in values.into_iter().enumerate() {
            let x = self.number(line, i, record.get(at).unwrap_or_default(), begins)?;
            self.table.numbers.push(x);
        }
        let end = self.table.rows();
        if let Some(part) = self.table.parts.last_mut() {
            part.end = end;
        }
        Ok(())
    }

    /// Whether a row begins a sequence.
    fn begins(&mut self, line: u64, record: &cells::Record) -> Result<bool> {
        let (Some(at), Some(column)) = (self.places.sequence, &self.spec.sequence) else { return Ok(true) };
        let name = record.get(at).unwrap_or_default().trim();
        if name.is_empty() {
            return self.wrong(line, &format!(", column {}: the cell is empty: the row belongs to no sequence; fill it in", quoted(column)));
        }
        if self.table.names.last().is_some_and(|last| last == name) {
            self.ended.insert(name.to_string(), line);
            return Ok(false);
        }
        if let Some(before) = self.ended.insert(name.to_string(), line) {
            let what = format!(
                ": sequence {} comes back after others, it ended in line {before}; sort the rows by {}, or give each sequence a name of its own",
                quoted(name),
                quoted(column)
            );
            return self.wrong(line, &what);
        }
        self.table.names.push(name.to_string());
        Ok(true)
    }

    /// Takes the label of a row that begins a sequence; the others must have the same.
    fn label(&mut self, line: u64, record: &cells::Record, begins: bool) -> Result<()> {
        let (Some(at), Some(column)) = (self.places.label, &self.spec.label) else { return Ok(()) };
        let label = record.get(at).unwrap_or_default().trim();
        match self.table.labels.last() {
            _ if label.is_empty() => self.wrong(line, &format!(", column {}: the label is empty; fill it in, or leave the sequence out", quoted(column))),
            Some(first) if !begins && first != label => {
                let (name, from) = (self.table.names.last().map_or("", |n| n), self.table.lines.last().copied().unwrap_or(0));
                let what = format!(
                    ": sequence {} has the label {} here and {} in line {from}; give all its rows one label (labels that change from step to step can't be learned)",
                    quoted(name),
                    quoted(label),
                    quoted(first)
                );
                self.wrong(line, &what)
            }
            _ => {
                if begins {
                    self.table.labels.push(label.to_string());
                }
                Ok(())
            }
        }
    }

    /// The number of a cell, value `i` of its row.
    fn number(&self, line: u64, i: usize, text: &str, begins: bool) -> Result<f64> {
        let wide = self.places.sequence.is_none();
        let wrong = |what: &str| self.wrong(line, &format!(", column {}: {what}", quoted(&self.places.names[i])));
        match (self.style.cell(text), self.spec.missing) {
            (Cell::Number(x), _) => Ok(x),
            (Cell::Missing, Missing::Zero) => Ok(0.0),
            (Cell::Missing, Missing::Previous) => {
                let back = if wide { 1 } else { self.table.width };
                let there = if wide { i > 0 } else { !begins };
                match self.table.numbers.len().checked_sub(back).filter(|_| there) {
                    Some(at) => Ok(self.table.numbers[at]),
                    None => wrong("it is empty, and no number stands before it in its sequence; fill it in, or give `missing` zero"),
                }
            }
            (Cell::Missing, _) => wrong("the cell is empty; fill it in, remove the sequence, or say how to fill it: `missing` previous or zero"),
            (Cell::Wrong(what), _) => {
                let what = match what {
                    Wrong::Infinite => "is infinite, which nothing can be learned from; mend or remove it",
                    Wrong::Large => "is beyond 3.4e38, the largest number of 32 bits; give the column in another unit",
                    Wrong::Time => "is a date or a time, not a number; leave the column out by `ignore`",
                    Wrong::Grouped => "is not a number as the others are written; write 1234.5, or say by `decimal` what stands before a fraction",
                    Wrong::Text => "is text, not a number; mend the cell, or leave the column out by `ignore`",
                };
                wrong(&format!("{} {what}", quoted(text.trim())))
            }
        }
    }
}

impl SequenceTable {
    /// Rows read so far.
    fn rows(&self) -> u64 {
        (self.numbers.len() / self.width.max(1)) as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::*;

    fn spec(label: &str, sequence: Option<&str>) -> SequenceSpec {
        SequenceSpec { label: Some(label.to_string()), sequence: sequence.map(str::to_string), ..SequenceSpec::default() }
    }

    fn read(content: &str, spec: &SequenceSpec) -> std::result::Result<SequenceTable, String> {
        SequenceTable::read(&Text::given("t", content), spec).map_err(|e| e.to_string())
    }

    #[test]
    fn each_row_of_a_wide_table_is_a_sequence() {
        let table = read("label,t0,t1,t2\nb,1,2,3\na,4,5,\n", &spec("label", None)).unwrap();
        assert_eq!((table.width, &table.numbers[..], &table.parts[..]), (1, &[1.0, 2.0, 3.0, 4.0, 5.0][..], &[0..3, 3..5][..]));
        assert_eq!(
            (table.labels, table.lines, table.notes),
            (vec!["b".to_string(), "a".to_string()], vec![2, 3], vec!["note: the sequences have 2 to 3 steps".to_string()])
        );
        // As UCR's files are: no header, tabs, the label first; and with a comma before the fraction.
        let table = read("1\t0.5\t-1\n2\t1e-1\t7\n", &spec("1", None)).unwrap();
        assert_eq!((table.lines, table.labels, table.numbers), (vec![1, 2], vec!["1".to_string(), "2".to_string()], vec![0.5, -1.0, 0.1, 7.0]));
        assert_eq!(read("y;a;b\nu;1,5;2,25\n", &spec("y", None)).unwrap().numbers, [1.5, 2.25]);
        assert_eq!(read("y,a,b,c\nu,1,,3\n", &SequenceSpec { missing: Missing::Previous, ..spec("y", None) }).unwrap().numbers, [1.0, 1.0, 3.0]);
    }

    #[test]
    fn each_row_of_a_long_table_is_a_step() {
        let content = "id,time,y,a,b\nk,1,u,1,2\nk,2,u,3,4\nm,1,v,5,6\n";
        let table = read(content, &SequenceSpec { ignored: vec!["time".to_string()], ..spec("y", Some("id")) }).unwrap();
        assert_eq!((table.width, &table.parts[..], &table.names[..]), (2, &[0..2, 2..3][..], &["k".to_string(), "m".to_string()][..]));
        assert_eq!((table.columns, table.numbers), (vec!["a".to_string(), "b".to_string()], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let two = SequenceSpec { features: Some(vec!["b".to_string(), "a".to_string()]), ..spec("y", Some("id")) };
        assert_eq!(read(content, &two).unwrap().numbers[..2], [2.0, 1.0]);
    }

    #[test]
    fn labels_may_be_missing_where_they_are_predicted() {
        let known = |label: &str| SequenceSpec { known: Some(vec!["u".to_string(), "v".to_string()]), ..spec(label, None) };
        for (content, label, count) in [("y,a,b\nu,1,2\n", "y", 2), ("a,b\n1,2\n", "y", 2), ("u,1,2\nv,3,4\n", "1", 2), ("1,2\n3,4\n", "1", 2)] {
            let table = read(content, &known(label)).unwrap();
            assert_eq!(table.parts[0].end, count, "{content:?}: {table:?}");
        }
    }

    #[test]
    fn numbers_are_told_from_texts() {
        let fits = |content: &str, label: &str| SequenceTable::fits(&Text::given("t", content), &spec(label, None)).unwrap();
        assert!(fits("y,a,b\nu,1,2\nv,,3\n", "y") && fits("u\t1\t2\n", "1"));
        assert!(!fits("y,text\nu,1\n", "y") && !fits("y,a,b\nu,1,word\n", "y") && !fits("y,a,b\n", "y"));
    }

    #[test]
    fn what_is_not_a_whole_sequence_is_refused_with_its_line() {
        for (content, sequence, words) in [
            ("y,a,b\nu,1,2\nv,3\n", None, "line 3: 2 cells, but the header names 3"),
            ("y,a,b\nu,1,2,3\n", None, "line 2: 4 cells, but the header names 3"),
            ("y,a,b\nu,,2\n", None, "line 2, column \"a\": the cell is empty"),
            ("y,a,b\nu,,\n", None, "line 2: the sequence has no number"),
            ("y,a,b\nu,1,x\n", None, "line 2, column \"b\": \"x\" is text"),
            ("y,a,b\nu,1,inf\n", None, "is infinite"),
            ("y,a,b\n,1,2\n", None, "line 2, column \"y\": the label is empty"),
            ("y,id,b\nu,k,1\nu,m,1\nu,k,2\n", Some("id"), "line 4: sequence \"k\" comes back after others, it ended in line 2"),
            ("y,id,b\nu,k,1\nv,k,1\n", Some("id"), "line 3: sequence \"k\" has the label \"v\" here and \"u\" in line 2"),
            ("y,id,b\nu,,1\n", Some("id"), "the row belongs to no sequence"),
            ("y,id,b\nu,k,1\n", Some("no"), "has no column \"no\", which `sequence_column` names"),
            ("y,id,b\nu,k,1\n", Some("y"), "are the same column"),
            ("y,b,b\nu,k,1\n", Some("b"), "columns 2 and 3 are both called \"b\""),
            ("y,a,b\n", None, "has no row besides its header"),
        ] {
            let e = read(content, &spec("y", sequence)).unwrap_err();
            assert!(e.contains(words), "{content:?}: {e}");
        }
    }
}
