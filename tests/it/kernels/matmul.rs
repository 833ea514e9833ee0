//! C (+)= op(A) op(B), batched and masked.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels::matmul::{Form, Operands, Parts, StridedBatch, record, record_parted};

/// One product of the table.
#[derive(Debug, Clone, Copy)]
struct Product {
    form: Form,
    /// Rows, columns and inner length.
    shape: [u32; 3],
    accumulate: bool,
    count: u32,
    /// All products of the batch share one B.
    shared: bool,
    /// Elements of each row beyond its padding.
    gap: u32,
    mask: Mask,
    /// Number of parts of the inner dimension; 1 if it is not split.
    parts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mask {
    /// Some rows do not count.
    Mixed,
    /// No row counts.
    Empty,
    /// Every row counts.
    Full,
}

impl Product {
    fn new(form: Form, shape: [u32; 3]) -> Self {
        Product { form, shape, accumulate: false, count: 1, shared: false, gap: 0, mask: Mask::Mixed, parts: 1 }
    }
}

/// One element, less than a tile, one past a tile, one past a workgroup's columns for both widths, whole tiles, a long inner sum,
/// a square.
const SHAPES: [[u32; 3]; 9] = [[1, 1, 1], [17, 37, 5], [3, 129, 2], [9, 515, 3], [5, 2, 133], [33, 7, 4], [16, 32, 8], [1, 17, 21], [13, 13, 13]];

#[test]
pub(super) fn matmul() {
    for form in Form::ALL {
        for shape in SHAPES {
            check_product(Product::new(form, shape));
        }
        let base = Product { accumulate: true, gap: 8, ..Product::new(form, [17, 37, 5]) };
        check_product(base);
        check_product(Product { accumulate: true, ..Product::new(form, [1, 3, 1]) });
        check_product(Product { count: 3, ..base });
        check_product(Product { count: 3, shared: true, accumulate: false, ..base });
    }
    for accumulate in [false, true] {
        for (form, mask) in [Form::TnMasked, Form::NnMasked].into_iter().flat_map(|form| [Mask::Empty, Mask::Full].map(|mask| (form, mask))) {
            check_product(Product { mask, accumulate, ..Product::new(form, [6, 10, 7]) });
        }
    }
}

/// The inner dimension in parts: equal parts, a shorter last one, empty ones after it (a part is no shorter than a block of 4), one that
/// holds everything, and fully masked parts.
#[test]
fn products_in_parts() {
    for form in Form::ALL {
        for (shape, parts) in [([17, 37, 40], 2), ([5, 33, 133], 3), ([9, 6, 50], 8), ([3, 5, 2], 4), ([1, 1, 1], 2), ([33, 13, 23], 5)] {
            for accumulate in [false, true] {
                check_product(Product { parts, accumulate, ..Product::new(form, shape) });
            }
        }
        check_product(Product { parts: 3, gap: 8, accumulate: true, ..Product::new(form, [6, 10, 29]) });
    }
    for (form, mask) in [Form::TnMasked, Form::NnMasked].into_iter().flat_map(|form| [Mask::Empty, Mask::Full].map(|mask| (form, mask))) {
        check_product(Product { parts: 3, mask, accumulate: true, ..Product::new(form, [6, 10, 31]) });
    }
}

/// The matrices of one operand, consecutive in one slot, and the elements from one to the next.
struct Stack {
    each: Vec<Matrix>,
    stride: u32,
}

impl Stack {
    fn new(case: &mut Case, name: &str, count: u32, [rows, cols, gap]: [u32; 3], random: bool) -> Self {
        let ld = cols.next_multiple_of(4) + gap;
        let stride = rows * ld + 4;
        let slot = case.slot(name, 12 + count * stride + 2 * ld + 3);
        let mut place =
            |i| if random { case.matrix_at(slot, 12 + i * stride, [rows, cols, ld]) } else { case.blank_at(slot, 12 + i * stride, [rows, cols, ld]) };
        Stack { each: (0..count).map(&mut place).collect(), stride }
    }

