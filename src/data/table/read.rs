//! Reads a table. Errors name line and column.

use super::cell::{Cell, Style, Survey, Wrong};
use super::chosen::Chosen;
use super::lines::{Layout, Lines};
use super::timeline::{self, Timeline};
use super::{Column, ColumnSpec, Group, Missing, Sheet};
use crate::data::numbers::Values;
use crate::data::{Text, cells};
use crate::error::{Error, Result, listed, quoted};
use std::collections::HashMap;
use std::path::PathBuf;

impl Sheet {
    /// Reads the requested columns of a table.
    ///
    /// # Errors
    /// [`Error::Input`] with file, line and column, what was found and what to do, if it is not a complete numeric table.
    pub fn read(text: &Text, asked: &ColumnSpec) -> Result<Self> {
        cells::available()?;
        let content = text.utf8()?;
        let layout = Layout::of(&content, asked.delimiter);
        let mut lines = Lines::open(&text.name, &content, layout)?;
        let chosen = Chosen::of(&text.name, &lines.header, asked)?;
        let hashes = !chosen.places.contains(&0) && chosen.time != Some(0);
        lines.first_column_is_text(hashes);
        let mut survey = Survey::new(&chosen.names);
        while let Some((line, record)) = lines.next()? {
            chosen.places.iter().enumerate().for_each(|(i, place)| survey.look(i, line, record.get(*place).unwrap_or_default()));
        }
        let (style, mut notes) = survey.style(&text.name, layout.delimiter, asked.decimal, asked.usual_decimal)?;
        let mut lines = Lines::open(&text.name, &content, layout)?;
        lines.first_column_is_text(hashes);
        let mut rows = Rows::new(&chosen, style);
        while let Some((line, record)) = lines.next()? {
            rows.take(&text.name, line, record, &chosen, asked)?;
        }
        if rows.lines.is_empty() {
            return Err(Error::Input(format!("{} has a header ({}) and no rows; give a file with numbers below it", text.name, listed(&lines.header))));
        }
        let mut sheet = rows.sheet(&text.name, &chosen, asked, layout.delimiter, (text.path.clone(), text.len(), text.checksum()?))?;
        notes.splice(0..0, lines.notes().into_iter().chain(chosen.notes));
        sheet.notes.splice(0..0, notes);
        Ok(sheet)
    }
}

impl Wrong {
    /// The message: what is wrong with a cell, and what to do.
    fn told(self, target: bool, asked: &ColumnSpec) -> String {
        let way_out = if asked.by_model {
            "the model needs a number here: mend the cell"
        } else if target {
            "mend the cell, or forecast another column"
        } else {
            return match self {
                Wrong::Time => "is a date or a time, not a number; name the column by `time`, or leave it out by `ignore`".to_string(),
                Wrong::Text => "is text, not a number; leave the column out by `ignore`, or name it by `series` or `time`".to_string(),
                _ => self.told(true, asked).replace(", or forecast another column", ", or leave the column out by `ignore`"),
            };
        };
        match self {
            Wrong::Infinite => "is infinite, which nothing can be learned from; mend or remove it".to_string(),
            Wrong::Large => "is beyond 3.4e38, the largest number of 32 bits; give the column in another unit".to_string(),
            Wrong::Time => format!("is a date or a time, not a number; {way_out}"),
            Wrong::Grouped => format!("is not a number as the others are written; write 1234.5, or say by `decimal` what stands before a fraction; {way_out}"),
            Wrong::Text => format!("is text, not a number; {way_out}"),
        }
    }
}

