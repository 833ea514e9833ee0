//! `retrograd eval` of a model of labels: the share of right ones, and the confusion matrix.

use super::eval_flags::Args;
use super::tell;
use super::{held_out, percent, print_json, reader, say};
use crate::data::{Columns, Kind, Labelled, Sequences, Text};
use crate::device::Device;
use crate::error::{Error, Result, finite};
use crate::evaluate::{Answers, EvalSet, Evaluation};
use crate::files;
use crate::metrics::number;
use crate::run::Answer;
use crate::session::{LANES, Source, engine};
use crate::store::Model;
use serde_json::{Value, json};
use std::path::Path;

/// Most labels in a table, and characters of each.
const SHOWN: usize = 16;
const WIDTH: usize = 12;

pub(super) fn run(args: &Args, source: &Source, model: &Model, labels: &[String]) -> Result<()> {
    let texts = [("separator", args.separator.is_some()), ("stream", args.stream), ("examples", args.examples.is_some()), ("seed", args.seed.is_some())];
    if let Some((flag, _)) = texts.iter().find(|t| t.1) {
        return Err(Error::Usage(format!("--{flag} is for texts and tasks; {} names labels of lines; leave it out", args.run.display())));
    }
    let own = args.text.is_none();
    let (held, lanes, chance, unknown) = match &args.text {
        Some(path) => given(args, source, model, path)?,
        None => {
            let (corpus, config) = held_out::find(args, model)?;
            let nothing = || Error::Usage(format!("{} held nothing out; give the path of lines with labels after it", args.run.display()));
            (corpus.validation.ok_or_else(nothing)?, config.training.batch, corpus.chance.unwrap_or_default(), 0)
        }
    };
    let (device, line) = Device::open(args.device)?;
    if !args.quiet {
        tell(&format!("{line}\nmodel: {}, {} parameters; {lanes} lanes", super::model::said(source), model.config.parameters()));
        if unknown > 0 {
            tell(&format!("note: {unknown} unknown characters were read as --unknown says"));
        }
    }
    let mut engine = engine(&device, model, &held, lanes)?;
    let found = held.evaluate(&mut engine, || Ok(()))?;
    let answers = held.answers(&mut engine, || Ok(()))?.unwrap_or_default();
    if args.json {
        print_json(&json!({
            "loss": number(found.loss), "sequences": found.scored, "tokens": found.scored, "lanes": lanes, "accuracy": number(answers.accuracy()),
            "chance_accuracy": number(chance), "held_out": own, "unknown": unknown, "labels": labels, "confusion": confusion(&answers, labels.len()),
            "device": engine.description(), "backend": device.backend(), "model": source.file.display().to_string(),
        }))?;
    } else {
        let (lines, part) = (if found.scored == 1 { "line" } else { "lines" }, if own { " held out" } else { "" });
        say(&format!("loss {:.4} nats per label, over {} {lines}{part}", found.loss, found.scored));
        say(&format!("{} of the labels are right; the most frequent one would be right in {}", percent(answers.accuracy()), percent(chance)));
        say(&table(&answers, labels));
    }
    if let (Some(path), EvalSet::Sequences(sequences, _)) = (&args.sequences, &held) {
        write(path, sequences, labels, &found, &answers)?;
    }
    finite("the loss", found.loss)
}

/// The lines of a file, in lanes; the share of their most frequent label; the number of characters that the model does not know.
fn given(args: &Args, source: &Source, model: &Model, path: &Path) -> Result<(EvalSet, u32, f64, u64)> {
    let stated = args.label_column.clone().map(|label| (label, args.text_column.clone()));
    let Some((label, text)) = stated.or(source.columns.clone()) else {
        return Err(Error::Usage(format!("{} does not say which column holds the labels; give --label-column", args.run.display())));
    };
    let header = args.header.map_or_else(|| held_out::header(&args.run), |h| Ok(Some(h)))?.map(|h| h == Answer::Yes);
    let columns = Columns { label: &label, text: text.as_deref(), header };
    let lines = Text::open(path)?.or_for_unknown(reader::ADVICE);
    let (labelled, unknown) = Labelled::lenient(&lines, columns, Kind::default(), Some(&model.codec), args.unknown)?;
    for note in &labelled.notes {
        if note.starts_with("warning") || !args.quiet {
            tell(note);
        }
    }
    let lanes = args.lanes.unwrap_or(LANES);
    let held = EvalSet::sequences(Sequences::labelled(labelled.symbols, labelled.parts, labelled.classes, &labelled.lines), lanes);
    let chance = held.chance().unwrap_or_default();
    Ok((held, lanes, chance, unknown))
}

