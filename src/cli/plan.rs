//! `retrograd plan`

use super::tell;
use super::{print_json, say, train_flags};
use crate::analysis::planned::Planned;
use crate::device::{Device, Place};
use crate::error::{Error, Result};
use crate::feed::Feed;
use crate::files;
use crate::report;
use crate::session::{Asked, Prepared};
use std::path::PathBuf;

/// Flags of `plan`.
#[derive(clap::Args)]
#[group(id = "plan")]
#[command(after_help = "\
The flags are those of train, so that one command line serves both; those that change neither the sizes nor the windows change nothing here.
The budget covers everything on the device: parameters, gradients, moments, activations, inputs, what is read back through. A window that is
too long for it is worked through in segments, whose states are computed again, once if the budget allows it, else as seldom as it does.

Examples:
  retrograd plan book.txt --truncation full --memory-budget 16MiB                  can it be done, and what does it cost
  retrograd plan book.txt --truncation full --memory-budget 16MiB --svg plan.svg   the same as a picture")]
pub(super) struct Args {
    #[command(flatten)]
    train: train_flags::Args,
    /// Write a chart to this file: time against memory, and what is stored and recomputed; it must not exist
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.train.resume.is_some() {
        return Err(Error::Usage("--resume has no meaning for plan, which trains nothing; a run goes on with the plan that it has".to_string()));
    }
    if let Some(path) = args.svg.as_deref().filter(|p| p.exists()) {
        return Err(Error::Usage(format!("{} exists; give another file for --svg", path.display())));
    }
    let stated = args.train.stated()?;
    let asked = Asked { stated: &stated, file: args.train.config.as_deref(), given: None, out: None };
    let mut prepared = Prepared::of(&asked, &mut |said| args.train.said(said))?;
    let corpus = prepared.open(None)?;
    let config = prepared.config;
    let settings = config.training;
    let model = settings.config(&corpus.codec)?;
    let place = Place { groups: settings.groups(), ..Place::default() };
    let (device, line) = Device::open_among(config.device, None, place)?;
    if !args.train.quiet {
        tell(&line);
    }
    let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
    let planned = Planned::new(&settings.task(model, &feed), settings.truncation, feed.passes(), &device)?.in_groups(settings.groups(), &model);
    if let Some(path) = &args.svg {
        files::replace(path, report::plan::svg(&planned).as_bytes())?;
        if !args.train.quiet {
            tell(&format!("wrote {}", path.display()));
        }
    }
    if args.train.json {
        let json = serde_json::to_value(&planned).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
        return print_json(&json);
    }
    say(&report::plan::table(&planned));
    Ok(())
}
