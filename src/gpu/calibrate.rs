//! Which kernel variants suit an adapter: measured once (milliseconds, after a warm-up) and remembered in the user's cache
//! folder, keyed by adapter, driver and this crate's version.

use super::adapter::{AdapterInfo, Kind};
use super::device::GpuDevice;
use super::executor::{GpuExecutor, OVERHEAD};
use crate::arena::{Arena, Purpose, Slot, View};
use crate::cpu::CpuExecutor;
use crate::error::{Error, Result, tell};
use crate::kernel::{Capabilities, Loads, Tile, Values, Var, Variant, Word};
use crate::kernels::{Activation, matmul, scan_forward};
use crate::layout::Program;
use crate::recording::{Executor, Recording, download_f32, upload_f32};
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
    /// Speed of the matmuls, in millions of operations a second, rounded down to a power of 2 so that it is the same most times; 0 if it
    /// was not measured.
    #[serde(default)]
    pub megaflops: u32,
}

/// Speed, where it was not measured: that of a slow integrated GPU.
const SLOW: u32 = 1 << 14;

impl Variants {
    pub(super) fn apply(self, capabilities: &mut Capabilities) {
        capabilities.flops_per_second = f64::from(if self.megaflops == 0 { SLOW } else { self.megaflops }) * 1e6;
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
        binding_bytes: info.binding_bytes.min(info.buffer_bytes) / 256 * 256,
        overhead_bytes: OVERHEAD,
        flops_per_second: f64::from(SLOW) * 1e6,
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
            tell(&format!(
                "note: the calibration cache {} is damaged ({e}); measuring again",
                path.as_ref().map(|p| p.display().to_string()).unwrap_or_default()
            ));
            Vec::new()
        }
        None => Vec::new(),
    };
    all.retain(|r| r.variants.megaflops > 0);
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

/// Dispatches of one submission that is timed on hardware, where one alone is lost in the latency of a submission.
const REPEATS: u32 = 20;
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
    let (tile, seconds) = fastest([Tile::T16x16, Tile::T8x8].into_iter().filter(parked), |tile| matmul(tile, loads))?.ok_or_else(|| no_variant(gpu))?;
    let operations = 2.0 * f64::from(STEPS * LANES) * f64::from(SIZE) * f64::from(SIZE);
    let megaflops = 1 << ((operations / seconds / 1e6).max(1.0).log2().floor() as u32).min(31);
    if gpu.info.kind == Kind::Software {
        return Ok(Variants { matmul: tile, matmul_loads: loads, scan: tile, scan_loads: Loads::Each, megaflops });
    }
    let with = |scan| Capabilities { scan, scan_loads: loads, ..gpu.capabilities };
    let holds = |tile: &Tile| with(*tile).scan_variant(SIZE).is_some_and(|v| v.tile == *tile);
    let scan = fastest(Tile::ALL.into_iter().filter(holds), |tile| time(gpu, |r, f| record_scan(r, &with(tile), f)))?;
    Ok(Variants { matmul: tile, matmul_loads: loads, scan: scan.ok_or_else(|| no_variant(gpu))?.0, scan_loads: loads, megaflops })
}

fn no_variant(gpu: &GpuDevice) -> Error {
    Error::Device(format!("{}: no variant of a kernel gives right results; use --device cpu", gpu.info))
}

/// The tile that takes the least time, and its seconds.
fn fastest(tiles: impl Iterator<Item = Tile>, seconds: impl Fn(Tile) -> Result<f64>) -> Result<Option<(Tile, f64)>> {
    let mut times = tiles.map(|tile| Ok((seconds(tile)?, tile))).collect::<Result<Vec<_>>>()?;
    times.retain(|t| t.0.is_finite());
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(times.first().map(|t| (t.1, t.0)))
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

/// Median seconds of a dispatch, after one that warms up (drivers compile at the first dispatch); infinite if its result is not that
/// of the CPU: a variant that a driver gets wrong is never chosen.
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
    let mut executor = GpuExecutor::new(gpu.clone(), program.clone())?;
    if !agree(&mut executor, &mut CpuExecutor::new(program, 1)?, &fixture)? {
        return Ok(f64::INFINITY);
    }
    let repeats = if gpu.info.kind == Kind::Hardware { REPEATS } else { 1 };
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        (0..repeats).try_for_each(|_| executor.run(0, &values()))?;
        executor.wait()?;
        times.push(start.elapsed().as_secs_f64() / f64::from(repeats));
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Whether two executors make the same y of the same x and w.
fn agree<'a>(a: &'a mut dyn Executor, b: &'a mut dyn Executor, f: &Fixture) -> Result<bool> {
    let numbers = |count: u32, scale: f32| (0..count).map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5) * scale).collect::<Vec<f32>>();
    let mut results = Vec::new();
    for e in [a, b] {
        upload_f32(e, f.x.slot, 0, &numbers(STEPS * LANES * SIZE, 1.0))?;
        upload_f32(e, f.w.slot, 0, &numbers(SIZE * SIZE, 0.2))?;
        upload_f32(e, f.keep.slot, 0, &[1.0; (STEPS * LANES) as usize])?;
        e.run(0, &values())?;
        results.push(download_f32(e, f.y.slot, 0, STEPS * LANES * SIZE)?);
    }
    Ok(results[0].iter().zip(&results[1]).all(|(x, y)| (x - y).abs() <= 1e-3))
}

fn values() -> Values {
    Values::default().with(Var::Steps, STEPS)
}
