//! The command line.

mod compare;
mod devices;
mod doctor;
mod eval;
mod eval_flags;
mod export;
mod gradcheck;
mod gradflow;
mod headless;
mod held_out;
mod import;
mod labels;
mod labels_predicted;
mod messages;
mod model;
mod output;
mod plan;
mod predict;
mod predict_flags;
mod progress;
mod reader;
mod report;
mod reproduce;
mod sample;
mod score;
mod series;
mod settings;
mod shell;
mod signals;
mod train;
mod train_flags;
mod unknown;

use crate::error::{Error, Result, print_no_caught_panics};
use crate::ranks;
use crate::run::unescaped;
use crate::session;
use crate::setting;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use output::{say, tell};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "retrograd", version, about = "Trains recurrent networks by backpropagation through time on any GPU, or on the CPU")]
#[command(
    after_help = "Examples:\n  retrograd train                                      train on the embedded text\n  retrograd train book.txt --truncation regular:128    train on your own text\n  retrograd train sales.csv --target price             forecast a column of numbers\n  retrograd train --resume runs/book                   go on after an interruption\n  retrograd sample runs/book --prompt 'It was'         write text with a trained model\n  retrograd eval runs/book other.txt                   how well it predicts another text\n  retrograd compare book.txt                           truncation strategies side by side\n  retrograd report runs/book runs/book-2               pages of runs, one or several together\n  retrograd plan book.txt --truncation full --memory-budget 16MiB   what a memory budget buys\n  retrograd gradflow runs/book                         how far back its gradient reaches, and the window it needs\n  retrograd export runs/book book.safetensors          for PyTorch; --onnx for ONNX\n  retrograd devices                                    what there is to train on"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model on a text, a table of numbers or lines with labels, in a folder of its own
    Train(Box<train_flags::Args>),
    /// Evaluate a model: its loss on a text, its forecast errors beside those of naive forecasts, or its share of right labels
    Eval(eval_flags::Args),
    /// Write text with a trained model
    Sample(sample::Args),
    /// Forecast numeric series, including the rows to come, as a CSV file; or predict the labels of lines
    Predict(predict_flags::Args),
    /// Compare truncation strategies on the same model and text: a table, compare.json and report.html
    Compare(compare::Args),
    /// Measure how the gradient flows back through time: how fast it fades, why, and which window that suggests
    Gradflow(Box<gradflow::Args>),
    /// Write a page on one run, or on several together: losses, gradients, speed, memory, samples, configuration
    Report(report::Args),
    /// Show what a memory budget buys: how a window is processed, in how many bytes and how much time; trains nothing
    Plan(Box<plan::Args>),
    /// List the adapters, their limits and the kernel variants chosen
    Devices(devices::Args),
    /// Show what there is to compute with and check in seconds that it computes correctly; send the output with a bug report
    Doctor(doctor::Args),
    /// Check the gradients of the CPU and every adapter against an f64 reference, and the reference against finite differences
    Gradcheck(gradcheck::Args),
    /// Write a model for PyTorch (safetensors) or as ONNX, and print the Python that loads it
    Export(export::Args),
    /// Import a model of PyTorch's nn.RNN and nn.Linear
    Import(import::Args),
    /// Print a script that completes commands and flags in a shell
    Completions(shell::Completions),
    /// Print the manual page, or write all pages to a folder
    Man(shell::Man),
}

/// Runs the program.
pub fn main() -> ExitCode {
    print_no_caught_panics();
    output::say_logs();
    signals::report_size_limits();
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(parsed) => parsed,
        Err(e) if e.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            tell("error: no command given; expected one, such as train, eval, sample or export; see `retrograd --help`");
            return ExitCode::from(2);
        }
        Err(e) if e.use_stderr() => {
            return finished(refused(&one_line(&e)));
        }
        Err(e) => {
            // --help or --version.
            say(&e.to_string());
            return code(output::arrived());
        }
    };
    if !matches!(cli.command, Command::Predict(_) | Command::Report(_) | Command::Export(_) | Command::Import(_) | Command::Completions(_) | Command::Man(_)) {
        headless::leave_out_displays();
    }
    let done = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Gradflow(args) => gradflow::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Gradcheck(args) => gradcheck::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
    };
    finished(done.and_then(|()| output::arrived()))
}

/// The exit code, after which nothing is said: when one of several processes has ended, those that started them may end the others.
fn finished(done: Result<()>) -> ExitCode {
    let code = code(done);
    ranks::finish();
    code
}

fn code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Already reported.
        Err(e @ Error::Interrupted) => ExitCode::from(e.exit_code()),
        Err(e) => {
            tell(&format!("error: {}", settings::in_flags(&e.to_string())));
            ExitCode::from(e.exit_code())
        }
    }
}

/// The error for a command line that can't be. Of several processes that were to train together, the first says it for all.
fn refused(why: &str) -> Result<()> {
    let error = Error::Usage(why.to_string());
    if std::env::args_os().nth(1).as_deref() != Some("train".as_ref()) {
        return Err(error);
    }
    let ranks = ranks::here()?;
    let met = session::meet(Err(error.clone()), false);
    if ranks.rank() > 0 {
        output::be_quiet();
    }
    met.and(Err(error))
}

/// All commands. A number below 0 is read as a value everywhere, though mostly as a wrong one.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|c| c.mut_args(|a| if a.get_action().takes_values() { a.allow_negative_numbers(true) } else { a }))
}

/// The error that clap found, in one line.
fn one_line(e: &clap::Error) -> String {
    let text = e.to_string();
    let lines = text.lines().map(str::trim).take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information")).filter(|l| !l.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches("error: ");
    let words = [("is not in 1..18446744073709551615", "is not 1 or more"), ("invalid digit found in string", "expected a whole number"), (" tip: ", "; ")];
    let given: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let first = given.get(1).cloned().unwrap_or_default();
    let commands = command();
    let line = &unknown::flag(e, commands.find_subcommand(&first).unwrap_or(&commands), &given).unwrap_or(line.to_string());
    let line = &words.iter().fold(line.to_string(), |line, (from, to)| line.replace(from, to));
    match e.kind() {
        clap::error::ErrorKind::InvalidSubcommand if std::path::Path::new(&first).is_file() => {
            format!("{line}; to train on that file: `retrograd train {}`; see `retrograd --help`", crate::phrase::argument(std::path::Path::new(&first)))
        }
        _ if Cli::command().find_subcommand(&first).is_some() => format!("{line}; see `retrograd {first} --help`"),
        _ => format!("{line}; see `retrograd --help`"),
    }
}

/// Prints one JSON object.
fn print_json(value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
    say(&text);
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// Parses a number within bounds.
fn number(text: &str, bound: fn(&f64) -> std::result::Result<(), String>) -> std::result::Result<f64, String> {
    let x = text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| "expected a finite number".to_string())?;
    bound(&x).map(|()| x)
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    number(text, setting::positive)
}

fn not_negative(text: &str) -> std::result::Result<f64, String> {
    number(text, setting::not_negative)
}

/// Parses a separator, of at least one character.
fn separator(text: &str) -> std::result::Result<String, String> {
    unescaped(text).and_then(|s| if s.is_empty() { Err("expected at least one character".to_string()) } else { Ok(s) })
}
