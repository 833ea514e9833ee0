//! What an executor can do, and a small cost model that chooses the kernel variant for a shape. Calibration measures the model's constants.

use super::{Loads, Tile, Variant};
use serde::{Deserialize, Serialize};

/// Forms of the matmul, in the order of [`Capabilities::speeds`].
pub const FORMS: [(Tile, Loads); 10] = [
    (Tile::T64x8, Loads::Spread),
    (Tile::T32x8, Loads::Spread),
    (Tile::T24x8, Loads::Spread),
    (Tile::T16x16, Loads::Spread),
    (Tile::T16x16, Loads::Each),
    (Tile::T8x8, Loads::Each),
    (Tile::T8x8, Loads::Staged(16)),
    (Tile::T8x8, Loads::Staged(8)),
    (Tile::T4x4, Loads::Staged(16)),
    (Tile::T4x4, Loads::Staged(8)),
];

/// Speed of each of [`FORMS`] with full tiles, in percent of the fastest; 0 if it must not be used.
// A literal length: rustc 1.95 crashes on closures in other crates that copy a `[u8; FORMS.len()]`.
pub type Speeds = [u8; 10];
/// Nanoseconds that a single workgroup of each of [`FORMS`] takes for 1,024 inner steps; 0 if not measured.
pub type Latencies = [u32; 10];

/// How hardware runs a recurrence of a given size, as measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanForm {
    /// Lanes per workgroup by columns per invocation.
    pub tile: Tile,
    /// [`Loads::Held`]: one dispatch for all steps. [`Loads::Sliced`]: one dispatch per step.
    pub loads: Loads,
    /// Maximum invocations per workgroup.
    pub width: u32,
}

/// Row widths of h that [`ScanForms`] are measured for; other widths use the next larger one.
pub const SCAN_COLUMNS: [u32; 4] = [128, 256, 512, 1024];
/// Numbers of lanes they are measured for: few, and many.
pub const SCAN_LANES: [u32; 2] = [32, 256];
/// The form for each of [`SCAN_COLUMNS`] and [`SCAN_LANES`].
pub type ScanForms = [[ScanForm; 2]; 4];

/// One dispatch per step, on any adapter.
pub const STEPS: ScanForm = ScanForm { tile: Tile::T8x4, loads: Loads::Sliced(8), width: 64 };

/// Maximum seconds per dispatch and per submission: drivers treat a device that is busy for several seconds as hung.
pub const DISPATCH_SECONDS: f64 = 0.1;

/// Cost of loading four columns of a row for all invocations of a vector on a software driver, relative to multiplying them by one row and adding up.
const LOAD: u32 = 10;

/// Multiply-adds that hardware does in the time of reading or writing one value: the extra cost of each part of a long sum.
const MOVE: f64 = 16.0;
/// Seconds per additional dispatch.
const DISPATCH: f64 = 4e-6;
/// Minimum length of a part of a long sum.
const LEAST_PART: u32 = 32;
/// Most vec4 sums per invocation of a recurrence that takes a dispatch per step.
const MOST_SUMS: u32 = 32;
/// Maximum parts of a long sum: all are in memory at once.
const MOST_PARTS: u32 = 512;

/// What an executor can do, as far as a recording depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capabilities {
    /// Variant of the matmuls if no form is measured; never a staged one. Its width also applies to all unstaged forms and to the other kernels.
    pub matmul: Variant,
    /// Speeds of the forms of the matmul.
    pub speeds: Speeds,
    /// Cores of a software driver, each running one workgroup at a time; 0 for hardware.
    pub cores: u32,
    /// For hardware: the time a single workgroup of each form takes.
    pub latencies: Latencies,
    /// The tile with the most rows that scans may use.
    pub scan: Tile,
    /// How the scans load shared rows.
    pub scan_loads: Loads,
    /// How hardware runs recurrences; `None` on the CPU and on software drivers, where a workgroup reads all of W_hh.
    pub scans: Option<ScanForms>,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Maximum invocations per workgroup.
    pub workgroup_invocations: u32,
    /// Largest buffer and largest binding, in bytes.
    pub binding_bytes: u64,
    /// Bytes the executor allocates besides the slots: arguments and readback buffers.
    pub overhead_bytes: u64,
    /// Measured speed of products; bounds the work of one dispatch.
    pub flops_per_second: f64,
}

/// Loop iterations, over all loops of a shader, after which llvmpipe silently leaves them.
const SOFTWARE_PASSES: u32 = 65_535;

impl Capabilities {
    /// Maximum steps of a scan per dispatch on a software driver, which counts loop iterations: each step loops over the row of gates once, and over the
    /// lanes of a workgroup. The count is doubled, since tiles have loops of their own.
    pub fn longest_scan(&self, hidden4: u32, gates: u32, lanes: u32) -> u32 {
        let rows = lanes.min(self.scan.rows());
        let passes = 2 * (1 + hidden4 * gates + rows * (1 + hidden4.div_ceil(self.matmul.width.max(1))));
        // The CPU has no workgroups.
        let software = self.scans.is_none() && self.workgroup_bytes < u32::MAX;
        if software { (SOFTWARE_PASSES / passes).max(1) } else { u32::MAX }
    }

