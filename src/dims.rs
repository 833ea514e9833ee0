//! Sizes and their checks.

use crate::cells::{Cell, Spec};
use crate::error::{Error, Result};

/// Rounds up to a multiple of 4: rows are read as `vec4<f32>`, so every leading dimension is such a multiple.
pub const fn pad4(n: u32) -> u32 {
    n.next_multiple_of(4)
}

/// The sizes of a model and of the batch it is trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// D: inputs of the first layer, one-hot symbols or values.
    pub inputs: u32,
    /// Number of symbols embedded in D values; 0 for no embedding.
    pub embedded: u32,
    /// V: outputs of the head.
    pub outputs: u32,
    /// H: units per layer.
    pub hidden: u32,
    /// Layers, 1 to [`Dims::MAX_LAYERS`].
    pub layers: u32,
    /// B: lanes trained side by side.
    pub lanes: u32,
    /// The cell of every layer.
    pub cell: Cell,
}

impl Dims {
    /// Maximum number of layers.
    pub const MAX_LAYERS: u32 = 8;
    /// Maximum number of elements of a tensor: offsets are 32-bit on every adapter, and byte offsets must fit too.
    const MAX_ELEMENTS: u128 = (u32::MAX / 4) as u128;

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] if a size is 0, there are more than 8 layers, or a tensor would not fit 32-bit offsets.
    pub fn checked(self) -> Result<Self> {
        for (setting, n) in [("hidden", self.hidden), ("batch", self.lanes), ("layers", self.layers), ("inputs", self.inputs), ("outputs", self.outputs)] {
            if n == 0 {
                return Err(Error::setting(setting, format!("`{setting}` is 0; expected at least 1")));
            }
        }
        if self.layers > Self::MAX_LAYERS {
            return Err(Error::setting("layers", format!("`layers` {} is too many; expected 1 to {}", self.layers, Self::MAX_LAYERS)));
        }
        let [h, d, e, v, b] = [self.hidden, self.inputs, self.embedded, self.outputs, self.lanes].map(u128::from);
        let (g, blocks) = (u128::from(self.spec().gates), u128::from(self.spec().blocks()));
        let parameters = e * d + g * (h * (d + h) + h * (2 * h) * u128::from(self.layers - 1)) + v * h;
        for (what, setting, lower, n) in [
            ("the parameters", "hidden", "`hidden` or `layers`", parameters),
            ("one step's state", "batch", "`batch` or `hidden`", b * h * blocks * u128::from(self.layers)),
            ("one step's inputs", "batch", "`batch`", b * d),
            ("one step's outputs", "batch", "`batch`", b * v),
        ] {
            if n > Self::MAX_ELEMENTS {
                let most = Self::MAX_ELEMENTS;
                return Err(Error::setting(setting, format!("{what} would have {n} numbers, more than the {most} that 32-bit offsets reach; lower {lower}")));
            }
        }
        Ok(self)
    }

    /// Hp: the row length of every `[.., H]` tensor, H rounded up to a multiple of 4.
    pub fn hidden_padded(&self) -> u32 {
        pad4(self.hidden)
    }

    /// The cell's data.
    pub fn spec(&self) -> &'static Spec {
        self.cell.spec()
    }

    /// N Hp: values in a lane's state of a layer: h, and c after it if the cell has one.
    pub fn state_width(&self) -> u32 {
        self.spec().states * self.hidden_padded()
    }

    /// Values in a row of gates.
    pub fn gates_width(&self) -> u32 {
        self.spec().blocks() * self.hidden_padded()
    }

    /// Elements of one step's h of one layer, `[B, Hp]`.
    pub fn block(&self) -> u32 {
        self.lanes * self.hidden_padded()
    }

    /// Elements of one step's state of one layer, `[B, N Hp]`.
    pub fn state(&self) -> u32 {
        self.lanes * self.state_width()
    }
}
