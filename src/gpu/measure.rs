//! The measurements of calibration, and the variants chosen from them.

use super::adapter::{AdapterInfo, Kind};
use super::device::GpuDevice;
use super::executor::GpuExecutor;
use super::variants::Variants;
use crate::arena::{Arena, Purpose, View};
use crate::cells::{Activation, Cell};
use crate::cpu::CpuExecutor;
use crate::error::{Error, Result};
use crate::exec::{Executor, download_f32, upload_f32};
use crate::kernel::{Capabilities, FORMS, Latencies, Loads, SCAN_COLUMNS, SCAN_LANES, SPREAD, STEPS, ScanForm, ScanForms, Tile, Values, Var, Variant, Word};
use crate::kernels::{matmul, scan};
use crate::layout::Program;
use crate::platform::{self, Instant};
use crate::recording::{Dispatch, Recording};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// Measures times on an adapter, or returns planted ones.
pub(super) trait Stopwatch {
    /// Called first, with everything to be timed, so that it can be prepared in parallel.
    fn prepare(&mut self, _products: &[Variant], _recurrences: &[(ScanForm, u32)]) {}
    /// Seconds of a product [rows, cols, inner]; infinite if a small product in that variant differs from the CPU's.
    fn product(&mut self, variant: Variant, sizes: [u32; 3]) -> Result<f64>;
    /// Seconds per step of a recurrence over `columns` and `lanes`; infinite if its result differs from the CPU's.
    fn recurrence(&mut self, form: ScanForm, columns: u32, lanes: u32) -> Result<f64>;
}

/// The product timed on a software driver, where a load costs as much as dozens of multiplications; the sum is long, so that overhead matters little.
const SOFTWARE_PRODUCT: [u32; 3] = [256, 256, 256];
/// The product timed on hardware: large enough to keep it busy.
const LARGE_PRODUCT: [u32; 3] = [2048, 1024, 256];
/// Inner steps of the product that times a single workgroup.
const ALONE: u32 = 1024;

/// The forms of the matmul worth trying: on a software driver, where a load costs as much as dozens of products, those with the fewest loads; on hardware
/// those that fit its registers.
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

/// Each form that calibration chooses from: its name, and the adapter's capabilities with that form alone.
pub(super) fn every_form(info: &AdapterInfo, c: &Capabilities) -> Vec<(String, Capabilities)> {
    let mut all = Vec::new();
    for (tile, loads) in candidates(&AdapterInfo { kind: Kind::Hardware, ..info.clone() }, c).into_iter().chain(candidates(info, c)) {
        let speeds = FORMS.map(|form| if form == (tile, loads) { 100 } else { 0 });
        all.push((format!("matmul {tile}, {loads}"), Capabilities { speeds, ..*c }));
    }
    for form in SCAN_COLUMNS.into_iter().flat_map(scan_candidates) {
        let ScanForm { tile, loads, width } = form;
        all.push((format!("recurrence {tile} by {width}, {loads}"), Capabilities { scans: Some([[form; SCAN_LANES.len()]; SCAN_COLUMNS.len()]), ..*c }));
    }
    let mut seen = HashSet::new();
    all.retain(|(name, _)| seen.insert(name.clone()));
    all
}

