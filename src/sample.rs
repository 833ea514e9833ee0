//! Text from a model: one lane, one step at a time, on the CPU (a step is too little work for a GPU).

use crate::data::{SegmentInputs, Vocabulary};
use crate::device::Device;
use crate::engine::Engine;
use crate::error::Result;
use crate::model::Config;
use crate::optimizer::{Clip, Rule};
use crate::plan::Plan;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Draws symbols from a model.
pub struct Sampler {
    engine: Engine,
    bias: Vec<f32>,
    rng: ChaCha8Rng,
    temperature: f32,
    /// Probabilities of the next symbol are softmax(scores / temperature).
    scores: Vec<f32>,
    started: bool,
}

impl Sampler {
    /// A sampler over the flat parameters of a model; temperature 0 takes the likeliest symbol.
    ///
    /// # Errors
    /// If memory is short.
    pub fn new(config: Config, parameters: &[f32], temperature: f32, seed: u64) -> Result<Self> {
        let plan = Plan::with(config.dims(1), 1, 1, false);
        let mut engine = Engine::new(&Device::Cpu { threads: 1 }, config, plan, &Rule::Sgd { momentum: 0.0 }.update(Clip::None))?;
        engine.set_parameters(parameters)?;
        let bias = config.tensors().iter().find(|t| t.name == "b_y").map_or(vec![0.0; config.vocab as usize], |t| t.extract(parameters));
        Ok(Sampler { engine, scores: bias.clone(), bias, rng: ChaCha8Rng::seed_from_u64(seed), temperature, started: false })
    }

    /// Reads a symbol.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn read(&mut self, token: u32) -> Result<()> {
        let places = *self.engine.inputs();
        let mut words = vec![0u32; places.words() as usize];
        let keep = f32::from(u8::from(self.started));
        words[places.tokens() as usize] = token;
        words[places.keep() as usize] = keep.to_bits();
        self.scores = self.engine.step(&SegmentInputs::sorted(words, &places, 1))?;
        self.scores.iter_mut().zip(&self.bias).for_each(|(s, b)| *s += b);
        self.started = true;
        Ok(())
    }

    /// Draws the next symbol and reads it.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn draw(&mut self) -> Result<u32> {
        let top = self.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |s: f32| f64::from((s - top) / self.temperature).exp();
        let token = if self.temperature == 0.0 {
            self.scores.iter().position(|s| *s == top).unwrap_or(0)
        } else {
            let sum: f64 = self.scores.iter().map(|&s| weight(s)).sum();
            let mut rest = self.rng.random::<f64>() * sum;
            let passed = |&s: &f32| {
                rest -= weight(s);
                rest < 0.0
            };
            self.scores.iter().position(passed).unwrap_or(self.scores.len() - 1)
        };
        self.read(token as u32)?;
        Ok(token as u32)
    }

    /// Draws `length` symbols after the first `prompt` has been read, as text.
    ///
    /// # Errors
    /// If the engine fails, or the prompt has a character that the vocabulary lacks.
    pub fn text(&mut self, vocabulary: &Vocabulary, prompt: &str, length: usize) -> Result<String> {
        for token in vocabulary.encode(prompt)? {
            self.read(token)?;
        }
        (0..length).map(|_| self.draw().map(|t| vocabulary.symbol(t).unwrap_or(char::REPLACEMENT_CHARACTER))).collect()
    }
}
