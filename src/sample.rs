//! Samples text from a model: one lane, one step at a time, on the CPU (a step is too little work for a GPU).

use crate::data::SegmentInputs;
use crate::device::Device;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::plan::Plan;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Sampling options.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Probabilities are softmax(logits / temperature); 0 takes the likeliest symbol.
    pub temperature: f32,
    /// Samples only from the k likeliest symbols; 0 for all.
    pub top_k: usize,
    /// Seed of the random generator.
    pub seed: u64,
    /// The symbols that end a sequence: the state is zero at the start and after each, as in training. Empty for a stream.
    pub separator: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options { temperature: 0.7, top_k: 0, seed: 0, separator: Vec::new() }
    }
}

/// Samples symbols from a model.
pub struct Sampler {
    engine: Engine,
    rng: ChaCha8Rng,
    options: Options,
    scores: Vec<f32>,
    /// Whether the state continues instead of starting from zero.
    goes_on: bool,
    /// The last symbols, as many as the separator has.
    last: Vec<u32>,
}

impl Sampler {
    /// A sampler over the flat parameters of a model.
    ///
    /// # Errors
    /// If memory is short; [`Error::Usage`] if the model reads no symbols, the parameters
    /// don't fit the model, or the separator has a symbol that the model does not read.
    pub fn new(config: Config, parameters: &[f32], options: Options) -> Result<Self> {
        config.dims(1).checked()?;
        if config.input.symbols() == 0 || config.input.symbols() != config.outputs() {
            return Err(Error::Usage("the model does not predict the symbols that it reads, so nothing can be drawn from it".to_string()));
        }
        if let Some(&symbol) = options.separator.iter().find(|s| **s >= config.input.symbols()) {
            return Err(unknown(symbol, &config));
        }
        if !(options.temperature >= 0.0 && options.temperature.is_finite()) {
            return Err(Error::Usage(format!("temperature {}; expected 0 or a number above 0", options.temperature)));
        }
        let plan = Plan::with(config.dims(1), 1, 1, false);
        let mut engine = Engine::for_inference(&Device::Cpu { threads: 1 }, config, plan, parameters)?;
        let scores = engine.output_bias()?.to_vec();
        let rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut sampler = Sampler { engine, scores, rng, options, goes_on: false, last: Vec::new() };
        sampler.begin()?;
        Ok(sampler)
    }

    /// Begins a sequence, if there is a separator.
    fn begin(&mut self) -> Result<()> {
        self.last.clear();
        if let Some(&end) = self.options.separator.last() {
            self.goes_on = false;
            self.step(end)?;
        }
        Ok(())
    }

    fn step(&mut self, token: u32) -> Result<()> {
        let places = *self.engine.inputs();
        let mut words = vec![0u32; places.words() as usize];
        let keep = f32::from(u8::from(self.goes_on));
        words[places.tokens() as usize] = token;
        words[places.keep() as usize] = keep.to_bits();
        self.scores = self.engine.step(&SegmentInputs::sorted(words, &places, 1))?;
        self.goes_on = true;
        Ok(())
    }

    /// The logits of the next symbol, `[V]`, after everything read; only b_y before anything was.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Reads a symbol.
    ///
    /// # Errors
    /// If the engine fails; [`Error::Usage`] if the model does not read that symbol. Nothing changes then.
    pub fn read(&mut self, token: u32) -> Result<()> {
        if token >= self.engine.config.input.symbols() {
            return Err(unknown(token, &self.engine.config));
        }
        self.last.push(token);
        if self.options.separator.is_empty() || !self.last.ends_with(&self.options.separator) {
            let more = self.last.len().saturating_sub(self.options.separator.len().max(1));
            self.last.drain(..more);
            self.step(token)
        } else {
            self.begin()
        }
    }

    /// Samples the next symbol and reads it.
    ///
    /// # Errors
    /// If the engine fails, or the logits are not finite.
    pub fn draw(&mut self) -> Result<u32> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        let k = if self.options.temperature == 0.0 { 1 } else { self.options.top_k };
        order.truncate(if k == 0 { order.len() } else { k });
        let top = self.scores[order[0]];
        crate::error::finite("the highest score", top.into())?;
        let weight = |i: usize| if i == order[0] { 1.0 } else { f64::from((self.scores[i] - top) / self.options.temperature).exp() };
        let mut rest = self.rng.random::<f64>() * order.iter().map(|&i| weight(i)).sum::<f64>();
        let passed = |&&i: &&usize| {
            rest -= weight(i);
            rest < 0.0
        };
        let token = order.iter().find(passed).or(order.last()).map_or(0, |&i| i as u32);
        self.read(token)?;
        Ok(token)
    }
}

fn unknown(symbol: u32, config: &Config) -> Error {
    Error::Usage(format!("there is no symbol {symbol}: the model reads 0 to {}", config.input.symbols().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Init, Output};

    #[test]
    fn what_does_not_fit_the_model_is_refused() {
        let config = Config { hidden: 4, ..Config::symbols(5) };
        let parameters = Init::Uniform.parameters(&config, 1);
        let refused = |config: Config, parameters: &[f32], options: Options| Sampler::new(config, parameters, options).err().map(|e| e.to_string());
        let mut sampler = Sampler::new(config, &parameters, Options::default()).unwrap();
        let before = (sampler.read(2).unwrap(), sampler.scores().to_vec()).1;
        assert_eq!(sampler.read(9999).unwrap_err().to_string(), "there is no symbol 9999: the model reads 0 to 4");
        assert_eq!(sampler.scores(), before);
        assert!(sampler.draw().is_ok());
        assert!(refused(config, &parameters[1..], Options::default()).unwrap().contains("parameters"));
        assert!(refused(config, &parameters, Options { separator: vec![5], ..Options::default() }).unwrap().contains("no symbol 5"));
        assert!(refused(config, &parameters, Options { temperature: f32::NAN, ..Options::default() }).unwrap().contains("temperature NaN"));
        let labels = Config { output: Output::Classes(2), ..config };
        assert!(refused(labels, &Init::Uniform.parameters(&labels, 1), Options::default()).unwrap().contains("nothing can be drawn"));
    }
}