/// The confusion matrix: rows of right labels, columns of predicted ones, and a last column for lines where none stood out.
fn confusion(answers: &Answers, labels: usize) -> Vec<Vec<u64>> {
    let named = |right: u32, answer: Option<u32>| answers.counts.get(&(right, answer)).copied().unwrap_or(0);
    (0..labels as u32).map(|right| (0..labels as u32).map(Some).chain([None]).map(|answer| named(right, answer)).collect()).collect()
}

/// The confusion matrix for a terminal, with the share of right answers for each label.
fn table(answers: &Answers, labels: &[String]) -> String {
    if labels.len() > SHOWN {
        return format!("{} labels are too many for a table of which is taken for which; --json has it", labels.len());
    }
    let counts = confusion(answers, labels.len());
    let heads = heads(labels, WIDTH);
    let undecided = counts.iter().any(|row| row[labels.len()] > 0);
    let mut text = format!("{:>WIDTH$} |", "right: named");
    heads.iter().for_each(|l| text += &format!(" {l:>WIDTH$}"));
    text += if undecided { "    undecided |   found\n" } else { " |   found\n" };
    for (i, (head, row)) in heads.iter().zip(&counts).enumerate() {
        text += &format!("{head:>WIDTH$} |");
        let columns = labels.len() + usize::from(undecided);
        row[..columns].iter().for_each(|n| text += &format!(" {n:>WIDTH$}"));
        let all: u64 = row.iter().sum();
        let share = if all == 0 { "-".to_string() } else { percent(row[i] as f64 / all as f64) };
        text += &format!(" | {share:>7}\n");
    }
    text
}

/// Labels of at most `width` characters, for a table: long ones are cut to the head, or, if heads are alike, to head and tail, or else numbered.
fn heads(labels: &[String], width: usize) -> Vec<String> {
    let head = |l: &String| l.chars().take(width).collect::<String>();
    let ends = |l: &String| {
        let all: Vec<char> = l.chars().collect();
        if all.len() <= width {
            return head(l);
        }
        let tail = (width - 2) / 2;
        all[..width - 2 - tail].iter().chain(&['.', '.']).chain(&all[all.len() - tail..]).collect()
    };
    let numbered = |(i, l): (usize, &String)| format!("{}~{}", l.chars().take(width - 1 - (i + 1).to_string().len()).collect::<String>(), i + 1);
    let alike = |cut: &[String], i: usize| cut.iter().filter(|c| **c == cut[i]).count() > 1;
    let (short, long): (Vec<String>, Vec<String>) = labels.iter().map(|l| (head(l), ends(l))).unzip();
    let once: Vec<String> = (0..labels.len()).map(|i| if alike(&short, i) { long[i].clone() } else { short[i].clone() }).collect();
    labels.iter().enumerate().map(|(i, l)| if alike(&once, i) { numbered((i, l)) } else { once[i].clone() }).collect()
}

/// One line per line of the scored table, in its order.
fn write(path: &Path, sequences: &Sequences, labels: &[String], found: &Evaluation, answers: &Answers) -> Result<()> {
    let mut text = String::new();
    for (i, (sum, sequence)) in found.sums.iter().zip(sequences.list()).enumerate() {
        let answer = answers.last.get(&(i as u32)).copied().flatten().map_or(Value::Null, |a| json!(labels[a as usize]));
        let label = sequences.class(i).map_or(Value::Null, |c| json!(labels[c as usize]));
        let line = json!({ "sequence": i, "line": sequence.number, "tokens": 1, "nats": number(*sum), "loss": number(*sum), "label": label, "answer": answer });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    files::replace(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::heads;

    #[test]
    fn labels_that_are_cut_stay_apart() {
        let cut = |labels: &[&str]| heads(&labels.iter().map(|l| (*l).to_string()).collect::<Vec<_>>(), 12);
        assert_eq!(cut(&["up", "down"]), ["up", "down"]);
        assert_eq!(cut(&["customer support - billing", "customer support - refunds", "other"]), ["custo..lling", "custo..funds", "other"]);
        assert_eq!(cut(&["a very long label indeed", "bad"]), ["a very long ", "bad"]);
        for labels in [
            ["customer support - a billing", "customer support - b billing", "x"],
            ["custo..lling", "customer support - billing", "customer support - killing"],
        ] {
            let found = cut(&labels);
            let apart: std::collections::BTreeSet<&String> = found.iter().collect();
            assert!(apart.len() == 3 && found.iter().all(|f| f.chars().count() <= 12), "{found:?}");
        }
    }
}
