//! `retrograd gradflow`

use super::settings::{Flags, List};
use super::tell;
use super::{not_negative, positive, print_json, say, separator};
use crate::analysis::flow::sweep::{self, Grid, Sweep};
use crate::analysis::flow::{self, Flow, Options, Subject, Verdict};
use crate::data::{Kind, Sequences, Symbols, Text, ask_about_tables};
use crate::device::{Device, DeviceSpec};
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Activation, Cell, Config};
use crate::run::{Chosen, Folder, RunConfig};
use crate::session::{FRESH, Source, default_lags, of_task};
use crate::setting::{Setting, shown};
use crate::settings::Settings;
use crate::store::Model;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flags of `gradflow`.
#[derive(clap::Args)]
#[command(after_help = "\
What is measured: the loss L_t of single steps is followed back, and |dL_t/dh_{t-k}| / |dL_t/dh_t| is noted for every lag k; for an lstm, h is h and c. Where it halves every few steps
the gradient vanishes, and a window need not be long; where it grows it explodes. From that follow the window that is long enough (the smallest TAU for which
regular:TAU misses less than --tolerance of the gradient, as estimated; what it really misses is measured beside it), and why it is so: singular values of
what one and several steps do to a gradient, the spectrum of W_hh (gru, lstm: of what one step does), units or gates that are saturated, and what a small move
of the first state does.

Examples:
  retrograd gradflow runs/book                      a trained model, on the text that it was trained on
  retrograd gradflow runs/book other.txt --lags 500 on another text, further back
  retrograd gradflow book.txt --init identity:0.9   a fresh model
  retrograd gradflow book.txt --cell lstm           a fresh LSTM
  retrograd gradflow --sweep                        fresh models of many spectral radii against the theory's |lambda|^k")]
pub(super) struct Args {
    /// Folder of a run or a model file (.safetensors); without one, a fresh model is measured. A text may be given here instead
    run: Option<PathBuf>,
    /// Text to measure on [default: the text of the run, or the embedded one]
    text: Option<PathBuf>,
    /// Read a file that looks like a table (.csv, .tsv, columns of numbers) as the characters of a text, if no model is given
    #[arg(long = "text")]
    table_as_text: bool,
    /// For a run, use the model with the lowest validation loss (best.safetensors), not the last (model.safetensors)
    #[arg(long)]
    best: bool,
    /// Longest lag, in steps [default: 128, or what the text or its longest sequence allows]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lags: Option<u32>,
    /// Largest relative bias of the gradient for the suggested window
    #[arg(long, default_value_t = 0.1, value_name = "PART", value_parser = tolerance)]
    tolerance: f64,
    /// Losses to follow back at once
    #[arg(long, default_value_t = 32, value_name = "B", value_parser = clap::value_parser!(u32).range(1..=4096))]
    lanes: u32,
    /// Number of batches of --lanes losses, each at other positions of the text
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    windows: u32,
    /// Steps to read before the first lag, so that the state is one that occurs in the text
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    warm_up: u32,
    /// Separator between the sequences of the text [default: as in training]
    #[arg(long, value_name = "STRING", value_parser = separator)]
    separator: Option<String>,
    /// Treat each line as a separate sequence
    #[arg(long, conflicts_with = "separator")]
    lines: bool,
    /// Read the text as one stream, even if the run was trained on sequences
    #[arg(long, conflicts_with_all = ["separator", "lines"])]
    stream: bool,
    #[command(flatten)]
    fresh: Flags<Fresh>,
    /// Measure fresh models over spectral radius, initialisation and activation, instead of one model
    #[arg(long, conflicts_with_all = ["tolerance", "best", "separator", "lines", "stream", "init", "no_bias"], help_heading = "Fresh model")]
    sweep: bool,
    /// Spectral radii of --sweep
    #[arg(long, value_delimiter = ',', value_parser = positive, requires = "sweep", default_value = "0.5,0.7,0.8,0.9,0.95,1,1.05,1.1,1.2,1.5", value_name = "A,...", help_heading = "Fresh model")]
    radii: Vec<f64>,
    /// Seed of the positions, of the perturbations and of fresh weights
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Where to compute: auto, gpu, gpu:INDEX or cpu
    #[arg(long, default_value = "auto")]
    device: DeviceSpec,
    /// Folder for gradflow.json and gradflow.html; it must be new or empty [default: the folder of the run, or runs/gradflow-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// No messages except warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Print the content of gradflow.json as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Settings of a fresh model.
struct Fresh;

impl List for Fresh {
    const HEADING: Option<&'static str> = Some("Fresh model");

