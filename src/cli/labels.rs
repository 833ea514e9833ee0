//! `retrograd eval` of a model of labels: the share of right ones, and the confusion matrix.

use super::eval_flags::Args;
use super::series::Reading;
use super::tell;
use super::{held_out, percent, print_json, reader, say};
use crate::data::{Codec, Columns, Kind, Labelled, LabelledRows, NumberRows, SequenceSpec, SequenceTable, Sequences, Text, Unknown};
use crate::device::Device;
use crate::error::{Error, Result, finite};
use crate::evaluate::{Answers, ClassFigures, EvalSet, Evaluation};
use crate::files;
use crate::metrics::{number, optional};
use crate::run::{Answer, RunConfig};
use crate::session::{LANES, Source, engine};
use crate::store::Model;
use serde_json::{Value, json};
use std::path::Path;

/// Most labels in a table.
const SHOWN: usize = 24;

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
        let (by_label, macro_f1) = by_label(&answers, labels);
        print_json(&json!({
            "loss": number(found.loss), "sequences": found.scored, "tokens": found.scored, "lanes": lanes, "accuracy": number(answers.accuracy()),
            "chance_accuracy": number(chance), "held_out": own, "unknown": unknown, "labels": labels, "confusion": confusion(&answers, labels.len()), "by_label": by_label, "macro_f1": macro_f1,
            "device": engine.description(), "backend": device.backend(), "model": source.file.display().to_string(),
        }))?;
    } else {
        let numbers = matches!(model.codec, Codec::LabelledRows { .. });
        let (one, many) = if numbers { ("sequence", "sequences") } else { ("line", "lines") };
        let (lines, part) = (if found.scored == 1 { one } else { many }, if own { " held out" } else { "" });
        say(&format!("loss {:.4} nats per label, over {} {lines}{part}", found.loss, found.scored));
        say(&format!("{} of the labels are right; the most frequent one would be right in {}", percent(answers.accuracy()), percent(chance)));
        say(&table(&answers, labels));
    }
    if let (Some(path), EvalSet::Sequences(sequences, _)) = (&args.sequences, &held) {
        write(path, sequences, labels, &found, &answers)?;
    }
    finite("the loss", found.loss)
}

/// The data to evaluate, in lanes; the share of its most frequent label; the number of characters that the model does not know.
fn given(args: &Args, source: &Source, model: &Model, path: &Path) -> Result<(EvalSet, u32, f64, u64)> {
    let stated = args.label_column.clone().map(|label| (label, args.text_column.clone()));
    let Some((label, text)) = stated.or(source.columns.clone()) else {
        return Err(Error::Usage(format!("{} does not say which column holds the labels; give --label-column", args.run.display())));
    };
    let lines = Text::open(path)?.or_for_unknown(reader::ADVICE);
    let lanes = args.lanes.unwrap_or(LANES);
    let (sequences, notes, unknown) = if let Codec::LabelledRows { columns, .. } = &model.codec {
        let of_texts = [("text-column", args.text_column.is_some()), ("unknown", args.unknown != Unknown::Refuse)];
        if let Some((flag, _)) = of_texts.iter().find(|f| f.1) {
            return Err(Error::Usage(format!("--{flag} is for texts; {} reads sequences of numbers; leave it out", args.run.display())));
        }
        let how = Rows { header: args.header, reading: &args.reading, sequence: args.sequence_column.as_deref() };
        let mut table = SequenceTable::read(&lines, &SequenceSpec { label: Some(label), known: None, ..how.spec(source, columns)? })?;
        let (names, notes) = (std::mem::take(&mut table.labels), std::mem::take(&mut table.notes));
        let labelled = LabelledRows::new(NumberRows::of(&lines.name, table)?, &names, Some(&model.codec))?;
        (labelled.rows.sequences(labelled.classes), notes, 0)
    } else {
        let of_numbers = args.reading.given().or(args.sequence_column.is_some().then_some("sequence-column"));
        if let Some(flag) = of_numbers {
            return Err(Error::Usage(format!("--{flag} is for tables of numbers; {} reads texts; leave it out", args.run.display())));
        }
        let header = args.header.map_or_else(|| held_out::header(&args.run), |h| Ok(Some(h)))?.map(|h| h == Answer::Yes);
        let columns = Columns { label: &label, text: text.as_deref(), header };
        let (labelled, unknown) = Labelled::lenient(&lines, columns, Kind::default(), Some(&model.codec), args.unknown)?;
        (Sequences::labelled(labelled.symbols, labelled.parts, labelled.classes, &labelled.lines), labelled.notes, unknown)
    };
    for note in &notes {
        if note.starts_with("warning") || !args.quiet {
            tell(note);
        }
    }
    let held = EvalSet::sequences(sequences, lanes);
    let chance = held.chance().unwrap_or_default();
    Ok((held, lanes, chance, unknown))
}

/// How another table of sequences of numbers is read: as in training, unless flags say otherwise.
pub(super) struct Rows<'a> {
    pub(super) header: Option<Answer>,
    pub(super) reading: &'a Reading,
    pub(super) sequence: Option<&'a str>,
}

