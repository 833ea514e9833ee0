//! Which kernel variants suit an adapter: measured once (milliseconds, after a warm-up) and remembered in the user's cache
//! folder, keyed by adapter, driver and this crate's version.

use super::adapter::{AdapterInfo, Kind};
use super::device::GpuDevice;
use super::executor::GpuExecutor;
use crate::arena::{Arena, Purpose, Slot, View};
use crate::error::Result;
use crate::kernel::{Capabilities, Loads, Tile, Values, Var, Variant, Word};
use crate::kernels::{Activation, matmul, scan_forward};
use crate::recording::{Executor, Program, Recording};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// The choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Tile of the matmuls.
    pub matmul: Tile,
    /// How the matmuls load shared rows.
    pub matmul_loads: Loads,
    /// Tile of the scans.
    pub scan: Tile,
    /// How the scans load shared rows.
    pub scan_loads: Loads,
}

impl Variants {
    pub(super) fn apply(self, capabilities: &mut Capabilities) {
        (capabilities.matmul.tile, capabilities.matmul.loads) = (self.matmul, self.matmul_loads);
        (capabilities.scan, capabilities.scan_loads) = (self.scan, self.scan_loads);
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    adapter: String,
    variants: Variants,
}

/// The adapter's limits, with the variants that its kind suggests until they are measured.
pub(super) fn default_capabilities(info: &AdapterInfo) -> Capabilities {
    let tile = if info.kind == Kind::Software { Tile::T16x16 } else { Tile::T8x8 };
    Capabilities {
        // A subgroup of invocations side by side reads whole cache lines. What adapters report as the smallest is often no more
        // than what they could do: real ones run 32 or 64 in step.
        matmul: Variant { tile, loads: Loads::Each, width: info.subgroup[0].clamp(if info.kind == Kind::Software { 8 } else { 32 }, 64) },
        scan: tile,
        scan_loads: Loads::Each,
        workgroup_bytes: info.workgroup_bytes,
        workgroup_invocations: info.workgroup_invocations,
        binding_bytes: info.binding_bytes.min(info.buffer_bytes),
    }
}

/// Sets the device's variants, from memory or by measuring.
pub(super) fn choose(gpu: &mut GpuDevice) -> Result<()> {
    let key = format!("{} / retrograd {}", gpu.info, env!("CARGO_PKG_VERSION"));
    let path = cache_file();
    let known = path.as_ref().and_then(|p| std::fs::read(p).ok());
    let mut all: Vec<Remembered> = match known.as_deref().map(serde_json::from_slice) {
        Some(Ok(all)) => all,
        Some(Err(e)) => {
            eprintln!("note: the calibration cache {} is damaged ({e}); measuring again", path.as_ref().map(|p| p.display().to_string()).unwrap_or_default());
            Vec::new()
        }
        None => Vec::new(),
    };
    if let Some(r) = all.iter().find(|r| r.adapter == key) {
        r.variants.apply(&mut gpu.capabilities);
        gpu.calibration = "remembered";
        return Ok(());
    }
    let variants = measure(gpu)?;
    variants.apply(&mut gpu.capabilities);
    gpu.calibration = "measured";
    all.push(Remembered { adapter: key, variants });
    if let Some(path) = path {
        // The cache only saves time: where it can't be written, the next run measures again.
        let _ = write(&path, &all);
    }
    Ok(())
}

fn cache_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder("XDG_CACHE_HOME").or_else(|| folder("LOCALAPPDATA")).or_else(|| folder("HOME").map(|h| h.join(".cache")))?;
    Some(base.join("retrograd").join("calibration.json"))
}