    fn has(setting: &Setting) -> bool {
        FRESH.contains(&setting.name)
    }

    fn default(setting: &Setting) -> Option<String> {
        match setting.name {
            "hidden" => Some(format!("256; {SWEEP_HIDDEN} with --sweep")),
            "activation" => Some("tanh; with --sweep all".to_string()),
            "cell" => Some("gru; with --sweep rnn".to_string()),
            name => RunConfig::default().get(name).map(|v| shown(&v)),
        }
    }
}

/// Hidden units of the models of --sweep.
const SWEEP_HIDDEN: u32 = 128;

fn tolerance(text: &str) -> std::result::Result<f64, String> {
    not_negative(text).and_then(|x| if x > 0.0 && x < 1.0 { Ok(x) } else { Err("expected a number between 0 and 1, such as 0.1".to_string()) })
}

/// The model and the text to measure, found from the two positional arguments.
struct Found {
    /// The model; none for a fresh one.
    model: Option<Model>,
    sequences: Option<Sequences>,
    symbols: Arc<Symbols>,
    /// Folder of the run.
    run: Option<PathBuf>,
}

impl Args {
    /// The stated settings of a fresh model.
    fn training(&self) -> Result<Settings> {
        let mut stated = self.fresh.stated.clone();
        if self.sweep {
            stated.entry("cell".to_string()).or_insert_with(|| Some(Cell::Rnn.name().into()));
        }
        RunConfig::of(&stated).map(|config| config.training)
    }

    fn options(&self, found: &Found) -> Options {
        let lags = self.lags.unwrap_or_else(|| default_lags(&found.symbols, found.sequences.as_ref()));
        Options { lags, lanes: self.lanes, windows: self.windows, warm_up: self.warm_up, seed: self.seed }
    }

    /// Whether the first argument names a model: a folder, or a file that is one by its name.
    fn names_model(&self) -> bool {
        self.run.as_deref().is_some_and(|p| p.is_dir() || self.text.is_some() || self.best || p.extension().is_some_and(|e| e == "safetensors"))
    }

    fn find(&self) -> Result<Found> {
        let given = self.separator.clone().or(self.lines.then(|| "\n".to_string()));
        let path = self.run.as_deref();
        if !self.names_model() {
            let text = path.map_or_else(|| Ok(Text::embedded()), Text::open)?;
            ask_about_tables(&text, self.table_as_text, false)?;
            let symbols = Arc::new(Symbols::new(text, Kind::Characters)?);
            let sequences = given.map(|s| Sequences::new(symbols.clone(), &s)).transpose()?;
            return Ok(Found { model: None, sequences, symbols, run: None });
        }
        let path = path.unwrap_or(Path::new("."));
        if let Some(flag) = self.fresh.stated.keys().map(String::as_str).chain(self.sweep.then_some("sweep")).next() {
            return Err(Error::Usage(format!("--{flag} is for a fresh model; {} is a trained one: leave one of the two out", path.display())));
        }
        let source = Source::find(path, if self.best { Chosen::Best } else { Chosen::Default })?;
        let model = source.load()?;
        let run = path.is_dir().then(|| path.to_path_buf());
        if let (Some(task), None) = (source.task, &self.text) {
            if given.is_some() || self.stream {
                return Err(Error::Usage(format!(
                    "--separator, --lines and --stream are for texts; {} was trained on the task {task}, whose sequences are what they are",
                    path.display()
                )));
            }
            let (symbols, sequences) = of_task(task, self.seed)?;
            return Ok(Found { model: Some(model), sequences: Some(sequences), symbols, run });
        }
        let text = match &self.text {
            Some(text) => Text::open(text)?,
            None if path.is_dir() => RunConfig::load(&path.join("config.toml"))?.raw_text()?,
            None => return Err(Error::Usage(format!("{} is a model file, which has no text; give one after it", path.display()))),
        };
        let separator = if self.stream { None } else { given.or(source.separator.clone()) };
        let symbols = Arc::new(Symbols::separated(text, model.codec.text()?.clone(), separator.as_deref())?);
        let sequences = separator.map(|s| Sequences::new(symbols.clone(), &s)).transpose()?;
        Ok(Found { model: Some(model), sequences, symbols, run })
    }

