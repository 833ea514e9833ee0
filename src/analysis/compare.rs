//! Compares strategies: the same model, the same initial weights, the same symbols in the same order, the same number of updates.
//!
//! The text is split into sequences of one length, so that the full gradient has as many updates as the others. The strategies train on
//! them in turns. Then, at the weights that the full gradient has reached, each strategy's gradient of one batch (many samples if the strategy is
//! random) is compared with the full gradient.

use super::comparison::{Comparison, Parameter, Point, Strategy};
use crate::data::Codec;
use crate::data::{Sequences, Symbols};
use crate::device::Device;
use crate::error::Result;
use crate::estimate::Estimator;
use crate::feed::Source;
use crate::model::record::SegmentBytes;
use crate::model::{Config, Tensor};
use crate::optimizer::Clip;
use crate::plan::{Bytes, default_budget};
use crate::platform::Instant;
use crate::trainer::{Corpus, Layout, Settings, Trainer};
use crate::truncation::{Draw, Truncation};
use std::sync::Arc;

/// A comparison to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The strategies; the full gradient is put first if it is not among them.
    pub strategies: Vec<Truncation>,
    /// Everything but the strategy; the goal is a number of updates.
    pub settings: Settings,
    /// Updates of each strategy.
    pub updates: u64,
    /// Symbols per sequence.
    pub length: u32,
    /// Gradients sampled for each random strategy.
    pub draws: u32,
}

/// An event during a comparison.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A strategy, its updates so far, and its loss in nats, if finite.
    Trained(Truncation, u64, Option<f64>),
    /// A strategy has made all its updates.
    Finished(&'a Strategy),
    /// A strategy, and the number of its gradients computed so far.
    Drawn(Truncation, u32),
}

/// Reports of the training loss, and validations, per curve.
const POINTS: u64 = 60;
const VALIDATIONS: u64 = 12;
/// Most updates of a strategy before the next takes its turn: the device keeps figures of 1,024.
const TURN: u64 = 256;
/// Symbols of the stretch of text whose cuts are shown.
const STRETCH: u32 = 96;

