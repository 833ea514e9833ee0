//! Times every dispatch of a window separately, after comparing its results with the CPU's.

use crate::roofline::Roofline;
use crate::timing::{Times, repeat_runs, runs};
use crate::updates::{Shape, VOCAB};
use retrograd::analysis::gradcheck::relative_error;
use retrograd::arena::{Arena, Purpose, Slot, View};
use retrograd::device::Device;
use retrograd::exec::Executor;
use retrograd::kernel::{Capabilities, Kernel, STEPS, Values, Var, Variant, Word};
use retrograd::kernels::{self, matmul};
use retrograd::layout::Program;
use retrograd::model::record::{self, GateStorage, ModelProgram, StashPrecision, WindowShape};
use retrograd::model::{Cell, Dropout};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::recording::{Dispatch, Recording, Repeat};

/// The program of a model of this shape, with a window as one segment.
pub(crate) fn recorded(shape: Shape, clip: Clip, capabilities: &Capabilities) -> ModelProgram {
    let Shape { lanes, steps, .. } = shape;
    let extent = WindowShape {
        lanes,
        steps,
        states: 3,
        places: 1,
        places_per_slot: 1,
        ring: 0,
        head_rows: steps * lanes,
        stash: StashPrecision::F32,
        gates: GateStorage::Kept,
        dropout: Dropout::default(),
    };
    record::record(&shape.config(), extent, &Optimizer::Adam.update(clip), capabilities)
}

/// Run-time values of a window.
pub(crate) fn values(shape: Shape) -> Values {
    Values::default().with(Var::Steps, shape.steps).with_f32(Var::InverseN, 1e-3).with_f32(Var::LearningRate, 1e-6)
}

/// Times every dispatch of a window of a two-layer model of each cell one by one, and the steps that it does not use.
pub(crate) fn bench(device: &Device, cells: &[Cell], hidden: u32) {
    println!(
        "\n{:<24} {:<12} {:<34} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8}",
        "kernel", "what", "shape", "median", "min", "GFLOP/s", "GB/s", "of best", "variant"
    );
    let mut bench = Bench { device, roofline: Roofline::new(device) };
    cells.iter().for_each(|&cell| bench.cell(Shape { layers: 2, ..Shape::new(cell, hidden) }));
    bench.batched(hidden);
}

struct Bench<'a> {
    device: &'a Device,
    roofline: Roofline<'a>,
}

impl Bench<'_> {
    fn cell(&mut self, shape: Shape) {
        let (capabilities, values) = (self.device.capabilities(), values(shape));
        let model = recorded(shape, Clip::Norm(1.0), &capabilities);
        let mut seen = std::collections::BTreeSet::new();
        // The backward pass first: it and the evaluation share some dispatches, and only in the backward pass are all their results used.
        for recording in model.program.recordings.iter().rev() {
            for dispatch in &recording.dispatches {
                if seen.insert((dispatch.kernel.name, dispatch.label.trim_end_matches(char::is_numeric).to_string())) {
                    self.dispatch(&model.program.arena, dispatch, &values);
                }
            }
        }
        // The fallback for rows too long for workgroup memory.
        let model = recorded(shape, Clip::None, &Capabilities { scans: Some([[STEPS; 2]; 4]), ..capabilities });
        for d in model.program.recordings.iter().flat_map(|r| &r.dispatches).filter(|d| d.kernel.name.starts_with("step_")) {
            if seen.insert((d.kernel.name, String::new())) {
                self.dispatch(&model.program.arena, d, &values);
            }
        }
    }

    /// Times one dispatch over random slots, after comparing its outputs with the CPU's.
    fn dispatch(&mut self, arena: &Arena, dispatch: &Dispatch, values: &Values) {
        let program = alone(arena, dispatch, &self.device.capabilities());
        let mut executor = self.device.executor(program.clone()).expect("the program fits");
        let mut cpu = Device::Cpu { threads: 1 }.executor(program).expect("the program fits");
        for e in [&mut executor, &mut cpu] {
            fill(&mut **e, arena, &dispatch.bindings);
            e.run(0, values).expect("the device runs");
        }
        for slot in &dispatch.bindings {
            let n = arena.elements(*slot) as usize;
            let (mut x, mut y) = (vec![0u32; n], vec![0u32; n]);
            executor.download(*slot, 0, &mut x).expect("download");
            cpu.download(*slot, 0, &mut y).expect("download");
            let name = arena.name(*slot);
            // Sums may be parked there; nobody reads them.
            if name.starts_with("pre.") {
                continue;
            }
            assert!(relative_error(&comparable(name, &x), &comparable(name, &y)) <= 1e-3, "{}: {name} differs from the CPU's", dispatch.label);
        }
        let runs = runs(self.device);
        let times = repeat_runs(0.2, runs, || {
            (0..runs).for_each(|_| executor.run(0, values).expect("the device runs"));
            executor.wait().expect("the device runs");
        });
        drop(executor);
        let repeats = if dispatch.repeat == Repeat::Once { 1 } else { values.get(Var::Steps) };
        self.row(dispatch.kernel, &dispatch.label, &dispatch.eval(values), dispatch.variant, times, f64::from(repeats));
    }

    /// The batch dimension, which a model of one text does not use: 8 products in one dispatch.
    fn batched(&mut self, h: u32) {
        let mut arena = Arena::default();
        let slots = ["a", "b", "c"].map(|n| arena.persistent(n, 8 * h * h, Purpose::Activations));
        let view = |slot: Slot| View { slot, offset: 0.into(), rows: h.into(), cols: h.into(), ld: h };
        let mut recording = Recording::new("bench");
        let [a, b, c] = slots.map(view);
        let operands = matmul::Operands { form: matmul::Form::Nn, a, b, c, mask: None, accumulate: Word::from(0) };
        let batch = matmul::StridedBatch { count: 8, strides: [h * h; 3] };
        matmul::record(&mut recording, "batch of 8", self.device.capabilities().matmul, operands, batch);
        self.dispatch(&arena, &recording.dispatches[0], &Values::default());
    }

    fn row(&mut self, kernel: &Kernel, label: &str, args: &[u32], variant: Variant, times: Times, repeats: f64) {
        let work = (kernel.work)(args);
        let (flops, bytes) = (work.flops * repeats / times.median, work.bytes * repeats / times.median);
        let best = match product(kernel, args) {
            Some(sizes) => flops / self.roofline.product(sizes),
            None => bytes / self.roofline.copy(work.bytes),
        };
        let shape: Vec<String> = kernel.args.iter().zip(args).filter(|(n, _)| SHAPE.contains(&n.name)).map(|(n, a)| format!("{} {a}", n.name)).collect();
        let form = if kernel.tiled { variant.tile.to_string() } else { String::new() };
        println!(
            "{:<24} {label:<12} {:<34} {:>7.3} ms {:>7.3} ms {:>9.1} {:>8.2} {:>7.0}% {form:>8}",
            kernel.name,
            shape.join(", "),
            times.median * 1e3,
            times.min * 1e3,
            flops / 1e9,
            bytes / 1e9,
            best * 100.0
        );
    }
}

