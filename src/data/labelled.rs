//! Labelled texts: a table of two columns, one sequence per line.

use super::records::{Record, Records, delimiter, most_frequent, typical};
use super::{Codec, Kind, Symbols, Text, Unknown, Vocabulary, cells};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The columns of a table of labelled texts: names from its first line, or numbers from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Column of the labels.
    pub label: &'a str,
    /// Column of the texts; `None` for the only other column.
    pub text: Option<&'a str>,
    /// Whether the first line names the columns; `None` to detect it.
    pub header: Option<bool>,
}

/// Labelled texts.
pub struct Labelled {
    /// All texts, concatenated.
    pub symbols: Arc<Symbols>,
    /// The range of each.
    pub parts: Vec<Range<u64>>,
    /// The class of each.
    pub classes: Vec<u32>,
    /// The line of the file that each begins on, from 1.
    pub lines: Vec<u64>,
    /// The label of each class, sorted.
    pub labels: Vec<String>,
    /// Notes about the table that its owner may not expect; warnings begin with "warning".
    pub notes: Vec<String>,
}

/// Texts without labels.
pub struct Texts {
    /// All texts, concatenated.
    pub symbols: Arc<Symbols>,
    /// The range of each.
    pub parts: Vec<Range<u64>>,
    /// The line of the file that each begins on, from 1.
    pub lines: Vec<u64>,
    /// Notes about the file that its owner may not expect.
    pub notes: Vec<String>,
}

/// A line of the table.
struct Line {
    number: u64,
    text: String,
    label: String,
}

impl Labelled {
    /// Reads a table. Cells are separated by tabs, commas, semicolons or bars, and may be in
    /// double quotes. `known` holds the symbols and labels of a model; no others may occur.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, if columns are missing, cells are empty, or symbols or labels are unknown; or if all labels are equal.
    pub fn read(text: &Text, columns: Columns<'_>, kind: Kind, known: Option<&Codec>) -> Result<Self> {
        Self::lenient(text, columns, kind, known, Unknown::Refuse).map(|l| l.0)
    }

    /// Like [`Labelled::read`], with a choice of what to do with unknown characters; also returns how many there are.
    ///
    /// # Errors
    /// As [`Labelled::read`]; or if no character of a text is left.
    pub fn lenient(text: &Text, columns: Columns<'_>, kind: Kind, known: Option<&Codec>, unknown: Unknown) -> Result<(Self, u64)> {
        let ((mut lines, mut notes), mut foreign) = (lines(&text.name, &text.utf8()?, columns)?, 0);
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
            Some(_) => return Err(Error::Input("the model does not predict labels; train one with `label_column`".to_string())),
            None => distinct(&text.name, &lines)?,
        };
        let class = |line: &Line| {
            let found = labels.binary_search(&line.label).map(|i| i as u32);
            let header = if line.number == 1 { "; if line 1 names the columns, give `header` yes" } else { "" };
            let unknown =
                || format!("{} line {}: the label {} is not among the model's: {}{header}", text.name, line.number, short(&line.label), listed(&labels));
            found.map_err(|_| Error::Input(unknown()))
        };
        let classes = lines.iter().map(class).collect::<Result<_>>()?;
        notes.extend(alike(&labels));
        let all: Vec<(u64, &str)> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
        let (symbols, parts) = joined(text, &all, kind, known.and_then(Codec::vocabulary))?;
        Ok((Labelled { symbols, parts, classes, lines: lines.iter().map(|l| l.number).collect(), labels, notes }, foreign))
    }

    /// Texts with a label each. `known` holds the symbols and labels of a model; no others may occur.
    ///
    /// # Errors
    /// [`Error::Input`] if there are not as many labels as texts, a text is empty, symbols or labels are unknown, or all labels are equal.
    pub fn of(name: &str, texts: &[String], labels: &[String], kind: Kind, known: Option<&Codec>) -> Result<Self> {
        let wrong = |what: String| Err(Error::Input(format!("{name}: {what}")));
        if texts.len() != labels.len() {
            return wrong(format!("there are {} texts and {} labels; give one label a text", texts.len(), labels.len()));
        }
        if let Some(i) = texts.iter().position(String::is_empty) {
            return wrong(format!("text {i} is empty; fill it in, or leave it out"));
        }
        let lines: Vec<Line> =
            (1..).zip(texts.iter().zip(labels)).map(|(number, (text, label))| Line { number, text: text.clone(), label: label.clone() }).collect();
        let found = match known {
            Some(Codec::Labels { labels, .. }) => labels.clone(),
            Some(_) => return wrong("the model does not predict labels of texts".to_string()),
            None => distinct(name, &lines)?,
        };
        let class =
            |l: &String| found.binary_search(l).map(|i| i as u32).map_err(|_| Error::Input(format!("{name}: the label {} is not among the model's", short(l))));
        let classes = labels.iter().map(class).collect::<Result<_>>()?;
        let all: Vec<(u64, &str)> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
        let (symbols, parts) = joined(&Text::given(name, Vec::new()), &all, kind, known.and_then(Codec::vocabulary))?;
        Ok(Labelled { symbols, parts, classes, lines: lines.iter().map(|l| l.number).collect(), labels: found, notes: Vec::new() })
    }

    /// The codec of a model of these texts.
    pub fn codec(&self) -> Codec {
        Codec::Labels { vocabulary: self.symbols.vocabulary().clone(), labels: self.labels.clone() }
    }

    /// Length of the longest text in symbols.
    pub fn longest(&self) -> u64 {
        self.parts.iter().map(|p| p.end - p.start).max().unwrap_or(0)
    }

    /// The most frequent class, and how many texts have it.
    pub fn most_frequent(&self) -> (u32, u64) {
        most_frequent(self.classes.iter().copied()).map_or((0, 0), |(class, n)| (class, n as u64))
    }
}

