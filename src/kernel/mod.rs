//! The definition of a kernel: one WGSL entry point, its bindings, and its CPU implementation; plus the run-time values that its arguments may depend on.

mod args;
mod cost;
mod sliced;
mod tile;

use crate::cells::{Cell, Spec};
pub use args::{Argument, Scalar};
pub(crate) use args::{Is, args};
pub use cost::{Capabilities, DISPATCH_SECONDS, FORMS, Latencies, SCAN_COLUMNS, SCAN_LANES, STEPS, ScanForm, ScanForms, Speeds};
use std::fmt;
pub use tile::{Loads, SPREAD, Tile};

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Written, or read and written.
    ReadWrite,
}

/// One storage binding of a kernel, in WGSL binding order.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Name of the WGSL variable.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

/// A read-only binding.
pub const fn read(name: &'static str) -> Binding {
    Binding { name, access: Access::Read }
}

/// A written binding.
pub const fn write(name: &'static str) -> Binding {
    Binding { name, access: Access::ReadWrite }
}

/// The form of a kernel that a dispatch uses, fixed when it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Register tile; ignored by untiled kernels.
    pub tile: Tile,
    /// How shared rows are loaded; ignored by untiled kernels.
    pub loads: Loads,
    /// Invocations of a matmul workgroup along the columns: the adapter's subgroup size, so that loads coalesce.
    pub width: u32,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}, {}", self.tile, self.width, self.loads)
    }
}

/// A value that changes between replays of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Var {
    /// Steps of this segment.
    Steps,
    /// Index of the stash block that holds this segment's `h`.
    Place,
    /// Index of the state that flows into a segment, or of the source of a copy.
    From,
    /// Index of the state that flows out of a segment, or of the destination of a copy.
    To,
    /// 1 to add gradients and loss to the existing values, 0 to replace them.
    Accumulate,
    /// 1 if the carry from the following segment is used, 0 if there is none.
    CarryIn,
    /// 1/N as the bits of an f32.
    InverseN,
    /// Learning rate as the bits of an f32.
    LearningRate,
    /// Row of the ring of metrics that this update writes.
    RingRow,
    /// First step of the segment, counted from the start of the lane.
    First,
    /// Number of the update, modulo 2^32.
    Update,
    /// 1 if dropout is active, else 0.
    Drop,
    /// First lane, of all that are trained together.
    FirstLane,
    /// Index of a dispatch within its repetition, see [`crate::recording::Repeat`].
    Index,
}

/// The run-time values of one replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Values([u32; 14]);

impl Values {
    /// Sets an integer.
    #[must_use]
    pub fn with(mut self, var: Var, value: u32) -> Self {
        self.0[var as usize] = value;
        self
    }

    /// Sets a float.
    #[must_use]
    pub fn with_f32(self, var: Var, value: f32) -> Self {
        self.with(var, value.to_bits())
    }

    /// The value of `var`.
    pub fn get(&self, var: Var) -> u32 {
        self.0[var as usize]
    }
}

/// An argument: `base`, or `base + min(max(scale * var - floor, 0), cap)` of a run-time value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    base: u32,
    term: Option<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    var: Var,
    scale: u32,
    floor: u32,
    cap: u32,
}

impl Word {
    /// The run-time value itself.
    pub const fn var(var: Var) -> Self {
        Self::scaled(var, 1)
    }

    /// `scale * var`.
    pub const fn scaled(var: Var, scale: u32) -> Self {
        Word { base: 0, term: Some(Term { var, scale, floor: 0, cap: u32::MAX }) }
    }

    /// The length of the part of `0..scale * var` that lies in `[floor, floor + cap)`: the rows of one chunk.
    pub const fn part(var: Var, scale: u32, floor: u32, cap: u32) -> Self {
        Word { base: 0, term: Some(Term { var, scale, floor, cap }) }
    }

    /// A quarter of this value: converts an offset or length from elements to `vec4`s.
    ///
    /// # Panics
    /// If it is not a multiple of 4, which is a bug in the recording.
    pub fn quarter(self) -> Self {
        let q = |n: u32| {
            assert!(n.is_multiple_of(4), "{self} is not a whole number of vec4s");
            n / 4
        };
        let term = self.term.map(|t| Term { scale: q(t.scale), floor: q(t.floor), cap: if t.cap == u32::MAX { t.cap } else { q(t.cap) }, ..t });
        Word { base: q(self.base), term }
    }

