//! A table in memory: columns of numbers or texts under names.

use super::cell::Style;
use super::chosen::Chosen;
use super::read::Rows;
use super::{Column, ColumnSpec, Missing, Sheet};
use crate::data::numbers::Values;
use crate::error::{Error, Result, quoted};
use crate::files;

/// Largest value: that of 32 bits, with which models compute.
const LARGEST: f64 = f32::MAX as f64;

/// The cells of a column in memory.
#[derive(Debug, Clone)]
pub enum Cells {
    /// Numbers; NaN for missing ones.
    Numbers(Values),
    /// Texts, such as times or the names of series.
    Texts(Vec<String>),
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Cells::Numbers(values) => values.len(),
            Cells::Texts(texts) => texts.len(),
        }
    }

    fn text(&self, row: usize) -> String {
        match self {
            Cells::Numbers(values) => values.at(row).to_string(),
            Cells::Texts(texts) => texts[row].trim().to_string(),
        }
    }
}

/// A table in memory.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its name in messages.
    pub name: String,
    /// Its columns and their names.
    pub columns: Vec<(String, Cells)>,
    /// Rows of each of several series that follow each other; `None` for one series, or as a column says.
    pub rows_per_series: Option<usize>,
}

impl Frame {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.1.len())
    }

    /// Bytes of its numbers and texts, and a checksum of them.
    pub fn checksum(&self) -> (u64, String) {
        let (mut hasher, mut bytes) = (files::Hasher::default(), 0);
        for (name, cells) in &self.columns {
            hasher.update(name.as_bytes());
            match cells {
                Cells::Numbers(values) => {
                    let mut block = Vec::with_capacity(8 << 10);
                    for x in values.iter() {
                        block.extend(x.to_le_bytes());
                        if block.len() == block.capacity() {
                            hasher.update(&block);
                            block.clear();
                        }
                    }
                    hasher.update(&block);
                    bytes += 8 * values.len() as u64;
                }
                Cells::Texts(texts) => texts.iter().for_each(|text| {
                    hasher.update(text.as_bytes());
                    hasher.update(&[0]);
                    bytes += text.len() as u64;
                }),
            }
        }
        (bytes, hasher.digits())
    }

    /// A column of numbers, checked.
    fn numbers(&self, place: usize, missing: Missing) -> Result<Column> {
        let (name, cells) = &self.columns[place];
        let wrong = |row: usize, what: String| Err(Error::Input(format!("{} row {row}, column {}: {what}", self.name, quoted(name))));
        let Cells::Numbers(values) = cells else {
            return wrong(0, format!("{} is text, not a number; leave the column out by `ignore`, or name it by `series` or `time`", quoted(&cells.text(0))));
        };
        let mut filled = Vec::new();
        for (row, x) in values.iter().enumerate() {
            if x.is_nan() && missing != Missing::Refuse {
                filled.push(row as u32);
            } else if x.is_nan() {
                return wrong(
                    row,
                    "NaN: the value is missing; fill it in, remove the row, or say how to fill it: `missing` previous, zero or mean".to_string(),
                );
            } else if x.is_infinite() {
                return wrong(row, "infinity, which nothing can be learned from; mend or remove it".to_string());
            } else if x.abs() > LARGEST {
                return wrong(row, format!("{x:e} is beyond 3.4e38, the largest number of 32 bits; give the column in another unit"));
            }
        }
        Ok(Column { name: name.clone(), values: values.clone(), filled, carried: Vec::new() })
    }
}

