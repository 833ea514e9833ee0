//! `retrograd eval`

use super::eval_flags::Args;
use super::reader::ADVICE;
use super::tell;
use super::{held_out, percent, print_json, say};
use crate::data::{Codec, Kind, Parts, Sequences, Set, Symbols, SyntheticTask, Text, Unknown, WARM_UP};
use crate::device::Device;
use crate::error::{Error, Result, finite};
use crate::evaluate::{Answers, EvalSet, Evaluation};
use crate::files;
use crate::metrics::{number, optional};
use crate::run::bits;
use crate::session::{LANES, Source, engine};
use crate::store::Model;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Default number of fresh sequences of a task.
const EXAMPLES: u64 = 2000;

pub(super) fn run(args: &Args) -> Result<()> {
    let source = Source::find(&args.run, args.which.chosen())?;
    let model = source.load()?;
    if let Codec::Series(series) = &model.codec {
        return super::score::run(args, &source, &model, series);
    }
    if let Some(flag) = args.reading.given().filter(|_| model.codec.labels().is_none()) {
        return Err(Error::Usage(format!("--{flag} is for models of numeric series; leave it out")));
    }
    if args.last.is_some() || args.report.is_some() {
        return Err(Error::Usage("--last and --report are for models of numeric series; leave them out".to_string()));
    }
    new_sequences(args)?;
    if let Codec::Labels { labels, .. } | Codec::LabelledRows { labels, .. } = &model.codec {
        return super::labels::run(args, &source, &model, labels);
    }
    for (flag, given) in [("label-column", args.label_column.is_some()), ("sequence-column", args.sequence_column.is_some()), ("header", args.header.is_some())]
    {
        if given {
            return Err(Error::Usage(format!("{} predicts text, not labels; leave --{flag} out", args.run.display())));
        }
    }
    let own = args.text.is_none() && source.task.is_none();
    if args.unknown != Unknown::Refuse && args.text.is_none() {
        return Err(Error::Usage("--unknown is for other texts than the run's own; leave it out, or give a text".to_string()));
    }
    let Laid { held, lanes, unit, notes, unknown } = if own { own_part(args, &model)? } else { given(args, &source, &model)? };
    if args.sequences.is_some() && matches!(held, EvalSet::Stream(..)) {
        return Err(Error::Usage("--sequences needs a text of sequences; give --separator or --lines".to_string()));
    }
    let tokens = model.codec.vocabulary().is_some_and(|v| v.kind() == Kind::Tokens);
    let (device, line) = Device::open(args.device)?;
    if !args.quiet {
        tell(&format!("{line}\nmodel: {}, {} parameters; {lanes} lanes", source.file.display(), model.config.parameters()));
        notes.iter().for_each(|note| tell(note));
        if let EvalSet::Sequences(s, _) = &held
            && s.skipped() > 0
        {
            tell(&format!("note: {} left out: empty, or shorter than 2 {unit}", crate::phrase::counted(s.skipped(), "sequence is", "sequences are")));
        }
    }
    let mut engine = engine(&device, &model, &held, lanes)?;
    let start = Instant::now();
    let found = held.evaluate(&mut engine, || Ok(()))?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(note) = found.again.note("lanes", unit).filter(|_| !args.quiet) {
        tell(&format!("note: {note}"));
    }
    let bits_per_byte = held.per_byte()?.map(|per_byte| bits(found.loss) * per_byte);
    let answers = held.answers(&mut engine, || Ok(()))?;
    let accuracy = answers.as_ref().map(Answers::accuracy);
    if args.json {
        let (sequences, skipped) = if let EvalSet::Sequences(s, _) = &held { (s.list().len(), s.skipped()) } else { (1, 0) };
        print_json(&json!({
            "loss": number(found.loss), "bpc": number(bits(found.loss)), "perplexity": number(found.loss.exp()), "bits_per_byte": optional(bits_per_byte), "unknown": unknown, "tokens": found.scored, "lanes": lanes, "sequences": sequences,
            "skipped_sequences": skipped, "device": engine.description(), "backend": device.backend(), "model": source.file.display().to_string(),
            "tokens_per_second": number(found.scored as f64 / seconds), "accuracy": optional(accuracy),
            "chance_accuracy": optional(source.task.map(SyntheticTask::chance)), "held_out": own,
            "lanes_read_again": found.again.parts, "steps_read_again": found.again.steps,
        }))?;
    } else {
        let scored = if source.task.is_some() { "answers" } else { unit };
        let also = bits_per_byte.filter(|_| tokens).map_or(String::new(), |b| format!(", {b:.4} bits per byte"));
        let part = if own { " that were held out" } else { "" };
        say(&format!(
            "loss {:.4} nats, {:.4} bits per symbol{also}, perplexity {:.4}, over {} {scored}{part}",
            found.loss,
            bits(found.loss),
            found.loss.exp(),
            found.scored
        ));
        if let (Some(accuracy), Some(task)) = (accuracy, source.task) {
            say(&format!("{} of the answers are right; by chance {}", percent(accuracy), percent(task.chance())));
        }
    }
    if let (Some(path), EvalSet::Sequences(s, _)) = (&args.sequences, &held) {
        write_sequences(path, s, &found)?;
    }
    finite("the loss", found.loss)
}

