//! Both executors against PyTorch's nn.RNN, nn.GRU, nn.LSTM and nn.Linear, by fixtures from tests/parity/make.py.

use crate::devices::both;
use retrograd::analysis::gradcheck::relative_error;
use retrograd::data::{Batch, SegmentInputs};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use retrograd::store::{Container, Model};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// Bound of norm(g - PyTorch's) / norm(PyTorch's), per tensor.
const BOUND: f64 = 1e-4;

/// The same bound, of the parameters after [`UPDATES`].
const BOUND_AFTER: f64 = 1e-5;

/// Updates of a fixture.
const UPDATES: u64 = 20;

/// Fixtures with numeric inputs, with mean squared and mean absolute error.
const NUMBERS: [&str; 3] = ["1-tanh-squared", "2-relu-absolute-no-bias", "2-lstm-squared"];

const NAMES: [&str; 16] = [
    "1-tanh",
    "1-relu-no-bias",
    "2-tanh-no-bias",
    "2-relu",
    "3-tanh",
    "3-relu-no-bias",
    "1-gru",
    "1-gru-no-bias",
    "2-gru",
    "3-gru-no-bias",
    "3-gru",
    "1-lstm",
    "1-lstm-no-bias",
    "2-lstm-no-bias",
    "2-lstm",
    "3-lstm",
];

struct Fixture {
    model: Model,
    /// The expected gradients, flat like the parameters.
    gradients: Vec<f32>,
    /// The learning rate of the updates, and the parameters after them.
    lr: f32,
    after: Vec<f32>,
    /// T and B.
    steps: u32,
    lanes: u32,
    tokens: Vec<u32>,
    targets: Vec<u32>,
    /// Instead of symbols, `[T, B, D]` and `[T, B, V]`.
    numbers: Vec<f32>,
    wanted: Vec<f32>,
    /// Per layer, `[B, N Hp]`.
    state: Vec<Vec<f32>>,
    /// Per layer, `[B, N H]`.
    last: Vec<Vec<f64>>,
    /// `[T, B, V]`.
    logits: Vec<f32>,
    loss: f64,
}

