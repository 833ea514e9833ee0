//! A run: training with reports, validation and checkpoints, in a folder of its own.

mod chosen;
mod config;
mod corpus;
mod defaults;
mod folder;
mod given;
mod labels;
mod lanes;
mod loss_unit;
mod merged;
mod monitoring;
mod often;
mod recovery;
mod series;
mod summary;
mod tensorboard;
mod texts;

pub(crate) use chosen::BEST;
pub use chosen::Chosen;
pub use config::{RunConfig, declared};
pub(crate) use config::{is_free, unescaped};
pub use defaults::DataKind;
pub use folder::{Folder, START};
pub use given::Given;
pub use labels::Answer;
pub use loss_unit::Unit;
pub use merged::Stated;
pub use recovery::OnDeviceLost;
pub(crate) use texts::Kin;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::metrics::{Mark, Meter, Report};
use crate::metrics_log::{Line, Validation};
use crate::monitor::{self, Monitor};
use crate::phrase::argument;
use crate::plan::{Bytes, default_budget};
use crate::platform::Instant;
use crate::profile::Profile;
use crate::ranks::Ranks;
use crate::store::{Checkpoint, Model, Progress};
use crate::trainer::{Corpus, Goal, Settings, Trainer};
use folder::Growing;
use std::time::Duration;
use tensorboard::Board;

