//! `retrograd gradcheck`

use super::tell;
use super::{print_json, say};
use crate::analysis::gradcheck::{Check, all_devices, check, forms};
use crate::device::{Device, DeviceSpec};
use crate::error::{Error, Result};
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

pub(super) fn run(args: &Args) -> Result<()> {
    let mut devices: Vec<(String, Device)> = all_devices(args.device)?.into_iter().map(|device| (device.to_string(), device)).collect();
    if args.every_form {
        devices = devices.iter().flat_map(|(_, device)| forms(device)).collect();
        if devices.is_empty() {
            return Err(Error::Usage("--every-form needs an adapter: the CPU has one form of each kernel".to_string()));
        }
    }
    if devices.len() == 1 && args.device.is_none() && !args.every_form {
        tell("note: no GPU adapter was found, so only the CPU is checked (Debian: apt-get install mesa-vulkan-drivers)");
    }
    let checked = check(&devices, &mut |c: &Check| {
        if let Some(why) = &c.failure {
            tell(&format!("{}: {why}", c.device));
        }
        if !args.json {
            let word = if c.passes() { "ok  " } else { "FAIL" };
            say(&format!("{word} {:<40} {:<44} worst {:<8} {:.1e} (bound {:.0e})", c.device, c.case, c.tensor, c.relative_error, c.bound));
        }
    });
    let worst_of_all = checked.iter().all(Check::passes);
    let rows: Vec<Value> = checked.iter().map(Check::json).collect();
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
