//! The model: its parameters, their names and places, how they are initialised, and (in [`record`]) its equations.

pub mod init;
pub mod record;

pub use crate::kernels::Activation;
pub use crate::kernels::dropout::Dropout;
pub use crate::kernels::regression_loss::RegressionLoss;
pub use init::Init;
pub use record::StashPrecision;

use crate::dims::{Dims, pad4};

/// What the first layer reads at a step, x_t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// One of so many symbols, one-hot: a row of W_xh.
    Symbols(u32),
    /// One of so many symbols as a learned vector: a row of a matrix `[symbols, size]`, which W_xh multiplies.
    Embedded {
        /// Symbols.
        symbols: u32,
        /// E: numbers that stand for each.
        size: u32,
    },
    /// So many numbers.
    Numbers(u32),
}

impl Input {
    /// Symbols that may be read; 0 for numbers.
    pub const fn symbols(self) -> u32 {
        match self {
            Input::Symbols(n) | Input::Embedded { symbols: n, .. } => n,
            Input::Numbers(_) => 0,
        }
    }

    /// Numbers that are read; 0 for symbols.
    pub const fn numbers(self) -> u32 {
        if let Input::Numbers(n) = self { n } else { 0 }
    }

    /// D: rows of W_xh of the first layer.
    pub const fn width(self) -> u32 {
        match self {
            Input::Symbols(n) | Input::Embedded { size: n, .. } | Input::Numbers(n) => n,
        }
    }
}

/// What the head gives at a step, and what it is scored against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Logits of so many symbols or labels; the loss is the cross entropy, nats.
    Classes(u32),
    /// Numbers; the loss is the mean of their deviations from those that were to come.
    Numbers {
        /// How many.
        count: u32,
        /// What is summed.
        deviation: RegressionLoss,
    },
}

impl Output {
    /// V: outputs.
    pub const fn count(self) -> u32 {
        match self {
            Output::Classes(n) | Output::Numbers { count: n, .. } => n,
        }
    }

    /// Numbers that a step is scored against; 0 for classes.
    pub const fn numbers(self) -> u32 {
        if let Output::Numbers { count, .. } = self { count } else { 0 }
    }
}

/// The architecture of a model: layers of `h_t = phi(x_t W_xh + h_{t-1} W_hh + b_h)` and a linear head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// What is read.
    pub input: Input,
    /// What is predicted.
    pub output: Output,
    /// H: units per layer.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// phi.
    pub activation: Activation,
    /// Whether the layers and the head have biases.
    pub bias: bool,
}

impl Config {
    /// One layer of 256 units that reads one-hot symbols and predicts the next: what other sizes are put into.
    pub const fn symbols(vocab: u32) -> Self {
        Config { input: Input::Symbols(vocab), output: Output::Classes(vocab), hidden: 256, layers: 1, activation: Activation::Tanh, bias: true }
    }

    /// V: outputs of the head.
    pub const fn outputs(&self) -> u32 {
        self.output.count()
    }

    /// E: numbers that stand for a symbol; 0 where symbols are one-hot, or none are read.
    pub const fn embedding(&self) -> u32 {
        if let Input::Embedded { size, .. } = self.input { size } else { 0 }
    }

    /// The sizes together with a number of lanes.
    pub fn dims(&self, lanes: u32) -> Dims {
        let embedded = if self.embedding() > 0 { self.input.symbols() } else { 0 };
        Dims { inputs: self.input.width(), embedded, outputs: self.outputs(), hidden: self.hidden, layers: self.layers, lanes }
    }

    /// The parameters, in the order in which they lie in memory: where symbols are embedded `embed [V,E]`; per layer `w_xh.k [D,H]`,
    /// `w_hh.k [H,H]`, `b_h.k [1,H]`; then `w_hy [V,H]` (stored transposed, as PyTorch does) and `b_y [1,V]`.
    pub fn tensors(&self) -> Vec<Tensor> {
        let (v, h) = (self.outputs(), self.hidden);
        let mut shapes = Vec::new();
        if let Input::Embedded { symbols, size } = self.input {
            shapes.push(("embed".to_string(), [symbols, size]));
        }
        for k in 0..self.layers {
            shapes.push((format!("w_xh.{k}"), [if k == 0 { self.input.width() } else { h }, h]));
            shapes.push((format!("w_hh.{k}"), [h, h]));
            if self.bias {
                shapes.push((format!("b_h.{k}"), [1, h]));
            }
        }
        shapes.push(("w_hy".to_string(), [v, h]));
        if self.bias {
            shapes.push(("b_y".to_string(), [1, v]));
        }
        let mut offset = 0;
        let place = |(name, [rows, cols]): (String, [u32; 2])| {
            let tensor = Tensor { name, rows, cols, ld: pad4(cols), offset };
            offset += tensor.elements();
            tensor
        };
        shapes.into_iter().map(place).collect()
    }

    /// Elements of all parameters with their padding, a multiple of 4.
    pub fn elements(&self) -> u32 {
        self.tensors().iter().map(Tensor::elements).sum()
    }

    /// Parameters, padding not counted.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|t| u64::from(t.rows) * u64::from(t.cols)).sum()
    }
}

/// The name of a layer wherever people read it. Counted from 0, the one that reads the input first, as the tensors' names are: `w_hh.0` is that of layer 0.
pub fn layer_name(k: usize) -> String {
    format!("layer {k}")
}

/// A parameter tensor and its place among the flat parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Rows that count.
    pub rows: u32,
    /// Columns that count.
    pub cols: u32,
    /// Elements from row to row.
    pub ld: u32,
    /// First element.
    pub offset: u32,
}

impl Tensor {
    /// Elements with padding: rows and columns are padded with zeros to multiples of 4, since kernels read blocks of 4 by 4.
    pub fn elements(&self) -> u32 {
        let rows = if self.rows == 1 { 1 } else { pad4(self.rows) };
        rows * self.ld
    }

    /// The numbers that count, row-major without padding, out of the flat parameters.
    pub fn extract(&self, flat: &[f32]) -> Vec<f32> {
        (0..self.rows).flat_map(|r| flat[(self.offset + r * self.ld) as usize..][..self.cols as usize].iter().copied()).collect()
    }

    /// Puts the numbers that count, row-major without padding, into the flat parameters.
    ///
    /// # Panics
    /// If `values` has another number of numbers than this tensor.
    pub fn insert(&self, flat: &mut [f32], values: &[f32]) {
        assert_eq!(values.len(), (self.rows * self.cols) as usize, "{}", self.name);
        for (r, row) in values.chunks_exact(self.cols as usize).enumerate() {
            flat[self.offset as usize + r * self.ld as usize..][..row.len()].copy_from_slice(row);
        }
    }
}
