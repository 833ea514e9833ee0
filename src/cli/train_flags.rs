//! The flags of `train`, and what they say together.

use super::{finite, not_negative, positive, separator};
use crate::data::{Kind, SyntheticTask};
use crate::device::DeviceSpec;
use crate::error::{Error, Result, tell};
use crate::model::{Activation, Init, StashPrecision};
use crate::optimizer::{Optimizer, Schedule};
use crate::plan::Bytes;
use crate::run::{Answer, DataKind, OnDeviceLost, RunConfig};
use crate::store::Model;
use crate::truncation::Truncation;
use std::path::PathBuf;

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
    /// Read a file that looks like a table (.csv, .tsv, columns of numbers) as the characters of a text
    #[arg(long = "text", help_heading = "Text")]
    table_as_text: bool,
    /// Read any file as bytes instead of UTF-8 characters; there are 256 symbols then
    #[arg(long, help_heading = "Text")]
    bytes: bool,
    /// Read the text as the tokens of this Hugging Face tokenizer (its tokenizer.json), which the model's file then holds; --embed suits large
    /// vocabularies. Needs a build with the feature `tokens`
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    tokens: Option<PathBuf>,
    /// What stands between the sequences of the text, which are then independent of each other; \n, \t, \r and \\ are understood
    #[arg(long, value_name = "STRING", value_parser = separator, help_heading = "Text")]
    separator: Option<String>,
    /// Each line is a sequence of its own
    #[arg(long, conflicts_with = "separator", help_heading = "Text")]
    pub(super) lines: bool,
    /// Read the text as one stream, even if the model of --from was trained on sequences
    #[arg(long, conflicts_with_all = ["separator", "lines"], help_heading = "Text")]
    pub(super) stream: bool,
    /// Generate the sequences of a task in place of a text: adding:T, copy:T or recall:SYMBOLS,T, see below
    #[arg(long, value_name = "TASK", help_heading = "Text")]
    task: Option<SyntheticTask>,
    /// How many sequences of the task there are, held-out ones included [default: 20000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Text")]
    examples: Option<u64>,
    /// Learn to name the label of each line of a table, at its end: a column by its name in the first line, or by its number from 1. Tabs, commas,
    /// semicolons or bars stand between the columns. Which lines are held out is drawn, the same share of each label. Other flags that are not given
    /// are then: --hidden 64, --activation relu, --init identity:1, --truncation full, --lr 0.001, --schedule cosine, and --updates by the number of
    /// lines: 20 passes over them, from 2000 to 20000. Lines of more than 200 characters get a lower --lr
    #[arg(long, value_name = "COLUMN", help_heading = "Text")]
    label_column: Option<String>,
    /// The column of the texts, where there is more than one besides that of the labels
    #[arg(long, value_name = "COLUMN", help_heading = "Text")]
    text_column: Option<String>,
    /// Whether the first line of a table of labels names its columns [default: found out, and said]
    #[arg(long, value_enum, value_name = "ANSWER", help_heading = "Text")]
    header: Option<Answer>,
    #[command(flatten)]
    pub(super) series: super::series::Flags,
    /// Part that is held out for validation: the end of a text, or, of lines, sequences and lines with labels, some that are drawn and whose numbers are
    /// written to held_out.txt
    #[arg(long, default_value_t = 0.1, value_parser = fraction, value_name = "PART", help_heading = "Text")]
    val_fraction: f64,
    /// Seed by which lines or sequences are drawn that are held out; --seed does not change them [default: 0]
    #[arg(long, value_name = "N", help_heading = "Text")]
    split_seed: Option<u64>,
    /// Units per layer [default: 256; for series and labels 64]
    #[arg(long, value_name = "H", help_heading = "Model")]
    hidden: Option<u32>,
    /// Layers, 1 to 8
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Model")]
    layers: u32,
    /// Activation of the layers [default: tanh]
    #[arg(long, value_enum, help_heading = "Model")]
    activation: Option<Activation>,
    /// Train without biases
    #[arg(long, help_heading = "Model")]
    no_bias: bool,
    /// Begin with the weights of this model, and its architecture and vocabulary; the optimizer begins anew
    #[arg(long, value_name = "RUN|FILE", conflicts_with = "resume", help_heading = "Model")]
    pub(super) from: Option<PathBuf>,
    /// Give the model of --from the characters of the text that it does not know: their rows are as in a fresh model (--init, --seed)
    #[arg(long, help_heading = "Model")]
    extend_vocabulary: bool,
    /// Initial weights: orthogonal, xavier, identity:A, normal:SIGMA, or uniform (PyTorch's default) [default: orthogonal]
    #[arg(long, help_heading = "Model")]
    init: Option<Init>,
    /// Lanes of text trained side by side [default: 32; for series as many as its rows fill, up to 32]
    #[arg(long, value_name = "B", help_heading = "Training")]
    batch: Option<u32>,
    /// How far back gradients flow, see below [default: regular:64]
    #[arg(long, value_name = "STRATEGY", help_heading = "Training")]
    truncation: Option<Truncation>,
    /// Stop after this many updates [default: 1000, for series 600, unless --epochs is given]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "epochs", value_name = "N", help_heading = "Training")]
    updates: Option<u64>,
    /// Stop after this many passes over the training text
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Training")]
    epochs: Option<u64>,
    /// sgd, sgd:MOMENTUM, rmsprop, rmsprop:ALPHA, adam, adamw or adamw:DECAY [default: adam; for series adamw:0.3]
    #[arg(long, value_name = "RULE", help_heading = "Training")]
    optimizer: Option<Optimizer>,
    /// Learning rate [default: 0.002; for series 0.003]
    #[arg(long, value_parser = positive, help_heading = "Training")]
    lr: Option<f64>,
    /// How the learning rate falls over the run: constant, cosine[:END] or exponential[:END], END the part of it that is left
    /// [default: cosine for texts and series, else constant]
    #[arg(long, help_heading = "Training")]
    schedule: Option<Schedule>,
    /// Updates over which the learning rate rises from 0 [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    warmup: Option<u64>,
    /// Scale gradients down to this global norm at most; 0 for no clipping
    #[arg(long, default_value_t = 1.0, value_parser = not_negative, value_name = "NORM", help_heading = "Training")]
    clip_norm: f64,
    /// Clamp each gradient to plus or minus this instead
    #[arg(long, value_parser = positive, value_name = "V", conflicts_with = "clip_norm", help_heading = "Training")]
    clip_value: Option<f64>,
    /// Memory that training may take on the device, such as 48MiB; longer windows are then computed again in part, not refused
    /// [default: a quarter of the machine's memory, at most 2GiB]
    #[arg(long, value_name = "SIZE", help_heading = "Training")]
    memory_budget: Option<Bytes>,
    /// Precision in which the states of all steps wait for the backward pass: f16 takes half the memory, and rounds them by up to 1 in 2048;
    /// all arithmetic stays f32. Every device can. States beyond plus or minus 65504 (relu, identity) are held there
    #[arg(long, value_enum, default_value_t = StashPrecision::F32, help_heading = "Training")]
    stash: StashPrecision,
    /// Drop units between layers with this probability while training, as nn.RNN(dropout=P) does; needs --layers 2 or more
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = fraction, help_heading = "Model")]
    dropout: f64,
    /// Embed each symbol in so many learned numbers, in place of one-hot inputs: for large vocabularies
    #[arg(long, value_name = "E", value_parser = clap::value_parser!(u32).range(1..=65536), help_heading = "Model")]
    embed: Option<u32>,
    /// Seed of the initial weights, of random cuts, of the sequences of a task and the order of any, and of the sample
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Training")]
    seed: u64,
    /// Where to train: auto (a hardware GPU, else the CPU), gpu, gpu:INDEX (see `retrograd devices`) or cpu
    #[arg(long, default_value = "auto", help_heading = "Training")]
    device: DeviceSpec,
    /// What to do when the device is lost or hangs: stop, or retry: open it again and go on from the last checkpoint, with the same bits
    #[arg(long, value_enum, default_value_t = OnDeviceLost::Stop, value_name = "WHAT", help_heading = "Run")]
    pub(super) on_device_lost: OnDeviceLost,
    /// Updates from one validation to the next; the run always ends with one [default: for texts about 25 a run, fewer where they would cost over
    /// 5% of training's operations; for series every 25, or as many as read as much as is held out; else one at the end of each epoch]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Run")]
    val_every: Option<u64>,
    /// Stop when so many validations in a row have not been better than the best before
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Run")]
    patience: Option<u64>,
    /// Updates from one report of the loss to the next
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Run")]
    log_every: u64,
    /// Updates from one checkpoint to the next [default: about two a minute]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Run")]
    save_every: Option<u64>,
    /// Take what other flags don't say from a file, such as a run's config.toml; its keys are flags, and all may be left out
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Run")]
    pub(super) config: Option<PathBuf>,
    /// Folder of the run; it must be new or empty [default: runs/NAME, after the text]
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = "Run")]
    pub(super) out: Option<PathBuf>,
    /// Go on with the run in this folder; other flags must be those that it was started with, or be left out
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub(super) resume: Option<PathBuf>,
    /// Characters of the sample that the best model writes at the end (under `sample` with --json), and of which up to 200 are written to metrics.jsonl
    /// on the way; 0 for none [default: 400]
    #[arg(long, value_name = "N", help_heading = "Run")]
    sample: Option<usize>,
    /// Updates from one look at the gradient to the next: lag profile, norms and update-to-weight ratios by parameter, saturated units, for
    /// metrics.jsonl and report.html. It takes a small part of the memory budget and, at 50, under 3% of the time [default: off]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", help_heading = "Run")]
    monitor: Option<u64>,
    /// Write the figures for TensorBoard too, in the folder `tensorboard` of the run
    #[arg(long, help_heading = "Run")]
    tensorboard: bool,
    /// Measure the time of each kernel and show it at the end (under `profile` with --json); training is somewhat slower meanwhile
    #[arg(long, help_heading = "Run")]
    pub(super) profile: bool,
    /// Look at everything that each kernel writes, and stop at the first number that is not finite, naming kernel, tensor and place; many times slower.
    /// With --resume, of a run whose loss has become NaN: from its last checkpoint on
    #[arg(long, help_heading = "Run")]
    pub(super) detect_anomaly: bool,
    /// No progress and no messages but warnings and errors
    #[arg(long, help_heading = "Run")]
    pub(super) quiet: bool,
    /// Print one JSON object with the results on standard output
    #[arg(long, help_heading = "Run")]
    pub(super) json: bool,
}

