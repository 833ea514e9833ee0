//! Detects tables among texts: users who train on one as characters mostly meant something else.

use crate::data::{Text, cells};
use crate::error::{Error, Result};

/// Bytes of the file examined.
const LOOKED: usize = 64 << 10;
/// Lines examined.
const LINES: usize = 50;
/// Minimum number of lines to take a file for a table by its content.
const FEWEST: usize = 3;
/// Names that a message lists, at most.
const LISTED: usize = 8;

/// The findings from the first lines of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looks {
    file: String,
    delimiter: char,
    /// Column names; `None` if the first line has numbers.
    names: Option<Vec<String>>,
    /// For each column, whether it holds only numbers.
    numbers: Vec<bool>,
}

impl Looks {
    /// Detects a table by its file name (.csv, .tsv, .tab) or by its content: the same number of cells in each line, and a numeric column. `None` for a text.
    pub(crate) fn of(text: &Text) -> Option<Self> {
        let ending = text.path.as_deref().and_then(|p| p.extension()).map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let named = ["csv", "tsv", "tab"].contains(&ending.as_str());
        // An unreadable file is refused later, when it is opened.
        let start = text.bytes(0..text.len().min(LOOKED as u64)).ok()?;
        let start = &start[..];
        let content = match std::str::from_utf8(start) {
            Ok(content) => content,
            Err(e) if e.error_len().is_none() => std::str::from_utf8(&start[..e.valid_up_to()]).ok()?,
            Err(_) => return None,
        };
        let content = content.trim_start_matches('\u{feff}');
        // The last line may be truncated.
        let whole = if text.len() > LOOKED as u64 { content.rfind('\n').map_or(content, |at| &content[..at]) } else { content };
        let found = |delimiter| Self::split(&text.name, whole, delimiter);
        let by_content = ['\t', ';', ',', '|', ' '].into_iter().filter_map(found).find(Self::telling);
        let by_name = || {
            if ending == "csv" { [',', ';', '\t', '|'] } else { ['\t', ',', ';', '|'] }
                .into_iter()
                .rev()
                .filter_map(found)
                .max_by_key(|l| l.numbers.len().min(2))
        };
        by_content.or_else(|| by_name().filter(|_| named))
    }

    fn split(file: &str, content: &str, delimiter: char) -> Option<Self> {
        let mut reader = cells::reader(content, delimiter as u8, true);
        let rows: Vec<cells::Record> = reader.records().take(LINES).collect::<std::result::Result<_, _>>().ok()?;
        let first = rows.first()?;
        let width = first.len();
        let equal = rows.len() >= FEWEST && rows.iter().all(|row| row.len() == width);
        let numeric = |cell: &str| number(cell, delimiter);
        let header = !first.iter().any(|cell| numeric(cell.trim()) == Some(true));
        let below = &rows[usize::from(header)..];
        let column = |i: usize| {
            let cells = below.iter().filter_map(|row| row.get(i)).map(|cell| numeric(cell.trim()));
            // Empty cells are neutral.
            cells.clone().any(|c| c == Some(true)) && cells.clone().all(|c| c != Some(false))
        };
        let numbers = (0..width).map(|i| equal && column(i)).collect();
        let names = header.then(|| first.iter().map(|name| name.trim().to_string()).collect());
        Some(Looks { file: file.to_string(), delimiter, names, numbers })
    }

    /// Whether the content alone suffices: all columns but one (a time, a name, a label) are numeric;
    /// separated by spaces, which texts have too, all columns; or one numeric column below its name.
    fn telling(&self) -> bool {
        let others = self.numbers.iter().filter(|is| !**is).count();
        let enough = if self.delimiter == ' ' { others == 0 } else { others <= 1 };
        enough && self.numbers.contains(&true) && (self.numbers.len() > 1 || self.names.is_some())
    }

