//! Numbers read by index: of this program, or lent by somebody else, such as an array of another language.

use std::fmt;
use std::sync::Arc;

/// Numbers that somebody else owns. They must not change while they are lent: what was read of them would no longer be true.
pub trait Numbers: Send + Sync {
    /// Number of them.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them; NaN beyond the end.
    fn get(&self, at: usize) -> f64;
}

impl Numbers for Vec<f64> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, at: usize) -> f64 {
        self.as_slice().get(at).copied().unwrap_or(f64::NAN)
    }
}

/// The values of a column.
#[derive(Clone)]
pub enum Values {
    /// Values of its own.
    Own(Vec<f64>),
    /// Every `stride`-th of somebody else's numbers from `first` on, `len` of them.
    Lent {
        /// The numbers.
        numbers: Arc<dyn Numbers>,
        /// Index of the first.
        first: usize,
        /// Distance from one to the next.
        stride: usize,
        /// Number of values.
        len: usize,
    },
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::Own(values) => values.len(),
            Values::Lent { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn at(&self, row: usize) -> f64 {
        match self {
            Values::Own(values) => values[row],
            Values::Lent { numbers, first, stride, .. } => numbers.get(first + row * stride),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        (0..self.len()).map(|row| self.at(row))
    }

    /// The values of some rows, in this order.
    pub(super) fn taken(&self, rows: &[usize]) -> Self {
        Values::Own(rows.iter().map(|row| self.at(*row)).collect())
    }

    /// The values to change; lent ones are copied first.
    pub(super) fn own(&mut self) -> &mut Vec<f64> {
        if let Values::Lent { .. } = self {
            *self = Values::Own(self.iter().collect());
        }
        match self {
            Values::Own(values) => values,
            Values::Lent { .. } => unreachable!("they were copied"),
        }
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Values::Own(values)
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b)
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Values::Own(values) => values.fmt(f),
            Values::Lent { len, .. } => write!(f, "{len} lent values"),
        }
    }
}