fn write(path: &std::path::Path, all: &[Remembered]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

const SIZE: u32 = 128;
const LANES: u32 = 32;
const STEPS: u32 = 4;

/// Times the two ways of loading with a small tile, which drivers compile fast, then the tiles. A software driver takes seconds to
/// compile scans, and what limits them is what limits its matmul: there a scan takes the matmul's tile, and the loads that compile
/// fastest.
fn measure(gpu: &GpuDevice) -> Result<Variants> {
    let width = gpu.capabilities.matmul.width;
    let matmul = |tile, loads| time(gpu, |r, f| record_matmul(r, Variant { tile, loads, width }, f));
    let parked = |tile: &Tile| width * tile.rows() * tile.cols() * 4 <= gpu.capabilities.workgroup_bytes;
    let loads =
        if gpu.info.features.contains(&"subgroups") && matmul(Tile::T8x8, Loads::Once)? < matmul(Tile::T8x8, Loads::Each)? { Loads::Once } else { Loads::Each };
    // A tile of 4 rows is for rows that are too long for the others.
    let tile = fastest([Tile::T16x16, Tile::T8x8].into_iter().filter(parked), |tile| matmul(tile, loads))?.unwrap_or(Tile::T4x16);
    if gpu.info.kind == Kind::Software {
        return Ok(Variants { matmul: tile, matmul_loads: loads, scan: tile, scan_loads: Loads::Each });
    }
    let with = |scan| Capabilities { scan, scan_loads: loads, ..gpu.capabilities };
    let holds = |tile: &Tile| with(*tile).scan_variant(SIZE).is_some_and(|v| v.tile == *tile);
    let scan = fastest(Tile::ALL.into_iter().filter(holds), |tile| time(gpu, |r, f| record_scan(r, &with(tile), f)))?;
    Ok(Variants { matmul: tile, matmul_loads: loads, scan: scan.unwrap_or(Tile::T4x16), scan_loads: loads })
}

/// The tile that takes the least time.
fn fastest(tiles: impl Iterator<Item = Tile>, seconds: impl Fn(Tile) -> Result<f64>) -> Result<Option<Tile>> {
    let mut times = tiles.map(|tile| Ok((seconds(tile)?, tile))).collect::<Result<Vec<_>>>()?;
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(times.first().map(|t| t.1))
}

/// The slots that are timed: x `[STEPS * LANES, SIZE]`, w `[SIZE, SIZE]`, y one block longer than x.
struct Fixture {
    x: View,
    w: View,
    y: View,
    keep: View,
    states: Slot,
}

fn record_matmul(recording: &mut Recording, variant: Variant, f: &Fixture) {
    let rows = Word::from(STEPS * LANES);
    let o = matmul::Operands { form: matmul::Form::Nn, a: f.x.with_rows(rows), b: f.w, c: f.y.with_rows(rows), mask: None, accumulate: 0.into() };
    matmul::record(recording, "calibrate", variant, o, matmul::Batch::ONE);
}

fn record_scan(recording: &mut Recording, capabilities: &Capabilities, f: &Fixture) {
    let o = scan_forward::Operands {
        pre: f.x,
        w: f.w,
        bias: None,
        keep: f.keep,
        states: f.states,
        state_in: 0.into(),
        state_out: 0.into(),
        h: f.y,
        lanes: LANES,
        activation: Activation::Tanh,
    };
    scan_forward::record(recording, "calibrate", capabilities, o);
}

/// Median seconds of a replay, after one that warms up (drivers compile at the first dispatch).
fn time(gpu: &GpuDevice, record: impl FnOnce(&mut Recording, &Fixture)) -> Result<f64> {
    let mut arena = Arena::default();
    let rows = STEPS * LANES;
    let mut slot = |name: &str, elements| arena.persistent(name, elements, Purpose::Activations);
    let view = |slot, rows: Word, cols| View { slot, offset: 0.into(), rows, cols: Word::from(cols), ld: cols };
    let live = Word::scaled(Var::Steps, LANES);
    let fixture = Fixture {
        x: view(slot("x", rows * SIZE), live, SIZE),
        w: view(slot("w", SIZE * SIZE), SIZE.into(), SIZE),
        y: view(slot("y", (rows + LANES) * SIZE), live, SIZE),
        keep: view(slot("keep", rows), live, 1),
        states: slot("states", LANES * SIZE),
    };
    let mut recording = Recording::new("calibrate");
    record(&mut recording, &fixture);
    let program = Program::new(arena, vec![recording], gpu.capabilities.binding_bytes);
    let mut executor = GpuExecutor::new(gpu.clone(), program)?;
    let values = Values::default().with(Var::Steps, STEPS);
    let mut times = Vec::new();
    for _ in 0..6 {
        let start = Instant::now();
        executor.run(0, &values)?;
        executor.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