impl Texts {
    /// Reads texts without labels: the column `text` of a table. Without that name, the column
    /// of texts if the file is laid out like that of training (`columns`), else each whole line.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, if the column is missing, a text is empty, or it has symbols that the model lacks.
    pub fn read(text: &Text, column: Option<&str>, columns: Option<Columns<'_>>, header: Option<bool>, codec: &Codec) -> Result<Self> {
        let Codec::Labels { vocabulary, labels } = codec else {
            return Err(Error::Input("the model does not predict labels; train one with `label_column`".to_string()));
        };
        let (name, content) = (&text.name, &text.utf8()?);
        let column = match column {
            Some(text) => Some((None, Some(text))),
            None => columns.filter(|c| laid_out(content, *c, labels)).map(|c| (Some(c.label), c.text)),
        };
        let (found, notes): (Vec<(u64, String)>, _) = match column {
            Some((label, text)) => {
                let named: Vec<&str> = label.iter().chain(&text).copied().filter(|c| is_name(c)).collect();
                let records = Records::read(name, content, &named)?;
                let header = header.or(columns.and_then(|c| c.header));
                let places = Places::find(name, &records, Wanted { label, text, header })?;
                (places.rows(&records).map(|r| (r.lines[0], r.cells[places.text].clone())).collect(), [records.notes, places.notes].concat())
            }
            None if header.is_some() => {
                return Err(Error::setting(
                    "header",
                    format!("{name} is read line by line, and `header` is about a table; name its column of texts by `text_column`"),
                ));
            }
            None => plain(content),
        };
        if let Some((line, _)) = found.iter().find(|(_, text)| text.is_empty()) {
            return Err(Error::Input(format!("{name} line {line}: the text is empty; fill it in, or leave the line out")));
        }
        if found.is_empty() {
            return Err(Error::Input(format!("{name} has no line to predict a label for; give a file with a text on each line")));
        }
        let all: Vec<(u64, &str)> = found.iter().map(|(n, t)| (*n, t.as_str())).collect();
        let (symbols, parts) = joined(text, &all, vocabulary.kind(), Some(vocabulary))?;
        Ok(Texts { symbols, parts, lines: found.iter().map(|f| f.0).collect(), notes })
    }
}

/// The non-empty lines, and a note if there are others.
fn plain(content: &str) -> (Vec<(u64, String)>, Vec<String>) {
    let all: Vec<(u64, String)> = (1..).zip(content.lines().map(str::to_string)).collect();
    let count = all.len();
    let found: Vec<(u64, String)> = all.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    let left = count - found.len();
    let notes = if left == 0 { Vec::new() } else { vec![format!("note: {left} empty {} left out", if left == 1 { "line is" } else { "lines are" })] };
    (found, notes)
}

