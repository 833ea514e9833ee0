//! What calibration times, and what it makes of the times.

use super::adapter::{AdapterInfo, Kind};
use super::calibrate::Variants;
use super::device::GpuDevice;
use super::executor::GpuExecutor;
use crate::arena::{Arena, Purpose, View};
use crate::cpu::CpuExecutor;
use crate::error::{Error, Result};
use crate::kernel::{Capabilities, FORMS, Latencies, Loads, SCAN_COLUMNS, SCAN_LANES, SPREAD, STEPS, ScanForm, ScanForms, Tile, Values, Var, Variant, Word};
use crate::kernels::{Activation, matmul, scan_forward};
use crate::layout::Program;
use crate::recording::{Executor, Recording, download_f32, upload_f32};
use std::time::Instant;

/// Times of an adapter, or planted ones.
pub(super) trait Stopwatch {
    /// Seconds of a product [rows, cols, inner]; infinite if a small one in that variant is not the CPU's.
    fn product(&mut self, variant: Variant, sizes: [u32; 3]) -> Result<f64>;
    /// Seconds a step of a recurrence over so many columns and lanes; infinite if it is not the CPU's.
    fn recurrence(&mut self, form: ScanForm, columns: u32, lanes: u32) -> Result<f64>;
}

/// A product on a software driver, where a load costs as much as dozens of multiplications: a long sum, of which what surrounds it is a small part.
const SOFTWARE_PRODUCT: [u32; 3] = [256, 256, 256];
/// A product that keeps hardware busy.
const LARGE_PRODUCT: [u32; 3] = [2048, 1024, 256];
/// Inner steps of a product of one workgroup.
const ALONE: u32 = 1024;

/// The forms of the matmul that are worth a try: on a software driver, where a load costs as much as dozens of products, those with
/// the fewest loads; on hardware those that fit its registers.
fn candidates(info: &AdapterInfo, c: &Capabilities) -> Vec<(Tile, Loads)> {
    let subgroups = info.features.contains(&"subgroups") && info.subgroup[0].is_multiple_of(SPREAD) && info.subgroup[0] > 0;
    let software = info.kind == Kind::Software;
    let suits = |&(tile, loads): &(Tile, Loads)| match loads {
        Loads::Spread => subgroups && (software || tile.rows() <= 16),
        Loads::Each => !software || !subgroups,
        Loads::Staged(side) => !software && side * side <= c.workgroup_invocations,
        Loads::Held(_) | Loads::Sliced(_) => false,
    };
    let parked = |&(tile, loads): &(Tile, Loads)| matches!(loads, Loads::Staged(_)) || c.matmul.width * tile.rows() * tile.cols() * 4 <= c.workgroup_bytes;
    FORMS.into_iter().filter(suits).filter(parked).collect()
}

/// Times the forms of the matmul, and on hardware those of the recurrence. A software driver takes seconds to compile scans, and what limits them is
/// what limits its matmul: there their variants follow from the loads alone.
pub(super) fn measure(info: &AdapterInfo, capabilities: &Capabilities, stopwatch: &mut dyn Stopwatch) -> Result<Variants> {
    let software = info.kind == Kind::Software;
    let mut found = Vec::new();
    for (tile, loads) in candidates(info, capabilities) {
        let variant = capabilities.form(tile, loads);
        let sizes = if software { SOFTWARE_PRODUCT } else { LARGE_PRODUCT };
        let seconds = stopwatch.product(variant, sizes)?;
        let [rows, cols] = variant.group();
        let computed = f64::from(sizes[0].next_multiple_of(rows)) * f64::from(sizes[1].next_multiple_of(cols)) * f64::from(sizes[2]);
        found.push(((tile, loads), 2.0 * computed / seconds));
    }
    let fastest = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    if fastest == 0.0 {
        return Err(Error::Device(format!("{info}: no variant of a kernel gives right results; use --device cpu")));
    }
    let rate = |form| found.iter().find(|(f, _)| *f == form).map_or(0.0, |f| f.1);
    // Steps of 5 percent: the same most times.
    let speeds = FORMS.map(|form| (rate(form) / fastest * 20.0).round() as u8 * 5);
    let megaflops = 1 << ((fastest / 1e6).max(1.0).log2().floor() as u32).min(31);
    let mut variants = Variants { speeds, cores: 0, latencies: Latencies::default(), scan: Tile::T1x4, scan_loads: Loads::Each, scans: None, megaflops };
    if software {
        let spreads = found.iter().any(|((_, loads), rate)| *loads == Loads::Spread && *rate > 0.0);
        variants.cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        (variants.scan, variants.scan_loads) = if spreads { (Tile::T32x8, Loads::Spread) } else { (Tile::T16x16, Loads::Each) };
        return Ok(variants);
    }
    for ((form, speed), latency) in FORMS.into_iter().zip(speeds).zip(&mut variants.latencies).filter(|((_, speed), _)| *speed > 0) {
        let variant = capabilities.form(form.0, form.1);
        let [rows, cols] = variant.group();
        let _ = speed;
        // Two digits: the same most times.
        *latency = two_digits(stopwatch.product(variant, [rows, cols, ALONE])? * 1e9);
    }
    variants.scans = Some(fastest_scans(stopwatch)?);
    Ok(variants)
}