/// Times the forms of the matmul and, on hardware, of the recurrence. A software driver takes seconds to compile scans, and they are limited by what
/// limits its matmul: there the scan variants follow from the loads alone.
pub(super) fn measure(info: &AdapterInfo, capabilities: &Capabilities, stopwatch: &mut dyn Stopwatch) -> Result<Variants> {
    let software = info.kind == Kind::Software;
    let (candidates, mut found) = (candidates(info, capabilities), Vec::new());
    if !software {
        let products: Vec<Variant> = candidates.iter().map(|&(tile, loads)| capabilities.form(tile, loads)).collect();
        let scans: Vec<(ScanForm, u32)> =
            SCAN_COLUMNS.into_iter().flat_map(|columns| scan_candidates(columns).into_iter().map(move |form| (form, columns))).collect();
        stopwatch.prepare(&products, &scans);
    }
    for (tile, loads) in candidates {
        let variant = capabilities.form(tile, loads);
        let sizes = if software { SOFTWARE_PRODUCT } else { LARGE_PRODUCT };
        let seconds = stopwatch.product(variant, sizes)?;
        let [rows, cols] = variant.group();
        let computed = f64::from(sizes[0].next_multiple_of(rows)) * f64::from(sizes[1].next_multiple_of(cols)) * f64::from(sizes[2]);
        found.push(((tile, loads), 2.0 * computed / seconds));
    }
    let fastest = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    if fastest == 0.0 {
        return Err(Error::Device(format!("{info}: no variant of a kernel gives right results; use `device` cpu")));
    }
    let rate = |form| found.iter().find(|(f, _)| *f == form).map_or(0.0, |f| f.1);
    // Rounded to 5 percent, so that calibrations usually agree.
    let speeds = FORMS.map(|form| (rate(form) / fastest * 20.0).round() as u8 * 5);
    let megaflops = 1 << ((fastest / 1e6).max(1.0).log2().floor() as u32).min(31);
    let mut variants = Variants { speeds, cores: 0, latencies: Latencies::default(), scan: Tile::T1x4, scan_loads: Loads::Each, scans: None, megaflops };
    if software {
        let spreads = found.iter().any(|((_, loads), rate)| *loads == Loads::Spread && *rate > 0.0);
        variants.cores = platform::cores() as u32;
        (variants.scan, variants.scan_loads) = if spreads { (Tile::T32x8, Loads::Spread) } else { (Tile::T16x16, Loads::Each) };
        return Ok(variants);
    }
    for ((form, _), latency) in FORMS.into_iter().zip(speeds).zip(&mut variants.latencies).filter(|((_, speed), _)| *speed > 0) {
        let variant = capabilities.form(form.0, form.1);
        let [rows, cols] = variant.group();
        // Two digits, so that calibrations usually agree.
        *latency = two_digits(stopwatch.product(variant, [rows, cols, ALONE])? * 1e9);
    }
    variants.scans = Some(fastest_scans(stopwatch)?);
    Ok(variants)
}

fn two_digits(x: f64) -> u32 {
    let unit = 10f64.powi((x.max(10.0).log10().floor() as i32) - 1);
    ((x / unit).round() * unit).min(f64::from(u32::MAX)) as u32
}

/// Forms of the recurrence worth trying for rows of `columns` columns. Weights that do not fit the registers are reread at each step by every workgroup:
/// long rows take one dispatch per step instead, in which all workgroups together read W_hh once.
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
        _ => &[(Tile::T8x4, 256, 8), (Tile::T8x4, 256, 16), (Tile::T16x4, 128, 8), (Tile::T8x4, 64, 16), (Tile::T16x4, 64, 16), (Tile::T16x4, 128, 16)],
    };
    let held = held.iter().flat_map(|&(width, blocks)| [Tile::T1x4, Tile::T2x4, Tile::T4x4].map(|tile| ScanForm { tile, width, loads: Loads::Held(blocks) }));
    held.chain(sliced.iter().map(|&(tile, width, across)| ScanForm { tile, width, loads: Loads::Sliced(across) })).collect()
}

/// The fastest form for each number of columns and lanes; [`STEPS`] where none gives right results.
fn fastest_scans(stopwatch: &mut dyn Stopwatch) -> Result<ScanForms> {
    let mut forms = [[STEPS; SCAN_LANES.len()]; SCAN_COLUMNS.len()];
    for (columns, forms) in SCAN_COLUMNS.into_iter().zip(&mut forms) {
        let mut candidates = scan_candidates(columns);
        for (lanes, form) in SCAN_LANES.into_iter().zip(forms) {
            let mut best = f64::INFINITY;
            let mut right = Vec::new();
            for candidate in candidates {
                let seconds = stopwatch.recurrence(candidate, columns, lanes)?;
                if seconds.is_finite() {
                    right.push(candidate);
                }
                if seconds < best {
                    (best, *form) = (seconds, candidate);
                }
            }
            candidates = right;
        }
    }
    Ok(forms)
}

/// Maximum seconds of a timing on hardware, after the first two runs.
const PATIENCE: f64 = 0.01;
/// Dispatches per timed submission on hardware, where the time of a single one is lost in the latency of a submission.
const REPEATS: u32 = 20;
/// Samples of each timing on a software driver.
const SAMPLES: u32 = 15;
/// Steps of a recurrence when timed and, below, when compared.
const TIMED: u32 = 16;
const COMPARED: u32 = 2;

