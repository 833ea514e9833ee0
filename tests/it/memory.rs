//! Memory: plans keep their promises, and recomputed values are the same.

use crate::cli::{file, folder, refused, retrograd, text};
use crate::devices::{both, cpu};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use retrograd::analysis::gradcheck::{Case, executor, relative_error};
use retrograd::data::{Batch, Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::estimate::Estimator;
use retrograd::kernel::{Capabilities, FORMS, Tile};
use retrograd::model::record::WindowShape;
use retrograd::model::{Activation, Config, Dropout, Init, Input, Output, RegressionLoss, StashPrecision};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::{Bytes, Plan, Workload};
use retrograd::schedule;
use retrograd::trainer::{Corpus, Layout, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::sync::Arc;

fn task(config: Config, lanes: u32, window: u32, budget: u64) -> Workload {
    Workload {
        config,
        lanes,
        window,
        ring: 0,
        split: false,
        update: Optimizer::Adam.update(Clip::Norm(1.0)),
        stash: StashPrecision::F32,
        dropout: Dropout::default(),
        budget,
    }
}

/// An adapter's limits: bindings of 128 MiB, and buffers besides the slots.
fn adapter() -> Capabilities {
    Capabilities { binding_bytes: 128 << 20, overhead_bytes: 500_000, flops_per_second: 2e10, ..cpu().capabilities() }
}

/// The same capabilities with sums in parts.
fn many_cores(capabilities: Capabilities) -> Capabilities {
    Capabilities { speeds: FORMS.map(|(tile, _)| if tile == Tile::T8x8 { 100 } else { 0 }), latencies: FORMS.map(|_| 1_000_000), ..capabilities }
}

/// 200 random tasks: the plan is within the budget and the limits, or the minimum budget named in the error is enough.
#[test]
fn plans_hold_the_budget_and_the_limits() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut planned, mut refusals) = (0, 0);
    for i in 0..200 {
        let mut n = |least: u32, most: u32| (f64::from(least) * (f64::from(most) / f64::from(least)).powf(rng.random())) as u32;
        let config = Config { hidden: n(1, 300), layers: n(1, 4), activation: Activation::Tanh, bias: n(1, 3) == 1, ..Config::symbols(n(2, 3000)) };
        let (lanes, window, budget) = (n(1, 64), n(1, 1_000_000), u64::from(n(100, 200_000)) << 10);
        let ring = if n(1, 4) == 1 { n(1, 20) } else { 0 };
        let stash = if i / 2 % 2 == 0 { StashPrecision::F32 } else { StashPrecision::F16 };
        let mut config = config;
        if i % 5 == 0 {
            config.input = if i % 10 == 0 { Input::Numbers(n(1, 200)) } else { Input::Embedded { symbols: n(2, 3000), size: n(1, 100) } };
            config.output = Output::Numbers { count: n(1, 100), deviation: RegressionLoss::Squared };
        }
        let dropout = Dropout::new(if i % 3 == 0 { 0.3 } else { 0.0 }, 1);
        let task = Workload { ring, split: ring > 0, stash, dropout, ..task(config, lanes, window, budget) };
        let capabilities = if i % 2 == 0 { adapter() } else { cpu().capabilities() };
        let capabilities = if i % 4 == 0 { many_cores(capabilities) } else { capabilities };
        let mut allowed = budget;
        let plan = match Plan::new(&task, &capabilities) {
            Ok(plan) => plan,
            Err(e) => {
                let message = e.to_string();
                let least = message.split("needs at least ").nth(1).and_then(|m| m.split(' ').next()).unwrap_or_else(|| panic!("{message}"));
                let enough = Workload { budget: least.parse::<retrograd::plan::Bytes>().unwrap().0, ..task };
                assert!(enough.budget > budget, "{message}");
                allowed = enough.budget;
                refusals += 1;
                Plan::new(&enough, &capabilities).unwrap_or_else(|e| panic!("{least} is not enough: {e}"))
            }
        };
        planned += 1;
        let bytes: u64 = plan.bytes(&config, &task.update, &capabilities).values().sum();
        assert!(bytes <= allowed, "{bytes} of {allowed}: {plan:?}");
        assert_eq!(plan.extent.stash, stash);
        let program = retrograd::model::record::record(&config, plan.extent, &task.update, &capabilities).program;
        assert!(program.arena.largest().1 <= capabilities.binding_bytes, "{:?}", program.arena.largest());
        assert!(u64::from(plan.segment_count()) <= schedule::reach(plan.stored(), 8).saturating_add(plan.extent.places.into()));
    }
    assert!(planned == 200 && (10..190).contains(&refusals), "{refusals} refused");
}

