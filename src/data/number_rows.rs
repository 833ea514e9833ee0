//! Finite sequences of rows of numbers, each with a label.

use super::content::Target;
use super::inputs::Grid;
use super::sequences::{Scored, Sequence};
use super::series::Scale;
use super::{Codec, Content, Numbers, SequenceTable, Sequences};
use crate::error::{Error, Result, listed, quoted};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Largest value: that of 32 bits, with which models compute.
const LARGEST: f64 = f32::MAX as f64;

/// Sequences of rows of numbers; each step reads a row.
#[derive(Clone)]
pub struct NumberRows {
    /// Name of the source, for messages.
    pub name: String,
    /// All rows, sequence after sequence: `[rows, D]`.
    pub numbers: Arc<dyn Numbers>,
    /// D: numbers in a row.
    pub width: usize,
    /// The rows of each sequence.
    pub parts: Vec<Range<u64>>,
    /// The line of a file that each begins on; empty if they are of no file.
    pub lines: Vec<u64>,
    /// The names of the columns; empty if they have none.
    pub columns: Vec<String>,
    /// The scale of each column.
    pub scales: Vec<Scale>,
}

/// Such sequences with labels.
#[derive(Clone)]
pub struct LabelledRows {
    /// The sequences; without scales, those of the training part are taken.
    pub rows: NumberRows,
    /// The class of each.
    pub classes: Vec<u32>,
    /// The label of each class, sorted.
    pub labels: Vec<String>,
}

impl NumberRows {
    /// Sequences of `parts` rows of `width` numbers.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none, if one is empty or too long, or a number is not finite.
    pub fn new(name: &str, numbers: Arc<dyn Numbers>, width: usize, parts: Vec<Range<u64>>) -> Result<Self> {
        let wrong = |what: String| Err(Error::Input(format!("{name}: {what}")));
        let rows = numbers.len() / width.max(1);
        if width == 0 || parts.is_empty() {
            return wrong("it has no sequences with numbers in them; give some".to_string());
        }
        if let Some(i) = parts.iter().position(|p| p.is_empty() || p.end > rows as u64 || p.end - p.start >= u64::from(u32::MAX)) {
            return wrong(format!("sequence {i} has {} steps; expected 1 or more", parts[i].end.saturating_sub(parts[i].start)));
        }
        for at in 0..rows * width {
            let x = numbers.get(at);
            if x.is_nan() || x.abs() > LARGEST {
                let what = if x.is_nan() { "NaN" } else { "infinity, or a value too large for float32" };
                return wrong(format!("row {}, column {} holds {what}; mend or remove it", at / width, at % width));
            }
        }
        Ok(NumberRows { name: name.to_string(), numbers, width, parts, lines: Vec::new(), columns: Vec::new(), scales: Vec::new() })
    }

    /// The sequences of a table.
    ///
    /// # Errors
    /// As [`NumberRows::new`].
    pub fn of(name: &str, table: SequenceTable) -> Result<Self> {
        let rows = Self::new(name, Arc::new(table.numbers), table.width, table.parts)?;
        Ok(NumberRows { lines: table.lines, columns: table.columns, ..rows })
    }

    /// Takes over the scales of a model.
    ///
    /// # Errors
    /// [`Error::Input`] if that reads other columns.
    pub fn scaled_as(mut self, codec: &Codec) -> Result<Self> {
        let Codec::LabelledRows { scales, columns, .. } = codec else {
            return Err(Error::Input("the model reads no sequences of numbers; train one with `label_column` on a table of numbers".to_string()));
        };
        if scales.len() != self.width || (!columns.is_empty() && !self.columns.is_empty() && *columns != self.columns) {
            let names = |c: &[String]| if c.is_empty() { String::new() } else { format!(" ({})", listed(c)) };
            let (here, there) = (names(&self.columns), names(columns));
            return Err(Error::Input(format!(
                "{}: {} columns of numbers{here}, and the model reads {}{there}; give the same",
                self.name,
                self.width,
                scales.len()
            )));
        }
        self.scales.clone_from(scales);
        Ok(self)
    }

