//! One error type. A message is one line that says what failed, where, what was found, what was expected and what to do.

use std::fmt;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The command line or a setting is wrong; exit code 2.
    Usage(String),
    /// A file or its content is unusable; exit code 1.
    Input(String),
    /// The device is missing, lost or out of memory; exit code 1.
    Device(String),
    /// The user asked to stop; exit code 130.
    Interrupted,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The process exit code that goes with this error: 2 for bad usage, 130 for an interrupt, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Input(_) | Error::Device(_) => 1,
            Error::Interrupted => 130,
        }
    }
}

/// Says something on standard error. Whoever read it may be gone (a closed terminal, a full disk): that must not end a training.
pub fn tell(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(m) | Error::Input(m) | Error::Device(m) => f.write_str(m),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}
