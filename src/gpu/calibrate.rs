//! Chooses kernel variants for an adapter: measured once (milliseconds, after a warm-up) and kept in the user's cache folder, keyed by adapter, driver
//! and this crate's version.

use super::adapter::Adapter;
use super::cache;
use super::device::GpuDevice;
use super::measure::{self, Timer};
use super::variants::{Variants, key};
use crate::error::Result;
use crate::files;
use crate::kernel::Capabilities;
use crate::platform;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Parses a calibration cache.
fn remembered(bytes: &[u8]) -> serde_json::Result<Vec<Remembered>> {
    serde_json::from_slice(bytes)
}

/// The variants in a calibration cache, each with the capabilities a device gets from them; for tests of damaged files.
pub fn cached(bytes: &[u8]) -> Option<Vec<(Variants, Capabilities)>> {
    let with = |r: Remembered| {
        let mut capabilities = crate::cpu::capabilities();
        r.variants.apply(&mut capabilities);
        (r.variants, capabilities)
    };
    remembered(bytes).ok().map(|all| all.into_iter().map(with).collect())
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    adapter: String,
    variants: Variants,
}

/// Sets the device's variants, from the cache or by measuring. Without measuring, which blocks, the defaults for its kind stay where nothing is cached.
fn choose(gpu: &mut GpuDevice, measures: bool) -> Result<()> {
    let key = key(&gpu.info);
    let path = cache_file();
    let known = path.as_ref().and_then(|p| std::fs::read(p).ok());
    let mut all = match known.as_deref().map(remembered) {
        Some(Ok(all)) => all,
        Some(Err(e)) => {
            let path = path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
            log::warn!("the calibration cache {path} is damaged ({e}); measuring again");
            Vec::new()
        }
        None => Vec::new(),
    };
    all.retain(|r| r.variants.megaflops > 0);
    if let Some(r) = all.iter().find(|r| r.adapter == key) {
        r.variants.apply(&mut gpu.capabilities);
        gpu.calibration = "remembered";
        return Ok(());
    }
    if !measures {
        gpu.calibration = "not measured";
        return Ok(());
    }
    if !all.is_empty() {
        log::warn!("the calibration cache has nothing for this adapter, driver and version; measuring");
    }
    let variants = measure::measure(&gpu.info, &gpu.capabilities, &mut Timer::new(gpu))?;
    variants.apply(&mut gpu.capabilities);
    gpu.calibration = "measured";
    all.push(Remembered { adapter: key, variants });
    if let Some(path) = path {
        // The cache only saves time: if it can't be written, the next run measures again.
        let folder = path.parent().map(std::fs::create_dir_all);
        if let (Some(Ok(())), Ok(bytes)) = (folder, serde_json::to_vec_pretty(&all)) {
            let _ = files::replace(&path, &bytes);
        }
    }
    Ok(())
}

fn cache_file() -> Option<PathBuf> {
    cache::folder().map(|folder| folder.join("calibration.json"))
}

impl GpuDevice {
    /// Opens an adapter with all its limits and chooses kernel variants, from the user's cache folder or by measuring.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the adapter refuses.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        let mut gpu = platform::block_on(Self::unmeasured(adapter))?;
        choose(&mut gpu, true)?;
        Ok(gpu)
    }

    /// Like [`GpuDevice::open_with`], without blocking, and so without measuring: if no variants are given or cached, the defaults for the adapter's
    /// kind are used, which may be several times slower.
    ///
    /// # Errors
    /// As [`GpuDevice::open_with`].
    pub async fn open_async(adapter: &Adapter, variants: Option<Variants>) -> Result<Self> {
        let mut gpu = Self::unmeasured(adapter).await?;
        match variants {
            Some(variants) => variants.apply(&mut gpu.capabilities),
            None => choose(&mut gpu, false)?,
        }
        Ok(gpu)
    }

    /// Like [`GpuDevice::open`], but with the given variants, if any.
    ///
    /// # Errors
    /// As for [`GpuDevice::open`].
    pub fn open_with(adapter: &Adapter, variants: Option<Variants>) -> Result<Self> {
        let Some(variants) = variants else { return Self::open(adapter) };
        let mut gpu = platform::block_on(Self::unmeasured(adapter))?;
        variants.apply(&mut gpu.capabilities);
        Ok(gpu)
    }

    /// Each form of the matmul and of the recurrence that calibration chooses from: its name, and the capabilities with that form alone.
    pub fn every_form(&self) -> Vec<(String, Capabilities)> {
        measure::every_form(&self.info, &self.capabilities)
    }
}
