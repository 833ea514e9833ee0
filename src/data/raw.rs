//! Random access to bytes in a file or in memory. Files are not memory-mapped: if
//! another program truncates one, a read fails instead of a signal ending the process.

use crate::platform::{self, Instant};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a read waits for missing bytes: programs that rewrite a file truncate it first.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

pub(super) enum Raw {
    Batch(Arc<Vec<u8>>),
    File {
        file: File,
        /// Length when opened.
        len: u64,
    },
}

impl Raw {
    /// Length; that of a file when it was opened.
    pub(super) fn len(&self) -> u64 {
        match self {
            Raw::Batch(bytes) => bytes.len() as u64,
            Raw::File { len, .. } => *len,
        }
    }

    /// Current length.
    pub(super) fn len_now(&self) -> u64 {
        match self {
            Raw::Batch(bytes) => bytes.len() as u64,
            Raw::File { file, .. } => file.metadata().map_or(0, |m| m.len()),
        }
    }

    /// Fills `out` with the bytes from `at` on. Returns false if the file was truncated and stays so.
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> io::Result<bool> {
        let file = match self {
            Raw::Batch(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let found = bytes.get(from..).and_then(|rest| rest.get(..out.len()));
                return Ok(found.is_some_and(|found| {
                    out.copy_from_slice(found);
                    true
                }));
            }
            Raw::File { file, .. } => file,
        };
        let (mut done, mut since) = (0, None);
        while done < out.len() {
            match platform::read_at(file, &mut out[done..], at + done as u64) {
                Ok(0) => {
                    if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Ok(false);
                    }
                    platform::pause(PAUSE).map_err(io::Error::other)?;
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}
