//! The model: its parameters with their names and layout, their initialisation, and (in [`record`]) its equations.

pub mod init;
pub mod record;

pub use crate::kernels::Activation;
pub use crate::kernels::dropout::Dropout;
pub use crate::kernels::regression_loss::RegressionLoss;
pub use init::Init;
pub use record::StashPrecision;

use crate::dims::{Dims, pad4};

/// Input of the first layer at a step, x_t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// One of n symbols, one-hot: selects a row of W_xh.
    Symbols(u32),
    /// A symbol as a learned vector: a row of a matrix `[symbols, size]`, which W_xh multiplies.
    Embedded {
        /// Number of symbols.
        symbols: u32,
        /// E: size of each vector.
        size: u32,
    },
    /// A vector of n numbers.
    Numbers(u32),
}

impl Input {
    /// Number of input symbols; 0 for numeric input.
    pub const fn symbols(self) -> u32 {
        match self {
            Input::Symbols(n) | Input::Embedded { symbols: n, .. } => n,
            Input::Numbers(_) => 0,
        }
    }

    /// Size of a numeric input; 0 for symbols.
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

/// Output of the head at a step, and its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Logits of n symbols or labels; the loss is the cross entropy in nats.
    Classes(u32),
    /// Numbers; the loss is the mean of their errors.
    Numbers {
        /// How many numbers.
        count: u32,
        /// The error measure.
        deviation: RegressionLoss,
    },
}

impl Output {
    /// V: number of outputs.
    pub const fn count(self) -> u32 {
        match self {
            Output::Classes(n) | Output::Numbers { count: n, .. } => n,
        }
    }

    /// Number of numeric targets per step; 0 for classes.
    pub const fn numbers(self) -> u32 {
        if let Output::Numbers { count, .. } = self { count } else { 0 }
    }
}

/// The architecture of a model: layers of `h_t = phi(x_t W_xh + h_{t-1} W_hh + b_h)` and a linear head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// The input.
    pub input: Input,
    /// The output.
    pub output: Output,
    /// H: units per layer.
    pub hidden: u32,
    /// Number of layers.
    pub layers: u32,
    /// phi.
    pub activation: Activation,
    /// Whether the layers and the head have biases.
    pub bias: bool,
}

impl Config {
    /// One layer of 256 tanh units with biases that reads one-hot symbols and predicts the next; a base for struct update syntax.
    pub const fn symbols(vocab: u32) -> Self {
        Config { input: Input::Symbols(vocab), output: Output::Classes(vocab), hidden: 256, layers: 1, activation: Activation::Tanh, bias: true }
    }

    /// V: number of outputs of the head.
    pub const fn outputs(&self) -> u32 {
        self.output.count()
    }

    /// E: size of a symbol's embedding; 0 for one-hot symbols and numeric input.
    pub const fn embedding(&self) -> u32 {
        if let Input::Embedded { size, .. } = self.input { size } else { 0 }
    }

    /// The sizes together with a number of lanes.
    pub fn dims(&self, lanes: u32) -> Dims {
        let embedded = if self.embedding() > 0 { self.input.symbols() } else { 0 };
        Dims { inputs: self.input.width(), embedded, outputs: self.outputs(), hidden: self.hidden, layers: self.layers, lanes }
    }

    /// The parameters, in memory order: `embed [V,E]` if symbols are embedded; per layer `w_xh.k [D,H]`, `w_hh.k [H,H]`, `b_h.k [1,H]`; then
    /// `w_hy [V,H]` (stored transposed, as in PyTorch) and `b_y [1,V]`.
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

    /// Elements of all parameters, padding included; a multiple of 4.
    pub fn elements(&self) -> u32 {
        self.tensors().iter().map(Tensor::elements).sum()
    }

    /// Number of parameters, without padding.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|t| u64::from(t.rows) * u64::from(t.cols)).sum()
    }
}

/// The display name of a layer. Layers count from 0, the one that reads the input, as in tensor names: `w_hh.0` belongs to layer 0.
pub fn layer_name(k: usize) -> String {
    format!("layer {k}")
}

/// A parameter tensor and its position in the flat parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Rows, without padding.
    pub rows: u32,
    /// Columns, without padding.
    pub cols: u32,
    /// Elements from one row to the next.
    pub ld: u32,
    /// Index of the first element.
    pub offset: u32,
}

impl Tensor {
    /// Elements with padding: rows and columns are padded with zeros to multiples of 4, since kernels read blocks of 4 by 4.
    pub fn elements(&self) -> u32 {
        let rows = if self.rows == 1 { 1 } else { pad4(self.rows) };
        rows * self.ld
    }

    /// Extracts the values, row-major without padding, from the flat parameters.
    pub fn extract(&self, flat: &[f32]) -> Vec<f32> {
        (0..self.rows).flat_map(|r| flat[(self.offset + r * self.ld) as usize..][..self.cols as usize].iter().copied()).collect()
    }

    /// Copies the values, row-major without padding, into the flat parameters.
    ///
    /// # Panics
    /// If the number of `values` is not that of this tensor.
    pub fn insert(&self, flat: &mut [f32], values: &[f32]) {
        assert_eq!(values.len(), (self.rows * self.cols) as usize, "{}", self.name);
        for (r, row) in values.chunks_exact(self.cols as usize).enumerate() {
            flat[self.offset as usize + r * self.ld as usize..][..row.len()].copy_from_slice(row);
        }
    }
}
