//! The parts of an update: its dispatches in groups, each group replayed separately over the same memory.

use crate::kernels::{fill, product, recorded, values};
use crate::roofline::Roofline;
use crate::timing::{Times, repeat};
use crate::updates::Shape;
use retrograd::arena::Slot;
use retrograd::device::Device;
use retrograd::layout::Program;
use retrograd::model::{Cell, record};
use retrograd::optimizer::Clip;
use retrograd::recording::{Dispatch, Recording};

const GROUPS: [&str; 6] = ["forward", "loss", "backward, data", "backward, weights", "update", "whole"];

/// The group that a dispatch belongs to.
fn group(dispatch: &Dispatch) -> usize {
    match (dispatch.kernel.name, dispatch.label.as_str()) {
        ("norm" | "finish" | "optimizer" | "carry_state", _) => 4,
        (_, label) if label.starts_with("d_w") || label.starts_with("d_b") => 3,
        ("loss" | "row_sum", _) => 1,
        ("transpose", _) => 2,
        (name, _) if name.starts_with("scan_backward") || name.starts_with("step_backward") => 2,
        (_, label) if label.starts_with("d_h") => 2,
        _ => 0,
    }
}

/// B 32, T 64, two layers.
pub(crate) fn bench(device: &Device, cells: &[Cell], hidden: &[u32]) {
    let all = cells.iter().flat_map(|cell| hidden.iter().map(move |h| (*cell, *h)));
    all.for_each(|(cell, hidden)| shape(device, Shape { layers: 2, ..Shape::new(cell, hidden) }));
}

fn shape(device: &Device, shape: Shape) {
    let model = recorded(shape, Clip::Norm(1.0), &device.capabilities());
    let mut parts: Vec<Recording> = GROUPS.iter().map(|name| Recording::new(name)).collect();
    for at in [record::PREPARE, record::forward(0), record::backward(0), record::UPDATE, record::CARRY] {
        for dispatch in &model.program.recordings[at].dispatches {
            parts[group(dispatch)].push(dispatch.clone());
            parts[GROUPS.len() - 1].push(dispatch.clone());
        }
    }
    let arena = model.program.arena.all_persistent();
    let mut slots: Vec<Slot> = parts.iter().flat_map(|r| &r.dispatches).flat_map(|d| d.bindings.clone()).collect();
    slots.sort();
    slots.dedup();
    let mut executor = device.executor(Program::new(arena.clone(), parts.clone(), device.capabilities().binding_bytes)).expect("the program fits");
    fill(&mut *executor, &arena, &slots);
    let values = values(shape);
    let mut run = |i: usize| {
        executor.run(i, &values).expect("the device runs");
        executor.wait().expect("the device runs");
    };
    // The whole first: each group uses the results of those before it.
    run(GROUPS.len() - 1);
    let times: Vec<Times> = (0..GROUPS.len()).map(|i| repeat(0.7, || run(i))).collect();
    let whole = times[GROUPS.len() - 1].median;
    let best = Roofline::new(device).product([shape.steps * shape.lanes, shape.cell.spec().gates * shape.hidden, shape.hidden]);
    println!("\nparts of an update: {shape}; best plain product of [{}, H] and [H, G H]: {:.1} GFLOP/s", shape.steps * shape.lanes, best / 1e9);
    println!("{:<20} {:>10} {:>10} {:>10} {:>8} {:>9} {:>8}", "part", "dispatches", "median", "min", "share", "GFLOP/s", "of best");
    for ((name, recording), t) in GROUPS.iter().zip(&parts).zip(&times) {
        // Only products count as operations.
        let of = |d: &Dispatch| {
            let args = d.eval(&values);
            product(d.kernel, &args).map_or(0.0, |_| (d.kernel.work)(&args).flops)
        };
        let flops: f64 = recording.dispatches.iter().map(of).sum();
        let (rate, [median, min]) = (flops / t.median, [t.median, t.min].map(|s| s * 1e3));
        println!(
            "{name:<20} {:>10} {median:>7.3} ms {min:>7.3} ms {:>7.1}% {:>9.1} {:>7.0}%",
            recording.dispatch_count(shape.steps),
            t.median / whole * 100.0,
            rate / 1e9,
            rate / best * 100.0
        );
    }
}
