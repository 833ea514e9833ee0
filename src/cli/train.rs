//! `retrograd train`

use super::messages::{announce, closing};
use super::progress::Progress;
use super::signals::interruptible;
use super::tell;
use super::train_flags::Args;
use super::{output, print_json, reproduce, say};
use crate::error::{Error, Result};
use crate::forecast::Outcome;
use crate::ranks::{self, Order, Ranks};
use crate::run::Run;
use crate::session::{Asked, Finished, Resumed, begin, finish, follow, meet, resume, write_plan, write_report};
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) fn run(args: &Args) -> Result<()> {
    ranks::hear_last_words(output::say_last);
    let ranks = ranks::here()?;
    if !ranks.several() {
        return alone(args);
    }
    if ranks.rank() > 0 {
        output::be_quiet();
    }
    together(args, &ranks)
}

/// Trains as one of several processes.
fn together(args: &Args, ranks: &Ranks) -> Result<()> {
    let stated = args.stated();
    let asked = stated.as_ref().map(|stated| Asked { stated, file: args.config.as_deref(), given: None, out: args.out.as_deref() });
    meet(asked.as_ref().map_err(|e| (*e).clone()), args.resume.is_some())?;
    if ranks.rank() > 0 {
        let asked = asked.map_err(Clone::clone)?;
        return match follow(&asked, interruptible()?, args.detect_anomaly)? {
            0 => Ok(()),
            // Rank 0 says why.
            130 => Err(Error::Interrupted),
            2 => Err(Error::Usage(String::new())),
            _ => Err(Error::Input(String::new())),
        };
    }
    let done = alone(args).map_err(|e| {
        let named = e.to_string().starts_with("rank ") || !ranks.is_invited();
        e.reworded(|message| if named { message } else { format!("{}: {message}", ranks.name(0)) })
    });
    ranks.order(Order::End(done.as_ref().err().map_or(0, Error::exit_code)));
    done
}

/// Trains in this process, and tells others that train with it what to do.
fn alone(args: &Args) -> Result<()> {
    let start = Instant::now();
    let interrupt = interruptible()?;
    let stated = args.stated()?;
    let asked = Asked { stated: &stated, file: args.config.as_deref(), given: None, out: args.out.as_deref() };
    let prepared = match &args.resume {
        Some(path) => match resume(&asked, path, args.json, &mut |said| args.said(said))? {
            Resumed::Goes(run) => Some(*run),
            Resumed::Finished(summary) => {
                summary.filter(|_| args.json).iter().for_each(|text| say(text));
                None
            }
        },
        None => Some(begin(&asked, &mut |said| args.said(said))?),
    };
    let Some(mut run) = prepared else { return Ok(()) };
    run.trainer.set_interrupt(interrupt.clone());
    announce(args, &mut run);
    if let Err(e) = write_plan(&run) {
        tell(&format!("warning: {e}; the report will not show the plan"));
    }
    if args.profile {
        run.profile();
    }
    if args.detect_anomaly {
        run.detect_anomalies();
    }
    let seconds_setup = start.elapsed().as_secs_f64();
    let mut progress = Progress::new(&mut run, args.quiet);
    let folder = run.folder().path().to_path_buf();
    let (mut run, end) = run.train_on(args.on_device_lost, &mut |event| progress.show(event)).inspect_err(|_| {
        // The report shows what led to the failure, which is reported anyway.
        let _ = write_report(&folder, reproduce::command);
    })?;
    progress.finish();
    run.trainer.busy();
    let mut summary = run.summary(end, seconds_setup)?;
    if let Some((profile, updates)) = run.take_profile() {
        summary["profile"] = crate::report::profile::json(&profile, updates);
        args.note(&crate::report::profile::table(&profile, updates));
    }
    let between = &mut |run: &Run, forecast: Option<&Outcome>| closing(args, run, end, forecast);
    let Finished { summary, text, saved, .. } = finish(&mut run, end, summary, reproduce::command, between, &mut |said| args.said(said))?;
    if args.json {
        print_json(&summary)?;
    } else if !text.is_empty() {
        say(&text);
    }
    saved?;
    let learned = run.learned();
    if interrupt.load(Ordering::Relaxed) {
        learned.unwrap_or_else(|e| tell(&format!("warning: {e}")));
        return Err(Error::Interrupted);
    }
    learned
}
