//! `retrograd train`

use super::{number, print_json, say};
use crate::data::Text;
use crate::device::{Device, Wish};
use crate::error::{Error, Result};
use crate::model::{Activation, Init};
use crate::optimizer::{Clip, Rule};
use crate::sample::Sampler;
use crate::trainer::{Corpus, Settings, Trainer};
use crate::truncation::Truncation;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

/// Flags of `train`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Text to train on, UTF-8; without one, the first book of Cicero's De finibus, which is built in
    text: Option<PathBuf>,
    /// Units per layer
    #[arg(long, default_value_t = 256, value_name = "H")]
    hidden: u32,
    /// Layers, 1 to 8
    #[arg(long, default_value_t = 1)]
    layers: u32,
    /// Lanes of text trained side by side
    #[arg(long, default_value_t = 32, value_name = "B")]
    batch: u32,
    /// How far back gradients flow: full, or regular:TAU for windows of TAU steps with the state carried on
    #[arg(long, default_value = "regular:64")]
    truncation: Truncation,
    /// Activation of the layers
    #[arg(long, value_enum, default_value_t = Activation::Tanh)]
    activation: Activation,
    /// Train without biases
    #[arg(long)]
    no_bias: bool,
    /// Initial weights: orthogonal, xavier, identity:A, normal:SIGMA, or uniform (PyTorch's default)
    #[arg(long, default_value = "orthogonal")]
    init: Init,
    /// Stop after this many updates [default: 1000, unless --epochs is given]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "epochs")]
    updates: Option<u64>,
    /// Stop after this many passes over the training text
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// sgd, sgd:MOMENTUM, rmsprop, rmsprop:ALPHA, adam, adamw or adamw:DECAY
    #[arg(long, default_value = "adam")]
    optimizer: Rule,
    /// Learning rate
    #[arg(long, default_value_t = 2e-3, value_parser = positive)]
    lr: f32,
    /// Scale gradients down to this global norm at most; 0 for no clipping
    #[arg(long, default_value_t = 1.0, value_parser = not_negative, value_name = "NORM")]
    clip_norm: f32,
    /// Clamp each gradient to plus or minus this instead
    #[arg(long, value_parser = positive, value_name = "V", conflicts_with = "clip_norm")]
    clip_value: Option<f32>,
    /// Where to train: auto (a hardware GPU, else the CPU), gpu, gpu:INDEX (see `retrograd devices`) or cpu
    #[arg(long, default_value = "auto")]
    device: Wish,
    /// Seed of the initial weights and of the sample
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Part of the text, at its end, that is held out for validation
    #[arg(long, default_value_t = 0.1, value_parser = fraction)]
    val_fraction: f64,
    /// Updates from one report of the loss to the next
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    log_every: u64,
    /// Characters of the sample that is printed at the end (under `sample` with --json); 0 for none
    #[arg(long, default_value_t = 400, value_name = "N")]
    sample: usize,
    /// Print one JSON object with the results on standard output
    #[arg(long)]
    json: bool,
}

fn float(text: &str) -> std::result::Result<f32, String> {
    text.parse::<f32>().ok().filter(|x| x.is_finite()).ok_or_else(|| "expected a finite number".to_string())
}

fn positive(text: &str) -> std::result::Result<f32, String> {
    float(text).and_then(|x| if x > 0.0 { Ok(x) } else { Err("expected a number above 0".to_string()) })
}

fn not_negative(text: &str) -> std::result::Result<f32, String> {
    float(text).and_then(|x| if x >= 0.0 { Ok(x) } else { Err("expected 0 or a number above 0".to_string()) })
}

fn fraction(text: &str) -> std::result::Result<f64, String> {
    text.parse::<f64>().ok().filter(|x| (0.0..1.0).contains(x)).ok_or_else(|| "expected a number from 0 to below 1".to_string())
}

