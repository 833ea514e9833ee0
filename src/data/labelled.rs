//! Texts with a label each: a table of two columns, one sequence a line.

use super::{Codec, Kind, Symbols, Text, Unknown, Vocabulary};
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Which columns of a table hold what: by the names in its first line, or, where there are no names, by numbers from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns<'a> {
    /// That of the labels.
    pub label: &'a str,
    /// That of the texts; none for the only other one.
    pub text: Option<&'a str>,
}

/// Texts with a label each.
pub struct Labelled {
    /// All texts, one behind the other.
    pub symbols: Arc<Symbols>,
    /// Where each lies.
    pub parts: Vec<Range<u64>>,
    /// The class of each.
    pub classes: Vec<u32>,
    /// The labels, by class, in order.
    pub labels: Vec<String>,
}

/// One line of the table.
struct Line {
    number: u64,
    text: String,
    label: String,
}

impl Labelled {
    /// Reads a table. Its cells stand between tabs, if its first line has one, and are then taken as they are; else between commas, and may be in
    /// double quotes. `known` are symbols and labels of a model, which others must not occur besides.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, if columns are missing, cells are empty, or symbols or labels are not known; or if all labels are the same.
    pub fn read(text: &Text, columns: Columns<'_>, kind: Kind, known: Option<&Codec>) -> Result<Self> {
        Self::lenient(text, columns, kind, known, Unknown::Refuse).map(|l| l.0)
    }

    /// As [`Labelled::read`], with a word on characters that the model does not know; and how many there are.
    ///
    /// # Errors
    /// As there; or if no character is left of a text.
    pub fn lenient(text: &Text, columns: Columns<'_>, kind: Kind, known: Option<&Codec>, unknown: Unknown) -> Result<(Self, u64)> {
        let (mut lines, mut foreign) = (lines(text, columns)?, 0);
        if let Some(v) = known.and_then(Codec::vocabulary).filter(|_| unknown != Unknown::Refuse) {
            for line in &mut lines {
                let (fitted, count) = v.fitted(&line.text, unknown)?;
                foreign += count;
                if fitted.is_empty() {
                    return Err(Error::Input(format!("{} line {}: the model knows no character of the text; leave the line out", text.name, line.number)));
                }
                line.text = fitted;
            }
        }
        let labels = match known {
            Some(Codec::Labels { labels, .. }) => labels.clone(),
            Some(_) => return Err(Error::Input("the model does not predict labels; train one with --label-column".to_string())),
            None => distinct(&text.name, &lines)?,
        };
        let class = |line: &Line| {
            let found = labels.binary_search(&line.label).map(|i| i as u32);
            let unknown = || format!("{} line {}: the label {:?} is not among the model's: {}", text.name, line.number, line.label, listed(&labels));
            found.map_err(|_| Error::Input(unknown()))
        };
        let classes = lines.iter().map(class).collect::<Result<_>>()?;
        let vocabulary = known.and_then(Codec::vocabulary);
        let mut parts = Vec::new();
        let (mut all, mut from) = (String::new(), 0);
        for line in &lines {
            check_symbols(text, line, vocabulary)?;
            all.push_str(&line.text);
            let bytes = vocabulary.map_or(kind, Vocabulary::kind) == Kind::Bytes;
            let to = from + if bytes { line.text.len() } else { line.text.chars().count() } as u64;
            parts.push(from..to);
            from = to;
        }
        let all = Text::given(&text.name, all);
        let symbols = match vocabulary {
            Some(v) => Symbols::with(all, v.clone())?,
            None => Symbols::new(all, kind)?,
        };
        Ok((Labelled { symbols: Arc::new(symbols), parts, classes, labels }, foreign))
    }

    /// What a model of these reads and predicts.
    pub fn codec(&self) -> Codec {
        Codec::Labels { vocabulary: self.symbols.vocabulary().clone(), labels: self.labels.clone() }
    }
}

/// The lines of the table that are not empty.
fn lines(text: &Text, columns: Columns<'_>) -> Result<Vec<Line>> {
    let name = &text.name;
    let content = &text.utf8()?;
    let tabs = content.lines().next().is_some_and(|line| line.contains('\t'));
    let named = columns.label.parse::<usize>().is_err();
    let mut reader = csv::ReaderBuilder::new().delimiter(if tabs { b'\t' } else { b',' }).quoting(!tabs).has_headers(named).from_reader(content.as_bytes());
    let wrong = |what: String| Err(Error::Input(format!("{name}{what}")));
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(|h| h.trim().to_string()).collect(),
        Err(e) => return wrong(format!(": {e}")),
    };
    let place = |column: &str| {
        let found = match column.parse::<usize>() {
            Ok(n) => n.checked_sub(1).filter(|i| *i < header.len()),
            Err(_) => header.iter().position(|h| h == column),
        };
        let there = if named { listed(&header) } else { format!("1 to {}", header.len()) };
        found.ok_or_else(|| Error::Input(format!("{name} has no column {column:?}; there are {there} (between {})", if tabs { "tabs" } else { "commas" })))
    };
    let label = place(columns.label)?;
    let others: Vec<usize> = (0..header.len()).filter(|i| *i != label).collect();
    let read = match (columns.text, &others[..]) {
        (Some(column), _) => place(column)?,
        (None, [one]) => *one,
        (None, []) => return wrong(" has the column of labels alone; a second one with the texts is needed, behind a tab or a comma".to_string()),
        (None, _) => return wrong(format!(" has {} columns besides that of the labels; say by --text-column which one holds the texts", others.len())),
    };
    if read == label {
        return Err(Error::Usage("--label-column and --text-column are the same column".to_string()));
    }
    let mut all = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => return wrong(unequal(&e)),
        };
        let number = record.position().map_or(0, csv::Position::line);
        let (text, label) = (record[read].to_string(), record[label].trim().to_string());
        let empty = if text.is_empty() { "text" } else { "label" };
        if text.is_empty() || label.is_empty() {
            return wrong(format!(" line {number}: the {empty} is empty; fill it in, or leave the line out"));
        }
        all.push(Line { number, text, label });
    }
    if all.is_empty() { wrong(" has no line besides its header; at least 2 are needed".to_string()) } else { Ok(all) }
}

