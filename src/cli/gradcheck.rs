//! `retrograd gradcheck`

use super::tell;
use super::{print_json, say};
use crate::analysis::gradcheck::{Case, Gradients, differences, executor, reference, relative_error};
use crate::cpu;
use crate::device::{Device, DeviceSpec};
use crate::error::{Error, Result};
use crate::gpu::{GpuDevice, adapters};
use crate::metrics::number;
use crate::model::record::GateStorage;
use crate::model::{Activation, Cell, Config};
use serde_json::{Value, json};

/// Flags of `gradcheck`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Check this device only; by default the CPU and every adapter
    #[arg(long)]
    device: Option<DeviceSpec>,
    /// Check every form of the matmul and of the recurrence that calibration can choose, each by itself, on the adapters
    #[arg(long)]
    every_form: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Bound of norm(g - reference) / norm(reference) per tensor.
pub(super) const BOUND: f64 = 1e-4;
/// Bound of the reference against central differences.
const DIFFERENCES_BOUND: f64 = 1e-6;

pub(super) fn run(args: &Args) -> Result<()> {
    let mut devices: Vec<(String, Device)> = devices(args.device)?.into_iter().map(|device| (device.to_string(), device)).collect();
    if args.every_form {
        devices = devices.iter().flat_map(|(_, device)| forms(device)).collect();
        if devices.is_empty() {
            return Err(Error::Usage("--every-form needs an adapter: the CPU has one form of each kernel".to_string()));
        }
    }
    let mut rows = Vec::new();
    let mut worst_of_all = true;
    let mut report = |device: &str, what: &str, worst: (String, f64), bound: f64| {
        let passes = worst.1 <= bound;
        worst_of_all &= passes;
        if !args.json {
            say(&format!("{} {device:<40} {what:<44} worst {:<8} {:.1e} (bound {bound:.0e})", if passes { "ok  " } else { "FAIL" }, worst.0, worst.1));
        }
        rows.push(json!({"device": device, "case": what, "tensor": worst.0, "relative_error": number(worst.1), "bound": bound, "passes": passes}));
    };
    // The plain cell with each activation, then the others.
    let activations = [Activation::Tanh, Activation::Relu, Activation::Identity].map(|a| (format!("{a:?}"), Case::odd(a, 1, true)));
    let others = Cell::ALL.into_iter().filter(|c| *c != Cell::Rnn).map(|c| (c.spec().torch.to_string(), Case::of_cell(c, 1, true)));
    for (name, case) in activations.into_iter().chain(others) {
        for layers in [1, 3] {
            let odd = Case { config: Config { layers, ..case.config }, ..case };
            let smooth = Case { cuts: false, ..odd };
            let label = |c: &Case| {
                format!("{name} {layers} layer{} {}", if layers == 1 { "" } else { "s" }, if c.cuts { "resets, cuts, weights" } else { "resets, weights" })
            };
            // Central differences of every parameter: a smaller net, since each costs two passes.
            let mut small = smooth;
            small.config.hidden = 7;
            let expected = reference(&small);
            let measured = Gradients { tensors: differences(&small), ..expected.clone() };
            report("f64 reference", &format!("{} vs differences", label(&small)), worst(&small, &measured, &expected), DIFFERENCES_BOUND);
            let again = Case { gates: GateStorage::Recomputed, ..odd };
            let again = Some(again).filter(|_| odd.config.cell.spec().keeps_gates);
            for case in [odd, Case { recompute: true, ..odd }].into_iter().chain(again) {
                let expected = reference(&case);
                for (device_name, device) in &devices {
                    let got = executor(device, &case).map(|(got, _)| got);
                    let gates = if case.gates == GateStorage::Kept { "" } else { ", gates recomputed" };
                    let what = format!("{}{}{gates}", label(&case), if case.recompute { ", recomputed" } else { "" });
                    let worst = match &got {
                        Ok(got) => worst(&case, got, &expected),
                        Err(e) => {
                            tell(&format!("{device_name}: {e}"));
                            ("no result".to_string(), f64::INFINITY)
                        }
                    };
                    report(device_name, &what, worst, BOUND);
                }
            }
        }
    }
    let right = rows.iter().filter(|row| row["passes"] == true).count();
    let sum = format!("{right} of {} ok", rows.len());
    if !args.json {
        say(&sum);
    }
    if args.json {
        print_json(&json!({"passes": worst_of_all, "checks": Value::Array(rows)}))?;
    }
    if worst_of_all { Ok(()) } else { Err(Error::Device("a gradient differs from the reference; please report the lines marked FAIL".to_string())) }
}

/// The adapter with each of its forms by itself.
fn forms(device: &Device) -> Vec<(String, Device)> {
    let Device::Gpu(gpu) = device else { return Vec::new() };
    let with = |(name, capabilities)| {
        let mut device = gpu.clone();
        device.capabilities = capabilities;
        (name, Device::Gpu(device))
    };
    gpu.every_form().into_iter().map(with).collect()
}

fn devices(wish: Option<DeviceSpec>) -> Result<Vec<Device>> {
    if let Some(wish) = wish {
        return Ok(vec![Device::open(wish)?.0]);
    }
    let mut devices = vec![Device::Cpu { threads: cpu::default_threads() }];
    for adapter in adapters()? {
        devices.push(Device::Gpu(Box::new(GpuDevice::open(&adapter)?)));
    }
    if devices.len() == 1 {
        tell("note: no GPU adapter was found, so only the CPU is checked (Debian: apt-get install mesa-vulkan-drivers)");
    }
    Ok(devices)
}

/// The tensor that differs most.
pub(super) fn worst(case: &Case, got: &Gradients, expected: &Gradients) -> (String, f64) {
    let names = case.config.tensors().into_iter().map(|t| t.name);
    let errors = got.tensors.iter().zip(&expected.tensors).map(|(g, e)| relative_error(g, e));
    let loss = ("loss".to_string(), relative_error(&[got.loss], &[expected.loss]));
    names.zip(errors).chain([loss]).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}