/// Rows, columns and inner size of the product of a dispatch, if it has one.
pub(crate) fn product_of(dispatch: &Dispatch, values: &Values) -> Option<[u32; 3]> {
    product(dispatch.kernel, &dispatch.eval(values))
}

/// Rows, columns and inner size of the product at the core of a tiled kernel.
pub(crate) fn product(kernel: &Kernel, args: &[u32]) -> Option<[u32; 3]> {
    let get = |name: &str| kernel.args.iter().position(|n| n.name == name).map(|i| args[i]);
    let hidden = get("hidden4").map(|h| h * 4);
    let gates = get("cell").map_or(1, |cell| Cell::ALL[cell as usize].spec().gates);
    match kernel.name {
        "matmul" => Some([get("rows")?, get("cols")?, get("inner")?]),
        name if name.starts_with("scan_") => Some([get("steps")? * get("lanes")?, gates * hidden?, hidden?]),
        name if name.starts_with("step_") => Some([get("lanes")?, gates * hidden?, hidden?]),
        _ => None,
    }
}

/// The floats of a slot. The parts of a norm are split differently on each device, so only their sum is compared.
fn comparable(name: &str, words: &[u32]) -> Vec<f64> {
    let floats = words.iter().map(|&x| f64::from(f32::from_bits(x))).filter(|x| x.is_finite());
    if name == "parts" { vec![floats.step_by(2).sum()] } else { floats.collect() }
}

/// A program of one dispatch, with all its slots persistent.
pub(crate) fn alone(arena: &Arena, dispatch: &Dispatch, capabilities: &Capabilities) -> Program {
    let mut recording = Recording::new("bench");
    recording.push(dispatch.clone());
    Program::new(arena.clone().all_persistent(), vec![recording], capabilities.binding_bytes)
}

/// Fills slots: random values where floats are read; valid symbols, row numbers and weights where the inputs are.
pub(crate) fn fill(executor: &mut dyn Executor, arena: &Arena, slots: &[Slot]) {
    let mut seed = 1u32;
    for slot in slots {
        let n = arena.elements(*slot) as usize;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 16_777_216.0
        };
        let words: Vec<u32> = match arena.name(*slot) {
            "inputs" => inputs(n),
            "status" => (0..n).map(|i| if i == 2 { 1 } else { 1f32.to_bits() }).collect(),
            "parts" => (0..n).map(|i| if i % 2 == 0 { 1f32.to_bits() } else { 0 }).collect(),
            // A second moment is never negative.
            "v" => (0..n).map(|_| next().to_bits()).collect(),
            _ => (0..n).map(|_| ((next() - 0.5) * 0.2).to_bits()).collect(),
        };
        executor.upload(*slot, 0, &words).expect("upload");
    }
}

/// Six words per row: tokens, targets, keep, xi, weights, and after V + 1 starts the rows sorted by token.
fn inputs(words: usize) -> Vec<u32> {
    let rows = (words - VOCAB as usize - 1) / 6;
    let mut all: Vec<u32> = (0..2 * rows as u32).map(|i| i.wrapping_mul(2_654_435_761) % VOCAB).collect();
    let list = kernels::gather_backward::sort_by_token(&all[..rows], VOCAB);
    all.extend(std::iter::repeat_n(1f32.to_bits(), 3 * rows));
    all.extend(list);
    all
}

/// Arguments that describe a shape.
const SHAPE: [&str; 11] = ["rows", "cols", "inner", "batch", "steps", "lanes", "hidden4", "vocab", "cols4", "count4", "rows4"];
