//! Weighted mean error of outputs `[V, rows]` from targets, and its gradient in place.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels::regression_loss::{Operands, RegressionLoss, record};

/// 1/N.
const INVERSE_N: f32 = 1.0 / 48.0;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    rows: u32,
    count: u32,
    /// Elements from one output to the next.
    ld: u32,
    bias: bool,
    gradient: bool,
    deviation: RegressionLoss,
    /// The levels of quantiles, in place of that measure.
    quantiles: Option<&'static str>,
    /// Whether outputs with weight 0 are not finite, and also those of row 1, which counts.
    broken: bool,
}

#[test]
pub(super) fn regression_loss() {
    // A workgroup has 64 rows; in some cases ld exceeds the padded rows.
    for (rows, count, ld) in [(1, 1, 4), (37, 5, 40), (64, 3, 64), (65, 12, 80), (259, 2, 260)] {
        for (bias, gradient) in [(false, true), (true, true), (true, false)] {
            let squared = [(RegressionLoss::Squared, None), (RegressionLoss::Absolute, None)];
            let pinball = ["0.1,0.5,0.9", "0.5", "0.01,0.05,0.1,0.25,0.5,0.75,0.9,0.95,0.9999"].map(|levels| (RegressionLoss::Absolute, Some(levels)));
            for (deviation, quantiles) in squared.into_iter().chain(pinball) {
                for broken in [false, true] {
                    run(Row { rows, count, ld, bias, gradient, deviation, quantiles, broken: broken && rows > 4 });
                }
            }
        }
    }
}

fn run(s: Row) {
    let mut case = Case::new(u64::from(s.rows * 31 + s.count));
    let padded = s.rows.next_multiple_of(4);
    let slot = case.slot("inputs", s.count * (s.rows + 3) + s.rows + 20);
    let mut targets = case.blank_at(slot, 5, [s.count, s.rows, s.rows + 3]);
    let mut weights = case.blank_at(slot, s.count * (s.rows + 3) + 11, [s.rows, 1, 1]);
    (0..s.rows).for_each(|r| case.set(&mut weights, r, 0, [1.0, 1.0, 0.0, 0.5][r as usize % 4]));
    let slot = case.slot("params", s.count + 14);
    let params = case.matrix_at(slot, 7, [1, s.count, s.count]);
    let slot = case.slot("outputs", s.count * s.ld + 9);
    let mut outputs = case.blank_at(slot, 0, [s.count, s.rows, s.ld]);
    let b = |v: u32| if s.bias { params.at(0, v) } else { 0.0 };
    for v in 0..s.count {
        for r in 0..s.rows {
            let (x, y) = (case.uniform(), case.uniform());
            let x = if s.broken && (weights.at(r, 0) == 0.0 || r == 1) { f32::NAN } else { 3.0 * x };
            case.set(&mut outputs, v, r, x);
            // Some outputs are exact, where the absolute value has no slope.
            case.set(&mut targets, v, r, if (v + r) % 5 == 3 && !s.bias && x.is_finite() { x } else { 2.0 * y });
        }
    }
    let slot = case.slot("loss", padded + 16);
    let loss = case.blank_at(slot, 6, [1, s.rows, padded]);
    let off = |v: u32, r: u32| outputs.at(v, r) + b(v) - targets.at(v, r);
    let broken = |r: u32| s.broken && r == 1;
    let levels: Option<Vec<f64>> = s.quantiles.map(|text| text.split(',').map(|l| l.parse().unwrap()).collect());
    let level = |v: u32| levels.as_ref().map(|all| all[v as usize % all.len()]);
    let value = |r: u32| {
        let e = |v: u32| {
            if let Some(q) = level(v) {
                (-q * off(v, r)).max((1.0 - q) * off(v, r))
            } else if s.deviation == RegressionLoss::Squared {
                off(v, r).powi(2)
            } else {
                off(v, r).abs()
            }
        };
        if weights.at(r, 0) == 0.0 { 0.0 } else { weights.at(r, 0) * (0..s.count).map(e).sum::<f64>() / f64::from(s.count) }
    };
    let slope = |v: u32, r: u32| {
        let d = off(v, r);
        let e = if let Some(q) = level(v) {
            if d == 0.0 { 0.0 } else { f64::from(u8::from(d > 0.0)) - q }
        } else if s.deviation == RegressionLoss::Squared {
            2.0 * d
        } else if d == 0.0 {
            0.0
        } else {
            d.signum()
        };
        if weights.at(r, 0) == 0.0 { 0.0 } else { weights.at(r, 0) * f64::from(INVERSE_N) * e / f64::from(s.count) }
    };
    case.expect_each(&loss, |_, r| if broken(r) { Want::Nan } else { Want::Near(value(r)) });
    if s.gradient {
        case.expect_each(&outputs, |v, r| if broken(r) { Want::Nan } else { Want::Near(slope(v, r)) });
    }
    let operands = operands(s, [&targets, &weights, &params, &outputs, &loss]);
    let values = Values::default().with(Var::Steps, s.rows).with_f32(Var::InverseN, INVERSE_N);
    check(&format!("{s:?}"), &case, Forms::Plain, &values, &|r, caps| record(r, "loss", caps.matmul, operands));
}

fn operands(s: Row, [targets, weights, params, outputs, loss]: [&Matrix; 5]) -> Operands {
    let rows = Word::var(Var::Steps);
    let column = |m: &Matrix| View { slot: m.slot, offset: m.offset.into(), rows, cols: 1.into(), ld: 1 };
    Operands {
        targets: View { cols: rows, ..targets.view() },
        weights: column(weights),
        bias: s.bias.then(|| params.view()),
        params: params.slot,
        outputs: View { cols: rows, ..outputs.view() },
        loss: column(loss),
        inverse_n: Word::var(Var::InverseN),
        gradient: s.gradient,
        deviation: s.deviation,
        quantiles: s.quantiles.map(|levels| levels.parse().unwrap()),
    }
}