/// What is wrong with a line of the table.
fn unequal(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(" line {line}: {len} columns, expected {expected_len} as in the first line; a text with commas must stand in double quotes, or use tabs")
        }
        _ => format!(": {e}"),
    }
}

/// The labels that occur, in order.
fn distinct(name: &str, lines: &[Line]) -> Result<Vec<String>> {
    let mut labels: Vec<String> = lines.iter().map(|l| l.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    match &labels[..] {
        [one] => Err(Error::Input(format!("{name}: all {} lines have the label {one:?}; at least 2 different ones are needed", lines.len()))),
        _ => Ok(labels),
    }
}

/// Names in a message; of many the first.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(12).map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 { format!("{first} and {} more", names.len() - 12) } else { first }
}

fn check_symbols(text: &Text, line: &Line, vocabulary: Option<&Vocabulary>) -> Result<()> {
    let Some(v) = vocabulary.filter(|v| v.kind() == Kind::Characters) else { return Ok(()) };
    match line.text.chars().find(|c| v.index(*c).is_none()) {
        Some(c) => Err(Error::Input(format!(
            "{} line {}: character {c:?} (U+{:04X}) is not among the {} symbols that the model was trained on{}",
            text.name,
            line.number,
            c as u32,
            v.len(),
            text.for_unknown()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, label: &str, text: Option<&str>) -> Result<Labelled> {
        Labelled::read(&Text::given("table", content), Columns { label, text }, Kind::Characters, None)
    }

    #[test]
    fn tables_with_and_without_names_are_read() {
        for (content, label, text) in [
            ("text,label\nabc,yes\n\"d,e\",no\nf\u{e9},yes\n", "label", None),
            ("yes\tabc\nno\td,e\nyes\tf\u{e9}\n", "1", None),
            ("id,text,label\n1,abc,yes\n2,\"d,e\",no\n3,f\u{e9},yes\n", "label", Some("text")),
        ] {
            let found = read(content, label, text).unwrap();
            assert_eq!((found.classes, found.labels), (vec![1, 0, 1], vec!["no".to_string(), "yes".to_string()]));
            assert_eq!(found.parts, [0..3, 3..6, 6..8]);
            assert_eq!(found.symbols.text().utf8().unwrap(), "abcd,ef\u{e9}");
        }
        // Tabs are never quoted.
        assert_eq!(read("a\t\"x\nb\ty\n", "1", None).unwrap().symbols.text().utf8().unwrap(), "\"xy");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (content, label, text, words) in [
            ("text,label\nabc\n", "label", None, &["line 2", "1 columns, expected 2"][..]),
            ("text,label\nabc,x\n,y\n", "label", None, &["line 3", "text is empty"]),
            ("text,label\nabc,x\nd,\n", "label", None, &["line 3", "label is empty"]),
            ("text,label\nabc,x\nd,x\n", "label", None, &["all 2 lines", "\"x\""]),
            ("text,label\n", "label", None, &["no line besides its header"]),
            ("text,label\nabc,x\n", "mood", None, &["no column \"mood\"", "\"text\", \"label\""]),
            ("a,b\nc,d\n", "3", None, &["no column \"3\"", "1 to 2"]),
            ("a,b\nc,d\n", "0", None, &["no column \"0\""]),
            ("label\nabc\n", "label", None, &["column of labels alone"]),
            ("a,b,label\n1,2,3\n", "label", None, &["2 columns besides", "--text-column"]),
            ("text,label\na,b\n", "label", Some("label"), &["the same column"]),
        ] {
            let e = read(content, label, text).err().unwrap_or_else(|| panic!("{content}")).to_string();
            assert!(words.iter().all(|w| e.contains(w)) && !e.contains('\n'), "{content:?}: {e}");
        }
    }

    #[test]
    fn symbols_and_labels_that_the_model_lacks_are_named() {
        let codec = read("ab,x\nc,y\n", "2", None).unwrap().codec();
        let with = |content: &str| {
            let columns = Columns { label: "2", text: None };
            Labelled::read(&Text::given("table", content), columns, Kind::Characters, Some(&codec)).map(|l| l.classes).map_err(|e| e.to_string())
        };
        assert_eq!(with("c,y\n").unwrap(), [1]);
        assert!(with("c,y\nd,x\n").unwrap_err().contains("table line 2: character 'd'"));
        assert!(with("c,y\na,z\n").unwrap_err().contains("table line 2: the label \"z\" is not among the model's: \"x\", \"y\""));
    }
}
