//! `retrograd doctor`

use super::{devices, print_json, say};
use crate::analysis::gradcheck::{BOUND, Case, executor, reference, worst};
use crate::cpu;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::gpu::{GpuDevice, adapters, cache_folder};
use crate::metrics::number;
use crate::model::Activation;
use crate::session::entry;
use serde_json::json;
use std::time::Instant;

/// Flags of `doctor`.
#[derive(clap::Args)]
#[command(after_help = "Send what it prints with a report of a fault: nothing in it names you or your files, but for the cache folder.")]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let tell = |line: &str| {
        if !args.json {
            say(line)
        }
    };
    let version = format!("retrograd {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    tell(&version);
    let cache = cache_folder().map(|folder| folder.display().to_string());
    tell(&format!("cache: {}", cache.as_deref().unwrap_or("none: no home folder")));
    for name in ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        if let Some(value) = std::env::var_os(name) {
            tell(&format!("{name}={}", value.to_string_lossy()));
        }
    }
    let threads = cpu::default_threads();
    let mut list = Vec::new();
    let check = |name: String, device: &Device| {
        let (right, entry) = checked(device);
        tell(&format!("{} {name}: {}", if right { "ok  " } else { "FAIL" }, entry["said"].as_str().unwrap_or_default()));
        (right, entry)
    };
    let (mut sound, on_cpu) = check(format!("cpu, {threads} threads"), &Device::Cpu { threads });
    for (index, adapter) in adapters()?.iter().enumerate() {
        devices::limits(index, &adapter.info).iter().for_each(|line| tell(line));
        let start = Instant::now();
        let opened = GpuDevice::open(adapter);
        let mut entry = entry(index, &adapter.info, &opened);
        entry["seconds_to_open"] = json!(start.elapsed().as_secs_f64());
        match opened {
            Ok(gpu) => {
                devices::variants(&gpu).iter().for_each(|line| tell(line));
                tell(&format!("  opened in {:.1} s", start.elapsed().as_secs_f64()));
                let (right, found) = check(format!("gpu:{index}"), &Device::Gpu(Box::new(gpu)));
                sound &= right;
                entry["check"] = found;
            }
            Err(e) => {
                sound = false;
                tell(&format!("FAIL gpu:{index}: cannot be opened: {e}"));
            }
        }
        list.push(entry);
    }
    if list.is_empty() {
        tell(devices::NONE);
    }
    if args.json {
        print_json(&json!({"version": version, "cache": cache, "cpu": {"threads": threads, "check": on_cpu}, "adapters": list, "sound": sound}))?;
    }
    if sound { Ok(()) } else { Err(Error::Device("a device is not sound; please report the lines marked FAIL with all of this output".to_string())) }
}

/// Checks the gradients of two small models against the f64 reference.
fn checked(device: &Device) -> (bool, serde_json::Value) {
    let start = Instant::now();
    let mut all = Vec::new();
    for case in [Case::odd(Activation::Tanh, 1, true), Case::odd(Activation::Relu, 3, true)] {
        match executor(device, &case) {
            Ok((got, _)) => all.push(worst(&case, &got, &reference(&case))),
            Err(e) => return (false, json!({"said": e.to_string(), "passes": false})),
        }
    }
    let found = all.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
    let said = format!("gradients are right to {:.1e} (worst: {}; bound {BOUND:.0e}), {:.1} s", found.1, found.0, start.elapsed().as_secs_f64());
    (found.1 <= BOUND, json!({"said": said, "passes": found.1 <= BOUND, "relative_error": number(found.1), "tensor": found.0}))
}
