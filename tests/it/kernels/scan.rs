//! What the tests of the recurrences share: their cases, weights, edges, and each cell's step in f64, written from the formulas.
//!
//! The order of blocks in memory is written down here once more: n, r, z, q of a GRU, where x_t W_xh has n, r, z and hp_t W_hh r, z, q; i, f, g, o of an LSTM.

use super::case::{Case, Matrix};
use super::run::Recurrence;
use crate::compare::Want;
use retrograd::arena::{Slot, View};
use retrograd::kernel::Word;
use retrograd::model::{Activation, Cell};

/// One scan of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    pub(super) cell: Cell,
    pub(super) lanes: u32,
    pub(super) hidden: u32,
    pub(super) steps: u32,
    pub(super) activation: Activation,
    /// Forward: whether there is a bias. Backward: whether a carry flows in.
    pub(super) extra: bool,
    /// Backward: whether the gradients of the states are written.
    pub(super) probe: bool,
    /// Whether some lanes are broken, and repaired by a reset.
    pub(super) broken: bool,
}

/// Sizes of scans, [lanes, units, steps]: all 1; odd ones; one lane past the largest tile; whole tiles.
pub(super) const SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 37, 2], [16, 64, 3]];
/// Sizes for the kernels with one dispatch per step, where units may exceed a workgroup's.
pub(super) const STEP_SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 131, 2], [16, 64, 3]];
/// Sizes for the kernels that hold weights: slices of one block, of unequal numbers of blocks, and fewer lanes than a tile.
pub(super) const HELD_SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 131, 2], [16, 64, 3]];

/// A cell over the given sizes. At the odd sizes: every activation, with and without the extra, and broken lanes; at the others a few of these. Cells with
/// gates leave out the last size: their shaders take long to compile, and whole tiles are the same for all cells.
pub(super) fn cases(cell: Cell, sizes: &[[u32; 3]; 4], run: &dyn Fn(Scan)) {
    const PLAIN: &[Activation] = &[Activation::Tanh, Activation::Relu, Activation::Identity];
    let count = if cell == Cell::Rnn { sizes.len() } else { sizes.len() - 1 };
    for (i, &[lanes, hidden, steps]) in sizes[..count].iter().enumerate() {
        for &activation in if cell == Cell::Rnn { PLAIN } else { &PLAIN[..1] } {
            let with = |extra, probe, broken| run(Scan { cell, lanes, hidden, steps, activation, extra, probe, broken });
            if i == 1 {
                with(false, true, false);
                with(true, false, false);
                with(true, true, true);
            } else {
                let extra = if cell == Cell::Rnn { activation != Activation::Relu } else { i != 2 };
                with(extra, extra, false);
            }
        }
    }
}

