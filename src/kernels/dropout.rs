//! Dropout: sets each unit to 0 with probability p and scales the others by 1/(1-p).
//!
//! The mask depends only on seed, update, layer, step, lane and unit. It consists of words of the block cipher Threefry-4x32 (20 rounds; Salmon et al.,
//! "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by seed, update and layer. A recomputed segment therefore drops the same units, in any
//! order and wherever its values are stored.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Var, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "dropout",
    source: include_str!("../../shaders/dropout.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("out")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| {
        let Args { rows, cols4, .. } = Args::of(args);
        linear_grid((rows * cols4).div_ceil(64))
    },
    cpu,
    work: |args| {
        let Args { rows, cols4, .. } = Args::of(args);
        Work { flops: 0.0, bytes: 32.0 * f64::from(rows) * f64::from(cols4) }
    },
};

args! {
    rows: u32,
    cols4: u32,
    x_offset: u32,
    out_offset: u32,
    lanes: u32,
    first: u32,
    first_lane: u32,
    seed_low: u32,
    seed_high: u32,
    update: u32,
    layer: u32,
    threshold: u32,
    scale: f32,
}

/// Dropout probability and seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Dropout {
    /// The probability, in units of 2^-32.
    threshold: u32,
    /// Seed of the masks.
    seed: u64,
}

impl Dropout {
    /// Drops units with probability p, in [0, 1).
    pub fn new(p: f64, seed: u64) -> Self {
        // Without dropout the seed is unused.
        let threshold = (p.clamp(0.0, 1.0) * 2f64.powi(32)) as u32;
        Dropout { threshold, seed: if threshold == 0 { 0 } else { seed } }
    }

    /// The probability.
    pub fn probability(self) -> f64 {
        f64::from(self.threshold) / 2f64.powi(32)
    }

    /// Whether anything is ever dropped.
    pub fn acts(self) -> bool {
        self.threshold > 0
    }

    /// Factor applied to the units that are kept.
    pub fn scale(self) -> f32 {
        (1.0 / (1.0 - self.probability())) as f32
    }
}

/// Records out = dropout(x) if [`Var::Drop`] is 1, else out = x; both are `[rows, n]`, and row r is step `First + r / lanes` of lane `FirstLane + r % lanes`.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, dropout: Dropout, layer: u32, lanes: u32, [x, out]: [View; 2]) {
    assert!(x.cols == out.cols && x.ld == out.ld && x.rows == out.rows, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![x.slot, out.slot],
        args: Words {
            rows: out.rows,
            cols4: Word::from(out.ld).quarter(),
            x_offset: x.offset.quarter(),
            out_offset: out.offset.quarter(),
            lanes: lanes.into(),
            first: Word::var(Var::First),
            first_lane: Word::var(Var::FirstLane),
            seed_low: (dropout.seed as u32).into(),
            seed_high: ((dropout.seed >> 32) as u32).into(),
            update: Word::var(Var::Update),
            layer: layer.into(),
            threshold: Word::scaled(Var::Drop, dropout.threshold),
            scale: Word::f32(dropout.scale()),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

/// Blocks of four units sampled together, to fill the vector units.
const SIDE_BY_SIDE: usize = 8;

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols4, x_offset, out_offset, lanes, first, first_lane, seed_low, seed_high, update, layer, threshold, scale } = Args::of(call.args);
    let ([x], [out]) = slices(call.bound);
    let (rows, n) = (rows as usize, cols4 as usize * 4);
    let x = from_vec4(x, x_offset);
    let mut rest = &mut from_vec4_mut(out, out_offset)[..rows * n];
    let key = [seed_low, seed_high, update, layer];
    let tasks = host::split(rows, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * n);
        let x = &x[range.start * n..range.end * n];
        move || {
            if threshold == 0 {
                return part.copy_from_slice(x);
            }
            for ((r, out), x) in (range.start as u32..).zip(part.chunks_exact_mut(n)).zip(x.chunks_exact(n)) {
                let counter = [first.wrapping_add(r / lanes), first_lane.wrapping_add(r % lanes)];
                host::vectorized(
                    #[inline(always)]
                    || drop_row(out, x, key, counter, threshold, scale),
                );
            }
        }
    });
    host::parallel(tasks);
}

#[inline(always)]
fn drop_row(out: &mut [f32], x: &[f32], key: [u32; 4], [step, lane]: [u32; 2], threshold: u32, scale: f32) {
    let width = 4 * SIDE_BY_SIDE;
    for (i, (out, x)) in out.chunks_mut(width).zip(x.chunks(width)).enumerate() {
        let first = (i * SIDE_BY_SIDE) as u32;
        let blocks: [u32; SIDE_BY_SIDE] = std::array::from_fn(|j| first + j as u32);
        let drawn = threefry(key, [[step; SIDE_BY_SIDE], [lane; SIDE_BY_SIDE], blocks, [0; SIDE_BY_SIDE]]);
        for (at, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = if drawn[at % 4][at / 4] < threshold { 0.0 } else { x * scale };
        }
    }
}

/// Rotation amounts per round.
const ROTATIONS: [[u32; 2]; 8] = [[10, 26], [11, 21], [13, 27], [23, 5], [6, 20], [17, 11], [25, 10], [18, 20]];

/// Threefry-4x32 of N counters side by side: `x[i]` holds the i-th word of each.
#[inline(always)]
fn threefry<const N: usize>(key: [u32; 4], mut x: [[u32; N]; 4]) -> [[u32; N]; 4] {
    let parity = key.iter().fold(0x1bd1_1bda, |a, k| a ^ k);
    let keys = [key[0], key[1], key[2], key[3], parity];
    for i in 0..4 {
        x[i].iter_mut().for_each(|x| *x = x.wrapping_add(keys[i]));
    }
    for round in 0..20 {
        let [a, b] = ROTATIONS[round % 8];
        let [x0, x1, x2, x3] = &mut x;
        let (first, second) = if round % 2 == 0 { (x1, x3) } else { (x3, x1) };
        mix(x0, first, a);
        mix(x2, second, b);
        if round % 4 == 3 {
            let s = round / 4 + 1;
            for i in 0..4 {
                let more = keys[(s + i) % 5].wrapping_add(if i == 3 { s as u32 } else { 0 });
                x[i].iter_mut().for_each(|x| *x = x.wrapping_add(more));
            }
        }
    }
    x
}

/// One step of the cipher on a pair of words.
#[inline(always)]
fn mix<const N: usize>(x: &mut [u32; N], y: &mut [u32; N], turn: u32) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = x.wrapping_add(*y);
        *y = y.rotate_left(turn) ^ *x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers from the authors' Random123 library.
    #[test]
    fn the_words_are_those_of_the_published_generator() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let more = [0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89];
        for (counter, key, expected) in [
            ([0; 4], [0; 4], [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]),
            ([u32::MAX; 4], [u32::MAX; 4], [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]),
            (pi, more, [0x59cd_1dbb, 0xb887_9579, 0x86b5_d00c, 0xac8b_6d84]),
        ] {
            assert_eq!(threefry(key, counter.map(|c| [c])).map(|w| w[0]), expected);
        }
    }
}