impl Rows<'_> {
    /// The columns, for a model that knows these by name.
    pub(super) fn spec(&self, source: &Source, columns: &[String]) -> Result<SequenceSpec> {
        let trained = source.config.as_ref().map(RunConfig::sequences).transpose()?.flatten().unwrap_or_default();
        let mut stated = RunConfig::default();
        stated.put_all(&self.reading.stated)?;
        if let Some(time_format) = self.reading.given().filter(|flag| *flag == "time-format") {
            return Err(Error::Usage(format!("--{time_format} is for models of numeric series; leave it out")));
        }
        let sequence = self.sequence.map(str::to_string).or(trained.sequence);
        if let (Some(name), true) = (&sequence, columns.is_empty()) {
            return Err(Error::Usage(format!("the model was trained on one sequence a row, and the column {name:?} is to tell sequences apart; leave it out")));
        }
        if sequence.is_none() && !columns.is_empty() {
            let names = columns.join(", ");
            return Err(Error::Usage(format!("the model reads a row a step ({names}); say by --sequence-column which sequence a row belongs to")));
        }
        Ok(SequenceSpec {
            sequence,
            // One sequence a row may be of another length; names of the columns that are steps of others are not asked for.
            features: Some(columns.to_vec()).filter(|c| !c.is_empty()),
            ignored: if columns.is_empty() { trained.ignored } else { Vec::new() },
            header: self.header.map(|h| h == Answer::Yes).or(trained.header),
            missing: stated.missing.unwrap_or(trained.missing),
            delimiter: stated.delimiter,
            decimal: stated.decimal.or(trained.decimal),
            ..SequenceSpec::default()
        })
    }
}

/// The confusion matrix: rows of right labels, columns of predicted ones, and a last column for lines where none stood out.
fn confusion(answers: &Answers, labels: usize) -> Vec<Vec<u64>> {
    let named = |right: u32, answer: Option<u32>| answers.counts.get(&(right, answer)).copied().unwrap_or(0);
    (0..labels as u32).map(|right| (0..labels as u32).map(Some).chain([None]).map(|answer| named(right, answer)).collect()).collect()
}

/// The figures of each label by its whole name, for a terminal: how often what is right was named, and what was named was right, and the confusion
/// matrix, whose columns have the numbers of its rows.
fn table(answers: &Answers, labels: &[String]) -> String {
    let (counts, figures) = (confusion(answers, labels.len()), answers.by_class(labels.len() as u32));
    if labels.len() > SHOWN {
        return format!("{} labels are too many for a table of which is taken for which; --json has it", labels.len());
    }
    let wide = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0).max(5);
    let undecided = counts.iter().any(|row| row[labels.len()] > 0);
    let columns = labels.len() + usize::from(undecided);
    let share = |x: Option<f64>| x.map_or("-".to_string(), percent);
    let cell = counts.iter().flatten().max().map_or(1, |n| n.to_string().len()).max(labels.len().to_string().len()).max(3);
    let heads = (1..=labels.len()).map(|n| n.to_string()).chain(undecided.then(|| "?".to_string()));
    let mut text = format!("{:>3} {:<wide$} {:>7} {:>10} {:>7} {:>6} | named", "", "label", "count", "precision", "recall", "F1");
    heads.for_each(|head| text += &format!(" {head:>cell$}"));
    for (i, (label, (row, of))) in labels.iter().zip(counts.iter().zip(&figures)).enumerate() {
        let f1 = of.f1().map_or("-".to_string(), |x| format!("{x:.3}"));
        text += &format!("\n{:>3} {label:<wide$} {:>7} {:>10} {:>7} {f1:>6} |      ", i + 1, of.count, share(of.precision()), share(of.recall()));
        row[..columns].iter().for_each(|n| text += &format!(" {n:>cell$}"));
    }
    let mean = ClassFigures::macro_f1(&figures).map_or("-".to_string(), |x| format!("{x:.4}"));
    text + &format!("\nmacro F1 {mean}{}", if undecided { "; ?: no label stood out" } else { "" })
}

/// The figures of each label as JSON.
fn by_label(answers: &Answers, labels: &[String]) -> (Vec<Value>, Value) {
    let figures = answers.by_class(labels.len() as u32);
    let one = |(label, of): (&String, &ClassFigures)| json!({ "label": label, "count": of.count, "precision": optional(of.precision()), "recall": optional(of.recall()), "f1": optional(of.f1()) });
    (labels.iter().zip(&figures).map(one).collect(), optional(ClassFigures::macro_f1(&figures)))
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
    use super::*;

    #[test]
    fn labels_are_named_whole_and_columns_by_their_rows() {
        let counts = [((0, Some(0)), 12), ((0, Some(1)), 3), ((1, Some(1)), 5), ((1, None), 1)];
        let answers = Answers { counts: counts.into_iter().collect(), ..Answers::default() };
        let shown = table(&answers, &["customer support - billing", "other"].map(String::from));
        assert_eq!(
            shown,
            "    label                        count  precision  recall     F1 | named   1   2   ?\n\
             \u{20} 1 customer support - billing      15     100.0%   80.0%  0.889 |        12   3   0\n\
             \u{20} 2 other                            6      62.5%   83.3%  0.714 |         0   5   1\n\
             macro F1 0.8016; ?: no label stood out"
        );
    }
}