fn fraction(text: &str) -> std::result::Result<f64, String> {
    finite(text).and_then(|x| if (0.0..1.0).contains(&x) { Ok(x) } else { Err("expected a number from 0 to below 1".to_string()) })
}

impl Args {
    /// What the flags say; where they don't, whatever.
    pub(super) fn config(&self) -> RunConfig {
        let base = RunConfig::defaults(DataKind::Text);
        let absolute = |path: &Option<PathBuf>| path.as_deref().map(|p| std::path::absolute(p).unwrap_or(p.to_path_buf()));
        let mut config = RunConfig {
            text: self.text.clone(),
            table_as_text: self.table_as_text,
            bytes: self.bytes,
            tokens: absolute(&self.tokens),
            // The lines of a table are sequences anyway.
            separator: self.separator.clone().or((self.lines && self.label_column.is_none()).then(|| "\n".to_string())),
            label_column: self.label_column.clone(),
            text_column: self.text_column.clone(),
            header: self.header,
            task: self.task,
            examples: self.examples,
            hidden: self.hidden.unwrap_or(base.hidden),
            layers: self.layers,
            batch: self.batch.unwrap_or(base.batch),
            truncation: self.truncation.unwrap_or(base.truncation),
            activation: self.activation.unwrap_or(base.activation),
            no_bias: self.no_bias,
            from: absolute(&self.from),
            extend_vocabulary: self.extend_vocabulary,
            init: self.init.unwrap_or(base.init),
            updates: self.updates,
            epochs: self.epochs,
            optimizer: self.optimizer.unwrap_or(base.optimizer),
            lr: self.lr.unwrap_or(base.lr),
            schedule: self.schedule.unwrap_or(base.schedule),
            warmup: self.warmup.unwrap_or(base.warmup),
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            device: self.device,
            seed: self.seed,
            val_fraction: self.val_fraction,
            split_seed: self.split_seed,
            memory_budget: self.memory_budget,
            stash: self.stash,
            dropout: self.dropout,
            embed: self.embed,
            val_every: self.val_every,
            patience: self.patience,
            log_every: self.log_every,
            save_every: self.save_every,
            sample: self.sample.unwrap_or(base.sample),
            monitor: self.monitor,
            tensorboard: self.tensorboard,
            ..base
        };
        self.series.put(&mut config);
        config
    }