    /// The fastest variant for a product of these sizes; see [`Self::product_time`].
    pub fn matmul_variant(&self, rows: u32, cols: u32, inner: u32) -> Variant {
        let cost = |(form, speed): &((Tile, Loads), u8)| self.product_time(*form, *speed, [rows, cols, inner], 1);
        self.measured().min_by(|a, b| cost(a).total_cmp(&cost(b))).map_or(self.matmul, |((tile, loads), _)| self.form(tile, loads))
    }

    /// The fastest variant for a product with a long inner dimension, and the number of parts to split that dimension into. Includes the cost of writing,
    /// reading and adding up the parts in one more dispatch.
    pub fn sum_variant(&self, rows: u32, cols: u32, inner: u32) -> (Variant, u32) {
        let most = if self.parts() { (inner / LEAST_PART).min(MOST_PARTS) } else { 1 };
        let counts = std::iter::successors(Some(1u32), |n| Some(2 * n)).take_while(|n| *n <= most.max(1));
        let moved = |parts: u32| f64::from(rows) * f64::from(cols) * f64::from(2 * parts) * 2.0 * MOVE / self.flops_per_second;
        let cost = |form, speed, parts: u32| self.product_time(form, speed, [rows, cols, inner], parts) + if parts > 1 { DISPATCH + moved(parts) } else { 0.0 };
        let all = self.measured().flat_map(|(form, speed)| counts.clone().map(move |n| (cost(form, speed, n), form, n)));
        // Ties go to the fewest parts.
        let best = all.min_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        best.map_or((self.matmul, 1), |(_, (tile, loads), n)| (self.form(tile, loads), n))
    }

    /// Whether to split long sums: only on hardware, where few results leave most cores idle.
    fn parts(&self) -> bool {
        self.latencies.iter().any(|l| *l > 0)
    }

    /// The usable forms, with their speeds.
    fn measured(&self) -> impl Iterator<Item = ((Tile, Loads), u8)> {
        FORMS.into_iter().zip(self.speeds).filter(|(_, speed)| *speed > 0)
    }

    /// Seconds of a product [rows, cols, inner] in a form, with the inner dimension split into `parts`: the time of all its tiles, parts beyond the edges
    /// included, at full throughput, or that of a single workgroup if longer. On a software driver, cores that finish early wait for the others.
    pub fn product_time(&self, form: (Tile, Loads), speed: u8, [rows, cols, inner]: [u32; 3], parts: u32) -> f64 {
        let [r, c] = self.form(form.0, form.1).group();
        let groups = u64::from(rows.div_ceil(r)) * u64::from(cols.div_ceil(c)) * u64::from(parts);
        let groups = groups.next_multiple_of(u64::from(self.cores.max(1))) as f64;
        let (steps, latency) = (f64::from(inner.div_ceil(parts)), FORMS.iter().position(|f| *f == form).map_or(0, |i| self.latencies[i]));
        let together = groups * f64::from(r * c) * steps * 200.0 / f64::from(speed) / self.flops_per_second;
        together.max(f64::from(latency) * 1e-9 * steps / 1024.0)
    }

    /// The variant of a form of the matmul on this device.
    pub fn form(&self, tile: Tile, loads: Loads) -> Variant {
        Variant { tile, loads, width: if let Loads::Staged(side) = loads { side * side } else { self.matmul.width } }
    }

    /// The variant of a recurrence over `lanes` rows of `hidden` padded units, whose product has `columns` results per unit and sums over `inners` values
    /// per unit. With [`Loads::Sliced`], each step takes a dispatch.
    pub fn scan_variant(&self, hidden: u32, lanes: u32, columns: u32, inners: u32) -> Variant {
        if let Some(forms) = &self.scans {
            // What matters is the size of W_hh: forms are measured for one gate.
            let size = u64::from(hidden).pow(2) * u64::from(columns * inners);
            let class = SCAN_COLUMNS.iter().position(|c| size <= u64::from(*c).pow(2)).unwrap_or(SCAN_COLUMNS.len() - 1);
            let few = u64::from(lanes).pow(2) <= u64::from(SCAN_LANES[0] * SCAN_LANES[1]);
            return self.recurrence(forms[class][usize::from(!few)], hidden, lanes, columns, inners);
        }
        let narrow = columns > 1;
        let tiles = if narrow { &Tile::SLICED[..] } else { &Tile::SCAN };
        let mut fitting = tiles.iter().filter(|t| t.rows() <= self.scan.rows()).map(|tile| self.scan_form(*tile, hidden)).filter(|v| {
            let holds = v.tile.rows() * hidden * 4 <= self.workgroup_bytes;
            holds && v.width <= self.workgroup_invocations && v.tile.allows(v.loads)
        });
        let found = if self.cores == 0 { fitting.next() } else { fitting.min_by_key(|v| self.scan_cost(v, lanes, columns)) };
        found.unwrap_or_else(|| self.recurrence(STEPS, hidden, lanes, columns, inners))
    }