    /// The rows of all sequences.
    pub fn len(&self) -> u64 {
        (self.numbers.len() / self.width) as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scale of each column over some sequences. A column that never changes there is read as 0.
    fn scales_of(&self, list: &[Sequence]) -> Vec<Scale> {
        (0..self.width)
            .map(|d| {
                let rows = list.iter().flat_map(|s| s.start - 1..s.start - 1 + u64::from(s.len));
                let values = rows.map(|row| self.numbers.get(row as usize * self.width + d));
                let size = values.clone().fold(0.0f64, |size, x| size.max(x.abs()));
                Scale::or_unseen(values, size)
            })
            .collect()
    }

    /// Fills in what some steps of a lane read, from row `from` on, and the class that the last predicts.
    pub(super) fn fill(&self, grid: &mut Grid<'_>, (steps, lane): (Range<u32>, u32), from: u64, target: Target) {
        let mut read = vec![0.0; self.width];
        for (row, t) in (from as usize..).zip(steps) {
            for (d, (o, scale)) in read.iter_mut().zip(&self.scales).enumerate() {
                *o = scale.apply(self.numbers.get(row * self.width + d));
            }
            grid.read(t, lane, &read);
            if let Target::Class(class) = target {
                grid.target(t, lane, class);
            }
        }
    }
}

impl LabelledRows {
    /// Sequences with the name of the label of each. `known` is what a model reads and predicts; there may be no other labels then.
    ///
    /// # Errors
    /// [`Error::Input`] if there are not as many labels as sequences, all are equal, or the model reads other columns or lacks a label.
    pub fn new(rows: NumberRows, names: &[String], known: Option<&Codec>) -> Result<Self> {
        let name = rows.name.clone();
        let wrong = |what: String| Err(Error::Input(format!("{name}: {what}")));
        if rows.parts.len() != names.len() {
            return wrong(format!("there are {} sequences and {} labels; give one label a sequence", rows.parts.len(), names.len()));
        }
        let rows = known.map_or(Ok(rows.clone()), |codec| rows.scaled_as(codec))?;
        let labels = match known.and_then(Codec::labels) {
            Some(labels) => labels.to_vec(),
            None => names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        };
        if let ([only], None) = (&labels[..], known) {
            return wrong(format!("every label is {}; at least 2 different ones are needed to learn from", quoted(only)));
        }
        let class = |(i, name): (usize, &String)| {
            let place = rows.lines.get(i).map_or(format!(": sequence {i} has"), |line| format!(" line {line}:"));
            let lacks = || Error::Input(format!("{}{place} the label {}, which is not among the model's: {}", rows.name, quoted(name), listed(&labels)));
            labels.binary_search(name).map(|c| c as u32).map_err(|_| lacks())
        };
        let classes = names.iter().enumerate().map(class).collect::<Result<_>>()?;
        Ok(LabelledRows { rows, classes, labels })
    }

    /// The share of the most frequent label.
    pub fn chance(&self) -> f64 {
        let most = (0..self.labels.len() as u32).map(|c| self.classes.iter().filter(|x| **x == c).count()).max().unwrap_or(0);
        most as f64 / self.classes.len() as f64
    }

