//! How an outcome travels between ranks.

use crate::error::Error;

/// What a rank says of its part, ahead of the part itself: 0, or the kind of its error.
pub(super) fn kind(outcome: Option<&Error>) -> u32 {
    match outcome {
        None => 0,
        Some(Error::Setting { .. } | Error::Usage(_)) => 1,
        Some(Error::Input(_)) => 2,
        Some(Error::Device(_)) => 3,
        Some(Error::Lost(_)) => 4,
        Some(Error::Anomaly(_)) => 5,
        Some(Error::Interrupted) => INTERRUPTED,
    }
}

/// The kind of an interrupt.
pub(super) const INTERRUPTED: u32 = 6;

/// The error of another rank.
pub(super) fn error(kind: u32, message: String) -> Error {
    match kind {
        1 => Error::Usage(message),
        3 => Error::Device(message),
        4 => Error::Lost(message),
        5 => Error::Anomaly(message),
        INTERRUPTED => Error::Interrupted,
        _ => Error::Input(message),
    }
}

/// Numbers as bytes, little end first.
#[derive(Default)]
pub struct Packed(pub Vec<u8>);

impl Packed {
    /// Adds a count.
    pub fn count(&mut self, n: usize) {
        self.0.extend((n as u64).to_le_bytes());
    }

    /// Adds numbers, preceded by their count.
    pub fn floats(&mut self, x: &[f32]) {
        self.count(x.len());
        self.0.extend(x.iter().flat_map(|x| x.to_le_bytes()));
    }

    /// The same, of double width.
    pub fn doubles(&mut self, x: &[f64]) {
        self.count(x.len());
        self.0.extend(x.iter().flat_map(|x| x.to_le_bytes()));
    }
}

/// Reads what [`Packed`] wrote.
pub struct Unpacked<'a>(pub &'a [u8]);

impl Unpacked<'_> {
    /// The next bytes; zeros beyond the end.
    fn word<const N: usize>(&mut self) -> [u8; N] {
        let mut word = [0; N];
        let n = N.min(self.0.len());
        word[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        word
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next count.
    pub fn count(&mut self) -> usize {
        u64::from_le_bytes(self.word()) as usize
    }

    /// The next numbers.
    pub fn floats(&mut self) -> Vec<f32> {
        let n = self.count().min(self.0.len() / 4);
        (0..n).map(|_| f32::from_le_bytes(self.word())).collect()
    }

    /// The next numbers of double width.
    pub fn doubles(&mut self) -> Vec<f64> {
        let n = self.count().min(self.0.len() / 8);
        (0..n).map(|_| f64::from_le_bytes(self.word())).collect()
    }
}
