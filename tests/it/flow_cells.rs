//! Gradients by time lag and Jacobians of every cell: against the reference, and where they have a closed form.

use crate::cells::GATED;
use crate::cli::{file, folder, ok, retrograd, str, text};
use crate::devices::{both, names};
use retrograd::analysis::flow::{self, Flow, Subject};
use retrograd::analysis::gradcheck::{Case, relative_error, with_reference};
use retrograd::data::{Batch, Ends, Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::engine::{Engine, STEPS};
use retrograd::lag_profile::{self, Options};
use retrograd::model::{Activation, Cell, Config};
use retrograd::reference::{Read, Targets, Window, backward, forward};
use serde_json::Value;
use std::sync::Arc;

/// In the reference, g is the gradient of h_t, and of c_t without the part through h_t; lane by lane, over windows of several segments.
#[test]
fn lag_norms_agree_with_the_reference() {
    for device in both() {
        let plain = [(Activation::Tanh, 2), (Activation::Tanh, 3), (Activation::Identity, 1)].map(|(phi, layers)| Case::odd(phi, layers, true));
        let gated = GATED.into_iter().flat_map(|cell| [1, 2, 3].map(|layers| Case::of_cell(cell, layers, true)));
        for case in plain.into_iter().chain(gated) {
            let case = Case { steps: 21, cuts: false, ..case };
            let mut given = case.window();
            let last = ((case.steps - 1) * case.lanes) as usize;
            (given.keep, given.xi) = (vec![1.0; given.keep.len()], vec![1.0; given.xi.len()]);
            given.weights = (0..given.weights.len()).map(|i| f32::from(u8::from(i >= last))).collect();
            let mut engine = Engine::with_probe(&device, case.config, case.lanes, case.steps, STEPS).unwrap();
            engine.set_parameters(&case.parameters()).unwrap();
            engine.set_state(&case.state()).unwrap();
            let norms = engine.lag_norms(0..case.steps, |places, range| given.inputs(places, range)).unwrap();
            let (ones, weights) = (vec![1.0; given.keep.len()], given.weights.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
            let g = with_reference(&case, |net, params, window, state| {
                let window = Window { keep: &ones, xi: &ones, weights: &weights, n: 1.0, ..*window };
                let carry: Vec<Vec<f64>> = state.iter().map(|s| vec![0.0; s.len()]).collect();
                backward(net, params, &window, state, &carry).g
            });
            let (width, lanes) = ((case.config.hidden * case.config.cell.spec().states) as usize, case.lanes as usize);
            for (layer, g) in g.iter().enumerate() {
                for (i, row) in g.chunks_exact(width).enumerate() {
                    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    let (t, lane) = (i / lanes, i % lanes);
                    let found = norms.ln[layer][(case.steps as usize - 1 - t) * lanes + lane].exp();
                    assert!((found / norm - 1.0).abs() <= 1e-4, "{device} {case:?}: layer {layer}, step {t}, lane {lane}: {found:e}, reference {norm:e}");
                }
            }
        }
    }
}

/// The Jacobian of a step of a layer, by central differences of the reference.
fn differences(case: &Case, layer: usize, token: u32) -> Vec<f64> {
    with_reference(case, |net, params, window, state| {
        let window = Window { steps: 1, read: Read::Symbols(&[token]), targets: Targets::Classes(&[0]), keep: &[1.0], xi: &[1.0], weights: &[0.0], ..*window };
        let width = state[0].len() / case.lanes as usize;
        let state: Vec<Vec<f64>> = state.iter().map(|s| s[..width].to_vec()).collect();
        let after = |column: usize, by: f64| {
            let mut moved = state.clone();
            moved[layer][column] += by;
            forward(net, params, &window, &moved).1.swap_remove(layer)
        };
        let columns: Vec<Vec<f64>> = (0..width).map(|j| after(j, 1e-5).iter().zip(after(j, -1e-5)).map(|(a, b)| (a - b) / 2e-5).collect()).collect();
        (0..width * width).map(|i| columns[i % width][i / width]).collect()
    })
}

/// With fewer lanes than rows, and more. What is cut, and what is scored, changes nothing.
#[test]
fn the_jacobian_of_a_step_agrees_with_differences_of_the_reference() {
    for device in both() {
        for (cell, layers) in Cell::ALL.into_iter().flat_map(|cell| [(cell, 1), (cell, 2)]) {
            for lanes in [3, 80] {
                let case = Case { lanes, ..Case::of_cell(cell, layers, true) };
                let b = lanes as usize;
                let given =
                    Batch { lanes, tokens: vec![7; b], targets: vec![2; b], keep: vec![0.0; b], xi: vec![0.5; b], weights: vec![1.0; b], ..case.window() };
                let mut engine = Engine::with_probe(&device, case.config, lanes, 20, STEPS).unwrap();
                engine.set_parameters(&case.parameters()).unwrap();
                let width = case.config.state_width() as usize;
                let state: Vec<Vec<f32>> = case.state().iter().map(|s| s[..width].to_vec()).collect();
                let inputs = given.inputs(engine.inputs(), 0..1).unwrap();
                for layer in 0..layers {
                    let found = engine.state_jacobian(layer, &state, &inputs).unwrap();
                    let error = relative_error(&found, &differences(&case, layer as usize, 7));
                    assert!(error <= 1e-6, "{device} {cell}, layer {layer} of {layers}, {lanes} lanes: {error:e}");
                }
            }
        }
    }
}

/// The parameters of a cell without weights between units: biases of its gates, in PyTorch's order, and a head that reads every unit.
fn biased(config: &Config, gates: &[f32]) -> Vec<f32> {
    let mut flat = vec![0.0; config.elements() as usize];
    for tensor in config.tensors() {
        let count = (tensor.rows * tensor.cols) as usize;
        if tensor.name.starts_with("b_h") {
            let each = count / gates.len();
            tensor.insert(&mut flat, &(0..count).map(|i| gates[i / each]).collect::<Vec<f32>>());
        } else if tensor.name == "w_hy" {
            tensor.insert(&mut flat, &(0..count).map(|i| ((i * 7919) % 13) as f32 / 13.0 - 0.5).collect::<Vec<f32>>());
        }
    }
    flat
}

fn measured(device: &Device, cell: Cell, layers: u32, gates: &[f32]) -> Flow {
    let symbols = Arc::new(Symbols::new(Text::embedded(), Kind::Characters).unwrap());
    let config = Config { hidden: 14, layers, cell, ..Config::symbols(symbols.vocabulary().len()) };
    let parameters = biased(&config, gates);
    let subject = Subject { config, parameters: &parameters, symbols, sequences: None };
    let o = Options { lags: 40, lanes: 6, windows: 1, warm_up: 5, seed: 1 };
    flow::measure(device, &subject, &o, 0.1, &mut |_| {}).unwrap()
}

/// Where units have no weights between them, a step back multiplies the gradient by the gate that keeps the state.
#[test]
fn the_gate_that_keeps_the_state_is_the_decay() {
    for device in both() {
        for a in [-1f32, 2.0] {
            let kept = 1.0 / (1.0 + f64::from(-a).exp());
            // h = z h: the Jacobian is z I. For an LSTM c = f c and h = c / 2 to first order: one of rank H, whose norm is f sqrt(1 + 1/4).
            for (cell, gates, stretch) in [(Cell::Gru, [0.0, a, 0.0, 0.0], 1.0), (Cell::Lstm, [0.0, a, 0.0, 0.0], 1.25f64.sqrt())] {
                let f = measured(&device, cell, 1, &gates);
                let near = |x: f64, y: f64| (x / y - 1.0).abs() < 1e-4;
                assert!(near(f.slowest.decay_rate, kept) && f.slowest.decay_fit > 0.999, "{device} {cell}: {} and {kept}", f.slowest.decay_rate);
                assert!(near(f.spectral_radius, kept) && near(f.spectral_norm, kept * stretch), "{device} {cell}: {} {}", f.spectral_radius, f.spectral_norm);
                assert_eq!(f.singular_values.iter().map(|s| s.steps).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32]);
                assert!(f.singular_values.iter().all(|s| near(s.max, stretch * kept.powi(s.steps as i32))), "{device} {cell}: {:?}", f.singular_values);
                let moved = f.sensitivity.state[3] / f.sensitivity.state[2];
                assert!((f.lyapunov - kept.ln()).abs() < 0.02 && (moved / kept - 1.0).abs() < 0.02, "{device} {cell}: {} {moved}", f.lyapunov);
                assert!(f.measured_bias.is_finite() && f.suggested_tau.is_some(), "{device} {cell}");
            }
        }
    }
}

/// Biases that put a gate where its curve is flat, gate by gate: the order of blocks, and which are tanh.
#[test]
fn saturated_gates_are_counted() {
    let symbols = Arc::new(Symbols::new(Text::embedded(), Kind::Characters).unwrap());
    let o = Options { lags: 12, lanes: 3, windows: 2, warm_up: 0, seed: 1 };
    let ends = Ends::of_stream(symbols.clone(), o.places(), o.lags, o.seed).unwrap();
    for device in both() {
        for (cell, gates) in [(Cell::Gru, 3), (Cell::Lstm, 4)] {
            let config = Config { hidden: 14, layers: 2, cell, ..Config::symbols(symbols.vocabulary().len()) };
            let mut engine = Engine::with_probe(&device, config, o.lanes, o.lags + 1, STEPS).unwrap();
            let mut share = |gates: [f32; 4]| {
                engine.set_parameters(&biased(&config, &gates)).unwrap();
                let layers = lag_profile::measure(&mut engine, &ends, &o).unwrap();
                assert_eq!(layers[0].saturation, layers[1].saturation);
                layers[0].saturation * f64::from(gates.len() as u8)
            };
            let of = |share: f64| (share * f64::from(gates) / 4.0 * 1e6).round() / 1e6;
            assert_eq!(of(share([0.0; 4])), 0.0, "{device} {cell}");
            // tanh(2) is in the flat part, sigma(2) is not; tanh is the gate 2 of both, and the fourth bias of a GRU is no gate.
            assert_eq!(of(share([2.0, 2.0, 2.0, 0.0])), 1.0, "{device} {cell}");
            for gate in 0..gates as usize {
                let mut biases = [0.0; 4];
                biases[gate] = -5.0;
                assert_eq!(of(share(biases)), 1.0, "{device} {cell}, gate {gate}");
            }
            // Of an LSTM the gate o; of a GRU n = tanh(r q), and not q itself.
            assert_eq!(of(share([0.0, 0.0, 0.0, 9.0])), 1.0, "{device} {cell}");
        }
    }
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&ok(args)[0]).expect("one JSON object")
}