    /// Splits them with `split`, and scales all by the training part, unless their scales are known.
    pub fn split(mut self, split: impl FnOnce(Sequences) -> (Sequences, Option<Sequences>)) -> (Sequences, Option<Sequences>, Codec) {
        let (mut train, mut held) = split(self.rows.clone().sequences(self.classes));
        if self.rows.scales.is_empty() {
            self.rows.scales = self.rows.scales_of(train.list());
        }
        let codec = Codec::LabelledRows { scales: self.rows.scales.clone(), columns: self.rows.columns.clone(), labels: self.labels };
        let content = Content::Rows(Arc::new(self.rows));
        for part in [Some(&mut train), held.as_mut()].into_iter().flatten() {
            part.content = content.clone();
        }
        (train, held, codec)
    }
}

impl NumberRows {
    /// As sequences of these classes.
    pub fn sequences(self, classes: Vec<u32>) -> Sequences {
        // The first step of a sequence reads the row before `start`.
        let one = |(i, p): (usize, &Range<u64>)| {
            let number = self.lines.get(i).copied().unwrap_or(i as u64 + 1);
            Sequence { start: p.start + 1, len: (p.end - p.start) as u32, warm_up: 0, number }
        };
        let list = self.parts.iter().enumerate().map(one).collect();
        Sequences { list, content: Content::Rows(Arc::new(self)), before: 0, skipped: 0, scored: Scored::Labels(classes.into()), weights: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)] // the rows of one sequence
    use super::*;
    use crate::data::inputs::Grid;
    use crate::model::record::InputLayout;
    use crate::model::{Config, Input, Output};

    fn rows(numbers: Vec<f64>, width: usize, parts: Vec<Range<u64>>) -> Result<NumberRows> {
        NumberRows::new("rows", Arc::new(numbers), width, parts)
    }

    #[test]
    fn each_step_reads_its_row_scaled_by_the_training_part() {
        let all = rows((0..12).map(f64::from).collect(), 2, vec![0..2, 2..3, 3..6]).unwrap();
        let names = ["b", "a", "b"].map(String::from);
        let labelled = LabelledRows::new(all, &names, None).unwrap();
        assert_eq!((labelled.classes.clone(), labelled.labels.clone()), (vec![1, 0, 1], vec!["a".to_string(), "b".to_string()]));
        let (train, held, codec) = labelled.split(|all| all.hold_out(0.3));
        let Codec::LabelledRows { scales, .. } = &codec else { panic!("{codec:?}") };
        // The first two sequences are trained on: rows 0 to 2.
        assert_eq!(scales.iter().map(|s| s.mean).collect::<Vec<_>>(), [2.0, 3.0]);
        let held = held.unwrap();
        let config = Config { input: Input::Numbers(2), output: Output::Classes(2), ..Config::symbols(2) };
        let places = InputLayout::new(&config, 3);
        let mut grid = Grid::new(&places, 0..3, 1);
        train.content().fill(&mut grid, (0..3, 0), held.list()[0].start as i64 - 1, 0, Target::Class(1)).unwrap();
        let words = grid.finish().words;
        let read: Vec<f32> = (0..3).map(|t| f32::from_bits(words[(places.numbers() + t * places.numbers_ld()) as usize])).collect();
        let expected: Vec<f32> = [6.0, 8.0, 10.0].iter().map(|x| scales[0].apply(*x)).collect();
        assert_eq!((read, &words[places.targets() as usize..][..3]), (expected, &[1, 1, 1][..]));
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        let refused = |found: Result<NumberRows>| found.err().unwrap().to_string();
        assert!(refused(rows(vec![1.0, f64::NAN], 1, vec![0..2])).contains("row 1, column 0 holds NaN"));
        assert!(refused(rows(vec![1.0, 2.0], 1, vec![0..3])).contains("sequence 0 has 3 steps"));
        assert!(refused(rows(vec![1.0], 1, vec![0..1, 1..1])).contains("sequence 1 has 0 steps"));
        assert!(refused(rows(Vec::new(), 0, Vec::new())).contains("no sequences"));
        let two = || rows(vec![1.0, 2.0], 1, vec![0..1, 1..2]).unwrap();
        assert!(LabelledRows::new(two(), &["a".to_string()], None).err().unwrap().to_string().contains("2 sequences and 1 labels"));
        assert!(LabelledRows::new(two(), &["a", "a"].map(String::from), None).err().unwrap().to_string().contains("at least 2 different"));
    }
}