impl Scan {
    /// G: results of x_t W_xh per unit.
    pub(super) fn gates(self) -> u32 {
        match self.cell {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Blocks in a row of gates.
    pub(super) fn blocks(self) -> u32 {
        match self.cell {
            Cell::Rnn => 1,
            Cell::Gru | Cell::Lstm => 4,
        }
    }

    /// First block of hp_t W_hh.
    pub(super) fn first(self) -> u32 {
        self.blocks() - self.gates()
    }

    /// N: h, or h and c.
    pub(super) fn states(self) -> u32 {
        if self.cell == Cell::Lstm { 2 } else { 1 }
    }

    /// Padded units.
    pub(super) fn ld(self) -> u32 {
        self.hidden.next_multiple_of(4)
    }

    /// Its sizes, for a product of `columns` results per unit and sums over `inners` values per unit.
    pub(super) fn sizes(self, columns: u32, inners: u32) -> Recurrence {
        Recurrence { hidden: self.ld(), lanes: self.lanes, columns, inners }
    }

    /// Consecutive parts of the rows of a slot, one matrix each: blocks of gates, or h and c of a state. The first `random` are random.
    pub(super) fn parts(self, case: &mut Case, slot: Slot, offset: u32, rows: u32, [count, random]: [u32; 2]) -> Vec<Matrix> {
        let shape = [rows, self.hidden, count * self.ld()];
        (0..count)
            .map(|p| {
                let at = offset + p * self.ld();
                if p < random { case.matrix_at(slot, at, shape) } else { case.blank_at(slot, at, shape) }
            })
            .collect()
    }
}

/// All parts of rows as one operand.
pub(super) fn whole(parts: &[Matrix], rows: Word) -> View {
    let first = &parts[0];
    View { rows, cols: if parts.len() == 1 { first.cols } else { first.ld }.into(), ..first.view() }
}

/// The value in row r of unit j; 0 in the padding.
pub(super) fn padded(m: &Matrix, r: u32, j: u32) -> f64 {
    if j < m.cols { m.at(r, j) } else { 0.0 }
}

/// What unit j, perhaps padding, should hold.
pub(super) fn want(m: &Matrix, j: u32, x: f64) -> Want {
    match x {
        // NaN times a zero of the padding is NaN, but need not be computed.
        _ if x.is_nan() => {
            if j < m.cols {
                Want::Nan
            } else {
                Want::Free
            }
        }
        _ if j >= m.cols && x == 0.0 => Want::Zero,
        _ => Want::Near(x),
    }
}

/// W_hh of a cell and perhaps its biases.
pub(super) struct Weights {
    /// Per gate `[H, H]`, from one slot `[H, G H]`.
    pub(super) w: Vec<Matrix>,
    /// Per block `[1, H]`.
    pub(super) bias: Vec<Matrix>,
}

impl Weights {
    /// Like those of every parameter, the rows of W_hh are padded in number too.
    pub(super) fn new(case: &mut Case, s: Scan) -> Self {
        let (ld, width) = (s.ld(), s.gates() * s.ld());
        let slot = case.slot("w", 8 + ld * width + 12 + s.blocks() * ld + 7);
        (0..ld * width).for_each(|i| case.put(slot, 8 + i, 0.0));
        let mut w = s.parts(case, slot, 8, s.hidden, [s.gates(); 2]);
        w.iter_mut().for_each(|w| case.scale(w, 1.7 / (s.hidden as f32).sqrt()));
        let bias = if s.extra { s.parts(case, slot, 20 + ld * width, 1, [s.blocks(); 2]) } else { Vec::new() };
        Weights { w, bias }
    }

    /// The bias of block b of unit j.
    pub(super) fn bias(&self, b: u32, j: u32) -> f64 {
        self.bias.get(b as usize).map_or(0.0, |m| padded(m, 0, j))
    }

    pub(super) fn bias_view(&self) -> Option<View> {
        (!self.bias.is_empty()).then(|| whole(&self.bias, 1.into()))
    }
}

/// One value per row, initially 1, at an odd offset in a slot of its own.
pub(super) fn ones(case: &mut Case, name: &str, rows: u32) -> Matrix {
    let slot = case.slot(name, rows + 6);
    let mut m = case.blank_at(slot, 3, [rows, 1, 1]);
    (0..rows).for_each(|r| case.set(&mut m, r, 0, 1.0));
    m
}

/// Zeros of `keep` at the first step, in the middle and at the last, different in each lane.
pub(super) fn resets(case: &mut Case, keep: &mut Matrix, s: Scan) {
    for t in 0..s.steps {
        for b in (0..s.lanes).filter(|b| (t + 2 * b) % 5 == 4) {
            case.set(keep, t * s.lanes + b, 0, 0.0);
        }
    }
}

/// One step of one unit.
pub(super) struct Step {
    /// The activations by block; none for a plain RNN.
    pub(super) gates: [f64; 4],
    pub(super) h: f64,
    pub(super) c: f64,
}

fn sigma(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// A step from the sums by block, biases included.
pub(super) fn step(s: Scan, a: [f64; 4], hp: f64, cp: f64) -> Step {
    match s.cell {
        Cell::Rnn => {
            let h = match s.activation {
                Activation::Tanh => a[0].tanh(),
                Activation::Relu if a[0] < 0.0 => 0.0,
                Activation::Relu | Activation::Identity => a[0],
            };
            Step { gates: [0.0; 4], h, c: 0.0 }
        }
        Cell::Gru => {
            let (r, z, q) = (sigma(a[1]), sigma(a[2]), a[3]);
            let n = (a[0] + r * q).tanh();
            Step { gates: [n, r, z, q], h: n + z * (hp - n), c: 0.0 }
        }
        Cell::Lstm => {
            let [i, f, g, o] = [sigma(a[0]), sigma(a[1]), a[2].tanh(), sigma(a[3])];
            let c = i * g + f * cp;
            Step { gates: [i, f, g, o], h: c.tanh() * o, c }
        }
    }
}

/// One step back of one unit.
pub(super) struct Back {
    /// The deltas by block.
    pub(super) deltas: [f64; 4],
    /// The part of dL/dh_{t-1} that does not pass through W_hh.
    pub(super) h: f64,
    /// dL/dc_{t-1}.
    pub(super) c: f64,
}

/// A step back. `now` and `before` are c_t and keep_t c_{t-1}, or of h for a cell without c.
pub(super) fn back(s: Scan, gates: [f64; 4], [now, before]: [f64; 2], [g_h, g_c]: [f64; 2]) -> Back {
    let slope = |s: f64| s * (1.0 - s);
    match s.cell {
        Cell::Rnn => {
            let slope = match s.activation {
                Activation::Tanh => 1.0 - now * now,
                Activation::Relu => f64::from(u8::from(now > 0.0)),
                Activation::Identity => 1.0,
            };
            Back { deltas: [g_h * slope, 0.0, 0.0, 0.0], h: 0.0, c: 0.0 }
        }
        Cell::Gru => {
            let [n, r, z, q] = gates;
            let of_n = g_h * (1.0 - z) * (1.0 - n * n);
            Back { deltas: [of_n, of_n * q * slope(r), g_h * (before - n) * slope(z), of_n * r], h: g_h * z, c: 0.0 }
        }
        Cell::Lstm => {
            let ([i, f, g, o], y) = (gates, now.tanh());
            let of_c = g_c + g_h * o * (1.0 - y * y);
            Back { deltas: [of_c * g * slope(i), of_c * before * slope(f), of_c * i * (1.0 - g * g), g_h * y * slope(o)], h: 0.0, c: of_c * f }
        }
    }
}