fn two_digits(x: f64) -> u32 {
    let unit = 10f64.powi((x.max(10.0).log10().floor() as i32) - 1);
    ((x / unit).round() * unit).min(f64::from(u32::MAX)) as u32
}

/// Forms of the recurrence that are worth a try for rows of so many columns. Weights that do not fit the registers are read again at each
/// step, by every workgroup: long rows take a dispatch a step instead, in which all workgroups read W_hh once.
fn scan_candidates(columns: u32) -> Vec<ScanForm> {
    let held: &[(u32, u32)] = match columns {
        ..=128 => &[(256, 8), (512, 6)],
        129..=256 => &[(256, 8), (512, 6), (512, 4)],
        257..=512 => &[(1024, 2), (512, 4)],
        _ => &[],
    };
    let sliced: &[(Tile, u32, u32)] = match columns {
        ..=128 => &[],
        129..=256 => &[(Tile::T8x4, 256, 16)],
        _ => &[(Tile::T8x4, 256, 8), (Tile::T8x4, 256, 16), (Tile::T16x4, 128, 8), (Tile::T8x4, 64, 16)],
    };
    let held = held.iter().flat_map(|&(width, blocks)| [Tile::T1x4, Tile::T2x4, Tile::T4x4].map(|tile| ScanForm { tile, width, loads: Loads::Held(blocks) }));
    held.chain(sliced.iter().map(|&(tile, width, across)| ScanForm { tile, width, loads: Loads::Sliced(across) })).collect()
}

/// The fastest form for each number of columns and lanes; [`STEPS`] where none is right.
fn fastest_scans(stopwatch: &mut dyn Stopwatch) -> Result<ScanForms> {
    let mut forms = [[STEPS; SCAN_LANES.len()]; SCAN_COLUMNS.len()];
    for (columns, forms) in SCAN_COLUMNS.into_iter().zip(&mut forms) {
        for (lanes, form) in SCAN_LANES.into_iter().zip(forms) {
            let mut best = f64::INFINITY;
            for candidate in scan_candidates(columns) {
                let seconds = stopwatch.recurrence(candidate, columns, lanes)?;
                if seconds < best {
                    (best, *form) = (seconds, candidate);
                }
            }
        }
    }
    Ok(forms)
}

/// Seconds that a timing may take on hardware, once it has run three times.
const PATIENCE: f64 = 0.01;
/// Dispatches of a submission that is timed on hardware, where one alone is lost in the latency of a submission.
const REPEATS: u32 = 20;
/// Times that each is timed on a software driver.
const SAMPLES: u32 = 15;
/// Steps of a recurrence that is timed.
const STEPS_TIMED: u32 = 32;

/// Times what it is asked for on an adapter, after a dispatch that warms up: drivers compile at the first.
pub(super) struct Timer<'a> {
    gpu: &'a GpuDevice,
}

impl<'a> Timer<'a> {
    pub(super) fn new(gpu: &'a GpuDevice) -> Self {
        Timer { gpu }
    }

    /// Least seconds of a run.
    fn time(&self, executor: &mut dyn Executor, values: &Values) -> Result<f64> {
        let hardware = self.gpu.info.kind == Kind::Hardware;
        let repeats = if hardware { REPEATS } else { 1 };
        let (mut least, begin) = (f64::INFINITY, Instant::now());
        for i in 0..SAMPLES {
            if hardware && i >= 3 && begin.elapsed().as_secs_f64() > PATIENCE {
                break;
            }
            let start = Instant::now();
            (0..repeats).try_for_each(|_| executor.run(0, values))?;
            executor.wait()?;
            // Whatever else the machine does only makes it slower.
            least = least.min(start.elapsed().as_secs_f64() / f64::from(repeats));
        }
        Ok(least)
    }
}

/// Numbers in [-scale / 2, scale / 2).
fn numbers(count: u32, scale: f32) -> Vec<f32> {
    (0..count).map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5) * scale).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-3 * y.abs().max(1.0))
}

