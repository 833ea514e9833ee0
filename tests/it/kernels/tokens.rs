//! One-hot inputs: rows selected by tokens, and gradients summed by token.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels;

/// Rows, vocabulary and columns.
const SHAPES: [[u32; 3]; 5] = [[1, 1, 1], [35, 11, 37], [7, 3, 16], [130, 5, 133], [3, 300, 2]];

/// Tokens `[rows, 1]` at an odd offset, followed by a number outside every vocabulary. Symbol 0 and the last never occur.
fn tokens(case: &mut Case, rows: u32, vocab: u32) -> (Vec<u32>, View) {
    let tokens: Vec<u32> = (0..rows).map(|_| if vocab > 2 { 1 + case.below(vocab - 2) } else { 0 }).collect();
    let slot = case.slot("tokens", rows + 6);
    for (i, &t) in (3..).zip(&tokens) {
        case.put_bits(slot, i, t);
    }
    (tokens, View { slot, offset: 3.into(), rows: Word::var(Var::Steps), cols: 1.into(), ld: 1 })
}

#[test]
pub(super) fn gather() {
    for [rows, vocab, cols] in SHAPES {
        let mut case = Case::new(u64::from(rows + vocab));
        let (tokens, list) = tokens(&mut case, rows, vocab);
        let mut w = case.matrix("w", vocab, cols);
        for v in (0..vocab).filter(|v| !tokens.contains(v)) {
            (0..cols).for_each(|c| case.set(&mut w, v, c, f32::NAN));
        }
        let out = case.blank("out", rows, cols);
        case.expect_each(&out, |r, c| Want::Bits((w.at(tokens[r as usize], c) as f32).to_bits()));
        let view = out.view().with_rows(Word::var(Var::Steps));
        check(&format!("gather {rows} {vocab} {cols}"), &case, Forms::Plain, &Values::default().with(Var::Steps, rows), &|r, caps| {
            kernels::gather::record(r, "gather", caps.matmul, list, w.view(), view);
        });
    }
}

#[test]
pub(super) fn gather_backward() {
    for [rows, vocab, cols] in SHAPES {
        for accumulate in [false, true] {
            let mut case = Case::new(u64::from(rows + vocab));
            let (tokens, _) = tokens(&mut case, rows, vocab);
            let delta = case.matrix("delta", rows, cols);
            let out: Matrix = if accumulate { case.matrix("out", vocab, cols) } else { case.blank("out", vocab, cols) };
            case.expect(&out, |v, c| {
                let before = if accumulate { out.at(v, c) } else { 0.0 };
                before + (0..rows).filter(|&r| tokens[r as usize] == v).map(|r| delta.at(r, c)).sum::<f64>()
            });
            let list = sorted(&tokens, vocab);
            let slot = case.slot("starts", 5 + list.len() as u32 + 4);
            for (i, &n) in (5..).zip(&list) {
                case.put_bits(slot, i, n);
            }
            let starts = View { slot, offset: 5.into(), rows: (list.len() as u32).into(), cols: 1.into(), ld: 1 };
            let view = delta.view().with_rows(Word::var(Var::Steps));
            let values = Values::default().with(Var::Steps, rows).with(Var::Accumulate, accumulate.into());
            check(&format!("gather_backward {rows} {vocab} {cols} {accumulate}"), &case, Forms::Plain, &values, &|r, caps| {
                kernels::gather_backward::record(r, "d_w", caps.matmul, starts, view, out.view(), Word::var(Var::Accumulate));
            });
        }
    }
}

/// The start of each token's rows in the list that follows, the list's end, and the list.
fn sorted(tokens: &[u32], vocab: u32) -> Vec<u32> {
    let mut starts = vec![0];
    let mut list = Vec::new();
    for v in 0..vocab {
        list.extend((0..tokens.len() as u32).filter(|&r| tokens[r as usize] == v));
        starts.push(list.len() as u32);
    }
    starts.extend(list);
    starts
}

#[test]
fn tokens_are_sorted_stably() {
    let mut case = Case::new(9);
    for [rows, vocab] in [[0, 1], [1, 1], [35, 11], [200, 3], [3, 300]] {
        let tokens: Vec<u32> = (0..rows).map(|_| case.below(vocab)).collect();
        assert_eq!(kernels::gather_backward::sort_by_token(&tokens, vocab), sorted(&tokens, vocab));
    }
}