    fn fresh_config(&self, vocab: u32) -> Result<Config> {
        let Settings { hidden, layers, cell, activation, no_bias, .. } = self.training()?;
        Ok(Config { hidden, layers, cell, activation, bias: !no_bias, ..Config::symbols(vocab) })
    }

    fn note(&self, line: &str) {
        if !self.quiet {
            tell(line);
        }
    }

    /// Writes the results. Returns their folder.
    fn save(&self, run: Option<&Path>, name: &str, json: &serde_json::Value, html: &str) -> Result<PathBuf> {
        let mut made = match (&self.out, run) {
            (Some(path), _) => Some(Folder::create(path)?),
            (None, Some(_)) => None,
            (None, None) => Some(Folder::create_new(name)?),
        };
        let folder = made.as_ref().map_or_else(|| run.unwrap_or(Path::new(".")).to_path_buf(), |f| f.path().to_path_buf());
        files::replace(&folder.join("gradflow.json"), format!("{json:#}\n").as_bytes())?;
        files::replace(&folder.join("gradflow.html"), html.as_bytes())?;
        if let Some(folder) = &mut made {
            folder.keep();
        }
        Ok(folder)
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let found = args.find()?;
    found.symbols.notes().iter().for_each(|note| args.note(note));
    let name = format!("{}-{}", if args.sweep { "sweep" } else { "gradflow" }, crate::session::run_name(found.symbols.text().path.as_deref()));
    let (device, line) = Device::open(args.device)?;
    args.note(&line);
    let (json, html, table) = if args.sweep { lab(args, &device, &found)? } else { look(args, &device, &found)? };
    let folder = args.save(found.run.as_deref(), &name, &json, &html)?;
    if args.json {
        return print_json(&json);
    }
    say(&table);
    args.note(&format!("saved in {}: gradflow.json, gradflow.html", folder.display()));
    Ok(())
}

fn json_of(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))
}

fn look(args: &Args, device: &Device, found: &Found) -> Result<(serde_json::Value, String, String)> {
    let (config, parameters) = match &found.model {
        Some(m) => (m.config, m.parameters.clone()),
        None => {
            let config = args.fresh_config(found.symbols.vocabulary().len())?;
            config.dims(args.lanes).checked()?;
            (config, args.training()?.seed(args.seed).parameters(&config))
        }
    };
    let subject = Subject { config, parameters: &parameters, symbols: found.symbols.clone(), sequences: found.sequences.clone() };
    let spinner = super::progress::spinner(args.quiet);
    let flow = flow::measure(device, &subject, &args.options(found), args.tolerance, &mut |what| spinner.set_message(what.to_string()))?;
    spinner.finish_and_clear();
    Ok((json_of(&flow)?, crate::report::flow::html(&flow), table(&flow)))
}

fn lab(args: &Args, device: &Device, found: &Found) -> Result<(serde_json::Value, String, String)> {
    let training = args.training()?;
    if training.cell.spec().gates > 1 {
        return Err(Error::Usage(format!("--sweep is over the spectrum of a plain RNN's W_hh; leave out --cell {}, or --sweep", training.cell)));
    }
    let grid = Grid {
        radii: args.radii.clone(),
        activations: if args.fresh.has("activation") { vec![training.activation] } else { vec![Activation::Identity, Activation::Tanh, Activation::Relu] },
        hidden: if args.fresh.has("hidden") { training.hidden } else { SWEEP_HIDDEN },
        layers: training.layers,
        seed: args.seed,
    };
    args.fresh_config(found.symbols.vocabulary().len())?.dims(args.lanes).checked()?;
    let spinner = super::progress::spinner(args.quiet);
    let swept = sweep::sweep(device, &found.symbols, &grid, &args.options(found), &mut |p| {
        spinner.set_message(format!("{}, {}, radius {}", p.activation.name(), p.family, p.radius));
    })?;
    spinner.finish_and_clear();
    Ok((json_of(&swept)?, crate::report::sweep::html(&swept), sweep_table(&swept)))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Vanishing => "vanishing",
        Verdict::Stable => "stable",
        Verdict::Exploding => "exploding",
    }
}

