//! The flags of `train`, and the configuration that they give.

use super::settings::{Flags, List, in_flags};
use super::tell;
use crate::error::{Error, Result};
use crate::run::{OnDeviceLost, Stated};
use crate::session::Said;
use crate::setting::{Setting, Value};
use std::path::PathBuf;

/// All settings.
pub(super) struct All;

impl List for All {
    fn has(_: &Setting) -> bool {
        true
    }
}

/// Flags of `train`.
#[derive(clap::Args)]
#[group(id = "train")]
#[command(after_help = "\
How far back gradients flow (--truncation):
  full                 through the whole lane or sequence: exact, one update a lane
  regular:TAU          in windows of TAU steps; the state is carried on, the gradient is cut. Cheap, and blind beyond TAU steps
  regular:K1,K2        an update every K1 steps that reaches back K2 steps; costs K2/K1 as much
  random:PI            at each step the gradient goes on with probability PI, scaled by 1/PI, or is cut: unbiased, windows of 1/(1-PI) steps in
                       the mean. The price is variance, which is finite only while the state forgets faster than sqrt(PI) a step
  random-tail:L0,ALPHA unbiased too, mean length L0, with rare long windows (ALPHA 4 or 6; up to 3 the lengths have no variance)
  Clipping and Adam are not linear in the gradient: they make the random strategies biased again. `retrograd compare` shows all of this.

Synthetic tasks with a known lag (--task, in place of TEXT). Each sequence ends with a question; only the answers are scored, and --json and
the closing line tell the share of right ones on held-out sequences beside what guessing gives:
  recall:SYMBOLS,T     one of SYMBOLS cues, T distractors (drawn from SYMBOLS other symbols), a mark: name the cue. Lag T+1; by chance 1/SYMBOLS
  copy:T               10 symbols of 8, T-1 blanks, a delimiter, then 10 blanks at which the 10 symbols are named in order. Lag T+10; by chance
                       1/8, which costs ln 8 = 2.079 nats an answer (the copy memory task of Hochreiter and Schmidhuber 1997)
  adding:T             T digits, one marked in each half: at the last step, name the sum of the two. Lag up to T-1; by chance 1/10. The adding
                       problem over symbols, not over real numbers: what is read is one of 20 symbols, the answer one of 19

Examples:
  retrograd train                                          the embedded text, in runs/embedded
  retrograd train book.txt --hidden 512 --epochs 10        your own text; the run is in runs/book
  retrograd train book.txt --schedule cosine --warmup 100  a learning rate that rises, then falls
  retrograd train poems.txt --separator '\\n\\n' --epochs 20 poems apart from each other, none seen after another
  retrograd train program.exe --bytes                      any file, byte by byte
  retrograd train book.txt --tokens tokenizer.json --embed 64  tokens of a Hugging Face tokenizer
  retrograd train mails.tsv --label-column 2               lines with labels, such as spam or not
  zcat book.txt.gz | retrograd train -                     a text that comes through a pipe
  retrograd train --task recall:8,20 --truncation full     can it keep a symbol for 20 steps?
  retrograd train more.txt --from runs/book                another text, beginning with the weights of a run or a model file
  retrograd train --config runs/book/config.toml --lr 1e-3 the same as that run, but for what flags say
  retrograd train --resume runs/book                       go on after Ctrl-C, a crash or a power cut, with the same bits
  retrograd train --resume runs/book --updates 20000       go on beyond the first goal")]
pub(super) struct Args {
    /// Text to train on, UTF-8 (- for standard input); without one, the first book of Cicero's De finibus, which is built in
    pub(super) text: Option<PathBuf>,
    /// Treat each line as a separate sequence
    #[arg(long, conflicts_with = "separator", help_heading = "Text")]
    pub(super) lines: bool,
    /// Read the text as one stream, even if the model of --from was trained on sequences
    #[arg(long, conflicts_with_all = ["separator", "lines"], help_heading = "Text")]
    pub(super) stream: bool,
    #[command(flatten)]
    pub(super) settings: Flags<All>,
    /// What to do when the device is lost or hangs: stop, or retry (open it again and continue from the last checkpoint, with the same bits)
    #[arg(long, value_enum, default_value_t = OnDeviceLost::Stop, value_name = "WHAT", help_heading = "Run")]
    pub(super) on_device_lost: OnDeviceLost,
    /// Take settings that no flag gives from a file, such as a run's config.toml; its keys are the flags, and all are optional
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Run")]
    pub(super) config: Option<PathBuf>,
    /// Folder of the run; it must be new or empty [default: runs/NAME, after the text]
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = "Run")]
    pub(super) out: Option<PathBuf>,
    /// Continue the run in this folder; other flags must be those that it was started with, or be left out
    #[arg(long, value_name = "DIR", conflicts_with = "from", help_heading = "Run")]
    pub(super) resume: Option<PathBuf>,
    /// Measure the time of each kernel and show it at the end (under `profile` with --json); training is somewhat slower
    #[arg(long, help_heading = "Run")]
    pub(super) profile: bool,
    /// Check everything that each kernel writes, and stop at the first value that is not finite, naming kernel, tensor and position; many times slower.
    /// With --resume, for a run whose loss has become NaN: from its last checkpoint on
    #[arg(long, help_heading = "Run")]
    pub(super) detect_anomaly: bool,
    /// No progress, and no messages except warnings and errors
    #[arg(long, help_heading = "Run")]
    pub(super) quiet: bool,
    /// Print one JSON object with the results on standard output
    #[arg(long, help_heading = "Run")]
    pub(super) json: bool,
}

impl Args {
    /// The stated settings, by key.
    ///
    /// # Errors
    /// If the path of the text is not UTF-8.
    pub(super) fn stated(&self) -> Result<Stated> {
        let mut stated = self.settings.stated.clone();
        if let Some(text) = &self.text {
            let name =
                text.to_str().ok_or_else(|| Error::Usage("the path of the text is not UTF-8, so a run could not find it again; rename it".to_string()))?;
            stated.insert("text".to_string(), Some(Value::String(name.to_string())));
        }
        // The lines of a table are sequences anyway.
        if self.lines && !stated.contains_key("label-column") {
            stated.insert("separator".to_string(), Some(Value::String("\n".to_string())));
        }
        if self.stream {
            stated.insert("separator".to_string(), None);
        }
        Ok(stated)
    }

    /// Tells what a session says.
    pub(super) fn said(&self, said: Said<'_>) {
        match said {
            Said::Note(line) => self.note(&in_flags(line)),
            Said::Warning(line) => tell(&format!("warning: {}", in_flags(line))),
        }
    }

    pub(super) fn note(&self, line: &str) {
        if !self.quiet {
            tell(line);
        }
    }
}
