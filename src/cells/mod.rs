//! Recurrent cells. A cell is data, its [`Spec`], and one pointwise step, forward and backward: in Rust in its file here, in WGSL in its file in
//! `shaders/cells`. Everything else is the same for all cells.
//!
//! Per step, the scan computes the products x_t W_xh and hp_t W_hh; the step turns them into h_t (and c_t). A row of gates has one block of H values for
//! each of the cell's biases: first x_t W_xh, then the activations, where the cell keeps them, and on the way back the deltas. The blocks that
//! x_t W_xh and its gradients use are the first G, those of hp_t W_hh the last G. The order of blocks in memory makes that so; files and
//! [`crate::model::Tensor::extract`] have PyTorch's order.

mod gru;
mod lstm;
mod rnn;

pub use rnn::Activation;

use crate::setting::choices;

/// Most blocks in a row of gates.
pub const BLOCKS: usize = 4;

/// The kind of recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// h = phi(a)
    #[default]
    Rnn,
    /// Gated recurrent unit, as PyTorch's: the reset gate acts on the product with W_hh.
    Gru,
    /// Long short-term memory.
    Lstm,
}

choices!(Cell { Rnn = "rnn", Gru = "gru", Lstm = "lstm" });

/// The curve of a gate's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// 1 / (1 + exp(-a)): its slope is y (1 - y), at most 1/4.
    Sigmoid,
    /// tanh(a): its slope is 1 - y^2, at most 1.
    Tanh,
}

impl Curve {
    /// Whether the slope where the activation is y is below a tenth of the steepest.
    pub fn is_flat(self, y: f32) -> bool {
        match self {
            Curve::Sigmoid => y * (1.0 - y) < 0.025,
            Curve::Tanh => 1.0 - y * y < 0.1,
        }
    }
}

