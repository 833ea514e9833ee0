//! `retrograd devices`

use super::{print_json, say};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{AdapterInfo, GpuDevice, adapters};
use crate::kernel::{Capabilities, FORMS, Loads, SCAN_COLUMNS, SCAN_LANES, Tile};
use serde_json::{Value, json};

/// Flags of `devices`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut list = Vec::new();
    for (index, adapter) in adapters()?.iter().enumerate() {
        let opened = GpuDevice::open(adapter);
        if !args.json {
            limits(index, &adapter.info).iter().for_each(|line| say(line));
            match &opened {
                Ok(gpu) => variants(gpu).iter().for_each(|line| say(line)),
                Err(e) => say(&format!("  cannot be opened: {e}")),
            }
        }
        list.push(entry(index, &adapter.info, &opened));
    }
    let threads = cpu::default_threads();
    if args.json {
        return print_json(&json!({"adapters": list, "cpu": {"threads": threads}}));
    }
    if list.is_empty() {
        say(NONE);
    }
    say(&format!("cpu    {threads} threads"));
    Ok(())
}

/// The message if there is no adapter.
pub(super) const NONE: &str = "no GPU adapter; install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers for a software one)";

/// An adapter and its limits.
pub(super) fn limits(index: usize, a: &AdapterInfo) -> Vec<String> {
    let [workgroup, binding, buffer] = [u64::from(a.workgroup_bytes) >> 10, a.binding_bytes >> 20, a.buffer_bytes >> 20];
    vec![
        format!("gpu:{index}  {a}"),
        format!("  workgroup: {workgroup} KiB, {} invocations; subgroup {} to {}", a.workgroup_invocations, a.subgroup[0], a.subgroup[1]),
        format!("  largest binding {binding} MiB, largest buffer {buffer} MiB; {} storage bindings", a.storage_bindings),
        format!("  features: {}", if a.features.is_empty() { "none".to_string() } else { a.features.join(", ") }),
    ]
}

/// The matmul forms in use, with their speeds in percent.
fn products(c: &Capabilities) -> Vec<((Tile, Loads), u8)> {
    FORMS.into_iter().zip(c.speeds).filter(|(_, speed)| *speed > 0).collect()
}

/// The variant of the recurrence for each measured number of columns and lanes.
fn recurrences(c: &Capabilities) -> Vec<(u32, u32, String)> {
    let name = |columns, lanes| (columns, lanes, c.scan_variant(columns, lanes, 1, 1).to_string());
    SCAN_COLUMNS.into_iter().flat_map(|columns| SCAN_LANES.map(|lanes| name(columns, lanes))).collect()
}

/// The choices of calibration.
pub(super) fn variants(gpu: &GpuDevice) -> Vec<String> {
    let c = &gpu.capabilities;
    let products: Vec<String> = products(c).iter().map(|((tile, loads), speed)| format!("{tile} {loads} {speed}%")).collect();
    let best = c.flops_per_second / 1e9;
    let mut lines = vec![format!("  matmul ({}, {best:.0} GFLOP/s), speed of each form: {}", gpu.calibration, products.join("; "))];
    lines.extend(recurrences(c).iter().map(|(columns, lanes, form)| format!("  recurrence, hidden {columns:>4}, {lanes:>3} lanes: {form}")));
    lines
}

/// An adapter and its variants as JSON.
pub(super) fn entry(index: usize, a: &AdapterInfo, opened: &Result<GpuDevice>) -> Value {
    let mut entry = json!(a);
    entry["index"] = json!(index);
    entry["variants"] = match opened {
        Ok(gpu) => {
            let c = &gpu.capabilities;
            let products: Vec<Value> =
                products(c).iter().map(|((tile, loads), speed)| json!({"tile": tile.to_string(), "loads": loads.to_string(), "percent": speed})).collect();
            let recurrences: Vec<Value> =
                recurrences(c).iter().map(|(columns, lanes, form)| json!({"hidden": columns, "lanes": lanes, "form": form})).collect();
            json!({"calibration": gpu.calibration, "matmul": products, "matmul_width": c.matmul.width, "gflops": c.flops_per_second / 1e9, "recurrences": recurrences})
        }
        Err(e) => json!({"error": e.to_string()}),
    };
    entry
}
