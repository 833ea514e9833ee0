//! `retrograd predict` with a model of labels: the label of each line, and its probability.

use super::labels::Rows;
use super::predict_flags::Args;
use super::tell;
use super::{held_out, print_json, say};
use crate::data::{Codec, Columns, NumberRows, SequenceSpec, SequenceTable, Sequences, Text, Texts};
use crate::device::{Device, DeviceSpec};
use crate::error::{Error, Result, finite};
use crate::evaluate::EvalSet;
use crate::files;
use crate::metrics::number;
use crate::phrase::counted;
use crate::run::Answer;
use crate::session::{LANES, Source, engine};
use crate::store::Model;
use serde_json::{Value, json};

/// The label of a line or sequence.
struct Named {
    line: u64,
    /// The name of the sequence, where a row is a step of one.
    name: Option<String>,
    label: usize,
    probabilities: Vec<f64>,
}

pub(super) fn run(args: &Args, source: &Source, model: &Model, labels: &[String]) -> Result<()> {
    if args.last.is_some() || args.report.is_some() {
        return Err(Error::Usage("--last and --report are for models of numeric series; leave them out".to_string()));
    }
    let run = args.run.display();
    let Some(path) = args.data.as_deref().or(source.text.as_deref()) else {
        return Err(Error::Usage(format!("no file given; {run} names labels, so give the path of lines, or of a table with a column of texts, after it")));
    };
    let text = Text::open(path)?;
    let Read { sequences, lines, names, notes } = read(args, source, model, &text)?;
    for note in &notes {
        if note.starts_with("warning") || !args.quiet {
            tell(note);
        }
    }
    let held = EvalSet::sequences(sequences, LANES);
    let mut engine = engine(&Device::open(DeviceSpec::Cpu)?.0, model, &held, LANES)?;
    let found = held.probabilities(&mut engine, || Ok(()))?.unwrap_or_default();
    found.iter().flatten().try_for_each(|p| finite("a probability", *p))?;
    let most = |p: &[f64]| (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]).then(b.cmp(a))).unwrap_or(0);
    let name = |i: usize| names.get(i).cloned();
    let named: Vec<Named> =
        lines.iter().zip(found).enumerate().map(|(i, (line, p))| Named { line: *line, name: name(i), label: most(&p), probabilities: p }).collect();
    if let Some(path) = &args.out {
        files::replace(path, table(&named, labels)?.as_bytes())?;
    }
    if args.json {
        return print_json(&json!({
            "labels": labels, "predictions": named.iter().map(|n| told(n, labels)).collect::<Vec<_>>(), "lines": named.len(),
            "out": args.out.as_ref().map(|p| p.display().to_string()), "model": source.file.display().to_string(), "data": text.name,
        }));
    }
    let what = if matches!(model.codec, Codec::LabelledRows { .. }) { ("sequence", "sequences") } else { ("line", "lines") };
    if args.out.is_none() {
        say(&short(&named, labels)?);
    } else if !args.quiet {
        tell(&format!("{} of {} named", counted(named.len(), what.0, what.1), text.name));
    }
    Ok(())
}

/// What labels are predicted for.
struct Read {
    sequences: Sequences,
    /// The line that each begins on.
    lines: Vec<u64>,
    /// The name of each, where a row is a step of one.
    names: Vec<String>,
    notes: Vec<String>,
}

fn read(args: &Args, source: &Source, model: &Model, text: &Text) -> Result<Read> {
    let run = args.run.display();
    if let Codec::LabelledRows { columns, labels, .. } = &model.codec {
        if args.text_column.is_some() {
            return Err(Error::Usage(format!("--text-column is for texts; {run} reads sequences of numbers; leave it out")));
        }
        let how = Rows { header: args.header, reading: &args.reading, sequence: args.sequence_column.as_deref() };
        let label = source.columns.as_ref().map(|c| c.0.clone());
        let mut table = SequenceTable::read(text, &SequenceSpec { label, known: Some(labels.clone()), ..how.spec(source, columns)? })?;
        let (lines, names, notes) = (table.lines.clone(), std::mem::take(&mut table.names), std::mem::take(&mut table.notes));
        let rows = NumberRows::of(&text.name, table)?.scaled_as(&model.codec)?;
        return Ok(Read { sequences: rows.sequences(vec![0; lines.len()]), lines, names, notes });
    }
    if let Some(flag) = args.reading.given().or(args.sequence_column.is_some().then_some("sequence-column")) {
        return Err(Error::Usage(format!("--{flag} is for tables of numbers; {run} reads texts; leave it out")));
    }
    let header = args.header.or(held_out::header(&args.run)?).map(|h| h == Answer::Yes);
    let columns = source.columns.as_ref().map(|(label, text)| Columns { label, text: text.as_deref(), header });
    let texts = Texts::read(text, args.text_column.as_deref(), columns, args.header.map(|h| h == Answer::Yes), &model.codec)?;
    let classes = vec![0; texts.parts.len()];
    Ok(Read { sequences: Sequences::labelled(texts.symbols, texts.parts, classes, &texts.lines), lines: texts.lines, names: Vec::new(), notes: texts.notes })
}

/// One line as JSON.
fn told(named: &Named, labels: &[String]) -> Value {
    let p = &named.probabilities;
    json!({ "line": named.line, "sequence": named.name, "label": labels[named.label], "probability": number(p[named.label]), "probabilities": p.iter().map(|p| number(*p)).collect::<Vec<_>>() })
}

/// A probability with six digits; one below 1 is never shown as 1.
fn digits(p: f64) -> String {
    let text = format!("{p:.6}");
    if text == "1.000000" && p < 1.0 { "0.999999".to_string() } else { text }
}

/// Label and probability of each line, after the name of its sequence if it has one, separated by tabs.
fn short(named: &[Named], labels: &[String]) -> Result<String> {
    let rows = named.iter().map(|n| n.name.iter().cloned().chain([labels[n.label].clone(), digits(n.probabilities[n.label])]).collect());
    written(b'\t', rows)
}

/// A CSV file: line, name of the sequence if it has one, label, its probability, and those of all labels.
fn table(named: &[Named], labels: &[String]) -> Result<String> {
    let sequence = named.iter().any(|n| n.name.is_some()).then_some("sequence");
    let head = std::iter::once("line").chain(sequence).chain(["label", "probability"]).map(str::to_string);
    let head = head.chain(labels.iter().map(|l| format!("p({l})"))).collect();
    let row = |n: &Named| {
        let own = [labels[n.label].clone(), digits(n.probabilities[n.label])];
        let first = std::iter::once(n.line.to_string()).chain(n.name.clone()).chain(own);
        first.chain(n.probabilities.iter().map(|p| digits(*p))).collect()
    };
    written(b',', std::iter::once(head).chain(named.iter().map(row)))
}

fn written(delimiter: u8, rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot write the labels: {e}"));
    let mut out = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    for row in rows {
        out.write_record(&row).map_err(|e| failed(&e))?;
    }
    let bytes = out.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}
