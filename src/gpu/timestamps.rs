//! Times of dispatches, by the device's clock.

use super::device::GpuDevice;
use super::sizes::ARGS_SLOTS;
use crate::error::Result;
use crate::platform;

/// Queries for the times before and after each dispatch of a submission, and the buffers for reading them back.
pub(super) struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    mapped: wgpu::Buffer,
    /// Seconds per tick.
    period: f64,
}

impl Timestamps {
    /// Creates the queries; `None` if the adapter has no timestamps.
    pub(super) fn new(gpu: &GpuDevice) -> Option<Self> {
        use wgpu::BufferUsages as U;
        if !gpu.info.features.contains(&"timestamps") {
            return None;
        }
        let count = 2 * ARGS_SLOTS as u32;
        let buffer = |usage| gpu.device.create_buffer(&wgpu::BufferDescriptor { label: None, size: u64::from(count) * 8, usage, mapped_at_creation: false });
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
        let (resolved, mapped) = (buffer(U::QUERY_RESOLVE | U::COPY_SRC), buffer(U::MAP_READ | U::COPY_DST));
        Some(Timestamps { queries, resolved, mapped, period: f64::from(gpu.queue.get_timestamp_period()) * 1e-9 })
    }

    /// The timestamp writes around dispatch `i` of a submission, which has its own pass.
    pub(super) fn around(&self, i: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * i as u32;
        wgpu::ComputePassTimestampWrites { query_set: &self.queries, beginning_of_pass_write_index: Some(first), end_of_pass_write_index: Some(first + 1) }
    }

    /// Encodes the readback of the times of `count` dispatches.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, count: usize) {
        encoder.resolve_query_set(&self.queries, 0..2 * count as u32, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.mapped, 0, 16 * count as u64);
    }

    /// Begin and end of each dispatch, in seconds since the first began; waits for all.
    pub(super) fn spans(&self, gpu: &GpuDevice, count: usize) -> Result<Vec<[f64; 2]>> {
        let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
        self.mapped.map_async(wgpu::MapMode::Read, 0..16 * count as u64, move |result| {
            // Fails only if the receiver is gone.
            let _ = sender.send(result);
        });
        gpu.wait(None)?;
        let mapped = platform::block_on(gpu.called_back(&receiver))?;
        mapped.map_err(|e| gpu.cannot_read(e))?;
        let view = self.mapped.get_mapped_range(0..16 * count as u64).map_err(|e| gpu.cannot_read(e))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        self.mapped.unmap();
        let first = ticks.first().copied().unwrap_or_default();
        let seconds = |tick: u64| tick.saturating_sub(first) as f64 * self.period;
        Ok(ticks.chunks_exact(2).map(|t| [seconds(t[0]), seconds(t[1].max(t[0]))]).collect())
    }
}