/// The data to evaluate.
struct Laid {
    held: EvalSet,
    lanes: u32,
    /// Name of a symbol.
    unit: &'static str,
    notes: Vec<String>,
    /// Symbols that the model does not know.
    unknown: u64,
}

/// The data to evaluate, if it is given or generated.
fn given(args: &Args, source: &Source, model: &Model) -> Result<Laid> {
    let separator = if args.stream { None } else { args.separator.clone().or(args.lines.then(|| "\n".to_string())).or(source.separator.clone()) };
    let symbols = Arc::new(symbols(args, source.task, model, separator.as_deref())?);
    let (unit, count) = (symbols.unit(), symbols.len());
    let (notes, unknown) = (symbols.notes(), symbols.foreign());
    let sequences = match (source.task, &separator) {
        (Some(task), _) => Some(Sequences::asked(symbols.clone(), task.steps(), task.answers())?),
        (None, Some(s)) => Some(Sequences::new(symbols.clone(), s)?),
        (None, None) => None,
    };
    let (held, lanes) = match sequences {
        Some(sequences) => {
            let lanes = args.lanes.unwrap_or(LANES);
            (EvalSet::sequences(sequences, lanes), lanes)
        }
        None => {
            let lanes = args.lanes.unwrap_or(Parts::lanes_for(count.saturating_sub(1), LANES));
            let content = symbols.into();
            let parts = Parts::of_stream(&content, 0..count, lanes, lanes, WARM_UP)?;
            (EvalSet::Stream(content, parts), lanes)
        }
    };
    Ok(Laid { held, lanes, unit, notes, unknown })
}

/// The held-out part of the run's own text.
fn own_part(args: &Args, model: &Model) -> Result<Laid> {
    let (corpus, config) = held_out::find(args, model)?;
    let unit = corpus.content.unit();
    let nothing = || Error::Usage(format!("{} held nothing out; give the path of a text after it", args.run.display()));
    let held = corpus.validation.ok_or_else(nothing)?;
    Ok(Laid { held, lanes: config.training.batch, unit, notes: Vec::new(), unknown: 0 })
}

/// Checks that the file of --sequences can be created.
fn new_sequences(args: &Args) -> Result<()> {
    if let Some(path) = args.sequences.as_deref().filter(|p| p.exists()) {
        return Err(Error::Usage(format!("{} exists; give another file for --sequences", path.display())));
    }
    if let Some(folder) = args.sequences.as_deref().and_then(|p| p.parent()).filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(Error::Usage(format!("{} is not a folder; give another file for --sequences", folder.display())));
    }
    Ok(())
}

/// The symbols to evaluate: a text, or fresh sequences of the task that a run was trained on.
fn symbols(args: &Args, task: Option<SyntheticTask>, model: &Model, separator: Option<&str>) -> Result<Symbols> {
    let wrong = |what: String| Err(Error::Usage(what));
    match (task, &args.text) {
        (Some(task), Some(_)) => wrong(format!("{} was trained on the task {task}, not on a text; leave the text out", args.run.display())),
        (Some(_), None) if args.separator.is_some() || args.lines || args.stream => {
            wrong("--separator, --lines and --stream are for texts; the sequences of a task are what they are".to_string())
        }
        (Some(task), None) => {
            let symbols = task.symbols(args.seed.unwrap_or(0), Set::Fresh, args.examples.unwrap_or(EXAMPLES))?;
            if Some(symbols.vocabulary()) != model.codec.vocabulary() {
                return Err(Error::Input(format!("the model's vocabulary is not that of the task {task} of {}'s config.toml", args.run.display())));
            }
            Ok(symbols)
        }
        (None, None) => wrong(format!("no text given; give the path of a text after {}", args.run.display())),
        (None, Some(_)) if args.seed.is_some() || args.examples.is_some() => {
            wrong("--seed and --examples are for runs that were trained on a --task; leave them out".to_string())
        }
        (None, Some(path)) => Symbols::lenient(Text::open(path)?.or_for_unknown(ADVICE), model.codec.text()?.clone(), separator, args.unknown),
    }
}

/// One line per sequence, in the order of the text.
fn write_sequences(path: &std::path::Path, sequences: &Sequences, found: &Evaluation) -> Result<()> {
    let mut text = String::new();
    for (i, (s, sum)) in sequences.list().iter().zip(&found.sums).enumerate() {
        let tokens = sequences.scored_of(s);
        let line =
            json!({ "sequence": i, "number": s.number, "start": s.start, "tokens": tokens, "nats": number(*sum), "loss": number(sum / f64::from(tokens)) });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    files::replace(path, text.as_bytes())
}
