//! `retrograd report`

use super::{print_json, reproduce, say};
use crate::analysis::recorded::Recorded;
use crate::error::{Error, Result};
use crate::files;
use crate::report::{self, GENERATOR};
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Flags of `report`.
#[derive(clap::Args)]
#[command(after_help = "\
A run's page shows losses, gradient norms and clipping, learning rate, speed, what --monitor has recorded of the gradient by lag, the memory plan,
samples of text, the configuration and the command that repeats it. `train` writes it at its end; this writes it again, also while a run goes
on. It is one file that fetches nothing.

Examples:
  retrograd report runs/book                             runs/book/report.html, from what the folder holds
  retrograd report runs/book runs/book-2                 both in one page, report.html in this folder
  retrograd report runs/book* --out books.html           any number of runs")]
pub(super) struct Args {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in the folder of the run; of several runs, report.html here]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let runs: Vec<Recorded> = args.runs.iter().map(|path| Recorded::load(path, reproduce::command)).collect::<Result<_>>()?;
    let (default, page) = match &runs[..] {
        [one] => (args.runs[0].join("report.html"), report::run::html(one)),
        _ => (PathBuf::from("report.html"), report::runs::html(&runs)),
    };
    let path = args.out.as_ref().unwrap_or(&default);
    let replaced = replaceable(path)?;
    files::replace(path, page.as_bytes())?;
    let unread: u64 = runs.iter().map(|r| r.history.unread).sum();
    if args.json {
        return print_json(&json!({ "report": path.display().to_string(), "replaced": replaced, "runs": runs.len(), "unread_lines": unread }));
    }
    let note =
        if unread > 0 { format!("; {} of metrics could not be read and left out", crate::phrase::counted(unread, "line", "lines")) } else { String::new() };
    say(&format!("{} {}{note}", if replaced { "replaced" } else { "wrote" }, path.display()));
    Ok(())
}

/// Whether there is a report, which may be replaced; anything else must not be.
fn replaceable(path: &Path) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(1024).read_to_end(&mut start));
    if path.is_file() && read.is_ok() && String::from_utf8_lossy(&start).contains(GENERATOR) {
        return Ok(true);
    }
    Err(Error::Usage(format!("{} exists and is not a report of runs; give another file with --out", path.display())))
}
