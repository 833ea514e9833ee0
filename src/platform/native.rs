//! A native process.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::fs::File;
use std::future::Future;
use std::io;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use std::time::Instant;

/// Whether calls may block.
pub(crate) const BLOCKS: bool = true;

/// Whether graphics adapters can be asked for at all.
pub(crate) fn has_graphics() -> bool {
    true
}

/// Advice for a machine without a GPU adapter.
pub(crate) const NO_GPU: &str = "install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers)";

/// Pause between two polls of a device.
const POLL_PAUSE: Duration = Duration::from_micros(100);

/// Memory available to this process in bytes: the machine's, or less in a container; `None` if unknown.
pub(crate) fn total_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let all = Some(system.total_memory()).filter(|n| *n > 0)?;
    Some(system.cgroup_limits().map_or(all, |c| all.min(c.total_memory)))
}

/// Cores available to this process.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Cores of the machine, whichever of them this process may use.
pub(crate) fn machine_cores() -> usize {
    let mut system = sysinfo::System::new();
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    system.cpus().len().max(1)
}

#[path = "pool.rs"]
mod pool;

pub(crate) use pool::{run_all, run_together};

/// The threads of the CPU executor.
pub(crate) struct Pool(pool::Pool);

impl Pool {
    /// A pool of so many threads, the caller's included.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let pool = pool::Pool::new(threads, threads <= cores());
        pool.map(Pool).map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))
    }

    /// Number of parts to split work into.
    pub(crate) fn parts(&self) -> usize {
        self.0.parts()
    }

    /// Runs `f`, in which [`run_all`] and [`run_together`] use this pool.
    pub(crate) fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.install(f)
    }
}

/// Bytes of the cache that a core has for itself; where the system doesn't tell, 1 MiB.
pub(crate) fn cache_bytes() -> usize {
    static BYTES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| {
        let size = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index2/size").ok();
        size.and_then(|s| s.trim().strip_suffix('K')?.parse::<usize>().ok()).map_or(1 << 20, |kib| kib << 10)
    })
}

/// Calls `f` on each element, in parallel.
pub(crate) fn for_each<T: Sync>(all: &[T], f: impl Fn(&T) + Send + Sync) {
    all.par_iter().for_each(f);
}

/// Maps the elements in parallel, at least `least` of them per thread; keeps their order.
pub(crate) fn map<T: Sync, R: Send>(all: &[T], least: usize, f: impl Fn(&T) -> Result<R> + Send + Sync) -> Result<Vec<R>> {
    all.par_iter().with_min_len(least).map(f).collect()
}

/// Blocks until a future completes.
///
/// # Errors
/// Those of the future.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(future)
}

/// Fails where calls may not block.
///
/// # Errors
/// Never.
pub(crate) fn may_block() -> Result<()> {
    Ok(())
}

/// Makes progress for a pending future: polls the device, and has the future polled again soon.
///
/// # Errors
/// Those of `poll`.
pub(crate) fn advance(waker: &Waker, poll: impl FnOnce() -> Result<()>) -> Result<()> {
    poll()?;
    pause(POLL_PAUSE)?;
    waker.wake_by_ref();
    Ok(())
}

/// Sleeps.
///
/// # Errors
/// Never.
pub(crate) fn pause(time: Duration) -> Result<()> {
    std::thread::sleep(time);
    Ok(())
}

/// Ends the process.
pub(crate) fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Number of this process.
pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// Reads from an offset of a file.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, at)
}

/// Reads from an offset of a file.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, at)
}

/// Lets another thread have this one's core.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

/// Whether this thread is panicking.
pub(crate) fn is_failing() -> bool {
    std::thread::panicking()
}
