//! Training: losses update by update, guards, plans, figures.

use crate::devices::{both, cpu};
use retrograd::analysis::gradcheck::{Case, with_reference};
use retrograd::data::{Batch, Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::feed::Source;
use retrograd::model::{Activation, Config, Init};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::reference::{self, optimizer as oracle};
use retrograd::store::Model;
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

const UPDATES: u64 = 20;

/// Window number i of a run: its own data, the model and sizes of `case`.
fn window(case: &Case, i: u64) -> Batch {
    Case { seed: 100 + i, ..*case }.window()
}

fn losses(device: &Device, case: &Case, rule: Optimizer, clip: Clip, lr: f32) -> Vec<f64> {
    let mut engine = Engine::new(device, case.config, case.plan(), &rule.update(clip)).unwrap();
    engine.set_parameters(&case.parameters()).unwrap();
    engine.set_state(&case.state()).unwrap();
    let all = 0..case.steps;
    for i in 0..UPDATES {
        let given = window(case, i);
        engine.gradient(all.clone(), |places, range| given.inputs(places, range), case.n()).unwrap();
        engine.update(i, lr, case.n()).unwrap();
        engine.carry().unwrap();
    }
    (0..UPDATES).map(|i| f64::from(engine.metrics(i).unwrap().loss)).collect()
}

fn reference_losses(case: &Case, rule: Optimizer, clip: Clip, lr: f32) -> Vec<f64> {
    let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
    let rule = match rule {
        Optimizer::Sgd { momentum } => oracle::Optimizer::Sgd { momentum: momentum.into() },
        Optimizer::RmsProp { alpha } => oracle::Optimizer::RmsProp { alpha: alpha.into(), eps },
        Optimizer::Adam => oracle::Optimizer::Adam { beta1, beta2, eps },
        Optimizer::AdamW { decay } => oracle::Optimizer::AdamW { beta1, beta2, eps, decay: decay.into() },
    };
    let clip = match clip {
        Clip::None => oracle::Clip::None,
        Clip::Norm(n) => oracle::Clip::Norm(n.into()),
        Clip::Value(v) => oracle::Clip::Value(v.into()),
    };
    with_reference(case, |net, params, first, state| {
        let (mut params, mut state) = (params.clone(), state.to_vec());
        let mut moments = oracle::State::new(&params);
        let step = |i: u64| {
            let given = window(case, i);
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
            let (keep, xi, weights) = (wide(&given.keep), wide(&given.xi), wide(&given.weights));
            let w = reference::Window {
                read: retrograd::reference::Read::Symbols(&given.tokens),
                targets: retrograd::reference::Targets::Classes(&given.targets),
                keep: &keep,
                xi: &xi,
                weights: &weights,
                factors: &[],
                ..*first
            };
            let carry: Vec<Vec<f64>> = state.iter().map(|s| vec![0.0; s.len()]).collect();
            let back = reference::backward(net, &params, &w, &state, &carry);
            oracle::update(&rule, &mut moments, &mut params, &back.gradients, lr.into(), &clip);
            state = back.state;
            back.loss
        };
        (0..UPDATES).map(step).collect()
    })
}

/// Trainers, engines and samplers can be sent to another thread.
#[test]
fn trainers_engines_and_samplers_are_send() {
    fn send<T: Send>() {}
    send::<Trainer>();
    send::<retrograd::engine::Engine>();
    send::<retrograd::sample::Sampler>();
}

#[test]
fn the_first_20_losses_agree_with_the_reference() {
    let rules = [
        (Optimizer::Adam, Clip::Norm(0.1), 2e-2, 1),
        (Optimizer::Adam, Clip::None, 1e-2, 3),
        (Optimizer::Sgd { momentum: 0.9 }, Clip::Value(0.01), 1.0, 1),
        (Optimizer::Sgd { momentum: 0.0 }, Clip::None, 0.5, 3),
        (Optimizer::RmsProp { alpha: 0.99 }, Clip::Norm(1.0), 1e-3, 1),
        (Optimizer::AdamW { decay: 0.1 }, Clip::Norm(1.0), 1e-2, 1),
    ];
    for (rule, clip, lr, layers) in rules {
        let case = Case::odd(Activation::Tanh, layers, true);
        let expected = reference_losses(&case, rule, clip, lr);
        for device in both() {
            for (i, (loss, e)) in losses(&device, &case, rule, clip, lr).iter().zip(&expected).enumerate() {
                assert!((loss - e).abs() <= 1e-4 * e.abs(), "{device}, {rule}, {layers} layers, update {i}: {loss} and {e}");
            }
        }
    }
}

/// A non-finite gradient changes nothing but the count of skipped updates; the state is reset where it is not finite.
#[test]
fn a_gradient_that_is_not_finite_is_skipped_and_counted() {
    for device in both() {
        let case = Case::odd(Activation::Relu, 1, true);
        let mut engine = Engine::new(&device, case.config, case.plan(), &Optimizer::Adam.update(Clip::Norm(1.0))).unwrap();
        let mut params = case.parameters();
        // W_hh of huge numbers: h overflows within the window.
        let w = &case.config.tensors()[1];
        w.insert(&mut params, &vec![1e30; (w.rows * w.cols) as usize]);
        engine.set_parameters(&params).unwrap();
        let given = window(&case, 0);
        let run = |engine: &mut Engine, i| {
            engine.gradient(0..case.steps, |places, range| given.inputs(places, range), case.n()).unwrap();
            engine.update(i, 1e-2, case.n()).unwrap();
            engine.carry().unwrap();
        };
        run(&mut engine, 0);
        assert!(engine.parameters().unwrap() == params, "{device}: a skipped update changed parameters");
        assert_eq!(engine.skipped().unwrap(), 1, "{device}");
        assert!(!engine.metrics(0).unwrap().applies && engine.metrics(0).unwrap().applied == 0, "{device}");
        assert!(engine.state().unwrap().iter().flatten().all(|x| x.is_finite()), "{device}: state");
        let good = case.parameters();
        engine.set_parameters(&good).unwrap();
        // Finite values are kept, however large.
        engine.set_state(&case.state()).unwrap();
        run(&mut engine, 1);
        let noted = engine.metrics(1).unwrap();
        assert!(noted.applies && noted.applied == 1, "{device}: {noted:?}");
        assert!(engine.parameters().unwrap() != good, "{device}: an update changed nothing");
        assert_eq!(engine.skipped().unwrap(), 1, "{device}");
    }
}

/// The first bytes of the embedded text.
fn head(bytes: usize) -> Arc<Symbols> {
    let text = Text::embedded();
    Arc::new(Symbols::new(Text::given(&text.name, &text.utf8().unwrap()[..bytes]), Kind::Characters).unwrap())
}

fn trainer(device: &Device, settings: Settings) -> Trainer {
    Trainer::new(device, Corpus::new(head(20_000), None, &settings).unwrap(), settings).unwrap()
}

/// Number of steps of the training lanes.
fn lane_steps(trainer: &Trainer) -> u32 {
    let Source::Stream(lanes) = trainer.source() else { panic!("a stream") };
    lanes.steps()
}

fn small() -> Settings {
    Settings::default().hidden(20).batch(5).truncation(Truncation::Regular(24))
}

#[test]
fn the_loss_falls_and_the_same_run_gives_the_same_bits() {
    for (device, updates) in both().into_iter().zip([300, 60]) {
        let run = || {
            let mut trainer = trainer(&device, small());
            trainer.step().unwrap();
            let first = trainer.metrics().unwrap().unwrap().loss;
            for _ in 1..updates {
                trainer.step().unwrap();
            }
            let (last, validation) = (trainer.metrics().unwrap().unwrap().loss, trainer.validate().unwrap().unwrap());
            assert!(last < 0.9 * first && validation < 0.9 * f64::from(first), "{device}: {first} -> {last}, {validation}");
            (trainer.engine.parameters().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), validation.to_bits())
        };
        assert!(run() == run(), "{device}: bits differ");
    }
}

