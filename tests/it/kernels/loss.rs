//! Weighted softmax cross-entropy over logits `[V, rows]`, and its gradient in place.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels::loss::{Operands, record};

/// 1/N.
const INVERSE_N: f32 = 1.0 / 48.0;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Softmax {
    rows: u32,
    vocab: u32,
    /// Elements from symbol to symbol.
    ld: u32,
    bias: bool,
    gradient: bool,
    logits: Logits,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Logits {
    /// Within 3 of zero.
    Small,
    /// Up to 10,000.
    Large,
    /// Small, but NaN or infinite in every row with weight 0.
    Broken,
    /// Small, but row 1 has a NaN and row 5 an infinity: both count, so they must not be lost.
    Diverged,
}

#[test]
pub(super) fn loss() {
    // A workgroup's 64 rows and a block's 128, and just past each; in some cases ld exceeds the padded rows.
    for (rows, vocab, ld) in [(1, 11, 4), (37, 11, 40), (64, 65, 64), (66, 3, 80), (130, 11, 136), (259, 2, 260)] {
        for bias in [false, true] {
            for gradient in [false, true] {
                softmax(Softmax { rows, vocab, ld, bias, gradient, logits: Logits::Small });
            }
        }
    }
    for bias in [false, true] {
        for logits in [Logits::Large, Logits::Broken, Logits::Diverged] {
            softmax(Softmax { rows: 37, vocab: 11, ld: 48, bias, gradient: true, logits });
        }
        softmax(Softmax { rows: 37, vocab: 11, ld: 40, bias, gradient: false, logits: Logits::Broken });
        softmax(Softmax { rows: 5, vocab: 1, ld: 8, bias, gradient: true, logits: Logits::Small });
    }
}

/// The inputs; the inputs' slot holds targets and weights.
struct Inputs {
    targets: Vec<u32>,
    targets_at: u32,
    weights: Matrix,
    params: Matrix,
    logits: Matrix,
    loss: Matrix,
}

impl Inputs {
    fn new(case: &mut Case, s: Softmax) -> Self {
        let padded = s.rows.next_multiple_of(4);
        let slot = case.slot("inputs", 2 * s.rows + 20);
        let targets: Vec<u32> = (0..s.rows).map(|_| case.below(s.vocab)).collect();
        for (i, &t) in (5..).zip(&targets) {
            case.put_bits(slot, i, t);
        }
        let mut weights = case.blank_at(slot, s.rows + 9, [s.rows, 1, 1]);
        for r in 0..s.rows {
            case.set(&mut weights, r, 0, [1.0, 1.0, 0.0, 0.5][r as usize % 4]);
        }
        let slot = case.slot("params", s.vocab + 14);
        let mut params = case.matrix_at(slot, 7, [1, s.vocab, s.vocab]);
        // The logits start at the first element; a guard follows the last symbol.
        let slot = case.slot("logits", s.vocab * s.ld + 9);
        let mut logits = case.blank_at(slot, 0, [s.vocab, s.rows, s.ld]);
        // Multiples of 1/64 up to 10,000, so that adding the bias is exact.
        let scale = if s.logits == Logits::Large { 640_000.0 } else { 192.0 };
        for v in 0..s.vocab {
            let b = (case.uniform() * 64.0).round() / 64.0;
            case.set(&mut params, 0, v, b);
            for r in 0..s.rows {
                let x = match s.logits {
                    Logits::Broken if weights.at(r, 0) == 0.0 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(v + r) as usize % 3],
                    Logits::Diverged if (v, r) == (4, 1) => f32::NAN,
                    Logits::Diverged if (v, r) == (2, 5) => f32::INFINITY,
                    _ => (case.uniform() * scale).round() / 64.0,
                };
                case.set(&mut logits, v, r, x);
            }
        }
        let slot = case.slot("loss", padded + 16);
        let loss = case.blank_at(slot, 6, [1, s.rows, padded]);
        Inputs { targets, targets_at: 5, weights, params, logits, loss }
    }

    fn operands(&self, s: Softmax) -> Operands {
        let rows = Word::var(Var::Steps);
        let column = |m: &Matrix, offset: u32| View { slot: m.slot, offset: offset.into(), rows, cols: 1.into(), ld: 1 };
        Operands {
            targets: column(&self.weights, self.targets_at),
            weights: column(&self.weights, self.weights.offset),
            bias: s.bias.then(|| self.params.view()),
            params: self.params.slot,
            logits: View { cols: rows, ..self.logits.view() },
            loss: column(&self.loss, self.loss.offset),
            inverse_n: Word::var(Var::InverseN),
            gradient: s.gradient,
        }
    }
}

fn softmax(s: Softmax) {
    let mut case = Case::new(u64::from(s.rows * 31 + s.vocab));
    let i = Inputs::new(&mut case, s);
    let (losses, gradients) = oracle(s, &i);
    // Rows up to a multiple of 4 are padding of the next matmul.
    let diverged = |r| s.logits == Logits::Diverged && (r == 1 || r == 5);
    case.expect_each(&i.loss, |_, r| if diverged(r) { Want::Nan } else { Want::Near(losses[r as usize]) });
    let gradient = |v: u32, r: u32| if diverged(r) { Want::Nan } else { Want::Near(gradients[(v * s.rows + r) as usize]) };
    // Without the gradient the logits may hold anything.
    case.expect_each(&i.logits, |v, r| if s.gradient { gradient(v, r) } else { Want::Free });
    if !s.gradient {
        for v in 0..s.vocab {
            (s.rows..s.rows.next_multiple_of(4)).for_each(|r| case.want(i.logits.slot, i.logits.index(v, r), Want::Free));
        }
    }
    let values = Values::default().with(Var::Steps, s.rows).with_f32(Var::InverseN, INVERSE_N);
    check(&format!("{s:?}"), &case, Forms::Widths, &values, &|r, caps| record(r, "loss", caps.matmul, i.operands(s)));
}

/// The loss of each row, and its gradient with respect to each logit, `[V, rows]`.
fn oracle(s: Softmax, i: &Inputs) -> (Vec<f64>, Vec<f64>) {
    let mut gradients = vec![0.0; (s.vocab * s.rows) as usize];
    let mut losses = Vec::new();
    for r in 0..s.rows {
        let (target, weight) = (i.targets[r as usize], i.weights.at(r, 0));
        if weight == 0.0 {
            losses.push(0.0);
            continue;
        }
        let z: Vec<f64> = (0..s.vocab).map(|v| i.logits.at(v, r) + if s.bias { i.params.at(0, v) } else { 0.0 }).collect();
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - top).exp()).sum();
        losses.push(weight * (sum.ln() + top - z[target as usize]));
        for v in 0..s.vocab {
            let onehot = if v == target { 1.0 } else { 0.0 };
            gradients[(v * s.rows + r) as usize] = weight * f64::from(INVERSE_N) * ((z[v as usize] - top).exp() / sum - onehot);
        }
    }
    (losses, gradients)
}