/// An event during a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// An update was issued; the fraction of training done so far.
    Step(f64),
    /// Figures of some updates.
    Report(&'a Report),
    /// A validation begins.
    Validating,
    /// A validation ended.
    Validated {
        /// Loss, nats.
        loss: f64,
        /// Share of right answers, if there are answers.
        accuracy: Option<f64>,
        /// Whether the loss is the lowest so far.
        best: bool,
        /// Whether it is the run's last.
        last: bool,
    },
    /// A lost device was opened again; training continues from the last checkpoint, after this many updates.
    Opened(&'a Device, u64),
    /// Something that the user should know; training goes on.
    Warning(&'a str),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It reached its goal.
    Done,
    /// Validation stopped improving.
    StoppedEarly,
    /// The user interrupted it.
    Interrupted,
}

/// Seconds between checkpoints, if not given in updates; more if saving takes long.
const SAVE_SECONDS: u64 = 30;
/// Most updates between two requests for their figures: the device keeps those of the last 1,024.
const FIGURES: u64 = 256;
/// Updates skipped in a row after which training can't be expected to recover.
const HOPELESS: u64 = 100;

/// A run.
pub struct Run {
    folder: Folder,
    config: RunConfig,
    device: Device,
    /// The trainer.
    pub trainer: Trainer,
    progress: Progress,
    meter: Meter,
    lines: Growing,
    board: Option<Board>,
    monitor: Option<Monitor>,
    /// Number of updates whose figures were requested.
    requested: u64,
    /// When the clock was last started; none while it is stopped.
    clock: Option<Instant>,
    saved_at: Option<u64>,
    last_save: (Instant, Duration),
    /// Whether the last write of the metrics, the checkpoint and the TensorBoard figures failed; whether the user was warned of lanes that validation had
    /// to read again, and of lanes that training begins in another state.
    failing: [bool; 5],
    /// Updates and submissions when this process began.
    first: [u64; 2],
    /// Whether the time of each kernel is measured.
    profiled: bool,
}

impl Run {
    /// Begins a run in a folder that holds only `config.toml`.
    ///
    /// # Errors
    /// If the folder can't be written, or the device fails.
    pub fn begin(folder: Folder, config: RunConfig, device: Device, trainer: Trainer) -> Result<Self> {
        let mut run = Self::with(folder, config, device, trainer, Progress::default())?;
        run.save()?;
        run.folder.keep();
        Ok(run)
    }

    /// Resumes from a checkpoint.
    ///
    /// # Errors
    /// If it does not match the data and the settings, or the device refuses.
    pub fn resume(folder: Folder, config: RunConfig, device: Device, corpus: Corpus, checkpoint: &Checkpoint) -> Result<Self> {
        let (settings, _) = Self::settings(&config, &device, &corpus)?;
        let begun = RunConfig::parse(&checkpoint.settings)?;
        let keys: Vec<String> = config.keys().into_iter().chain(begun.keys()).collect();
        if let Some([key, here, there]) = config.differences(&begun, &keys).first() {
            return Err(Error::Input(format!(
                "{}: {key} is {here}, but the run was started with {there}; put it back, or begin another run",
                folder.file("config.toml").display()
            )));
        }
        if settings.config(&corpus.codec)? != checkpoint.config || (checkpoint.plan.extent.lanes, checkpoint.groups) != (settings.lanes(), settings.groups()) {
            return Err(Error::Input(format!("{}: checkpoint.safetensors is of another model than the run's", folder.path().display())));
        }
        // Another device has other limits; bits differ there anyway.
        let plan = Some(checkpoint.plan).filter(|_| device.choices() == checkpoint.choices);
        let trainer = Trainer::with_plan(&device, corpus, settings, plan, &checkpoint.parameters);
        let mut trainer = trainer.map_err(|e| match e {
            Error::Input(message) => Error::Input(format!("{}: {message}", folder.file("checkpoint.safetensors").display())),
            e => e,
        })?;
        trainer.restore(checkpoint.counters, &checkpoint.memory)?;
        // Another process that took over the folder may have removed the file being written.
        config.save(&folder.file("config.toml")).or_else(|e| folder.check().and(Err(e)))?;
        let mut run = Self::with(folder, config, device, trainer, checkpoint.progress)?;
        // A later goal moves the sample points.
        run.progress.samples = run.progress.samples.min(run.sampled());
        run.saved_at = Some(checkpoint.counters.updates);
        Ok(run)
    }

    fn with(folder: Folder, config: RunConfig, device: Device, mut trainer: Trainer, progress: Progress) -> Result<Self> {
        let counters = trainer.counters();
        let mark = Mark { counters, epochs: trainer.epochs(), learning_rate: 0.0, seconds: progress.seconds };
        let meter = Meter::new(mark, trainer.engine.config.output, config.training.clip());
        let lines = Growing::open(folder.file("metrics.jsonl"), progress.metrics_bytes)?;
        let board = if config.tensorboard { Some(Board::open(&folder, counters.updates, &config.toml()?)?) } else { None };
        let monitor = config.monitor.map(|_| Monitor::new(&device, &trainer, config.training.seed)).transpose()?;
        let first = [counters.updates, trainer.engine.counters().submits];
        let last_save = (Instant::now(), Duration::ZERO);
        Ok(Run {
            folder,
            config,
            device,
            trainer,
            progress,
            meter,
            lines,
            board,
            monitor,
            requested: counters.updates,
            clock: None,
            saved_at: None,
            last_save,
            failing: [false; 5],
            first,
            profiled: false,
        })
    }

    /// The trainer's settings, with the monitor's memory deducted from the budget, and the bytes that the monitor takes.
    ///
    /// # Errors
    /// If sizes are wrong.
    pub fn settings(config: &RunConfig, device: &Device, corpus: &Corpus) -> Result<(Settings, u64)> {
        let settings = config.training;
        let model = settings.config(&corpus.codec)?;
        let Some(taken) = config.monitor.map(|_| monitor::bytes(device, model, &corpus.train)) else { return Ok((settings, 0)) };
        let budget = settings.memory_budget.map_or_else(default_budget, |b| b.0);
        Ok((settings.memory_budget(Bytes(budget.saturating_sub(taken))), taken))
    }

    /// Lets others join in.
    ///
    /// # Errors
    /// Those of `invite`.
    pub fn join(&mut self, invite: impl FnOnce(&mut Trainer, &Device, &RunConfig) -> Result<()>) -> Result<()> {
        invite(&mut self.trainer, &self.device, &self.config)
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The settings it was started with.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The progress so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the run of a checkpoint has nothing left to do.
    pub fn finished(config: &RunConfig, checkpoint: &Checkpoint) -> bool {
        let goal = match config.goal() {
            Goal::Updates(n) => checkpoint.counters.updates >= n,
            Goal::Epochs(n) => checkpoint.counters.cursor.epoch >= n,
        };
        let validated = config.training.val_fraction == 0.0 || checkpoint.progress.validated_at == Some(checkpoint.counters.updates);
        (goal || checkpoint.progress.stopped_early) && validated
    }

    /// Trains until the goal, an early stop, or an interrupt, then saves everything.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or the result can't be saved.
    pub fn train(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<End> {
        self.go()?;
        let end = loop {
            if self.sampled() > self.progress.samples {
                match self.sample(observer) {
                    Err(Error::Interrupted) => break End::Interrupted,
                    done => done?,
                }
            }
            if self.validation_due() {
                match self.validate(observer) {
                    Err(Error::Interrupted) => break End::Interrupted,
                    Err(Error::Input(why)) => return Err(self.without_text(&why, observer)),
                    done => done?,
                }
                self.save_or_warn(observer)?;
            }
            if self.progress.skipped_in_a_row >= HOPELESS {
                self.take_figures(true, observer)?;
                self.save()?;
                return Err(Error::Input(format!(
                    "the last {} updates were skipped because a gradient was not finite; saved in {}; begin again with a lower `lr` or `clip_norm`",
                    self.progress.skipped_in_a_row,
                    self.folder.path().display()
                )));
            }
            if self.progress.stopped_early {
                break End::StoppedEarly;
            }
            if self.trainer.done() {
                break End::Done;
            }
            let before = self.look_due().then(|| self.trainer.engine.parameters()).transpose()?;
            match self.trainer.step() {
                Err(Error::Interrupted) => break End::Interrupted,
                Err(Error::Input(why)) => return Err(self.without_text(&why, observer)),
                done => done?,
            }
            self.ask_for_figures()?;
            self.take_figures(false, observer)?;
            if let Some(before) = before {
                self.look(&before, observer)?;
            }
            self.look_for_trapped_lanes(observer)?;
            observer(Event::Step(self.trainer.fraction()));
            if self.save_due() {
                self.save_or_warn(observer)?;
            }
        };
        self.take_figures(true, observer)?;
        self.folder.check()?;
        self.save().map_err(|e| match e {
            Error::Input(message) => self.not_saved(&message),
            other => other,
        })?;
        Ok(end)
    }

    fn mark(&mut self, learning_rate: f32) -> Mark {
        Mark { counters: self.trainer.counters(), epochs: self.trainer.epochs(), learning_rate, seconds: self.seconds() }
    }

    /// Seconds of training alone.
    fn seconds(&self) -> f64 {
        self.progress.seconds + self.clock.map_or(0.0, |c| c.elapsed().as_secs_f64())
    }

    /// Measures the time of each kernel during training. Slower: host and device then wait for each other.
    pub fn profile(&mut self) {
        self.profiled = true;
    }

    /// Ends training at the first value that is not finite; many times slower.
    pub fn detect_anomalies(&mut self) {
        self.trainer.engine.detect_anomalies();
    }

    /// The profile, and the number of updates it covers; none without [`Run::profile`].
    pub fn take_profile(&mut self) -> Option<(Profile, u64)> {
        self.trainer.engine.take_profile().map(|p| (p, self.trainer.updates() - self.first[0]))
    }

    /// Starts the clock, unless it is running.
    fn go(&mut self) -> Result<()> {
        if self.clock.is_none() {
            if self.profiled {
                self.trainer.engine.profile(true)?;
            }
            self.clock = Some(Instant::now());
        }
        Ok(())
    }

    /// Stops the clock once the device has finished its work.
    fn pause(&mut self) -> Result<()> {
        self.trainer.engine.wait()?;
        self.progress.seconds = self.seconds();
        self.clock = None;
        if self.profiled {
            self.trainer.engine.profile(false)?;
        }
        Ok(())
    }

    /// Requests the figures of the latest updates if a report is due or many have accumulated.
    fn ask_for_figures(&mut self) -> Result<()> {
        let updates = self.trainer.updates();
        let due = updates == 1 || updates.is_multiple_of(self.config.log_every) || self.trainer.done();
        if due {
            let rate = self.trainer.last_learning_rate();
            let mark = self.mark(rate);
            self.meter.report_at(mark);
        }
        if due || updates - self.requested >= FIGURES {
            self.trainer.engine.request_metrics(self.requested, (updates - self.requested) as u32)?;
            self.requested = updates;
        }
        Ok(())
    }

    /// Processes the figures that have arrived; with `wait`, all of them.
    fn take_figures(&mut self, wait: bool, observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if wait && self.requested < self.trainer.updates() {
            self.trainer.engine.request_metrics(self.requested, (self.trainer.updates() - self.requested) as u32)?;
            self.requested = self.trainer.updates();
        }
        if self.meter.arrived() == self.requested {
            return Ok(());
        }
        let (figures, seconds) = (self.trainer.engine.collect_metrics(wait)?, self.seconds());
        for report in self.meter.take_all(&figures, seconds, &mut self.progress) {
            let mut line = report.line();
            if let Line::Report(figures) = &mut line {
                figures.ranks = self.trainer.ranks().map(Ranks::count);
                figures.lane_groups = Some(self.config.training.groups()).filter(|g| *g > 1);
            }
            self.write_line(&line, observer);
            if let Some(lowest) = report.jumped_from {
                observer(Event::Warning(&format!(
                    "the loss has jumped from {lowest:.3} to {:.3} {} at update {}; if it stays, begin again with a lower `lr` or `clip_norm`{}",
                    report.mean_loss,
                    Unit::of(&self.config).name(),
                    report.mark.counters.updates,
                    if self.progress.best_loss.is_some() { "; best.safetensors has the best model" } else { "" }
                )));
            }
            observer(Event::Report(&report));
        }
        Ok(())
    }

    /// Adds a line to the metrics. A failure is reported once, and the line is tried again with the next.
    fn write_line(&mut self, line: &Line, observer: &mut dyn FnMut(Event<'_>)) {
        match self.lines.push(format!("{}\n", line.json()).as_bytes()) {
            Ok(()) => self.failing[0] = false,
            Err(e) => self.warn_once(0, &e.to_string(), observer),
        }
        match self.board.as_mut().map_or(Ok(()), |board| board.write(line)) {
            Ok(()) => self.failing[2] = false,
            Err(e) => self.warn_once(2, &e.to_string(), observer),
        }
    }

    fn warn_once(&mut self, what: usize, text: &str, observer: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.failing[what], true) {
            observer(Event::Warning(text));
        }
    }

    fn validation_due(&self) -> bool {
        let (trainer, updates) = (&self.trainer, self.trainer.updates());
        let due = match self.config.val_every {
            Some(n) => updates.is_multiple_of(n),
            None => trainer.at_epoch_end(),
        };
        updates > 0 && (due || trainer.done()) && trainer.validates() && self.progress.validated_at != Some(updates)
    }

    fn validate(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.take_figures(true, observer)?;
        self.pause()?;
        observer(Event::Validating);
        let Some(loss) = self.trainer.validate()? else { return Ok(()) };
        self.say_read_again(observer);
        let accuracy = self.trainer.accuracy()?;
        self.trainer.busy();
        let updates = self.trainer.updates();
        let finite = Some(loss).filter(|l| l.is_finite());
        let best = finite.is_some() && self.progress.best_loss.is_none_or(|b| loss < b);
        if best && let Err(e) = self.model()?.save(&self.folder.file(BEST)) {
            observer(Event::Warning(&format!("{e}; best.safetensors is not the best model now")));
        }
        let p = &mut self.progress;
        (p.validated_at, p.val_loss, p.val_accuracy) = (Some(updates), finite, accuracy);
        if best {
            (p.best_loss, p.best_accuracy, p.best_update, p.since_best) = (finite, accuracy, updates, 0);
        } else {
            p.since_best += 1;
        }
        p.stopped_early = self.config.patience.is_some_and(|n| p.since_best >= n) && !self.trainer.done();
        let line = Line::Validation(Validation {
            update: updates,
            tokens: self.trainer.tokens(),
            epoch: self.trainer.epochs(),
            seconds: self.progress.seconds,
            loss,
            val_bpc: finite.filter(|_| self.config.predicts_symbols()).map(bits),
            accuracy,
            best,
        });
        self.write_line(&line, observer);
        let last = self.progress.stopped_early || self.trainer.done();
        observer(Event::Validated { loss, accuracy, best, last });
        self.go()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn save_due(&self) -> bool {
        let (at, took) = self.last_save;
        match self.config.save_every {
            Some(n) => self.trainer.updates().is_multiple_of(n),
            None => at.elapsed() >= Duration::from_secs(SAVE_SECONDS).max(100 * took),
        }
    }

    /// The current model.
    ///
    /// # Errors
    /// If the device fails.
    pub fn model(&mut self) -> Result<Model> {
        Ok(Model { trained_on: self.config.trained_on(), split_seed: self.config.training.split_seed.filter(|n| *n > 0), ..Model::of(&mut self.trainer)? })
    }

    /// Saves. If that fails, training continues; the next save and the one at the end try again.
    fn save_or_warn(&mut self, observer: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.take_figures(true, observer)?;
        self.folder.check()?;
        match self.save() {
            // The others would wait for a rank that can't do its part.
            Err(Error::Input(message)) if self.trainer.ranks().is_some() => Err(self.not_saved(&message)),
            Err(Error::Input(message)) => {
                self.warn_once(1, &format!("{message}; training goes on, and the checkpoint is tried again later"), observer);
                self.last_save.0 = Instant::now();
                self.go()
            }
            done => {
                self.failing[1] = false;
                done
            }
        }
    }

    /// The error for a checkpoint that could not be saved.
    fn not_saved(&self, why: &str) -> Error {
        let last = self.saved_at.map_or("there is none".to_string(), |u| format!("the last good one is of update {u}"));
        let folder = argument(self.folder.path());
        Error::Input(format!("{why}; the checkpoint was not saved, {last}; then go on with `retrograd train --resume {folder}`"))
    }

    /// Writes the model and the checkpoint. Restarts the clock if it was running.
    fn save(&mut self) -> Result<()> {
        let updates = self.trainer.updates();
        let running = self.clock.is_some();
        self.pause()?;
        let start = Instant::now();
        let memory = self.trainer.memory()?;
        self.trainer.busy();
        self.progress.metrics_bytes = self.lines.sync()?;
        let (mut model, file) = (self.model()?, self.folder.file("model.safetensors"));
        // The first checkpoint goes before the first model: a run that is killed between the two goes on, and no model stands there that nothing goes on from.
        let first = self.saved_at.is_none();
        if !first {
            model.save(&file)?;
        }
        let checkpoint = Checkpoint {
            config: model.config,
            plan: self.trainer.engine.plan,
            choices: self.device.choices(),
            groups: self.config.training.groups(),
            ranks: self.trainer.ranks().map_or(1, Ranks::count),
            counters: self.trainer.counters(),
            progress: self.progress,
            settings: self.config.toml()?,
            parameters: std::mem::take(&mut model.parameters),
            memory,
        };
        checkpoint.save(&self.folder.file("checkpoint.safetensors"))?;
        if first {
            model.parameters = checkpoint.parameters;
            model.save(&file)?;
        }
        self.saved_at = Some(updates);
        self.last_save = (Instant::now(), start.elapsed());
        if running { self.go() } else { Ok(()) }
    }
}

/// Converts nats to bits.
pub fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}
