//! `cargo bench`: the basis of the speed claims, on every device. Each result is checked before it is timed: kernels against
//! the CPU's on one thread, updates against the f64 reference.
//!
//! Sections, all by default or those named: `kernels` (every dispatch separately: median, minimum, rate, and its share of
//! the machine's best rate, see `roofline.rs`), `updates` (whole updates, and their parts), and, only if named,
//! `roofline` (each part of an update beside the machine's best for it) and `scaling` (time per step and lane as T, B, H and the layers grow). `cpu` or `gpu` selects one device, `rnn`, `gru` or `lstm` one cell, `quick` small
//! sizes:
//!
//! ```text
//! cargo bench -- cpu kernels
//! cargo bench -- cpu lstm update H B T LAYERS SECONDS      one line of JSON, for peers/run.sh; rnn by default
//! ```

mod kernels;
mod parts;
mod roofline;
mod scans;
mod split;
mod timing;
mod updates;

use retrograd::analysis::gradcheck::{Case, executor, reference, relative_error};
use retrograd::device::{Device, DeviceSpec};
use retrograd::model::Cell;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let has = |w: &str| words.iter().any(|x| x == w);
    const KNOWN: [&str; 12] = ["cpu", "gpu", "quick", "kernels", "roofline", "updates", "scaling", "update", "scans", "rnn", "gru", "lstm"];
    if let Some(w) = words.iter().find(|w| !(KNOWN.contains(&w.as_str()) || has("update") && w.parse::<u32>().is_ok())) {
        eprintln!("`{w}` is unknown; expected of {}", KNOWN.join(", "));
        std::process::exit(2);
    }
    let devices = devices(has("cpu"), has("gpu"));
    let named: Vec<Cell> = Cell::ALL.into_iter().filter(|c| has(c.name())).collect();
    let cell = named.first().copied().unwrap_or_default();
    let cells = if named.is_empty() { &Cell::ALL } else { &named[..] };
    if has("update") {
        let numbers: Vec<u32> = words.iter().filter_map(|w| w.parse().ok()).collect();
        let &[hidden, lanes, steps, layers, seconds] = numbers.as_slice() else {
            eprintln!("update needs five numbers: H B T LAYERS SECONDS");
            std::process::exit(2);
        };
        devices.iter().for_each(|d| updates::one(d, updates::Shape { hidden, lanes, steps, layers, cell }, f64::from(seconds)));
        return;
    }
    let (quick, some) = (has("quick"), has("kernels") || has("updates") || has("scaling") || has("scans") || has("roofline"));
    for device in &devices {
        println!("\n{device}, {}", timing::machine());
        check(device);
        if has("kernels") || !some {
            kernels::bench(device, cells, if quick { 64 } else { 256 });
        }
        if has("updates") || !some {
            updates::bench(device, cells, if quick { &[64] } else { &[128, 256, 512] });
            split::bench(device, cells, if quick { &[64] } else { &[256, 512] });
        }
        if has("roofline") {
            parts::bench(device, cells, if quick { &[64] } else { &[128, 256, 512, 1024] });
        }
        if has("scans") {
            let (columns, lanes): (&[u32], &[u32]) = if quick { (&[128], &[32]) } else { (&[128, 256, 512, 1024], &[32, 256]) };
            scans::bench(device, cell, columns, lanes);
        }
        if has("scaling") {
            updates::scaling(device, cell, quick);
        }
    }
}

fn devices(cpu: bool, gpu: bool) -> Vec<Device> {
    let mut devices = Vec::new();
    if cpu || !gpu {
        devices.push(Device::open(DeviceSpec::Cpu).expect("the CPU").0);
    }
    if gpu || !cpu {
        match Device::open(DeviceSpec::Gpu) {
            Ok((device, _)) => devices.push(device),
            Err(e) if gpu => panic!("{e}"),
            Err(e) => println!("GPU left out: {e}"),
        }
    }
    devices
}

/// Panics, before anything is timed, unless the gradients of a small odd model are right on this device.
fn check(device: &Device) {
    for (cell, layers) in Cell::ALL.into_iter().flat_map(|cell| [(cell, 1), (cell, 2)]) {
        let case = Case::of_cell(cell, layers, true);
        let (got, _) = executor(device, &case).expect("the device runs");
        for (g, e) in got.tensors.iter().zip(&reference(&case).tensors) {
            assert!(relative_error(g, e) <= 1e-4, "{device}: wrong gradients");
        }
    }
}
