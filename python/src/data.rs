//! Data that Python gives.

use crate::compute::detached;
use crate::lent::Array;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use retrograd::data::{Cells, Frame, NumberRows, Values, Vocabulary};
use retrograd::run::Given;
use std::sync::Arc;

/// Data in memory, ready to train on or to read.
#[pyclass(frozen, module = "retrograd._retrograd")]
pub(crate) struct Data {
    pub(crate) given: Given,
}

/// A column: an array of numbers, or texts.
#[derive(FromPyObject)]
enum Column<'py> {
    Texts(Vec<String>),
    Numbers(Bound<'py, PyAny>),
}

impl Data {
    fn of(given: Given) -> Self {
        Data { given }
    }
}

#[pymethods]
impl Data {
    /// A text.
    #[staticmethod]
    fn text(content: Vec<u8>, name: &str) -> Self {
        Self::of(Given::Text { name: name.to_string(), content: Arc::new(content), vocabulary: None })
    }

    /// Ids from 0 on, below `count` if it is given.
    #[staticmethod]
    #[pyo3(signature = (ids, count))]
    fn ids(py: Python<'_>, ids: &Bound<'_, PyAny>, count: Option<u32>) -> PyResult<Self> {
        let ids = Array::of(ids)?.ids()?;
        let most = ids.iter().max().copied().ok_or_else(|| PyValueError::new_err("the array is empty; give ids to learn from"))?;
        let count = count.unwrap_or(most.saturating_add(1));
        if most >= count {
            return Err(PyValueError::new_err(format!("there is the id {most}, and ids are to be below {count}")));
        }
        let vocabulary =
            Vocabulary::ids(count).ok_or_else(|| PyValueError::new_err(format!("{count} ids are too many; at most 1,050,000 can be told apart")))?;
        detached(py, move || {
            let mut text = Vec::with_capacity(2 * ids.len());
            ids.iter().for_each(|id| vocabulary.write(*id, &mut text));
            Ok(Self::of(Given::Text { name: "the array".to_string(), content: Arc::new(text), vocabulary: Some(vocabulary) }))
        })
    }

    /// A table: names of columns, and an array or a list of texts for each.
    #[staticmethod]
    fn frame(name: &str, columns: Vec<(String, Column<'_>)>) -> PyResult<Self> {
        let cells = |(name, column): (String, Column<'_>)| {
            Ok((
                name,
                match column {
                    Column::Texts(texts) => Cells::Texts(texts),
                    Column::Numbers(array) => Cells::Numbers(Array::of(&array)?.column(0)),
                },
            ))
        };
        let columns = columns.into_iter().map(cells).collect::<PyResult<_>>()?;
        Ok(Self::of(Given::Frame(Frame { name: name.to_string(), columns, rows_per_series: None })))
    }

    /// The columns of an array `[rows, columns]`, or of `[series, rows, columns]`, which is named `names`.
    #[staticmethod]
    fn table(array: &Bound<'_, PyAny>, names: Vec<String>) -> PyResult<Self> {
        let array = Array::of(array)?;
        let (rows_per_series, width) = match array.shape[..] {
            [_] => (None, 1),
            [_, width] => (None, width),
            [_, rows, width] => (Some(rows), width),
            _ => return Err(PyValueError::new_err(format!("expected an array of 1 to 3 axes, found {}", array.shape.len()))),
        };
        if names.len() != width {
            return Err(PyValueError::new_err(format!("the array has {width} columns, and there are {} names", names.len())));
        }
        let values = |j: usize| match rows_per_series {
            None => array.column(j),
            Some(rows) => Values::Lent { numbers: array.ordered(), first: j, stride: width, len: array.shape[0] * rows },
        };
        let columns = names.into_iter().enumerate().map(|(j, name)| (name, Cells::Numbers(values(j)))).collect();
        Ok(Self::of(Given::Frame(Frame { name: "the array".to_string(), columns, rows_per_series })))
    }

    /// Sequences of rows of numbers: an array `[sequences, steps, columns]`, one `[sequences, steps]` of one column, or a list of arrays `[steps, columns]`.
    /// Without labels, they can only be read.
    #[staticmethod]
    #[pyo3(signature = (sequences, labels))]
    fn rows(py: Python<'_>, sequences: &Bound<'_, PyAny>, labels: Option<Vec<String>>) -> PyResult<Self> {
        let (numbers, width, lengths) = if let Ok(list) = sequences.cast::<PyList>() {
            joined(&list.iter().collect::<Vec<_>>())?
        } else {
            let array = Array::of(sequences)?;
            let (count, steps, width) = match array.shape[..] {
                [count, steps] => (count, steps, 1),
                [count, steps, width] => (count, steps, width),
                _ => return Err(PyValueError::new_err(format!("expected an array of 2 or 3 axes, found {}", array.shape.len()))),
            };
            (array.ordered(), width, vec![steps; count])
        };
        let mut end = 0;
        let part = |steps: usize| {
            let start = end;
            end += steps as u64;
            start..end
        };
        let parts = lengths.into_iter().map(part).collect();
        detached(py, move || Ok(Self::of(Given::Rows(NumberRows::new("X", numbers, width, parts)?, labels.unwrap_or_default()))))
    }

    /// Texts and their labels.
    #[staticmethod]
    #[pyo3(signature = (texts, labels))]
    fn lines(texts: Vec<String>, labels: Option<Vec<String>>) -> Self {
        Self::of(Given::Lines(texts, labels.unwrap_or_default()))
    }
}

/// The rows of several arrays of equal width, their width, and their lengths.
fn joined(list: &[Bound<'_, PyAny>]) -> PyResult<(Arc<dyn retrograd::data::Numbers>, usize, Vec<usize>)> {
    let (mut all, mut width, mut lengths) = (Vec::new(), None, Vec::new());
    for (i, one) in list.iter().enumerate() {
        let array = Array::of(one)?;
        let (steps, own) = match array.shape[..] {
            [steps] => (steps, 1),
            [steps, own] => (steps, own),
            _ => return Err(PyValueError::new_err(format!("sequence {i} has {} axes; expected steps and columns", array.shape.len()))),
        };
        if *width.get_or_insert(own) != own {
            return Err(PyValueError::new_err(format!("sequence {i} has {own} columns, and the first {}", width.unwrap_or(0))));
        }
        let numbers = array.ordered();
        all.extend((0..array.len()).map(|at| numbers.get(at)));
        lengths.push(steps);
    }
    Ok((Arc::new(all), width.unwrap_or(1), lengths))
}
