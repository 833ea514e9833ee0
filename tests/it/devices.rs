//! The devices that tests run on.

use retrograd::device::Device;
use retrograd::gpu::{GpuDevice, Variants, adapters};
use retrograd::kernel::{Loads, Tile};
use std::sync::OnceLock;

/// The CPU with two threads.
pub(crate) fn cpu() -> Device {
    Device::Cpu { threads: 2 }
}

/// The first adapter, opened once.
///
/// # Panics
/// If there is none: a GPU test never skips silently.
pub(crate) fn gpu() -> GpuDevice {
    static GPU: OnceLock<GpuDevice> = OnceLock::new();
    let open = || {
        let adapters = adapters().expect("adapters");
        let adapter = adapters.first().expect("no GPU adapter: install a Vulkan driver, on Debian `apt-get install mesa-vulkan-drivers`");
        // A small tile: drivers compile it fast. Every tile is tested kernel by kernel.
        GpuDevice::open_with(adapter, Some(Variants::only(Tile::T8x8, Loads::Each))).expect("the adapter opens")
    };
    GPU.get_or_init(open).clone()
}

/// Both devices.
pub(crate) fn both() -> Vec<Device> {
    vec![cpu(), Device::Gpu(Box::new(gpu()))]
}
