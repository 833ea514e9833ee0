//! Training: windows over lanes or sequences, updates, validation.

use crate::data::{Lanes, Packing, Sequences, Symbols, WARM_UP};
use crate::device::Device;
use crate::engine::{Engine, Memory, Metrics};
use crate::error::{Error, Result};
use crate::evaluate::Held;
use crate::feed::{Cursor, Feed, Source, Window};
use crate::model::{Config, History, Init};
use crate::optimizer::{Clip, Rule, Schedule};
use crate::plan::{self, Plan, Task};
use crate::truncation::Truncation;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a training run is made of, besides the text.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: crate::model::Activation,
    /// Whether there are biases.
    pub bias: bool,
    /// Initial parameters.
    pub init: Init,
    /// Truncation strategy.
    pub truncation: Truncation,
    /// Optimizer.
    pub rule: Rule,
    /// Clipping.
    pub clip: Clip,
    /// Learning rate.
    pub lr: f32,
    /// How it changes.
    pub schedule: Schedule,
    /// Updates over which it rises from 0.
    pub warmup: u64,
    /// Where training ends: the learning rate's schedule depends on it.
    pub goal: Goal,
    /// Seed of the initial parameters and of all that is drawn.
    pub seed: u64,
    /// Part of the text held out at its end, 0 for none.
    pub val_fraction: f64,
    /// Bytes that training may take on the device; none for [`crate::plan::default_budget`].
    pub memory_budget: Option<u64>,
    /// How h is stored between the sweeps.
    pub history: History,
    /// Bytes of it that something else on the device takes.
    pub reserved: u64,
}

/// Where training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// After so many updates.
    Updates(u64),
    /// After so many passes over the training text.
    Epochs(u64),
}

impl Settings {
    /// The architecture for a vocabulary.
    ///
    /// # Errors
    /// [`Error::Usage`] if a size is 0 or too large.
    pub fn config(&self, vocab: u32) -> Result<Config> {
        let config = Config { vocab, hidden: self.hidden, layers: self.layers, activation: self.activation, bias: self.bias };
        config.dims(self.lanes).checked().map(|_| config)
    }

    /// What a plan is made for.
    pub fn task(&self, config: Config, feed: &Feed) -> Task {
        Task {
            config,
            lanes: self.lanes,
            window: feed.longest(),
            ring: feed.ring(),
            split: feed.splits(),
            update: self.rule.update(self.clip),
            history: self.history,
            budget: self.memory_budget.unwrap_or_else(plan::default_budget).saturating_sub(self.reserved),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hidden: 256,
            layers: 1,
            lanes: 32,
            activation: crate::model::Activation::Tanh,
            bias: true,
            init: Init::default(),
            truncation: Truncation::Regular(64),
            rule: Rule::Adam,
            clip: Clip::Norm(1.0),
            lr: 2e-3,
            schedule: Schedule::Constant,
            warmup: 0,
            goal: Goal::Updates(1000),
            seed: 0,
            val_fraction: 0.1,
            memory_budget: None,
            history: History::F32,
            reserved: 0,
        }
    }
}

/// A text, parted into what is trained on and a held-out tail.
pub struct Corpus {
    /// All symbols.
    pub symbols: Arc<Symbols>,
    /// The training part.
    pub train: Source,
    /// The held-out part; none if nothing is held out.
    pub validation: Option<Held>,
}

/// How the training part of a text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout<'a> {
    /// One stream.
    Stream,
    /// Finite sequences with this between them.
    Separated(&'a str),
    /// Finite sequences of so many symbols each, wherever that cuts the text.
    Pieces(u32),
    /// Finite sequences with answers behind them, see [`Sequences::asked`].
    Asked {
        /// Steps of each.
        steps: u32,
        /// Answers.
        answers: u32,
    },
}

impl<'a> From<Option<&'a str>> for Layout<'a> {
    fn from(separator: Option<&'a str>) -> Self {
        separator.map_or(Layout::Stream, Layout::Separated)
    }
}