#[test]
fn a_million_steps_fit_100_mib() {
    let config = Config { hidden: 256, layers: 2, activation: Activation::Tanh, bias: true, ..Config::symbols(65) };
    let plan = Plan::new(&task(config, 32, 1_000_000, 100 << 20), &adapter()).unwrap();
    assert!(plan.recomputed().0 <= 2, "{plan:?}");
}

/// The sizes that the program is judged by: H 256, B 32, one layer.
#[test]
fn long_windows_fit_small_budgets() {
    let config = Config { hidden: 256, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(65) };
    for capabilities in [cpu().capabilities(), adapter()] {
        for (window, mib, most) in [(10_000, 16, 1), (100_000, 48, 1), (100_000, 12, 2)] {
            let plan = Plan::new(&task(config, 32, window, mib << 20), &capabilities).unwrap();
            assert!(plan.recomputed().0 <= most, "{window} steps in {mib} MiB: {plan:?}");
        }
        let activations = |budget| {
            let t = task(config, 32, 1000, budget);
            let plan = Plan::new(&t, &capabilities).unwrap();
            (plan.recomputed().0, plan.bytes(&config, &t.update, &capabilities)[&retrograd::arena::Purpose::Activations])
        };
        let (all, few) = (activations(1 << 30), activations(5_200_000 + capabilities.overhead_bytes));
        assert!(all.0 == 0 && few.0 == 1 && few.1 * 20 <= all.1, "{all:?} {few:?}");
    }
}

/// With half precision, the same budget recomputes less, and keeping everything takes little more than half.
#[test]
fn half_precision_halves_what_is_kept() {
    let config = Config { hidden: 256, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(65) };
    for capabilities in [cpu().capabilities(), adapter()] {
        let plan = |stash, budget| {
            let t = Workload { stash, ..task(config, 32, if budget > 1 << 30 { 1000 } else { 20_000 }, budget) };
            let plan = Plan::new(&t, &capabilities).unwrap();
            (plan.recomputed().1, plan.bytes(&config, &t.update, &capabilities)[&retrograd::arena::Purpose::Activations])
        };
        let (single, half) = (plan(StashPrecision::F32, 4 << 30), plan(StashPrecision::F16, 4 << 30));
        assert!(single.0 == 0.0 && half.0 == 0.0 && half.1 * 100 < single.1 * 60, "{single:?} {half:?}");
        let (single, half) = (plan(StashPrecision::F32, 400 << 20), plan(StashPrecision::F16, 400 << 20));
        assert!(half.0 < single.0, "{single:?} {half:?}");
    }
}

/// A plan of a case with the given numbers of stored states and held segments.
fn with(case: &Case, stored: u32, places: u32, per_slot: u32) -> Plan {
    let mut plan = case.plan();
    plan.extent = WindowShape { states: schedule::states(stored), places, places_per_slot: per_slot, ..plan.extent };
    plan
}

/// Kept in one slot or several, or recomputed once or often: the same bits, at one segment length.
#[test]
fn gradients_do_not_depend_on_what_is_stored() {
    for device in both() {
        for (layers, stash) in [(1, StashPrecision::F32), (2, StashPrecision::F32), (2, StashPrecision::F16)] {
            let case = Case { segment: 3, stash, ..Case::odd(Activation::Tanh, layers, true) };
            let (expected, bits) = executor(&device, &case).unwrap();
            for (stored, places, per_slot) in [(1, 6, 2), (1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 2, 1), (2, 4, 3), (6, 1, 1), (9, 9, 4)] {
                let (_, again) = retrograd::analysis::gradcheck::executor_with(&device, &case, with(&case, stored, places, per_slot)).unwrap();
                assert!(bits == again, "{device}, {layers} layers, {stored} stored, {places} held: bits differ");
            }
            for segment in [1, 4, 17] {
                let (found, _) = executor(&device, &Case { segment, ..case }).unwrap();
                for (x, y) in found.tensors.iter().zip(&expected.tensors) {
                    assert!(
                        relative_error(x, y) <= if stash == StashPrecision::F32 { 1e-5 } else { 1e-3 },
                        "{device}, segments of {segment}: {:e}",
                        relative_error(x, y)
                    );
                }
            }
        }
    }
}

