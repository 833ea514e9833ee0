//! Training: windows over lanes or sequences, updates, validation.

mod shared;

pub use crate::corpus::{Corpus, Layout};
use crate::data::{Codec, Content, Packing, WARM_UP};
use crate::device::Device;
use crate::engine::{Engine, Memory, Metrics};
use crate::error::{Error, Result};
use crate::evaluate::EvalSet;
use crate::feed::{Cursor, Feed, Source, Window};
use crate::model::Config;
use crate::plan::{Plan, Workload};
use crate::ranks::{Order, Ranks};
use crate::relay::{Again, differ, lane_of, lanes_with};
pub use crate::settings::{Goal, Settings};
use shared::Shared;
pub use shared::fits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Relative difference above which two states are taken to be trapped apart.
const TRAPPED: f64 = 0.1;

/// Trains a model on a corpus.
pub struct Trainer {
    /// The model on its device.
    pub engine: Engine,
    content: Content,
    codec: Codec,
    feed: Feed,
    validation: Option<EvalSet>,
    chance: Option<f64>,
    settings: Settings,
    counters: Counters,
    last_learning_rate: f32,
    read_again: Again,
    interrupt: Arc<AtomicBool>,
    /// If there are several lane groups.
    shared: Option<Shared>,
}

/// Builds a trainer around its engine, with flat parameters.
type Around = Box<dyn FnOnce(Engine, &[f32]) -> Result<Trainer> + Send>;

/// Training progress: everything that the host remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Updates, including skipped ones.
    pub updates: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Where the next window begins.
    pub cursor: Cursor,
    /// TBPTT windows trained so far: per lane for sequences, one count for all lanes of a stream.
    pub windows: u64,
    /// Total steps of these windows.
    pub window_steps: u64,
    /// Steps of the longest window.
    pub window_max: u32,
}

impl Trainer {
    /// Plans, creates the model on the device, and initializes it.
    ///
    /// # Errors
    /// If sizes are invalid or the device refuses.
    pub fn new(device: &Device, corpus: Corpus, settings: Settings) -> Result<Self> {
        let config = settings.config(&corpus.codec)?;
        Self::with_plan(device, corpus, settings, None, &settings.parameters(&config))
    }