impl Stopwatch for Timer<'_> {
    fn product(&mut self, variant: Variant, sizes: [u32; 3]) -> Result<f64> {
        let executor = |[rows, cols, inner]: [u32; 3]| -> Result<(GpuExecutor, Program, [View; 3])> {
            let mut arena = Arena::default();
            let mut view = |name: &str, rows: u32, cols: u32| View {
                slot: arena.persistent(name, rows * cols, Purpose::Activations),
                offset: 0.into(),
                rows: rows.into(),
                cols: cols.into(),
                ld: cols,
            };
            let views = [view("a", rows, inner), view("b", inner, cols), view("c", rows, cols)];
            let [a, b, c] = views;
            let mut recording = Recording::new("calibrate");
            let o = matmul::Operands { form: matmul::Form::Nn, a, b, c, mask: None, accumulate: 0.into() };
            matmul::record(&mut recording, "calibrate", variant, o, matmul::Batch::ONE);
            let program = Program::new(arena, vec![recording], self.gpu.capabilities.binding_bytes);
            let mut executor = GpuExecutor::new(self.gpu.clone(), program.clone())?;
            upload_f32(&mut executor, a.slot, 0, &numbers(rows * inner, 1.0))?;
            upload_f32(&mut executor, b.slot, 0, &numbers(inner * cols, 0.2))?;
            Ok((executor, program, views))
        };
        // A small one, past the edge of a tile, is compared.
        let [rows, cols] = variant.group();
        let small = [rows + 8, cols + 8, 72];
        let (mut gpu, program, [a, b, c]) = executor(small)?;
        let mut cpu = CpuExecutor::new(program, 1)?;
        upload_f32(&mut cpu, a.slot, 0, &numbers(small[0] * small[2], 1.0))?;
        upload_f32(&mut cpu, b.slot, 0, &numbers(small[2] * small[1], 0.2))?;
        let mut results = Vec::new();
        for e in [&mut gpu as &mut dyn Executor, &mut cpu] {
            e.run(0, &Values::default())?;
            results.push(download_f32(e, c.slot, 0, small[0] * small[1])?);
        }
        if !close(&results[0], &results[1]) {
            return Ok(f64::INFINITY);
        }
        let (mut gpu, ..) = executor(sizes)?;
        gpu.run(0, &Values::default())?;
        self.time(&mut gpu, &Values::default())
    }

    fn recurrence(&mut self, form: ScanForm, columns: u32, lanes: u32) -> Result<f64> {
        let capabilities = Capabilities { scans: Some([[form; SCAN_LANES.len()]; SCAN_COLUMNS.len()]), ..self.gpu.capabilities };
        let variant = capabilities.scan_variant(columns, lanes);
        if variant.tile != form.tile || std::mem::discriminant(&variant.loads) != std::mem::discriminant(&form.loads) {
            return Ok(f64::INFINITY);
        }
        let mut arena = Arena::default();
        let rows = STEPS_TIMED * lanes;
        let mut slot = |name: &str, elements| arena.persistent(name, elements, Purpose::Activations);
        let view = |slot, rows: Word, cols| View { slot, offset: 0.into(), rows, cols: Word::from(cols), ld: cols };
        let live = Word::scaled(Var::Steps, lanes);
        let [pre, w, h] = [slot("pre", rows * columns), slot("w", columns * columns), slot("h", (rows + lanes) * columns)];
        let (keep, states) = (slot("keep", rows), slot("states", lanes * columns));
        let mut recording = Recording::new("calibrate");
        let operands = scan_forward::Operands {
            pre: view(pre, live, columns),
            w: view(w, columns.into(), columns),
            bias: None,
            keep: view(keep, live, 1),
            states,
            state_in: 0.into(),
            state_out: 0.into(),
            h: view(h, live, columns),
            lanes,
            activation: Activation::Tanh,
        };
        scan_forward::record(&mut recording, "calibrate", &capabilities, operands);
        let program = Program::new(arena, vec![recording], capabilities.binding_bytes);
        let (mut gpu, mut cpu) = (GpuExecutor::new(self.gpu.clone(), program.clone())?, CpuExecutor::new(program, 1)?);
        // Two steps are compared.
        let (few, mut results) = (Values::default().with(Var::Steps, 2), Vec::new());
        for e in [&mut gpu as &mut dyn Executor, &mut cpu] {
            upload_f32(e, pre, 0, &numbers(rows * columns, 1.0))?;
            upload_f32(e, w, 0, &numbers(columns * columns, 4.0 / (columns as f32).sqrt()))?;
            upload_f32(e, keep, 0, &vec![1.0; rows as usize])?;
            e.run(0, &few)?;
            results.push(download_f32(e, h, 0, 3 * lanes * columns)?);
        }
        if !close(&results[0], &results[1]) {
            return Ok(f64::INFINITY);
        }
        Ok(self.time(&mut gpu, &Values::default().with(Var::Steps, STEPS_TIMED))? / f64::from(STEPS_TIMED))
    }
}
