//! `retrograd eval` of a model of labels: how many are right, and which are taken for which.

use super::eval::{self, Args};
use super::model::Source;
use super::{percent, print_json, say};
use crate::data::{Columns, Kind, Labelled, Sequences, Text};
use crate::device::Device;
use crate::error::{Error, Result, tell};
use crate::evaluate::{Answers, Evaluation, Held};
use crate::files;
use crate::metrics::number;
use crate::store::Model;
use serde_json::{Value, json};

/// Labels that a table shows, and characters of each.
const SHOWN: usize = 16;
const WIDTH: usize = 12;

pub(super) fn run(args: &Args, source: &Source, model: &Model, labels: &[String]) -> Result<()> {
    let texts = [("separator", args.separator.is_some()), ("stream", args.stream), ("examples", args.examples.is_some()), ("seed", args.seed.is_some())];
    if let Some((flag, _)) = texts.iter().find(|t| t.1) {
        return Err(Error::Usage(format!("--{flag} is for texts and tasks; {} names labels of lines; leave it out", args.run.display())));
    }
    let Some(path) = &args.text else {
        return Err(Error::Usage(format!("no file given; {} names labels, so give the path of lines with labels behind it", args.run.display())));
    };
    let given = args.label_column.clone().map(|label| (label, args.text_column.clone()));
    let Some((label, text)) = given.or(source.columns.clone()) else {
        return Err(Error::Usage(format!("{} does not say which column holds the labels; give --label-column", args.run.display())));
    };
    let lines = Text::open(path)?.or_for_unknown(eval::ADVICE);
    let columns = Columns { label: &label, text: text.as_deref() };
    let (labelled, unknown) = Labelled::lenient(&lines, columns, Kind::default(), Some(&model.codec), args.unknown)?;
    let lanes = args.lanes.unwrap_or(eval::LANES);
    let sequences = Sequences::labelled(labelled.symbols.clone(), labelled.parts.clone(), labelled.classes.clone());
    let held = Held::sequences(sequences, lanes);
    let chance = held.chance().unwrap_or_default();
    let (device, line) = Device::open(args.device)?;
    if !args.quiet {
        tell(&format!("{line}\nmodel: {}, {} parameters; {lanes} lanes", source.said(), model.config.parameters()));
        if unknown > 0 {
            tell(&format!("note: {unknown} unknown characters were read as --unknown says"));
        }
    }
    let mut engine = eval::engine(&device, model, &held, lanes)?;
    let found = held.evaluate(&mut engine, || Ok(()))?;
    let answers = held.answers(&mut engine, || Ok(()))?.unwrap_or_default();
    if args.json {
        print_json(&json!({
            "loss": number(found.loss), "sequences": found.scored, "tokens": found.scored, "lanes": lanes, "accuracy": number(answers.accuracy()),
            "chance_accuracy": number(chance), "unknown": unknown, "labels": labels, "confusion": confusion(&answers, labels.len()),
            "device": engine.description(), "backend": device.backend(), "model": source.file.display().to_string(),
        }))?;
    } else {
        say(&format!("loss {:.4} nats a label, over {} lines", found.loss, found.scored));
        say(&format!("{} of the labels are right; the most frequent one would be right in {}", percent(answers.accuracy()), percent(chance)));
        say(&table(&answers, labels));
    }
    args.sequences.as_deref().map_or(Ok(()), |path| write(path, &labelled, labels, &found, &answers))
}

/// Rows of the right labels, columns of those that were named, and a last one for lines where none stood out.
fn confusion(answers: &Answers, labels: usize) -> Vec<Vec<u64>> {
    let named = |right: u32, answer: Option<u32>| answers.counts.get(&(right, answer)).copied().unwrap_or(0);
    (0..labels as u32).map(|right| (0..labels as u32).map(Some).chain([None]).map(|answer| named(right, answer)).collect()).collect()
}

/// The same for a terminal, with the share of right ones of each label.
fn table(answers: &Answers, labels: &[String]) -> String {
    let counts = confusion(answers, labels.len());
    if labels.len() > SHOWN {
        return format!("{} labels are too many for a table of which is taken for which; --json has it", labels.len());
    }
    let cut = |label: &str| label.chars().take(WIDTH).collect::<String>();
    let undecided = counts.iter().any(|row| row[labels.len()] > 0);
    let mut text = format!("{:>WIDTH$} |", "right: named");
    labels.iter().for_each(|l| text += &format!(" {:>WIDTH$}", cut(l)));
    text += if undecided { "    undecided |   found\n" } else { " |   found\n" };
    for (i, (label, row)) in labels.iter().zip(&counts).enumerate() {
        text += &format!("{:>WIDTH$} |", cut(label));
        let columns = labels.len() + usize::from(undecided);
        row[..columns].iter().for_each(|n| text += &format!(" {n:>WIDTH$}"));
        let all: u64 = row.iter().sum();
        let share = if all == 0 { "-".to_string() } else { percent(row[i] as f64 / all as f64) };
        text += &format!(" | {share:>7}\n");
    }
    text
}

/// One line per sequence, in the order of the file.
fn write(path: &std::path::Path, labelled: &Labelled, labels: &[String], found: &Evaluation, answers: &Answers) -> Result<()> {
    let mut text = String::new();
    for (i, (sum, class)) in found.sums.iter().zip(&labelled.classes).enumerate() {
        let answer = answers.last.get(&(i as u32)).copied().flatten().map_or(Value::Null, |a| json!(labels[a as usize]));
        let line = json!({ "sequence": i, "tokens": 1, "nats": number(*sum), "loss": number(*sum), "label": labels[*class as usize], "answer": answer });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    files::replace(path, text.as_bytes())
}
