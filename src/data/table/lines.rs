//! The lines of a table: the delimiter, the header, and lines that are not rows.

use super::cell;
use crate::data::cells;
use crate::error::{Error, Result, listed, quoted};

/// Possible delimiters, the likeliest first.
const BETWEEN: [char; 4] = [',', ';', '\t', '|'];
/// Rows examined to find the delimiter.
const LOOKED_AT: usize = 30;

/// The layout of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Delimiter of cells.
    pub delimiter: char,
    /// Byte at which the header begins.
    start: usize,
    /// Number of lines before it.
    before: u64,
}

impl Layout {
    /// The layout of a table, with the delimiter if `given`. Skips comment lines before the header, and Excel's line `sep=;`.
    pub(super) fn of(content: &str, given: Option<char>) -> Self {
        let (mut start, mut before, mut stated) = (0, 0, None);
        let line = |at: usize| content[at..].split_inclusive('\n').next().unwrap_or_default();
        let first = line(0).trim_end_matches(['\r', '\n']);
        if let Some(c) = first.get(..4).filter(|s| s.eq_ignore_ascii_case("sep=")).and_then(|_| first[4..].chars().next()).filter(char::is_ascii) {
            stated = Some(c);
            (start, before) = (line(0).len(), 1);
        }
        let mut comment = None;
        while content[start..].starts_with('#') {
            comment = Some((start, before));
            (start, before) = (start + line(start).len(), before + 1);
        }
        let find = |start: usize| given.or(stated).unwrap_or_else(|| found(&content[start..]));
        // Some programs put the header in a comment, and the first column may be called "#".
        if let Some((at, above)) = comment {
            let delimiter = find(start);
            let cells = |line: &str| line.split(delimiter).map(str::trim).map(String::from).collect::<Vec<_>>();
            let (names, next) = (cells(line(at)), cells(line(start)));
            let data = next.iter().any(|c| c.starts_with(|c: char| c.is_ascii_digit() || c == '-') || cell::missing(c) && !c.is_empty());
            if next == [""] || names.len() == next.len() && data {
                let name = if names[0] == "#" { 0 } else { 1 };
                return Layout { delimiter, start: at + name, before: above };
            }
        }
        Layout { delimiter: find(start), start, before }
    }
}

/// The delimiter that splits the first rows into the same number of cells, and into the most.
fn found(content: &str) -> char {
    let score = |c: char| {
        let mut reader = cells::reader(content, c as u8, true);
        let mut rows = reader.records().take(LOOKED_AT).map_while(std::result::Result::ok);
        let names = rows.next().map_or(0, |r| r.len());
        let even = rows.all(|r| r.len() == names || r.iter().skip(names).all(str::is_empty) && r.len() > names);
        (names > 1 && even, names)
    };
    let best = BETWEEN.into_iter().rev().max_by_key(|c| score(*c));
    best.unwrap_or(',')
}

/// Reads the rows of a table.
pub(super) struct Lines<'a> {
    file: &'a str,
    content: &'a str,
    reader: cells::Reader<'a>,
    record: cells::Record,
    layout: Layout,
    /// Column names; empty where a column has none.
    pub header: Vec<String>,
    /// Whether a first cell that begins with `#` may be data.
    hashes: bool,
    /// Number of empty rows, and of comment lines, that were skipped.
    pub blank: u64,
    pub comments: u64,
    /// Multi-line records: how many, and the first and last line of the first.
    pub long: Option<(u64, u64, u64)>,
}

impl<'a> Lines<'a> {
    fn begin(file: &'a str, content: &'a str, layout: Layout) -> Self {
        let rest = &content[layout.start..];
        let reader = cells::reader(rest, layout.delimiter as u8, true);
        Lines { file, content: rest, reader, record: cells::Record::new(), layout, header: Vec::new(), hashes: true, blank: 0, comments: 0, long: None }
    }

    /// Numbers the columns from 1 on, for a file whose first line is a row.
    pub(super) fn numbered(file: &'a str, content: &'a str, layout: Layout) -> Result<Self> {
        let mut first = Self::begin(file, content, layout);
        if first.record()?.is_none() {
            return Err(Error::Input(format!("{file} is empty; give a CSV file")));
        }
        let header = (1..=first.record.len()).map(|n| n.to_string()).collect();
        Ok(Lines { header, record: first.record, ..Self::begin(file, content, layout) })
    }

    /// The cells that were read last; of a file without a header, at the beginning, those of its first line.
    pub(super) fn first(&self) -> Vec<&str> {
        self.record.iter().collect()
    }

