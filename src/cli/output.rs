//! Standard output. A reader that closes it early is no failure; any other failure is reported at the end, with exit code 1.

use super::settings::in_flags;
use crate::error::{Error, Result};
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether the reader has closed standard output.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// The first failure that was not a closed pipe.
static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// Whether another process says all there is to say.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, says nothing: the first of several processes that train together speaks for all.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Says why this process ends all others, even if another one speaks for all.
pub(super) fn say_last(words: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", in_flags(words));
}

/// Writes and flushes; false if nothing more can be written.
pub(super) fn write(bytes: &[u8]) -> bool {
    if CLOSED.load(Ordering::Relaxed) || QUIET.load(Ordering::Relaxed) {
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

/// Prints a line on standard error, with settings named as flags. A failure (a closed terminal, a full disk) is ignored: it must not end training.
pub(super) fn tell(line: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    let _ = writeln!(std::io::stderr().lock(), "{}", in_flags(line));
}

/// Prints what the library logs.
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

/// Starts printing what the library logs.
pub(super) fn say_logs() {
    // Fails only if there is already a logger, which then prints it.
    if log::set_logger(&Log).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

/// Checks that all output was written.
///
/// # Errors
/// [`Error::Input`] if it was not.
pub(super) fn arrived() -> Result<()> {
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(e) => Err(Error::Input(format!("cannot write standard output: {e}; what was written there is cut short: free space, and run the command again"))),
        None => Ok(()),
    }
}