    /// Like [`Trainer::new`], with saved flat parameters, and optionally a saved plan.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn with_plan(device: &Device, corpus: Corpus, settings: Settings, plan: Option<Plan>, parameters: &[f32]) -> Result<Self> {
        let (config, plan, trainer) = Self::parts(device, corpus, settings, plan)?;
        trainer(Engine::new(device, config, plan, &settings.optimizer.update(settings.clip()))?, parameters)
    }

    /// Like [`Trainer::new`], without blocking, as a browser demands. [`Trainer::step`] does not block there either: await metrics every few updates to
    /// bound the work in flight.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub async fn new_async(device: &Device, corpus: Corpus, settings: Settings) -> Result<Self> {
        let config = settings.config(&corpus.codec)?;
        Self::with_plan_async(device, corpus, settings, None, &settings.parameters(&config)).await
    }

    /// Like [`Trainer::with_plan`], without blocking.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub async fn with_plan_async(device: &Device, corpus: Corpus, settings: Settings, plan: Option<Plan>, parameters: &[f32]) -> Result<Self> {
        let (config, plan, trainer) = Self::parts(device, corpus, settings, plan)?;
        trainer(Engine::new_async(device, config, plan, &settings.optimizer.update(settings.clip())).await?, parameters)
    }

    /// Architecture, plan, and a function that builds the trainer around its engine.
    fn parts(device: &Device, corpus: Corpus, settings: Settings, plan: Option<Plan>) -> Result<(Config, Plan, Around)> {
        let config = settings.config(&corpus.codec)?;
        let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
        let task = settings.task(config, &feed);
        let plan = plan.map_or_else(|| Plan::new(&task, &device.capabilities()), |plan| plan.checked(&task))?;
        let (content, codec, validation, chance) = (corpus.content, corpus.codec, corpus.validation, corpus.chance);
        let trainer: Around = Box::new(move |mut engine, parameters| {
            engine.set_parameters(parameters)?;
            let interrupt = Arc::new(AtomicBool::new(false));
            let groups = Some(settings.groups()).filter(|g| *g > 1);
            let shared = groups.map(|g| Shared::new(Ranks::alone(), g, settings.lanes(), &mut engine)).transpose()?;
            Ok(Trainer {
                engine,
                content,
                codec,
                feed,
                validation,
                chance,
                settings,
                counters: Counters::default(),
                last_learning_rate: 0.0,
                read_again: Again::default(),
                interrupt,
                shared,
            })
        });
        Ok((config, plan, trainer))
    }

    /// Resumes from saved progress.
    ///
    /// # Errors
    /// If the device fails.
    pub fn restore(&mut self, counters: Counters, memory: &Memory) -> Result<()> {
        self.counters = counters;
        self.set_memory(memory)
    }

    /// Training progress.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sets the interrupt flag. Once it is true, the current operation ends at the next segment with [`Error::Interrupted`]; its window is dropped.
    pub fn set_interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }

    /// The interrupt flag.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupt.clone()
    }

    /// Whether the interrupt flag is true.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The workload to plan for, and the number of forward and backward passes over each window.
    pub fn task(&self) -> (Workload, u32) {
        (self.settings.task(self.engine.config, &self.feed), self.feed.passes())
    }

    /// The content that it is trained on.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The meaning of inputs and outputs.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// What a counted token is called: a symbol of the text, or an answer for sequences with answers.
    pub fn unit(&self) -> &'static str {
        if matches!(self.source(), Source::Sequences(s) if s.asks()) { "answers" } else { self.content.unit() }
    }

    /// The training data.
    pub fn source(&self) -> &Source {
        self.feed.source()
    }

    /// Whether a part of the text is held out.
    pub fn validates(&self) -> bool {
        self.validation.is_some()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Updates so far, including skipped ones.
    pub fn updates(&self) -> u64 {
        self.counters.updates
    }

    /// Symbols trained on so far.
    pub fn tokens(&self) -> u64 {
        self.counters.tokens
    }

    /// Passes over the training text so far, including the fraction of the current one.
    pub fn epochs(&mut self) -> f64 {
        self.counters.cursor.epoch as f64 + self.feed.fraction(self.counters.cursor)
    }

    /// The fraction of the goal that is done, 1 when it is reached.
    pub fn fraction(&mut self) -> f64 {
        match self.settings.goal() {
            Goal::Updates(n) => self.counters.updates as f64 / n as f64,
            Goal::Epochs(n) => self.epochs() / n as f64,
        }
    }

    /// Whether the goal is reached.
    pub fn done(&self) -> bool {
        match self.settings.goal() {
            Goal::Updates(n) => self.counters.updates >= n,
            Goal::Epochs(n) => self.counters.cursor.epoch >= n,
        }
    }

    /// Whether the last update ended a pass over the training text.
    pub fn at_epoch_end(&self) -> bool {
        self.counters.updates > 0 && self.counters.cursor.place == 0
    }

    /// The fraction of idle steps in the epoch of the last update.
    pub fn idle(&mut self) -> f64 {
        let Cursor { epoch, place } = self.counters.cursor;
        self.feed.packing(if place == 0 { epoch.saturating_sub(1) } else { epoch }).map_or(0.0, Packing::idle)
    }

    /// The window of the next update.
    pub fn next_window(&mut self) -> Window {
        self.feed.window(self.counters.cursor)
    }

    /// The learning rate of the next update.
    pub fn learning_rate(&mut self) -> f32 {
        let fraction = self.fraction();
        let factor = self.settings.schedule.factor(fraction);
        let warm = if self.counters.updates < self.settings.warmup { (self.counters.updates + 1) as f64 / self.settings.warmup as f64 } else { 1.0 };
        (f64::from(self.settings.lr as f32) * factor * warm) as f32
    }

    /// The learning rate of the last update.
    pub fn last_learning_rate(&self) -> f32 {
        self.last_learning_rate
    }

    /// Runs one update. The work may still be in progress when this returns.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or the interrupt flag is set; nothing changes then.
    pub fn step(&mut self) -> Result<()> {
        self.order(Order::Step);
        self.step_together()
    }

    fn step_together(&mut self) -> Result<()> {
        let update = self.counters.updates + 1;
        self.step_unnamed().map_err(|e| match e {
            Error::Anomaly(what) => Error::Anomaly(format!("update {update}: {what}")),
            e => e,
        })
    }

    fn step_unnamed(&mut self) -> Result<()> {
        let window = self.next_window();
        let lr = self.learning_rate();
        self.engine.drop_units(Some(self.counters.updates));
        if self.shared.is_some() {
            self.gradient_of_groups(&window)?;
            self.engine.update(self.counters.updates, lr, window.scored as f64)?;
        } else {
            self.feed.gradient(&mut self.engine, &window, window.n, false, go_on(&self.interrupt))?;
            self.engine.update(self.counters.updates, lr, window.scored as f64)?;
            self.feed.carry(&mut self.engine, &window)?;
        }
        self.last_learning_rate = lr;
        let c = &mut self.counters;
        c.cursor = window.next;
        c.updates += 1;
        c.tokens += window.scored;
        for length in window.lengths() {
            (c.windows, c.window_steps, c.window_max) = (c.windows + 1, c.window_steps + u64::from(length), c.window_max.max(length));
        }
        Ok(())
    }

    /// The metrics of the last update; waits for them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn metrics(&mut self) -> Result<Option<Metrics>> {
        self.counters.updates.checked_sub(1).map(|u| self.engine.metrics(u)).transpose()
    }

    /// Like [`Trainer::metrics`], without blocking; see [`Engine::metrics_async`].
    ///
    /// # Errors
    /// If the device fails.
    pub async fn metrics_async(&mut self) -> Result<Option<Metrics>> {
        match self.counters.updates.checked_sub(1) {
            Some(update) => self.engine.metrics_async(update).await.map(Some),
            None => Ok(None),
        }
    }

    /// Mean loss of the held-out part in nats per symbol, with every symbol after the first scored once; `None` if nothing is held out. A short stream is
    /// read in one lane, a longer one in up to B, each of which first reads the 256 symbols before its own, unscored. A lane that has not forgotten its
    /// initial state by then is reread, so that the result agrees with that of one lane to within 1e-4 nats. See [`Trainer::read_again`].
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or the interrupt flag is set.
    pub fn validate(&mut self) -> Result<Option<f64>> {
        if self.validates() {
            self.order(Order::Validate);
        }
        self.validate_together()
    }

    fn validate_together(&mut self) -> Result<Option<f64>> {
        let Some(held) = &self.validation else { return Ok(None) };
        let state = self.engine.state()?;
        let ranks = self.shared.as_ref().map(|s| &*s.ranks);
        let found = held.evaluate_by(ranks, &mut self.engine, go_on(&self.interrupt));
        self.engine.set_state(&state)?;
        let found = found?;
        self.read_again = found.again;
        Ok(Some(found.loss))
    }

    /// What the last validation reread so that its loss is that of a stream in one piece.
    pub fn read_again(&self) -> Again {
        self.read_again
    }

    /// Counts the lanes of a stream that are trapped: they begin an epoch from zero, and after 256 steps their state still
    /// differs by more than a tenth from that of a lane that continues where the previous one ended. Returns `(trapped,
    /// examined)` lanes. Call it at the end of an epoch; it changes nothing. `None` for sequences or a single lane.
    ///
    /// # Errors
    /// As for [`Trainer::validate`].
    pub fn trapped(&mut self) -> Result<Option<(u32, u32)>> {
        if self.several_lanes().is_some() {
            self.order(Order::Trapped);
        }
        self.trapped_together()
    }

    fn trapped_together(&mut self) -> Result<Option<(u32, u32)>> {
        let Some(lanes) = self.several_lanes() else { return Ok(None) };
        if self.shared.is_some() {
            return self.trapped_of_groups(&lanes, TRAPPED).map(Some);
        }
        let (engine, go_on) = (&mut self.engine, go_on(&self.interrupt));
        let kept = engine.state()?;
        // If windows overlap, the state that flows on is an earlier one.
        engine.carry()?;
        let ended = engine.state()?;
        let (width, layers) = (engine.config.state_width() as usize, engine.config.layers as usize);
        let mut read = |from: &[Vec<f32>]| -> Result<Vec<Vec<f32>>> {
            engine.set_state(from)?;
            let inputs = |places: &_, steps| go_on().and_then(|()| lanes.inputs(places, steps, |_| (1.0, 0.0, 0.0)));
            engine.advance(0..lanes.steps().min(WARM_UP), inputs)?;
            engine.state()
        };
        let found = read(&vec![vec![0.0; lanes.lanes() as usize * width]; layers]).and_then(|fresh| {
            let before: Vec<Vec<f32>> = (0..lanes.lanes() as usize).map(|b| lane_of(&ended, b.saturating_sub(1), width)).collect();
            let before: Vec<Option<&[f32]>> = before.iter().map(|s| Some(s.as_slice())).collect();
            Ok((fresh, read(&lanes_with(&before, layers, width))?))
        });
        self.engine.set_state(&kept)?;
        let (fresh, led) = found?;
        let apart = (1..lanes.lanes() as usize).filter(|&b| differ(&lane_of(&fresh, b, width), &lane_of(&led, b, width), width, TRAPPED)).count();
        Ok(Some((apart as u32, lanes.lanes() - 1)))
    }

    /// Symbols per byte of the held-out part, see [`EvalSet::per_byte`].
    pub fn per_byte(&self) -> Option<f64> {
        self.validation.as_ref().and_then(|held| held.per_byte().ok().flatten())
    }

    /// The share of the most frequent class among all sequences, including held-out ones, if they have classes.
    pub fn chance(&self) -> Option<f64> {
        self.chance
    }

    /// Number of held-out sequences; 0 for a stream.
    pub fn held_out(&self) -> u64 {
        if let Some(EvalSet::Sequences(sequences, _)) = &self.validation { sequences.list().len() as u64 } else { 0 }
    }

    /// Share of right answers of the held-out part; `None` if nothing is held out, or it has no answers. See [`EvalSet::answers`].
    ///
    /// # Errors
    /// As for [`Trainer::validate`].
    pub fn accuracy(&mut self) -> Result<Option<f64>> {
        if self.validates() {
            self.order(Order::Answers);
        }
        self.answers_together()
    }

    fn answers_together(&mut self) -> Result<Option<f64>> {
        let Some(held) = &self.validation else { return Ok(None) };
        let state = self.engine.state()?;
        let ranks = self.shared.as_ref().map(|s| &*s.ranks);
        let found = held.answers_by(ranks, &mut self.engine, go_on(&self.interrupt));
        self.engine.set_state(&state)?;
        Ok(found?.map(|a| a.accuracy()))
    }
}

/// A check that fails once the interrupt flag is set.
fn go_on(interrupt: &AtomicBool) -> impl Fn() -> Result<()> {
    || if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
