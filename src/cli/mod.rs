//! The command line.

mod devices;
mod gradcheck;
mod train;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "retrograd", version, about = "Trains recurrent networks by backpropagation through time on any GPU, or on the CPU")]
#[command(
    after_help = "Examples:\n  retrograd train                                      train on the embedded text\n  retrograd train book.txt --truncation regular:128    train on your own text\n  retrograd devices                                    what there is to train on"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a character model on a text and print a sample of what it writes
    Train(train::Args),
    /// List the adapters, their limits and the kernel variants chosen
    Devices(devices::Args),
    /// Compare gradients of the CPU and of every adapter with an f64 reference, and that with finite differences
    Gradcheck(gradcheck::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprintln!("error: no command given; expected train, devices or gradcheck; see `retrograd --help`");
            return ExitCode::from(2);
        }
        Err(e) if e.use_stderr() => {
            eprintln!("error: {}", one_line(&e));
            return ExitCode::from(2);
        }
        Err(e) => {
            // --help or --version.
            say(&e.to_string());
            return ExitCode::SUCCESS;
        }
    };
    let done = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Gradcheck(args) => gradcheck::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

/// What clap found wrong, in one line.
fn one_line(e: &clap::Error) -> String {
    let text = e.to_string();
    let lines = text.lines().map(str::trim).take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information")).filter(|l| !l.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    format!("{}; see `retrograd --help`", line.trim_start_matches("error: "))
}

/// Prints a line on standard output. Whoever reads it may have seen enough and closed it: that is no error.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", line.trim_end_matches('\n'));
}

/// Prints one JSON object.
fn print_json(value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
    say(&text);
    Ok(())
}

/// A JSON number; null if it is not finite.
fn number(x: f64) -> serde_json::Value {
    serde_json::Number::from_f64(x).map_or(serde_json::Value::Null, serde_json::Value::Number)
}