/// A number with few digits, for a table.
fn short(x: f64) -> String {
    match x.abs() {
        _ if !x.is_finite() => "-".to_string(),
        a if a == 0.0 || (1e-3..1e4).contains(&a) => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}

/// The verdict in words, and the table for the terminal.
fn table(f: &Flow) -> String {
    let half = f.slowest.half_life.map_or("does not decay".to_string(), |h| format!("half-life {h:.1} steps"));
    let of = f.named_layer().map_or(String::new(), |layer| format!(" of {layer}, which fades slowest,"));
    let mut lines = vec![format!(
        "{}: the gradient{of} changes by a factor of {} a step, {half} (fit {:.3})",
        word(f.verdict),
        short(f.slowest.decay_rate),
        f.slowest.decay_fit
    )];
    lines.push(match f.suggested_tau {
        Some(tau) => format!(
            "suggested: --truncation regular:{tau}, whose gradient misses {} as estimated, {} as measured (tolerance {})",
            short(f.estimated_bias),
            short(f.measured_bias),
            f.tolerance
        ),
        None => format!("no window is suggested: a gradient that does not decay is biased by any (tolerance {})", f.tolerance),
    });
    lines.push(String::new());
    lines.push(format!("{:>8} {:>11} {:>11} {:>11}", "lag", "median", "low", "high"));
    for k in lags_shown(f.lags.len()) {
        lines.push(format!("{k:>8} {:>11} {:>11} {:>11}", short(f.slowest.median[k]), short(f.slowest.low[k]), short(f.slowest.high[k])));
    }
    lines.push(String::new());
    lines.push(format!("{:>8} {:>15} {:>15}", "window", "estimated bias", "measured bias"));
    lines.extend(f.bias.iter().map(|b| format!("{:>8} {:>15} {:>15}", b.tau, short(b.estimated), short(b.measured))));
    lines.push(String::new());
    lines.push(format!("{:>8} {:>12} {:>10} {:>11} {:>10} {:>10}", "layer", "decay a step", "half-life", "spec.radius", "spec.norm", "saturated"));
    for (k, l) in f.layers.iter().enumerate() {
        let half = l.profile.half_life.map_or("-".to_string(), |h| format!("{h:.1}"));
        lines.push(format!(
            "{k:>8} {:>12} {half:>10} {:>11} {:>10} {:>9.1}%",
            short(l.profile.decay_rate),
            short(l.spectral_radius),
            short(l.spectral_norm),
            100.0 * l.profile.saturation
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "a move of the first state grows by a factor of {} a step (Lyapunov exponent {}); the gradient of {} steps then differs by {}",
        short(f.lyapunov.exp()),
        short(f.lyapunov),
        f.sensitivity.loss.len(),
        short(f.sensitivity.gradient)
    ));
    lines.join("\n")
}

/// 0, 1, 2, 4, ... and the last.
fn lags_shown(count: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = [0].into_iter().chain((0..).map(|i| 1 << i).take_while(|k| *k < count)).chain([count - 1]).collect();
    shown.dedup();
    shown
}

fn sweep_table(s: &Sweep) -> String {
    let mut lines = vec![format!(
        "{:<10} {:<11} {:>7} {:>12} {:>10} {:>12} {:>8}  {}",
        "activation", "init", "radius", "spec. radius", "spec. norm", "decay a step", "fit", "verdict"
    )];
    lines.extend(s.points.iter().map(|p| {
        format!(
            "{:<10} {:<11} {:>7} {:>12} {:>10} {:>12} {:>8}  {}",
            p.activation.name(),
            p.family.to_string(),
            p.radius,
            short(p.spectral_radius),
            short(p.spectral_norm),
            short(p.decay_rate),
            short(p.decay_fit),
            if p.decay_rate.is_finite() { word(p.verdict) } else { "not finite" }
        )
    }));
    lines.join("\n")
}
