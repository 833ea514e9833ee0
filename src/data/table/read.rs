//! Reading a table: what is wrong with a file is said with its line and column.

use super::cell::{Cell, cell};
use super::{Asked, Column, Group, Missing, Sheet};
use crate::data::Text;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Most names that a message lists.
const LISTED: usize = 20;

impl Sheet {
    /// Reads the columns of a table that are asked for.
    ///
    /// # Errors
    /// [`Error::Input`] with file, line and column, what was found and what to do, if it is not a whole table of numbers.
    pub fn read(text: &Text, asked: &Asked) -> Result<Self> {
        let content = &text.utf8()?;
        let mut reader = csv::ReaderBuilder::new().delimiter(asked.delimiter as u8).flexible(true).has_headers(false).from_reader(content.as_bytes());
        let mut record = csv::StringRecord::new();
        let failed = |e: csv::Error| Error::Input(format!("{}: {e}; give a CSV file", text.name));
        if !reader.read_record(&mut record).map_err(failed)? {
            return Err(Error::Input(format!("{} is empty; give a CSV file whose first line names the columns", text.name)));
        }
        let header: Vec<String> = record.iter().map(|c| c.trim().to_string()).collect();
        check_header(&text.name, &header, asked.delimiter)?;
        let plan = Chosen::of(&text.name, &header, asked)?;
        let mut rows = Rows::new(&plan);
        while reader.read_record(&mut record).map_err(failed)? {
            let line = record.position().map_or(0, |p| line_of(content, p));
            if record.len() != header.len() {
                let (found, expected) = (record.len(), header.len());
                return Err(Error::Input(format!(
                    "{} line {line}: {found} cells, but the header names {expected} ({}); mend the line, or quote cells that hold {:?}",
                    text.name,
                    listed(&header),
                    asked.delimiter
                )));
            }
            rows.take(&text.name, line, &record, &plan, asked)?;
        }
        if rows.lines.is_empty() {
            return Err(Error::Input(format!("{} has a header ({}) and no rows; give a file with numbers below it", text.name, listed(&header))));
        }
        rows.sheet(text, &plan, asked)
    }
}

/// The line of a record, empty ones before it skipped.
fn line_of(content: &str, place: &csv::Position) -> u64 {
    let rest = &content.as_bytes()[(place.byte() as usize).min(content.len())..];
    place.line() + rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count() as u64
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ") + &more
}

fn check_header(file: &str, header: &[String], delimiter: char) -> Result<()> {
    let wrong = |what: String| Err(Error::Input(format!("{file} line 1: {what}")));
    if let [one] = header
        && let Some(other) = [',', ';', '\t', '|'].into_iter().find(|c| *c != delimiter && one.contains(*c))
    {
        return wrong(format!("one column only, {one:?}; if {other:?} stands between cells, give --delimiter '{}'", other.escape_default()));
    }
    if let Some(i) = header.iter().position(String::is_empty) {
        return wrong(format!("column {} has no name; name every column in the first line", i + 1));
    }
    if header.iter().all(|name| name.parse::<f64>().is_ok()) {
        return wrong(format!("numbers ({}) where names of columns were expected; put a line with a name for each column above", listed(header)));
    }
    let twice = |i: &usize| header[..*i].contains(&header[*i]);
    match (0..header.len()).find(twice) {
        Some(i) => {
            let first = header.iter().position(|n| *n == header[i]).unwrap_or(0);
            wrong(format!("columns {} and {} are both called {:?}; give each a name of its own", first + 1, i + 1, header[i]))
        }
        None => Ok(()),
    }
}

/// The places of the columns that are used.
struct Chosen {
    names: Vec<String>,
    places: Vec<usize>,
    features: usize,
    targets: Vec<usize>,
    series: Option<usize>,
    time: Option<usize>,
}

