//! On a machine.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::fs::File;
use std::future::Future;
use std::io;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use std::time::Instant;

/// Whether a call may wait.
pub(crate) const WAITS: bool = true;

/// What to do where there is no GPU.
pub(crate) const NO_GPU: &str = "install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers)";

/// How often something that only answers when asked is asked.
const ASKED_EVERY: Duration = Duration::from_micros(100);

/// Bytes of memory that this process may have: the machine's, or less in a container; none if unknown.
pub(crate) fn total_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let all = Some(system.total_memory()).filter(|n| *n > 0)?;
    Some(system.cgroup_limits().map_or(all, |c| all.min(c.total_memory)))
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads.
pub(crate) struct Pool(rayon::ThreadPool);

impl Pool {
    /// So many threads.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(Pool).map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))
    }

    /// Parts that work is split into.
    pub(crate) fn parts(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs `f`, whose [`run_all`] uses these threads.
    pub(crate) fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.install(f)
    }
}

/// Runs the tasks on the current thread pool and waits for all.
pub(crate) fn run_all<F: FnOnce() + Send>(mut tasks: Vec<F>) {
    let Some(last) = tasks.pop() else { return };
    rayon::scope(|scope| {
        for task in tasks {
            scope.spawn(|_| task());
        }
        last();
    });
}

/// Calls `f` with each, side by side.
pub(crate) fn for_each<T: Sync>(all: &[T], f: impl Fn(&T) + Send + Sync) {
    all.par_iter().for_each(f);
}

/// What `f` makes of each, in their order, at least so many to a thread.
pub(crate) fn map<T: Sync, R: Send>(all: &[T], least: usize, f: impl Fn(&T) -> Result<R> + Send + Sync) -> Result<Vec<R>> {
    all.par_iter().with_min_len(least).map(f).collect()
}

/// The answer of a future; waits for it.
///
/// # Errors
/// What the future gives.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(future)
}

/// Whether a call may wait.
///
/// # Errors
/// None.
pub(crate) fn may_wait() -> Result<()> {
    Ok(())
}

/// What a future does that waits for what only answers when asked: asks, and is polled again soon.
///
/// # Errors
/// What asking gives.
pub(crate) fn advance(waker: &Waker, ask: impl FnOnce() -> Result<()>) -> Result<()> {
    ask()?;
    pause(ASKED_EVERY)?;
    waker.wake_by_ref();
    Ok(())
}

/// Does nothing for so long.
///
/// # Errors
/// None.
pub(crate) fn pause(time: Duration) -> Result<()> {
    std::thread::sleep(time);
    Ok(())
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// What tells this process from others that run.
pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// Reads from a place of a file on, as much as comes at once.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, at)
}

/// Reads from a place of a file on, as much as comes at once.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, at)
}