    /// Reads the header.
    pub(super) fn open(file: &'a str, content: &'a str, layout: Layout) -> Result<Self> {
        let mut lines = Self::begin(file, content, layout);
        if lines.record()?.is_none() {
            return Err(Error::Input(format!("{file} is empty; give a CSV file whose first line names the columns")));
        }
        lines.header = lines.record.iter().map(|c| c.trim().to_string()).collect();
        let line = layout.before + 1;
        if let [one] = &lines.header[..]
            && let Some(other) = BETWEEN.into_iter().find(|c| *c != layout.delimiter && one.contains(*c))
        {
            return Err(Error::Input(format!(
                "{file} line {line}: one column only, {}; if {other:?} stands between cells, give `delimiter` '{}'",
                quoted(one),
                other.escape_default()
            )));
        }
        if lines.header.iter().all(|name| name.is_empty() || name.parse::<f64>().is_ok()) {
            return Err(Error::Input(format!(
                "{file} line {line}: numbers ({}) where names of columns were expected; put a line with a name for each column above",
                listed(&lines.header)
            )));
        }
        Ok(lines)
    }

    /// Sets whether cells of the first column may begin with `#` without being comments.
    pub(super) fn first_column_is_text(&mut self, text: bool) {
        self.hashes = text;
    }

    /// The next row that is not empty, with its line.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &cells::Record)>> {
        loop {
            let Some((line, last)) = self.record()? else { return Ok(None) };
            let names = self.header.len();
            if names > 1 && self.record.iter().all(|c| c.trim().is_empty()) {
                self.blank += 1;
                continue;
            }
            if self.is_comment() {
                self.comments += 1;
                continue;
            }
            let cells = self.record.len();
            if cells < names || self.record.iter().skip(names).any(|c| !c.trim().is_empty()) {
                let joined = if last > line { format!(" (a quote that opens there closes in line {last})") } else { String::new() };
                return Err(Error::Input(format!(
                    "{} line {line}: {cells} cell{}{joined}, but the header names {names} ({}); mend the line, or quote cells that hold {:?}",
                    self.file,
                    if cells == 1 { "" } else { "s" },
                    listed(&self.header),
                    self.layout.delimiter
                )));
            }
            return Ok(Some((line, &self.record)));
        }
    }

    fn is_comment(&self) -> bool {
        let first = self.record.get(0).unwrap_or_default();
        first.starts_with('#') && !cell::missing(first) && (self.record.len() != self.header.len() || !self.hashes)
    }

    /// The next record, with its first and last line.
    fn record(&mut self) -> Result<Option<(u64, u64)>> {
        let failed = |e: cells::Error| Error::Input(format!("{}: {e}; give a CSV file", self.file));
        if !self.reader.read_record(&mut self.record).map_err(failed)? {
            return Ok(None);
        }
        let place = self.record.position().map_or((0, 1), |p| (p.byte() as usize, p.line()));
        let end = (self.reader.position().byte() as usize).min(self.content.len());
        let raw = &self.content[place.0.min(end)..end];
        // The reader includes empty lines before a record.
        let own = raw.trim_start_matches(['\r', '\n']);
        let skipped = breaks(&raw[..raw.len() - own.len()]);
        let line = self.layout.before + place.1 + skipped;
        let own = own.trim_end_matches(['\r', '\n']);
        let last = line + breaks(own);
        if end == self.content.len() || last > line {
            self.check_quotes(own, line)?;
        }
        if last > line {
            let (count, first, end) = self.long.unwrap_or((0, line, last));
            self.long = Some((count + 1, first, end));
        }
        Ok(Some((line, last)))
    }

    /// Checks that a quote that opens a cell closes at the end of a cell.
    fn check_quotes(&self, record: &str, line: u64) -> Result<()> {
        let place = |at: usize| line + breaks(&record[..at]);
        let shown = |at: usize| quoted(record[at..].lines().next().unwrap_or_default());
        let way = "close it, or, inside of quotes, write it twice (\"\") where it belongs to the text";
        match stray_quote(record, self.layout.delimiter) {
            Some((at, None)) => Err(Error::Input(format!("{} line {}: a quote opens here and never closes: {}; {way}", self.file, place(at), shown(at)))),
            Some((at, Some(end))) if place(end) > place(at) => Err(Error::Input(format!(
                "{} line {}: a quote opens here, {}, and closes in line {}, not at the end of a cell; {way}",
                self.file,
                place(at),
                shown(at),
                place(end)
            ))),
            _ => Ok(()),
        }
    }

    /// Notes on what was detected and skipped.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.layout.delimiter != ',' {
            notes.push(format!("{:?} stands between cells", self.layout.delimiter));
        }
        if self.blank > 0 {
            notes.push(format!("{} without a cell {} passed over", rows(self.blank), if self.blank == 1 { "is" } else { "are" }));
        }
        if self.comments > 0 {
            let lines = if self.comments == 1 { "1 line that begins".to_string() } else { format!("{} lines that begin", self.comments) };
            notes.push(format!("{lines} with # {} passed over", if self.comments == 1 { "is" } else { "are" }));
        }
        if let Some((count, first, last)) = self.long {
            let many = if count == 1 { "a row with a cell in quotes goes".to_string() } else { format!("{count} rows with cells in quotes go") };
            notes.push(format!(
                "{many} over several lines, {}lines {first} to {last}; a stray quote does that too",
                if count == 1 { "" } else { "the first over " }
            ));
        }
        notes
    }
}