impl Args {
    fn settings(&self) -> Settings {
        let clip = match (self.clip_value, self.clip_norm) {
            (Some(v), _) => Clip::Value(v),
            (None, 0.0) => Clip::None,
            (None, n) => Clip::Norm(n),
        };
        Settings {
            hidden: self.hidden,
            layers: self.layers,
            lanes: self.batch,
            activation: self.activation,
            bias: !self.no_bias,
            init: self.init,
            truncation: self.truncation,
            rule: self.optimizer,
            clip,
            lr: self.lr,
            seed: self.seed,
            val_fraction: self.val_fraction,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let settings = args.settings();
    let text = args.text.as_deref().map_or_else(|| Ok(Text::embedded()), Text::read)?;
    let corpus = Corpus::new(&text.content, &text.name, &settings)?;
    let (device, line) = Device::open(args.device)?;
    eprintln!("{line}");
    let mut trainer = Trainer::new(&device, corpus, settings)?;
    announce(&trainer, &text.name, &settings);
    let seconds_setup = start.elapsed().as_secs_f64();
    let epochs = |e: u64| e.checked_mul(trainer.updates_per_epoch()).ok_or_else(|| Error::Usage(format!("--epochs {e} is too many")));
    let total = args.updates.map_or_else(|| args.epochs.map_or(Ok(1000), epochs), Ok)?;
    let submits = trainer.engine.counters().submits;
    let (start, first) = (Instant::now(), train(&mut trainer, total, args.log_every)?);
    let seconds_training = start.elapsed().as_secs_f64();
    let submits = trainer.engine.counters().submits - submits;
    let speed = trainer.tokens() as f64 / seconds_training;
    let last = trainer.metrics()?.map_or(f32::NAN, |m| m.loss);
    let val_loss = trainer.validate()?;
    let skipped = trainer.engine.skipped()?;
    let bpc = val_loss.map(|l| l / std::f64::consts::LN_2);
    eprintln!("trained {total} updates in {seconds_training:.1} s, {speed:.0} characters/s; loss {first:.3} -> {last:.3} nats");
    if let (Some(loss), Some(bpc)) = (val_loss, bpc) {
        eprintln!("validation loss {loss:.4} nats, {bpc:.4} bits per character");
    }
    if skipped > 0 {
        eprintln!("{skipped} updates were skipped because a gradient was not finite; lower --lr or --clip-norm");
    }
    if args.json {
        let [planned, allocated] = trainer.engine.device_bytes();
        let activations = trainer.engine.activation_bytes();
        print_json(&json!({
            "device": trainer.engine.description(), "backend": device.backend(), "updates": trainer.updates(), "tokens": trainer.tokens(),
            "train_loss": number(last.into()), "val_loss": val_loss.map_or(serde_json::Value::Null, number), "val_bpc": bpc.map_or(serde_json::Value::Null, number),
            "tokens_per_second": number(speed), "device_bytes_planned": planned, "device_bytes_allocated": allocated,
            "activation_bytes_planned": activations, "activation_bytes_allocated": (activations + allocated).saturating_sub(planned),
            "dispatches_per_window": trainer.engine.dispatches_per_window(), "submits_per_window": number(submits as f64 / total as f64),
            "skipped_updates": skipped, "seconds_setup": number(seconds_setup), "seconds_training": number(seconds_training),
            "sample": sample(&mut trainer, args)?, "run_dir": serde_json::Value::Null,
        }))?;
    } else if args.sample > 0 {
        say(&sample(&mut trainer, args)?);
    }
    Ok(())
}

fn announce(trainer: &Trainer, name: &str, settings: &Settings) {
    let (config, train) = (&trainer.engine.config, &trainer.corpus().train);
    eprintln!("text: {name}: {} symbols, {} lanes of {} characters; model: {} parameters", config.vocab, train.lanes(), train.steps(), config.parameters());
    if let Truncation::Regular(tau) = settings.truncation
        && tau >= train.steps()
    {
        eprintln!("note: a window of {tau} steps holds the whole lane of {}: this is the full gradient", train.steps());
    }
    if trainer.engine.plan.recompute {
        let plan = &trainer.engine.plan;
        eprintln!("note: windows of {} steps are trained in segments of {}, whose states are computed twice to save memory", plan.window, plan.extent.steps);
    }
}

/// Runs the updates with a progress bar, or lines where there is no terminal; the first window's loss.
fn train(trainer: &mut Trainer, total: u64, log_every: u64) -> Result<f32> {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} updates  {msg}  {eta} left").map_err(|e| Error::Usage(e.to_string()))?;
    bar.set_style(style);
    let lines = !std::io::stderr().is_terminal();
    let (start, mut first) = (Instant::now(), f32::NAN);
    for update in 1..=total {
        trainer.step()?;
        bar.set_position(update);
        if update == 1 || update % log_every == 0 || update == total {
            let Some(m) = trainer.metrics()? else { continue };
            let speed = trainer.tokens() as f64 / start.elapsed().as_secs_f64();
            if update == 1 {
                first = m.loss;
            }
            let message = format!("loss {:.4} nats  norm {:.3}  {speed:.0} characters/s", m.loss, m.norm);
            if lines {
                eprintln!("update {update}/{total}  {message}");
            }
            bar.set_message(message);
        }
    }
    trainer.engine.wait()?;
    bar.finish();
    Ok(first)
}

/// A sample without a prompt: the first character is drawn from the head's bias alone.
fn sample(trainer: &mut Trainer, args: &Args) -> Result<String> {
    let parameters = trainer.engine.parameters()?;
    let mut sampler = Sampler::new(trainer.engine.config, &parameters, 0.8, args.seed)?;
    sampler.text(&trainer.corpus().vocabulary, "", args.sample)
}
