//! In a browser tab: one thread, which must never wait, since what it waits for comes between its turns.

use crate::error::{Error, Result};
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use web_time::{SystemTime, UNIX_EPOCH};

pub(crate) use web_time::Instant;

/// Whether a call may wait.
pub(crate) const WAITS: bool = false;

/// What to do where there is no GPU.
pub(crate) const NO_GPU: &str = "take a browser that has WebGPU, and a page from https or localhost";

/// Unknown here.
pub(crate) fn total_memory() -> Option<u64> {
    None
}

/// The one that runs this.
pub(crate) fn cores() -> usize {
    1
}

/// Parts of work, one after the other.
pub(crate) struct Pool(usize);

impl Pool {
    /// So many parts.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        Ok(Pool(threads.max(1)))
    }

    /// Parts that work is split into.
    pub(crate) fn parts(&self) -> usize {
        self.0
    }

    /// Runs `f`.
    pub(crate) fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        f()
    }
}

/// Runs the tasks in their order.
pub(crate) fn run_all<F: FnOnce() + Send>(tasks: Vec<F>) {
    tasks.into_iter().for_each(|task| task());
}

/// Calls `f` with each, in their order.
pub(crate) fn for_each<T: Sync>(all: &[T], f: impl Fn(&T) + Send + Sync) {
    all.iter().for_each(f);
}

/// What `f` makes of each, in their order.
pub(crate) fn map<T: Sync, R: Send>(all: &[T], _least: usize, f: impl Fn(&T) -> Result<R> + Send + Sync) -> Result<Vec<R>> {
    all.iter().map(f).collect()
}

/// The answer of a future, if it is there at once.
///
/// # Errors
/// What the future gives; [`Error::Usage`] if it would have to be waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(waits()),
    }
}

/// Whether a call may wait.
///
/// # Errors
/// [`Error::Usage`]: never.
pub(crate) fn may_wait() -> Result<()> {
    Err(waits())
}

fn waits() -> Error {
    Error::Usage("a browser tab can't wait for the device; use the asynchronous form of this call (open_async, new_async, parameters_async, ...)".to_string())
}

/// What a future does that waits for what only answers when asked. Here the browser answers by itself.
///
/// # Errors
/// None.
pub(crate) fn advance(_waker: &Waker, _ask: impl FnOnce() -> Result<()>) -> Result<()> {
    Ok(())
}

/// Does nothing for so long: not possible here.
///
/// # Errors
/// [`Error::Usage`]: always.
pub(crate) fn pause(_time: Duration) -> Result<()> {
    may_wait()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A tab shares its files, of which there are none, with nobody.
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
