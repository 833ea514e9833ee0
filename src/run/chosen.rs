//! Which model of a run is used: the last, or the best by validation.

use super::DataKind;
use std::path::{Path, PathBuf};

/// The model at the end of training, or at the last checkpoint.
pub(crate) const LAST: &str = "model.safetensors";
/// The model with the lowest validation loss.
pub(crate) const BEST: &str = "best.safetensors";

/// Which model of a run is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Nobody says: the best of series and labels, if there is one, and the last of texts and tasks.
    Default,
    /// The best.
    Best,
    /// The last.
    Last,
}

impl Chosen {
    /// Its file in the folder of a run on such data.
    pub(crate) fn file(self, folder: &Path, kind: DataKind) -> PathBuf {
        let best = match self {
            Chosen::Best => true,
            Chosen::Last => false,
            // Short runs on little data end past their best: what is forecast or named with later models is worse.
            Chosen::Default => matches!(kind, DataKind::Series | DataKind::Labels) && folder.join(BEST).is_file(),
        };
        folder.join(if best { BEST } else { LAST })
    }
}
