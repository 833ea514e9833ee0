//! Streams in lanes: their figures match those of one stream, even for nets that never forget their start.

use crate::cli::{file, folder, retrograd, text};
use crate::devices::{both, cpu, without_gpu};
use retrograd::data::{ColumnSpec, Content, Difference, Kind, Parts, SeriesSpec, Sheet, Symbols, Table, Text, WARM_UP};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::evaluate::{EvalSet, Evaluation};
use retrograd::forecast::Forecasts;
use retrograd::model::{Activation, Cell, Config, Init, Input, Output, RegressionLoss};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::fmt::Write;
use std::sync::Arc;

/// The i-th pseudorandom word, the same everywhere.
fn word(i: u64) -> u64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// After each U a stretch of many a and few b, after each D the reverse, some thousand characters long; the first is of the first kind.
fn stretches(len: usize) -> String {
    let (mut text, mut up, mut next) = (String::new(), false, 0);
    for i in 0..len {
        if i == next {
            (up, next) = (!up, i + 500 + word(i as u64) as usize % 4000);
            text.push(if up { 'U' } else { 'D' });
        } else {
            text.push(if word(i as u64).is_multiple_of(10) == up { 'b' } else { 'a' });
        }
    }
    text
}

/// Fills the named tensors, row by row; all others are zero.
fn parameters(config: &Config, given: &[(&str, &[f32])]) -> Vec<f32> {
    let mut flat = vec![0.0; config.elements() as usize];
    for (name, values) in given {
        config.tensors().iter().find(|t| t.name == *name).unwrap().insert(&mut flat, values);
    }
    flat
}

/// A net with one latching unit: U sets it, D resets it. From zero a tanh unit falls to where D leaves it, and a gated one remembers zero.
fn latch(symbols: &Symbols, cell: Cell) -> (Config, Vec<f32>) {
    let config = Config { hidden: 1, layers: 1, cell, ..Config::symbols(symbols.vocabulary().len()) };
    let code = |c: &str| symbols.vocabulary().encode(c).unwrap()[0] as usize;
    // Rows of blocks in PyTorch's order, and the biases: sums far from zero open a gate or close it.
    let (set, reset, rest, bias): (&[f32], &[f32], &[f32], &[f32]) = match cell {
        Cell::Rnn => (&[9.0], &[-9.0], &[-0.05], &[0.0]),
        Cell::Gru => (&[0.0, -40.0, 20.0], &[0.0, -40.0, -20.0], &[0.0; 3], &[0.0, 20.0, 0.0, 0.0]),
        Cell::Lstm => (&[40.0, -40.0, 20.0, 0.0], &[40.0, -40.0, -20.0, 0.0], &[0.0; 4], &[-20.0, 20.0, 0.0, 20.0]),
    };
    let (mut read, mut head) = (vec![Default::default(); 4], [0.0f32; 4]);
    (read[code("U")], read[code("D")], read[code("a")], read[code("b")]) = (set, reset, rest, rest);
    (head[code("a")], head[code("b")]) = (1.5, -1.5);
    let recurrent = vec![if cell == Cell::Rnn { 3.0 } else { 0.0 }; set.len()];
    let flat = parameters(&config, &[("w_xh.0", &read.concat()), ("w_hh.0", &recurrent), ("b_h.0", bias), ("w_hy", &head)]);
    (config, flat)
}

fn engine(device: &Device, config: Config, flat: &[f32], lanes: u32) -> Engine {
    let plan = Plan::with(config.dims(lanes), 100, 100, false);
    let mut engine = Engine::new(device, config, plan, &Optimizer::Sgd { momentum: 0.0 }.update(Clip::None)).unwrap();
    engine.set_parameters(flat).unwrap();
    engine
}

fn evaluation(device: &Device, (config, flat): &(Config, Vec<f32>), content: &Content, lanes: u32) -> Evaluation {
    let parts = Parts::of_stream(content, 0..content.len(), lanes, lanes, WARM_UP).unwrap();
    EvalSet::Stream(content.clone(), parts).evaluate(&mut engine(device, *config, flat, lanes), || Ok(())).unwrap()
}