/// Whether a file without a stated column is a table like that of training: line 1 has a column name of the training table; or, if its columns were given
/// by number, the label column holds only labels of the model.
fn laid_out(content: &str, columns: Columns<'_>, labels: &[String]) -> bool {
    let named: Vec<&str> = [Some(columns.label), columns.text].into_iter().flatten().filter(|c| is_name(c)).collect();
    let between = delimiter(content, &named);
    let mut reader = cells::reader(content, between, true);
    let records: Vec<cells::Record> = reader.records().map_while(std::result::Result::ok).collect();
    let Some(first) = records.first().filter(|r| r.len() > 1) else { return false };
    if !named.is_empty() {
        return named.iter().any(|n| first.iter().any(|c| c.trim() == *n));
    }
    let Some(place) = columns.label.parse::<usize>().ok().and_then(|n| n.checked_sub(1)) else { return false };
    let is_label = |r: &cells::Record| r.get(place).is_some_and(|c| labels.iter().any(|l| l == c.trim()));
    let rest = if is_label(first) { &records[..] } else { &records[1..] };
    !rest.is_empty() && rest.iter().all(is_label)
}

/// Concatenates the texts; also returns the range of each.
fn joined(text: &Text, lines: &[(u64, &str)], kind: Kind, vocabulary: Option<&Vocabulary>) -> Result<(Arc<Symbols>, Vec<Range<u64>>)> {
    let mut parts = Vec::new();
    let (mut all, mut from) = (String::new(), 0);
    let bytes = vocabulary.map_or(kind, Vocabulary::kind) == Kind::Bytes;
    for (line, content) in lines {
        check_symbols(text, *line, content, vocabulary)?;
        all.push_str(content);
        let to = from + if bytes { content.len() } else { content.chars().count() } as u64;
        parts.push(from..to);
        from = to;
    }
    let all = Text::given(&text.name, all);
    let symbols = match vocabulary {
        Some(v) => Symbols::with(all, v.clone())?,
        None => Symbols::new(all, kind)?,
    };
    Ok((Arc::new(symbols), parts))
}

/// The columns to find; without `label`, only that of the texts.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    label: Option<&'a str>,
    text: Option<&'a str>,
    header: Option<bool>,
}

/// The indices of the columns.
struct Places {
    /// Column of the labels; that of the texts if none is wanted.
    label: usize,
    text: usize,
    header: bool,
    notes: Vec<String>,
}

impl Places {
    fn find(name: &str, records: &Records, wanted: Wanted<'_>) -> Result<Self> {
        let Some(first) = records.list.first() else {
            return Err(Error::Input(format!("{name} has no line with text in it; at least 2 are needed")));
        };
        let names: Vec<String> = first.cells.iter().map(|c| c.trim().to_string()).collect();
        let (header, mut notes) = header(name, records, wanted)?;
        let place = |column: &str| place(name, records, &names, header, column);
        let label = wanted.label.map(place).transpose()?;
        let others: Vec<usize> = (0..names.len()).filter(|i| Some(*i) != label).collect();
        let text = match (wanted.text, &others[..]) {
            (Some(column), _) => place(column)?,
            (None, [one]) => *one,
            (None, []) => {
                let message =
                    format!("{name} has the column of labels alone; a second one with the texts is needed, after a tab, a comma, a semicolon or a '|'");
                return Err(Error::Input(message));
            }
            (None, _) => {
                let message = format!("{name} has {} columns besides that of the labels; say by `text_column` which one holds the texts", others.len());
                return Err(Error::Input(message));
            }
        };
        if Some(text) == label {
            return Err(Error::setting("label_column", "`label_column` and `text_column` are the same column"));
        }
        let places = Places { label: label.unwrap_or(text), text, header, notes: Vec::new() };
        if header && wanted.header.is_none() && wanted.label.is_some_and(is_name) {
            let named = &names[places.label];
            if let Some(line) = places.rows(records).find(|r| r.cells[places.label].trim() == named) {
                notes.push(format!(
                    "warning: {name} line 1 is taken for names of columns, but its {} is a label in line {} too; if it names none, give `label_column` {} `header` no",
                    short(named),
                    line.lines[0],
                    places.label + 1
                ));
            }
        }
        Ok(Places { notes, ..places })
    }

    /// The records without the header.
    fn rows<'r>(&self, records: &'r Records) -> impl Iterator<Item = &'r Record> {
        records.list.iter().skip(usize::from(self.header))
    }
}

/// Whether a column is given by name, not by number.
fn is_name(column: &str) -> bool {
    column.parse::<usize>().is_err()
}

