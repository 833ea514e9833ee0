//! The model: its parameters with their names and layout, their initialisation, and (in [`record`]) its equations.

pub mod init;
pub mod record;

pub use crate::cells::{Activation, Cell};
pub use crate::kernels::dropout::Dropout;
pub use crate::kernels::regression_loss::{Quantiles, RegressionLoss};
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
    /// Quantiles of numbers; the loss is their mean pinball loss.
    Quantiles {
        /// How many, those of one number after each other.
        count: u32,
        /// The levels of those of a number.
        levels: Quantiles,
    },
}

impl Output {
    /// V: number of outputs.
    pub const fn count(self) -> u32 {
        match self {
            Output::Classes(n) | Output::Numbers { count: n, .. } | Output::Quantiles { count: n, .. } => n,
        }
    }

    /// Number of numeric targets per step; 0 for classes.
    pub const fn numbers(self) -> u32 {
        if let Output::Numbers { count, .. } | Output::Quantiles { count, .. } = self { count } else { 0 }
    }
}

/// The architecture of a model: recurrent layers and a linear head.
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
    /// The cell of every layer.
    #[serde(default)]
    pub cell: Cell,
    /// phi of the layers, for [`Cell::Rnn`]; tanh for the others.
    pub activation: Activation,
    /// Whether the layers and the head have biases.
    pub bias: bool,
}

impl Config {
    /// One layer of 256 tanh units with biases that reads one-hot symbols and predicts the next; a base for struct update syntax.
    pub const fn symbols(vocab: u32) -> Self {
        Config {
            input: Input::Symbols(vocab),
            output: Output::Classes(vocab),
            hidden: 256,
            layers: 1,
            cell: Cell::Rnn,
            activation: Activation::Tanh,
            bias: true,
        }
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
        Dims { inputs: self.input.width(), embedded, outputs: self.outputs(), hidden: self.hidden, layers: self.layers, lanes, cell: self.cell }
    }

    /// Values in a lane's state of a layer: h, then c if the cell has one, each padded to a multiple of 4.
    pub fn state_width(&self) -> u32 {
        self.dims(1).state_width()
    }

    /// The parameters, in memory order: `embed [V,E]` if symbols are embedded; per layer `w_xh.k [D, G H]`, `w_hh.k [H, G H]`, `b_h.k [1, blocks H]`, with the
    /// columns of one gate after those of another; then `w_hy [V,H]` (stored transposed, as in PyTorch) and `b_y [1,V]`.
    pub fn tensors(&self) -> Vec<Tensor> {
        const PLAIN: &[u8] = &[0];
        let (v, h, spec) = (self.outputs(), self.hidden, self.cell.spec());
        let mut shapes = Vec::new();
        if let Input::Embedded { symbols, size } = self.input {
            shapes.push(("embed".to_string(), [symbols, size], PLAIN));
        }
        for k in 0..self.layers {
            shapes.push((format!("w_xh.{k}"), [if k == 0 { self.input.width() } else { h }, h], spec.input));
            shapes.push((format!("w_hh.{k}"), [h, h], spec.hidden));
            if self.bias {
                shapes.push((format!("b_h.{k}"), [1, h], spec.bias));
            }
        }
        shapes.push(("w_hy".to_string(), [v, h], PLAIN));
        if self.bias {
            shapes.push(("b_y".to_string(), [1, v], PLAIN));
        }
        let mut offset = 0;
        let place = |(name, [rows, units], order): (String, [u32; 2], &'static [u8])| {
            let gates = order.len() as u32;
            let tensor = Tensor { name, rows, cols: gates * units, ld: gates * pad4(units), offset, order };
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
    /// The order in memory of the parts of a row, one per gate, each padded to a multiple of 4 elements; `[0]` for one part.
    pub order: &'static [u8],
}

impl Tensor {
    /// Elements with padding: rows and columns are padded with zeros to multiples of 4, since kernels read blocks of 4 by 4; of a bias, rows of 4.
    pub fn elements(&self) -> u32 {
        let rows = if self.name.starts_with("b_") { 1 } else { pad4(self.rows) };
        rows * self.ld
    }

    /// Parts of a row: one per gate, or one.
    pub fn gates(&self) -> u32 {
        self.order.len() as u32
    }

    /// Columns of a view of it: all, with the padding between gates, if there are several.
    pub fn view_cols(&self) -> u32 {
        if self.order.len() == 1 { self.cols } else { self.ld }
    }

    /// Per row and gate, in the order of the values: where they lie in the flat parameters.
    fn parts(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let Tensor { rows, ld, offset, order, .. } = *self;
        let (gates, units) = (self.gates(), self.cols / self.gates());
        (0..rows).flat_map(move |r| {
            (0..gates).map(move |g| {
                let place = order.iter().position(|o| u32::from(*o) == g).expect("an order has every gate");
                let first = (offset + r * ld) as usize + place * (ld / gates) as usize;
                first..first + units as usize
            })
        })
    }

    /// Extracts the values, row-major without padding, gates in PyTorch's order, from the flat parameters.
    pub fn extract(&self, flat: &[f32]) -> Vec<f32> {
        self.parts().flat_map(|part| flat[part].iter().copied()).collect()
    }

    /// Copies the values, ordered likewise, into the flat parameters.
    ///
    /// # Panics
    /// If the number of `values` is not that of this tensor.
    pub fn insert(&self, flat: &mut [f32], values: &[f32]) {
        assert_eq!(values.len(), (self.rows * self.cols) as usize, "{}", self.name);
        for (part, values) in self.parts().zip(values.chunks_exact((self.cols / self.gates()) as usize)) {
            flat[part].copy_from_slice(values);
        }
    }
}
