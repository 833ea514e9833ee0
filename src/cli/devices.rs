//! `retrograd devices`

use super::{print_json, say};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{AdapterInfo, GpuDevice, adapters};
use crate::session::{entry, products, recurrences, with_cpu};

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
        return print_json(&with_cpu(&list));
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

/// The choices of calibration.
pub(super) fn variants(gpu: &GpuDevice) -> Vec<String> {
    let c = &gpu.capabilities;
    let products: Vec<String> = products(c).iter().map(|((tile, loads), speed)| format!("{tile} {loads} {speed}%")).collect();
    let best = c.flops_per_second / 1e9;
    let mut lines = vec![format!("  matmul ({}, {best:.0} GFLOP/s), speed of each form: {}", gpu.calibration, products.join("; "))];
    lines.extend(recurrences(c).iter().map(|(columns, lanes, form)| format!("  recurrence, hidden {columns:>4}, {lanes:>3} lanes: {form}")));
    lines
}
