//! The flags of `eval`.

use super::model::Which;
use super::separator;
use crate::data::Unknown;
use crate::device::DeviceSpec;
use crate::run::Answer;
use std::path::PathBuf;

/// Flags of `eval`.
#[derive(clap::Args)]
#[command(after_help = "\
The loss is the mean over all symbols, each scored once. Without --lanes a short text is read as one stream; a longer one in up to 32
lanes side by side, which is faster. Each lane but the first reads the 256 symbols before its own without scoring them, so that its state
has forgotten that it began at zero. Where it has not, and its state differs by more than 1e-4 of its length from that in which the lane before
ended, it is read again from there: the loss is that of one stream (--lanes 1) to within 1e-4 nats, and a note says what that cost.

Examples:
  retrograd eval runs/book other.txt            how well the run's last model predicts another text
  retrograd eval runs/book other.txt --best     the model with the lowest validation loss instead
  retrograd eval runs/book                      the part of its own data that the run held out, of any kind of data
  gzip -dc other.txt.gz | retrograd eval runs/book -   a text that comes through a pipe
  retrograd eval runs/book other.txt --unknown skip    characters that the model does not know are left out
  retrograd eval runs/poems poems.txt --sequences losses.jsonl   the loss of each sequence
  retrograd eval runs/sales                     numeric series: RMSE and MAE of the held-out rows beside naive forecasts, by the best model
  retrograd eval runs/sales --last-model        by the one at the end of training
  retrograd eval runs/sales new.csv --last 200  of other data, its last 200 rows
  retrograd eval runs/mails new.tsv             lines with labels: the share of right ones, precision, recall and F1 of each, which are taken for which
  retrograd eval runs/traces test.csv           sequences of numbers with labels
  retrograd eval runs/recall-8-20 --seed 1      a run on a --task: its loss and right answers on fresh sequences")]
pub(super) struct Args {
    /// Folder of a run, or a model file
    pub(super) run: PathBuf,
    /// Text (- for standard input), table of labels or CSV file to evaluate on, as in training; without one, the held-out part of the run's own data.
    /// A run on a task is evaluated on fresh sequences instead
    pub(super) text: Option<PathBuf>,
    #[command(flatten)]
    pub(super) which: Which,
    /// Separator between the sequences of the text [default: as in training]
    #[arg(long, value_name = "STRING", value_parser = separator)]
    pub(super) separator: Option<String>,
    /// Treat each line as a separate sequence
    #[arg(long, conflicts_with = "separator")]
    pub(super) lines: bool,
    /// For a model of labels, the column of the labels, by name or number [default: as in training]
    #[arg(long, value_name = "COLUMN", conflicts_with = "separator")]
    pub(super) label_column: Option<String>,
    /// For a model of labels, the column of the texts, by name or number
    #[arg(long, value_name = "COLUMN", requires = "label_column")]
    pub(super) text_column: Option<String>,
    /// For a model of labels of sequences of numbers, the column that says which sequence a row is a step of [default: as in training]
    #[arg(long, value_name = "COLUMN", conflicts_with = "separator")]
    pub(super) sequence_column: Option<String>,
    /// For a model of labels, whether the first line of the table names its columns, yes or no [default: as in training]
    #[arg(long, value_name = "ANSWER", conflicts_with = "separator")]
    pub(super) header: Option<Answer>,
    /// Read the text as one stream, even if the run was trained on sequences
    #[arg(long, conflicts_with_all = ["separator", "lines"])]
    pub(super) stream: bool,
    /// What to do with characters that the model does not know: error, skip (as if they were not there), or symbol:C (read them as the symbol C); their
    /// number is reported
    #[arg(long, default_value = "error", value_name = "WHAT", hide_default_value = true)]
    pub(super) unknown: Unknown,
    /// Lanes read side by side [default: 1 for up to 1023 symbols, more for longer texts, at most 32]
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(super) lanes: Option<u32>,
    /// Write the loss of each sequence to this file, one JSON object per line; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) sequences: Option<PathBuf>,
    /// Number of fresh sequences of the task [default: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) examples: Option<u64>,
    /// Seed of the fresh sequences; no seed gives those of training [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// For numeric series, score the forecasts of the last N rows of each only; the rows before warm up the state [default: the held-out part of the
    /// run's own data, all of other data]
    #[arg(long, value_name = "N")]
    pub(super) last: Option<usize>,
    /// For numeric series, write a page with charts and errors to this file; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) reading: super::series::Reading,
    /// Where to compute: auto, gpu, gpu:INDEX or cpu
    #[arg(long, default_value = "auto")]
    pub(super) device: DeviceSpec,
    /// No messages except errors
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}