impl Chosen {
    fn of(file: &str, header: &[String], asked: &Asked) -> Result<Self> {
        let find = |flag: &str, name: &String| {
            let at = header.iter().position(|h| h == name);
            at.ok_or_else(|| Error::Input(format!("{file} has no column {name:?}, which --{flag} names; its columns are {}", listed(header))))
        };
        let one = |flag: &str, name: &Option<String>| name.as_ref().map(|n| find(flag, n)).transpose();
        let (series, time) = (one("series", &asked.series)?, one("time", &asked.time)?);
        let apart = |at: &usize| Some(*at) != series && Some(*at) != time;
        let mut places = match &asked.features {
            Some(names) => names.iter().map(|n| find("features", n)).collect::<Result<Vec<_>>>()?,
            None => (0..header.len()).filter(apart).collect(),
        };
        let features = places.len();
        let wanted = asked.targets.iter().map(|n| find("target", n)).collect::<Result<Vec<_>>>()?;
        for (flag, at) in places.iter().map(|p| ("features", p)).chain(wanted.iter().map(|p| ("target", p))) {
            if !apart(at) {
                let as_what = if Some(*at) == series { "series" } else { "time" };
                return Err(Error::Usage(format!("column {:?} is named by --{flag} and by --{as_what}; a column is one or the other", header[*at])));
            }
        }
        if series.is_some() && series == time {
            return Err(Error::Usage(format!(
                "column {:?} is named by --series and by --time; a column is one or the other",
                asked.series.clone().unwrap_or_default()
            )));
        }
        for (flag, names) in [("target", Some(&asked.targets)), ("features", asked.features.as_ref())] {
            let names = names.map_or(&[][..], |n| n);
            if names.is_empty() && (flag == "target" || asked.features.is_some()) {
                return Err(Error::Usage(format!("--{flag} names no column; {file} has {}", listed(header))));
            }
            if let Some(twice) = (0..names.len()).find(|i| names[..*i].contains(&names[*i])) {
                return Err(Error::Usage(format!("--{flag} names column {:?} twice; name it once", names[twice])));
            }
        }
        for at in &wanted {
            if !places.contains(at) {
                places.push(*at);
            }
        }
        let targets = wanted.iter().filter_map(|at| places.iter().position(|p| p == at)).collect();
        Ok(Chosen { names: places.iter().map(|p| header[*p].clone()).collect(), places, features, targets, series, time })
    }
}

/// Rows in the order of the file.
struct Rows {
    columns: Vec<Vec<f64>>,
    lines: Vec<u64>,
    times: Vec<String>,
    /// The series of each row; empty if there is one.
    series: Vec<u32>,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The last row of each series.
    last: Vec<usize>,
}

impl Rows {
    fn new(plan: &Chosen) -> Self {
        let columns = vec![Vec::new(); plan.places.len()];
        Rows { columns, lines: Vec::new(), times: Vec::new(), series: Vec::new(), names: Vec::new(), numbers: HashMap::new(), last: Vec::new() }
    }

    fn take(&mut self, file: &str, line: u64, record: &csv::StringRecord, plan: &Chosen, asked: &Asked) -> Result<()> {
        let wrong = |name: &str, what: String| Err(Error::Input(format!("{file} line {line}, column {name:?}: {what}")));
        for ((place, name), column) in plan.places.iter().zip(&plan.names).zip(&mut self.columns) {
            let text = &record[*place];
            column.push(match cell(text) {
                Cell::Number(x) => x,
                Cell::Missing if asked.missing != Missing::Refuse => f64::NAN,
                Cell::Missing => {
                    let found = if text.trim().is_empty() { "the cell is empty".to_string() } else { format!("{:?} is no number", text.trim()) };
                    return wrong(name, format!("{found}; fill it in, remove the row, or say how to fill it: --missing previous, zero or mean"));
                }
                Cell::Wrong(what) => return wrong(name, format!("{:?} {what}", shortened(text.trim()))),
            });
        }
        if self.lines.len() >= u32::MAX as usize {
            return Err(Error::Input(format!("{file} has more than {} rows; give fewer", u32::MAX)));
        }
        let series = match plan.series {
            Some(at) => {
                let name = record[at].trim();
                if name.is_empty() {
                    return wrong(asked.series.as_deref().unwrap_or_default(), "the cell is empty: the row belongs to no series; fill it in".to_string());
                }
                let next = self.names.len() as u32;
                let number = *self.numbers.entry(name.to_string()).or_insert(next);
                if number == next {
                    self.names.push(name.to_string());
                }
                self.series.push(number);
                number as usize
            }
            None => 0,
        };
        if let Some(at) = plan.time {
            self.times.push(record[at].trim().to_string());
            self.in_order(file, line, series, asked)?;
        }
        self.last.resize(self.last.len().max(series + 1), usize::MAX);
        self.last[series] = self.lines.len();
        self.lines.push(line);
        Ok(())
    }

