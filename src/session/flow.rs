//! What `gradflow` measures unless it is told otherwise.

use crate::data::{Sequences, Set, Symbols, SyntheticTask};
use crate::error::Result;
use std::sync::Arc;

/// Settings of a fresh model.
pub const FRESH: [&str; 7] = ["hidden", "layers", "cell", "forget_bias", "activation", "init", "no_bias"];

/// Fresh sequences of a task.
const TASK_SEQUENCES: u64 = 2000;

/// Fresh sequences of the task that a model was trained on.
///
/// # Errors
/// If they are too many to count.
pub fn of_task(task: SyntheticTask, seed: u64) -> Result<(Arc<Symbols>, Sequences)> {
    let symbols = Arc::new(task.symbols(seed, Set::Fresh, TASK_SEQUENCES)?);
    let sequences = Sequences::asked(symbols.clone(), task.steps(), task.answers())?;
    Ok((symbols, sequences))
}

/// The longest lag: as far as a text or its longest sequence reaches, at most 128 steps.
pub fn default_lags(symbols: &Symbols, sequences: Option<&Sequences>) -> u32 {
    let most = sequences.map_or(symbols.len().saturating_sub(2), |s| u64::from(s.longest()).saturating_sub(1));
    most.clamp(1, 128) as u32
}
