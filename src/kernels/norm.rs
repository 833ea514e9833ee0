//! Partial sums of squares, `part[2g]`, and whether a non-finite value was seen, `part[2g + 1]`.

use super::slices;
use crate::arena::{Slot, View};
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "norm",
    source: include_str!("../../shaders/norm.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("part")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| [Args::of(args).parts, 1, 1],
    cpu,
    work: |args| {
        let count4 = f64::from(Args::of(args).count4);
        Work { flops: 8.0 * count4, bytes: 16.0 * count4 }
    },
};

args! {
    count4: u32,
    parts: u32,
}

/// Number of partial sums: a multiple of 4, and no more than the invocations every adapter allows per workgroup.
pub const PARTS: u32 = 128;

/// Records the partial sums of squares over all of x `[1, n]`, n a multiple of 4; `part` holds 2 * [`PARTS`] values.
pub fn record(recording: &mut Recording, variant: Variant, x: View, part: Slot) {
    assert!(x.offset == Word::from(0) && x.cols == Word::from(x.ld), "norm: all of a slot from its start");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "norm".to_string(),
        bindings: vec![x.slot, part],
        args: Words { count4: Word::from(x.ld).quarter(), parts: PARTS.into() }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { count4, parts } = Args::of(call.args);
    let (count4, parts) = (count4 as usize, parts as usize);
    let ([x], [out]) = slices(call.bound);
    let x = &x[..count4 * 4];
    let pieces = host::split(count4, parts);
    out[..2 * parts].fill(0.0);
    let mut rest = &mut out[..2 * pieces.len()];
    let tasks = host::split(pieces.len(), call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, 2 * range.len());
        let pieces = &pieces[range];
        move || {
            for (out, piece) in part.chunks_exact_mut(2).zip(pieces) {
                let (sum, bad) = squares(&x[piece.start * 4..piece.end * 4]);
                out.copy_from_slice(&[sum, f32::from(u8::from(bad))]);
            }
        }
    });
    host::parallel(tasks);
}

/// Sum of squares, in 32 strands, and whether any value is not finite.
fn squares(x: &[f32]) -> (f32, bool) {
    host::vectorized(
        #[inline(always)]
        || {
            let (mut strands, mut bad) = ([0f32; 32], [0u32; 32]);
            let chunks = x.chunks_exact(32);
            let rest = chunks.remainder();
            for chunk in chunks.chain(std::iter::once(rest)) {
                for ((s, b), x) in strands.iter_mut().zip(&mut bad).zip(chunk) {
                    *s += x * x;
                    *b |= u32::from(!x.is_finite());
                }
            }
            (strands.iter().sum(), bad.iter().any(|&b| b != 0))
        },
    )
}