/// A latching net has the loss of one stream in any number of lanes, on both executors.
#[test]
fn a_latch_in_lanes_has_the_loss_of_one_stream() {
    let symbols = Arc::new(Symbols::new(Text::given("text", stretches(60_000)), Kind::Characters).unwrap());
    let content = Content::from(symbols.clone());
    for (cell, device) in Cell::ALL.iter().flat_map(|cell| both().into_iter().map(|device| (*cell, device))) {
        let net = latch(&symbols, cell);
        let one = evaluation(&device, &net, &content, 1);
        assert_eq!((one.again.parts, one.again.steps), (0, 0));
        // It knows the kind of each stretch; without, it would be ln 4.
        assert!(one.loss < 0.9, "{device}, {cell}: {}", one.loss);
        for lanes in [16, 100] {
            let many = evaluation(&device, &net, &content, lanes);
            assert!((many.loss - one.loss).abs() < 1e-6, "{device}, {cell}, {lanes} lanes: {} and {}", many.loss, one.loss);
            assert!(many.again.parts > lanes as u64 / 8 && many.again.steps < 59_999, "{device}, {cell}, {lanes} lanes: {:?}", many.again);
            assert_eq!((many.scored, many.again.of), (59_999, u64::from(lanes) - 1));
        }
    }
}

/// A net whose states never converge is reread from end to end; one that forgets slowly only where necessary.
#[test]
fn nets_without_rest_have_the_loss_of_one_stream() {
    let symbols = Arc::new(Symbols::new(Text::given("text", stretches(12_000)), Kind::Characters).unwrap());
    let config = Config { hidden: 24, layers: 2, ..Config::symbols(symbols.vocabulary().len()) };
    let content = Content::from(symbols);
    let chaos: Vec<f32> = Init::Uniform.parameters(&config, 3).iter().map(|x| 9.0 * x).collect();
    let slow = Config { activation: Activation::Identity, ..config };
    let turned = Init::Orthogonal(0.99).parameters(&slow, 3);
    for (net, serial) in [((config, chaos), true), ((slow, turned), false)] {
        let one = evaluation(&cpu(), &net, &content, 1);
        let many = evaluation(&cpu(), &net, &content, 8);
        assert!((many.loss - one.loss).abs() < 1e-6, "{} and {}, {:?}", many.loss, one.loss, many.again);
        assert_eq!(many.again.parts, 7, "{:?}", many.again);
        assert!(if serial { many.again.rounds == 7 } else { many.again.rounds < 4 }, "{:?}", many.again);
    }
}

/// If all lanes have forgotten their start, the loss equals the sums of whole segments bit for bit, and nothing is reread.
#[test]
fn lanes_that_forget_are_read_once() {
    let symbols = Arc::new(Symbols::new(Text::given("text", stretches(9_000)), Kind::Characters).unwrap());
    let config = Config { hidden: 20, layers: 2, ..Config::symbols(symbols.vocabulary().len()) };
    let net = (config, Init::Uniform.parameters(&config, 1));
    let content = Content::from(symbols);
    for device in both() {
        for lanes in [7, 300] {
            let found = evaluation(&device, &net, &content, lanes);
            assert_eq!((found.again.parts, found.again.steps), (0, 0), "{device}, {lanes} lanes");
            let parts = Parts::of_stream(&content, 0..content.len(), lanes, lanes, WARM_UP).unwrap();
            let mut reader: Vec<Option<usize>> = (0..parts.list().len()).map(Some).collect();
            reader.resize(lanes as usize, None);
            let (mut engine, mut sum) = (engine(&device, net.0, &net.1, lanes), 0.0);
            let inputs = |places: &_, steps| parts.inputs(&content, places, &reader, steps, false);
            engine.evaluate(0..parts.steps(), inputs, |_, losses| sum += losses.iter().map(|l| f64::from(*l)).sum::<f64>()).unwrap();
            assert_eq!((sum / parts.scored() as f64).to_bits(), found.loss.to_bits(), "{device}, {lanes} lanes");
            let one = evaluation(&device, &net, &content, 1);
            assert!((one.loss - found.loss).abs() < 1e-4);
        }
    }
}

