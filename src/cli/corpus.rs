//! What a run is trained on: a text, the sequences of a task, lines with labels, or a table of numbers.

use crate::data::Codec;
use crate::error::{Error, Result};
use crate::run::RunConfig;
use crate::store::Model;
use crate::trainer::Corpus;
use std::sync::Arc;

/// Epochs of fewer updates do not each end with a validation.
const SHORT: u64 = 50;

/// Opens it, and notes in the configuration what tells it from others; if the number of lanes is `free`, that which a table wants.
///
/// # Errors
/// If it can't be read, or the model does not read its like.
pub(super) fn opened(config: &mut RunConfig, model: Option<&Model>, free: bool) -> Result<Corpus> {
    if let Some(wanted) = config.wanted()? {
        let series = model.map(|m| m.codec.series()).transpose()?;
        let table = Arc::new(config.open_table(&wanted, series)?);
        if free {
            config.batch = table.lanes();
        }
        if config.val_every.is_none() && config.val_fraction > 0.0 && table.updates(config.batch) < SHORT {
            config.val_every = Some(SHORT);
        }
        return Corpus::of_table(table, &config.settings());
    }
    reads_text(model)?;
    if let Some(labelled) = config.open_labelled(model.map(|m| &m.codec))? {
        return Corpus::of_labelled(labelled, &config.settings());
    }
    model.map_or(Ok(()), |m| m.codec.text().map(drop))?;
    let symbols = Arc::new(config.open_text(model.and_then(|m| m.codec.vocabulary()))?);
    Corpus::new(symbols, config.layout(), &config.settings())
}

/// Opens it again.
///
/// # Errors
/// If it is gone, or has changed.
pub(super) fn found(config: &mut RunConfig, model: Option<&Model>) -> Result<Corpus> {
    if let Some(wanted) = config.wanted()? {
        let series = model.map(|m| m.codec.series()).transpose()?;
        let table = config.find_table(&wanted, series)?;
        return Corpus::of_table(Arc::new(table), &config.settings());
    }
    if let Some(labelled) = config.find_labelled(model.map(|m| &m.codec))? {
        return Corpus::of_labelled(labelled, &config.settings());
    }
    let symbols = Arc::new(config.find_text(model.and_then(|m| m.codec.vocabulary()))?);
    config.text.clone_from(&symbols.text().path);
    Corpus::new(symbols, config.layout(), &config.settings())
}

fn reads_text(model: Option<&Model>) -> Result<()> {
    match model.map(|m| &m.codec) {
        Some(Codec::Series(series)) => Err(Error::Usage(format!(
            "the model of --from forecasts numeric series; give a CSV file with the columns {}, and --target {}",
            series.features.join(", "),
            series.targets.join(",")
        ))),
        _ => Ok(()),
    }
}