/// Times kernels on an adapter, after a warm-up dispatch: drivers compile at the first one.
pub(super) struct Timer<'a> {
    gpu: &'a GpuDevice,
    /// The CPU's results of recurrences with few lanes, by number of columns.
    expected: HashMap<u32, Vec<f32>>,
    /// Variants whose product was compared, and whether it is right.
    compared: HashMap<Variant, bool>,
}

impl<'a> Timer<'a> {
    pub(super) fn new(gpu: &'a GpuDevice) -> Self {
        Timer { gpu, expected: HashMap::new(), compared: HashMap::new() }
    }

    /// Minimum seconds of a run.
    fn time(&self, executor: &mut dyn Executor, values: &Values) -> Result<f64> {
        let mut sample = |repeats: u32| -> Result<f64> {
            let start = Instant::now();
            (0..repeats).try_for_each(|_| executor.run(0, values))?;
            executor.wait()?;
            Ok(start.elapsed().as_secs_f64() / f64::from(repeats))
        };
        let hardware = self.gpu.info.kind == Kind::Hardware;
        // The minimum, because other work on the machine only adds time.
        let mut least = sample(1)?;
        let repeats = if hardware { ((PATIENCE / least) as u32).clamp(1, REPEATS) } else { 1 };
        let begin = Instant::now();
        for i in 1..SAMPLES {
            if hardware && i > 1 && begin.elapsed().as_secs_f64() > PATIENCE {
                break;
            }
            least = least.min(sample(repeats)?);
        }
        Ok(least)
    }
}

/// Values in [-scale / 2, scale / 2).
fn numbers(count: u32, scale: f32) -> Vec<f32> {
    (0..count).map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5) * scale).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-3 * y.abs().max(1.0))
}

/// A program of one product [rows, cols, inner], with its operands and result.
fn product(gpu: &GpuDevice, variant: Variant, [rows, cols, inner]: [u32; 3]) -> (Program, [View; 3]) {
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
    matmul::record(&mut recording, "calibrate", variant, o, matmul::StridedBatch::ONE);
    (Program::new(arena, vec![recording], gpu.capabilities.binding_bytes), views)
}

fn fill(e: &mut dyn Executor, [a, b, _]: [View; 3], [rows, cols, inner]: [u32; 3]) -> Result<()> {
    upload_f32(e, a.slot, 0, &numbers(rows * inner, 1.0))?;
    upload_f32(e, b.slot, 0, &numbers(inner * cols, 0.2))
}

/// Whether a product matches the CPU's.
fn right_product(gpu: &GpuDevice, variant: Variant, sizes: [u32; 3]) -> Result<bool> {
    let (program, views) = product(gpu, variant, sizes);
    let run = |e: &mut dyn Executor| {
        fill(e, views, sizes)?;
        e.run(0, &Values::default())?;
        download_f32(e, views[2].slot, 0, sizes[0] * sizes[1])
    };
    Ok(close(&run(&mut GpuExecutor::new(gpu.clone(), program.clone())?)?, &run(&mut CpuExecutor::new(program, 1)?)?))
}

