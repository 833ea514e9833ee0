//! `retrograd export`

use super::model::Which;
use super::tell;
use super::{print_json, say};
use crate::data::{Codec, Kind, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Activation, Cell};
use crate::session::Source;
use crate::store::Model;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Flags of `export`.
#[derive(clap::Args)]
#[command(after_help = "\
The safetensors file has the names and shapes of a PyTorch module with rnn = nn.RNN, nn.GRU or nn.LSTM and head = nn.Linear, and the
vocabulary and the architecture among its metadata. PyTorch has two biases per layer where one would do: the model's is the first, the
second is zero; but nn.GRU's new gate has both. The ONNX file takes tokens [time, batch] and the state [layers, batch, H], and gives
logits [time, batch, V] and the next state; that of an LSTM also takes and gives the cell_state.

Examples:
  retrograd export runs/book book.safetensors          for PyTorch; prints the Python that loads it
  retrograd export runs/book book.onnx --onnx --best   the model with the lowest validation loss, for onnxruntime and others")]
pub(super) struct Args {
    /// Folder of a run, or a model file
    run: PathBuf,
    /// File to write; it must not exist
    file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Write ONNX instead of safetensors
    #[arg(long)]
    onnx: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let source = Source::find(&args.run, args.which.chosen())?;
    let model = source.load()?;
    let numbers = model.config.input.symbols() == 0;
    if args.onnx && numbers {
        return Err(Error::Usage("models of numbers are not written as ONNX; leave --onnx out, for PyTorch".to_string()));
    }
    let name = args.file.display();
    if args.file.exists() {
        return Err(Error::Usage(format!("{name} exists; give another file")));
    }
    let ending = args.file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let named = |format: &str, other: &str, ending: &str| {
        Error::Usage(format!("{name} would be {format} file, which .{other} does not say; give a name that ends in .{ending}"))
    };
    match (args.onnx, ending.as_str()) {
        (false, "onnx") => return Err(Error::Usage(format!("{name} would be a safetensors file; give --onnx, or a name that ends in .safetensors"))),
        (true, "safetensors") => return Err(Error::Usage(format!("{name} would be an ONNX file; leave --onnx out, or give a name that ends in .onnx"))),
        (true, other) if !["", "onnx"].contains(&other) => return Err(named("an ONNX", other, "onnx")),
        (false, other) if !["", "safetensors", "st"].contains(&other) => return Err(named("a safetensors", other, "safetensors")),
        _ => {}
    }
    let snippet = if args.onnx {
        model.save_onnx(&args.file)?;
        onnx_snippet(&model, &args.file)
    } else {
        let snippet = torch_snippet(&model, &args.file)?;
        model.save(&args.file)?;
        snippet
    };
    if args.json {
        return print_json(&json!({
            "file": name.to_string(), "format": if args.onnx { "onnx" } else { "safetensors" }, "model": source.file.display().to_string(),
            "parameters": model.config.parameters(), "python": snippet,
        }));
    }
    let (outputs, what) = (model.config.outputs(), if numbers { "outputs" } else { "symbols" });
    tell(&format!("{name}: {} parameters, {outputs} {what}, of {}; in Python:", model.config.parameters(), super::model::said(&source)));
    say(&snippet);
    Ok(())
}

/// A path as a Python string literal, in JSON's syntax.
fn quoted(path: &Path) -> String {
    json!(path.display().to_string()).to_string()
}

/// Further Python for a model of series.
const SERIES_META: &str = "    series = json.loads(f.metadata()[\"series\"])  # columns, horizon, and how to scale: x = (value - mean) / deviation
# Output h * len(targets) + j is target j, h + 1 rows ahead, standardised by series[\"outputs\"]; with \"difference\", outputs are
# changes from the last row known, and with \"all\" inputs are changes from the row before (0, standardised, in the first).";

/// Further Python for a model of labelled sequences of numbers.
const SCALES_META: &str = "    scales = json.loads(f.metadata()[\"scales\"])  # of each column: x = (value - mean) / deviation";