/// "1 row" or "n rows".
pub(super) fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_string() } else { format!("{count} rows") }
}

fn breaks(text: &str) -> u64 {
    text.bytes().filter(|b| *b == b'\n').count() as u64
}

/// The byte of a quote that opens a cell and never closes, or also that of one that closes it before its end.
fn stray_quote(record: &str, delimiter: char) -> Option<(usize, Option<usize>)> {
    let (mut open, mut begins) = (None, true);
    let mut chars = record.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (open, c) {
            (None, '"') if begins => open = Some(at),
            (Some(start), '"') if chars.next_if(|next| next.1 == '"').is_none() => {
                let ends = chars.peek().is_none_or(|next| next.1 == delimiter || "\r\n".contains(next.1));
                if !ends && record[start..at].contains('\n') {
                    return Some((start, Some(at)));
                }
                open = None;
            }
            _ => {}
        }
        begins = open.is_none() && (c == delimiter || c == '\n');
    }
    open.map(|at| (at, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header, rows with their lines, notes.
    type Read = (Vec<String>, Vec<(u64, Vec<String>)>, Vec<String>);

    fn read(content: &str, given: Option<char>) -> Result<Read> {
        let mut lines = Lines::open("t", content, Layout::of(content, given))?;
        lines.first_column_is_text(false);
        let mut all = Vec::new();
        while let Some((line, record)) = lines.next()? {
            all.push((line, record.iter().take(2).map(String::from).collect()));
        }
        Ok((lines.header.clone(), all, lines.notes()))
    }

    #[test]
    fn delimiters_are_found() {
        for (content, c) in [
            ("a,b\n1,2\n", ','),
            ("a;b\n1,5;2\n3,5;4\n", ';'),
            ("a\tb c,d\n1\t2\n", '\t'),
            ("a|b|c\n1|2|3\n", '|'),
            ("a,b;c\n1,2\n", ','),
            ("a\n1\n", ','),
            ("sep=|\na|b\n1|2\n", '|'),
            ("# x;y\n# z\na;b\n1;2\n", ';'),
            ("a;b;;\n1;2;;\n", ';'),
        ] {
            assert_eq!(Layout::of(content, None).delimiter, c, "{content}");
        }
        assert_eq!(Layout::of("a;b\n", Some(',')).delimiter, ',');
    }

    #[test]
    fn headers_stand_below_comments_or_in_them() {
        for (content, header, first) in [
            ("# made by x, on monday\na,b\n1,2\n", ["a", "b"], 3),
            ("#a,b\n1,2\n", ["a", "b"], 2),
            ("# from: x\n# a,b\n1,2\n", ["a", "b"], 3),
            ("#,b\n1,2\n", ["#", "b"], 2),
            ("sep=;\n\na;b\n1;2\n", ["a", "b"], 4),
            ("a,b\n# a note, of two cells\n1,2\n", ["a", "b"], 3),
        ] {
            let (names, rows, _) = read(content, None).unwrap();
            assert_eq!((names, rows[0].0), (header.map(String::from).to_vec(), first), "{content}");
        }
        let (_, rows, notes) = read("a,b\n#N/A,2\n,\n#1,2\n3,4,\n", None).unwrap();
        assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(notes, ["1 row without a cell is passed over", "1 line that begins with # is passed over"]);
    }

    #[test]
    fn quotes_that_stay_open_are_named_by_their_line() {
        for (content, line) in
            [("a,b\n1,2\n3,\"4\n5,6\n7,8\n", 3), ("a,\"b\n1,2\n3,4\n", 1), ("a,b\n1,2\n\"3\"\"\n", 3), ("a,b\n1,\"x\ny\"\n\"3,4\n", 4), ("# c\na;b\n1;\"2", 3)]
        {
            let e = read(content, None).unwrap_err().to_string();
            assert!(e.contains(&format!("line {line}: a quote opens here")), "{content}: {e}");
        }
        // A quote inside a cell that does not begin with one is text.
        assert!(read("a,b\n1,2\n3,5\" pipe\n", None).is_ok());
        let (_, rows, notes) = read("a,b\n1,\"x\ny\nz\"\n2,u\n3,\"v\nw\"", None).unwrap();
        assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 5, 6]);
        assert_eq!(notes, ["2 rows with cells in quotes go over several lines, the first over lines 2 to 4; a stray quote does that too"]);
        let e = read("a,b\n1,\"2\n3,4\n5,\"6\n", None).unwrap_err().to_string();
        assert!(e.contains("line 2: a quote opens here, \"\\\"2\", and closes in line 4"), "{e}");
        let e = read("a,b,c\n1,\"2\n3\",4\n5,6,7\n", None);
        assert!(e.is_ok());
        let e = read("a,b,c\n1,\"2\n3\"\n5,6,7\n", None).unwrap_err().to_string();
        assert!(e.contains("line 2: 2 cells (a quote that opens there closes in line 3)"), "{e}");
    }
}
