//! The devices that tests run on.

use retrograd::device::Device;
use retrograd::gpu::{GpuDevice, Variants, adapters};
use retrograd::kernel::Tile;
use std::sync::OnceLock;

/// The CPU with two threads.
pub fn cpu() -> Device {
    Device::Cpu { threads: 2 }
}

/// The first adapter, opened once.
///
/// # Panics
/// If there is none: a GPU test never skips silently.
pub fn gpu() -> GpuDevice {
    static GPU: OnceLock<GpuDevice> = OnceLock::new();
    let open = || {
        let adapters = adapters().expect("adapters");
        let adapter = adapters.first().expect("no GPU adapter: install a Vulkan driver, on Debian `apt-get install mesa-vulkan-drivers`");
        // A small tile: drivers compile it fast. Every tile is tested kernel by kernel.
        GpuDevice::open_with(adapter, Some(Variants { matmul: Tile::T8x8, scan: Tile::T8x8 })).expect("the adapter opens")
    };
    GPU.get_or_init(open).clone()
}

/// Both devices.
pub fn both() -> Vec<Device> {
    vec![cpu(), Device::Gpu(Box::new(gpu()))]
}
