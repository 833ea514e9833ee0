//! The error type. A message is one line that says what failed, where, what was found, what was expected and what to do.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A setting has an invalid value, or one that conflicts with others; exit code 2.
    Setting {
        /// Its field in [`crate::Settings`] or [`crate::run::RunConfig`], or the argument of a function.
        setting: &'static str,
        /// What is wrong and what to do. Settings are quoted in backticks; the command line replaces them by its flags.
        message: String,
    },
    /// The request is impossible; exit code 2.
    Usage(String),
    /// A file or its content is unusable; exit code 1.
    Input(String),
    /// The device is missing, refuses, or is out of memory; exit code 1.
    Device(String),
    /// The device was lost or hangs, and its content is gone; it may work again once reopened; exit code 1.
    Lost(String),
    /// A check found a non-finite value; exit code 1.
    Anomaly(String),
    /// The user asked to stop; exit code 130.
    Interrupted,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The error for an invalid setting.
    pub(crate) fn setting(setting: &'static str, message: impl Into<String>) -> Self {
        Error::Setting { setting, message: message.into() }
    }

    /// The same error with another message.
    pub(crate) fn reworded(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Error::Setting { setting, message } => Error::Setting { setting, message: words(message) },
            Error::Usage(m) => Error::Usage(words(m)),
            Error::Input(m) => Error::Input(words(m)),
            Error::Device(m) => Error::Device(words(m)),
            Error::Lost(m) => Error::Lost(words(m)),
            Error::Anomaly(m) => Error::Anomaly(words(m)),
            Error::Interrupted => Error::Interrupted,
        }
    }

    /// The process exit code that goes with this error: 2 for bad usage, 130 for an interrupt, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Setting { .. } | Error::Usage(_) => 2,
            Error::Input(_) | Error::Device(_) | Error::Lost(_) | Error::Anomaly(_) => 1,
            Error::Interrupted => 130,
        }
    }
}

/// Checks that a result of a model is finite.
///
/// # Errors
/// [`Error::Anomaly`] if it is not: such a model is useless.
pub(crate) fn finite(what: &str, x: f64) -> Result<()> {
    if x.is_finite() { Ok(()) } else { Err(Error::Anomaly(format!("{what} is not finite: the model is of no use; train another with a lower `lr`"))) }
}

/// Characters of a file that a message quotes, at most.
const QUOTED: usize = 80;
/// The same for one of several names.
const NAMED: usize = 40;

/// A piece of a file's content for a message: quoted, on one line, at most about 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text, QUOTED))
}

/// Comma-separated names from a file for a message: as many as fit in 80 characters, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let mut out = String::new();
    for (i, name) in names.iter().enumerate() {
        let name = shortened(name, if names.len() == 1 { QUOTED } else { NAMED });
        if i > 0 && out.chars().count() + name.chars().count() > QUOTED {
            return format!("{out} and {} more", names.len() - i);
        }
        out = if i == 0 { name } else { format!("{out}, {name}") };
    }
    out
}

/// Text on one line, truncated to `most` characters.
fn shortened(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let shown = if c == '\'' { c.to_string() } else { c.escape_debug().to_string() };
        if out.chars().count() + shown.chars().count() > most {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}

thread_local! {
    /// Whether a panic of this thread will be caught and reported as an error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls a library that may panic; returns the panic's message as an error.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let before = CAUGHT.replace(true);
    // Anything the call leaves half done is never used again: see the callers.
    let done = catch_unwind(AssertUnwindSafe(call));
    CAUGHT.set(before);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no reason is given").lines().map(str::trim).collect::<Vec<_>>().join(" ")
    })
}

/// From now on, a panic that is caught and reported as an error is not printed as well.
pub(crate) fn print_no_caught_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !CAUGHT.get() {
            print(info);
        }
    }));
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Setting { message: m, .. } | Error::Usage(m) | Error::Input(m) | Error::Device(m) | Error::Lost(m) | Error::Anomaly(m) => f.write_str(m),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_quotes_more_than_a_line() {
        assert_eq!(quoted("it's \"so\"\n"), r#""it's \"so\"\n""#);
        let names = |n: usize, long: usize| (0..n).map(|i| format!("{}{i}", "x".repeat(long))).collect::<Vec<_>>();
        assert_eq!(listed(&names(3, 1)), "x0, x1, x2");
        for text in ["a".repeat(9000), "\u{1}".repeat(9000), "é\n".repeat(9000)] {
            assert!(quoted(&text).chars().count() <= 83 && quoted(&text).ends_with("…\""), "{}", quoted(&text));
            assert!(listed(std::slice::from_ref(&text)).chars().count() <= 81 && listed(&[text.clone(), text]).chars().count() <= 100);
        }
        assert!(listed(&names(500, 3)).ends_with("and 487 more"), "{}", listed(&names(500, 3)));
    }
}
