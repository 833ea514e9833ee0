//! Recovery from a lost device: it is opened again, and training continues from the last checkpoint.

use super::{End, Event, Run, START};
use crate::device::{Device, DeviceSpec, ExecutionConfig};
use crate::error::{Error, Result};
use crate::platform::{self, Instant};
use crate::store::{Checkpoint, Model};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to do when the device is lost.
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDeviceLost {
    /// End with an error; the last checkpoint stays.
    #[default]
    Stop,
    /// Open it again and continue from the last checkpoint.
    Retry,
}

/// Seconds before each attempt to open the device again: a driver that was reset takes a while.
const PAUSES: [f32; 5] = [0.5, 2.0, 5.0, 15.0, 30.0];
/// Most losses of the device without a new checkpoint in between.
const FRUITLESS: u32 = 3;

impl Run {
    /// As [`Run::train`], but with [`OnDeviceLost::Retry`] a lost device is opened again, and training continues from the last checkpoint. The result has
    /// the same bits as that of a run without the loss.
    ///
    /// # Errors
    /// As [`Run::train`], or if the device is lost for good.
    pub fn train_on(mut self, lost: OnDeviceLost, observer: &mut dyn FnMut(Event<'_>)) -> Result<(Self, End)> {
        if lost == OnDeviceLost::Retry && self.trainer.ranks().is_some() {
            return Err(Error::setting("on_device_lost", "`on_device_lost` retry is for one process; leave it out where several train together"));
        }
        let (mut checkpoint, mut fruitless) = (None, 0);
        loop {
            let why = match self.train(observer) {
                Ok(end) => return Ok((self, end)),
                Err(Error::Lost(why)) => why,
                Err(e) => return Err(e),
            };
            let (path, last) = (self.folder.path().to_path_buf(), self.saved_at.unwrap_or_default());
            fruitless = if checkpoint == Some(last) { fruitless + 1 } else { 1 };
            checkpoint = Some(last);
            if lost == OnDeviceLost::Stop {
                return Err(stopped(&why, last, &path, ", with `on_device_lost` retry to do so by itself"));
            }
            if fruitless > FRUITLESS {
                return Err(stopped(&format!("{why}; that was {fruitless} times in a row"), last, &path, ""));
            }
            observer(Event::Warning(&format!("{why}; opening it again, to go on from the checkpoint of update {last}")));
            self = self.again(observer).map_err(|e| match e {
                Error::Lost(why) | Error::Device(why) => stopped(&why, last, &path, ""),
                e => e,
            })?;
        }
    }

    /// Resumes from the last checkpoint on the same device, opened again.
    fn again(self, observer: &mut dyn FnMut(Event<'_>)) -> Result<Self> {
        let checkpoint = Checkpoint::load(&self.folder.file("checkpoint.safetensors"))?;
        let interrupt = self.trainer.interrupt();
        let Run { folder, mut config, profiled, trainer, device, monitor, .. } = self;
        let watched = trainer.engine.is_watched();
        // Frees what is left of the lost device before another is requested.
        drop((trainer, monitor, device));
        let start = config.from.is_some().then(|| Model::load(&folder.file(START))).transpose()?;
        let corpus = config.find_corpus(start.as_ref())?;
        let device = open(config.device, &checkpoint.choices, &interrupt, observer)?;
        let mut run = Self::resume(folder, config, device, corpus, &checkpoint)?;
        run.trainer.set_interrupt(interrupt);
        run.profiled = profiled;
        if watched {
            run.detect_anomalies();
        }
        observer(Event::Opened(&run.device, checkpoint.counters.updates));
        Ok(run)
    }
}

/// Tries, with growing pauses, until the same device is available again.
fn open(wish: DeviceSpec, before: &ExecutionConfig, interrupt: &Arc<AtomicBool>, observer: &mut dyn FnMut(Event<'_>)) -> Result<Device> {
    let mut error = Error::Device(format!("{} is not there any more", before.description));
    for seconds in PAUSES {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs_f32(seconds) {
            if interrupt.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            platform::pause(Duration::from_millis(50))?;
        }
        match Device::open_again(wish, Some(before)) {
            Ok((device, _)) if device.choices() == *before => return Ok(device),
            Ok((device, _)) => error = Error::Device(format!("{} is not there any more; there is {device}", before.description)),
            Err(e) => error = e,
        }
        observer(Event::Warning(&format!("{error}; trying again")));
    }
    Err(error)
}

fn stopped(why: &str, checkpoint: u64, folder: &Path, more: &str) -> Error {
    Error::Lost(format!(
        "{why}; the last checkpoint is of update {checkpoint}: go on with `retrograd train --resume {}`{more}",
        crate::phrase::argument(folder)
    ))
}