    /// Adapts a form of the recurrence to `lanes` rows of `hidden` padded units and to the adapter; see [`Self::scan_variant`].
    pub fn recurrence(&self, form: ScanForm, hidden: u32, lanes: u32, columns: u32, inners: u32) -> Variant {
        let most = form.width.min(self.workgroup_invocations);
        let (hidden4, columns4, inner4) = (hidden / 4, hidden / 4 * columns, hidden / 4 * inners);
        let tiles = || Tile::SLICED.into_iter().filter(|t| t.rows() <= form.tile.rows() && (t.rows() == 1 || t.rows() < 2 * lanes));
        if let Loads::Held(blocks) = form.loads {
            // The fewest slices that need no more blocks each than the maximum number of slices would.
            let slices = inner4.div_ceil(inner4.div_ceil((most / columns4).max(1)));
            let bytes = |t: &Tile| 16 * t.rows() * (inner4 + slices * columns4);
            let suits = |t: &Tile| columns4 <= most && t.rows() * hidden4 <= slices * columns4 && bytes(t) <= self.workgroup_bytes;
            if let Some(tile) = tiles().find(suits) {
                return Variant { tile, loads: Loads::Held(blocks.min(inner4.div_ceil(slices))), width: columns4 * slices };
            }
            return self.recurrence(STEPS, hidden, lanes, columns, inners);
        }
        let Loads::Sliced(across) = form.loads else { return self.recurrence(STEPS, hidden, lanes, columns, inners) };
        // Sums of all columns stay in registers.
        let suits = |t: &Tile| t.rows() * columns <= MOST_SUMS && 16 * (most / across * across) * t.rows() * columns <= self.workgroup_bytes;
        Variant { tile: tiles().find(suits).unwrap_or(Tile::T1x4), loads: form.loads, width: most / across * across }
    }

    /// The variant of a scan with a tile. If rows are spread over a subgroup, all of its invocations take part.
    fn scan_form(&self, tile: Tile, hidden: u32) -> Variant {
        let loads = if tile.allows(self.scan_loads) { self.scan_loads } else { Loads::Each };
        let width = hidden.div_ceil(tile.cols());
        Variant { tile, loads, width: if loads == Loads::Spread { width.next_multiple_of(super::SPREAD) } else { width } }
    }

    /// Relative time of a step on a software driver, which runs eight invocations at once and one workgroup per core.
    fn scan_cost(&self, v: &Variant, lanes: u32, columns: u32) -> u32 {
        let [rows, cols] = [v.tile.rows(), v.tile.cols() * columns];
        let loads = cols + if v.loads == Loads::Spread { rows / super::SPREAD } else { rows };
        lanes.div_ceil(rows).div_ceil(self.cores) * v.width.div_ceil(8) * (LOAD * loads + rows * cols / 4)
    }
}

impl Variant {
    /// Rows and columns computed by a workgroup of a matmul.
    pub fn group(&self) -> [u32; 2] {
        let [rows, cols] = self.tile.size();
        if let Loads::Staged(side) = self.loads { [side * rows, side * cols] } else { [rows, self.width * cols] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sums_are_parted_where_that_keeps_cores_busy() {
        let only = |value| FORMS.map(|(tile, loads)| if (tile, loads) == (Tile::T8x8, Loads::Staged(8)) { value } else { 0 });
        let hardware = Capabilities { speeds: only(100).map(|s| s as u8), latencies: only(40_000), flops_per_second: 1e13, ..crate::cpu::capabilities() };
        // Four groups for H 128; enough groups without parts for H 1024; a sum too short to split; a software driver.
        assert!(hardware.sum_variant(128, 128, 2048).1 >= 8);
        assert_eq!(hardware.sum_variant(2048, 1024, 2048).1, 1);
        assert_eq!(hardware.sum_variant(128, 128, 32).1, 1);
        assert_eq!(Capabilities { latencies: only(0), ..hardware }.sum_variant(128, 128, 2048).1, 1);
        assert!(hardware.sum_variant(4, 4, u32::MAX).1 <= MOST_PARTS);
        // The square of this many lanes overflows 32 bits.
        let scans = Some([[STEPS; 2]; 4]);
        assert_eq!(Capabilities { scans, ..hardware }.scan_variant(8, 70_000, 1, 1).loads, STEPS.loads);
        let parts = |inner| hardware.sum_variant(256, 256, inner).1;
        assert!([64, 512, 2048, 65_536].map(parts).is_sorted());
    }
}
