//! The training loop: windows over lanes, updates, validation.

use crate::data::{Lanes, Vocabulary};
use crate::device::Device;
use crate::engine::{Engine, Metrics};
use crate::error::{Error, Result};
use crate::model::{Config, Init};
use crate::optimizer::{Clip, Rule};
use crate::plan::Plan;
use crate::truncation::Truncation;
use std::ops::Range;

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
    /// Seed of the initial parameters.
    pub seed: u64,
    /// Part of the text held out at its end, 0 for none.
    pub val_fraction: f64,
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
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hidden: 256,
            layers: 1,
            lanes: 32,
            activation: crate::model::Activation::Tanh,
            bias: true,
            init: Init::Orthogonal,
            truncation: Truncation::Regular(64),
            rule: Rule::Adam,
            clip: Clip::Norm(1.0),
            lr: 2e-3,
            seed: 0,
            val_fraction: 0.1,
        }
    }
}

/// Steps that a lane of the validation text reads, unscored, before its part begins.
const WARM_UP: u32 = 256;

/// A text, parted into training lanes and a held-out tail.
pub struct Corpus {
    /// The symbols.
    pub vocabulary: Vocabulary,
    /// The training part.
    pub train: Lanes,
    /// The held-out part; none if nothing is held out.
    pub validation: Option<Lanes>,
}

impl Corpus {
    /// Parts a text as the settings say. The vocabulary is that of the whole text.
    ///
    /// # Errors
    /// [`Error::Input`] if the text is too short, saying how long it must be.
    pub fn new(text: &str, name: &str, settings: &Settings) -> Result<Self> {
        let vocabulary = Vocabulary::of(text);
        settings.config(vocabulary.len())?;
        let tokens = vocabulary.encode(text)?;
        let held = (tokens.len() as f64 * settings.val_fraction).floor() as usize;
        let cut = tokens.len() - held;
        // A window must fit where one was asked for by its length: a shorter one would be another gradient than the one chosen.
        let steps = if let Truncation::Regular(tau) = settings.truncation { u64::from(tau) } else { 1 };
        let need = u64::from(settings.lanes) * steps + 1;
        if settings.val_fraction > 0.0 && held < 2 {
            return Err(Error::Input(format!(
                "{name} has {} characters, of which --val-fraction {} holds out {held}; at least 2 are needed; raise it, or give 0",
                tokens.len(),
                settings.val_fraction
            )));
        }
        if (cut as u64) < need {
            let total = ((need as f64 / (1.0 - settings.val_fraction)).ceil() as u64).max(need);
            return Err(Error::Input(format!(
                "{name} has {} characters, {cut} of them for training; {} lanes of a window of {steps} need {need}, that is a text of at least {total}; lower --batch, --truncation or --val-fraction",
                tokens.len(),
                settings.lanes
            )));
        }
        let validation = (held > 0).then(|| Lanes::overlapping(tokens[cut..].to_vec(), settings.lanes, WARM_UP, name)).transpose()?;
        let train = Lanes::new(tokens[..cut].to_vec(), settings.lanes, name)?;
        Ok(Corpus { vocabulary, train, validation })
    }
}

/// Trains a model on a corpus.
pub struct Trainer {
    /// The model on its device.
    pub engine: Engine,
    corpus: Corpus,
    settings: Settings,
    /// Step at which the next window begins.
    position: u32,
    updates: u64,
    tokens: u64,
}

impl Trainer {
    /// Plans, makes the model on the device, initialises it.
    ///
    /// # Errors
    /// If sizes are wrong or the device refuses.
    pub fn new(device: &Device, corpus: Corpus, settings: Settings) -> Result<Self> {
        let config = settings.config(corpus.vocabulary.len())?;
        let plan = Plan::new(config.dims(settings.lanes), settings.truncation.longest(corpus.train.steps()), &device.capabilities())?;
        let mut engine = Engine::new(device, config, plan, &settings.rule.update(settings.clip))?;
        engine.set_parameters(&settings.init.parameters(&config, settings.seed))?;
        Ok(Trainer { engine, corpus, settings, position: 0, updates: 0, tokens: 0 })
    }

    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Updates so far, skipped ones included.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Tokens trained on so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Updates of one pass over the training text.
    pub fn updates_per_epoch(&self) -> u64 {
        self.settings.truncation.windows(self.corpus.train.steps())
    }

    /// The window of the next update.
    pub fn next_window(&self) -> Range<u32> {
        self.settings.truncation.window(self.position, self.corpus.train.steps())
    }

    /// One update. The work may still be under way when this returns.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self) -> Result<()> {
        let (window, truncation, lanes) = (self.next_window(), self.settings.truncation, &self.corpus.train);
        let scored = lanes.scored(window.clone());
        let (n, first) = (scored as f64, window.start);
        self.engine.gradient(window.clone(), |places, segment| lanes.inputs(places, segment, |t| truncation.edge(t, first)), n)?;
        self.engine.update(self.updates, self.settings.lr, n)?;
        self.engine.carry(window.clone())?;
        self.position = if window.end == lanes.steps() { 0 } else { window.end };
        self.updates += 1;
        self.tokens += scored;
        Ok(())
    }

    /// What the device noted of the last update.
    ///
    /// # Errors
    /// If the device fails.
    pub fn metrics(&mut self) -> Result<Option<Metrics>> {
        self.updates.checked_sub(1).map(|u| self.engine.metrics(u)).transpose()
    }

    /// Mean loss of the held-out part, nats per character, every character scored once; none if nothing is held out. The part is read
    /// in B lanes; each starts with 256 characters before its own, unscored, so that it differs little from one stream's.
    ///
    /// # Errors
    /// If the device fails.
    pub fn validate(&mut self) -> Result<Option<f64>> {
        let Some(lanes) = &self.corpus.validation else { return Ok(None) };
        let state = self.engine.state()?;
        let sum = self.engine.evaluate(lanes.steps(), |places, segment| lanes.inputs(places, segment, |t| (f32::from(u8::from(t > 0)), 1.0)))?;
        self.engine.set_state(&state)?;
        Ok(Some(sum / lanes.scored(0..lanes.steps()) as f64))
    }
}
