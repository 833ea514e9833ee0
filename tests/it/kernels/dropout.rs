//! Dropout: which units are dropped, and what happens to the others.

use super::case::Case;
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::kernel::{Values, Var};
use retrograd::kernels::dropout::{Dropout, record};
use retrograd::reference::dropout::factors;

#[test]
pub(super) fn dropout() {
    // Rows of segments that start anywhere, with sizes around a workgroup and a vector block.
    // Their lanes are some of all.
    for (steps, lanes, cols, first, first_lane) in [(1u32, 1u32, 1u32, 0u32, 0u32), (3, 5, 37, 2, 0), (7, 2, 64, 0, 6), (2, 3, 130, 11, 1), (16, 9, 33, 4, 18)]
    {
        for (p, seed, update, layer) in [(0.3, 7, 0, 1), (0.9, u64::MAX - 3, 12_345, 2), (0.5, 1 << 40, u32::MAX, 7)] {
            for on in [true, false] {
                let rows = steps * lanes;
                let ld = cols.next_multiple_of(4);
                let mut case = Case::new(u64::from(rows + cols));
                let slot = case.slot("x", rows * ld + 12);
                let x = case.matrix_at(slot, 8, [rows, cols, ld]);
                let slot = case.slot("out", rows * ld + 20);
                let out = case.blank_at(slot, 12, [rows, cols, ld]);
                let factors = factors(p, seed, update, layer, [first + steps, first_lane + lanes, cols]);
                let factor = |r: u32, c: u32| {
                    let (step, lane) = (first + r / lanes, first_lane + r % lanes);
                    if on { factors[((step * (first_lane + lanes) + lane) * cols + c) as usize] } else { 1.0 }
                };
                case.expect_each(&out, |r, c| Want::Near(x.at(r, c) * factor(r, c)));
                let values =
                    Values::default().with(Var::First, first).with(Var::FirstLane, first_lane).with(Var::Update, update).with(Var::Drop, u32::from(on));
                let what = format!("{steps} {lanes} {cols} {first} {first_lane} {p} {seed} {update} {layer} {on}");
                let views = [x.view(), out.view()];
                check(&what, &case, Forms::Plain, &values, &|r, caps| record(r, "dropout", caps.matmul, Dropout::new(p, seed), layer, lanes, views));
            }
        }
    }
}

/// Over 10,000 updates each unit is dropped at the right rate, independently of the others: the means of factors and of products of two are 1.
#[test]
fn the_mean_over_masks_is_what_is_read() {
    let (p, updates, sizes) = (0.3, 10_000u32, [2, 2, 6]);
    let count = sizes.iter().product::<u32>() as usize;
    let (mut sums, mut products) = (vec![0.0; count], vec![0.0; count * count]);
    for update in 0..updates {
        let m = factors(p, 99, update, 1, sizes);
        for i in 0..count {
            sums[i] += m[i];
            (0..i).for_each(|j| products[i * count + j] += m[i] * m[j]);
        }
    }
    let n = f64::from(updates);
    // The variance of a factor is 1/(1-p) - 1, that of a product of two independent ones 1/(1-p)^2 - 1.
    let z = |sum: f64, variance: f64| (sum / n - 1.0) / (variance / n).sqrt();
    let second = 1.0 / (1.0 - p);
    let largest = |z: Vec<f64>| z.into_iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(largest(sums.iter().map(|s| z(*s, second - 1.0)).collect()) < 4.0);
    let pairs = (0..count).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| z(products[i * count + j], second * second - 1.0)).collect();
    // With 276 pairs, one set of masks in 60 has a value beyond 4.
    assert!(largest(pairs) < 4.5);
}
