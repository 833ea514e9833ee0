//! The recurrence over a segment, forward and backward, for every cell, each in three forms: all steps in one dispatch; the same with W_hh in registers; and
//! one dispatch per step, for a W_hh too large for every workgroup to read.

pub mod backward;
pub mod forward;
mod text;

use crate::cells::{BLOCKS, Cell};
use crate::kernel::{Constant, Kernel, Loads, Variant, Work};
use crate::recording::Repeat;

/// The kernels of a direction, of every cell: whole, held, by step, and for the forward direction without the products.
pub type Kernels<const N: usize> = [[Kernel; N]; Cell::ALL.len()];

/// The WGSL text of a kernel: what all steps use, the arguments and bindings of its direction, then its own file.
macro_rules! source {
    ($direction:literal, $kernel:literal) => {
        concat!(
            include_str!("../../../shaders/cells/common.wgsl"),
            include_str!(concat!("../../../shaders/", $direction, "_args.wgsl")),
            include_str!(concat!("../../../shaders/", $kernel, ".wgsl"))
        )
    };
}

use source;

/// Which of a direction's kernels of a cell a variant uses, and how often it is dispatched.
fn form(variant: Variant, [whole, held, step]: [&'static Kernel; 3]) -> (&'static Kernel, Repeat) {
    match variant.loads {
        Loads::Each | Loads::Spread | Loads::Staged(_) => (whole, Repeat::Once),
        Loads::Held(_) => (held, Repeat::Once),
        Loads::Sliced(_) => (step, Repeat::Steps(1)),
    }
}

/// The sizes of a scan.
#[derive(Clone, Copy)]
struct Sizes {
    cell: Cell,
    steps: u32,
    lanes: u32,
    hidden4: u32,
    /// Results of the product per unit.
    columns: u32,
}

impl Sizes {
    fn constants(self, variant: Variant) -> Vec<Constant> {
        let (width, hidden4) = (variant.width, self.hidden4);
        let all = match variant.loads {
            Loads::Each | Loads::Spread | Loads::Staged(_) => vec![("WIDTH", width), ("HIDDEN4", hidden4)],
            Loads::Held(_) => vec![("WIDTH", width), ("HIDDEN4", hidden4), ("SLICES", width / (hidden4 * self.columns))],
            Loads::Sliced(across) => vec![("COLS4", across), ("SLICES", width / across)],
        };
        all.into_iter().map(|(name, value)| (name, f64::from(value))).collect()
    }

    fn grid(self, variant: Variant) -> [u32; 3] {
        let groups = self.lanes.div_ceil(variant.tile.rows());
        match variant.loads {
            Loads::Sliced(across) => [self.hidden4.div_ceil(across), groups, 1],
            _ if self.steps == 0 => [0, 0, 0],
            Loads::Each | Loads::Spread | Loads::Staged(_) | Loads::Held(_) => [groups, 1, 1],
        }
    }

    /// Work of `steps` steps that move a row of gates and `moved` more values per lane and unit each.
    fn work(self, steps: u32, moved: f64) -> Work {
        let [steps, lanes, h] = [steps, self.lanes, self.hidden4 * 4].map(f64::from);
        let (spec, products) = (self.cell.spec(), f64::from(self.cell.spec().gates) * h * h);
        // The gates are read, and written where they are kept.
        let moved = moved + f64::from(spec.blocks() * (1 + u32::from(spec.keeps_gates)));
        Work { flops: 2.0 * steps * lanes * products, bytes: 4.0 * (moved * steps * lanes * h + products) }
    }
}

/// The first `N` of an iterator of slices; the rest is empty.
fn blocks<'a>(mut all: impl Iterator<Item = &'a [f32]>) -> [&'a [f32]; BLOCKS] {
    std::array::from_fn(|_| all.next().unwrap_or(&[]))
}

/// As [`blocks`], mutable.
fn blocks_mut<'a>(mut all: impl Iterator<Item = &'a mut [f32]>) -> [&'a mut [f32]; BLOCKS] {
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

/// `keep` times a state of a lane: the state itself, or zeros.
fn kept<'a>(keep: f32, state: &'a [f32], zeros: &'a [f32]) -> &'a [f32] {
    if keep == 0.0 { &zeros[..state.len()] } else { state }
}

#[cfg(test)]
mod tests {
    use crate::host;
    use std::ops::Range;

    pub(super) fn numbers(n: usize, from: usize) -> Vec<f32> {
        let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
        (from..from + n).map(number).collect()
    }

    /// `cut` in every seventh row, and 1 in all others.
    pub(super) fn edges(rows: usize, cut: f32) -> Vec<f32> {
        (0..rows).map(|i| if i % 7 == 4 { cut } else { 1.0 }).collect()
    }

    /// Splitting by lanes and splitting by columns, into one part or several, gives the same bits.
    pub(super) fn same_bits([lanes, n]: [usize; 2], over_lanes: &dyn Fn(&[Range<usize>]) -> Vec<f32>, over_columns: &dyn Fn(&[Range<usize>]) -> Vec<f32>) {
        let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        let alone = bits(over_lanes(&host::split(lanes, 1)));
        assert!(bits(over_lanes(&host::split(lanes, 3))) == alone, "lanes {lanes}, n {n}");
        for parts in 1..=3 {
            assert!(bits(over_columns(&host::split_columns(n, parts))) == alone, "lanes {lanes}, n {n}, parts {parts}");
        }
    }
}
