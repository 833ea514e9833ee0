//! The devices there are, as data.

use crate::cpu;
use crate::error::Result;
use crate::gpu::{AdapterInfo, GpuDevice, adapters};
use crate::kernel::{Capabilities, FORMS, Loads, SCAN_COLUMNS, SCAN_LANES, Tile};
use serde_json::{Value, json};

/// All adapters and their variants, and the CPU.
///
/// # Errors
/// If adapters can't be listed.
pub fn devices() -> Result<Value> {
    let entries: Vec<Value> = adapters()?.iter().enumerate().map(|(index, a)| entry(index, &a.info, &GpuDevice::open(a))).collect();
    Ok(with_cpu(&entries))
}

/// These adapters, and the CPU.
pub fn with_cpu(adapters: &[Value]) -> Value {
    json!({"adapters": adapters, "cpu": {"threads": cpu::default_threads()}})
}

/// The matmul forms in use, with their speeds in percent.
pub fn products(c: &Capabilities) -> Vec<((Tile, Loads), u8)> {
    FORMS.into_iter().zip(c.speeds).filter(|(_, speed)| *speed > 0).collect()
}

/// The variant of the recurrence for each measured number of columns and lanes.
pub fn recurrences(c: &Capabilities) -> Vec<(u32, u32, String)> {
    let name = |columns, lanes| (columns, lanes, c.scan_variant(columns, lanes, 1, 1).to_string());
    SCAN_COLUMNS.into_iter().flat_map(|columns| SCAN_LANES.map(|lanes| name(columns, lanes))).collect()
}

/// An adapter and its variants as JSON.
pub fn entry(index: usize, a: &AdapterInfo, opened: &Result<GpuDevice>) -> Value {
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
