//! Nets with long lags although their steps contract: `r` writes a large vector, the recurrence turns it into the next of a frame and halves it, and
//! GAP steps later the head reads it. Earlier states are larger by the same factor by which the gradient reaching them is smaller, so all lags up to
//! GAP - 1 contribute equally to dW_hh. All other losses are nearly flat.
//!
//! The plain RNN is linear. The cells with gates are nearly so: their units stay small, and biases hold the gates near constants, so that a step is the
//! same map, in part through the gated state and in the rest through W_hh.

use super::{GAP, HIDDEN, SYMBOLS, dot};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use retrograd::model::{Activation, Cell, Config};

/// Norm of the map of a step: the factor that each step applies to a memory, and to a gradient.
const DECAY: f64 = 0.5;
/// What a gate keeps of the state, and so the part of the map that does not pass through W_hh: z of a GRU, f of an LSTM.
const KEPT: f64 = 0.25;
/// The other gates: r of a GRU; i and o of an LSTM.
const OPEN: f64 = 0.75;

pub(super) const fn config(cell: Cell) -> Config {
    Config { hidden: HIDDEN as u32, layers: 1, cell, activation: Activation::Identity, bias: true, ..Config::symbols(4) }
}

/// Orthonormal vectors.
fn frame(rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut frame: Vec<Vec<f64>> = Vec::new();
    for _ in 0..HIDDEN {
        let mut v: Vec<f64> = (0..HIDDEN).map(|_| rng.random_range(-1.0..1.0)).collect();
        for u in &frame {
            let along = dot(u, &v);
            v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
        }
        let length = dot(&v, &v).sqrt();
        frame.push(v.iter().map(|v| v / length).collect());
    }
    frame
}

/// How a cell carries a memory: its gates, and by how much its input and its recurrence are weakened.
struct Carrier {
    /// Columns of W_xh and W_hh per unit, and biases per unit.
    gates: usize,
    biases: usize,
    /// The gate, of these, that reads the input and carries the rotation.
    main: usize,
    /// The biases of the others, by number.
    held: Vec<(usize, f64)>,
    /// The memory's norm GAP steps after it is written.
    read: f64,
    /// The factors from the main gate's sum, and from its product with W_hh, to the state.
    input: f64,
    recurrent: f64,
    /// The part of the map that does not pass through W_hh.
    kept: f64,
    /// The factor from the state to h.
    out: f64,
}

impl Carrier {
    fn of(cell: Cell) -> Self {
        let bias = |gate: f64| (gate / (1.0 - gate)).ln();
        // Norm 1/2 where it is written: tanh is nearly linear.
        let small = 0.5 * DECAY.powi(GAP as i32);
        match cell {
            Cell::Rnn => Carrier { gates: 1, biases: 1, main: 0, held: vec![], read: 0.5, input: 1.0, recurrent: 1.0, kept: 0.0, out: 1.0 },
            // h = (1-z) tanh(x W + r hp W) + z hp; r, z, n, q.
            Cell::Gru => Carrier {
                gates: 3,
                biases: 4,
                main: 2,
                held: vec![(0, bias(OPEN)), (1, bias(KEPT))],
                read: small,
                input: 1.0 - KEPT,
                recurrent: (1.0 - KEPT) * OPEN,
                kept: KEPT,
                out: 1.0,
            },
            // c = f cp + i tanh(x W + hp W), h = o tanh(c); i, f, g, o.
            Cell::Lstm => Carrier {
                gates: 4,
                biases: 4,
                main: 2,
                held: vec![(0, bias(OPEN)), (1, bias(KEPT)), (3, bias(OPEN))],
                read: small,
                input: OPEN,
                recurrent: OPEN * OPEN,
                kept: KEPT,
                out: OPEN,
            },
        }
    }
}

pub(super) fn parameters(cell: Cell) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (frame, k) = (frame(&mut rng), Carrier::of(cell));
    // Sizes relative to the memory when it is read.
    let scale = k.read / 0.5;
    let mut noise = |size: f64, n: usize| (0..n).map(|_| rng.random_range(-size..size)).collect::<Vec<f64>>();
    let (x, w_hy, b) = (noise(0.02, 4 * HIDDEN), noise(0.05, 4 * HIDDEN), noise(0.02, HIDDEN));
    let (columns, main) = (k.gates * HIDDEN, k.main * HIDDEN);
    let mut w_xh = noise(0.02, 4 * columns);
    let mut w_hh = noise(0.02, HIDDEN * columns);
    let mut b_h = vec![0.0; k.biases * HIDDEN];
    for j in 0..HIDDEN {
        (0..4).for_each(|s| w_xh[s * columns + main + j] = x[s * HIDDEN + j] * scale / k.input);
        b_h[main + j] = b[j] * scale / k.input;
        k.held.iter().for_each(|(gate, bias)| b_h[gate * HIDDEN + j] = *bias);
    }
    for (i, j) in (0..HIDDEN).flat_map(|i| (0..HIDDEN).map(move |j| (i, j))) {
        let turned: f64 = frame.iter().enumerate().map(|(k, from)| DECAY * from[i] * frame[(k + 1) % HIDDEN][j]).sum();
        let kept = if i == j { k.kept } else { 0.0 };
        w_hh[i * columns + main + j] = (turned - kept) / (k.recurrent * k.out);
    }
    let row = |symbol| SYMBOLS.find(symbol).unwrap();
    let mut w_hy: Vec<f64> = w_hy.iter().map(|w| w / scale / k.out).collect();
    for j in 0..HIDDEN {
        w_xh[row('r') * columns + main + j] += k.read * DECAY.powi(-(GAP as i32)) * frame[0][j] / k.input;
        w_hy[row('b') * HIDDEN + j] += 6.0 / k.read * frame[GAP][j] / k.out;
    }
    let b_y = vec![0.0, 5.0, -1.0, 0.0];
    let mut flat = vec![0.0; config(cell).elements() as usize];
    for (tensor, values) in config(cell).tensors().iter().zip([w_xh, w_hh, b_h, w_hy, b_y]) {
        tensor.insert(&mut flat, &values.iter().map(|&x| x as f32).collect::<Vec<f32>>());
    }
    flat
}
