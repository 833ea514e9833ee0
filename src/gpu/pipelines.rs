//! Compute pipelines and their layouts, built once each.

use super::cache::PipelineCache;
use crate::kernel::{Access, Constant, Kernel, Loads, Tile, Variant};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Key of a pipeline: kernel, tile and loads if tiled, constants.
type Key = (&'static str, Option<(Tile, Loads)>, Vec<(&'static str, u64)>);

/// The layout of a kernel's bind group, and that of its pipelines.
type Layout = (wgpu::BindGroupLayout, wgpu::PipelineLayout);

/// The pipelines of a device. Threads may request them concurrently: compiling is slow, and drivers compile in parallel.
pub(super) struct Pipelines {
    device: wgpu::Device,
    layouts: Mutex<HashMap<&'static str, Layout>>,
    pipelines: Mutex<HashMap<Key, wgpu::ComputePipeline>>,
    cache: Option<PipelineCache>,
}

/// Bytes of a kernel's `Args` as a uniform.
pub(super) fn args_bytes(kernel: &Kernel) -> u64 {
    (kernel.args.len() as u64 * 4).next_multiple_of(16)
}

impl Pipelines {
    /// An empty collection; `key` identifies adapter, driver and version.
    pub(super) fn new(device: &wgpu::Device, key: &str) -> Self {
        Pipelines { device: device.clone(), layouts: Mutex::default(), pipelines: Mutex::default(), cache: PipelineCache::open(device, key) }
    }

    /// Layout of a kernel's bind group: its storage bindings, then the uniform at a dynamic offset.
    pub(super) fn layout(&self, kernel: &'static Kernel) -> Layout {
        let device = &self.device;
        let make = || {
            let entry = |binding: u32, ty| wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None };
            let storage = |access| wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: access == Access::Read },
                has_dynamic_offset: false,
                min_binding_size: None,
            };
            let mut entries: Vec<_> = kernel.bindings.iter().zip(0..).map(|(b, i)| entry(i, storage(b.access))).collect();
            let uniform = wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: wgpu::BufferSize::new(args_bytes(kernel)),
            };
            entries.push(entry(kernel.bindings.len() as u32, uniform));
            let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
            let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(kernel.name),
                bind_group_layouts: &[Some(&group)],
                immediate_size: 0,
            });
            (group, pipeline)
        };
        lock(&self.layouts).entry(kernel.name).or_insert_with(make).clone()
    }

    /// The pipeline of a kernel in a variant, for these (first) arguments.
    pub(super) fn pipeline(&self, kernel: &'static Kernel, variant: Variant, args: &[u32]) -> wgpu::ComputePipeline {
        let constants: Vec<Constant> = (kernel.constants)(args, variant);
        let key: Key = (kernel.name, kernel.tiled.then_some((variant.tile, variant.loads)), constants.iter().map(|(n, v)| (*n, v.to_bits())).collect());
        if let Some(pipeline) = lock(&self.pipelines).get(&key) {
            return pipeline.clone();
        }
        let (_, layout) = self.layout(kernel);
        let source = wgpu::ShaderSource::Wgsl(kernel.text(variant).into());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(kernel.name), source });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
            cache: self.cache.as_ref().map(|c| &c.inner),
        });
        // A faster thread may already have inserted the same pipeline.
        lock(&self.pipelines).entry(key).or_insert(pipeline).clone()
    }
}

/// Locks, ignoring poison: a panic leaves the value intact.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