impl Corpus {
    /// Parts a text as the settings say.
    ///
    /// # Errors
    /// [`Error::Input`] if the text is too short, saying how long it must be, or the separator never occurs.
    pub fn new<'a>(symbols: Arc<Symbols>, layout: impl Into<Layout<'a>>, settings: &Settings) -> Result<Self> {
        let layout = layout.into();
        settings.config(symbols.vocabulary().len())?;
        let (name, unit, fraction) = (symbols.text().name.clone(), symbols.unit(), settings.val_fraction);
        let none_left = |held: u64| {
            Error::Input(format!("{name} has {} {unit}, of which --val-fraction {fraction} holds out {held}; at least 2 are needed; raise it", symbols.len()))
        };
        let finite = match layout {
            Layout::Separated(separator) => Some((Sequences::new(symbols.clone(), separator)?, "another separator")),
            Layout::Asked { steps, answers } => Some((Sequences::asked(symbols.clone(), steps, answers)?, "more --examples")),
            Layout::Stream | Layout::Pieces(_) => None,
        };
        if let Some((all, other)) = finite {
            if fraction > 0.0 && all.list().len() < 2 {
                let message = format!("{name} is one sequence; at least 2 are needed to hold one out; give --val-fraction 0, or {other}");
                return Err(if all.asks() { Error::Usage(message) } else { Error::Input(message) });
            }
            let (train, held) = all.hold_out(fraction);
            let validation = held.map(|held| Held::sequences(held, settings.lanes));
            return Ok(Corpus { symbols, train: Source::Sequences(train), validation });
        }
        let held = (symbols.len() as f64 * fraction).floor() as u64;
        let cut = symbols.len() - held;
        if fraction > 0.0 && held < 2 {
            return Err(none_left(held));
        }
        let train = match layout {
            Layout::Pieces(len) => Source::Sequences(Sequences::pieces(symbols.clone(), 0..cut, len)?),
            _ => Source::Stream(Lanes::new(symbols.clone(), 0..cut, settings.lanes)?),
        };
        let lanes = Lanes::for_evaluation(held.saturating_sub(1), settings.lanes);
        let tail = |_| Lanes::overlapping(symbols.clone(), cut..symbols.len(), lanes, settings.lanes, WARM_UP).map(Held::Stream);
        let validation = Some(held).filter(|h| *h > 0).map(tail).transpose()?;
        Ok(Corpus { symbols, train, validation })
    }
}

/// Trains a model on a corpus.
pub struct Trainer {
    /// The model on its device.
    pub engine: Engine,
    symbols: Arc<Symbols>,
    feed: Feed,
    validation: Option<Held>,
    settings: Settings,
    counters: Counters,
    last_learning_rate: f32,
    interrupt: Arc<AtomicBool>,
}

/// How far training has come: all that the host remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Updates, skipped ones included.
    pub updates: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Where the next window begins.
    pub cursor: Cursor,
    /// Stretches from cut to cut that were trained on, of each lane of sequences and of all lanes of a stream together.
    pub windows: u64,
    /// Their steps.
    pub window_steps: u64,
    /// Those of the longest.
    pub window_max: u32,
}

impl Trainer {
    /// Plans, makes the model on the device, initialises it.
    ///
    /// # Errors
    /// If sizes are wrong or the device refuses.
    pub fn new(device: &Device, corpus: Corpus, settings: Settings) -> Result<Self> {
        let config = settings.config(corpus.symbols.vocabulary().len())?;
        Self::with_plan(device, corpus, settings, None, &settings.init.parameters(&config, settings.seed))
    }

    /// As [`Trainer::new`] with flat parameters, and perhaps a plan, that were saved.
    ///
    /// # Errors
    /// As there.
    pub fn with_plan(device: &Device, corpus: Corpus, settings: Settings, plan: Option<Plan>, parameters: &[f32]) -> Result<Self> {
        let config = settings.config(corpus.symbols.vocabulary().len())?;
        let feed = Feed::new(corpus.train, settings.truncation, settings.lanes, settings.seed);
        let task = settings.task(config, &feed);
        let plan = plan.map_or_else(|| Plan::new(&task, &device.capabilities()), |plan| plan.checked(&task))?;
        let mut engine = Engine::new(device, config, plan, &settings.rule.update(settings.clip))?;
        engine.set_parameters(parameters)?;
        let (symbols, validation, interrupt) = (corpus.symbols, corpus.validation, Arc::new(AtomicBool::new(false)));
        Ok(Trainer { engine, symbols, feed, validation, settings, counters: Counters::default(), last_learning_rate: 0.0, interrupt })
    }

