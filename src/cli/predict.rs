//! `retrograd predict`

use super::predict_flags::Args;
use super::series::sheet;
use super::tell;
use super::{print_json, say};
use crate::data::{Codec, Table};
use crate::device::Device;
use crate::error::{Error, Result, finite};
use crate::files;
use crate::forecast::{Forecasts, Outcome};
use crate::report;
use crate::session::Source;
use serde_json::json;

pub(super) fn run(args: &Args) -> Result<()> {
    for (flag, path) in [("out", &args.out), ("report", &args.report)] {
        if let Some(path) = path.as_deref().filter(|p| p.exists()) {
            return Err(Error::Usage(format!("{} exists; give another file for --{flag}", path.display())));
        }
    }
    let source = Source::find(&args.run, args.which.chosen())?;
    let model = source.load()?;
    if let Codec::Labels { labels, .. } | Codec::LabelledRows { labels, .. } = &model.codec {
        return super::labels_predicted::run(args, &source, &model, labels);
    }
    let series = model.codec.series()?;
    let of_labels = [("text-column", args.text_column.is_some()), ("sequence-column", args.sequence_column.is_some()), ("header", args.header.is_some())];
    for (flag, given) in of_labels {
        if given {
            return Err(Error::Usage(format!("--{flag} is for models of labels; {} forecasts numeric series; leave it out", args.run.display())));
        }
    }
    if args.json && args.out.is_none() {
        return Err(Error::Usage("--json tells of the file of forecasts; give that by --out".to_string()));
    }
    let sheet = sheet(&source, args.data.as_deref(), series, &args.reading, args.quiet)?;
    let table = Table::to_forecast(sheet, series.clone())?;
    let from: Vec<usize> = table.sheet.groups.iter().map(|g| args.last.map_or(g.rows.start, |n| g.rows.end.saturating_sub(n).max(g.rows.start))).collect();
    // The forecasts of the first written row begin N rows before it.
    let first: Vec<usize> =
        table.sheet.groups.iter().zip(&from).map(|(g, f)| f.saturating_sub(table.horizon()).max(g.rows.start).min(g.rows.end - 1)).collect();
    let forecasts = Forecasts::of(&Device::Cpu { threads: 1 }, model.config, &model.parameters, &table, &first, || Ok(()))?;
    if let Some(note) = forecasts.again.note("pieces of series", "rows").filter(|_| !args.quiet) {
        tell(&format!("note: {note}"));
    }
    let all = table.sheet.groups.iter().zip(&first).flat_map(|(g, first)| *first..g.rows.end).flat_map(|row| forecasts.at(row));
    all.copied().try_for_each(|x| finite("a forecast", x))?;
    let text = written(&table, &forecasts, &first, &from)?;
    match &args.out {
        Some(path) => files::replace(path, text.as_bytes())?,
        None => say(&text),
    }
    if let Some(path) = &args.report {
        let introduction = format!("Forecasts of {} by {}.", table.sheet.name, source.file.display());
        let page = report::series::html("Forecasts", &introduction, &Outcome::of(&table, &forecasts, &from));
        files::replace(path, page.as_bytes())?;
    }
    let rows = text.lines().count() - 1;
    if args.json {
        return print_json(&json!({
            "rows": rows, "future_rows": table.horizon() * from.len(), "series": from.len(), "horizon": table.horizon(), "targets": series.targets,
            "out": args.out.as_ref().map(|p| p.display().to_string()), "report": args.report.as_ref().map(|p| p.display().to_string()),
            "model": source.file.display().to_string(), "data": table.sheet.name, "steps_read_again": forecasts.again.steps,
        }));
    }
    let without: usize = (0..table.sheet.groups.len()).filter(|g| series.time.is_some() && table.sheet.times_to_come(*g, 1).is_none()).count();
    if without > 0 && !args.quiet {
        let which = if from.len() == 1 { String::new() } else { format!(" of {without} of {} series", from.len()) };
        tell(&format!("note: the steps of time{which} are not even, so the rows to come have no time"));
    }
    if !args.quiet {
        let to = args.out.as_ref().map_or(String::new(), |p| format!(" in {}", p.display()));
        let series = if from.len() == 1 { String::new() } else { format!(" in each of {} series", from.len()) };
        let come = if rows == table.horizon() && series.is_empty() { "to come".to_string() } else { format!("{} of them to come{series}", table.horizon()) };
        tell(&format!("{}{to}, {come}; model: {}", crate::phrase::counted(rows, "row", "rows"), super::model::said(&source)));
    }
    Ok(())
}

