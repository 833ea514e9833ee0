//! An opened adapter: device, queue, errors, and the kernel variants that calibration chose.

use super::adapter::{Adapter, AdapterInfo};
use super::pipelines::Pipelines;
use super::variants::{self, Variants};
use crate::error::{Error, Result, caught};
use crate::kernel::Capabilities;
use crate::platform::{self, Instant};
use futures_intrusive::channel::shared::OneshotReceiver;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Seconds to wait for the device before it counts as hung.
const PATIENCE: u64 = 120;

/// An error of a device, after which nothing it holds can be trusted.
#[derive(Clone)]
struct Fault {
    message: String,
    /// Whether the device may work again after reopening.
    lost: bool,
}

/// A fault that tests inject into an opened device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// The device is lost.
    Lost,
    /// The next work submitted never ends.
    Hang,
    /// A call is invalid, and no error scope catches it.
    Invalid,
}

/// An opened adapter; clones share it.
#[derive(Clone)]
pub struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Arc<Pipelines>,
    fault: Arc<Mutex<Option<Fault>>>,
    /// Seconds until the device counts as hung.
    patience: Arc<AtomicU64>,
    /// The adapter.
    pub info: AdapterInfo,
    /// Limits and chosen variants.
    pub capabilities: Capabilities,
    /// Source of the variants: "measured", "remembered" or "given".
    pub calibration: &'static str,
}

impl GpuDevice {
    /// Opens an adapter with all its limits and the default variants for its kind.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter refuses.
    pub(super) async fn unmeasured(adapter: &Adapter) -> Result<Self> {
        let info = adapter.info.clone();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("retrograd"),
            required_features: adapter.inner.features() & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE),
            required_limits: adapter.inner.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter
            .inner
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::Device(format!("cannot open {info}: {e}; try another with `device` (see `retrograd devices`)")))?;
        let key = variants::key(&info);
        let fault = Arc::new(Mutex::new(None));
        let note = |what: &'static str, is_lost: bool| {
            let fault = fault.clone();
            move |message: String| {
                lock(&fault).get_or_insert(Fault { message: format!("{what}: {message}"), lost: is_lost });
            }
        };
        let (error, lost) = (note("device error", false), note("device lost", true));
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| error(e.to_string())));
        // Dropping the device also reports a loss, but then nobody is left to see it.
        device.set_device_lost_callback(move |_, message| lost(message));
        Ok(GpuDevice {
            capabilities: variants::default_capabilities(&info),
            calibration: "given",
            pipelines: Arc::new(Pipelines::new(&device, &key)),
            device,
            queue,
            fault,
            patience: Arc::new(AtomicU64::new(PATIENCE)),
            info,
        })
    }

    /// The variants in use.
    pub fn variants(&self) -> Variants {
        let c = &self.capabilities;
        let megaflops = (c.flops_per_second / 1e6) as u32;
        Variants { speeds: c.speeds, cores: c.cores, latencies: c.latencies, scan: c.scan, scan_loads: c.scan_loads, scans: c.scans, megaflops }
    }

    /// Fails with the first error that the device has reported, if any.
    pub(super) fn check(&self) -> Result<()> {
        match lock(&self.fault).clone() {
            Some(fault) => Err(self.failed(fault.lost, &fault.message)),
            None => Ok(()),
        }
    }

    fn failed(&self, lost: bool, why: &str) -> Error {
        let line = format!("{}: {}", self.info, why.lines().map(str::trim).collect::<Vec<_>>().join(" "));
        if lost { Error::Lost(line) } else { Error::Device(line) }
    }

    /// Marks the device as unusable and leaks it: dropping it would wait for work that never ends.
    fn give_up(&self, why: String) -> Error {
        std::mem::forget((self.device.clone(), self.queue.clone(), self.pipelines.clone()));
        let fault = lock(&self.fault).get_or_insert(Fault { message: why, lost: true }).clone();
        self.failed(fault.lost, &fault.message)
    }

    /// Runs the callbacks of finished work, without waiting.
    pub(super) fn poll(&self) -> Result<()> {
        self.answer(wgpu::PollType::Poll)
    }

    /// Waits for a submission, or for all.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        platform::may_block()?;
        let timeout = Some(Duration::from_secs(self.patience.load(Ordering::Relaxed)));
        self.answer(wgpu::PollType::Wait { submission_index: submission, timeout })
    }

    fn answer(&self, poll: wgpu::PollType) -> Result<()> {
        let waits = matches!(poll, wgpu::PollType::Wait { .. });
        // wgpu panics if the driver reports a lost device.
        let polled = caught(|| self.device.poll(poll)).map_err(|panic| self.give_up(format!("device lost: {panic}")))?;
        self.check()?;
        let patience = self.patience.load(Ordering::Relaxed);
        match polled {
            // Some drivers finish before the wait; a test with a patience of 0 s wants a hang all the same.
            Ok(_) if patience > 0 || !waits => Ok(()),
            Ok(_) | Err(wgpu::PollError::Timeout) => Err(self.give_up(format!("no answer for {patience} s; the driver hangs"))),
            Err(e) => {
                // The submission was rejected. If the device is lost, the next poll says why.
                let told = caught(|| self.device.poll(wgpu::PollType::Poll));
                self.check()?;
                let why = told.err().unwrap_or(e.to_string());
                Err(self.give_up(format!("device lost: {why}")))
            }
        }
    }

    /// The error of a failed readback: the fault of the device, or else that it must be lost.
    pub(super) fn cannot_read(&self, why: impl std::fmt::Display) -> Error {
        self.poll().err().unwrap_or_else(|| self.failed(true, &format!("cannot read from the device: {why}")))
    }

    /// Result of a callback. A native device calls back only when polled, so this polls it. After a wait, another thread may have polled and not called
    /// back yet.
    pub(super) async fn called_back<T>(&self, receiver: &OneshotReceiver<T>) -> Result<T> {
        let (start, mut received) = (Instant::now(), pin!(receiver.receive()));
        poll_fn(|context| {
            if let Poll::Ready(answer) = received.as_mut().poll(context) {
                return Poll::Ready(answer.ok_or_else(|| self.cannot_read("the callback was dropped")));
            }
            if start.elapsed() > Duration::from_secs(PATIENCE) {
                return Poll::Ready(Err(self.give_up(format!("no answer for {PATIENCE} s; the driver hangs"))));
            }
            match platform::advance(context.waker(), || self.poll()) {
                Ok(()) => Poll::Pending,
                Err(e) => Poll::Ready(Err(e)),
            }
        })
        .await
    }

    /// Makes something go wrong, for tests.
    pub fn inject(&self, fault: Injected) {
        match fault {
            Injected::Lost => self.device.destroy(),
            Injected::Hang => self.patience.store(0, Ordering::Relaxed),
            Injected::Invalid => {
                let (size, usage) = (4, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE);
                let _ = self.device.create_buffer(&wgpu::BufferDescriptor { label: Some("injected"), size, usage, mapped_at_creation: false });
            }
        }
    }
}

/// Locks, ignoring poison: a panic leaves the value intact.
fn lock(fault: &Mutex<Option<Fault>>) -> MutexGuard<'_, Option<Fault>> {
    fault.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_driver_is_an_error() {
        let told = caught(|| -> u32 { panic!("Error in Device::poll: {}\n  Parent device is lost", "Validation Error") });
        assert_eq!(told, Err("Error in Device::poll: Validation Error Parent device is lost".to_string()));
        assert_eq!(caught(|| 3), Ok(3));
    }
}
