//! `retrograd import`

use super::{print_json, tell};
use crate::data::{Codec, whole};
use crate::error::{Error, Result};
use crate::model::{Activation, Cell};
use crate::phrase::{argument, counted};
use crate::run::Folder;
use crate::store::{Foreign, ImportOptions};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Flags of `import`.
#[derive(clap::Args)]
#[command(after_help = "\
The file holds the state_dict of a PyTorch module that has rnn = nn.RNN(V, H, layers), nn.GRU or nn.LSTM, over one-hot symbols, and
head = nn.Linear(H, V), as safetensors.torch.save_file writes it: any number of layers up to 8, tanh or relu, with biases or without; no
projections, one direction. Which of the three it is follows from the shapes. The two biases of a layer are added, but for nn.GRU's new
gate. Symbols may have any order. RUN is a new folder with model.safetensors, which train --from, eval, sample and export take.

Examples:
  retrograd import torch.safetensors runs/torch --vocabulary symbols.json   symbols.json: [\"\\n\", \" \", \"a\", ...], by index
  retrograd import book.safetensors runs/book2                              a file that `retrograd export` has written
  retrograd train more.txt --from runs/torch                                and train on")]
pub(super) struct Args {
    /// The safetensors file
    file: PathBuf,
    /// Folder to create; it must not exist
    run: PathBuf,
    /// A JSON array of the symbols in the order of the model's indices, one character each [default: as in the file]
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// The model's symbols are all 256 bytes
    #[arg(long, conflicts_with = "vocabulary")]
    bytes: bool,
    /// Activation of an nn.RNN: tanh or relu [default: as in the file, or tanh]
    #[arg(long, value_name = "PHI")]
    activation: Option<Activation>,
    /// No messages except warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let name = args.run.display();
    if args.run.exists() {
        return Err(Error::Usage(format!("{name} exists; give a new folder")));
    }
    let vocabulary = args.vocabulary.as_deref().map(symbols).transpose()?;
    let unsaid = ImportOptions { vocabulary, bytes: args.bytes, activation: args.activation };
    let (model, notes) = Foreign::read(&args.file)?.model(&unsaid).map_err(|e| e.reworded(|e| format!("{}: {e}", args.file.display())))?;
    let mut folder = Folder::create(&args.run)?;
    model.save(&folder.file("model.safetensors"))?;
    folder.keep();
    let c = &model.config;
    let activation = (c.cell == Cell::Rnn).then_some(c.activation);
    if args.json {
        print_json(&json!({
            "run_dir": name.to_string(), "parameters": c.parameters(), "symbols": c.input.symbols(), "hidden": c.hidden, "layers": c.layers,
            "cell": c.cell, "activation": activation, "bias": c.bias, "notes": notes,
        }))?;
    }
    if !args.quiet {
        notes.iter().for_each(|n| tell(&format!("note: {n}")));
        let (what, more) = match &model.codec {
            Codec::Text(v) => (format!("{} symbols", v.len()), "TEXT"),
            Codec::Labels { vocabulary, labels } => (format!("{} symbols, {} labels", vocabulary.len(), labels.len()), "FILE --label-column COLUMN"),
            Codec::LabelledRows { scales, labels, .. } => (format!("{} columns read, {} labels", scales.len(), labels.len()), "FILE --label-column COLUMN"),
            Codec::Series(s) => (format!("{} columns read, {} forecast", s.features.len(), s.targets.len()), "FILE.csv --target COLUMNS"),
        };
        tell(&format!(
            "{name}: {what}, {} of {} {} units, {} parameters; go on with `retrograd train {more} --from {}`",
            counted(c.layers, "layer", "layers"),
            c.hidden,
            activation.map_or(c.cell.name(), Activation::name),
            c.parameters(),
            argument(&args.run)
        ));
    }
    Ok(())
}

fn symbols(path: &Path) -> Result<Vec<String>> {
    serde_json::from_str(&whole(path, "a JSON array of the symbols")?).map_err(|e| {
        Error::Input(format!(
            "{}: {e}; expected a JSON array of the symbols in the order of the model's indices, one character each, such as [\"a\", \"b\"]",
            path.display()
        ))
    })
}
