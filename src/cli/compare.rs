//! `retrograd compare`

use super::settings::{Flags, List};
use super::tell;
use super::{print_json, say};
use crate::analysis::compare::{self, Event, Plan};
use crate::analysis::comparison::Comparison;
use crate::data::{Kind, Symbols, Text, ask_about_tables};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::phrase::counted;
use crate::run::{Folder, RunConfig};
use crate::session::{COMPARE_DEFAULTS as DEFAULTS, COMPARED, Compared, STRATEGIES};
use crate::setting::{Setting, shown};
use crate::truncation::Truncation;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

/// Flags of `compare`.
#[derive(clap::Args)]
#[command(after_help = "\
The text is cut into sequences of --length symbols, so that the full gradient has as many updates as the others; all strategies see the same
symbols in the same order, from the same weights. Then, at the weights that the full gradient has reached, the gradient of one batch is
compared with the full one: its bias, and for random strategies the spread of single draws. A random strategy is unbiased, and pays by
spread; clipping and Adam make any of them biased in the end. Where cuts are likely and the state forgets slowly the spread may have no bound.

Examples:
  retrograd compare                                                   the default strategies on the embedded text
  retrograd compare book.txt --hidden 128                             on your own text
  retrograd compare book.txt --strategies full regular:8 regular:1,8 random:0.9 random-tail:8,4")]
pub(super) struct Args {
    /// Text to train on, UTF-8; without one, the first book of Cicero's De finibus, which is built in
    text: Option<PathBuf>,
    /// Read a file that looks like a table (.csv, .tsv, columns of numbers) as the characters of a text
    #[arg(long = "text")]
    table_as_text: bool,
    /// Strategies, as for `train --truncation`; `full` is always among them
    #[arg(long, num_args = 1.., value_name = "STRATEGY", default_values_t = STRATEGIES.map(String::from))]
    strategies: Vec<String>,
    /// Symbols per sequence
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..), value_name = "T")]
    length: u32,
    /// Updates per strategy
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    updates: u64,
    /// Gradients to sample for each random strategy, to measure bias and spread
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..), value_name = "N")]
    draws: u32,
    #[command(flatten)]
    settings: Flags<Listed>,
    /// Folder for compare.json and report.html; it must be new or empty [default: runs/compare-NAME, after the text]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// No progress, and no messages except warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Print the content of compare.json, and the folder, as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Settings that strategies are compared under.
struct Listed;

impl List for Listed {
    const HEADING: Option<&'static str> = Some("Training");

    fn has(setting: &Setting) -> bool {
        COMPARED.contains(&setting.name)
    }

    fn default(setting: &Setting) -> Option<String> {
        let own = DEFAULTS.iter().find(|d| d.0 == setting.name).map(|d| d.1.to_string());
        own.or_else(|| RunConfig::default().get(setting.name).map(|v| shown(&v)))
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let asked = Compared { stated: &args.settings.stated, strategies: &args.strategies, updates: args.updates, length: args.length, draws: args.draws };
    let (plan, device) = asked.plan()?;
    let text = args.text.as_deref().map_or_else(|| Ok(Text::embedded()), Text::open)?;
    ask_about_tables(&text, args.table_as_text, false)?;
    let symbols = Arc::new(Symbols::new(text, Kind::Characters)?);
    let mut folder = match &args.out {
        Some(path) => Folder::create(path)?,
        None => Folder::create_new(&format!("compare-{}", crate::session::run_name(args.text.as_deref())))?,
    };
    let (device, line) = Device::open(device)?;
    if !args.quiet {
        tell(&line);
        symbols.notes().iter().for_each(|note| tell(note));
    }
    let bar = progress(args, &plan);
    let mut trained = Vec::new();
    let found = compare::compare(&device, &symbols, &plan, &mut |event| show(&bar, args.quiet, &mut trained, event));
    bar.finish_and_clear();
    let found = found?;
    let mut json = serde_json::to_value(&found).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
    files::replace(&folder.file("compare.json"), format!("{json:#}\n").as_bytes())?;
    files::replace(&folder.file("report.html"), crate::report::compare::html(&found).as_bytes())?;
    folder.keep();
    if args.json {
        json["run_dir"] = folder.path().display().to_string().into();
        return print_json(&json);
    }
    say(&table(&found));
    if !args.quiet {
        tell(&format!("saved in {}: compare.json, report.html", folder.path().display()));
    }
    Ok(())
}

fn progress(args: &Args, plan: &Plan) -> ProgressBar {
    let hidden = args.quiet || !std::io::stderr().is_terminal();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let strategies = plan.strategies.len() as u64 + u64::from(!plan.strategies.contains(&Truncation::Full));
    let bar = ProgressBar::with_draw_target(Some(strategies * plan.updates), target);
    bar.set_style(ProgressStyle::with_template("{bar:24} {percent}%  {msg}  {eta} left").unwrap_or(ProgressStyle::default_bar()));
    bar
}

/// `trained` holds the updates of each strategy.
fn show(bar: &ProgressBar, quiet: bool, trained: &mut Vec<(Truncation, u64)>, event: Event<'_>) {
    match event {
        Event::Trained(truncation, update, loss) => {
            trained.retain(|t| t.0 != truncation);
            trained.push((truncation, update));
            bar.set_position(trained.iter().map(|t| t.1).sum());
            bar.set_message(format!("{truncation}: update {update}, loss {}", nats(loss)));
        }
        Event::Finished(s) => {
            let updates = counted(s.updates, "update", "updates");
            let line = format!("{}: {updates} in {:.1} s, validation loss {}", s.truncation, s.seconds, nats(s.val_loss));
            match (quiet, bar.is_hidden()) {
                (true, _) => {}
                (false, true) => tell(&line),
                (false, false) => bar.println(line),
            }
        }
        Event::Drawn(truncation, draws) => bar.set_message(format!("{truncation}: gradient {draws}")),
    }
}

fn nats(loss: Option<f64>) -> String {
    loss.map_or("not finite".to_string(), |l| format!("{l:.4} nats"))
}

/// The table for the terminal.
fn table(c: &Comparison) -> String {
    let mut lines = vec![format!(
        "{:<18} {:>9} {:>9} {:>10} {:>8} {:>15} {:>8} {:>11} {:>9}",
        "strategy", "val loss", "symbols/s", "activ. MiB", "cosine", "relative bias", "spread", "mean window", "longest"
    )];
    for s in &c.strategies {
        let val = s.val_loss.map_or("not finite".to_string(), |l| format!("{l:.4}"));
        let figure = |x: f64| if x.is_finite() { format!("{x:.4}") } else { "-".to_string() };
        let bias = if s.relative_bias_error > 0.0 { format!("{:.4} +- {:.4}", s.relative_bias, s.relative_bias_error) } else { figure(s.relative_bias) };
        lines.push(format!(
            "{:<18} {val:>9} {:>9.0} {:>10.1} {:>8} {bias:>15} {:>8} {:>11.1} {:>9}",
            s.truncation,
            s.tokens_per_second,
            s.bytes as f64 / f64::from(1 << 20),
            figure(s.cosine),
            figure(s.relative_spread),
            s.window_mean,
            s.window_max
        ));
    }
    lines.join("\n")
}
