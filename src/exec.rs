//! The trait of the CPU and GPU executors.

use crate::arena::Slot;
use crate::error::Result;
use crate::kernel::Values;
use crate::layout::Program;
use crate::profile::Profile;
use std::future::Future;
use std::pin::Pin;

/// Result of a call that does not block.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The work issued so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Kernel dispatches.
    pub dispatches: u64,
    /// Submissions to the device's queue.
    pub submits: u64,
}

/// Runs a program on a GPU or on the CPU.
pub trait Executor: Send {
    /// One line: adapter, driver, backend; or the CPU's threads.
    fn description(&self) -> &str;

    /// The program that it was made for.
    fn program(&self) -> &Program;

    /// Replays a recording. The work may still be in progress when this returns.
    ///
    /// # Errors
    /// If the device was lost or reports an error.
    fn run(&mut self, recording: usize, values: &Values) -> Result<()> {
        (0..self.program().recordings[recording].dispatches.len()).try_for_each(|index| self.run_dispatch(recording, index, values))
    }

    /// Replays one dispatch of a recording.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn run_dispatch(&mut self, recording: usize, index: usize, values: &Values) -> Result<()>;

    /// Overwrites words of a slot from element `offset` on, after all work issued before.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn upload(&mut self, slot: Slot, offset: u32, words: &[u32]) -> Result<()>;

    /// Reads words of a slot from element `offset` on; waits for all work issued before.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn download(&mut self, slot: Slot, offset: u32, words: &mut [u32]) -> Result<()>;

    /// Like [`Executor::download`], without blocking: the words are there when the future completes. The future may be dropped before.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn download_async<'a>(&'a mut self, slot: Slot, offset: u32, words: &'a mut [u32]) -> Answer<'a, ()>;

    /// Requests `count` words of a slot from element `offset` on, as of after all work issued before, without waiting.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn request(&mut self, slot: Slot, offset: u32, count: u32) -> Result<()>;

    /// The answer to the oldest pending request; `None` if it has not arrived (unless `wait`) or there is no request.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn collect(&mut self, wait: bool) -> Result<Option<Vec<u32>>>;

    /// Like [`Executor::collect`], completing once the answer to the oldest request has arrived; `None` if there is no request.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn collect_async(&mut self) -> Answer<'_, Option<Vec<u32>>>;

    /// Submits all work to the device without waiting for it.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn submit(&mut self) -> Result<()>;

    /// Waits until all work is done.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn wait(&mut self) -> Result<()>;

    /// Like [`Executor::wait`], without blocking: the work is done when the future completes.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn wait_async(&mut self) -> Answer<'_, ()>;

    /// Allocated bytes of the arena, counted where buffers are created.
    fn allocated_bytes(&self) -> u64;

    /// The work issued so far.
    fn counters(&self) -> Counters;

    /// Starts or stops measuring the time of each kernel. Meanwhile, device and host wait for each other.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn profile(&mut self, on: bool) -> Result<()>;

    /// Takes the measurements; `None` if there are none.
    fn take_profile(&mut self) -> Option<Profile>;

    /// From now on, records when submissions begin and end on the device, some hundreds at most, without waiting for any.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn watch_submissions(&mut self) -> Result<()> {
        Ok(())
    }

    /// The share of the time from the first of those submissions to the last in which
    /// the device was idle; `None` if it has no clock, or fewer than two were recorded.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn idle_share(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }
}

/// Reads floats of a slot.
///
/// # Errors
/// As for [`Executor::download`].
pub fn download_f32(executor: &mut dyn Executor, slot: Slot, offset: u32, count: u32) -> Result<Vec<f32>> {
    let mut words = vec![0u32; count as usize];
    executor.download(slot, offset, &mut words)?;
    Ok(bytemuck::cast_vec(words))
}

/// Like [`download_f32`], without blocking.
///
/// # Errors
/// As for [`Executor::download`].
pub async fn download_f32_async(executor: &mut dyn Executor, slot: Slot, offset: u32, count: u32) -> Result<Vec<f32>> {
    let mut words = vec![0u32; count as usize];
    executor.download_async(slot, offset, &mut words).await?;
    Ok(bytemuck::cast_vec(words))
}

/// Overwrites floats of a slot.
///
/// # Errors
/// As for [`Executor::upload`].
pub fn upload_f32(executor: &mut dyn Executor, slot: Slot, offset: u32, floats: &[f32]) -> Result<()> {
    executor.upload(slot, offset, bytemuck::cast_slice(floats))
}