/// The longest segments that a device runs in one dispatch are right: with many lanes, the loss is that of the CPU.
#[test]
fn long_segments_of_many_lanes_have_the_loss_of_the_cpu() {
    if without_gpu() {
        return;
    }
    let symbols = Arc::new(Symbols::new(Text::given("text", stretches(30_000)), Kind::Characters).unwrap());
    let config = Config { hidden: 32, layers: 1, ..Config::symbols(symbols.vocabulary().len()) };
    let (flat, content, lanes) = (Init::Uniform.parameters(&config, 1), Content::from(symbols), 32);
    let parts = Parts::of_stream(&content, 0..content.len(), lanes, lanes, WARM_UP).unwrap();
    let update = Optimizer::Sgd { momentum: 0.0 }.update(Clip::None);
    let losses = both().into_iter().map(|device| {
        let task = retrograd::plan::Workload {
            config,
            lanes,
            window: parts.steps(),
            ring: 0,
            split: false,
            update,
            stash: retrograd::model::StashPrecision::F32,
            dropout: retrograd::model::Dropout::default(),
            budget: 1 << 30,
        };
        let plan = Plan::for_evaluation(&task, &device.capabilities()).unwrap();
        let mut engine = Engine::new(&device, config, plan, &update).unwrap();
        engine.set_parameters(&flat).unwrap();
        EvalSet::Stream(content.clone(), parts.clone()).evaluate(&mut engine, || Ok(())).unwrap().loss
    });
    let losses: Vec<f64> = losses.collect();
    assert!((losses[0] - losses[1]).abs() < 1e-5, "{losses:?}");
}

/// A series of small numbers with one large one in row `spike`.
fn spiked(rows: usize, spike: usize) -> String {
    let mut csv = "x\n".to_string();
    (0..rows).for_each(|i| writeln!(csv, "{}", if i == spike { 1000.0 } else { (word(i as u64) % 100) as f64 / 100.0 }).unwrap());
    csv
}

fn table(csv: &str, fraction: f64) -> Table {
    let asked = ColumnSpec { targets: vec!["x".into()], ..ColumnSpec::default() };
    let wanted =
        SeriesSpec { asked, horizon: 2, difference: Difference::None, season: None, loss: RegressionLoss::Squared, quantiles: None, scale: Default::default() };
    Table::fit(Sheet::read(&Text::given("table", csv), &wanted.asked).unwrap(), &wanted, fraction).unwrap()
}

/// A net of one unit that the spike sets permanently, and that falls to the other side from zero.
fn latch_of_numbers() -> (Config, Vec<f32>) {
    let config = Config {
        input: Input::Numbers(1),
        output: Output::Numbers { count: 2, deviation: RegressionLoss::Squared },
        hidden: 1,
        layers: 1,
        ..Config::symbols(2)
    };
    let flat = parameters(&config, &[("w_xh.0", &[0.05]), ("w_hh.0", &[3.0]), ("b_h.0", &[-0.2]), ("w_hy", &[1.0, 1.0])]);
    (config, flat)
}

/// A forecast is that of the series in one piece, whichever rows are requested.
#[test]
fn forecasts_do_not_depend_on_which_are_asked_for() {
    let (config, flat) = latch_of_numbers();
    let (rows, spike) = (40_000, 10);
    let table = table(&spiked(rows, spike), 0.1);
    for device in both().into_iter().take(1) {
        let of = |first: usize| Forecasts::of(&device, config, &flat, &table, &[first], || Ok(())).unwrap();
        let all = of(0);
        assert!(all.again.parts == 4 && all.again.steps > 30_000, "{:?}", all.again);
        let mean = table.series.outputs[0].mean;
        assert!((0..rows).all(|p| (all.at(p)[0] > mean) == (p >= spike)), "one that was set stays set");
        for first in [1, 8192, rows - 300, rows - 1] {
            let some = of(first);
            assert!((first..rows).all(|p| some.at(p).iter().zip(all.at(p)).all(|(a, b)| a.to_bits() == b.to_bits())), "{device}, from row {first}");
        }
    }
}

