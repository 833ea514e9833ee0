//! Standard output: a reader that has seen enough and closed it is success; anything else that fails is said at the end, with exit code 1.

use super::settings::in_flags;
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

/// Says something on standard error, with settings named as flags. Whoever read it may be gone (a closed terminal, a full disk): that must not end a
/// training.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", in_flags(line));
}

/// Says what the library logs.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("retrograd")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            tell(&format!("note: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// From here on what the library logs is said.
pub(super) fn say_logs() {
    // Fails only where a logger is there already, which then says it.
    if log::set_logger(&Log).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
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