/// Fresh models and runs of every cell, with a monitor; pages name the cell.
#[test]
fn gradflow_monitor_and_compare_know_every_cell() {
    let few = ["--lags", "30", "--lanes", "6", "--windows", "1", "--json"];
    let small = ["--hidden", "14", "--updates", "12", "--batch", "4", "--json"];
    for (cell, name) in GATED.map(|cell| (cell.name(), cell.spec().torch)) {
        for &device in names() {
            let run = folder("flow-cells").join(format!("{cell}-{device}"));
            let summary =
                json(&[&["train", "--cell", cell, "--layers=2", "--monitor=5", "--sample=0", "--device", device, "--out", str(&run)][..], &small].concat());
            assert_eq!(summary["updates"], 12);
            let flow = json(&[&["gradflow", str(&run), "--device", device][..], &few].concat());
            assert_eq!((&flow["model"]["cell"], flow["layers"].as_array().unwrap().len()), (&Value::from(cell), 2));
            for key in ["decay_rate", "spectral_radius", "spectral_norm", "lyapunov", "saturation", "measured_bias"] {
                assert!(flow[key].as_f64().is_some_and(f64::is_finite), "{key}: {}", flow[key]);
            }
            let page = |file: &str| std::fs::read_to_string(run.join(file)).unwrap();
            let (report, flow) = (page("report.html"), page("gradflow.html"));
            assert!(report.contains(&format!("A recurrent network: {name}, 2 layers, 14 units, trained")) && report.contains("saturated gates"));
            assert!(flow.contains(&format!("Model: {name}, 2 layers, 14 units, ")) && flow.contains("Saturated gates") && !flow.contains("W_hh"));
            assert_eq!(flow.contains("h and c together"), cell == "lstm");
            let looks = page("metrics.jsonl").lines().filter(|l| l.contains("\"monitor\"")).count();
            assert_eq!(looks, 2);
        }
        let out = folder("flow-cells").join(format!("{cell}-fresh"));
        let fresh = json(&[&["gradflow", "--cell", cell, "--hidden=14", "--device=cpu", "--out", str(&out)][..], &few].concat());
        assert_eq!(fresh["model"]["cell"], cell);
        if cell == "lstm" {
            // The forget gate remembers from the start, as it does in training.
            let out = folder("flow-cells").join("forgets");
            let forgets = json(&[&["gradflow", "--cell=lstm", "--forget-bias=0", "--hidden=14", "--device=cpu", "--out", str(&out)][..], &few].concat());
            assert!(fresh["spectral_radius"].as_f64().unwrap() > 0.1 + forgets["spectral_radius"].as_f64().unwrap());
        }
        let out = folder("flow-cells").join(format!("{cell}-compare"));
        let compared = json(
            &[&["compare", "--cell", cell, "--length=32", "--draws=2", "--strategies=regular:8", "--device=cpu", "--out", str(&out)][..], &small].concat(),
        );
        assert_eq!(compared["cell"], cell);
        assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains(&format!("{name}, 1 layer, 14 units")));
        let refused = retrograd(&["gradflow", "--sweep", "--cell", cell]);
        let said = text(&refused.stderr);
        assert_eq!((refused.status.code(), said.lines().filter(|l| l.starts_with("error: ")).count()), (Some(2), 1), "{said}");
        assert!(said.contains(&format!("--sweep is over the spectrum of a plain RNN's W_hh; leave out --cell {cell}, or --sweep")), "{said}");
    }
}

