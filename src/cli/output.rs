//! Standard output: a reader that has seen enough and closed it is success; anything else that fails is said at the end, with exit code 1.

use crate::error::{Error, Result};
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether nobody reads what is written.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// The first failure that was not a closed pipe.
static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// Writes and flushes; false if nothing more can be written.
pub(super) fn write(bytes: &[u8]) -> bool {
    if CLOSED.load(Ordering::Relaxed) {
        return false;
    }
    let mut out = std::io::stdout().lock();
    let Err(e) = out.write_all(bytes).and_then(|()| out.flush()) else { return true };
    CLOSED.store(true, Ordering::Relaxed);
    if e.kind() != ErrorKind::BrokenPipe {
        *FAILED.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.to_string());
    }
    false
}

/// Writes text with one newline at its end.
pub(super) fn say(text: &str) {
    write(format!("{}\n", text.trim_end_matches('\n')).as_bytes());
}

/// Whether all that was written arrived.
///
/// # Errors
/// [`Error::Input`] if it did not.
pub(super) fn arrived() -> Result<()> {
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(e) => Err(Error::Input(format!("cannot write standard output: {e}; what was written there is cut short: free space, and run the command again"))),
        None => Ok(()),
    }
}