    /// The error that tells how to train on the table's data, or to confirm training on its characters; `table` is whether the command reads tables.
    pub(crate) fn question(&self, table: bool) -> Error {
        let names = |wanted: bool| -> Vec<String> {
            let all = self.names.iter().flatten().zip(&self.numbers);
            all.filter(|(_, is)| **is == wanted).map(|(name, _)| if name.contains(',') { format!("\"{name}\"") } else { name.clone() }).collect()
        };
        let (numbers, others) = (names(true), names(false));
        let apart = if self.delimiter == ',' { String::new() } else { format!(" `delimiter` '{}'", self.delimiter.escape_default()) };
        let mut ways = Vec::new();
        match (table, &self.names, numbers.first()) {
            (false, ..) => {}
            (true, None, _) => {
                ways.push(format!(
                    "put a line with a name for each of its {} columns above the numbers and give `target` NAME{apart} to forecast",
                    self.numbers.len()
                ));
            }
            (true, Some(_), Some(one)) => {
                let time = if let [time] = &others[..] { format!(" `time` {}", crate::phrase::shell_word(time)) } else { String::new() };
                ways.push(format!("give `target` {}{time}{apart} to forecast (columns of numbers: {})", crate::phrase::shell_word(one), listed(&numbers)));
            }
            (true, Some(_), None) => {}
        }
        if let (true, [.., last], true) = (table, &others[..], self.numbers.len() > 1) {
            ways.push(format!("give `label_column` {} to learn labels (other columns: {})", crate::phrase::shell_word(last), listed(&others)));
        }
        ways.push("give `table_as_text` to train on its characters".to_string());
        Error::Usage(format!("{} looks like a table, not a text; {}", self.file, ways.join("; or ")))
    }
}

/// Refuses to read a table as characters, unless `asked_for`.
///
/// # Errors
/// [`Error::Usage`] that names the options; `table` is whether the command reads tables.
pub(crate) fn ask_about_tables(text: &Text, asked_for: bool, table: bool) -> Result<()> {
    if asked_for { Ok(()) } else { Looks::of(text).map_or(Ok(()), |looks| Err(looks.question(table))) }
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    names.iter().take(LISTED).map(|n| short(n)).collect::<Vec<_>>().join(", ") + &more
}

/// A truncated name: the first line of a file that is not a table may have any length.
fn short(name: &str) -> String {
    if name.chars().count() > 30 { name.chars().take(29).chain(['…']).collect() } else { name.to_string() }
}

/// Whether a cell is a number; `None` if it is empty. A decimal comma is accepted unless commas separate cells.
fn number(cell: &str, delimiter: char) -> Option<bool> {
    if cell.is_empty() {
        return None;
    }
    let plain = if delimiter == ',' { cell.to_string() } else { cell.replacen(',', ".", 1) };
    // `nan` and `inf` are words, at best missing values.
    Some(plain.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && plain.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn of(name: &str, content: &str) -> Option<String> {
        let mut text = Text::given(name, content);
        text.path = Some(PathBuf::from(name));
        Looks::of(&text).map(|looks| looks.question(true).to_string())
    }

    #[test]
    fn tables_are_told_by_name_or_content() {
        let sales = "day,price,sold\n2024-01-01,3.5,7\n2024-01-02,3.25,\n2024-01-03,3.5,9\n";
        let asked = "looks like a table, not a text; give `target` price `time` day to forecast (columns of numbers: price, sold); \
            or give `label_column` day to learn labels (other columns: day); or give `table_as_text` to train on its characters";
        for name in ["sales.csv", "sales.txt", "sales"] {
            assert_eq!(of(name, sales), Some(format!("{name} {asked}")));
        }
        let tabs = of("s.tsv", "a\tb\n1\t2,5\n3\t4,5\n").unwrap();
        assert!(tabs.contains("`target` a `delimiter` '\\t' to forecast (columns of numbers: a, b)"), "{tabs}");
        let mails = of("mails.csv", "mood,text\nspam,hello you\nham,\"good, day\"\n").unwrap();
        assert!(mails.contains("`label_column` text") && !mails.contains("`target`"), "{mails}");
        let bare = of("m.dat", "1 2.5 3\n4 5.5 6\n7 8.5 9\n").unwrap();
        assert!(bare.contains("a line with a name for each of its 3 columns") && bare.contains("`delimiter` ' '"), "{bare}");
        assert!(of("one.txt", "price\n3.5\n2.5\n1\n").unwrap().contains("`target` price"));
        assert!(of("one.csv", "Ann\nBob\n").unwrap().ends_with("not a text; give `table_as_text` to train on its characters"));
        assert!(of("bom.csv", "\u{feff}a;b\n1;2\n3;4\n").unwrap().contains("`target` a `delimiter` ';'"));
    }

    #[test]
    fn texts_are_no_tables() {
        for text in [
            "To be, or not\nTo sleep, no more\nAnd so, it ends\n",
            "1\n22\n333\n",
            "a b\nc d\ne f\n",
            "x = 1;\ny = 2;\nz = 3;\n",
            "verse 1 of the book\nverse 2 of the book\nverse 3 of the book\n",
            "12:01 GET /a 200\n12:02 GET /b 404\n12:03 GET /c 200\n",
            "{\"a\": 1, \"b\": 2}\n{\"a\": 3, \"b\": 4}\n",
        ] {
            assert_eq!(of("t.txt", text), None, "{text:?}");
        }
    }
}