/// The held-out part of a series has the same loss in pieces as in one.
#[test]
fn a_series_held_out_in_pieces_has_the_loss_of_one_piece() {
    let (config, flat) = latch_of_numbers();
    let table = Arc::new(table(&spiked(40_000, 36_100), 0.1));
    for device in both() {
        let validated = |lanes: u32| {
            let settings = Settings::default().batch(lanes).hidden(1).val_fraction(0.1).truncation(Truncation::Regular(10));
            let corpus = Corpus::of_table(table.clone(), &settings).unwrap();
            let held = corpus.validation.unwrap();
            held.evaluate(&mut engine(&device, config, &flat, lanes), || Ok(())).unwrap()
        };
        let (one, many) = (validated(1), validated(6));
        assert_eq!((one.again.of, many.again.of, many.again.parts), (0, 5, 5), "{device}");
        assert!((one.loss - many.loss).abs() < 1e-6 * one.loss, "{device}: {} and {}", one.loss, many.loss);
    }
}

/// Training reports how many lanes start an epoch in another state than the preceding text leaves, and counting them changes nothing.
#[test]
fn lanes_that_training_traps_are_counted() {
    let symbols = Arc::new(Symbols::new(Text::given("text", stretches(20_000)), Kind::Characters).unwrap());
    let (config, flat) = latch(&symbols, Cell::Rnn);
    let settings = Settings::default().batch(10).hidden(1).lr(1e-9).val_fraction(0.1).epochs(2).truncation(Truncation::Regular(250));
    let run = |look: bool| {
        let corpus = Corpus::new(symbols.clone(), None, &settings).unwrap();
        let mut trainer = Trainer::with_plan(&cpu(), corpus, settings, None, &flat).unwrap();
        let mut found = None;
        while !trainer.done() {
            trainer.step().unwrap();
            if look && trainer.at_epoch_end() {
                found = trainer.trapped().unwrap();
            }
        }
        (found, trainer.engine.parameters().unwrap(), trainer.engine.state().unwrap())
    };
    let (looked, alone) = (run(true), run(false));
    assert_eq!(config, settings.config(&retrograd::data::Codec::Text(symbols.vocabulary().clone())).unwrap());
    let (apart, of) = looked.0.unwrap();
    assert!(of == 9 && (1..9).contains(&apart), "{apart} of {of}");
    assert!(looked.1 == alone.1 && looked.2 == alone.2, "nothing has changed");
}

/// Rereading is reported, in the program's output and in its JSON.
#[test]
fn what_is_read_again_is_said() {
    let (book, out) = (file("lanes.txt", stretches(30_000).as_bytes()), folder("lanes"));
    let run = out.join("run");
    let (book, run) = (book.to_str().unwrap(), run.to_str().unwrap());
    let net = ["--hidden=8", "--updates=2", "--batch=4", "--init=identity:0.99", "--activation=identity", "--lr=1e-6", "--device=cpu", "--quiet", "--sample=0"];
    let trained = retrograd(&[&["train", book, "--out", run], &net[..]].concat());
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let found = retrograd(&["eval", run, book, "--lanes=20", "--device=cpu"]);
    let said = text(&found.stderr);
    assert!(found.status.success() && said.contains("19 of 19 lanes still differed"), "{said}");
    let found = retrograd(&["eval", run, book, "--lanes=20", "--device=cpu", "--quiet", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(json["lanes_read_again"] == 19 && json["steps_read_again"].as_u64().unwrap() > 1000, "{json}");
}
