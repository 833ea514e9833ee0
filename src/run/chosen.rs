//! The model of a run to use: the last, or the best by validation.

use super::DataKind;
use std::path::{Path, PathBuf};

/// The model at the end of training, or at the last checkpoint.
pub(crate) const LAST: &str = "model.safetensors";
/// The model with the lowest validation loss.
pub(crate) const BEST: &str = "best.safetensors";

/// The requested model of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// Not stated: the best for series and labels, if there is one; the last for texts and tasks.
    Default,
    /// The best.
    Best,
    /// The last.
    Last,
}

impl Chosen {
    /// The model's file in the folder of a run on such data.
    pub fn file(self, folder: &Path, kind: DataKind) -> PathBuf {
        let best = match self {
            Chosen::Best => true,
            Chosen::Last => false,
            // Short runs on little data end past their best: later models forecast or classify worse.
            Chosen::Default => matches!(kind, DataKind::Series | DataKind::Labels) && folder.join(BEST).is_file(),
        };
        folder.join(if best { BEST } else { LAST })
    }
}
