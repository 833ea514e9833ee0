//! Which kernel variants suit an adapter: measured once (milliseconds, after a warm-up) and remembered in the user's cache
//! folder, keyed by adapter, driver and this crate's version.

use super::adapter::{AdapterInfo, Kind};
use super::cache;
use super::device::GpuDevice;
use super::executor::{GpuExecutor, OVERHEAD};
use crate::arena::{Arena, Purpose, Slot, View};
use crate::cpu::CpuExecutor;
use crate::error::{Error, Result, tell};
use crate::kernel::{Capabilities, FORMS, Loads, SPREAD, STEPS, ScanForm, ScanForms, Speeds, Tile, Values, Var, Variant, Word};
use crate::kernels::{Activation, matmul, scan_forward};
use crate::layout::Program;
use crate::recording::{Executor, Recording, download_f32, upload_f32};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// The choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Speeds of the forms of the matmul.
    pub speeds: Speeds,
    /// Cores of a software driver, 0 for hardware.
    pub cores: u32,
    /// Workgroups that hardware works on side by side, see [`Capabilities::busy`]; 0 before it was measured.
    #[serde(default)]
    pub busy: u32,
    /// Tile of most rows that the scans take.
    pub scan: Tile,
    /// How the scans load shared rows.
    pub scan_loads: Loads,
    /// How hardware runs recurrences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scans: Option<ScanForms>,
    /// Speed of the matmuls, in millions of operations a second, rounded down to a power of 2 so that it is the same most times; 0 if it
    /// was not measured.
    #[serde(default)]
    pub megaflops: u32,
}

/// Speed, where it was not measured: that of a slow integrated GPU.
const SLOW: u32 = 1 << 14;
/// A recurrence on hardware, until it is measured: one dispatch for rows of up to 256 columns.
const NARROW: ScanForm = ScanForm { tile: Tile::T1x4, loads: Loads::Held(0), width: 256 };
const UNMEASURED: ScanForms = [[NARROW; 2], [NARROW; 2], [STEPS; 2], [STEPS; 2]];

impl Variants {
    /// One form of the matmul alone, and nothing measured: for tests.
    pub fn only(tile: Tile, loads: Loads) -> Self {
        let speeds = FORMS.map(|form| if form == (tile, loads) { 100 } else { 0 });
        Variants { speeds, cores: 0, busy: 0, scan: tile, scan_loads: loads, scans: None, megaflops: 0 }
    }

    pub(super) fn apply(self, capabilities: &mut Capabilities) {
        capabilities.flops_per_second = f64::from(if self.megaflops == 0 { SLOW } else { self.megaflops }) * 1e6;
        (capabilities.speeds, capabilities.cores, capabilities.busy) = (self.speeds, self.cores, self.busy);
        (capabilities.scan, capabilities.scan_loads, capabilities.scans) = (self.scan, self.scan_loads, self.scans);
        let fastest = FORMS.into_iter().zip(self.speeds).max_by_key(|(_, speed)| *speed);
        if let Some(((tile, loads), _)) = fastest.filter(|(_, speed)| *speed > 0) {
            capabilities.matmul = capabilities.form(tile, loads);
        }
    }
}

/// What a calibration cache holds.
fn remembered(bytes: &[u8]) -> serde_json::Result<Vec<Remembered>> {
    serde_json::from_slice(bytes)
}

/// The variants in a calibration cache, each with what a device makes of it: for whoever tests what damaged files do.
pub fn cached(bytes: &[u8]) -> Option<Vec<(Variants, Capabilities)>> {
    let with = |r: Remembered| {
        let mut capabilities = crate::cpu::capabilities();
        r.variants.apply(&mut capabilities);
        (r.variants, capabilities)
    };
    remembered(bytes).ok().map(|all| all.into_iter().map(with).collect())
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
        speeds: Speeds::default(),
        cores: 0,
        busy: 0,
        scan: tile,
        scan_loads: Loads::Each,
        scans: (info.kind == Kind::Hardware).then_some(UNMEASURED),
        workgroup_bytes: info.workgroup_bytes,
        workgroup_invocations: info.workgroup_invocations,
        binding_bytes: info.binding_bytes.min(info.buffer_bytes) / 256 * 256,
        overhead_bytes: OVERHEAD,
        flops_per_second: f64::from(SLOW) * 1e6,
    }
}

