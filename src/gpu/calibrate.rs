//! Which kernel variants suit an adapter: measured once (milliseconds, after a warm-up) and remembered in the user's cache
//! folder, keyed by adapter, driver and this crate's version.

use super::adapter::{AdapterInfo, Kind};
use super::cache;
use super::device::GpuDevice;
use super::executor::OVERHEAD;
use super::measure::{self, Timer};
use crate::error::{Result, tell};
use crate::kernel::{Capabilities, FORMS, Latencies, Loads, STEPS, ScanForm, ScanForms, Speeds, Tile, Variant};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Speeds of the forms of the matmul.
    pub speeds: Speeds,
    /// Cores of a software driver, 0 for hardware.
    pub cores: u32,
    /// Of hardware: see [`Capabilities::latencies`].
    pub latencies: Latencies,
    /// Tile of most rows that the scans take.
    pub scan: Tile,
    /// How the scans load shared rows.
    pub scan_loads: Loads,
    /// How hardware runs recurrences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scans: Option<ScanForms>,
    /// Speed of the matmuls, in millions of operations a second, rounded down to a power of 2 so that it is the same most times; 0 if it
    /// was not measured.
    #[serde(default)]
    pub megaflops: u32,
}

/// Speed, where it was not measured: that of a slow integrated GPU.
const SLOW: u32 = 1 << 14;
/// A recurrence on hardware, where nothing is measured: one dispatch for rows of up to 256 columns.
const NARROW: ScanForm = ScanForm { tile: Tile::T1x4, loads: Loads::Held(0), width: 256 };
const UNMEASURED: ScanForms = [[NARROW; 2], [NARROW; 2], [STEPS; 2], [STEPS; 2]];

impl Variants {
    /// One form of the matmul alone, and nothing measured: for tests.
    pub fn only(tile: Tile, loads: Loads) -> Self {
        let speeds = FORMS.map(|form| if form == (tile, loads) { 100 } else { 0 });
        Variants { speeds, cores: 0, latencies: Latencies::default(), scan: tile, scan_loads: loads, scans: None, megaflops: 0 }
    }

    pub(super) fn apply(self, capabilities: &mut Capabilities) {
        capabilities.flops_per_second = f64::from(if self.megaflops == 0 { SLOW } else { self.megaflops }) * 1e6;
        (capabilities.speeds, capabilities.cores, capabilities.latencies) = (self.speeds, self.cores, self.latencies);
        (capabilities.scan, capabilities.scan_loads, capabilities.scans) = (self.scan, self.scan_loads, self.scans);
        // Never a staged one, whose workgroups have another width.
        let fastest = FORMS.into_iter().zip(self.speeds).filter(|((_, loads), _)| !matches!(loads, Loads::Staged(_))).max_by_key(|(_, speed)| *speed);
        if let Some(((tile, loads), _)) = fastest.filter(|(_, speed)| *speed > 0) {
            capabilities.matmul = capabilities.form(tile, loads);
        }
    }
}

/// What a calibration cache holds.
fn remembered(bytes: &[u8]) -> serde_json::Result<Vec<Remembered>> {
    serde_json::from_slice(bytes)
}

/// The variants in a calibration cache, each with what a device makes of it: for whoever tests what damaged files do.
pub fn cached(bytes: &[u8]) -> Option<Vec<(Variants, Capabilities)>> {
    let with = |r: Remembered| {
        let mut capabilities = crate::cpu::capabilities();
        r.variants.apply(&mut capabilities);
        (r.variants, capabilities)
    };
    remembered(bytes).ok().map(|all| all.into_iter().map(with).collect())
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    adapter: String,
    variants: Variants,
}

/// The adapter's limits, with the variants that its kind suggests until they are measured.
pub(super) fn default_capabilities(info: &AdapterInfo) -> Capabilities {
    let tile = if info.kind == Kind::Software { Tile::T16x16 } else { Tile::T8x8 };
    Capabilities {
        // A subgroup of invocations side by side reads whole cache lines. What adapters report as the smallest is often no more
        // than what they could do: real ones run 32 or 64 in step.
        matmul: Variant { tile, loads: Loads::Each, width: info.subgroup[0].clamp(if info.kind == Kind::Software { 8 } else { 32 }, 64) },
        speeds: Speeds::default(),
        cores: 0,
        latencies: Latencies::default(),
        scan: tile,
        scan_loads: Loads::Each,
        scans: (info.kind == Kind::Hardware).then_some(UNMEASURED),
        workgroup_bytes: info.workgroup_bytes,
        workgroup_invocations: info.workgroup_invocations,
        binding_bytes: info.binding_bytes.min(info.buffer_bytes) / 256 * 256,
        overhead_bytes: OVERHEAD,
        flops_per_second: f64::from(SLOW) * 1e6,
    }
}

/// Sets the device's variants, from memory or by measuring.
pub(super) fn choose(gpu: &mut GpuDevice) -> Result<()> {
    let key = key(&gpu.info);
    let path = cache_file();
    let known = path.as_ref().and_then(|p| std::fs::read(p).ok());
    let mut all = match known.as_deref().map(remembered) {
        Some(Ok(all)) => all,
        Some(Err(e)) => {
            tell(&format!(
                "note: the calibration cache {} is damaged ({e}); measuring again",
                path.as_ref().map(|p| p.display().to_string()).unwrap_or_default()
            ));
            Vec::new()
        }
        None => Vec::new(),
    };
    all.retain(|r| r.variants.megaflops > 0);
    if let Some(r) = all.iter().find(|r| r.adapter == key) {
        r.variants.apply(&mut gpu.capabilities);
        gpu.calibration = "remembered";
        return Ok(());
    }
    if !all.is_empty() {
        tell("note: the calibration cache has nothing for this adapter, driver and version; measuring");
    }
    let variants = measure::measure(&gpu.info, &gpu.capabilities, &mut Timer::new(gpu))?;
    variants.apply(&mut gpu.capabilities);
    gpu.calibration = "measured";
    all.push(Remembered { adapter: key, variants });
    if let Some(path) = path {
        // The cache only saves time: where it can't be written, the next run measures again.
        let _ = write(&path, &all);
    }
    Ok(())
}

fn cache_file() -> Option<PathBuf> {
    cache::folder().map(|folder| folder.join("calibration.json"))
}

/// What tells adapters, drivers and versions apart.
pub(super) fn key(info: &AdapterInfo) -> String {
    format!("{info} / retrograd {}", env!("CARGO_PKG_VERSION"))
}

fn write(path: &std::path::Path, all: &[Remembered]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}