impl Stopwatch for Timer<'_> {
    fn prepare(&mut self, products: &[Variant], recurrences: &[(ScanForm, u32)]) {
        let gpu = self.gpu;
        let products = products.iter().map(|v| product(gpu, *v, LARGE_PRODUCT).0);
        let recurrences = recurrences.iter().filter_map(|(form, columns)| Some(recurrence(gpu, *form, *columns, SCAN_LANES[0])?.0));
        let all: Vec<Program> = products.chain(recurrences).collect();
        let dispatches: Vec<&Dispatch> = all.iter().flat_map(|p| &p.recordings).flat_map(|r| &r.dispatches).collect();
        platform::for_each(&dispatches, |d| drop(gpu.pipelines.pipeline(d.kernel, d.variant, &d.eval(&Values::default()))));
    }

    fn product(&mut self, variant: Variant, sizes: [u32; 3]) -> Result<f64> {
        let right = match self.compared.get(&variant) {
            Some(right) => *right,
            None => {
                // A small product that extends past a tile's edge.
                let [rows, cols] = variant.group();
                let right = right_product(self.gpu, variant, [rows + 8, cols + 8, 72])?;
                self.compared.insert(variant, right);
                right
            }
        };
        if !right {
            return Ok(f64::INFINITY);
        }
        let (program, views) = product(self.gpu, variant, sizes);
        let mut executor = GpuExecutor::new(self.gpu.clone(), program)?;
        fill(&mut executor, views, sizes)?;
        executor.run(0, &Values::default())?;
        self.time(&mut executor, &Values::default())
    }

    fn recurrence(&mut self, form: ScanForm, columns: u32, lanes: u32) -> Result<f64> {
        let Some((program, o)) = recurrence(self.gpu, form, columns, lanes) else { return Ok(f64::INFINITY) };
        let run = |e: &mut dyn Executor| -> Result<Vec<f32>> {
            upload_f32(e, o.gates.slot, 0, &numbers(COMPARED * lanes * columns, 1.0))?;
            upload_f32(e, o.w.slot, 0, &numbers(columns * columns, 4.0 / (columns as f32).sqrt()))?;
            upload_f32(e, o.keep.slot, 0, &vec![1.0; (TIMED * lanes) as usize])?;
            e.run(0, &Values::default().with(Var::Steps, COMPARED))?;
            download_f32(e, o.h.slot, 0, (COMPARED + 1) * lanes * columns)
        };
        let mut gpu = GpuExecutor::new(self.gpu.clone(), program.clone())?;
        let found = run(&mut gpu)?;
        // Many lanes use the same kernel as few, which is already checked.
        if lanes == SCAN_LANES[0] {
            if let Entry::Vacant(e) = self.expected.entry(columns) {
                e.insert(run(&mut CpuExecutor::new(program, 1)?)?);
            }
            if !close(&found, &self.expected[&columns]) {
                return Ok(f64::INFINITY);
            }
        }
        Ok(self.time(&mut gpu, &Values::default().with(Var::Steps, TIMED))? / f64::from(TIMED))
    }
}

