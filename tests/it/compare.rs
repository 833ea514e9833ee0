//! Compares the words of a slot after a run with the expected ones.

/// Largest normalised mean square error, sum (x - y)^2 / sum y^2, that counts as equal.
pub(crate) const BOUND: f64 = 1e-10;

/// Expected value of a word after a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Want {
    /// Unchanged, bit for bit: guard words, and everything that the kernel only reads.
    Same,
    /// A float near this one, compared together with all others of the slot.
    Near(f64),
    /// A float near this one, compared separately.
    Alone(f64),
    /// Zero, of either sign: padding.
    Zero,
    /// Exactly these bits.
    Bits(u32),
    /// Not a number.
    Nan,
    /// Anything.
    Free,
}

impl Want {
    /// Whether it proves that the kernel has written something.
    pub(crate) fn is_output(self) -> bool {
        !matches!(self, Want::Same | Want::Free)
    }
}

/// Compares all words of a slot.
///
/// # Panics
/// At the first wrong word, and if those compared together are too far off.
pub(crate) fn compare(what: &str, before: &[u32], after: &[u32], wants: &[Want]) {
    assert!(before.len() == wants.len() && after.len() == wants.len(), "{what}: {} words, {} wanted", after.len(), wants.len());
    let (mut error, mut scale, mut worst) = (0.0, 0.0, (0.0, 0));
    for (i, (&want, &bits)) in wants.iter().zip(after).enumerate() {
        let x = f64::from(f32::from_bits(bits));
        let found = || format!("{what}: element {i} is {x} ({bits:#010x})");
        match want {
            Want::Free => {}
            Want::Same => assert!(bits == before[i], "{}, must stay {:#010x}", found(), before[i]),
            Want::Bits(b) => assert!(bits == b, "{}, expected {:#010x} ({})", found(), b, f32::from_bits(b)),
            Want::Nan => assert!(x.is_nan(), "{}, expected NaN", found()),
            Want::Zero => assert!(x == 0.0, "{}, expected zero padding", found()),
            Want::Alone(y) => assert!(near((x - y).powi(2), y * y), "{}, expected {y}", found()),
            Want::Near(y) => {
                assert!(x.is_finite(), "{}, expected {y}", found());
                let e = (x - y).powi(2);
                (error, scale) = (error + e, scale + y * y);
                if e > worst.0 {
                    worst = (e, i);
                }
            }
        }
    }
    assert!(
        near(error, scale),
        "{what}: NMSE {:.1e}; worst is element {}: {}, expected {:?}",
        error / scale,
        worst.1,
        f32::from_bits(after[worst.1]),
        wants[worst.1]
    );
}

/// Whether a squared error is small relative to the squared values; if these are zero, the error must be zero. False for NaN.
fn near(error: f64, scale: f64) -> bool {
    error <= BOUND * scale
}

/// The comparison on wrong input.
mod tests {
    use super::*;

    fn words(floats: &[f32]) -> Vec<u32> {
        floats.iter().map(|x| x.to_bits()).collect()
    }

    fn check(after: &[f32], wants: &[Want]) {
        compare("slot", &words(&[9.0, 9.0, 9.0])[..wants.len()], &words(after), wants);
    }

    #[test]
    fn right_numbers_pass() {
        check(&[1.0, 2.000_001, 9.0], &[Want::Near(1.0), Want::Near(2.0), Want::Same]);
        check(&[0.0, -0.0, f32::NAN], &[Want::Near(0.0), Want::Zero, Want::Nan]);
        check(&[1e-9, 1e9, 7.0], &[Want::Alone(1e-9), Want::Alone(1e9), Want::Free]);
    }

    #[test]
    #[should_panic(expected = "NMSE")]
    fn a_wrong_number_fails() {
        check(&[1.0, 2.1, 9.0], &[Want::Near(1.0), Want::Near(2.0), Want::Same]);
    }

    #[test]
    #[should_panic(expected = "NMSE")]
    fn just_beyond_the_bound_fails() {
        check(&[1.0, 2.000_05], &[Want::Near(1.0), Want::Near(2.0)]);
    }

    #[test]
    #[should_panic(expected = "element 1")]
    fn a_small_wrong_number_judged_alone_fails_beside_a_large_one() {
        check(&[1e9, 1.1e-3], &[Want::Alone(1e9), Want::Alone(1e-3)]);
    }

    #[test]
    #[should_panic(expected = "element 1 is NaN")]
    fn nan_fails() {
        check(&[1.0, f32::NAN, 9.0], &[Want::Near(1.0), Want::Near(2.0), Want::Same]);
    }

    #[test]
    #[should_panic(expected = "element 0 is NaN")]
    fn nan_judged_alone_fails() {
        check(&[f32::NAN], &[Want::Alone(1.0)]);
    }

    #[test]
    #[should_panic(expected = "element 0 is inf")]
    fn infinity_fails() {
        check(&[f32::INFINITY], &[Want::Near(1.0)]);
    }

    #[test]
    #[should_panic(expected = "expected NaN")]
    fn a_number_for_nan_fails() {
        check(&[1.0], &[Want::Nan]);
    }

    #[test]
    #[should_panic(expected = "2 words, 3 wanted")]
    fn a_missing_word_fails() {
        check(&[1.0, 2.0], &[Want::Near(1.0), Want::Near(2.0), Want::Same]);
    }

    #[test]
    #[should_panic(expected = "NMSE")]
    fn a_number_where_all_should_be_zero_fails() {
        check(&[0.0, 1e-30], &[Want::Near(0.0), Want::Near(0.0)]);
    }

    #[test]
    #[should_panic(expected = "expected zero padding")]
    fn a_number_in_the_padding_fails() {
        check(&[1.0, 1e-30], &[Want::Near(1.0), Want::Zero]);
    }

    #[test]
    #[should_panic(expected = "must stay")]
    fn a_changed_guard_word_fails() {
        check(&[1.0, 2.0, 9.000_001], &[Want::Near(1.0), Want::Near(2.0), Want::Same]);
    }

    #[test]
    #[should_panic(expected = "must stay")]
    fn a_changed_nan_in_a_guard_word_fails() {
        compare("slot", &[0x7fc0_0001], &[0x7fc0_0002], &[Want::Same]);
    }

    #[test]
    #[should_panic(expected = "expected 0x3f800000")]
    fn other_bits_fail() {
        check(&[1.000_000_1], &[Want::Bits(1f32.to_bits())]);
    }
}
