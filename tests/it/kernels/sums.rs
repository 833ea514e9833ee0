//! Sums over rows and columns, and the transpose.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels;

/// The destination of a sum: random if accumulated to, else garbage.
fn target(case: &mut Case, cols: u32, accumulate: bool) -> Matrix {
    if accumulate { case.matrix("out", 1, cols) } else { case.blank("out", 1, cols) }
}

fn values(size: u32, accumulate: bool) -> Values {
    Values::default().with(Var::Steps, size).with(Var::Accumulate, accumulate.into())
}

#[test]
pub(super) fn col_sum() {
    for [rows, cols] in [[1, 1], [7, 37], [31, 16], [33, 3], [100, 133], [0, 5]] {
        for accumulate in [false, true] {
            let mut case = Case::new(u64::from(rows * cols));
            let x = case.matrix("x", rows, cols);
            let out = target(&mut case, cols, accumulate);
            let before = |c| if accumulate { out.at(0, c) } else { 0.0 };
            case.expect(&out, |_, c| before(c) + (0..rows).map(|r| x.at(r, c)).sum::<f64>());
            let view = x.view().with_rows(Word::var(Var::Steps));
            check(&format!("col_sum {rows} {cols} {accumulate}"), &case, Forms::Plain, &values(rows, accumulate), &|r, caps| {
                kernels::col_sum::record(r, "sum", caps.matmul, view, out.view(), Word::var(Var::Accumulate));
            });
        }
    }
}

#[test]
pub(super) fn row_sum() {
    // Rows have a gap after their columns; 261 and 515 columns are more than one pass of a workgroup.
    for [rows, cols, gap] in [[1, 1, 0], [11, 37, 8], [37, 4, 0], [3, 261, 12], [2, 515, 0], [130, 15, 4]] {
        for accumulate in [false, true] {
            let mut case = Case::new(u64::from(rows * cols));
            let ld = u32::next_multiple_of(cols, 4) + gap;
            let slot = case.slot("x", 8 + (rows + 1) * ld);
            let x = case.matrix_at(slot, 8, [rows, cols, ld]);
            let slot = case.slot("out", rows + 9);
            let out = if accumulate { case.matrix_at(slot, 5, [1, rows, rows]) } else { case.blank_at(slot, 5, [1, rows, rows]) };
            let before = |r| if accumulate { out.at(0, r) } else { 0.0 };
            case.expect(&out, |_, r| before(r) + (0..cols).map(|c| x.at(r, c)).sum::<f64>());
            let view = View { cols: Word::var(Var::Steps), ..x.view() };
            check(&format!("row_sum {rows} {cols} {accumulate}"), &case, Forms::Plain, &values(cols, accumulate), &|r, caps| {
                kernels::row_sum::record(r, "sum", caps.matmul, view, out.view(), Word::var(Var::Accumulate));
            });
        }
    }
}

/// One part, many parts, rows with a gap, and an empty product, which changes nothing.
#[test]
pub(super) fn part_sum() {
    for ([rows, cols, gap], count, inner) in [([1, 1, 0], 1, 1), ([7, 37, 0], 3, 9), ([5, 6, 8], 2, 3), ([33, 65, 4], 17, 40), ([3, 5, 0], 2, 0)] {
        for accumulate in [false, true] {
            let mut case = Case::new(u64::from(rows * cols + count));
            let ld = u32::next_multiple_of(cols, 4) + gap;
            let stride = rows * ld + 4;
            let slot = case.slot("parts", count * stride);
            let parts: Vec<Matrix> = (0..count).map(|p| case.matrix_at(slot, p * stride, [rows, cols, ld])).collect();
            let at = case.slot("c", 8 + (rows + 1) * ld);
            let c = if accumulate { case.matrix_at(at, 8, [rows, cols, ld]) } else { case.blank_at(at, 8, [rows, cols, ld]) };
            if inner > 0 {
                let before = |r, j| if accumulate { c.at(r, j) } else { 0.0 };
                case.expect(&c, |r, j| before(r, j) + parts.iter().map(|p| p.at(r, j)).sum::<f64>());
            } else {
                case.want(at, 0, Want::Bits(case.contents[&at].words[0]));
            }
            let parts = kernels::matmul::Parts { count, slot, stride };
            let view = View { cols: Word::var(Var::Steps), ..c.view() };
            let values = values(cols, accumulate).with(Var::Place, inner);
            check(&format!("part_sum {rows} {cols} {count} {inner} {accumulate}"), &case, Forms::Plain, &values, &|r, caps| {
                kernels::part_sum::record(r, "sum", caps.matmul, parts, Word::var(Var::Place), view, Word::var(Var::Accumulate));
            });
        }
    }
}

#[test]
pub(super) fn transpose() {
    for [rows, cols] in [[1, 1], [37, 11], [4, 16], [5, 133], [68, 17], [64, 32]] {
        let mut case = Case::new(u64::from(rows * cols));
        let (rows4, cols4) = (u32::next_multiple_of(rows, 4), u32::next_multiple_of(cols, 4));
        // A parameter matrix: its rows are padded in number too.
        let slot = case.slot("x", 8 + rows4 * cols4 + 7);
        for i in 0..rows4 * cols4 {
            case.put(slot, 8 + i, 0.0);
        }
        let x = case.matrix_at(slot, 8, [rows, cols, cols4]);
        let slot = case.slot("out", 12 + rows4 * cols4 + 7);
        let out = case.blank_at(slot, 12, [cols4, rows4, rows4]);
        case.expect_each(&out, |c, r| if c < cols && r < rows { Want::Bits((x.at(r, c) as f32).to_bits()) } else { Want::Zero });
        let view = View { rows: cols.into(), cols: rows.into(), ..out.view() };
        check(&format!("transpose {rows} {cols}"), &case, Forms::Plain, &Values::default(), &|r, caps| {
            kernels::transpose::record(r, "transpose", caps.matmul, x.view(), view);
        });
    }
}
