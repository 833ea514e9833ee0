//! The end of an update: the norm of all gradients, and the values derived from it.

use super::case::{Case, Matrix};
use super::run::{Forms, check, check_with};
use crate::compare::{Want, compare};
use retrograd::arena::Slot;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels;
use retrograd::kernels::finish::{RING, RING_ROWS, RING_WORDS};
use retrograd::kernels::norm::PARTS;

/// Bits of non-finite values: NaN of both signs, quiet and signalling, and both infinities.
const BROKEN: [u32; 6] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff, 0x7f80_0000, 0xff80_0000];

#[test]
pub(super) fn norm() {
    // Less than one value per part; more than one pass of all workgroups (16,384 values).
    for n in [4, 20, 260, 1000, 16_388, 20_004] {
        norm_of(n, 1.0, None);
    }
    // Small and large values whose squares are still floats.
    norm_of(1000, 1e-15, None);
    norm_of(1000, 1e16, None);
    for n in [4, 20_004] {
        for bits in BROKEN {
            for at in [0, n / 2 + 1, n - 1] {
                norm_of(n, 1.0, Some((at, bits)));
            }
        }
    }
}

/// The squared norm of `n` values, optionally with a planted non-finite one.
fn norm_of(n: u32, scale: f32, planted: Option<(u32, u32)>) {
    let mut case = Case::new(u64::from(n));
    let slot = case.slot("x", n + 7);
    let mut x = case.matrix_at(slot, 0, [1, n, n]);
    case.scale(&mut x, scale);
    if let Some((at, bits)) = planted {
        case.put_bits(slot, at, bits);
    }
    let part = case.slot("part", 2 * PARTS + 5);
    (0..2 * PARTS).for_each(|i| case.want(part, i, Want::Free));
    let expected: f64 = (0..n).map(|c| x.at(0, c).powi(2)).sum();
    let what = format!("norm {n} {scale} {planted:?}");
    // Executors may split the values differently; only the parts together must agree.
    check_with(&what, &case, Forms::Plain, &Values::default(), &|r, caps| kernels::norm::record(r, caps.matmul, x.view(), part), &|who, after| {
        let pairs = || after[&part][..2 * PARTS as usize].chunks_exact(2);
        let bad = pairs().filter(|p| f32::from_bits(p[1]) != 0.0).count();
        assert_eq!(bad, usize::from(planted.is_some()), "{who}: parts that are not finite");
        if planted.is_none() {
            let sum: f64 = pairs().map(|p| f64::from(f32::from_bits(p[0]))).sum();
            assert!((sum - expected).abs() <= 1e-6 * expected, "{who}: {sum}, expected {expected}");
        }
    });
}

/// Inputs of [`finish_of`].
#[derive(Debug, Clone, Copy)]
struct Finish {
    /// Updates applied before this one.
    applied: u32,
    clip_norm: f32,
    ring_row: u32,
    fault: Fault,
}

/// Faults in the parts of the norm.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// Part g has seen a non-finite value; its sum is finite.
    Flag(u32),
    /// The sum of part g has these bits.
    Sum(u32, u32),
    /// The parts are finite, their sum is not.
    Overflow,
}

#[test]
pub(super) fn finish() {
    let base = Finish { applied: 0, clip_norm: 0.0, ring_row: 0, fault: Fault::Nothing };
    for applied in [0, 1, 9, 499, 692, 999, 999_999] {
        finish_of(Finish { applied, ..base });
    }
    for clip_norm in [0.25, 5.0, 7.0, 1e6] {
        finish_of(Finish { clip_norm, ring_row: 5, applied: 3, ..base });
    }
    finish_of(Finish { ring_row: RING_ROWS - 1, ..base });
    let faults = [0, 37, PARTS - 1].into_iter().flat_map(|g| BROKEN.map(|bits| Fault::Sum(g, bits)).into_iter().chain([Fault::Flag(g)]));
    for fault in faults.chain([Fault::Overflow]) {
        finish_of(Finish { applied: 7, clip_norm: 1.0, ring_row: 3, fault });
    }
}

/// The sum of squares of the parts, and their slot.
fn parts(case: &mut Case, fault: Fault) -> (f64, Slot) {
    let slot = case.slot("part", 2 * PARTS + 5);
    let mut sum = 0.0;
    for g in 0..PARTS {
        let x = case.uniform() + 1.0;
        case.put(slot, 2 * g, if fault == Fault::Overflow { 3e38 } else { x });
        case.put(slot, 2 * g + 1, 0.0);
        sum += f64::from(x);
    }
    match fault {
        Fault::Flag(g) => case.put(slot, 2 * g + 1, 1.0),
        Fault::Sum(g, bits) => case.put_bits(slot, 2 * g, bits),
        Fault::Nothing | Fault::Overflow => {}
    }
    (sum, slot)
}

fn finish_of(f: Finish) {
    const BETAS: [f64; 2] = [0.9, 0.999];
    const INVERSE_N: f32 = 1.0 / 37.0;
    let mut case = Case::new(u64::from(f.applied));
    let (sum, part) = parts(&mut case, f.fault);
    let loss: Matrix = case.matrix("loss", 1, 1);
    let loss_slot = case.slot("total", 4);
    case.put(loss_slot, 0, loss.at(0, 0) as f32);
    let status = case.slot("status", RING + RING_ROWS * RING_WORDS + 6);
    case.put_bits(status, 0, f.applied);
    case.put_bits(status, 1, 41);

    let applies = f.fault == Fault::Nothing;
    let applied = f.applied + u32::from(applies);
    let norm = sum.sqrt();
    let factor = if f.clip_norm > 0.0 { (f64::from(f.clip_norm) / (norm + 1e-6)).min(1.0) } else { 1.0 };
    let row = RING + f.ring_row * RING_WORDS;
    let mut want = |at: u32, want: Want| case.want(status, at, want);
    want(0, Want::Bits(applied));
    want(1, Want::Bits(41 + u32::from(!applies)));
    want(2, Want::Bits(applies.into()));
    // The optimizer reads no further if the update does not apply.
    want(3, if applies { Want::Alone(factor) } else { Want::Free });
    for (at, beta) in (4..).zip(BETAS) {
        want(at, if applies { Want::Alone(1.0 - beta.powi(applied as i32)) } else { Want::Free });
    }
    want(row, Want::Alone(loss.at(0, 0) * f64::from(INVERSE_N)));
    want(row + 1, if applies { Want::Alone(norm) } else { Want::Bits(f32::INFINITY.to_bits()) });
    want(row + 2, Want::Bits(applies.into()));
    want(row + 3, Want::Bits(applied));
    let values = Values::default().with_f32(Var::InverseN, INVERSE_N).with(Var::RingRow, f.ring_row);
    check(&format!("{f:?}"), &case, Forms::Plain, &values, &|r, caps| {
        let slots = [part, loss_slot, status];
        kernels::finish::record(r, caps.matmul, slots, f.clip_norm, BETAS, Word::var(Var::InverseN), Word::var(Var::RingRow));
    });
}

/// The bound for a value compared separately is a relative error of 1e-5, which the bias corrections must meet.
#[test]
#[should_panic(expected = "element 0")]
fn a_bias_correction_that_has_lost_its_digits_is_seen() {
    let lost = 1.0 - (0.999f32).powi(1);
    compare("correction", &[0], &[lost.to_bits()], &[Want::Alone(1.0 - 0.999)]);
}
