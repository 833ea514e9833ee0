//! The recurrence over a segment, forward and backward, for every cell, each in three forms: all steps in one dispatch; the same with W_hh in registers; and
//! one dispatch per step, for a W_hh too large for every workgroup to read.

pub mod backward;
pub mod forward;
mod text;

use crate::cells::{BLOCKS, Cell};
use crate::host::{self, Blocks, Mat, Panels, Places, Teams};
use crate::kernel::{Constant, Kernel, Loads, Variant, Work};
use crate::recording::Repeat;
use std::ops::Range;

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

/// The matrix of a scan's steps: the columns of a member of a team.
struct Weights<'a> {
    panels: Panels<'a>,
    /// By panel: the block, and the units, counted from the member's first on.
    columns: Vec<(usize, Range<usize>)>,
}

/// The matrix `w` `[rows, blocks n]` by member of a team, packed for `products` products.
fn weights<'a>(w: &'a [f32], [rows, blocks, n]: [usize; 3], teams: &Teams, products: usize) -> Vec<Weights<'a>> {
    let member = |own: &Range<usize>| {
        let units = host::panel_columns(own.len());
        let columns: Vec<_> = (0..blocks).flat_map(|block| units.iter().map(move |units| (block, units.clone()))).collect();
        let operand = |(block, units): &(usize, Range<usize>)| (Mat::new(&w[block * n + own.start + units.start..], blocks * n), units.len());
        Weights { panels: Panels::new(rows, columns.iter().map(operand), products), columns }
    };
    teams.columns.iter().map(member).collect()
}

/// Rows of `blocks` blocks of n values, by thread and block: those of its lanes, its units of them. `at.ld` is `blocks n`.
fn by_member<'a>(data: &'a mut [f32], at: Places, n: usize, teams: &Teams) -> Vec<Vec<Blocks<'a>>> {
    let units: Vec<Range<usize>> = (0..at.ld).step_by(n).flat_map(|block| teams.columns.iter().map(move |c| block + c.start..block + c.end)).collect();
    let mut parts = Blocks::split(data, at, &teams.lanes, &units).into_iter();
    let members = teams.columns.len();
    let team = |_| {
        let mut own: Vec<Vec<Blocks<'a>>> = teams.columns.iter().map(|_| Vec::with_capacity(at.ld / n)).collect();
        parts.by_ref().take(units.len()).enumerate().for_each(|(i, part)| own[i % members].push(part));
        own
    };
    teams.lanes.iter().flat_map(team).collect()
}

/// The lanes and units of each thread, in the order of [`Blocks::split`].
fn members(teams: &Teams) -> impl Iterator<Item = (Range<usize>, usize, Range<usize>)> {
    teams.lanes.iter().flat_map(|lanes| teams.columns.iter().enumerate().map(|(i, units)| (lanes.clone(), i, units.clone())))
}

#[cfg(test)]
mod tests {
    use crate::host::{self, Teams};
    use crate::platform::Pool;

    pub(super) fn numbers(n: usize, from: usize) -> Vec<f32> {
        let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
        (from..from + n).map(number).collect()
    }

    /// `cut` in every seventh row, and 1 in all others.
    pub(super) fn edges(rows: usize, cut: f32) -> Vec<f32> {
        (0..rows).map(|i| if i % 7 == 4 { cut } else { 1.0 }).collect()
    }

    /// However a scan is split over threads, it gives the same bits.
    pub(super) fn same_bits([lanes, n]: [usize; 2], run: &(dyn Fn(&Teams) -> Vec<f32> + Sync)) {
        let bits = |p: usize, q: usize, may_spin: bool| {
            let teams = Teams { lanes: host::split(lanes, p), columns: host::in_units(n, 16, q), may_spin };
            let pool = Pool::new(teams.lanes.len() * teams.columns.len()).expect("threads");
            pool.install(|| run(&teams)).into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        let alone = bits(1, 1, true);
        for (p, q, may_spin) in [(3, 1, true), (1, 2, true), (1, 5, false), (2, 3, false)] {
            assert!(bits(p, q, may_spin) == alone, "lanes {lanes}, n {n}: {p} teams of {q}");
        }
    }
}