    /// What the flags say, and the file of --config where they don't; with the model of --from. And whether what the data decides is free, for no one has
    /// said it: of numeric series the number of lanes, of labels the learning rate.
    pub(super) fn prepared(&self, given: &[String]) -> Result<(RunConfig, Option<Model>, bool)> {
        let (mut config, stated) = RunConfig::merged(&self.config(), &flags(given), self.config.as_deref())?;
        let free = match config.data_kind() {
            DataKind::Series => !stated.iter().any(|s| s == "batch"),
            DataKind::Labels => !stated.iter().any(|s| s == "lr"),
            DataKind::Text | DataKind::Task => false,
        };
        let Some(path) = config.from.clone() else { return Ok((config, None, free)) };
        let source = super::model::Source::find(&path, super::model::Which::default())?;
        let mut model = source.load()?;
        if config.separator.is_none() && config.writes_text() && !stated.iter().any(|s| s == "separator") {
            config.separator = source.separator;
            if let Some(separator) = &config.separator {
                config.split_seed = config.split_seed.or(Some(0));
                self.note(&format!("sequences with {separator:?} between them, as the model of --from was trained; --stream reads the text as one stream"));
            }
        }
        if config.extend_vocabulary {
            let added;
            (model, added) = config.extended(&model)?;
            self.note(&format!("{added} new symbols: the model of --from now knows {}", model.config.input.symbols()));
        }
        if config.tokens.is_some() {
            return Err(Error::Usage(format!("the model of --from {} has its own symbols; leave --tokens out", path.display())));
        }
        if config.split_seed.is_some() && !stated.iter().any(|s| s == "split-seed") {
            // What that run held out was not trained on, and stays so.
            config.split_seed = model.split_seed.or(config.split_seed);
        }
        let (has, bytes) = (&model.config, model.codec.vocabulary().is_some_and(|v| v.kind() == Kind::Bytes));
        let before = config.clone();
        (config.hidden, config.layers, config.activation, config.no_bias, config.bytes) = (has.hidden, has.layers, has.activation, !has.bias, bytes);
        config.embed = Some(has.embedding()).filter(|e| *e > 0);
        let stated: Vec<String> =
            stated.into_iter().filter(|s| ["hidden", "layers", "activation", "no-bias", "bytes", "embed"].contains(&s.as_str())).collect();
        if let Some([key, here, there]) = before.differences(&config, &stated).first() {
            return Err(Error::Usage(format!("{key} {here} contradicts the model of --from {}, whose {key} is {there}; leave it out", path.display())));
        }
        Ok((config, Some(model), free))
    }

    pub(super) fn note(&self, line: &str) {
        if !self.quiet {
            tell(line);
        }
    }
}

/// The names of flags as keys of a configuration.
pub(super) fn flags(given: &[String]) -> Vec<String> {
    given.iter().map(|id| if id == "lines" || id == "stream" { "separator".to_string() } else { id.replace('_', "-") }).collect()
}
