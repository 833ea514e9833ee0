//! Atomic file replacement: written under a temporary name, synced, renamed.

use crate::error::{Error, Result};
use crate::platform;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Replaces a file by `bytes`. Readers see the old content or the new, even after a crash.
///
/// # Errors
/// [`Error::Input`] if the disk is full, the folder read-only, ...; the old content then remains.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", platform::process_id()));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    };
    write().map_err(|e: std::io::Error| {
        // The temporary file is worthless, and may be what fills the disk.
        let _ = fs::remove_file(&temporary);
        Error::Input(format!("cannot write {}: {e}; free space or make the folder writable", path.display()))
    })
}

/// Makes the rename durable, where folders can be synced.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Input`] if it can't be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::Input(format!("cannot read {}: {e}", path.display())))
}

/// A checksum of bytes (XXH3, 128 bits), as hexadecimal digits.
pub fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Hasher::default();
    parts.into_iter().for_each(|p| hasher.update(p));
    hasher.digits()
}

/// Computes a [`checksum`] piece by piece.
#[derive(Default)]
pub(crate) struct Hasher(xxhash_rust::xxh3::Xxh3);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn digits(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}