    /// Goes on from a saved place.
    ///
    /// # Errors
    /// If the device fails.
    pub fn restore(&mut self, counters: Counters, memory: &Memory) -> Result<()> {
        self.counters = counters;
        self.engine.set_memory(memory)
    }

    /// How far training has come.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Once this flag is true, what is under way ends at the next segment with [`Error::Interrupted`]; its window is dropped.
    pub fn set_interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }

    /// That flag.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupt.clone()
    }

    /// Whether that flag is true.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// What a plan is made for, and the sweeps forward and backward over each window.
    pub fn task(&self) -> (Task, u32) {
        (self.settings.task(self.engine.config, &self.feed), self.feed.passes())
    }

    /// The symbols of the text.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// What a token is called, of those that are counted: a symbol of the text, or an answer where sequences ask.
    pub fn unit(&self) -> &'static str {
        if matches!(self.source(), Source::Sequences(s) if s.asks()) { "answers" } else { self.symbols.unit() }
    }

    /// What is trained on.
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

    /// Updates so far, skipped ones included.
    pub fn updates(&self) -> u64 {
        self.counters.updates
    }

    /// Symbols trained on so far.
    pub fn tokens(&self) -> u64 {
        self.counters.tokens
    }

    /// Passes over the training text so far, with the part of the present one.
    pub fn epochs(&mut self) -> f64 {
        self.counters.cursor.epoch as f64 + self.feed.fraction(self.counters.cursor)
    }

    /// The part of the way to the goal that is done, 1 when it is reached.
    pub fn fraction(&mut self) -> f64 {
        match self.settings.goal {
            Goal::Updates(n) => self.counters.updates as f64 / n as f64,
            Goal::Epochs(n) => self.epochs() / n as f64,
        }
    }

    /// Whether the goal is reached.
    pub fn done(&self) -> bool {
        match self.settings.goal {
            Goal::Updates(n) => self.counters.updates >= n,
            Goal::Epochs(n) => self.counters.cursor.epoch >= n,
        }
    }

    /// Whether the last update ended a pass over the training text.
    pub fn at_epoch_end(&self) -> bool {
        self.counters.updates > 0 && self.counters.cursor.place == 0
    }

    /// The part of the steps that is idle, of the epoch that the last update belongs to.
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
        (f64::from(self.settings.lr) * factor * warm) as f32
    }

    /// The learning rate of the last update.
    pub fn last_learning_rate(&self) -> f32 {
        self.last_learning_rate
    }

    /// One update. The work may still be under way when this returns.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or the interrupt flag is set; nothing has changed then.
    pub fn step(&mut self) -> Result<()> {
        let window = self.next_window();
        let lr = self.learning_rate();
        self.feed.gradient(&mut self.engine, &window, window.n, false, go_on(&self.interrupt))?;
        self.engine.update(self.counters.updates, lr, window.scored as f64)?;
        self.feed.carry(&mut self.engine, &window)?;
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

    /// What the device noted of the last update; waits for it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn metrics(&mut self) -> Result<Option<Metrics>> {
        self.counters.updates.checked_sub(1).map(|u| self.engine.metrics(u)).transpose()
    }

    /// Mean loss of the held-out part, nats per symbol, every symbol behind the first scored once; none if nothing is held out. A short stream is read in
    /// one lane, a longer one in up to B, each of which starts with 256 symbols before its own, unscored, so that the result differs
    /// little from one lane's.
    ///
    /// # Errors
    /// If the device fails, the text can't be read, or the interrupt flag is set.
    pub fn validate(&mut self) -> Result<Option<f64>> {
        let Some(held) = &self.validation else { return Ok(None) };
        let state = self.engine.state()?;
        let found = held.evaluate(&mut self.engine, go_on(&self.interrupt));
        self.engine.set_state(&state)?;
        found.map(|e| Some(e.loss))
    }

    /// Share of right answers of the held-out part; none if nothing is held out, or it asks for none. See [`Held::accuracy`].
    ///
    /// # Errors
    /// As for [`Trainer::validate`].
    pub fn accuracy(&mut self) -> Result<Option<f64>> {
        let Some(held) = &self.validation else { return Ok(None) };
        let state = self.engine.state()?;
        let found = held.accuracy(&mut self.engine, go_on(&self.interrupt));
        self.engine.set_state(&state)?;
        found
    }
}

/// Whether to go on, as a flag says.
fn go_on(interrupt: &AtomicBool) -> impl Fn() -> Result<()> {
    || if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
