//! The flags of `predict`.

use super::model::Which;
use super::series::Reading;
use crate::run::Answer;
use std::path::PathBuf;

/// Flags of `predict`.
#[derive(clap::Args)]
#[command(after_help = "\
What is written is a CSV file with a row for each row of the data and, after the last of each series, one for each of the N rows to come: the
columns of series and time, the targets, and for each target and h from 1 to N a column `TARGET+h`, the forecast of this row that was made h
rows before it. So the first row to come has all N of them, and the last only the one from N rows before.

A model of labels names the label of each line or sequence instead: on standard output one line each, the label and its probability with a tab
between them, after the name of the sequence where a row is a step of one; with --out a CSV file with the number of the line, the label, its probability and those of all labels; with --json all of that. The
file is a table laid out as that of training was, with labels or without where its columns have names; or lines of nothing but text.

Examples:
  retrograd predict runs/sales > forecasts.csv                  the run's own data, and the rows after it
  retrograd predict runs/sales new.csv --out forecasts.csv      other data with the same columns
  retrograd predict runs/sales --last-model                     by the model at the end of training, not the best by validation
  retrograd predict runs/sales new.csv --last 0                 only the rows to come
  retrograd predict runs/mails new.txt                          the label of each line
  retrograd predict runs/mails new.csv --text-column body --out labels.csv   of a table without labels
  retrograd predict runs/traces new.csv --out labels.csv        of sequences of numbers; their column of labels may be missing
  retrograd predict runs/sales new.csv --last 50 --report forecasts.html   the last 50 rows too, and a page with pictures and errors")]
pub(super) struct Args {
    /// Folder of a run on series or labels, or its model file
    pub(super) run: PathBuf,
    /// CSV file with the columns that the model reads; for a model of labels, a table or lines [default: the run's own]
    pub(super) data: Option<PathBuf>,
    /// File to write; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// For a model of labels, the column of the texts, by name or number [default: as in training, or each whole line]
    #[arg(long, value_name = "COLUMN")]
    pub(super) text_column: Option<String>,
    /// For a model of labels of sequences of numbers, the column that says which sequence a row is a step of [default: as in training]
    #[arg(long, value_name = "COLUMN")]
    pub(super) sequence_column: Option<String>,
    /// For a model of labels, whether the first line of the table names its columns, yes or no [default: as in training]
    #[arg(long, value_name = "ANSWER")]
    pub(super) header: Option<Answer>,
    /// For series, write only the last N rows of each series, and those to come
    #[arg(long, value_name = "N")]
    pub(super) last: Option<usize>,
    /// For series, also write a page with charts and errors to this file; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) which: Which,
    /// No messages except errors
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print one JSON object on standard output; for series, only with --out
    #[arg(long)]
    pub(super) json: bool,
}
