//! The devices that tests run on.

use crate::skip::skip;
use retrograd::device::Device;
use retrograd::gpu::{GpuDevice, Variants, adapters};
use retrograd::kernel::{Loads, Tile};
use std::sync::OnceLock;

/// The CPU with two threads.
pub(crate) fn cpu() -> Device {
    Device::Cpu { threads: 2 }
}

/// Whether RETROGRAD_TEST_DEVICES=cpu excludes the GPU; if so, lists the calling test, or its part, as skipped.
///
/// # Panics
/// If the variable is set to anything but `cpu` or `all`, which is the default.
#[track_caller]
pub(crate) fn without_gpu() -> bool {
    match std::env::var("RETROGRAD_TEST_DEVICES").as_deref() {
        Err(_) | Ok("all") => false,
        Ok("cpu") => {
            skip("its part on the GPU (RETROGRAD_TEST_DEVICES=cpu)");
            true
        }
        Ok(other) => panic!("RETROGRAD_TEST_DEVICES is {other:?}; expected all or cpu"),
    }
}

/// The first adapter, opened once.
///
/// # Panics
/// If there is none, or if the GPU is excluded: tests check [`without_gpu`] first, and never skip because none is found.
pub(crate) fn gpu() -> GpuDevice {
    static GPU: OnceLock<GpuDevice> = OnceLock::new();
    assert!(!without_gpu(), "a test takes the GPU, which is to be left out, unasked");
    let open = || {
        let adapters = adapters().expect("adapters");
        let adapter = adapters.first().expect("no GPU adapter: install a Vulkan driver, on Debian `apt-get install mesa-vulkan-drivers`");
        // A small tile, which drivers compile fast. The kernel tests cover every tile.
        GpuDevice::open_with(adapter, Some(Variants::only(Tile::T8x8, Loads::Each))).expect("the adapter opens")
    };
    GPU.get_or_init(open).clone()
}

/// Both devices, or only the CPU if the GPU is excluded.
#[track_caller]
pub(crate) fn both() -> Vec<Device> {
    if without_gpu() { vec![cpu()] } else { vec![cpu(), Device::Gpu(Box::new(gpu()))] }
}

/// The names of these devices, for the program.
#[track_caller]
pub(crate) fn names() -> &'static [&'static str] {
    if without_gpu() { &["cpu"] } else { &["cpu", "gpu"] }
}
