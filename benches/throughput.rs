//! `cargo bench`: every kernel (shape, median, GFLOP/s or GB/s, variant), then the training step (characters/s, dispatches per
//! window, arena bytes), on every device there is. Each result is checked before it is timed: kernels against the other
//! device's, the training step against the f64 reference.
//!
//! `cargo bench -- cpu` or `-- gpu` takes one device; `-- quick` takes small sizes.

use retrograd::analysis::gradcheck::{Case, executor, reference, relative_error};
use retrograd::arena::{Arena, Purpose, Slot, View};
use retrograd::data::{Kind, Symbols, Text};
use retrograd::device::{Device, Wish};
use retrograd::kernel::{Capabilities, Kernel, Values, Var, Variant, Word};
use retrograd::kernels::{self, Activation, matmul};
use retrograd::layout::Program;
use retrograd::model::Config;
use retrograd::model::record::{self, Extent};
use retrograd::optimizer::{Clip, Rule};
use retrograd::recording::{Dispatch, Executor, Recording, Repeat};
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::sync::Arc;
use std::time::Instant;

/// Sizes of the rows: H, B, T, V.
const SIZES: [u32; 4] = [256, 32, 64, 65];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let has = |w: &str| words.iter().any(|x| x == w);
    let [mut h, b, t, v] = SIZES;
    if has("quick") {
        h = 64;
    }
    let mut devices = Vec::new();
    if !has("gpu") {
        devices.push(Device::open(Wish::Cpu).expect("the CPU"));
    }
    if !has("cpu") {
        match Device::open(Wish::Gpu) {
            Ok(device) => devices.push(device),
            Err(e) => println!("GPU left out: {e}"),
        }
    }
    for (device, _) in &devices {
        println!("\n{device}");
        check(device);
        bench_kernels(device, [h, b, t, v]);
        for hidden in if has("quick") { vec![64] } else { vec![128, 256, 512] } {
            bench_training(device, hidden);
        }
    }
}

/// The gradients of a small odd model are right on this device, or nothing is timed.
fn check(device: &Device) {
    for layers in [1, 2] {
        let case = Case::odd(Activation::Tanh, layers, true);
        let (got, _) = executor(device, &case).expect("the device runs");
        for (g, e) in got.tensors.iter().zip(&reference(&case).tensors) {
            assert!(relative_error(g, e) <= 1e-4, "{device}: wrong gradients");
        }
    }
}