fn fixture(name: &str) -> Fixture {
    let path = format!("{}/tests/parity/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(name).unwrap().data());
    let dense = NUMBERS.contains(&name);
    let symbols = |name: &str| if dense { Vec::new() } else { bytemuck::pod_collect_to_vec::<u8, u32>(file.tensor(name).unwrap().data()) };
    let of_numbers = |name: &str| if dense { floats(name) } else { Vec::new() };
    let shape = |name: &str| file.tensor(name).unwrap().shape().to_vec();
    let [steps, lanes, vocab] = shape("logits")[..] else { panic!("{path}: logits") };
    let [layers, _, hidden] = shape("h0")[..] else { panic!("{path}: h0") };
    let metadata = || if dense { series_metadata(name, shape("numbers")[2], vocab) } else { text_metadata(vocab) };
    // The model, and what has its shapes in the form of a model, converted to this crate's layout.
    let read = |prefix: &str| {
        let metadata = BTreeMap::from([("config".into(), config(name, hidden, layers)), metadata()]);
        let mut container = Container { metadata, ..Container::default() };
        for full in file.names() {
            let Some(name) = full.strip_prefix(prefix).filter(|n| n.starts_with("rnn.") || n.starts_with("head.")) else { continue };
            container.tensors.insert(name.to_string(), (shape(full), floats(full)));
        }
        Model::from_container(container).unwrap()
    };
    // Per layer and lane h, then c.
    let states = |names: [&str; 2]| -> Vec<Vec<f32>> {
        let all: Vec<Vec<f32>> = names.into_iter().filter(|n| file.tensor(n).is_ok()).map(floats).collect();
        let lane = |at: usize| all.iter().flat_map(move |s| s[at * hidden..][..hidden].to_vec());
        (0..layers).map(|k| (0..lanes).flat_map(|b| lane(k * lanes + b)).collect()).collect()
    };
    let padded = |rows: Vec<f32>| rows.chunks(hidden).flat_map(|r| [r, &vec![0.0; hidden.next_multiple_of(4) - hidden]].concat()).collect();
    let loss = f64::from_le_bytes(file.tensor("loss").unwrap().data().try_into().unwrap());
    Fixture {
        model: read(""),
        gradients: read("grad.").parameters,
        lr: floats("lr")[0],
        after: read("after.").parameters,
        steps: steps as u32,
        lanes: lanes as u32,
        tokens: symbols("tokens"),
        targets: symbols("targets"),
        numbers: of_numbers("numbers"),
        wanted: of_numbers("wanted"),
        state: states(["h0", "c0"]).into_iter().map(padded).collect(),
        last: states(["hn", "cn"]).iter().map(|s| wide(s)).collect(),
        logits: floats("logits"),
        loss,
    }
}

/// The metadata `config` of a fixture's model.
fn config(name: &str, hidden: usize, layers: usize) -> String {
    let kind = name.split('-').nth(1).unwrap();
    let plain = ["tanh", "relu"].contains(&kind);
    let mut config = serde_json::json!({
        "format": if !plain { 3 } else if NUMBERS.contains(&name) { 2 } else { 1 }, "architecture": if plain { "rnn" } else { kind },
        "symbols": "characters", "hidden": hidden, "layers": layers, "bias": !name.contains("no-bias"),
    });
    if plain {
        config["activation"] = kind.into();
    }
    config.to_string()
}

fn text_metadata(vocab: usize) -> (String, String) {
    let vocabulary: Vec<String> = ('a'..).take(vocab).map(String::from).collect();
    ("vocabulary".into(), serde_json::json!(vocabulary).to_string())
}

/// Columns with an identity scale: the model reads the fixtures' numbers as they are.
fn series_metadata(name: &str, inputs: usize, outputs: usize) -> (String, String) {
    let names = |stem: &str, n: usize| (0..n).map(|i| format!("{stem}{i}")).collect::<Vec<_>>();
    let scales = |n: usize| vec![serde_json::json!({ "mean": 0.0, "deviation": 1.0 }); n];
    let series = serde_json::json!({
        "features": names("x", inputs), "targets": names("y", outputs), "horizon": 1, "difference": "none", "season": null, "series": null, "time": null,
        "missing": "refuse", "delimiter": ",", "loss": if name.contains("absolute") { "absolute" } else { "squared" }, "inputs": scales(inputs),
        "outputs": scales(outputs), "means": vec![0.0; inputs + outputs],
    });
    ("series".into(), series.to_string())
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn engine(device: &Device, f: &Fixture, window: u32, segment: u32) -> Engine {
    let plan = Plan::with(f.model.config.dims(f.lanes), window, segment, false);
    let mut engine = Engine::new(device, f.model.config, plan, &Optimizer::Sgd { momentum: 0.0 }.update(Clip::None)).unwrap();
    engine.set_parameters(&f.model.parameters).unwrap();
    engine.set_state(&f.state).unwrap();
    engine
}

fn state_error(engine: &mut Engine, f: &Fixture) -> f64 {
    let (hidden, state) = (f.model.config.hidden as usize, engine.state().unwrap());
    let unpad = |s: &Vec<f32>| wide(&s.chunks(hidden.next_multiple_of(4)).flat_map(|r| r[..hidden].to_vec()).collect::<Vec<_>>());
    state.iter().zip(&f.last).map(|(s, e)| relative_error(&unpad(s), e)).fold(0.0, f64::max)
}

/// The window of a fixture, and its N.
fn window(f: &Fixture) -> (Batch, f64) {
    let ones = vec![1.0; (f.steps * f.lanes) as usize];
    let window = Batch {
        lanes: f.lanes,
        tokens: f.tokens.clone(),
        targets: f.targets.clone(),
        numbers: f.numbers.clone(),
        wanted: f.wanted.clone(),
        keep: ones.clone(),
        xi: ones.clone(),
        weights: ones,
    };
    (window, f64::from(f.steps * f.lanes))
}

#[test]
fn losses_states_and_gradients_are_those_of_pytorch() {
    for device in both() {
        for name in NAMES.into_iter().chain(NUMBERS) {
            let f = fixture(name);
            let (window, n) = window(&f);
            let mut engine = engine(&device, &f, f.steps, 4);
            engine.gradient(0..f.steps, |places, range| window.inputs(places, range), n).unwrap();
            let loss = engine.loss_sum().unwrap() / n;
            assert!((loss - f.loss).abs() <= 1e-5 * f.loss, "{device} {name}: loss {loss}, in PyTorch {}", f.loss);
            let flat = engine.gradients().unwrap();
            for tensor in f.model.config.tensors() {
                let error = relative_error(&wide(&tensor.extract(&flat)), &wide(&tensor.extract(&f.gradients)));
                assert!(error <= BOUND, "{device} {name}: the gradient of {} is off by {error:e}", tensor.name);
            }
            engine.carry().unwrap();
            let error = state_error(&mut engine, &f);
            assert!(error <= BOUND, "{device} {name}: the last state is off by {error:e}");
        }
    }
}

/// Plain SGD on the same window, each time from the state in which the one before ended.
#[test]
fn parameters_after_updates_are_those_of_pytorch() {
    for device in both() {
        let mut far = 0;
        for name in NAMES.into_iter().chain(NUMBERS) {
            let f = fixture(name);
            let (window, n) = window(&f);
            let mut engine = engine(&device, &f, f.steps, 4);
            for u in 0..UPDATES {
                engine.gradient(0..f.steps, |places, range| window.inputs(places, range), n).unwrap();
                engine.update(u, f.lr, n).unwrap();
                engine.carry().unwrap();
            }
            let flat = engine.parameters().unwrap();
            let mut worst = (0.0, String::new());
            for tensor in f.model.config.tensors() {
                let [found, expected, before] = [&flat, &f.after, &f.model.parameters].map(|p| wide(&tensor.extract(p)));
                assert!(relative_error(&before, &expected) > 100.0 * BOUND_AFTER, "{device} {name}: {} has not moved", tensor.name);
                let error = relative_error(&found, &expected);
                if error.is_nan() || error > worst.0 {
                    worst = (error, tensor.name);
                }
            }
            println!("{device} {name}: off by up to {:.1e}, {}", worst.0, worst.1);
            far += u32::from(worst.0.is_nan() || worst.0 > BOUND_AFTER);
        }
        assert_eq!(far, 0, "{device}: fixtures beyond {BOUND_AFTER:e}, of those listed");
    }
}

/// Step by step, on the CPU, as in sampling.
#[test]
fn logits_are_those_of_pytorch() {
    for name in NAMES {
        let f = fixture(name);
        let (vocab, lanes) = (f.model.config.outputs() as usize, f.lanes as usize);
        let mut engine = engine(&Device::Cpu { threads: 1 }, &f, 1, 1);
        for (tokens, expected) in f.tokens.chunks(lanes).zip(f.logits.chunks(lanes * vocab)) {
            let got = step(&mut engine, tokens);
            for (b, row) in expected.chunks(vocab).enumerate() {
                for (v, e) in row.iter().enumerate() {
                    let x = got[v * lanes + b];
                    assert!((x - e).abs() <= 1e-5, "{name}: logit {v} of lane {b} is {x}, in PyTorch {e}");
                }
            }
        }
        let error = state_error(&mut engine, &f);
        assert!(error <= BOUND, "{name}: the last state is off by {error:e}");
        // Lanes from a zero state, one of them shorter, as the library computes them, next to an engine that steps through all lanes.
        let sequences: Vec<Vec<u32>> = (0..lanes).map(|b| f.tokens.iter().skip(b).step_by(lanes).copied().collect()).collect();
        let first = &sequences[0];
        let batch = f.model.logits(&[&first[..], &sequences[lanes - 1][..2]]).unwrap();
        assert_eq!((batch.len(), batch[0].len(), batch[1].len()), (2, first.len(), 2));
        let rows = &batch[0];
        let zero: Vec<Vec<f32>> = engine.state().unwrap().iter().map(|s| vec![0.0; s.len()]).collect();
        engine.set_state(&zero).unwrap();
        for (t, (tokens, row)) in f.tokens.chunks(lanes).zip(rows).enumerate() {
            let got = step(&mut engine, tokens);
            assert!(row.iter().enumerate().all(|(v, x)| (x - got[v * lanes]).abs() <= 1e-6), "{name}: logits of lane 0");
            let other = batch[1].get(t).into_iter().flatten().enumerate().all(|(v, x)| (x - got[v * lanes + lanes - 1]).abs() <= 1e-6);
            assert!(other, "{name}: logits of the last lane");
        }
        assert_eq!(rows.len(), first.len());
        assert!(f.model.logits(&[[vocab as u32]]).unwrap_err().to_string().contains("there is no symbol"));
    }
}

/// The outputs `[V, B]` after a step that reads `tokens`, one per lane.
fn step(engine: &mut Engine, tokens: &[u32]) -> Vec<f32> {
    let (places, lanes) = (*engine.inputs(), tokens.len());
    let mut words = vec![0; places.words() as usize];
    words[places.tokens() as usize..][..lanes].copy_from_slice(tokens);
    words[places.keep() as usize..][..lanes].fill(1f32.to_bits());
    engine.step(&SegmentInputs::sorted(words, &places, lanes)).unwrap()
}

/// The comparison detects a wrong gradient.
#[test]
fn a_planted_mistake_is_beyond_the_bound() {
    let f = fixture("1-tanh");
    let w_hh = f.model.config.tensors()[1].extract(&f.gradients);
    let mut wrong = wide(&w_hh);
    wrong[7] *= 1.01;
    assert!(relative_error(&wrong, &wide(&w_hh)) > BOUND);
}