/// Runs a comparison.
///
/// # Errors
/// If the text is too short, or the device fails.
pub fn compare(device: &Device, symbols: &Arc<Symbols>, plan: &Plan, observer: &mut dyn FnMut(Event<'_>)) -> Result<Comparison> {
    let mut strategies: Vec<Truncation> = vec![Truncation::Full];
    plan.strategies.iter().for_each(|s| {
        if !strategies.contains(s) {
            strategies.push(*s)
        }
    });
    let config = plan.settings.config(&Codec::Text(symbols.vocabulary().clone()))?;
    let mut weights = Vec::new();
    let mut found = Vec::new();
    for course in train(device, symbols, plan, &strategies, observer)? {
        let full = course.truncation == Truncation::Full;
        let (strategy, parameters) = course.end(plan)?;
        if full {
            weights = parameters;
        }
        observer(Event::Finished(&strategy));
        found.push(strategy);
    }
    let batch = plan.settings.batch.min(u32::try_from(symbols.len().saturating_sub(1) / u64::from(plan.length)).unwrap_or(u32::MAX)).max(1);
    let tokens = u64::from(batch) * u64::from(plan.length);
    let full = gradients(device, symbols, plan, &config, &weights, (Truncation::Full, batch), observer)?;
    for (strategy, &truncation) in found.iter_mut().zip(&strategies) {
        let drawn = match truncation {
            Truncation::Full => full.clone(),
            _ => gradients(device, symbols, plan, &config, &weights, (truncation, batch), observer)?,
        };
        judge(strategy, &config.tensors(), &drawn, &full[0]);
    }
    let mut stretch = vec![0; STRETCH.min(plan.length) as usize];
    // The symbols that are read: the sampled edges lie between them.
    symbols.read(0, &mut stretch)?;
    let (mut text, mut writer) = (Vec::new(), symbols.vocabulary().writer(&[]));
    stretch.iter().try_for_each(|&s| writer.push(s, &mut text))?;
    writer.end(&mut text)?;
    Ok(Comparison {
        text: symbols.text().name.clone(),
        device: device.to_string(),
        parameters: config.parameters(),
        hidden: config.hidden,
        layers: config.layers,
        cell: config.cell,
        batch: plan.settings.batch,
        length: plan.length,
        seed: plan.settings.seed,
        training: training(&plan.settings),
        gradient_at: format!("the weights after {} updates with the full gradient", plan.updates),
        draws: plan.draws,
        gradient_tokens: tokens,
        stretch: String::from_utf8_lossy(&text).into_owned(),
        strategies: found,
    })
}

/// The training settings, in words.
fn training(settings: &Settings) -> String {
    let clip = match settings.clip() {
        Clip::None => "no clipping".to_string(),
        Clip::Norm(n) => format!("gradients clipped to a norm of {n}"),
        Clip::Value(v) => format!("gradients clipped to a size of {v}"),
    };
    format!("{}, learning rate {}, {clip}", settings.optimizer, settings.lr)
}

/// A strategy in training.
struct Course {
    truncation: Truncation,
    trainer: Trainer,
    curve: Vec<Point>,
    seconds: f64,
    val_loss: Option<f64>,
    /// Number of updates whose losses were requested.
    asked: u64,
}

impl Course {
    fn new(device: &Device, symbols: &Arc<Symbols>, plan: &Plan, truncation: Truncation, courses: u64) -> Result<Self> {
        // All exist at once and share the budget of one.
        let budget = plan.settings.memory_budget.map_or_else(default_budget, |b| b.0) / courses;
        let settings = plan.settings.truncation(truncation).updates(plan.updates).memory_budget(Bytes(budget));
        let trainer = Trainer::new(device, Corpus::new(symbols.clone(), Layout::Pieces(plan.length), &settings)?, settings)?;
        Ok(Course { truncation, trainer, curve: Vec::new(), seconds: 0.0, val_loss: None, asked: 0 })
    }

    /// Trains up to an update. The clock counts training alone.
    fn train(&mut self, update: u64) -> Result<Option<f64>> {
        let clock = Instant::now();
        while self.trainer.updates() < update {
            self.trainer.step()?;
        }
        self.trainer.engine.request_metrics(self.asked, (update - self.asked) as u32)?;
        self.asked = update;
        let losses: Vec<f64> = self.trainer.engine.collect_metrics(true)?.iter().map(|m| f64::from(m.loss)).collect();
        self.trainer.engine.wait()?;
        self.seconds += clock.elapsed().as_secs_f64();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        Ok(Some(mean).filter(|l| l.is_finite()))
    }

    /// The results and the weights.
    fn end(mut self, plan: &Plan) -> Result<(Strategy, Vec<f32>)> {
        let (c, config) = (self.trainer.counters(), self.trainer.engine.config);
        let state = SegmentBytes::per_step(&config.dims(plan.settings.batch));
        let draw = Draw { seed: plan.settings.seed, epoch: 0 };
        let cuts = self.truncation.within(plan.length).cuts(plan.length, 0, draw).edges(0..STRETCH.min(plan.length), 0);
        let strategy = Strategy {
            truncation: self.truncation.to_string(),
            updates: c.updates,
            tokens: c.tokens,
            seconds: self.seconds,
            tokens_per_second: c.tokens as f64 / self.seconds,
            val_loss: self.val_loss,
            cosine: 1.0,
            relative_bias: 0.0,
            relative_bias_error: 0.0,
            relative_spread: 0.0,
            bytes: state * u64::from(config.layers + 2) * u64::from(c.window_max),
            window_mean: c.window_steps as f64 / c.windows as f64,
            window_max: c.window_max,
            per_parameter: Vec::new(),
            curve: self.curve,
            cuts: cuts.iter().map(|e| e.xi).collect(),
        };
        Ok((strategy, self.trainer.engine.parameters()?))
    }
}

/// Trains all strategies in turns of a few updates: if another program slows the machine for a while, it slows all alike.
fn train(device: &Device, symbols: &Arc<Symbols>, plan: &Plan, strategies: &[Truncation], observer: &mut dyn FnMut(Event<'_>)) -> Result<Vec<Course>> {
    let course = |&truncation| Course::new(device, symbols, plan, truncation, strategies.len() as u64);
    let mut courses: Vec<Course> = strategies.iter().map(course).collect::<Result<_>>()?;
    let due = |parts: u64, update: u64| update == plan.updates || update.is_multiple_of(plan.updates.div_ceil(parts));
    let mut reached = 0;
    for update in 1..=plan.updates {
        let point = due(POINTS, update) || due(VALIDATIONS, update);
        if !point && update - reached < TURN {
            continue;
        }
        reached = update;
        for course in &mut courses {
            let train_loss = course.train(update)?;
            let validated = if due(VALIDATIONS, update) { course.trainer.validate()?.filter(|l| l.is_finite()) } else { None };
            course.val_loss = validated.or(course.val_loss);
            course.curve.push(Point { update, tokens: course.trainer.tokens(), seconds: course.seconds, train_loss, val_loss: validated });
            observer(Event::Trained(course.truncation, update, train_loss));
        }
    }
    Ok(courses)
}

/// A strategy's flat gradients of one batch: one, or as many as are sampled.
fn gradients(
    device: &Device,
    symbols: &Arc<Symbols>,
    plan: &Plan,
    config: &Config,
    weights: &[f32],
    (truncation, batch): (Truncation, u32),
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Vec<f32>>> {
    let sequences = Sequences::pieces(symbols.clone(), 0..1 + u64::from(batch) * u64::from(plan.length), plan.length)?;
    let mut estimator = Estimator::new(device, *config, weights, Source::Sequences(sequences), truncation, batch, plan.settings.seed)?;
    let draws = if truncation.is_random() { plan.draws } else { 1 };
    let mut all = Vec::new();
    for draw in 0..draws {
        all.push(estimator.estimate(u64::from(draw))?.gradients);
        observer(Event::Drawn(truncation, draw + 1));
    }
    Ok(all)
}

/// Bias and spread of gradients against the full one, for all parameters and for each.
fn judge(strategy: &mut Strategy, tensors: &[Tensor], drawn: &[Vec<f32>], full: &[f32]) {
    let all = figures("", drawn, full);
    (strategy.cosine, strategy.relative_bias) = (all.cosine, all.relative_bias);
    (strategy.relative_bias_error, strategy.relative_spread) = (all.relative_bias_error, all.relative_spread);
    let part = |t: &Tensor| {
        let drawn: Vec<Vec<f32>> = drawn.iter().map(|g| t.extract(g)).collect();
        figures(&t.name, &drawn, &t.extract(full))
    };
    strategy.per_parameter = tensors.iter().map(part).collect();
}

fn figures(name: &str, drawn: &[Vec<f32>], full: &[f32]) -> Parameter {
    let count = drawn.len() as f64;
    let mut mean = vec![0.0f64; full.len()];
    drawn.iter().for_each(|g| mean.iter_mut().zip(g).for_each(|(m, x)| *m += f64::from(*x) / count));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let wide = |g: &[f32]| g.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x - y).collect::<Vec<f64>>();
    let full = wide(full);
    let norm = dot(&full, &full).sqrt();
    let deviations: f64 = drawn.iter().map(|g| less(&wide(g), &mean)).map(|d| dot(&d, &d)).sum();
    let spread = if drawn.len() > 1 { (deviations / (count - 1.0)).sqrt() / norm } else { 0.0 };
    let bias = less(&mean, &full);
    Parameter {
        name: name.to_string(),
        cosine: dot(&mean, &full) / (dot(&mean, &mean).sqrt() * norm),
        relative_bias: dot(&bias, &bias).sqrt() / norm,
        relative_bias_error: spread / count.sqrt(),
        relative_spread: spread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strategies take turns, so that other load on the machine slows all alike. A strategy that is given twice trains once.
    #[test]
    fn strategies_take_turns() {
        let text = crate::data::Text::given("text", "the strategies of truncation take turns, a few updates each. ".repeat(40));
        let symbols = Arc::new(Symbols::new(text, crate::data::Kind::Characters).unwrap());
        let settings = Settings::default().hidden(4).batch(2).updates(24);
        let (a, b) = (Truncation::Full, Truncation::Regular(5));
        let plan = Plan { strategies: vec![b, b], settings, updates: 24, length: 20, draws: 2 };
        let mut turns = Vec::new();
        let found = compare(&Device::Cpu { threads: 1 }, &symbols, &plan, &mut |event| {
            if let Event::Trained(strategy, update, _) = event {
                turns.push((update, strategy));
            }
        });
        assert_eq!(turns, (1..=24).flat_map(|update| [(update, a), (update, b)]).collect::<Vec<_>>());
        let found = found.unwrap();
        assert!(found.strategies.iter().all(|s| s.updates == 24 && s.curve.len() == 24 && s.seconds > 0.0 && s.val_loss.is_some()));
    }

    #[test]
    fn bias_and_spread_of_known_gradients() {
        let full = [3.0, 4.0];
        let one = figures("w", &[full.to_vec()], &full);
        assert_eq!((one.cosine, one.relative_bias, one.relative_spread, one.relative_bias_error), (1.0, 0.0, 0.0, 0.0));
        // Mean (3, 4): no bias; deviations of (+-5, 0).
        let two = figures("w", &[vec![8.0, 4.0], vec![-2.0, 4.0]], &full);
        assert!(two.relative_bias < 1e-12 && (two.relative_spread - 2f64.sqrt()).abs() < 1e-12 && (two.relative_bias_error - 1.0).abs() < 1e-12);
        // A right angle, of the same length.
        let off = figures("w", &[vec![-4.0, 3.0]], &full);
        assert!(off.cosine.abs() < 1e-12 && (off.relative_bias - 2f64.sqrt()).abs() < 1e-12);
    }
}