/// Lags end, and Jacobians begin, where a sequence does.
#[test]
fn no_jacobian_reaches_over_the_start_of_a_sequence() {
    let lines = file("flow-cells.txt", (0..300).map(|i| format!("{}\n", "abcdefghij"[..4 + i % 7].repeat(2))).collect::<String>().as_bytes());
    let out = folder("flow-cells").join("lines");
    let flow = json(&["gradflow", str(&lines), "--lines", "--cell=lstm", "--hidden=8", "--lags=18", "--lanes=8", "--device=cpu", "--json", "--out", str(&out)]);
    let steps: Vec<u64> = flow["singular_values"].as_array().unwrap().iter().map(|s| s["steps"].as_u64().unwrap()).collect();
    assert!(steps.len() > 2 && steps.iter().all(|s| *s <= 20), "{steps:?}");
    assert!(flow["singular_values"].as_array().unwrap().iter().all(|s| s["max"].as_f64().unwrap() > 0.0));
}

/// What a plan says of gates, in JSON and in words, where there is room for them and where there is not.
#[test]
fn plans_say_what_is_stored_of_gates() {
    let plan = |cell: &str, budget: &str, more: &[&str]| {
        let settings = ["--hidden=64", "--layers=4", "--truncation=full", "--device=cpu"];
        let [said, _] = ok(&[&["plan", "--cell", cell, "--memory-budget", budget][..], &settings, more].concat());
        said
    };
    let of = |cell: &str, budget: &str| serde_json::from_str::<Value>(&plan(cell, budget, &["--json"])).unwrap();
    for (cell, name) in GATED.map(|cell| (cell.name(), cell.spec().torch)) {
        let roomy = of(cell, "2GiB");
        let least = roomy["curve"].as_array().unwrap().iter().rfind(|p| p["gates"] == "recomputed").expect("a plan that recomputes gates");
        let least = least["device_bytes"].to_string();
        for (budget, gates, words) in [("2GiB", "kept", "kept"), (&least, "recomputed", "recomputed by one product a segment")] {
            assert_eq!((&of(cell, budget)["gates"], &of(cell, budget)["cell"]), (&Value::from(gates), &Value::from(cell)), "{budget}");
            let said = plan(cell, budget, &[]);
            assert!(said.contains(&format!("{name}, 4 layers, hidden 64")), "{said}");
            assert!(said.lines().any(|l| l.trim().starts_with("gates ") && l.ends_with(words)), "{said}");
        }
    }
    assert!(of("rnn", "24MiB").get("gates").is_none() && !plan("rnn", "24MiB", &[]).contains("gates"));
}