fn symbols(len: usize) -> Arc<Symbols> {
    let text: String = (0..len).map(|i| char::from(b'a' + (i * i % 13) as u8)).collect();
    Arc::new(Symbols::new(Text::given("text", text), Kind::Characters).unwrap())
}

/// Every strategy trains within a small budget, to nearly the same parameters as within a large one.
#[test]
fn every_strategy_trains_within_a_budget() {
    let symbols = symbols(2400);
    for device in both() {
        for (text, layers) in [("full", 2), ("regular:300", 1), ("regular:7,100", 1), ("random:0.99", 2), ("random-tail:50,4", 1)] {
            let parameters = |budget: Option<u64>| {
                let truncation: Truncation = text.parse().unwrap();
                let mut settings = Settings::default()
                    .hidden(24)
                    .layers(layers)
                    .batch(4)
                    .truncation(truncation)
                    .optimizer(Optimizer::Sgd { momentum: 0.9 })
                    .lr(0.1)
                    .val_fraction(0.0);
                settings.memory_budget = budget.map(Bytes);
                let mut trainer = Trainer::new(&device, Corpus::new(symbols.clone(), Layout::Stream, &settings).unwrap(), settings).unwrap();
                (0..3).for_each(|_| trainer.step().unwrap());
                let [planned, allocated] = trainer.engine.device_bytes();
                assert!(planned == allocated && budget.is_none_or(|b| allocated <= b), "{device}, {text}: {planned} {allocated}");
                let recomputed = trainer.engine.plan.recomputed().0;
                (trainer.engine.parameters().unwrap().iter().map(|&x| f64::from(x)).collect::<Vec<f64>>(), recomputed)
            };
            let overhead = device.capabilities().overhead_bytes;
            let (all, few) = (parameters(None), parameters(Some(95_000 + overhead)));
            assert!(all.1 == 0 && few.1 > 0, "{text}: {} {}", all.1, few.1);
            assert!(relative_error(&few.0, &all.0) <= 1e-5, "{device}, {text}: {:e}", relative_error(&few.0, &all.0));
        }
    }
}

/// Logits of a large vocabulary exist only in chunks.
#[test]
fn a_vocabulary_of_50000_trains() {
    let text: String =
        (0..50_000u32).filter_map(|i| char::from_u32(0x4e00 + i)).filter(|c| !c.is_control()).chain("一丁七".chars().cycle().take(3000)).collect();
    let symbols = Arc::new(Symbols::new(Text::given("characters", text), Kind::Characters).unwrap());
    let settings = Settings::default().hidden(8).batch(8).truncation(Truncation::Regular(16)).val_fraction(0.0).memory_budget(Bytes(40 << 20));
    let mut trainer = Trainer::new(&cpu(), Corpus::new(symbols, Layout::Stream, &settings).unwrap(), settings).unwrap();
    assert!(trainer.engine.config.outputs() > 45_000 && trainer.engine.plan.extent.head_rows < 128, "{:?}", trainer.engine.plan);
    trainer.step().unwrap();
    let loss = trainer.metrics().unwrap().unwrap().loss;
    assert!((f64::from(loss) - f64::from(trainer.engine.config.outputs()).ln()).abs() < 0.5, "{loss}");
}

/// An estimate over windows longer than planned for: their schedule is made at run time.
#[test]
fn windows_longer_than_planned_for_stay_within_the_plan() {
    let config = Config { hidden: 9, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(13) };
    let flat = Init::Xavier.parameters(&config, 2);
    let symbols = symbols(400);
    let source = || retrograd::feed::Source::Stream(retrograd::data::Lanes::new(symbols.clone(), 0..400, 3).unwrap());
    let full = |device: &Device| Estimator::new(device, config, &flat, source(), Truncation::Full, 3, 0).unwrap().estimate(0).unwrap().gradients;
    let small = Plan { extent: WindowShape { states: schedule::states(2), ..Plan::with(config.dims(3), 20, 7, true).extent }, window: 20, split: false };
    for device in both() {
        let mut engine = retrograd::engine::Engine::new(&device, config, small, &Optimizer::Adam.update(Clip::None)).unwrap();
        engine.set_parameters(&flat).unwrap();
        let lanes = retrograd::data::Lanes::new(symbols.clone(), 0..400, 3).unwrap();
        let edge = |t: u32| (f32::from(u8::from(t > 0)), f32::from(u8::from(t > 0)), 1.0);
        engine.gradient(0..133, |places, range| lanes.inputs(places, range, edge), 399.0).unwrap();
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let error = relative_error(&wide(&engine.gradients().unwrap()), &wide(&full(&device)));
        assert!(error <= 1e-5, "{device}: {error:e}");
    }
}

