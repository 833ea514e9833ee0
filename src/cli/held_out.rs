//! The part of its data that a run held out.

use super::eval_flags::Args;
use crate::error::{Error, Result};
use crate::run::{Answer, DataKind, RunConfig};
use crate::store::Model;
use crate::trainer::Corpus;
use std::path::Path;

/// The held-out part of a run's data, and its configuration: what `eval RUN` scores if no other data is given.
pub(super) fn find(args: &Args, model: &Model) -> Result<(Corpus, RunConfig)> {
    let (run, path) = (args.run.display(), args.run.join("config.toml"));
    if !path.is_file() {
        return Err(Error::Usage(format!("no text given; {run} is not the folder of a run, which knows its data; give the path of a text after it")));
    }
    let mut config = RunConfig::load(&path)?;
    let flags = [
        ("separator", args.separator.is_some()),
        ("lines", args.lines),
        ("stream", args.stream),
        ("label-column", args.label_column.is_some()),
        ("sequence-column", args.sequence_column.is_some()),
        ("header", args.header.is_some()),
    ];
    if let Some((flag, _)) = flags.iter().find(|f| f.1) {
        return Err(Error::Usage(format!(
            "--{flag} says how other data is read, and the held-out part of {run} is read as in training; leave it out, or give a file after {run}"
        )));
    }
    if args.seed.is_some() || args.examples.is_some() {
        return Err(Error::Usage("--seed and --examples are for runs that were trained on a --task; leave them out".to_string()));
    }
    if config.training.val_fraction == 0.0 {
        let what = if config.data_kind() == DataKind::Labels { "lines with labels" } else { "a text" };
        return Err(Error::Usage(format!("{run} held nothing out (--val-fraction 0); give the path of {what} after it")));
    }
    if let Some(lanes) = args.lanes {
        config.training.batch = lanes;
    }
    config.training.lane_groups = None;
    // The model brings its tokenizer.
    config.tokens = None;
    let corpus = config.find_corpus(Some(model)).map_err(|e| elsewhere(&e, args))?;
    Ok((corpus, config))
}

/// The error for data that has changed, with this command's advice.
fn elsewhere(e: &Error, args: &Args) -> Error {
    let message = e.to_string();
    let found = ["; if the text has moved", "; give the path"].iter().find_map(|advice| message.split_once(advice)).map_or(message.as_str(), |m| m.0);
    Error::Input(format!("{found}; put back what {0} was trained on, or give the path of other data after {0}", args.run.display()))
}

/// The run's setting for whether the first line of its table is a header.
pub(super) fn header(run: &Path) -> Result<Option<Answer>> {
    Ok(config(run)?.and_then(|c| c.header))
}

fn config(run: &Path) -> Result<Option<RunConfig>> {
    let path = run.join("config.toml");
    if path.is_file() { RunConfig::load(&path).map(Some) } else { Ok(None) }
}