    fn view(&self, rows: Word, cols: Word) -> View {
        View { rows, cols, ..self.each[0].view() }
    }
}

fn check_product(p: Product) {
    let [rows, cols, inner] = p.shape;
    let (flip_a, flip_b) = (matches!(p.form, Form::Tn | Form::TnMasked), p.form == Form::Nt);
    let stored = |flip: bool, r: u32, c: u32| if flip { [c, r, p.gap] } else { [r, c, p.gap] };
    let mut case = Case::new(u64::from(rows * 7 + cols * 3 + inner));
    let mut a = Stack::new(&mut case, "a", p.count, stored(flip_a, rows, inner), true);
    let b = Stack::new(&mut case, "b", if p.shared { 1 } else { p.count }, stored(flip_b, inner, cols), true);
    let c = Stack::new(&mut case, "c", p.count, [rows, cols, p.gap], p.accumulate);
    let mask = matches!(p.form, Form::TnMasked | Form::NnMasked).then(|| masked(&mut case, &mut a, p.mask));

    // Whether term k of row r counts: the mask is over the rows of A as stored.
    let counts = |r: u32, k: u32| mask.as_ref().is_none_or(|m| m.at(if flip_a { k } else { r }, 0) != 0.0);
    for (i, c) in c.each.iter().enumerate() {
        let (a, b) = (&a.each[i], &b.each[if p.shared { 0 } else { i }]);
        let left = |r, k| if flip_a { a.at(k, r) } else { a.at(r, k) };
        let right = |k, j| if flip_b { b.at(j, k) } else { b.at(k, j) };
        case.expect(c, |r, j| {
            let before = if p.accumulate { c.at(r, j) } else { 0.0 };
            before + (0..inner).filter(|&k| counts(r, k)).map(|k| left(r, k) * right(k, j)).sum::<f64>()
        });
    }

    // All sizes are known only at run time.
    let [m, n, k] = [Var::Steps, Var::From, Var::Place].map(Word::var);
    let operands = Operands {
        form: p.form,
        a: if flip_a { a.view(k, m) } else { a.view(m, k) },
        b: if flip_b { b.view(n, k) } else { b.view(k, n) },
        c: c.view(m, n),
        mask: mask.map(|mask| View { rows: if flip_a { k } else { m }, ..mask.view() }),
        accumulate: Word::var(Var::Accumulate),
    };
    let batch = StridedBatch { count: p.count, strides: [a.stride, if p.shared { 0 } else { b.stride }, c.stride] };
    let sizes = Values::default().with(Var::Steps, rows).with(Var::From, cols).with(Var::Place, inner);
    let values = sizes.with(Var::Accumulate, p.accumulate.into());
    if p.parts > 1 {
        let stride = c.stride;
        let slot = case.slot("parts", p.parts * stride + 9);
        for (i, r, j) in (0..p.parts).flat_map(|i| (0..rows).flat_map(move |r| (0..u32::next_multiple_of(cols, 4)).map(move |j| (i, r, j)))) {
            case.want(slot, i * stride + r * c.each[0].ld + j, Want::Free);
        }
        let parts = Parts { count: p.parts, slot, stride };
        return check(&format!("{p:?}"), &case, Forms::Matmul, &values, &|r, caps| record_parted(r, "product", caps.matmul, operands, parts));
    }
    check(&format!("{p:?}"), &case, Forms::Matmul, &values, &|r, caps| record(r, "product", caps.matmul, operands, batch));
}

/// A mask over the rows of A as stored, at an odd offset. Rows that do not count are NaN: they must not enter the sum.
fn masked(case: &mut Case, a: &mut Stack, kind: Mask) -> Matrix {
    let (rows, cols) = (a.each[0].rows, a.each[0].cols);
    let slot = case.slot("mask", rows + 8);
    let mut mask = case.matrix_at(slot, 3, [rows, 1, 1]);
    for k in 0..rows {
        let weight = [0.0, 1.0, 2.5, 1.0, 0.0][k as usize % 5];
        let weight = match kind {
            Mask::Mixed if rows > 1 => weight,
            Mask::Mixed | Mask::Full => 1.0,
            Mask::Empty => 0.0,
        };
        case.set(&mut mask, k, 0, weight);
        for a in a.each.iter_mut().filter(|_| weight == 0.0) {
            (0..cols).for_each(|c| case.set(a, k, c, f32::NAN));
        }
    }
    mask
}

/// Sizes of zero do nothing, on either executor.
#[test]
fn a_product_of_no_rows_writes_nothing() {
    let mut case = Case::new(5);
    let [a, b] = ["a", "b"].map(|name| case.matrix(name, 4, 4));
    let c = case.matrix("c", 4, 4);
    case.expect_each(&c, |r, j| Want::Bits((c.at(r, j) as f32).to_bits()));
    let rows = Word::var(Var::Steps);
    let view = |m: &Matrix| m.view().with_rows(rows);
    let operands = Operands { form: Form::Nn, a: view(&a), b: b.view(), c: view(&c), mask: None, accumulate: 0.into() };
    check("no rows", &case, Forms::Plain, &Values::default(), &|r, caps| record(r, "none", caps.matmul, operands, StridedBatch::ONE));
}
