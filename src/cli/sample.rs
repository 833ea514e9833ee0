//! `retrograd sample`

use super::model::Which;
use super::reader::ADVICE;
use super::tell;
use super::{not_negative, output, print_json, unescaped};
use crate::data::{Kind, Unknown};
use crate::error::{Error, Result};
use crate::sample::{Options, Sampler};
use crate::session::Source;
use serde_json::json;
use std::path::PathBuf;

/// Flags of `sample`.
#[derive(clap::Args)]
#[command(after_help = "\
The state is carried from symbol to symbol, from the start of the prompt on. A run that was trained on sequences begins a new one, and
again whenever it has written the separator.

Examples:
  retrograd sample runs/book                                   500 symbols
  retrograd sample runs/book --prompt 'ROMEO:' --length 2000   go on from a beginning
  retrograd sample runs/book --prompt 'Chapter 1\n\n'             lines of it end with \n
  retrograd sample runs/book --temperature 0.5                 safer and duller; 1 is what the model has learned, more is wilder
  retrograd sample runs/book --top-k 5 --seed 7                from the 5 likeliest symbols at each place, another draw")]
pub(super) struct Args {
    /// Folder of a run, or a model file
    run: PathBuf,
    /// Symbols to write
    #[arg(long, default_value_t = 500, value_name = "N")]
    length: u64,
    /// 0 always takes the likeliest symbol; below 1 prefers likely ones, above 1 unlikely ones
    #[arg(long, default_value_t = 0.7, value_parser = not_negative, value_name = "T")]
    temperature: f64,
    /// Sample from the K likeliest symbols only [default: all]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    top_k: Option<u64>,
    /// Text to continue from; \n, \t, \r and \\ are understood
    #[arg(long, allow_hyphen_values = true, default_value = "", value_name = "TEXT", value_parser = unescaped, hide_default_value = true)]
    prompt: String,
    /// What to do with characters of the prompt that the model does not know: error, skip (as if they were not there), or symbol:C (read them as the
    /// symbol C); their number is reported
    #[arg(long, default_value = "error", value_name = "WHAT", hide_default_value = true)]
    unknown: Unknown,
    /// Seed of the sampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    which: Which,
    /// Print one JSON object on standard output, once all is written
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let source = Source::find(&args.run, args.which.chosen())?;
    if let Some(task) = source.task {
        let (run, eval) = (args.run.display(), crate::phrase::argument(&args.run));
        return Err(Error::Usage(format!("{run} was trained on the task {task}: it answers and writes no text; see `retrograd eval {eval}`")));
    }
    let model = source.load()?;
    let vocabulary = model.codec.text()?;
    let (text, unknown) = if args.unknown == Unknown::Refuse { (args.prompt.clone(), 0) } else { vocabulary.fitted(&args.prompt, args.unknown)? };
    let advice = if vocabulary.kind() == Kind::Characters { format!("; {ADVICE}") } else { String::new() };
    let prompt = vocabulary.encode(&text).map_err(|e| Error::Input(format!("--prompt: {e}{advice}")))?;
    let separator = source.separator.as_deref().map_or(Ok(Vec::new()), |s| vocabulary.encode(s))?;
    let options = Options { temperature: args.temperature as f32, top_k: args.top_k.map_or(0, |k| k as usize), seed: args.seed, separator };
    let mut sampler = Sampler::new(model.config, &model.parameters, options)?;
    prompt.iter().try_for_each(|&t| sampler.read(t))?;
    let mut writer = vocabulary.writer(&prompt);
    if args.json {
        let mut text = Vec::new();
        for _ in 0..args.length {
            writer.push(sampler.draw()?, &mut text)?;
        }
        writer.end(&mut text)?;
        // Bytes need not be valid text: then there is no text, and they are given as numbers.
        let bytes = (vocabulary.kind() == Kind::Bytes).then(|| text.clone());
        let text = String::from_utf8(text).ok();
        return print_json(&json!({
            "prompt": args.prompt, "unknown": unknown, "text": text, "bytes": bytes, "length": args.length, "temperature": args.temperature, "top_k": args.top_k, "seed": args.seed,
            "model": source.file.display().to_string(),
        }));
    }
    if unknown > 0 {
        tell(&format!("note: {unknown} unknown characters of the prompt were read as --unknown says"));
    }
    let mut bytes = Vec::new();
    let mut goes_on = output::write(args.prompt.as_bytes());
    for _ in 0..args.length {
        if !goes_on {
            return Ok(());
        }
        writer.push(sampler.draw()?, &mut bytes)?;
        goes_on = output::write(&bytes);
        bytes.clear();
    }
    writer.end(&mut bytes)?;
    bytes.push(b'\n');
    output::write(&bytes);
    Ok(())
}
