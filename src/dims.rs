//! Sizes and their checks.

use crate::error::{Error, Result};

/// Rounds up to a multiple of 4: rows are read as `vec4<f32>`, so every leading dimension is one.
pub const fn pad4(n: u32) -> u32 {
    n.next_multiple_of(4)
}

/// The sizes of a model and of the batch it is trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// V: symbols in the vocabulary; inputs are one-hot, outputs are V logits.
    pub vocab: u32,
    /// H: units per layer.
    pub hidden: u32,
    /// Layers, 1 to [`Dims::MAX_LAYERS`].
    pub layers: u32,
    /// B: lanes trained side by side.
    pub lanes: u32,
}

impl Dims {
    /// Most layers that a model may have.
    pub const MAX_LAYERS: u32 = 8;
    /// Most elements that one tensor may have: offsets are 32-bit on every adapter, and bytes must be too.
    const MAX_ELEMENTS: u128 = (u32::MAX / 4) as u128;

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Usage`] if a size is 0, there are more than 8 layers, or a tensor would not fit 32-bit offsets.
    pub fn checked(self) -> Result<Self> {
        for (flag, n) in [("--hidden", self.hidden), ("--batch", self.lanes), ("--layers", self.layers), ("vocabulary", self.vocab)] {
            if n == 0 {
                return Err(Error::Usage(format!("{flag} is 0; give at least 1")));
            }
        }
        if self.layers > Self::MAX_LAYERS {
            return Err(Error::Usage(format!("--layers {} is too many; give 1 to {}", self.layers, Self::MAX_LAYERS)));
        }
        let (h, v, b) = (u128::from(self.hidden), u128::from(self.vocab), u128::from(self.lanes));
        let parameters = h * (v + h) + h * (2 * h) * u128::from(self.layers - 1) + v * h;
        for (what, flag, n) in [
            ("the parameters", "--hidden or --layers", parameters),
            ("one step's state", "--batch or --hidden", b * h * u128::from(self.layers)),
            ("one step's logits", "--batch", b * v),
        ] {
            if n > Self::MAX_ELEMENTS {
                return Err(Error::Usage(format!(
                    "{what} would have {n} numbers, more than the {} that 32-bit offsets reach; lower {flag}",
                    Self::MAX_ELEMENTS
                )));
            }
        }
        Ok(self)
    }

    /// Hp: the row length of every `[.., H]` tensor, H rounded up to a multiple of 4.
    pub fn hidden_padded(&self) -> u32 {
        pad4(self.hidden)
    }

    /// Elements of one step's state of one layer, `[B, Hp]`.
    pub fn state(&self) -> u32 {
        self.lanes * self.hidden_padded()
    }
}