/// What tells one cell from another, besides its step.
#[derive(Debug)]
pub struct Spec {
    /// G: columns per unit of W_xh and W_hh.
    pub gates: u32,
    /// N: values of state per unit: h, or h and c.
    pub states: u32,
    /// Whether a row of gates is stored for the backward pass. Otherwise the deltas, one block, are a function of h.
    pub keeps_gates: bool,
    /// Whether dL/dh_{t-1} has a part besides that through W_hh.
    pub direct: bool,
    /// Order in memory of the gates of W_xh, by PyTorch's number.
    pub input: &'static [u8],
    /// Order in memory of the gates of W_hh.
    pub hidden: &'static [u8],
    /// Order in memory of the biases, and so of the blocks in a row of gates. Number G is the second bias of the gate [`Spec::apart`].
    pub bias: &'static [u8],
    /// The gate whose two biases, of x_t W_xh and of hp_t W_hh, are apart; for the others PyTorch's two add up.
    pub apart: Option<u8>,
    /// By block: the curve of its activation; none where the block is part of a sum. Empty for a cell whose curve is [`Activation`].
    pub curves: &'static [Option<Curve>],
    /// The gate by which c is kept.
    pub forget: Option<u8>,
    /// PyTorch's class in torch.nn, and ONNX's operator.
    pub torch: &'static str,
    /// Order of the gates in ONNX.
    pub onnx: &'static [u8],
    /// Functions `cell_forward` and `cell_backward` in WGSL.
    pub source: &'static str,
    /// One step forward.
    pub forward: fn(Forward<'_>),
    /// One step back.
    pub backward: fn(Backward<'_>),
}

impl Spec {
    /// Blocks in a row of gates.
    pub const fn blocks(&self) -> u32 {
        self.bias.len() as u32
    }

    /// Blocks before those of hp_t W_hh.
    pub const fn before_hidden(&self) -> u32 {
        self.blocks() - self.gates
    }
}

impl Cell {
    /// Every cell.
    pub const ALL: [Cell; 3] = [Cell::Rnn, Cell::Gru, Cell::Lstm];

    /// Its data.
    pub const fn spec(self) -> &'static Spec {
        match self {
            Cell::Rnn => &rnn::SPEC,
            Cell::Gru => &gru::SPEC,
            Cell::Lstm => &lstm::SPEC,
        }
    }

    /// The cell with the given number, as an argument of a kernel.
    pub(crate) fn from_word(word: u32) -> Self {
        Self::ALL[word as usize]
    }
}

/// One step forward of consecutive units of one lane. Slices have one value per unit; those that a cell lacks are empty.
pub struct Forward<'a> {
    /// phi.
    pub activation: Activation,
    /// By block: x_t W_xh, plus hp_t W_hh for all gates but that with two biases; the last block is then the part hp_t W_hh of that gate. Replaced by
    /// the activations.
    pub gates: [&'a mut [f32]; BLOCKS],
    /// Biases by block.
    pub bias: [&'a [f32]; BLOCKS],
    /// keep_t h_{t-1}.
    pub hp: &'a [f32],
    /// keep_t c_{t-1}.
    pub cp: &'a [f32],
    /// Becomes h_t.
    pub h: &'a mut [f32],
    /// Becomes c_t.
    pub c: &'a mut [f32],
}

/// One step back, likewise.
pub struct Backward<'a> {
    /// phi.
    pub activation: Activation,
    /// By block: the activations, replaced by the deltas.
    pub gates: [&'a mut [f32]; BLOCKS],
    /// c_t, or h_t for a cell without c.
    pub now: &'a [f32],
    /// keep_t c_{t-1}, or keep_t h_{t-1} for a cell without c.
    pub before: &'a [f32],
    /// dL/dh_t; replaced by the part of dL/dh_{t-1} that does not pass through W_hh, where there is one.
    pub g_h: &'a mut [f32],
    /// dL/dc_t without the part through h_t; replaced by dL/dc_{t-1}.
    pub g_c: &'a mut [f32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_that_put_what_a_matrix_needs_side_by_side() {
        for cell in Cell::ALL {
            let spec = cell.spec();
            let sorted = |order: &[u8]| {
                let mut all = order.to_vec();
                all.sort_unstable();
                all
            };
            let gates: Vec<u8> = (0..spec.gates as u8).collect();
            assert_eq!([sorted(spec.input), sorted(spec.hidden), sorted(spec.onnx)], [gates.clone(), gates.clone(), gates], "{cell}");
            assert_eq!(sorted(spec.bias), (0..spec.blocks() as u8).collect::<Vec<_>>(), "{cell}");
            assert_eq!(&spec.bias[..spec.gates as usize], spec.input, "{cell}");
            assert_eq!(spec.curves.len(), if spec.keeps_gates { spec.bias.len() } else { 0 }, "{cell}");
            // The second bias of a gate is that of hp_t W_hh.
            let second = |g: &u8| if u32::from(*g) == spec.gates { spec.apart.expect("a gate with two biases") } else { *g };
            assert_eq!(spec.bias[spec.before_hidden() as usize..].iter().map(second).collect::<Vec<_>>(), spec.hidden, "{cell}");
        }
    }

    #[test]
    fn a_curve_is_flat_where_a_small_change_does_little() {
        let sigma = |a: f64| 1.0 / (1.0 + (-a).exp());
        let curves: [(Curve, &dyn Fn(f64) -> f64); 2] = [(Curve::Sigmoid, &sigma), (Curve::Tanh, &f64::tanh)];
        for (curve, f) in curves {
            let slope = |a: f64| (f(a + 1e-5) - f(a - 1e-5)) / 2e-5;
            for a in (-60..=60).map(|i| f64::from(i) / 10.0 + 0.003) {
                assert_eq!(curve.is_flat(f(a) as f32), slope(a) < 0.1 * slope(0.0), "{curve:?} at {a}");
            }
        }
        let phi: [(Activation, f32, bool); 7] = [
            (Activation::Tanh, 0.94, false),
            (Activation::Tanh, -0.95, true),
            (Activation::Relu, 0.0, true),
            (Activation::Relu, f32::NAN, true),
            (Activation::Relu, 1e-9, false),
            (Activation::Identity, 1e9, false),
            (Activation::Tanh, f32::NAN, false),
        ];
        for (activation, h, flat) in phi {
            assert_eq!(activation.is_flat(h), flat, "{activation} {h}");
        }
    }
}
