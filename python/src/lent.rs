//! Numbers of Python's buffers, read where they are.

use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use retrograd::data::{Numbers, Values};
use std::sync::Arc;

/// The types that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

/// A buffer whose elements are read by their distance from the first, in elements.
struct Lent {
    buffer: PyUntypedBuffer,
    kind: Kind,
    /// Elements that can be reached.
    len: usize,
}

/// An array: its numbers, shape, and the distance of neighbours along each axis, in elements.
pub(crate) struct Array {
    pub(crate) numbers: Arc<dyn Numbers>,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// Whether the numbers are whole.
    pub(crate) whole: bool,
}

impl Numbers for Lent {
    fn len(&self) -> usize {
        self.len
    }

    #[allow(unsafe_code)]
    fn get(&self, at: usize) -> f64 {
        if at >= self.len {
            return f64::NAN;
        }
        let first = self.buffer.buf_ptr();
        // SAFETY: the buffer is exported to us and stays where it is while `self.buffer` lives. `Array::of` has checked that the last element, at
        // `len - 1`, lies within it, and that elements have this size. They may lie at any address, and another thread of Python may write to them
        // meanwhile, which is why they are read unaligned and as plain bytes: whatever is read is a number.
        unsafe {
            match self.kind {
                Kind::F32 => first.cast::<f32>().add(at).read_unaligned().into(),
                Kind::F64 => first.cast::<f64>().add(at).read_unaligned(),
                Kind::I8 => first.cast::<i8>().add(at).read_unaligned().into(),
                Kind::I16 => first.cast::<i16>().add(at).read_unaligned().into(),
                Kind::I32 => first.cast::<i32>().add(at).read_unaligned().into(),
                Kind::I64 => first.cast::<i64>().add(at).read_unaligned() as f64,
                Kind::U8 => first.cast::<u8>().add(at).read_unaligned().into(),
                Kind::U16 => first.cast::<u16>().add(at).read_unaligned().into(),
                Kind::U32 => first.cast::<u32>().add(at).read_unaligned().into(),
                Kind::U64 => first.cast::<u64>().add(at).read_unaligned() as f64,
            }
        }
    }
}

impl Array {
    /// The array that an object exports. Where its elements can't be reached by whole, positive distances, they are copied by the caller: that is refused.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object).map_err(|_| PyTypeError::new_err(format!("expected an array of numbers, found {}", object.get_type())))?;
        let format = buffer.format().to_bytes();
        let foreign = if cfg!(target_endian = "little") { b'>' } else { b'<' };
        let swapped = format.first().is_some_and(|c| *c == foreign || *c == b'!');
        let kind = match ElementType::from_format(buffer.format()) {
            ElementType::Float { bytes: 4 } if !swapped => Kind::F32,
            ElementType::Float { bytes: 8 } if !swapped => Kind::F64,
            ElementType::SignedInteger { bytes: 1 } => Kind::I8,
            ElementType::SignedInteger { bytes: 2 } if !swapped => Kind::I16,
            ElementType::SignedInteger { bytes: 4 } if !swapped => Kind::I32,
            ElementType::SignedInteger { bytes: 8 } if !swapped => Kind::I64,
            ElementType::UnsignedInteger { bytes: 1 } | ElementType::Bool => Kind::U8,
            ElementType::UnsignedInteger { bytes: 2 } if !swapped => Kind::U16,
            ElementType::UnsignedInteger { bytes: 4 } if !swapped => Kind::U32,
            ElementType::UnsignedInteger { bytes: 8 } if !swapped => Kind::U64,
            _ => {
                let format = String::from_utf8_lossy(format).into_owned();
                return Err(PyTypeError::new_err(format!("an array of the type {format:?} can't be read; give float32, float64 or integers")));
            }
        };
        let size = buffer.item_size();
        let shape = buffer.shape().to_vec();
        let near = |stride: &isize| usize::try_from(*stride).ok().filter(|s| s.is_multiple_of(size)).map(|s| s / size);
        let strides: Option<Vec<usize>> = buffer.strides().iter().map(near).collect();
        let strides = strides.filter(|_| buffer.suboffsets().is_none());
        let strides = strides.ok_or_else(|| PyValueError::new_err("the array runs backwards or skips parts of elements; copy it first"))?;
        let last: usize = shape.iter().zip(&strides).map(|(n, s)| n.saturating_sub(1) * s).sum();
        let len = if shape.contains(&0) { 0 } else { last + 1 };
        let whole = !matches!(kind, Kind::F32 | Kind::F64);
        Ok(Array { numbers: Arc::new(Lent { buffer, kind, len }), shape, strides, whole })
    }

    /// Number of its elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its elements follow each other without gaps, the last axis fastest.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(n, s)| {
            let fits = *n <= 1 || *s == expected;
            expected *= n;
            fits
        })
    }

    /// The elements in the order of the axes, the last fastest.
    pub(crate) fn ordered(&self) -> Arc<dyn Numbers> {
        if self.is_contiguous() {
            return self.numbers.clone();
        }
        let place = |mut i: usize| {
            let mut at = 0;
            for (n, s) in self.shape.iter().zip(&self.strides).rev() {
                at += i % n * s;
                i /= n;
            }
            at
        };
        Arc::new((0..self.len()).map(|i| self.numbers.get(place(i))).collect::<Vec<f64>>())
    }

    /// A column of an array of two axes, or the whole of one with one.
    pub(crate) fn column(&self, j: usize) -> Values {
        let first = self.strides.get(1).map_or(0, |s| j * s);
        Values::Lent { numbers: self.numbers.clone(), first, stride: self.strides.first().copied().unwrap_or(1), len: self.shape.first().copied().unwrap_or(0) }
    }

    /// Its elements as ids.
    pub(crate) fn ids(&self) -> PyResult<Vec<u32>> {
        if !self.whole && self.len() > 0 {
            return Err(PyTypeError::new_err("ids are whole numbers, and this is an array of floats; give integers"));
        }
        let numbers = self.ordered();
        let id = |i: usize| {
            let x = numbers.get(i);
            if (0.0..f64::from(u32::MAX)).contains(&x) {
                Ok(x as u32)
            } else {
                Err(PyValueError::new_err(format!("{x} is no id; give whole numbers from 0 on")))
            }
        };
        (0..self.len()).map(id).collect()
    }
}
