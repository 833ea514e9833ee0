//! `retrograd eval` of a model of numeric series.

use super::eval_flags::Args;
use super::tell;
use super::{percent, print_json, say, series};
use crate::data::{Series, Sheet, Table, Text, Unknown};
use crate::device::{Device, DeviceSpec};
use crate::error::{Error, Result, finite};
use crate::files;
use crate::forecast::{Forecasts, Outcome};
use crate::metrics::number;
use crate::report;
use crate::run::Kin;
use crate::session::Source;
use crate::store::Model;
use serde_json::json;

pub(super) fn run(args: &Args, source: &Source, model: &Model, spec: &Series) -> Result<()> {
    let texts = [
        ("separator", args.separator.is_some()),
        ("lines", args.lines),
        ("label-column", args.label_column.is_some()),
        ("sequence-column", args.sequence_column.is_some()),
        ("header", args.header.is_some()),
        ("stream", args.stream),
        ("unknown", args.unknown != Unknown::Refuse),
        ("lanes", args.lanes.is_some()),
        ("sequences", args.sequences.is_some()),
        ("examples", args.examples.is_some()),
        ("seed", args.seed.is_some()),
    ];
    if let Some((flag, _)) = texts.iter().find(|t| t.1) {
        return Err(Error::Usage(format!("--{flag} is for texts and tasks; {} forecasts numeric series; leave it out", args.run.display())));
    }
    if let Some(path) = args.report.as_deref().filter(|p| p.exists()) {
        return Err(Error::Usage(format!("{} exists; give another file for --report", path.display())));
    }
    if args.last.is_some_and(|n| n < spec.horizon as usize) {
        return Err(Error::Usage(format!("--last {} holds no forecasts of {} rows; give at least as many", args.last.unwrap_or(0), spec.horizon)));
    }
    let sheet = series::sheet(source, args.text.as_deref(), spec, &args.reading, args.quiet)?;
    let said = sheet.notes.len();
    let mut table = Table::with(sheet, spec.clone(), 0.0)?;
    series::say_notes(&table.sheet.notes[said..], args.quiet);
    let unseen = unseen(args, source, spec, &table)?;
    if let Some(note) = unseen.note.filter(|_| !args.quiet) {
        tell(&note);
    }
    table.hold_from(unseen.from);
    let device = match args.device {
        // Steps one after another are too little work for a GPU, unless one is requested.
        DeviceSpec::Auto => Device::Cpu { threads: 1 },
        wish => Device::open(wish)?.0,
    };
    let first: Vec<usize> = (0..table.held.len()).map(|g| table.held_out(g).start).collect();
    let forecasts = Forecasts::of(&device, model.config, &model.parameters, &table, &first, || Ok(()))?;
    if let Some(note) = forecasts.again.note("pieces of series", "rows").filter(|_| !args.quiet) {
        tell(&format!("note: {note}"));
    }
    let outcome = Outcome::of(&table, &forecasts, &table.held);
    if outcome.score.steps == 0 {
        return Err(Error::Input(format!(
            "{}: no row that is new to the model has {} more after it; give more rows, or --last",
            table.sheet.name, spec.horizon
        )));
    }
    if let Some(path) = &args.report {
        let introduction = format!("Forecasts of {} by {}.", table.sheet.name, source.file.display());
        files::replace(path, report::series::html("Forecasts", &introduction, &outcome).as_bytes())?;
    }
    let loss = outcome.score.loss(&table);
    if args.json {
        let mut found = json!({
            "loss": number(loss), "model": source.file.display().to_string(), "data": table.sheet.name, "device": device.to_string(), "backend": device.backend(),
            "series": table.held.len(), "held_out": unseen.held_out, "report": args.report.as_ref().map(|p| p.display().to_string()),
            "steps_read_again": forecasts.again.steps,
        });
        outcome.score.extend(&mut found);
        print_json(&found)?;
        return finite("the loss", loss);
    }
    if !args.quiet {
        tell(&format!("model: {}, {} parameters; data: {}", super::model::said(source), model.config.parameters(), table.sheet.name));
    }
    say(&series::told(&outcome.score));
    if let Some(note) = series::beaten(&outcome.score).filter(|_| !args.quiet) {
        tell(&note);
    }
    say(&format!("loss {loss:.6} of standardised numbers"));
    finite("the loss", loss)
}

/// The rows that are scored.
struct Unseen {
    /// The first scored row of each series.
    from: Vec<usize>,
    /// Whether they are the rows that the run held out, perhaps with newer ones.
    held_out: bool,
    /// A note for the user on the choice.
    note: Option<String>,
}

/// For the data that the run was trained on, wherever it lies now: the held-out rows, and those added since. For other data: all rows. Or the last
/// rows, if requested.
fn unseen(args: &Args, source: &Source, spec: &Series, table: &Table) -> Result<Unseen> {
    let groups = &table.sheet.groups;
    let all = || groups.iter().map(|g| g.rows.start).collect();
    if let Some(n) = args.last {
        return Ok(Unseen { from: groups.iter().map(|g| g.rows.end.saturating_sub(n).max(g.rows.start)).collect(), held_out: false, note: None });
    }
    let (Some(run), Some(path)) = (&source.config, args.text.as_deref().or(source.text.as_deref())) else {
        return Ok(Unseen { from: all(), held_out: false, note: None });
    };
    let text = Text::open(path)?;
    let nothing = source.val_fraction == 0.0;
    let tail = |table: Table| Table::with(table.sheet, spec.clone(), source.val_fraction).map(|t| t.held);
    match run.kin(&text)? {
        Kin::Other if args.text.is_some() => Ok(Unseen { from: all(), held_out: false, note: None }),
        Kin::Same | Kin::Other if nothing && args.text.is_none() => {
            Err(Error::Usage(format!("nothing of the data of {} was held out; give other data, or the rows to score by --last", args.run.display())))
        }
        Kin::Same if nothing => Ok(Unseen { from: all(), held_out: false, note: Some(format!("note: the run was trained on all of {}", text.name)) }),
        Kin::Same => {
            let given = args.text.as_ref().map(|_| format!("note: {} is what the run was trained on; the part that was held out is scored", text.name));
            Ok(Unseen { from: tail(table.clone())?, held_out: true, note: given })
        }
        Kin::Other => {
            let what = run.not_the_same(&text)?;
            let note = format!("warning: {what}; its last {} is scored, rows of which may have been trained on", percent(source.val_fraction));
            Ok(Unseen { from: tail(table.clone())?, held_out: false, note: Some(note) })
        }
        Kin::Grown => {
            let mut first = vec![0; run.text_bytes as usize];
            text.read(0, &mut first)?;
            let before = Table::with(Sheet::read(&Text::given(&text.name, first), &args.reading.of(spec)?)?, spec.clone(), source.val_fraction)?;
            let added = table.rows() - before.rows();
            let rows = if added == 1 { "1 row".to_string() } else { format!("{added} rows") };
            let what = if nothing { "they are scored" } else { "they are scored with those that were held out" };
            Ok(Unseen {
                from: since(&before, table),
                held_out: true,
                note: Some(format!("note: {} has grown by {rows} since the run was trained; {what}", text.name)),
            })
        }
    }
}

/// For each series of a table that has grown, the first row that was not trained on.
fn since(before: &Table, table: &Table) -> Vec<usize> {
    let trained =
        |name: &Option<String>| before.sheet.groups.iter().zip(&before.held).find(|(g, _)| g.name == *name).map_or(0, |(g, held)| held - g.rows.start);
    table.sheet.groups.iter().map(|g| (g.rows.start + trained(&g.name)).min(g.rows.end)).collect()
}
