//! The GPU executor, through wgpu. Nothing outside this folder names wgpu.

mod adapter;
mod cache;
mod calibrate;
mod device;
mod executor;
mod measure;
mod pipelines;
mod sizes;
mod timestamps;
mod variants;

pub use adapter::{Adapter, AdapterInfo, Kind, adapters, adapters_async};
pub use cache::folder as cache_folder;
pub use calibrate::cached;
pub use device::{GpuDevice, Injected};
pub use executor::GpuExecutor;
pub use variants::Variants;