    /// A float constant.
    pub fn f32(value: f32) -> Self {
        value.to_bits().into()
    }

    /// This value plus a constant.
    #[must_use]
    pub const fn plus(mut self, n: u32) -> Self {
        self.base += n;
        self
    }

    /// The value, if it does not depend on a run-time value.
    pub fn constant(&self) -> Option<u32> {
        self.term.is_none().then_some(self.base)
    }

    /// The value under `values`.
    pub fn eval(&self, values: &Values) -> u32 {
        self.base + self.term.map_or(0, |t| (t.scale.wrapping_mul(values.get(t.var))).saturating_sub(t.floor).min(t.cap))
    }
}

impl From<u32> for Word {
    fn from(base: u32) -> Self {
        Word { base, term: None }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(t) = self.term else { return write!(f, "{}", self.base) };
        if self.base != 0 {
            write!(f, "{}+", self.base)?;
        }
        if t.scale != 1 {
            write!(f, "{}*", t.scale)?;
        }
        write!(f, "{:?}", t.var)?;
        if t.floor != 0 || t.cap != u32::MAX {
            write!(f, "[{}..+{}]", t.floor, t.cap)?;
        }
        Ok(())
    }
}

/// A slice bound to a CPU implementation.
pub enum Bound<'a> {
    /// A [`Access::Read`] binding.
    Read(&'a [f32]),
    /// A [`Access::ReadWrite`] binding.
    Write(&'a mut [f32]),
}

/// One call of a CPU implementation.
pub struct Call<'a, 'b> {
    /// The evaluated `Args`, as words.
    pub args: &'a [u32],
    /// The bindings, in the kernel's order.
    pub bound: &'a mut [Bound<'b>],
    /// Number of parts the work is split into; fixed for a run, so that sums keep their order.
    pub threads: usize,
}

/// Work of a dispatch, for the bench and the profile.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes that must move at least once.
    pub bytes: f64,
}

/// An `override` of the WGSL source and its value.
pub type Constant = (&'static str, f64);

/// The part of a kernel's text that depends on its cell.
#[derive(Clone, Copy)]
pub struct CellText {
    /// The cell.
    pub cell: Cell,
    /// The text.
    pub text: fn(&Spec) -> String,
    /// Results of the kernel's product per unit.
    pub columns: fn(&Spec) -> u32,
}

/// A kernel: `shaders/NAME.wgsl`, its Rust binding and its CPU implementation under one name.
pub struct Kernel {
    /// Stem of the shader file; also the pipeline's label and the bench's row.
    pub name: &'static str,
    /// The WGSL text; see [`Kernel::text`] for what is appended to it.
    pub source: &'static str,
    /// For a kernel of a cell: the text that depends on it.
    pub cell: Option<CellText>,
    /// Whether it is built on a [`Tile`].
    pub tiled: bool,
    /// Storage bindings; the arguments' uniform follows as the last binding.
    pub bindings: &'static [Binding],
    /// Its arguments: the members of the WGSL struct `Args`, each one 32-bit word.
    pub args: &'static [Argument],
    /// Values of the WGSL overrides for a variant and (first) arguments.
    pub constants: fn(&[u32], Variant) -> Vec<Constant>,
    /// Workgroups for evaluated arguments; any 0 means nothing to do.
    pub grid: fn(&[u32], Variant) -> [u32; 3],
    /// The CPU implementation.
    pub cpu: fn(&mut Call<'_, '_>),
    /// Minimum work of a dispatch, for reports.
    pub work: fn(&[u32]) -> Work,
}

impl Kernel {
    /// The complete WGSL text of a variant.
    pub fn text(&self, variant: Variant) -> String {
        let cell = self.cell.map(|c| (c.text)(c.cell.spec()) + c.cell.spec().source).unwrap_or_default();
        let columns = self.cell.map_or(1, |c| (c.columns)(c.cell.spec()));
        let tile = if self.tiled { variant.tile.source(variant.loads, columns) } else { String::new() };
        [self.source, &cell, &tile].concat()
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Workgroups of a one-dimensional grid, folded into two dimensions if one would exceed 65,535.
pub fn linear_grid(groups: u32) -> [u32; 3] {
    if groups <= 65_535 { [groups, 1, 1] } else { [32_768, groups.div_ceil(32_768), 1] }
}

/// No overrides.
pub fn no_constants(_: &[u32], _: Variant) -> Vec<Constant> {
    Vec::new()
}