/// Rows in the order of the file.
pub(super) struct Rows {
    style: Style,
    pub(super) columns: Vec<Values>,
    /// Number of rows.
    pub(super) count: usize,
    /// The line of each; empty for a table in memory without a column of times or series.
    pub(super) lines: Vec<u64>,
    pub(super) times: Vec<String>,
    /// The series of each row; empty if there is only one.
    series: Vec<u32>,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Rows {
    pub(super) fn new(chosen: &Chosen, style: Style) -> Self {
        let columns = vec![Values::Own(Vec::new()); chosen.places.len()];
        Rows { style, columns, count: 0, lines: Vec::new(), times: Vec::new(), series: Vec::new(), names: Vec::new(), numbers: HashMap::new() }
    }

    fn take(&mut self, file: &str, line: u64, record: &cells::Record, chosen: &Chosen, asked: &ColumnSpec) -> Result<()> {
        let wrong = |name: &str, what: String| Err(Error::Input(format!("{file} line {line}, column {}: {what}", quoted(name))));
        for (i, ((place, name), column)) in chosen.places.iter().zip(&chosen.names).zip(&mut self.columns).enumerate() {
            let text = record.get(*place).unwrap_or_default();
            column.own().push(match self.style.cell(text) {
                Cell::Number(x) => x,
                Cell::Missing if asked.missing != Missing::Refuse => f64::NAN,
                Cell::Missing => {
                    let found = if text.trim().is_empty() { "the cell is empty".to_string() } else { format!("{} is no number", quoted(text.trim())) };
                    return wrong(name, format!("{found}; fill it in, remove the row, or say how to fill it: `missing` previous, zero or mean"));
                }
                Cell::Wrong(what) => return wrong(name, format!("{} {}", quoted(text.trim()), what.told(chosen.targets.contains(&i), asked))),
            });
        }
        if self.lines.len() >= u32::MAX as usize {
            return Err(Error::Input(format!("{file} has more than {} rows; give fewer", u32::MAX)));
        }
        if let Some(at) = chosen.series {
            let name = record.get(at).unwrap_or_default().trim();
            if name.is_empty() {
                return wrong(asked.series.as_deref().unwrap_or_default(), "the cell is empty: the row belongs to no series; fill it in".to_string());
            }
            self.belongs(name);
        }
        if let Some(at) = chosen.time {
            self.times.push(record.get(at).unwrap_or_default().trim().to_string());
        }
        self.lines.push(line);
        self.count += 1;
        Ok(())
    }

    /// Adds the series of the next row.
    pub(super) fn belongs(&mut self, name: &str) {
        let next = self.names.len() as u32;
        let number = *self.numbers.entry(name.to_string()).or_insert(next);
        if number == next {
            self.names.push(name.to_string());
        }
        self.series.push(number);
    }

    /// Reorders the rows.
    fn sort(&mut self, order: &[usize]) {
        for column in &mut self.columns {
            *column = column.taken(order);
        }
        if !self.lines.is_empty() {
            self.lines = order.iter().map(|r| self.lines[*r]).collect();
        }
        if !self.times.is_empty() {
            self.times = order.iter().map(|r| std::mem::take(&mut self.times[*r])).collect();
        }
    }

    /// Makes the rows of each series contiguous.
    fn grouped(&mut self) -> Vec<Group> {
        let rows = self.count;
        if self.series.is_empty() {
            return vec![Group { name: None, rows: 0..rows }];
        }
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|r| self.series[*r]);
        if !order.is_sorted() {
            self.sort(&order);
        }
        let start = |i: usize| order.partition_point(|r| (self.series[*r] as usize) < i);
        self.names.iter().enumerate().map(|(i, name)| Group { name: Some(name.clone()), rows: start(i)..start(i + 1) }).collect()
    }

    /// Reads the column of time, and reverses series whose newest row comes first.
    fn in_time(&mut self, file: &str, groups: &[Group], asked: &ColumnSpec, notes: &mut Vec<String>) -> Result<Timeline> {
        let Some(name) = &asked.time else { return Ok(Timeline { newest_first: Vec::new(), clocks: Vec::new(), order: None }) };
        let column = timeline::Column {
            file,
            name,
            cells: &self.times,
            lines: &self.lines,
            groups,
            format: asked.time_format.as_deref(),
            order: asked.date_order,
            by_model: asked.by_model,
        };
        let timeline = column.read()?;
        let turned = timeline.newest_first.iter().filter(|t| **t).count();
        if turned > 0 {
            let all = if turned == groups.len() { String::new() } else { format!(" in {turned} of {} series", groups.len()) };
            notes.push(format!("rows are newest first{all}; they are read from the last to the first"));
            let row = |(g, turned): (&Group, &bool)| if *turned { g.rows.clone().rev().collect::<Vec<_>>() } else { g.rows.clone().collect() };
            let order: Vec<usize> = groups.iter().zip(&timeline.newest_first).flat_map(row).collect();
            self.sort(&order);
        }
        Ok(timeline)
    }

    /// The table. `file` is its path, if it is a file, its bytes and their checksum.
    pub(super) fn sheet(mut self, name: &str, chosen: &Chosen, asked: &ColumnSpec, delimiter: char, file: (Option<PathBuf>, u64, String)) -> Result<Sheet> {
        let groups = self.grouped();
        let mut notes = Vec::new();
        let timeline = self.in_time(name, &groups, asked, &mut notes)?;
        let mut columns = Vec::new();
        for (name, values) in chosen.names.iter().zip(std::mem::take(&mut self.columns)) {
            let filled: Vec<u32> = (0u32..).zip(values.iter()).filter(|(_, x)| x.is_nan()).map(|(r, _)| r).collect();
            columns.push(Column { name: name.clone(), values, filled, carried: Vec::new() });
        }
        let mut sheet = Sheet {
            name: name.to_string(),
            path: file.0,
            bytes: file.1,
            checksum: file.2,
            columns,
            features: chosen.features,
            targets: chosen.targets.clone(),
            groups,
            times: self.times,
            date_order: timeline.order,
            delimiter,
            decimal: self.style.decimal,
            notes,
            clocks: timeline.clocks,
        };
        sheet.carry(&self.lines, asked.missing)?;
        let empty = sheet.columns.iter().map(|c| c.filled.len()).sum::<usize>();
        if empty > 0 && asked.by_model {
            let how = match asked.missing {
                Missing::Zero => "0",
                Missing::Mean => "the training part's mean",
                Missing::Previous | Missing::Refuse => "the number of the row before",
            };
            let cells = if empty == 1 { "1 empty cell is".to_string() } else { format!("{empty} empty cells are") };
            sheet.notes.push(format!("{cells} filled with {how}; `missing` says otherwise"));
        }
        Ok(sheet)
    }
}
