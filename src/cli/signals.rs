//! Signals: those that end training in good order, and those that the caller wants ignored.

use super::tell;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A flag that Ctrl-C (or a request to end) sets; a second one ends the process at once. A signal that the caller ignores (`nohup`, a background job
/// of a script) stays ignored.
pub(super) fn interruptible() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let first = OnceLock::new();
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            // One request may come as two signals, to the process and to its group.
            if first.get_or_init(Instant::now).elapsed() > Duration::from_millis(100) {
                std::process::exit(130);
            }
            return;
        }
        first.get_or_init(Instant::now);
        tell("\ninterrupted: saving; press Ctrl-C again to leave at once without saving");
    };
    let ignored = system::ignored();
    ctrlc::set_handler(handler).map_err(|e| Error::Device(format!("cannot listen for Ctrl-C: {e}")))?;
    system::ignore(&ignored);
    Ok(flag)
}

/// Makes a file that reaches the shell's size limit an error of that file, not the end of the process.
pub(super) fn report_size_limits() {
    system::report_size_limits();
}

#[cfg(unix)]
mod system {
    use libc::c_int;

    /// The signals that [`ctrlc`] handles.
    const TAKEN: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

    /// Those of them that are currently ignored.
    #[allow(unsafe_code)]
    pub(super) fn ignored() -> Vec<c_int> {
        let is_ignored = |signal: &c_int| {
            // SAFETY: a `sigaction` of zeros is a valid value; without a new action the call only fills in the old one, which outlives it.
            unsafe {
                let mut old: libc::sigaction = std::mem::zeroed();
                libc::sigaction(*signal, std::ptr::null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
            }
        };
        TAKEN.into_iter().filter(is_ignored).collect()
    }

    #[allow(unsafe_code)]
    pub(super) fn ignore(signals: &[c_int]) {
        for signal in signals {
            // SAFETY: SIG_IGN runs no code of ours; the signals are valid.
            unsafe { libc::signal(*signal, libc::SIG_IGN) };
        }
    }

    pub(super) fn report_size_limits() {
        ignore(&[libc::SIGXFSZ]);
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn ignored() -> Vec<i32> {
        Vec::new()
    }

    pub(super) fn ignore(_: &[i32]) {}

    pub(super) fn report_size_limits() {}
}
