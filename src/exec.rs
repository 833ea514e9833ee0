//! What runs a program: the trait that both executors have.

use crate::arena::Slot;
use crate::error::Result;
use crate::kernel::Values;
use crate::layout::Program;
use crate::profile::Profile;

/// What has been issued so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Kernel dispatches.
    pub dispatches: u64,
    /// Submissions to the device's queue.
    pub submits: u64,
}

/// What runs a program: the one on a GPU, or the one on the CPU.
pub trait Executor: Send {
    /// One line: adapter, driver, backend; or the CPU's threads.
    fn description(&self) -> &str;

    /// What it was made for.
    fn program(&self) -> &Program;

    /// Replays a recording. The work may still be under way when this returns.
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

    /// Overwrites words of a slot from element `offset` on, after everything that was run before.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn upload(&mut self, slot: Slot, offset: u32, words: &[u32]) -> Result<()>;

    /// Reads words of a slot from element `offset` on; waits for everything that was run before.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn download(&mut self, slot: Slot, offset: u32, words: &mut [u32]) -> Result<()>;

    /// Asks for `count` words of a slot from element `offset` on, as they are after everything that was run before, without waiting.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn request(&mut self, slot: Slot, offset: u32, count: u32) -> Result<()>;

    /// The answer to the oldest request that has none yet; nothing if it has not arrived (unless `wait`) or there is none.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn collect(&mut self, wait: bool) -> Result<Option<Vec<u32>>>;

    /// Hands all work over to the device without waiting for it.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn submit(&mut self) -> Result<()>;

    /// Waits until all work is done.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn wait(&mut self) -> Result<()>;

    /// Bytes of the arena as allocated, counted where the buffers are made.
    fn allocated_bytes(&self) -> u64;

    /// What has been issued so far.
    fn counters(&self) -> Counters;

    /// Measures the time of each kernel from here on, or no longer. The device then waits for the host and the host for the device.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn profile(&mut self, on: bool) -> Result<()>;

    /// All that was measured, and forgets it; none if nothing was.
    fn take_profile(&mut self) -> Option<Profile>;

    /// Notes from here on when submissions begin and end on the device, some hundreds at most; none of them waits for it.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    fn watch_submissions(&mut self) -> Result<()> {
        Ok(())
    }

    /// The share of the time, from the first of those submissions to the last, in which the device had nothing to do; none if it has no clock, or
    /// fewer than two were noted.
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

/// Overwrites floats of a slot.
///
/// # Errors
/// As for [`Executor::upload`].
pub fn upload_f32(executor: &mut dyn Executor, slot: Slot, offset: u32, floats: &[f32]) -> Result<()> {
    executor.upload(slot, offset, bytemuck::cast_slice(floats))
}
