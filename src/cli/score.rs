//! `retrograd eval` of a model of numeric series.

use super::eval::Args;
use super::model::Source;
use super::{predict, print_json, say, series};
use crate::data::{Series, Table};
use crate::device::{Device, Wish};
use crate::error::{Error, Result, tell};
use crate::files;
use crate::forecast::{Forecasts, Outcome};
use crate::metrics::number;
use crate::report;
use crate::store::Model;
use serde_json::json;

pub(super) fn run(args: &Args, source: &Source, model: &Model, spec: &Series) -> Result<()> {
    let texts = [
        ("separator", args.separator.is_some()),
        ("lines", args.lines),
        ("label-column", args.label_column.is_some()),
        ("header", args.header.is_some()),
        ("stream", args.stream),
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
    let sheet = predict::sheet(source, args.text.as_deref(), spec)?;
    // Of the run's own table the part that was held out, of another all of it.
    let own = args.text.is_none() && args.last.is_none();
    if own && source.val_fraction == 0.0 {
        return Err(Error::Usage(format!("nothing of the data of {} was held out; give other data, or the rows to score by --last", args.run.display())));
    }
    let mut table = Table::with(sheet, spec.clone(), if own { source.val_fraction } else { 0.0 })?;
    if !own {
        let last = |rows: &std::ops::Range<usize>| args.last.map_or(rows.start, |n| rows.end.saturating_sub(n).max(rows.start));
        table.held = table.sheet.groups.iter().map(|g| last(&g.rows)).collect();
    }
    if args.last.is_some_and(|n| n < table.horizon()) {
        return Err(Error::Usage(format!("--last {} holds no forecasts of {} rows; give at least as many", args.last.unwrap_or(0), table.horizon())));
    }
    let device = match args.device {
        // Steps one after the other are too little work for a GPU, unless it is asked for.
        Wish::Auto => Device::Cpu { threads: 1 },
        wish => Device::open(wish)?.0,
    };
    let first: Vec<usize> = (0..table.held.len()).map(|g| table.held_out(g).start).collect();
    let forecasts = Forecasts::of(&device, model.config, &model.parameters, &table, &first, || Ok(()))?;
    let outcome = Outcome::of(&table, &forecasts, &table.held);
    if let Some(path) = &args.report {
        let introduction = format!("Forecasts of {} by {}.", table.sheet.name, source.file.display());
        files::replace(path, report::series::html("Forecasts", &introduction, &outcome).as_bytes())?;
    }
    let loss = outcome.score.loss(spec);
    if args.json {
        let mut found = json!({
            "loss": number(loss), "model": source.file.display().to_string(), "data": table.sheet.name, "device": device.to_string(), "backend": device.backend(),
            "series": table.held.len(), "held_out": own, "report": args.report.as_ref().map(|p| p.display().to_string()),
        });
        series::extend(&mut found, &outcome.score);
        return print_json(&found);
    }
    if !args.quiet {
        tell(&format!("model: {}, {} parameters; data: {}", source.file.display(), model.config.parameters(), table.sheet.name));
    }
    say(&series::told(&outcome.score));
    say(&format!("loss {loss:.6} of standardised numbers"));
    Ok(())
}