#[test]
fn plan_prints_what_it_decides_and_trains_nothing() {
    let book = file("plan book.txt", "what is planned is what is done ".repeat(100).as_bytes());
    let svg = folder("files").join(format!("plan {}.svg", std::process::id()));
    let base = ["plan", book.to_str().unwrap(), "--hidden=16", "--batch=2", "--truncation=full", "--device=cpu"];
    let done = retrograd(&[&base[..], &["--memory-budget=60KiB", "--json", "--svg", svg.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(value["device_bytes"].as_u64().unwrap() <= 60 << 10 && value["window"] == 1439, "{value}");
    let sum: u64 = value["bytes"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(sum, value["device_bytes"]);
    let curve: Vec<(u64, f64)> =
        value["curve"].as_array().unwrap().iter().map(|p| (p["device_bytes"].as_u64().unwrap(), p["time_factor"].as_f64().unwrap())).collect();
    assert!(curve.len() > 5 && curve.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 >= w[1].1 - 1e-9), "{curve:?}");
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    let table = retrograd(&base);
    assert!(text(&table.stdout).contains("computed again") || text(&table.stdout).contains("held"), "{}", text(&table.stdout));
    for (flag, words) in [
        ("--memory-budget=5KiB", &["5KiB is too small", "at least", "--batch"][..]),
        ("--memory-budget=0", &["0", "MiB"]),
        ("--memory-budget=lots", &["lots", "48MiB"]),
        ("--resume=x", &["--resume", "plan"]),
    ] {
        refused(&[&base[..], &[flag]].concat(), 2, words);
    }
    // Training follows the plan.
    let out = folder("runs").join("planned");
    let train = ["train", base[1], base[2], base[3], base[4], base[5], "--memory-budget=60KiB", "--updates=2", "--sample=0", "--json", "--out"];
    let done = retrograd(&[&train[..], &[out.to_str().unwrap()]].concat());
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["device_bytes_planned"], value["device_bytes"]);
    assert_eq!(summary["device_bytes_allocated"], value["device_bytes"]);
}

/// An engine for inference takes the memory of its parameters and activations, gives the same losses as one that trains, and refuses what it can't do.
#[test]
fn an_engine_for_inference_has_no_gradients() {
    let config = Config { hidden: 37, layers: 2, ..Config::symbols(11) };
    let parameters = Init::default().parameters(&config, 3);
    let tokens: Vec<u32> = (0..15).map(|i| i * 7 % 11).collect();
    let ones = vec![1.0; 15];
    let batch = Batch { lanes: 3, targets: tokens.clone(), tokens, keep: ones.clone(), xi: ones.clone(), weights: ones, ..Batch::default() };
    for device in both() {
        let plan = Plan::with(config.dims(3), 5, 5, false);
        let mut trained = Engine::new(&device, config, plan, &Optimizer::Adam.update(Clip::None)).unwrap();
        trained.set_parameters(&parameters).unwrap();
        let mut reads = Engine::for_inference(&device, config, plan, &parameters).unwrap();
        let [planned, allocated] = reads.device_bytes();
        assert_eq!(planned, allocated);
        // Gradients and two moments.
        assert!(allocated + 3 * 4 * u64::from(config.elements()) <= trained.device_bytes()[1], "{allocated} of {}", trained.device_bytes()[1]);
        let losses = [&mut trained, &mut reads].map(|engine| {
            let mut all: Vec<f32> = Vec::new();
            engine.evaluate(0..5, |at, steps| batch.inputs(at, steps), |_, losses| all.extend(losses)).unwrap();
            all
        });
        assert!(losses[0] == losses[1] && losses[0].iter().all(|l| *l > 0.0), "{losses:?}");
        let refused = reads.gradient(0..5, |at, steps| batch.inputs(at, steps), 15.0).unwrap_err().to_string();
        assert!(refused.contains("for inference") && reads.gradients().is_err() && reads.update(1, 0.1, 15.0).is_err(), "{refused}");
    }
}