/// An epoch is every window once, and validation leaves the training state unchanged.
#[test]
fn windows_pass_over_the_text_in_order() {
    let mut trainer = trainer(&cpu(), small());
    let steps = lane_steps(&trainer);
    let mut at = 0;
    while trainer.counters().cursor.epoch == 0 {
        let w = trainer.next_window().steps;
        assert_eq!(w.start, at);
        at = w.end;
        trainer.step().unwrap();
    }
    assert_eq!((at, trainer.next_window().steps.start), (steps, 0));
    assert_eq!(trainer.tokens(), u64::from(steps) * 5);
    let before = trainer.engine.state().unwrap();
    trainer.validate().unwrap();
    assert!(trainer.engine.state().unwrap() == before, "validation changed the state");
}

#[test]
fn the_full_window_equals_a_regular_one_as_long_as_the_lane() {
    for device in both() {
        let bits = |truncation| {
            let mut trainer = trainer(&device, Settings::default().truncation(truncation).batch(100).hidden(12));
            trainer.step().unwrap();
            trainer.step().unwrap();
            trainer.engine.parameters().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let lane = lane_steps(&trainer(&device, small().batch(100).hidden(12)));
        assert!(bits(Truncation::Full) == bits(Truncation::Regular(lane)), "{device}: bits differ");
    }
}

#[test]
fn dispatches_per_window_do_not_depend_on_its_length() {
    for device in both() {
        let count = |tau| trainer(&device, small().truncation(Truncation::Regular(tau))).engine.dispatches_per_window();
        assert_eq!(count(16), count(64), "{device}");
        assert!(count(16) <= 26, "{device}: {}", count(16));
    }
    let mut t = trainer(&cpu(), small());
    let before = t.engine.counters().dispatches;
    t.step().unwrap();
    assert_eq!(t.engine.counters().dispatches - before, u64::from(t.engine.dispatches_per_window()), "as counted when run");
}

#[test]
fn asynchronous_calls_give_what_blocking_ones_give() {
    for device in both() {
        let settings = small();
        let mut blocking = trainer(&device, settings);
        let mut t = pollster::block_on(Trainer::new_async(&device, Corpus::new(head(20_000), None, &settings).unwrap(), settings)).unwrap();
        for _ in 0..3 {
            blocking.step().unwrap();
            t.step().unwrap();
        }
        // Dropped before it completes, it must not take away what the next one needs.
        let _ = pin!(t.engine.parameters_async()).poll(&mut Context::from_waker(Waker::noop()));
        let parameters = pollster::block_on(t.engine.parameters_async()).unwrap();
        assert!(parameters == blocking.engine.parameters().unwrap() && parameters == t.engine.parameters().unwrap(), "{device}");
        assert!(pollster::block_on(t.engine.gradients_async()).unwrap() == blocking.engine.gradients().unwrap(), "{device}");
        assert_eq!(pollster::block_on(t.metrics_async()).unwrap(), blocking.metrics().unwrap(), "{device}");
        assert_eq!(pollster::block_on(Model::of_async(&mut t)).unwrap(), Model::of(&mut blocking).unwrap(), "{device}");
        // More requests than there are buffers for answers.
        (0..9).for_each(|_| t.engine.request_metrics(0, 3).unwrap());
        pollster::block_on(t.engine.wait_async()).unwrap();
        assert_eq!(t.engine.collect_metrics(true).unwrap().len(), 27, "{device}");
        let [planned, allocated] = t.engine.device_bytes();
        assert!(allocated <= planned, "{device}: {allocated} of {planned}");
    }
}

#[test]
fn planned_and_allocated_bytes_are_equal() {
    for device in both() {
        for (layers, truncation) in [(1, Truncation::Regular(8)), (3, Truncation::Regular(30)), (2, Truncation::Full)] {
            let [planned, allocated] = trainer(&device, small().layers(layers).truncation(truncation)).engine.device_bytes();
            assert_eq!(planned, allocated, "{device}");
        }
    }
}

/// The evaluation adds up the same losses as the reference over one stream with carried state.
#[test]
fn validation_is_that_of_one_stream() {
    let settings = small();
    let symbols = head(8000);
    let mut tokens = vec![0; 8000];
    symbols.read(0, &mut tokens).unwrap();
    let held = tokens[tokens.len() - tokens.len() / 10..].to_vec();
    let corpus = Corpus::new(symbols.clone(), None, &settings).unwrap();
    let config = Config { hidden: 20, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(symbols.vocabulary().len()) };
    let mut trainer = Trainer::new(&cpu(), corpus, settings).unwrap();
    let flat = Init::Xavier.parameters(&config, 3);
    trainer.engine.set_parameters(&flat).unwrap();
    let net = reference::Net::symbols(config.outputs() as usize, 20, 1);
    let params = config.tensors().iter().map(|t| t.extract(&flat).iter().map(|&x| f64::from(x)).collect()).collect();
    let ones = vec![1.0; held.len() - 1];
    let window = reference::Window {
        steps: ones.len(),
        read: retrograd::reference::Read::Symbols(&held[..ones.len()]),
        targets: retrograd::reference::Targets::Classes(&held[1..]),
        keep: &ones,
        xi: &ones,
        weights: &ones,
        factors: &[],
        n: ones.len() as f64,
    };
    let (expected, _) = reference::forward(&net, &params, &window, &[vec![0.0; 20]]);
    let got = trainer.validate().unwrap().unwrap();
    assert!((got - expected).abs() <= 1e-5 * expected, "{got} and {expected}");
}

/// On prose written by people, this repository's documentation, held-out text costs less than by letter frequencies alone.
#[test]
fn real_text_is_learned() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["README.md", "docs/guide.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/metrics.md"];
    let prose: String = files.iter().map(|f| std::fs::read_to_string(root.join(f)).unwrap()).collect();
    let mut counts = std::collections::BTreeMap::<char, f64>::new();
    prose.chars().for_each(|c| *counts.entry(c).or_default() += 1.0);
    let all = counts.values().sum::<f64>();
    let entropy: f64 = counts.values().map(|n| -n / all * (n / all).ln()).sum();
    let symbols = Arc::new(Symbols::new(Text::given("prose", prose), Kind::Characters).unwrap());
    let settings = Settings::default().hidden(64);
    let corpus = Corpus::new(symbols, None, &settings).unwrap();
    let mut trainer = Trainer::new(&cpu(), corpus, settings).unwrap();
    for _ in 0..200 {
        trainer.step().unwrap();
    }
    let loss = trainer.validate().unwrap().unwrap();
    assert!(loss < 0.9 * entropy, "{loss}, {entropy} by frequencies");
}