/// The index of a column: by name if line 1 names columns, else by number.
fn place(name: &str, records: &Records, names: &[String], header: bool, column: &str) -> Result<usize> {
    let wrong = |what: String| Err(Error::Input(format!("{name} {what}")));
    let named: Vec<usize> = (0..names.len()).filter(|i| header && names[*i] == column).collect();
    match (&named[..], column.parse::<usize>()) {
        ([one], _) => Ok(*one),
        ([one, other, ..], _) => {
            let way = format!("rename one, or give its number with `header` yes: {} or {}", one + 1, other + 1);
            wrong(format!("line 1: columns {} and {} are both called {}; {way}", one + 1, other + 1, short(column)))
        }
        ([], Ok(n)) if (1..=names.len()).contains(&n) => Ok(n - 1),
        ([], Ok(_)) => wrong(format!("has no column {column:?}; there are 1 to {} (between {})", names.len(), records.between)),
        ([], Err(_)) => wrong(format!(
            "has no column {}; line 1 has {} (between {}); if that line names no columns, give a number from 1 to {}",
            short(column),
            listed(names),
            records.between,
            names.len()
        )),
    }
}

/// Whether line 1 names the columns. It does if the user says so, if a column is given by name, or if it counts from 0 as pandas does. If columns are given by
/// number, it does if its label occurs in no other line and its cells are typical column names, or the text cell is one word while the texts have several.
fn header(name: &str, records: &Records, wanted: Wanted<'_>) -> Result<(bool, Vec<String>)> {
    let named = [wanted.label, wanted.text].into_iter().flatten().find(|c| is_name(c));
    match (wanted.header, named) {
        (Some(false), Some(column)) => {
            return Err(Error::setting(
                "header",
                format!("`header` no says that line 1 names no columns, so {} is none; give the column's number, from 1", short(column)),
            ));
        }
        (Some(said), _) => return Ok((said, Vec::new())),
        (None, Some(_)) => return Ok((true, Vec::new())),
        (None, None) => {}
    }
    let (first, rest) = match &records.list[..] {
        [first, rest @ ..] if !rest.is_empty() => (&first.cells, rest),
        _ => return Ok((false, Vec::new())),
    };
    let names: Vec<String> = first.iter().map(|c| c.trim().to_string()).collect();
    let taken =
        |also: &str| format!("note: {name} line 1 is taken for names of columns: {}{also}; if it is a line like the others, give `header` no", listed(&names));
    if names.iter().enumerate().all(|(i, n)| *n == i.to_string()) {
        return Ok((true, vec![taken(", by which columns are called here")]));
    }
    let number = |column: Option<&str>| column.and_then(|c| c.parse::<usize>().ok()?.checked_sub(1)).filter(|i| *i < names.len());
    let label = number(wanted.label);
    let text = number(wanted.text).or_else(|| if names.len() == 2 { label.map(|l| 1 - l) } else { None });
    let alone = label.is_none_or(|l| rest.iter().all(|r| r.cells[l].trim() != names[l]));
    if !alone || (label.is_none() && text.is_none()) {
        return Ok((false, Vec::new()));
    }
    let several = |cell: &str| cell.trim().contains(char::is_whitespace);
    let word = text.is_some_and(|t| !several(&names[t]) && rest.iter().filter(|r| several(&r.cells[t])).count() * 10 >= rest.len() * 9);
    let called = [label, text].into_iter().flatten().all(|i| typical(&names[i])) || (label.is_some() && word);
    if called || (word && label.is_some_and(|l| typical(&names[l]))) {
        return Ok((true, vec![taken("")]));
    }
    let labels: BTreeSet<&str> = label.iter().flat_map(|l| rest.iter().map(|r| r.cells[*l].trim())).collect();
    let repeated = label.is_some() && labels.len() < rest.len();
    let warning =
        label.map(|l| format!("warning: {name}: the label {} stands in line 1 alone; if that line names the columns, give `header` yes", short(&names[l])));
    Ok((false, warning.filter(|_| repeated).into_iter().collect()))
}

