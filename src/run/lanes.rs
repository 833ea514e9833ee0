//! Warnings about lanes that begin in another state than the text before them leaves.

use super::{Event, Run};
use crate::error::{Error, Result};

/// Share of a validation's steps that may be read again without a warning.
const WORTH_A_WORD: f64 = 0.05;

impl Run {
    /// Warns once about what validation had to read again, if that is more than a little.
    pub(super) fn say_read_again(&mut self, observer: &mut dyn FnMut(Event<'_>)) {
        let (again, unit) = (self.trainer.read_again(), self.trainer.unit());
        if again.steps as f64 > WORTH_A_WORD * again.first as f64
            && let Some(note) = again.note("lanes", unit)
        {
            self.warn_once(3, &format!("validation: {note}"), observer);
        }
    }

    /// At the end of epochs 1, 2, 4, 8, ... (to keep the cost small), checks whether lanes that begin at zero reach the states that the text before them
    /// leads to. Warns once if they do not: training itself reads them that way.
    pub(super) fn look_for_trapped_lanes(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let epoch = self.trainer.counters().cursor.epoch;
        if !self.trainer.at_epoch_end() || !epoch.is_power_of_two() || self.failing[4] {
            return Ok(());
        }
        self.pause()?;
        let found = match self.trainer.trapped() {
            // The next update reports it.
            Err(Error::Interrupted) => None,
            found => found?,
        };
        if let Some((apart, of)) = found.filter(|found| found.0 > 0) {
            let text = format!(
                "each epoch begins its lanes at zero, and {apart} of {of} are still in another state after 256 {} than the lane before leads to, \
                 after epoch {epoch}: the model has states that it does not come out of, and trains on them too; a smaller `batch` has fewer such lanes",
                self.trainer.content().unit()
            );
            self.warn_once(4, &text, observer);
        }
        self.go()
    }
}
