//! The kernel forms chosen for an adapter, as data.

use super::adapter::{AdapterInfo, Kind};
use super::sizes::OVERHEAD;
use crate::kernel::{Capabilities, FORMS, Latencies, Loads, STEPS, ScanForm, ScanForms, Speeds, Tile, Variant};
use serde::{Deserialize, Serialize};

/// The kernel forms chosen for an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Speeds of the forms of the matmul.
    pub speeds: Speeds,
    /// Cores of a software driver, 0 for hardware.
    pub cores: u32,
    /// For hardware; see [`Capabilities::latencies`].
    pub latencies: Latencies,
    /// The tile with the most rows that scans use.
    pub scan: Tile,
    /// How the scans load shared rows.
    pub scan_loads: Loads,
    /// How hardware runs recurrences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scans: Option<ScanForms>,
    /// Speed of the matmuls in millions of operations per second, rounded down to a power of 2 so that calibrations usually agree; 0 if not measured.
    #[serde(default)]
    pub megaflops: u32,
}

/// Speed assumed if not measured: that of a slow integrated GPU.
const SLOW: u32 = 1 << 14;
/// The recurrence on unmeasured hardware for rows of up to 256 columns: one dispatch.
const NARROW: ScanForm = ScanForm { tile: Tile::T1x4, loads: Loads::Held(0), width: 256 };
const UNMEASURED: ScanForms = [[NARROW; 2], [NARROW; 2], [STEPS; 2], [STEPS; 2]];

impl Variants {
    /// A single form of the matmul and no measurements; for tests.
    pub fn only(tile: Tile, loads: Loads) -> Self {
        let speeds = FORMS.map(|form| if form == (tile, loads) { 100 } else { 0 });
        Variants { speeds, cores: 0, latencies: Latencies::default(), scan: tile, scan_loads: loads, scans: None, megaflops: 0 }
    }

    pub(super) fn apply(self, capabilities: &mut Capabilities) {
        capabilities.flops_per_second = f64::from(if self.megaflops == 0 { SLOW } else { self.megaflops }) * 1e6;
        (capabilities.speeds, capabilities.cores, capabilities.latencies) = (self.speeds, self.cores, self.latencies);
        (capabilities.scan, capabilities.scan_loads, capabilities.scans) = (self.scan, self.scan_loads, self.scans);
        // Never a staged form: its workgroups have another width.
        let fastest = FORMS.into_iter().zip(self.speeds).filter(|((_, loads), _)| !matches!(loads, Loads::Staged(_))).max_by_key(|(_, speed)| *speed);
        if let Some(((tile, loads), _)) = fastest.filter(|(_, speed)| *speed > 0) {
            capabilities.matmul = capabilities.form(tile, loads);
        }
    }
}

/// The adapter's limits, with the default variants for its kind until they are measured.
pub(super) fn default_capabilities(info: &AdapterInfo) -> Capabilities {
    let tile = if info.kind == Kind::Software { Tile::T16x16 } else { Tile::T8x8 };
    Capabilities {
        // A subgroup of adjacent invocations reads whole cache lines. The minimum size that adapters report is often one they support but do not use: real ones
        // run 32 or 64 invocations in step.
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

/// Identifies adapter, driver and crate version.
pub(super) fn key(info: &AdapterInfo) -> String {
    format!("{info} / retrograd {}", env!("CARGO_PKG_VERSION"))
}