/// The lines of the table.
fn lines(name: &str, content: &str, columns: Columns<'_>) -> Result<(Vec<Line>, Vec<String>)> {
    let named: Vec<&str> = [Some(columns.label), columns.text].into_iter().flatten().filter(|c| is_name(c)).collect();
    let records = Records::read(name, content, &named)?;
    let places = Places::find(name, &records, Wanted { label: Some(columns.label), text: columns.text, header: columns.header })?;
    let mut all = Vec::new();
    for record in places.rows(&records) {
        let number = record.lines[0];
        let (text, label) = (record.cells[places.text].clone(), record.cells[places.label].trim().to_string());
        let empty = if text.is_empty() { "text" } else { "label" };
        if text.is_empty() || label.is_empty() {
            return Err(Error::Input(format!("{name} line {number}: the {empty} is empty; fill it in, or leave the line out")));
        }
        all.push(Line { number, text, label });
    }
    if all.is_empty() {
        return Err(Error::Input(format!("{name} has no line besides its header; at least 2 are needed")));
    }
    Ok((all, [records.notes, places.notes].concat()))
}

/// The distinct labels, sorted.
fn distinct(name: &str, lines: &[Line]) -> Result<Vec<String>> {
    let mut labels: Vec<String> = lines.iter().map(|l| l.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    match &labels[..] {
        [one] => Err(Error::Input(format!("{name}: all {} lines have the label {}; at least 2 different ones are needed", lines.len(), short(one)))),
        _ => Ok(labels),
    }
}

/// A note on labels that differ only by case or whitespace.
fn alike(labels: &[String]) -> Option<String> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let bare = |label: &str| label.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect::<String>();
    labels.iter().for_each(|l| groups.entry(bare(l)).or_default().push(l.clone()));
    let several: Vec<String> = groups.into_values().filter(|g| g.len() > 1).map(|g| listed(&g)).collect();
    let told = several.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    (!several.is_empty()).then(|| format!("note: labels that differ by case or blanks alone are different labels: {told}"))
}

/// A quoted cell for a message, truncated if long.
fn short(cell: &str) -> String {
    const MOST: usize = 60;
    if cell.chars().count() > MOST { format!("{:?}...", cell.chars().take(MOST).collect::<String>()) } else { format!("{cell:?}") }
}

/// Names for a message: the first few of many.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(12).map(|n| short(n)).collect::<Vec<_>>().join(", ");
    if names.len() > 12 { format!("{first} and {} more", names.len() - 12) } else { first }
}

fn check_symbols(text: &Text, line: u64, content: &str, vocabulary: Option<&Vocabulary>) -> Result<()> {
    let Some(v) = vocabulary.filter(|v| v.kind() == Kind::Characters) else { return Ok(()) };
    match content.chars().find(|c| v.index(*c).is_none()) {
        Some(c) => Err(Error::Input(format!(
            "{} line {line}: character {c:?} (U+{:04X}) is not among the {} symbols that the model was trained on{}",
            text.name,
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
        Labelled::read(&Text::given("table", content), Columns { label, text, header: None }, Kind::Characters, None)
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
        // An unclosed quote is an ordinary character.
        assert_eq!(read("a\t\"x\nb\ty\n", "1", None).unwrap().symbols.text().utf8().unwrap(), "\"xy");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (content, label, text, words) in [
            ("text,label\nabc\n", "label", None, &["line 2", "1 column between commas, expected 2"][..]),
            ("text,label\nabc,x\n,y\n", "label", None, &["line 3", "text is empty"]),
            ("text,label\nabc,x\nd,\n", "label", None, &["line 3", "label is empty"]),
            ("text,label\nabc,x\nd,x\n", "label", None, &["all 2 lines", "\"x\""]),
            ("text,label\n", "label", None, &["no line besides its header"]),
            ("text,label\nabc,x\n", "mood", None, &["no column \"mood\"", "\"text\", \"label\""]),
            ("a,b\nc,d\n", "3", None, &["no column \"3\"", "1 to 2"]),
            ("a,b\nc,d\n", "0", None, &["no column \"0\""]),
            ("label\nabc\n", "label", None, &["column of labels alone"]),
            ("a,b,label\n1,2,3\n", "label", None, &["2 columns besides", "`text_column`"]),
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
            let columns = Columns { label: "2", text: None, header: None };
            Labelled::read(&Text::given("table", content), columns, Kind::Characters, Some(&codec)).map(|l| l.classes).map_err(|e| e.to_string())
        };
        assert_eq!(with("c,y\n").unwrap(), [1]);
        assert!(with("c,y\nd,x\n").unwrap_err().contains("table line 2: character 'd'"));
        assert!(with("c,y\na,z\n").unwrap_err().contains("table line 2: the label \"z\" is not among the model's: \"x\", \"y\""));
    }
}
