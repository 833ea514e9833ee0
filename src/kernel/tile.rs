//! Register tiles: the part of a product that one invocation computes, and how a workgroup loads its operands. The WGSL text is generated for each tile,
//! because a tile must not be indexed at run time: it would not stay in registers.

use super::sliced::{self, push};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Rows by columns that one invocation of a tiled kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tile {
    /// 64 rows by 8 columns.
    T64x8,
    /// 32 rows by 8 columns.
    T32x8,
    /// 24 rows by 8 columns.
    T24x8,
    /// 16 rows by 16 columns.
    T16x16,
    /// 8 rows by 8 columns.
    T8x8,
    /// 4 rows by 16 columns.
    T4x16,
    /// 16 rows by 4 columns.
    T16x4,
    /// 8 rows by 4 columns.
    T8x4,
    /// 4 rows by 4 columns.
    T4x4,
    /// 2 rows by 4 columns.
    T2x4,
    /// 1 row by 4 columns.
    T1x4,
}

impl Tile {
    /// The tiles of matrix products, largest first.
    pub const MATMUL: [Tile; 6] = [Tile::T64x8, Tile::T32x8, Tile::T24x8, Tile::T16x16, Tile::T8x8, Tile::T4x16];
    /// The tiles of scans, most rows first.
    pub const SCAN: [Tile; 6] = [Tile::T32x8, Tile::T16x16, Tile::T8x8, Tile::T4x16, Tile::T2x4, Tile::T1x4];
    /// The tiles of recurrences whose inner dimension is sliced, most rows first.
    pub const SLICED: [Tile; 5] = [Tile::T16x4, Tile::T8x4, Tile::T4x4, Tile::T2x4, Tile::T1x4];

    /// Rows and columns.
    pub const fn size(self) -> [u32; 2] {
        match self {
            Tile::T64x8 => [64, 8],
            Tile::T32x8 => [32, 8],
            Tile::T24x8 => [24, 8],
            Tile::T16x16 => [16, 16],
            Tile::T8x8 => [8, 8],
            Tile::T4x16 => [4, 16],
            Tile::T16x4 => [16, 4],
            Tile::T8x4 => [8, 4],
            Tile::T4x4 => [4, 4],
            Tile::T2x4 => [2, 4],
            Tile::T1x4 => [1, 4],
        }
    }

    /// Rows of the tile.
    pub const fn rows(self) -> u32 {
        self.size()[0]
    }

    /// Columns of the tile.
    pub const fn cols(self) -> u32 {
        self.size()[1]
    }

    /// Whether the tile's rows can be loaded this way.
    pub const fn allows(self, loads: Loads) -> bool {
        match loads {
            Loads::Each => true,
            Loads::Spread => self.rows().is_multiple_of(SPREAD),
            Loads::Staged(_) => matches!(self, Tile::T8x8 | Tile::T4x4),
            Loads::Held(_) | Loads::Sliced(_) => self.cols() == 4,
        }
    }

    /// The WGSL text to append to a kernel with `columns` times as many column blocks as the tile, that defines `a_row(row, k4)`, `a_block(four rows)`, `b_block(k4, column block)`,
    /// `tile_ready()` and `store_block(row block, column block, block)` (`store_row` for a tile of fewer than 4 rows). A block is a
    /// `mat4x4f` whose columns, in WGSL's sense, are rows of the product.
    pub fn source(self, loads: Loads, columns: u32) -> String {
        match loads {
            Loads::Held(blocks) => return sliced::held(self.rows(), blocks),
            Loads::Sliced(_) => return sliced::products(self.rows(), columns),
            Loads::Each | Loads::Spread | Loads::Staged(_) => {}
        }
        let (rows, blocks) = (self.rows(), self.cols() / 4 * columns);
        let mut s = format!("\nconst TILE_ROWS = {rows}u;\nconst TILE_ROWS4 = {}u;\nconst TILE_COLS4 = {blocks}u;\n", rows.div_ceil(4));
        s.push_str(if loads == Loads::Spread { SHARE } else { "\nfn find_share() {}\n" });
        s.push_str("\n// The product over k4 = 0..count blocks of four, stored.\nfn tile_product(count: u32) {\n");
        let units = if rows < 4 { rows } else { rows / 4 };
        let each = |f: &mut dyn FnMut(u32, u32)| (0..units).for_each(|r| (0..blocks).for_each(|c| f(r, c)));
        let kind = if rows < 4 { "vec4f" } else { "mat4x4f" };
        each(&mut |r, c| push(&mut s, 1, format_args!("var m{r}_{c} = {kind}();")));
        push(&mut s, 1, format_args!("for (var k = 0u; k < count; k++) {{"));
        if loads == Loads::Spread {
            (0..rows / SPREAD).for_each(|i| push(&mut s, 2, format_args!("let s{i} = a_row({}u + share, k);", i * SPREAD)));
        }
        for r in 0..units {
            push(&mut s, 2, format_args!("let a{r} = {};", self.rows_of_a(r, loads)));
        }
        for c in 0..blocks {
            push(&mut s, 2, format_args!("let b{c} = b_block(k, {c}u);"));
            (0..units).for_each(|r| push(&mut s, 2, format_args!("m{r}_{c} += b{c} * a{r};")));
        }
        s.push_str("    }\n    tile_ready();\n");
        let store = if rows < 4 { "store_row" } else { "store_block" };
        each(&mut |r, c| push(&mut s, 1, format_args!("{store}({r}u, {c}u, m{r}_{c});")));
        s.push_str("}\n");
        s
    }

    /// Block r of A, or row r for a tile of fewer than 4 rows.
    fn rows_of_a(self, r: u32, loads: Loads) -> String {
        if self.rows() < 4 {
            return format!("a_row({r}u, k)");
        }
        let row = |i: u32| match loads {
            Loads::Spread => format!("subgroupBroadcast(s{}, {}u)", i / SPREAD, i % SPREAD),
            _ => format!("a_row({i}u, k)"),
        };
        format!("a_block(mat4x4f({}))", (4 * r..4 * r + 4).map(row).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows(), self.cols())
    }
}

/// Invocations that share the rows of A under [`Loads::Spread`]: the subgroup size must be a multiple of it.
pub const SPREAD: u32 = 8;

/// Which of eight rows an invocation loads for its subgroup: its rank there, since all invocations of a workgroup take part.
const SHARE: &str = "
var<private> share: u32;

fn find_share() {
    share = subgroupExclusiveAdd(1u) % 8u;
}
";

/// How a workgroup of a tiled kernel loads operands that several invocations need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Loads {
    /// Each invocation loads its own. Hardware serves equal addresses with one access.
    Each,
    /// Rows of A are loaded once per subgroup: each invocation loads a part and shares it with the others. Saves most loads on software drivers, where every
    /// load of every invocation has a cost.
    Spread,
    /// Rows of A and B are loaded once per workgroup, through its memory; the value is the side of its square of invocations.
    Staged(u32),
    /// Invocations split the inner dimension into slices, and each keeps this many 4x4 blocks of B in registers from step to step.
    Held(u32),
    /// Invocations split the inner dimension into slices, with this many side by side along the columns.
    Sliced(u32),
}

impl fmt::Display for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loads::Each => f.write_str("each for itself"),
            Loads::Spread => f.write_str("spread over a subgroup"),
            Loads::Staged(side) => write!(f, "staged by {side} x {side}"),
            Loads::Held(blocks) => write!(f, "{blocks} blocks held"),
            Loads::Sliced(across) => write!(f, "sliced, {across} across"),
        }
    }
}