/// Sets the device's variants, from memory or by measuring.
pub(super) fn choose(gpu: &mut GpuDevice) -> Result<()> {
    let key = key(&gpu.info);
    let path = cache_file();
    let known = path.as_ref().and_then(|p| std::fs::read(p).ok());
    let mut all = match known.as_deref().map(remembered) {
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
    if !all.is_empty() {
        tell("note: the calibration cache has nothing for this adapter, driver and version; measuring");
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
    cache::folder().map(|folder| folder.join("calibration.json"))
}

/// What tells adapters, drivers and versions apart.
pub(super) fn key(info: &AdapterInfo) -> String {
    format!("{info} / retrograd {}", env!("CARGO_PKG_VERSION"))
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
/// Times that each is timed.
const SAMPLES: u32 = 15;
const LANES: u32 = 32;

/// Columns and steps of what is timed: long sums, of which what surrounds them is a small part.
fn size(gpu: &GpuDevice) -> [u32; 2] {
    if gpu.info.kind == Kind::Software { [256, 8] } else { [256, 16] }
}

/// The forms of the matmul that are worth a try: on a software driver, where a load costs as much as dozens of products, those with
/// the fewest loads; on hardware those that fit its registers.
fn candidates(gpu: &GpuDevice) -> Vec<(Tile, Loads)> {
    let c = &gpu.capabilities;
    let subgroups = gpu.info.features.contains(&"subgroups") && gpu.info.subgroup[0].is_multiple_of(SPREAD) && gpu.info.subgroup[0] > 0;
    let software = gpu.info.kind == Kind::Software;
    let suits = |&(tile, loads): &(Tile, Loads)| match loads {
        Loads::Spread => subgroups && (software || tile.rows() <= 16),
        Loads::Each => !software || !subgroups,
        Loads::Staged => !software,
        Loads::Held(_) | Loads::Sliced(_) => false,
    };
    let parked = |&(tile, loads): &(Tile, Loads)| loads == Loads::Staged || c.matmul.width * tile.rows() * tile.cols() * 4 <= c.workgroup_bytes;
    FORMS.into_iter().filter(suits).filter(parked).collect()
}

/// Times the forms of the matmul. A software driver takes seconds to compile scans, and what limits them is what limits its matmul: there
/// their variants follow from the loads alone.
fn measure(gpu: &GpuDevice) -> Result<Variants> {
    let [columns, steps] = size(gpu);
    let mut found = Vec::new();
    for (tile, loads) in candidates(gpu) {
        let variant = gpu.capabilities.form(tile, loads);
        let seconds = time(gpu, |r, f| record_matmul(r, variant, f))?;
        let [rows, cols] = variant.group();
        let computed = f64::from((steps * LANES).next_multiple_of(rows)) * f64::from(columns.next_multiple_of(cols)) * f64::from(columns);
        found.push(((tile, loads), 2.0 * computed / seconds));
    }
    let fastest = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    if fastest == 0.0 {
        return Err(no_variant(gpu));
    }
    let speeds = FORMS.map(|form| {
        let rate = found.iter().find(|(f, _)| *f == form).map_or(0.0, |f| f.1);
        // Steps of 5 percent: the same most times.
        (rate / fastest * 20.0).round() as u8 * 5
    });
    let megaflops = 1 << ((fastest / 1e6).max(1.0).log2().floor() as u32).min(31);
    let spreads = found.iter().any(|((_, loads), rate)| *loads == Loads::Spread && *rate > 0.0);
    if gpu.info.kind == Kind::Software {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let (scan, scan_loads) = if spreads { (Tile::T32x8, Loads::Spread) } else { (Tile::T16x16, Loads::Each) };
        return Ok(Variants { speeds, cores, busy: 0, scan, scan_loads, scans: None, megaflops });
    }
    let scans = Some(UNMEASURED);
    let found = Variants { speeds, cores: 0, busy: 0, scan: Tile::T1x4, scan_loads: Loads::Each, scans, megaflops };
    Ok(Variants { busy: fastest_busy(gpu, found)?, ..found })
}

/// Workgroups that are tried as those that work side by side.
const BUSY: [u32; 5] = [32, 64, 128, 256, 512];
/// Rows of the sum that they are tried with, and columns of its result.
const SUM: [u32; 2] = [256, 4096 / LANES];
/// What a sum must gain by being parted, for the longer recording.
const GAIN: f64 = 0.95;

/// In how many workgroups a long sum is fastest; 0 if it is best left whole.
fn fastest_busy(gpu: &GpuDevice, found: Variants) -> Result<u32> {
    let mut best = (GAIN * time_sum(gpu, found)?, 0);
    for busy in BUSY {
        let seconds = time_sum(gpu, Variants { busy, ..found })?;
        if seconds < best.0 {
            best = (seconds, busy);
        }
    }
    Ok(best.1)
}

/// Seconds of x^T x of a long x.
fn time_sum(gpu: &GpuDevice, variants: Variants) -> Result<f64> {
    let mut capabilities = gpu.capabilities;
    variants.apply(&mut capabilities);
    let (variant, count) = capabilities.sum_variant(SUM[0], SUM[0], SUM[1] * LANES);
    let record = |r: &mut Recording, f: &Fixture| {
        let rows = Word::from(f.steps * LANES);
        let [a, b] = [f.x.with_rows(rows); 2];
        let o = matmul::Operands { form: matmul::Form::Tn, a, b, c: f.y.with_rows(f.columns), mask: None, accumulate: 0.into() };
        match count {
            1 => matmul::record(r, "calibrate", variant, o, matmul::Batch::ONE),
            _ => matmul::record_parted(r, "calibrate", variant, o, matmul::Parts { count, slot: f.parts, stride: f.columns * f.columns }),
        }
    };
    time_with(gpu, SUM, count, record)
}

fn no_variant(gpu: &GpuDevice) -> Error {
    Error::Device(format!("{}: no variant of a kernel gives right results; use --device cpu", gpu.info))
}

/// The tile that takes the least time.
fn fastest_tile(tiles: impl Iterator<Item = Tile>, seconds: impl Fn(Tile) -> Result<f64>) -> Result<Option<Tile>> {
    let mut times = tiles.map(|tile| Ok((seconds(tile)?, tile))).collect::<Result<Vec<_>>>()?;
    times.retain(|t| t.0.is_finite());
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(times.first().map(|t| t.1))
}

/// The slots that are timed: x `[steps * LANES, columns]`, w `[columns, columns]`, y one block longer than x.
struct Fixture {
    columns: u32,
    steps: u32,
    x: View,
    w: View,
    y: View,
    keep: View,
    states: Slot,
    /// `[parts, columns, columns]`.
    parts: Slot,
}

fn record_matmul(recording: &mut Recording, variant: Variant, f: &Fixture) {
    let rows = Word::from(f.steps * LANES);
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

/// Least seconds of a dispatch, after one that warms up (drivers compile at the first dispatch); infinite if its result is not that
/// of the CPU: a variant that a driver gets wrong is never chosen.
fn time(gpu: &GpuDevice, record: impl FnOnce(&mut Recording, &Fixture)) -> Result<f64> {
    time_with(gpu, size(gpu), 1, record)
}

fn time_with(gpu: &GpuDevice, [columns, steps]: [u32; 2], parts: u32, record: impl FnOnce(&mut Recording, &Fixture)) -> Result<f64> {
    let mut arena = Arena::default();
    let rows = steps * LANES;
    let mut slot = |name: &str, elements| arena.persistent(name, elements, Purpose::Activations);
    let view = |slot, rows: Word, cols| View { slot, offset: 0.into(), rows, cols: Word::from(cols), ld: cols };
    let live = Word::scaled(Var::Steps, LANES);
    let fixture = Fixture {
        columns,
        steps,
        x: view(slot("x", rows * columns), live, columns),
        w: view(slot("w", columns * columns), columns.into(), columns),
        y: view(slot("y", (rows + LANES) * columns), live, columns),
        keep: view(slot("keep", rows), live, 1),
        states: slot("states", LANES * columns),
        parts: slot("parts", parts * columns * columns),
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
    for _ in 0..SAMPLES {
        let start = Instant::now();
        (0..repeats).try_for_each(|_| executor.run(0, &values(steps)))?;
        executor.wait()?;
        times.push(start.elapsed().as_secs_f64() / f64::from(repeats));
    }
    // Whatever else the machine does only makes it slower.
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}

/// Whether two executors make the same y of the same x and w.
fn agree<'a>(a: &'a mut dyn Executor, b: &'a mut dyn Executor, f: &Fixture) -> Result<bool> {
    let numbers = |count: u32, scale: f32| (0..count).map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5) * scale).collect::<Vec<f32>>();
    let mut results = Vec::new();
    for e in [a, b] {
        upload_f32(e, f.x.slot, 0, &numbers(f.steps * LANES * f.columns, 1.0))?;
        upload_f32(e, f.w.slot, 0, &numbers(f.columns * f.columns, 0.2))?;
        upload_f32(e, f.keep.slot, 0, &vec![1.0; (f.steps * LANES) as usize])?;
        e.run(0, &values(f.steps))?;
        results.push(download_f32(e, f.y.slot, 0, f.steps * LANES * f.columns)?);
    }
    Ok(results[0].iter().zip(&results[1]).all(|(x, y)| (x - y).abs() <= 1e-3 * y.abs().max(1.0)))
}

fn values(steps: u32) -> Values {
    Values::default().with(Var::Steps, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::adapters;

    /// On any adapter: what is timed is first found right, however it is parted.
    #[test]
    fn long_sums_are_right_in_any_number_of_parts() {
        let adapters = adapters().unwrap();
        let given = Variants::only(Tile::T8x8, Loads::Each);
        let gpu = GpuDevice::open_with(adapters.first().expect("an adapter"), Some(given)).unwrap();
        for busy in [0, 512] {
            let found = Variants { busy, ..given };
            let mut capabilities = gpu.capabilities;
            found.apply(&mut capabilities);
            assert_eq!(capabilities.sum_variant(SUM[0], SUM[0], SUM[1] * LANES).1 > 1, busy > 0);
            assert!(time_sum(&gpu, found).unwrap().is_finite());
        }
    }
}