/// The Python module that reads the symbols, and the code that reads them from a file's metadata.
fn symbols_snippet(model: &Model, metadata: &str) -> (&'static str, String) {
    match model.codec.vocabulary().map(Vocabulary::kind) {
        Some(Kind::Tokens) => ("tokenizers", format!("tokenizer = tokenizers.Tokenizer.from_str({metadata}[\"tokenizer\"])")),
        _ => ("json", format!("vocabulary = json.loads({metadata}[\"vocabulary\"])  # the symbol of each index")),
    }
}

/// The Python that loads a safetensors file.
fn torch_snippet(model: &Model, path: &Path) -> Result<String> {
    let c = &model.config;
    let activation = match c.activation {
        _ if c.cell != Cell::Rnn => "",
        Activation::Tanh => ", nonlinearity=\"tanh\"",
        Activation::Relu => ", nonlinearity=\"relu\"",
        Activation::Identity => {
            return Err(Error::Usage("nn.RNN has no identity activation, so PyTorch can't load this model; export it with --onnx".to_string()));
        }
    };
    let (d, v, h, layers, bias, file) = (c.input.width(), c.outputs(), c.hidden, c.layers, if c.bias { "True" } else { "False" }, quoted(path));
    let (symbols, class) = (c.input.symbols(), c.cell.spec().torch);
    let state = if c.cell.spec().states == 1 { format!("[layers, batch, {h}]") } else { format!("(h, c) [layers, batch, {h}] each") };
    let (embed, x) = match c.embedding() {
        0 => (String::new(), format!("torch.nn.functional.one_hot(tokens, {symbols}).float()")),
        e => (format!("\n        self.embed = torch.nn.Embedding({symbols}, {e})"), "self.embed(tokens)".to_string()),
    };
    let (json, known) = symbols_snippet(model, "f.metadata()");
    let labels = match model.codec {
        Codec::Labels { .. } | Codec::LabelledRows { .. } => {
            "\n    labels = json.loads(f.metadata()[\"labels\"])  # the label of each output, at the last step"
        }
        Codec::Text(_) | Codec::Series(_) => "",
    };
    // The name of its input, the input of the layers, and the code for its metadata.
    let last = if symbols == 0 { format!(", {d}") } else { String::new() };
    let (tokens, x, meta) = match &model.codec {
        Codec::Series(_) => ("numbers", "numbers".to_string(), SERIES_META.to_string()),
        Codec::LabelledRows { .. } => ("numbers", "numbers".to_string(), format!("{SCALES_META}{labels}")),
        _ => ("tokens", x, format!("    {known}{labels}")),
    };
    Ok(format!(
        "\
import {json}, torch
from safetensors import safe_open
from safetensors.torch import load_file

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__(){embed}
        self.rnn = torch.nn.{class}({d}, {h}, num_layers={layers}{activation}, bias={bias})
        self.head = torch.nn.Linear({h}, {v}, bias={bias})

    def forward(self, {tokens}, state=None):  # [time, batch{last}], {state} -> [time, batch, {v}], the next state
        x = {x}
        y, state = self.rnn(x, state)
        return self.head(y), state

model = Model()
model.load_state_dict(load_file({file}))
with safe_open({file}, \"pt\") as f:
{meta}"
    ))
}

/// The Python that runs an ONNX file.
fn onnx_snippet(model: &Model, path: &Path) -> String {
    let (c, file) = (&model.config, quoted(path));
    let (json, known) = symbols_snippet(model, "session.get_modelmeta().custom_metadata_map");
    // For a cell with c, the code beside that for h.
    let [zero, output, next, input] = match c.cell.spec().states {
        1 => ["", "", "", ""],
        _ => ["\ncell_state = state", ", cell_state", ", \"next_cell_state\"", ", \"cell_state\": cell_state"],
    };
    format!(
        "\
import {json}, numpy, onnxruntime

session = onnxruntime.InferenceSession({file})
{known}
state = numpy.zeros(({layers}, 1, {h}), numpy.float32)  # [layers, batch, {h}]{zero}
tokens = numpy.zeros((5, 1), numpy.int64)  # [time, batch], indices 0 to {last}
logits, state{output} = session.run([\"logits\", \"next_state\"{next}], {{\"tokens\": tokens, \"state\": state{input}}})  # [time, batch, {v}]",
        layers = c.layers,
        h = c.hidden,
        v = c.outputs(),
        last = c.input.symbols() - 1
    )
}
