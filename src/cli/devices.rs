//! `retrograd devices`

use super::{print_json, say};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{GpuDevice, adapters};
use crate::kernel::{FORMS, Loads, Tile};
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
                let forms: Vec<_> = FORMS.into_iter().zip(c.speeds).filter(|(_, speed)| *speed > 0).collect();
                if !args.json {
                    let name = |((tile, loads), speed): &((Tile, Loads), u8)| format!("{tile} {loads} {speed}%");
                    say(&format!("  matmul ({}), speed of each form: {}", gpu.calibration, forms.iter().map(name).collect::<Vec<_>>().join("; ")));
                    say(&format!("  scans: up to {} lanes a workgroup, rows {}; up to hidden {widest} in one dispatch", c.scan.rows(), c.scan_loads));
                }
                let form = |((tile, loads), speed): &((Tile, Loads), u8)| json!({"tile": tile.to_string(), "loads": loads.to_string(), "percent": speed});
                json!({"calibration": gpu.calibration, "matmul": forms.iter().map(form).collect::<Vec<_>>(), "matmul_width": c.matmul.width, "scan_tile": c.scan.to_string(), "scan_loads": c.scan_loads.to_string(), "scan_hidden_max": widest})
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
