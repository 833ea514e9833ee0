//! The available adapters and their properties.

use crate::error::{Error, Result};
use crate::platform;
use std::fmt;

/// Hardware, or a driver that runs shaders on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GPU.
    Hardware,
    /// lavapipe, SwiftShader, WARP and the like.
    Software,
}

/// Properties of an adapter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterInfo {
    /// Name of the adapter.
    pub name: String,
    /// vulkan, metal, dx12 or gl.
    pub backend: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Hardware or software.
    pub kind: Kind,
    /// Minimum and maximum subgroup size.
    pub subgroup: [u32; 2],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Maximum invocations per workgroup.
    pub workgroup_invocations: u32,
    /// Largest storage binding, bytes.
    pub binding_bytes: u64,
    /// Largest buffer, bytes.
    pub buffer_bytes: u64,
    /// Maximum storage bindings per kernel.
    pub storage_bindings: u32,
    /// Supported features, of those used here.
    pub features: Vec<&'static str>,
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Browsers tell neither name nor driver.
        let name = if self.name.is_empty() { "unnamed adapter" } else { &self.name };
        let driver = if self.driver.is_empty() { String::new() } else { format!(", {}", self.driver) };
        write!(f, "{name} ({}{driver}{})", self.backend, if self.kind == Kind::Software { ", software" } else { "" })
    }
}

/// An adapter that can run the kernels.
pub struct Adapter {
    pub(super) inner: wgpu::Adapter,
    /// Its properties.
    pub info: AdapterInfo,
}

/// Storage bindings of the kernel with the most.
const STORAGE_BINDINGS: u32 = 5;

/// All adapters that can run the kernels, hardware first. `WGPU_BACKEND` (a list of vulkan, metal, dx12, gl) and
/// `WGPU_ADAPTER_NAME` (part of a name) narrow the choice. GL is tried only if no other backend has an adapter.
///
/// # Errors
/// [`Error::Usage`] if one of the two variables matches nothing.
pub fn adapters() -> Result<Vec<Adapter>> {
    platform::block_on(adapters_async())
}

/// Like [`adapters`], without blocking. A browser offers one at most.
///
/// # Errors
/// As [`adapters`].
pub async fn adapters_async() -> Result<Vec<Adapter>> {
    let wanted = std::env::var("WGPU_BACKEND").ok().filter(|s| !s.is_empty());
    let found = match &wanted {
        Some(text) => {
            let backends = wgpu::Backends::from_comma_list(text);
            if backends.is_empty() {
                return Err(Error::Usage(format!("WGPU_BACKEND={text} names no backend; expected one or more of vulkan, metal, dx12, gl")));
            }
            on(backends).await
        }
        None => {
            let first = on(wgpu::Backends::PRIMARY).await;
            if first.is_empty() { on(wgpu::Backends::GL).await } else { first }
        }
    };
    let Some(name) = std::env::var("WGPU_ADAPTER_NAME").ok().filter(|s| !s.is_empty()) else { return Ok(found) };
    let names: Vec<String> = found.iter().map(|a| a.info.name.clone()).collect();
    let chosen: Vec<Adapter> = found.into_iter().filter(|a| a.info.name.to_lowercase().contains(&name.to_lowercase())).collect();
    if chosen.is_empty() {
        let there = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        return Err(Error::Usage(format!("WGPU_ADAPTER_NAME={name} matches no adapter; there: {there}")));
    }
    Ok(chosen)
}

async fn on(backends: wgpu::Backends) -> Vec<Adapter> {
    // WGPU_VALIDATION=1 loads Vulkan's validation layers, if installed; WGPU_DEBUG=0 leaves names out of shaders.
    let flags = wgpu::InstanceFlags::default().with_env();
    let descriptor = wgpu::InstanceDescriptor { backends, flags, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    if !platform::has_graphics() {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(descriptor);
    let mut found: Vec<Adapter> = instance.enumerate_adapters(backends).await.into_iter().filter_map(usable).collect();
    found.sort_by_key(|a| a.info.kind == Kind::Software);
    found
}

/// An adapter with compute shaders and the bindings, invocations and workgroup memory that the kernels need.
fn usable(inner: wgpu::Adapter) -> Option<Adapter> {
    let compute = inner.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    let (info, limits, features) = (inner.get_info(), inner.limits(), inner.features());
    let large_enough = limits.max_compute_invocations_per_workgroup >= 256 && limits.max_compute_workgroup_storage_size >= 16 << 10;
    if !compute || !large_enough || limits.max_storage_buffers_per_shader_stage < STORAGE_BINDINGS {
        return None;
    }
    let kind = if info.device_type == wgpu::DeviceType::Cpu || info.name.to_lowercase().contains("llvmpipe") { Kind::Software } else { Kind::Hardware };
    let named = [
        (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
        (wgpu::Features::SHADER_F16, "f16"),
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline cache"),
    ];
    let info = AdapterInfo {
        name: info.name,
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind,
        subgroup: [info.subgroup_min_size, info.subgroup_max_size],
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroup_invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
        binding_bytes: limits.max_storage_buffer_binding_size,
        buffer_bytes: limits.max_buffer_size,
        storage_bindings: limits.max_storage_buffers_per_shader_stage,
        features: named.iter().filter(|(f, _)| features.contains(*f)).map(|(_, name)| *name).collect(),
    };
    Some(Adapter { inner, info })
}