/// Every dispatch of a window of a two-layer model, one by one, and the transposes and fallbacks that it does not use.
fn bench_kernels(device: &Device, [h, b, t, v]: [u32; 4]) {
    println!("{:<16} {:<12} {:<34} {:>10} {:>12} {:>9}", "kernel", "what", "shape", "median", "rate", "variant");
    let config = Config { vocab: v, hidden: h, layers: 2, activation: Activation::Tanh, bias: true };
    let extent = Extent { lanes: b, steps: t, states: 3, places: 1, places_per_slot: 1, ring: 0, head_rows: t * b };
    let model = record::record(&config, extent, &Rule::Adam.update(Clip::Norm(1.0)), &device.capabilities());
    let values = Values::default().with(Var::Steps, t).with_f32(Var::InverseN, 1e-3).with_f32(Var::LearningRate, 1e-6);
    let mut seen = std::collections::BTreeSet::new();
    // The backward sweep first: where it and the evaluation have a dispatch in common, only its results are all of use.
    for recording in model.program.recordings.iter().rev() {
        for dispatch in &recording.dispatches {
            let args = dispatch.eval(&values);
            if seen.insert((dispatch.kernel.name, dispatch.label.trim_end_matches(char::is_numeric).to_string())) {
                time_dispatch(device, &model.program.arena, dispatch, &values, &args);
            }
        }
    }
    // The fallback for rows that no workgroup memory holds.
    let tiny = Capabilities { workgroup_bytes: 0, ..device.capabilities() };
    let model = record::record(&config, extent, &Rule::Adam.update(Clip::None), &tiny);
    for d in model.program.recordings.iter().flat_map(|r| &r.dispatches).filter(|d| d.kernel.name.starts_with("step_")) {
        if seen.insert((d.kernel.name, String::new())) {
            time_dispatch(device, &model.program.arena, d, &values, &d.eval(&values));
        }
    }
    let missing: Vec<&str> = kernels::KERNELS.iter().map(|k| k.name).filter(|n| !seen.iter().any(|s| s.0 == *n)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    batched(device, h);
}

/// Replays one dispatch over random slots, after its outputs have been compared with the CPU's.
fn time_dispatch(device: &Device, arena: &Arena, dispatch: &Dispatch, values: &Values, args: &[u32]) {
    let program = alone(arena, dispatch, &device.capabilities());
    let mut executor = device.executor(program.clone()).expect("the program fits");
    let mut cpu = Device::Cpu { threads: 1 }.executor(program).expect("the program fits");
    for e in [&mut executor, &mut cpu] {
        fill(&mut **e, arena, dispatch);
        e.run(0, values).expect("the device runs");
    }
    for slot in &dispatch.bindings {
        let n = arena.elements(*slot) as usize;
        let (mut x, mut y) = (vec![0u32; n], vec![0u32; n]);
        executor.download(*slot, 0, &mut x).expect("download");
        cpu.download(*slot, 0, &mut y).expect("download");
        let name = arena.name(*slot);
        assert!(relative_error(&comparable(name, &x), &comparable(name, &y)) <= 1e-3, "{}: {name} differs from the CPU's", dispatch.label);
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 5 || (times.len() < 50 && begin.elapsed().as_millis() < 300) {
        let start = Instant::now();
        executor.run(0, values).expect("the device runs");
        executor.wait().expect("the device runs");
        times.push(start.elapsed().as_secs_f64());
    }
    let repeats = if dispatch.repeat == Repeat::Once { 1 } else { values.get(Var::Steps) };
    row(dispatch.kernel, &dispatch.label, args, dispatch.variant, median(&mut times), repeats);
}

/// The floats of a slot. The parts of a norm are cut differently on each device, so their sum is what counts.
fn comparable(name: &str, words: &[u32]) -> Vec<f64> {
    let floats = words.iter().map(|&x| f64::from(f32::from_bits(x))).filter(|x| x.is_finite());
    if name == "parts" { vec![floats.step_by(2).sum()] } else { floats.collect() }
}

/// A program of one dispatch, all its slots persistent.
fn alone(arena: &Arena, dispatch: &Dispatch, capabilities: &Capabilities) -> Program {
    let mut recording = Recording::new("bench");
    recording.push(dispatch.clone());
    Program::new(arena.clone().all_persistent(), vec![recording], capabilities.binding_bytes)
}

/// Random numbers where floats are read; valid symbols, row numbers and weights where the inputs are.
fn fill(executor: &mut dyn Executor, arena: &Arena, dispatch: &Dispatch) {
    let mut seed = 1u32;
    for slot in &dispatch.bindings {
        let n = arena.elements(*slot) as usize;
        let next = |seed: &mut u32| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *seed >> 8
        };
        let words: Vec<u32> = match arena.name(*slot) {
            "inputs" => inputs(n),
            "status" => (0..n).map(|i| if i == 2 { 1 } else { 1f32.to_bits() }).collect(),
            "parts" => (0..n).map(|i| if i % 2 == 0 { 1f32.to_bits() } else { 0 }).collect(),
            // A second moment is never negative.
            "v" => (0..n).map(|_| (next(&mut seed) as f32 / 16_777_216.0).to_bits()).collect(),
            _ => (0..n).map(|_| ((next(&mut seed) as f32 / 16_777_216.0 - 0.5) * 0.2).to_bits()).collect(),
        };
        executor.upload(*slot, 0, &words).expect("upload");
    }
}

fn inputs(words: usize) -> Vec<u32> {
    let [_, b, t, v] = SIZES;
    let rows = (b * t) as usize;
    let mut all: Vec<u32> = (0..2 * rows as u32).map(|i| i.wrapping_mul(2_654_435_761) % v).collect();
    let list = kernels::gather_backward::sort_by_token(&all[..rows], v);
    all.extend(std::iter::repeat_n(1f32.to_bits(), 3 * rows));
    all.extend(list);
    all.resize(words, 0);
    all
}

/// The batch dimension, which a model of one text does not use: 8 products at once.
fn batched(device: &Device, h: u32) {
    let mut arena = Arena::default();
    let slots = ["a", "b", "c"].map(|n| arena.persistent(n, 8 * h * h, Purpose::Activations));
    let view = |slot: Slot| View { slot, offset: 0.into(), rows: h.into(), cols: h.into(), ld: h };
    let mut recording = Recording::new("bench");
    let [a, b, c] = slots.map(view);
    let operands = matmul::Operands { form: matmul::Form::Nn, a, b, c, mask: None, accumulate: Word::from(0) };
    matmul::record(&mut recording, "batch of 8", device.capabilities().matmul, operands, matmul::Batch { count: 8, strides: [h * h; 3] });
    let dispatch = recording.dispatches.remove(0);
    let values = Values::default();
    time_dispatch(device, &arena, &dispatch, &values, &dispatch.eval(&values));
}

fn row(kernel: &Kernel, label: &str, args: &[u32], variant: Variant, seconds: f64, repeats: u32) {
    let work = (kernel.work)(args);
    let (flops, bytes) = (work.flops * f64::from(repeats), work.bytes * f64::from(repeats));
    let rate = if kernel.tiled { format!("{:.1} GFLOP/s", flops / seconds / 1e9) } else { format!("{:.2} GB/s", bytes / seconds / 1e9) };
    let shape: Vec<String> = kernel.args.iter().zip(args).filter(|(n, _)| SHAPE.contains(n)).map(|(n, a)| format!("{n} {a}")).collect();
    let form = if kernel.tiled { variant.tile.to_string() } else { String::new() };
    println!("{:<16} {label:<12} {:<34} {:>7.3} ms {rate:>12} {form:>9}", kernel.name, shape.join(", "), seconds * 1e3);
}

/// Arguments that tell a shape.
const SHAPE: [&str; 11] = ["rows", "cols", "inner", "batch", "steps", "lanes", "hidden4", "vocab", "cols4", "count4", "rows4"];

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Whole updates on real text: a block of updates, several times.
fn bench_training(device: &Device, hidden: u32) {
    let settings = Settings { hidden, truncation: Truncation::Regular(64), val_fraction: 0.0, ..Settings::default() };
    let symbols = Arc::new(Symbols::new(Text::embedded(), Kind::Characters).expect("the text is UTF-8"));
    let vocab = symbols.vocabulary().len();
    let corpus = Corpus::new(symbols, None, &settings).expect("the text is long enough");
    let mut trainer = Trainer::new(device, corpus, settings).expect("the model fits");
    let mut block = |updates: u32| {
        let (start, tokens) = (Instant::now(), trainer.tokens());
        for _ in 0..updates {
            trainer.step().expect("the device runs");
        }
        trainer.engine.wait().expect("the device runs");
        (start.elapsed().as_secs_f64(), (trainer.tokens() - tokens) as f64)
    };
    block(1);
    let updates = (0.3 / block(1).0).clamp(1.0, 200.0) as u32;
    let mut times: Vec<f64> = (0..9).map(|_| block(updates)).map(|(seconds, tokens)| seconds / tokens).collect();
    let loss = trainer.metrics().expect("metrics").map_or(f32::NAN, |m| m.loss);
    assert!(loss.is_finite() && loss < (vocab as f32).ln() + 1.0, "the training step does not train: loss {loss}");
    let rate = 1.0 / median(&mut times);
    let [planned, _] = trainer.engine.device_bytes();
    println!(
        "training step: H {hidden} B 32 T 64 V {vocab}: {rate:.0} characters/s, {} dispatches per window, arena {:.1} MiB",
        trainer.engine.dispatches_per_window(),
        planned as f64 / f64::from(1 << 20)
    );
}