    /// Rows are in the order of time, where times can be compared.
    fn in_order(&self, file: &str, line: u64, series: usize, asked: &Asked) -> Result<()> {
        let Some(&before) = self.last.get(series).filter(|l| **l != usize::MAX) else { return Ok(()) };
        let (earlier, later) = (&self.times[before], &self.times[self.times.len() - 1]);
        let order = match (earlier.parse::<f64>(), later.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.partial_cmp(&b),
            _ if iso(earlier) && iso(later) && earlier.len() == later.len() => Some(earlier.cmp(later)),
            _ => None,
        };
        let place = format!("{file} line {line}, column {:?}", asked.time.as_deref().unwrap_or_default());
        match order {
            Some(std::cmp::Ordering::Greater) => {
                Err(Error::Input(format!("{place}: {later} behind {earlier}: the rows of a series must follow each other in time; sort the file")))
            }
            Some(std::cmp::Ordering::Equal) if asked.series.is_none() => {
                Err(Error::Input(format!("{place}: {later} occurs twice; if the file holds several series, name the column that tells them apart by --series")))
            }
            Some(std::cmp::Ordering::Equal) => Err(Error::Input(format!("{place}: {later} occurs twice in a series; remove one of the rows"))),
            _ => Ok(()),
        }
    }

    /// Puts the rows of each series together.
    fn sheet(mut self, text: &Text, plan: &Chosen, asked: &Asked) -> Result<Sheet> {
        let rows = self.lines.len();
        let mut groups = vec![Group { name: None, rows: 0..rows }];
        if plan.series.is_some() {
            let mut order: Vec<usize> = (0..rows).collect();
            order.sort_by_key(|r| self.series[*r]);
            for column in &mut self.columns {
                *column = order.iter().map(|r| column[*r]).collect();
            }
            self.lines = order.iter().map(|r| self.lines[*r]).collect();
            if !self.times.is_empty() {
                self.times = order.iter().map(|r| std::mem::take(&mut self.times[*r])).collect();
            }
            let start = |i: usize| order.partition_point(|r| (self.series[*r] as usize) < i);
            groups = self.names.iter().enumerate().map(|(i, name)| Group { name: Some(name.clone()), rows: start(i)..start(i + 1) }).collect();
        }
        let mut columns = Vec::new();
        for (name, values) in plan.names.iter().zip(self.columns) {
            let filled = (0u32..).zip(&values).filter(|(_, x)| x.is_nan()).map(|(r, _)| r).collect();
            columns.push(Column { name: name.clone(), values, filled });
        }
        let mut sheet = Sheet {
            name: text.name.clone(),
            path: text.path.clone(),
            bytes: text.len(),
            checksum: text.checksum()?,
            columns,
            features: plan.features,
            targets: plan.targets.clone(),
            groups,
            times: self.times,
        };
        if asked.missing == Missing::Previous {
            sheet.fill_previous(&self.lines)?;
        }
        if asked.missing == Missing::Zero {
            sheet.columns.iter_mut().flat_map(|c| &mut c.values).filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
        }
        Ok(sheet)
    }
}

/// Year first, so that text is in the order of time.
fn iso(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() >= 6 && b[..4].iter().all(u8::is_ascii_digit) && (b[4] == b'-' || b[4] == b'/')
}

fn shortened(text: &str) -> String {
    if text.chars().count() > 40 { text.chars().take(39).chain(['…']).collect() } else { text.to_string() }
}
