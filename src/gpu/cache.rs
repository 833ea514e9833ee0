//! The pipeline cache in the user's cache folder, for adapters that expose compiled pipelines. It only saves time: a file that can't be read or written,
//! is damaged, or belongs to another adapter is ignored.

use crate::files;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of a pipeline file; the checksum and the data follow.
const MAGIC: &[u8; 8] = b"RGPIPES1";

/// The crate's folder in the user's cache folder; `None` if there is no cache folder.
pub fn folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder("XDG_CACHE_HOME").or_else(|| folder("LOCALAPPDATA")).or_else(|| folder("HOME").map(|h| h.join(".cache")))?;
    Some(base.join("retrograd"))
}

/// The driver's cache of compiled pipelines, and its file.
pub(super) struct PipelineCache {
    /// Passed to wgpu when a pipeline is created.
    pub(super) inner: wgpu::PipelineCache,
    path: PathBuf,
    key: String,
    /// The data in the file.
    stored: Vec<u8>,
}

impl PipelineCache {
    /// Opens the cache of an adapter and this crate's version, filled from its file; `None` if the adapter has no such cache or there is no folder.
    pub(super) fn open(device: &wgpu::Device, key: &str) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder()?.join(format!("pipelines-{:016x}.bin", xxh3_64(key.as_bytes())));
        let stored = std::fs::read(&path).ok().map_or(Vec::new(), |bytes| {
            unpack(key, &bytes).unwrap_or_else(|| {
                log::warn!("the cached pipelines in {} are damaged or of another adapter; compiling again", path.display());
                Vec::new()
            })
        });
        let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: (!stored.is_empty()).then_some(&stored[..]), fallback: true };
        // SAFETY: the data came from `get_data` for this adapter and driver, as the checksum over key and data shows; wgpu also checks its own header, and
        // starts with an empty cache if it does not match.
        #[allow(unsafe_code)]
        let inner = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(PipelineCache { inner, path, key: key.to_string(), stored })
    }
}

impl Drop for PipelineCache {
    /// Writes the file if the cache has changed.
    fn drop(&mut self) {
        let Some(data) = self.inner.get_data().filter(|d| *d != self.stored) else { return };
        let folder = self.path.parent().map(std::fs::create_dir_all);
        if folder.is_some_and(|made| made.is_ok()) {
            let _ = files::replace(&self.path, &pack(&self.key, &data));
        }
    }
}

fn pack(key: &str, data: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &checksum(key, data), data].concat()
}

/// The data of a file, if intact and written for this key.
fn unpack(key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let (sum, data) = bytes.strip_prefix(MAGIC)?.split_at_checked(8)?;
    (*sum == checksum(key, data)).then(|| data.to_vec())
}

fn checksum(key: &str, data: &[u8]) -> [u8; 8] {
    xxh3_64(&[key.as_bytes(), data].concat()).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_of_the_same_adapter_are_taken() {
        let file = pack("adapter", b"pipelines");
        assert_eq!(unpack("adapter", &file).as_deref(), Some(&b"pipelines"[..]));
        assert_eq!(unpack("other", &file), None);
        for i in 0..file.len() {
            assert_eq!(unpack("adapter", &file[..i]), None, "cut off after {i}");
            let mut damaged = file.clone();
            damaged[i] ^= 4;
            assert_eq!(unpack("adapter", &damaged), None, "byte {i}");
        }
    }
}
