//! A browser tab: one thread, which must not block, since results only arrive when it returns to the event loop.

use crate::error::{Error, Result};
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use web_time::{SystemTime, UNIX_EPOCH};

pub(crate) use web_time::Instant;

/// Whether calls may block.
pub(crate) const BLOCKS: bool = false;

/// Whether graphics adapters can be asked for at all: only a page and a dedicated worker have a `navigator.gpu`.
pub(crate) fn has_graphics() -> bool {
    let global = js_sys::global();
    ["Window", "WorkerGlobalScope"].iter().any(|name| js_sys::Reflect::has(&global, &(*name).into()).unwrap_or(false))
}

/// Advice for a browser without a GPU adapter.
pub(crate) const NO_GPU: &str = "use a browser with WebGPU, on a page from https or localhost";

/// Unknown.
pub(crate) fn total_memory() -> Option<u64> {
    None
}

/// The only one.
pub(crate) fn cores() -> usize {
    1
}

/// The only one.
pub(crate) fn machine_cores() -> usize {
    1
}

/// In place of a thread pool: the same parts of work, one after the other.
pub(crate) struct Pool(usize);

impl Pool {
    /// So many parts.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        Ok(Pool(threads.max(1)))
    }

    /// Number of parts to split work into.
    pub(crate) fn parts(&self) -> usize {
        self.0
    }

    /// Runs `f`.
    pub(crate) fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        f()
    }
}

/// Runs the tasks in order.
pub(crate) fn run_all<F: FnOnce() + Send>(tasks: Vec<F>) {
    tasks.into_iter().for_each(|task| task());
}

/// Runs the task: there is one thread, so there is one task.
pub(crate) fn run_together<F: FnOnce() + Send>(tasks: Vec<F>) {
    assert!(tasks.len() <= 1, "{} tasks at once", tasks.len());
    run_all(tasks);
}

/// Bytes of the cache that a core has for itself, which a browser doesn't tell.
pub(crate) fn cache_bytes() -> usize {
    1 << 20
}

/// Calls `f` on each element.
pub(crate) fn for_each<T: Sync>(all: &[T], f: impl Fn(&T) + Send + Sync) {
    all.iter().for_each(f);
}

/// Maps the elements.
pub(crate) fn map<T: Sync, R: Send>(all: &[T], _least: usize, f: impl Fn(&T) -> Result<R> + Send + Sync) -> Result<Vec<R>> {
    all.iter().map(f).collect()
}

/// The result of a future that is ready at once.
///
/// # Errors
/// Those of the future; [`Error::Usage`] if it is not ready.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(blocks()),
    }
}

/// Fails where calls may not block.
///
/// # Errors
/// [`Error::Usage`], always.
pub(crate) fn may_block() -> Result<()> {
    Err(blocks())
}

fn blocks() -> Error {
    Error::Usage(
        "a browser tab cannot wait for a GPU; use the asynchronous form of this call (open_async, new_async, parameters_async, ...), or `device` cpu"
            .to_string(),
    )
}

/// Makes progress for a pending future: nothing to do, the browser wakes it.
///
/// # Errors
/// Never.
pub(crate) fn advance(_waker: &Waker, _poll: impl FnOnce() -> Result<()>) -> Result<()> {
    Ok(())
}

/// Would block.
///
/// # Errors
/// [`Error::Usage`], always.
pub(crate) fn pause(_time: Duration) -> Result<()> {
    may_block()
}

/// There is no process to end.
pub(crate) fn exit(code: i32) -> ! {
    panic!("the program ends with exit code {code}")
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// There are no files to share with other processes.
pub(crate) fn process_id() -> u32 {
    0
}

/// There are no files.
///
/// # Errors
/// Always.
pub(crate) fn read_at(_file: &File, _out: &mut [u8], _at: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets another thread have this one's core.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

/// Whether this thread is panicking.
pub(crate) fn is_failing() -> bool {
    std::thread::panicking()
}