/// The CSV text in the format of the data: the same delimiter, decimal mark and notation of times.
fn written(table: &Table, forecasts: &Forecasts, first: &[usize], from: &[usize]) -> Result<String> {
    let (series, horizon, sheet) = (&table.series, table.horizon(), &table.sheet);
    let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot write the forecasts: {e}"));
    let mut out = csv::WriterBuilder::new().delimiter(sheet.delimiter as u8).from_writer(Vec::new());
    let mut head: Vec<String> = series.series.iter().chain(&series.time).chain(&series.targets).cloned().collect();
    // The quantiles besides the forecast itself, that of level 0.5, with their places.
    let levels: Vec<(usize, f64)> = series.quantiles.map_or(Vec::new(), |l| l.levels()).into_iter().enumerate().filter(|l| l.1 != 0.5).collect();
    let each = series.quantiles.map_or(1, |l| l.count());
    head.extend(series.targets.iter().flat_map(|t| (1..=horizon).map(move |h| format!("{t}+{h}"))));
    head.extend(series.targets.iter().flat_map(|t| {
        let levels = &levels;
        (1..=horizon).flat_map(move |h| levels.iter().map(move |(_, level)| format!("{t}+{h}@{level}")))
    }));
    out.write_record(&head).map_err(|e| failed(&e))?;
    let number = |text: String| if sheet.decimal == ',' { text.replace('.', ",") } else { text };
    let targets = series.targets.len();
    for (g, ((group, first), from)) in sheet.groups.iter().zip(first).zip(from).enumerate() {
        let coming = sheet.times_to_come(g, horizon).unwrap_or_else(|| vec![String::new(); horizon]);
        for row in *from..group.rows.end + horizon {
            let known = row < group.rows.end;
            let mut cells: Vec<String> = group.name.iter().cloned().collect();
            if series.time.is_some() {
                cells.push(if known { sheet.times[row].clone() } else { coming[row - group.rows.end].clone() });
            }
            let truth = |j: usize| Some(sheet.target(j)).filter(|_| known).and_then(|c| c.get(row)).map_or(String::new(), |x| number(x.to_string()));
            cells.extend((0..targets).map(truth));
            for j in 0..targets {
                let forecast = |h: usize| {
                    let p = row.checked_sub(h).filter(|p| (*first..group.rows.end).contains(p))?;
                    let i = (h - 1) * targets + j;
                    Some(number(digits(forecasts.at(p)[i], series.outputs[i].deviation * table.unit(j, group.rows.start))))
                };
                cells.extend((1..=horizon).map(|h| forecast(h).unwrap_or_default()));
            }
            for (j, h, (k, _)) in (0..targets).flat_map(|j| {
                let levels = &levels;
                (1..=horizon).flat_map(move |h| levels.iter().map(move |l| (j, h, l)))
            }) {
                let p = row.checked_sub(h).filter(|p| (*first..group.rows.end).contains(p));
                let i = (h - 1) * targets + j;
                cells.push(p.map_or(String::new(), |p| {
                    number(digits(forecasts.quantiles(p)[i * each + k], series.outputs[i].deviation * table.unit(j, group.rows.start)))
                }));
            }
            out.write_record(&cells).map_err(|e| failed(&e))?;
        }
    }
    let bytes = out.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

/// A forecast of an output with this deviation: nine digits, the precision of f32, or more where it takes more to keep the rounding below a
/// ten-thousandth of the deviation.
fn digits(x: f64, deviation: f64) -> String {
    let more = (x.abs() / deviation).log10();
    let places = if more.is_finite() { (more.ceil() as i64 + 4).clamp(8, 16) } else { 8 };
    format!("{x:.*e}", places as usize).parse::<f64>().unwrap_or(x).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_small_beside_what_varies() {
        for (x, deviation) in [(123_456_968_173.4, 200.0), (-1e15, 3.0), (5.2, 1.0), (1e-9, 1e-12), (4e5, 1e-3), (0.0, 1.0)] {
            let back: f64 = digits(x, deviation).parse().unwrap();
            assert!((back - x).abs() <= 1e-4 * deviation, "{x} {deviation}: {}", digits(x, deviation));
        }
        assert_eq!(digits(1.0 / 3.0, 1.0), "0.333333333");
    }
}
