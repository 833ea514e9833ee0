//! The model: its parameters, their names and places, how they are initialised, and (in [`record`]) its equations.

pub mod init;
pub mod record;

pub use crate::kernels::Activation;
pub use init::Init;
pub use record::History;

use crate::dims::{Dims, pad4};

/// The architecture of a model: layers of `h_t = phi(x_t W_xh + h_{t-1} W_hh + b_h)` over one-hot symbols and a linear head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// V: symbols of the vocabulary.
    pub vocab: u32,
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
    /// The sizes together with a number of lanes.
    pub fn dims(&self, lanes: u32) -> Dims {
        Dims { vocab: self.vocab, hidden: self.hidden, layers: self.layers, lanes }
    }

    /// The parameters, in the order in which they lie in memory: per layer `w_xh.k [D,H]` (D = V, then H), `w_hh.k [H,H]`,
    /// `b_h.k [1,H]`; then `w_hy [V,H]` (stored transposed, as PyTorch does) and `b_y [1,V]`.
    pub fn tensors(&self) -> Vec<Tensor> {
        let (v, h) = (self.vocab, self.hidden);
        let mut shapes = Vec::new();
        for k in 0..self.layers {
            shapes.push((format!("w_xh.{k}"), [if k == 0 { v } else { h }, h]));
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
