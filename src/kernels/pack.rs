//! h in half precision: packed between the forward and the backward pass, `word = half(x_0) | half(x_1) << 16`, and unpacked again.
//!
//! Rounds to nearest, ties to even, identically on every device. Finite values out of range saturate at plus or minus 65504; non-finite values stay
//! non-finite, so that the guards of training see them.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::Slot;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The largest half.
const MOST: f32 = 65504.0;
/// Bits of the f32 infinity.
const INFINITY: u32 = 0x7f80_0000;
/// Bits of the smallest half with an implicit leading 1, 2^-14, as an f32.
const NORMAL: u32 = 0x3880_0000;
/// Difference of the exponent biases of f32 and f16, at the exponent's position in an f32.
const REBIAS: u32 = (127 - 15) << 23;

/// The kernel that packs.
pub static KERNEL: Kernel = Kernel {
    name: "pack",
    source: include_str!("../../shaders/pack.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("packed")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| linear_grid(Args::of(args).count4.div_ceil(64)),
    cpu: cpu_pack,
    work,
};

/// The kernel that unpacks.
pub static UNPACK: Kernel = Kernel {
    name: "unpack",
    source: include_str!("../../shaders/unpack.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("packed"), write("x")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| linear_grid(Args::of(args).count4.div_ceil(64)),
    cpu: cpu_unpack,
    work,
};

args! {
    count4: u32,
    x_offset: u32,
    packed_offset: u32,
}

fn work(args: &[u32]) -> Work {
    Work { flops: 0.0, bytes: 24.0 * f64::from(Args::of(args).count4) }
}

/// The operands of a conversion.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// The values as f32.
    pub x: Slot,
    /// First f32 value.
    pub x_offset: Word,
    /// The packed values, two per word.
    pub packed: Slot,
    /// First packed value; counts values, not words.
    pub packed_offset: Word,
    /// Number of values; a multiple of 4, like both offsets.
    pub count: Word,
}

/// Records packed = x.
pub fn pack(recording: &mut Recording, label: &str, variant: Variant, operands: Operands) {
    record(recording, label, variant, &KERNEL, [operands.x, operands.packed], operands);
}

/// Records x = packed.
pub fn unpack(recording: &mut Recording, label: &str, variant: Variant, operands: Operands) {
    record(recording, label, variant, &UNPACK, [operands.packed, operands.x], operands);
}

fn record(recording: &mut Recording, label: &str, variant: Variant, kernel: &'static Kernel, bindings: [Slot; 2], o: Operands) {
    recording.push(Dispatch {
        kernel,
        label: label.to_string(),
        bindings: bindings.to_vec(),
        args: Words { count4: o.count.quarter(), x_offset: o.x_offset.quarter(), packed_offset: o.packed_offset.quarter() }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu_pack(call: &mut Call<'_, '_>) {
    let Args { count4, x_offset, packed_offset } = Args::of(call.args);
    let ([x], [packed]) = slices(call.bound);
    let n = count4 as usize;
    let x = &from_vec4(x, x_offset)[..n * 4];
    let mut rest = &mut packed[packed_offset as usize * 2..][..n * 2];
    let tasks = host::split(n, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * 2);
        let x = &x[range.start * 4..range.end * 4];
        move || {
            host::vectorized(
                #[inline(always)]
                || part.iter_mut().zip(x.chunks_exact(2)).for_each(|(word, x)| *word = f32::from_bits(half(x[0]) | half(x[1]) << 16)),
            );
        }
    });
    host::parallel(tasks);
}

fn cpu_unpack(call: &mut Call<'_, '_>) {
    let Args { count4, x_offset, packed_offset } = Args::of(call.args);
    let ([packed], [x]) = slices(call.bound);
    let n = count4 as usize;
    let packed = &packed[packed_offset as usize * 2..][..n * 2];
    let mut rest = &mut from_vec4_mut(x, x_offset)[..n * 4];
    let tasks = host::split(n, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * 4);
        let packed = &packed[range.start * 2..range.end * 2];
        move || {
            host::vectorized(
                #[inline(always)]
                || {
                    for (x, word) in part.chunks_exact_mut(2).zip(packed) {
                        (x[0], x[1]) = (number(word.to_bits() & 0xffff), number(word.to_bits() >> 16));
                    }
                },
            );
        }
    });
    host::parallel(tasks);
}

/// The bits of the half nearest to x. Computes all cases and selects one, so that several values are processed at once.
#[inline(always)]
fn half(x: f32) -> u32 {
    let bits = x.to_bits();
    let (sign, size) = ((bits >> 16) & 0x8000, bits & 0x7fff_ffff);
    let bounded = size.min(MOST.to_bits());
    let normal = (bounded + 0xfff + ((bounded >> 13) & 1)).wrapping_sub(REBIAS) >> 13;
    // The last bit of an f32 from 0.5 on has the value of a subnormal half's last bit: the addition rounds.
    let small = (f32::from_bits(bounded) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let finite = if bounded < NORMAL { small } else { normal };
    let broken = if size > INFINITY { 0x7e00 } else { 0x7c00 };
    sign | if size < INFINITY { finite } else { broken }
}

/// The exact value of a half.
#[inline(always)]
fn number(half: u32) -> f32 {
    let (sign, size) = ((half & 0x8000) << 16, half & 0x7fff);
    let small = (f32::from_bits(0.5f32.to_bits() + size) - 0.5).to_bits();
    let rest = if size < 0x7c00 { (size << 13) + REBIAS } else { (size << 13) | INFINITY };
    f32::from_bits(sign | if size < 0x400 { small } else { rest })
}
