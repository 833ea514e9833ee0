//! An opened adapter: device, queue, errors, and the kernel variants that calibration chose.

use super::adapter::{Adapter, AdapterInfo};
use super::calibrate;
use super::pipelines::Pipelines;
use crate::error::{Error, Result};
use crate::kernel::Capabilities;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a wait for the device may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// An opened adapter; clones share it.
#[derive(Clone)]
pub struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Arc<Mutex<Pipelines>>,
    fault: Arc<Mutex<Option<String>>>,
    /// The adapter.
    pub info: AdapterInfo,
    /// Limits and chosen variants.
    pub capabilities: Capabilities,
    /// Where the variants come from: measured now, or remembered.
    pub calibration: &'static str,
}

impl GpuDevice {
    /// Opens an adapter with all its limits and chooses kernel variants, from the user's cache folder or by measuring.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter refuses.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        Self::open_with(adapter, None)
    }

    /// As [`GpuDevice::open`], with the variants given instead of chosen.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter refuses.
    pub fn open_with(adapter: &Adapter, variants: Option<calibrate::Variants>) -> Result<Self> {
        let info = adapter.info.clone();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("retrograd"),
            required_features: adapter.inner.features() & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE),
            required_limits: adapter.inner.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.inner.request_device(&descriptor))
            .map_err(|e| Error::Device(format!("cannot open {info}: {e}; try another with --device (see `retrograd devices`)")))?;
        let key = calibrate::key(&info);
        let fault = Arc::new(Mutex::new(None));
        let note = |what: &'static str| {
            let fault = fault.clone();
            move |message: String| {
                if let Ok(mut fault) = fault.lock() {
                    fault.get_or_insert(format!("{what}: {message}"));
                }
            }
        };
        let (error, lost) = (note("device error"), note("device lost"));
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| error(e.to_string())));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost(message);
            }
        });
        let mut gpu = GpuDevice {
            capabilities: calibrate::default_capabilities(&info),
            calibration: "given",
            pipelines: Arc::new(Mutex::new(Pipelines::new(&device, &key))),
            device,
            queue,
            fault,
            info,
        };
        match variants {
            Some(variants) => variants.apply(&mut gpu.capabilities),
            None => calibrate::choose(&mut gpu)?,
        }
        Ok(gpu)
    }

    /// The variants in use.
    pub fn variants(&self) -> calibrate::Variants {
        let c = &self.capabilities;
        let megaflops = (c.flops_per_second / 1e6) as u32;
        calibrate::Variants { speeds: c.speeds, cores: c.cores, busy: c.busy, scan: c.scan, scan_loads: c.scan_loads, megaflops }
    }

    /// The first error that the device has reported, if any.
    pub(super) fn check(&self) -> Result<()> {
        let fault = self.fault.lock().map_or(None, |f| f.clone());
        match fault {
            Some(message) => Err(Error::Device(format!("{}: {}", self.info, message.lines().collect::<Vec<_>>().join(" ")))),
            None => Ok(()),
        }
    }

    /// Lets what is done call back, without waiting.
    pub(super) fn poll(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::Poll);
        self.check()?;
        polled.map(|_| ()).map_err(|e| Error::Device(format!("{}: {e}", self.info)))
    }

    /// Waits for a submission, or for all.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: Some(PATIENCE) };
        let polled = self.device.poll(wait);
        self.check()?;
        polled.map(|_| ()).map_err(|e| Error::Device(format!("{}: no answer for {} s ({e}); the driver may hang", self.info, PATIENCE.as_secs())))
    }
}