/// A recurrence over [`TIMED`] steps and its operands; `None` if the form does not fit.
fn recurrence(gpu: &GpuDevice, form: ScanForm, columns: u32, lanes: u32) -> Option<(Program, scan::forward::Operands)> {
    let capabilities = Capabilities { scans: Some([[form; SCAN_LANES.len()]; SCAN_COLUMNS.len()]), ..gpu.capabilities };
    let variant = capabilities.scan_variant(columns, lanes, 1, 1);
    if variant.tile != form.tile || std::mem::discriminant(&variant.loads) != std::mem::discriminant(&form.loads) {
        return None;
    }
    let mut arena = Arena::default();
    let (rows, live) = (TIMED * lanes, Word::scaled(Var::Steps, lanes));
    let mut slot = |name: &str, elements| arena.persistent(name, elements, Purpose::Activations);
    let view = |slot, rows: Word, cols| View { slot, offset: 0.into(), rows, cols: Word::from(cols), ld: cols };
    let operands = scan::forward::Operands {
        cell: Cell::Rnn,
        gates: view(slot("pre", rows * columns), live, columns),
        w: view(slot("w", columns * columns), columns.into(), columns),
        bias: None,
        keep: view(slot("keep", rows), live, 1),
        states: slot("states", lanes * columns),
        state_in: 0.into(),
        state_out: 0.into(),
        h: view(slot("h", (rows + lanes) * columns), live, columns),
        c: None,
        lanes,
        activation: Activation::Tanh,
    };
    let mut recording = Recording::new("calibrate");
    scan::forward::record(&mut recording, "calibrate", &capabilities, operands);
    Some((Program::new(arena, vec![recording], capabilities.binding_bytes), operands))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::adapters;

    /// An adapter with planted times.
    struct Planted<'a> {
        product: &'a dyn Fn(Variant, [u32; 3]) -> f64,
        recurrence: &'a dyn Fn(ScanForm, u32, u32) -> f64,
    }

    impl Stopwatch for Planted<'_> {
        fn product(&mut self, variant: Variant, sizes: [u32; 3]) -> Result<f64> {
            Ok((self.product)(variant, sizes))
        }

        fn recurrence(&mut self, form: ScanForm, columns: u32, lanes: u32) -> Result<f64> {
            Ok((self.recurrence)(form, columns, lanes))
        }
    }

    /// A card with all features, and its capabilities before measuring.
    fn card() -> (AdapterInfo, Capabilities) {
        let info = AdapterInfo {
            name: "planted".to_string(),
            backend: "none".to_string(),
            driver: String::new(),
            kind: Kind::Hardware,
            subgroup: [32, 32],
            workgroup_bytes: 48 << 10,
            workgroup_invocations: 1024,
            binding_bytes: 1 << 30,
            buffer_bytes: 1 << 30,
            storage_bindings: 8,
            features: vec!["subgroups"],
        };
        let capabilities = super::super::variants::default_capabilities(&info);
        (info, capabilities)
    }

    /// The fastest form is chosen, whichever it is: of products on hardware, and of recurrences for each number of columns and lanes.
    #[test]
    fn the_fastest_form_is_chosen_whichever_it_is() {
        let (info, unmeasured) = card();
        let work = |sizes: [u32; 3]| sizes.map(f64::from).iter().product::<f64>() * 1e-12;
        for wanted in candidates(&info, &unmeasured) {
            let wanted = unmeasured.form(wanted.0, wanted.1);
            let product = |v: Variant, sizes| if v == wanted { work(sizes) } else { 3.0 * work(sizes) };
            let found = measure(&info, &unmeasured, &mut Planted { product: &product, recurrence: &|_, _, _| 1.0 }).unwrap();
            let mut capabilities = unmeasured;
            found.apply(&mut capabilities);
            assert_eq!(capabilities.matmul_variant(4096, 4096, 512), wanted);
            // Every form must fit the card's workgroups: drivers need not refuse those that do not.
            for (tile, loads) in candidates(&info, &unmeasured) {
                let v = capabilities.form(tile, loads);
                let parked = if matches!(loads, Loads::Staged(_)) { 16 << 10 } else { v.width * tile.rows() * tile.cols() * 4 };
                assert!(parked <= info.workgroup_bytes && v.width <= info.workgroup_invocations, "{wanted} is the fastest, and {v} takes {parked} bytes");
            }
        }
        for columns in SCAN_COLUMNS {
            for lanes in SCAN_LANES {
                for wanted in scan_candidates(columns) {
                    let recurrence = |form, c, l| if (form, c, l) == (wanted, columns, lanes) { 1.0 } else { 2.0 };
                    let found = measure(&info, &unmeasured, &mut Planted { product: &|_, s| work(s), recurrence: &recurrence }).unwrap();
                    let at = |all: &[u32], n: u32| all.iter().position(|x| *x == n).unwrap();
                    assert_eq!(found.scans.unwrap()[at(&SCAN_COLUMNS, columns)][at(&SCAN_LANES, lanes)], wanted);
                }
            }
        }
    }

    /// A form that a driver gets wrong is never chosen, however fast; if all are wrong, calibration fails.
    #[test]
    fn wrong_forms_are_left_out() {
        let (info, unmeasured) = card();
        let product = |v: Variant, s: [u32; 3]| if v.loads == Loads::Staged(16) { f64::INFINITY } else { f64::from(s[0] * s[1]) * f64::from(s[2]) };
        let recurrence = |form: ScanForm, _, lanes| if matches!(form.loads, Loads::Held(_)) && lanes == SCAN_LANES[0] { f64::INFINITY } else { 1.0 };
        let found = measure(&info, &unmeasured, &mut Planted { product: &product, recurrence: &recurrence }).unwrap();
        for ((_, loads), speed) in FORMS.into_iter().zip(found.speeds) {
            assert!(loads != Loads::Staged(16) || speed == 0);
        }
        assert!(found.scans.unwrap().iter().flatten().all(|form| !matches!(form.loads, Loads::Held(_))));
        let broken = measure(&info, &unmeasured, &mut Planted { product: &|_, _| f64::INFINITY, recurrence: &recurrence });
        assert!(broken.unwrap_err().to_string().contains("no variant of a kernel gives right results"));
    }

    /// On any adapter, the results of a form are checked before it is timed.
    #[test]
    fn every_candidate_is_right_on_this_adapter() {
        let adapters = adapters().unwrap();
        let gpu = GpuDevice::open_with(adapters.first().expect("an adapter"), Some(Variants::only(Tile::T8x8, Loads::Each))).unwrap();
        let mut timer = Timer::new(&gpu);
        for (tile, side) in [(Tile::T8x8, 16), (Tile::T8x8, 8), (Tile::T4x4, 16), (Tile::T4x4, 8)] {
            let variant = gpu.capabilities.form(tile, Loads::Staged(side));
            assert!(timer.product(variant, [40, 72, 52]).unwrap().is_finite(), "{variant}");
        }
        let form = ScanForm { tile: Tile::T1x4, loads: Loads::Held(2), width: 256 };
        assert!(timer.recurrence(form, 128, SCAN_LANES[0]).unwrap().is_finite());
    }
}
