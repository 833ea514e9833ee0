//! Work as data: an ordered list of kernel dispatches over named slots. A recording calls no device, so it can be tested
//! and printed without one; an [`Executor`] resolves it once and replays it.

use crate::arena::{Arena, Slot};
use crate::error::Result;
use crate::kernel::{Access, Kernel, Values, Variant, Word};
use crate::layout::Program;
use crate::profile::Profile;
use std::fmt::Write;

/// How often one replay issues a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// Once per step, [`crate::kernel::Var::Index`] counting 0, 1, ... up to steps - 1 plus the given number.
    Steps(u32),
}

/// One kernel over bound slots.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// What runs.
    pub kernel: &'static Kernel,
    /// What it computes here, such as `d_w_hh.0`.
    pub label: String,
    /// One slot per binding of the kernel.
    pub bindings: Vec<Slot>,
    /// One word per argument of the kernel.
    pub args: Vec<Word>,
    /// Form of the kernel.
    pub variant: Variant,
    /// Once, or once per step.
    pub repeat: Repeat,
}

impl Dispatch {
    /// The arguments under `values`.
    pub fn eval(&self, values: &Values) -> Vec<u32> {
        self.args.iter().map(|w| w.eval(values)).collect()
    }
}

/// An ordered list of dispatches.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Its name, for printing and profiles.
    pub name: &'static str,
    /// The dispatches, in order; each sees what those before it wrote.
    pub dispatches: Vec<Dispatch>,
}

impl Recording {
    /// An empty recording.
    pub fn new(name: &'static str) -> Self {
        Recording { name, dispatches: Vec::new() }
    }

    /// Appends a dispatch.
    ///
    /// # Panics
    /// If bindings or arguments don't match the kernel, or a slot is written and bound a second time: the device would refuse
    /// the second, so it fails here, on any machine.
    pub fn push(&mut self, dispatch: Dispatch) {
        let (kernel, label) = (dispatch.kernel, &dispatch.label);
        assert_eq!(dispatch.bindings.len(), kernel.bindings.len(), "{label}: bindings of {}", kernel.name);
        assert_eq!(dispatch.args.len(), kernel.args.len(), "{label}: arguments of {}", kernel.name);
        for (i, (slot, binding)) in dispatch.bindings.iter().zip(kernel.bindings).enumerate() {
            let twice = dispatch.bindings.iter().enumerate().any(|(j, s)| j != i && s == slot);
            assert!(binding.access == Access::Read || !twice, "{label}: {} is written and bound a second time", binding.name);
        }
        self.dispatches.push(dispatch);
    }

    /// Dispatches that a replay of `steps` steps issues.
    pub fn dispatch_count(&self, steps: u32) -> u32 {
        let count = |d: &Dispatch| match d.repeat {
            Repeat::Once => 1,
            Repeat::Steps(extra) => steps + extra,
        };
        self.dispatches.iter().map(count).sum()
    }

    /// The recording as text, one dispatch a line.
    pub fn print(&self, arena: &Arena) -> String {
        let mut text = format!("{}:\n", self.name);
        for d in &self.dispatches {
            let _ = write!(text, "  {:<14} {:<16}", d.kernel.name, d.label);
            for (slot, binding) in d.bindings.iter().zip(d.kernel.bindings) {
                let arrow = if binding.access == Access::ReadWrite { "*" } else { "" };
                let _ = write!(text, " {}={}{arrow}", binding.name, arena.name(*slot));
            }
            for (name, word) in d.kernel.args.iter().zip(&d.args) {
                let _ = write!(text, " {name}={word}");
            }
            if d.kernel.tiled {
                let _ = write!(text, " tile={}", d.variant.tile);
            }
            text.push_str(if d.repeat == Repeat::Once { "\n" } else { " (each step)\n" });
        }
        text
    }
}

/// What has been issued so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Kernel dispatches.
    pub dispatches: u64,
    /// Submissions to the device's queue.
    pub submits: u64,
}

/// What runs a program: the one on a GPU, or the one on the CPU.
pub trait Executor {
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
