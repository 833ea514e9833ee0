//! `retrograd devices`

use super::{print_json, say};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{GpuDevice, adapters};
use crate::kernel::Loads;
use serde_json::json;

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
        let a = &adapter.info;
        if !args.json {
            say(&format!("gpu:{index}  {a}"));
            say(&format!(
                "  workgroup: {} KiB, {} invocations; subgroup {} to {}",
                a.workgroup_bytes / 1024,
                a.workgroup_invocations,
                a.subgroup[0],
                a.subgroup[1]
            ));
            say(&format!(
                "  largest binding {} MiB, largest buffer {} MiB; {} storage bindings",
                a.binding_bytes >> 20,
                a.buffer_bytes >> 20,
                a.storage_bindings
            ));
            say(&format!("  features: {}", if a.features.is_empty() { "none".to_string() } else { a.features.join(", ") }));
        }
        let variants = match &opened {
            Ok(gpu) => {
                let c = &gpu.capabilities;
                let widest = (c.workgroup_bytes / 16).min(16 * c.workgroup_invocations);
                if !args.json {
                    say(&format!(
                        "  kernels ({}): matmul {} by {} invocations, scan {}, rows loaded by {}; scans up to hidden {widest} in one dispatch",
                        gpu.calibration,
                        c.matmul.tile,
                        c.matmul.width,
                        c.scan,
                        loads(c.matmul.loads)
                    ));
                }
                json!({"calibration": gpu.calibration, "matmul_tile": c.matmul.tile.to_string(), "matmul_width": c.matmul.width, "matmul_loads": loads(c.matmul.loads), "scan_tile": c.scan.to_string(), "scan_loads": loads(c.scan_loads), "scan_hidden_max": widest})
            }
            Err(e) => {
                if !args.json {
                    say(&format!("  cannot be opened: {e}"));
                }
                json!({"error": e.to_string()})
            }
        };
        let mut entry = json!(a);
        entry["index"] = json!(index);
        entry["variants"] = variants;
        list.push(entry);
    }
    let threads = cpu::default_threads();
    if args.json {
        return print_json(&json!({"adapters": list, "cpu": {"threads": threads}}));
    }
    if list.is_empty() {
        say("no GPU adapter; install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers for a software one)");
    }
    say(&format!("cpu    {threads} threads"));
    Ok(())
}

fn loads(loads: Loads) -> &'static str {
    match loads {
        Loads::Each => "each invocation",
        Loads::Once => "one of a subgroup",
    }
}