impl Sheet {
    /// The requested columns of a table in memory. Numbers are lent on unless rows must be reordered or filled.
    ///
    /// # Errors
    /// [`Error::Input`] with row and column, what was found and what to do, if it is not a complete numeric table.
    pub fn of(frame: &Frame, asked: &ColumnSpec) -> Result<Self> {
        let names: Vec<String> = frame.columns.iter().map(|c| c.0.clone()).collect();
        let (rows, wrong) = (frame.rows(), |what: String| Err(Error::Input(format!("{}: {what}", frame.name))));
        if rows == 0 {
            return wrong("it has no rows; give some to learn from".to_string());
        }
        if rows >= u32::MAX as usize {
            return wrong(format!("it has more than {} rows; give fewer", u32::MAX));
        }
        if let Some((name, cells)) = frame.columns.iter().find(|c| c.1.len() != rows) {
            return wrong(format!("column {} has {} rows, and the first {rows}; give columns of equal length", quoted(name), cells.len()));
        }
        if let Some(per) = frame.rows_per_series.filter(|per| *per == 0 || rows % per != 0) {
            return wrong(format!("{rows} rows are no series of {per}"));
        }
        let chosen = Chosen::of(&frame.name, &names, asked)?;
        let columns = chosen.places.iter().map(|place| frame.numbers(*place, asked.missing)).collect::<Result<Vec<_>>>()?;
        let mut table = Rows::new(&chosen, Style { decimal: '.' });
        table.columns = columns.into_iter().map(|c| c.values).collect();
        table.count = rows;
        if chosen.time.is_some() || chosen.series.is_some() {
            table.lines = (1..=rows as u64).collect();
        }
        if let Some(place) = chosen.time {
            table.times = (0..rows).map(|row| frame.columns[place].1.text(row)).collect();
        }
        match (chosen.series, frame.rows_per_series) {
            (Some(place), _) => (0..rows).for_each(|row| table.belongs(&frame.columns[place].1.text(row))),
            (None, Some(per)) => (0..rows).for_each(|row| table.belongs(&(row / per).to_string())),
            (None, None) => {}
        }
        let (bytes, checksum) = frame.checksum();
        let mut sheet = table.sheet(&frame.name, &chosen, asked, ',', (None, bytes, checksum))?;
        sheet.notes.splice(0..0, chosen.notes);
        Ok(sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Text;
    use std::sync::Arc;

    fn asked(missing: Missing) -> ColumnSpec {
        ColumnSpec { targets: vec!["y".to_string()], missing, ..ColumnSpec::default() }
    }

    /// Lent from one array `[rows, 2]`.
    fn lent(numbers: &[f64]) -> Frame {
        let numbers: Arc<dyn crate::data::Numbers> = Arc::new(numbers.to_vec());
        let column = |first| Cells::Numbers(Values::Lent { numbers: numbers.clone(), first, stride: 2, len: numbers.len() / 2 });
        Frame { name: "frame".to_string(), columns: vec![("x".to_string(), column(0)), ("y".to_string(), column(1))], rows_per_series: None }
    }

    #[test]
    fn a_table_in_memory_is_read_as_its_file_is() {
        let text = Text::given("table", "x,y\n1,2\n3,\n5,6.5\n");
        for missing in [Missing::Previous, Missing::Zero, Missing::Mean] {
            let (file, frame) =
                (Sheet::read(&text, &asked(missing)).unwrap(), Sheet::of(&lent(&[1.0, 2.0, 3.0, f64::NAN, 5.0, 6.5]), &asked(missing)).unwrap());
            for (a, b) in file.columns.iter().zip(&frame.columns) {
                let same = a.values.iter().zip(b.values.iter()).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
                assert!(same && (&a.name, &a.filled, &a.carried) == (&b.name, &b.filled, &b.carried), "{a:?} {b:?}");
            }
            assert_eq!((&file.groups, file.features, &file.targets), (&frame.groups, frame.features, &frame.targets));
        }
        // Complete columns are lent on.
        assert!(Sheet::of(&lent(&[1.0, 2.0, 3.0, 4.0]), &asked(Missing::Refuse)).unwrap().columns.iter().all(|c| matches!(c.values, Values::Lent { .. })));
    }

    #[test]
    fn what_can_not_be_learned_from_is_named_with_its_place() {
        let refused = |frame: &Frame| Sheet::of(frame, &asked(Missing::Refuse)).unwrap_err().to_string();
        for (x, words) in [(f64::NAN, "row 1, column \"y\": NaN"), (f64::INFINITY, "infinity"), (-1e39, "beyond 3.4e38")] {
            assert!(refused(&lent(&[1.0, 2.0, 3.0, x])).contains(words), "{}", refused(&lent(&[1.0, 2.0, 3.0, x])));
        }
        assert!(refused(&lent(&[])).contains("no rows"));
        let uneven =
            Frame { columns: vec![("y".to_string(), Cells::Numbers(vec![1.0].into())), ("x".to_string(), Cells::Texts(Vec::new()))], ..lent(&[1.0, 2.0]) };
        assert!(refused(&uneven).contains("equal length"));
        let texts = Frame { columns: vec![("y".to_string(), Cells::Texts(vec!["a".to_string()]))], ..lent(&[1.0, 2.0]) };
        assert!(refused(&texts).contains("is text, not a number"));
        assert!(refused(&Frame { rows_per_series: Some(2), ..lent(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) }).contains("no series of 2"));
    }
}
