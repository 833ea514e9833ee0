//! Gradients by time lag: closed forms, comparison with the reference, output and refusals of the command.

use crate::cli::{file, folder, retrograd, text};
use crate::devices::{both, names};
use retrograd::data::{Ends, Kind, Symbols, Text};
use retrograd::engine::{Engine, STEPS};
use retrograd::lag_profile::{self, Layer, Options, estimated_bias, suggested_tau};
use retrograd::model::{Activation, Config, Init};
use serde_json::Value;
use std::sync::Arc;

fn embedded() -> Arc<Symbols> {
    Arc::new(Symbols::new(Text::embedded(), Kind::Characters).unwrap())
}

/// With phi = identity and W_hh = a Q, every step back multiplies the gradient's norm by a.
#[test]
fn the_profile_of_a_linear_net_is_a_power() {
    let symbols = embedded();
    let o = Options { lags: 100, lanes: 5, windows: 1, warm_up: 3, seed: 1 };
    let ends = Ends::of_stream(symbols.clone(), o.places(), o.lags, o.seed).unwrap();
    let config = Config { hidden: 37, layers: 1, activation: Activation::Identity, bias: false, ..Config::symbols(symbols.vocabulary().len()) };
    for device in both() {
        let mut engine = Engine::with_probe(&device, config, o.lanes, o.lags + 1, STEPS).unwrap();
        for a in [0.05, 0.5, 0.9, 1.0, 1.1] {
            engine.set_parameters(&Init::Orthogonal(a as f32).parameters(&config, 3)).unwrap();
            let layer = &lag_profile::measure(&mut engine, &ends, &o).unwrap()[0];
            for k in 0..=100 {
                for (name, x) in [("median", layer.median[k]), ("low", layer.low[k]), ("high", layer.high[k])] {
                    let power = f64::powi(f64::from(a as f32), k as i32);
                    assert!((x / power - 1.0).abs() <= 1e-3, "{device}: {name} at lag {k} is {x:e}, not {a}^{k} = {power:e}");
                }
            }
            assert!((layer.decay_rate / a - 1.0).abs() <= 1e-5 && layer.decay_fit > 0.999, "{device}: {a} is measured as {}", layer.decay_rate);
        }
    }
}

/// A profile with geometric decay, over `lags` lags.
fn geometric(beta: f64, lags: usize) -> Layer {
    let mean: Vec<f64> = (0..=lags).map(|k| beta.powi(k as i32)).collect();
    Layer {
        median: mean.clone(),
        low: mean.clone(),
        high: mean.clone(),
        log10_median: mean.iter().map(|x| x.log10()).collect(),
        mean,
        decay_rate: beta,
        decay_fit: 1.0,
        half_life: None,
        saturation: 0.0,
    }
}

/// One layer represents all: the one that decays most slowly, and a NaN before any other.
#[test]
fn the_layer_that_fades_slowest_stands_for_all() {
    let of = |rates: &[f64]| retrograd::lag_profile::slowest(&rates.iter().map(|r| geometric(*r, 8)).collect::<Vec<_>>());
    assert_eq!((of(&[0.77, 0.53]), of(&[0.5, 0.9, 0.7]), of(&[0.5, 0.5]), of(&[f64::NAN, 2.0]), of(&[0.3])), (0, 1, 1, 0, 0));
}

#[test]
fn the_estimated_bias_is_the_sum_written_out() {
    for beta in [0.3f64, 0.8, 0.97] {
        // As if all lags were known: 3,000 are enough for 0.97.
        let missing = |tau: usize| (0..3000).map(|k| k.min(tau) as f64 / tau as f64 * beta.powi(k as i32)).sum::<f64>() * (1.0 - beta);
        for lags in [4, 40, 2999] {
            for tau in [1, 3, 4, 5, 39, 40, 41, 500] {
                let found = estimated_bias(&[geometric(beta, lags)], tau as u32);
                assert!((found - missing(tau)).abs() < 1e-9, "beta {beta}, {lags} lags, window {tau}: {found}, not {}", missing(tau));
            }
        }
        let tau = suggested_tau(&[geometric(beta, 40)], 0.1).unwrap() as usize;
        assert!(missing(tau) <= 0.1 && (tau == 1 || missing(tau - 1) > 0.1), "{beta}: {tau}");
    }
    // The layer that needs the longest window decides; without decay there is no window.
    let both = [geometric(0.5, 30), geometric(0.9, 30)];
    assert_eq!(suggested_tau(&both, 0.1), suggested_tau(&both[1..], 0.1));
    assert_eq!(suggested_tau(&[geometric(1.0, 30)], 0.1), None);
    assert!(estimated_bias(&[geometric(1.1, 30)], 8).is_nan());
}

const KEYS: &str =
    "lags median low high decay_rate half_life verdict suggested_tau estimated_bias measured_bias spectral_radius spectral_norm lyapunov saturation";

fn json(args: &[&str]) -> Value {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON object")
}

#[test]
fn gradflow_looks_at_runs_and_fresh_models() {
    let run = folder("flow").join("run");
    let run = run.to_str().unwrap();
    json(&["train", "--hidden", "24", "--layers", "2", "--batch", "8", "--updates", "40", "--device", "cpu", "--json", "--out", run]);
    let few = ["--lags", "40", "--lanes", "8", "--windows", "2", "--device", "cpu", "--json"];
    let flow = json(&[&["gradflow", run][..], &few].concat());
    for key in KEYS.split_whitespace() {
        assert!(flow.get(key).is_some(), "{key} is missing");
    }
    assert_eq!((flow["lags"].as_array().unwrap().len(), flow["layers"].as_array().unwrap().len()), (41, 2));
    assert_eq!(flow["verdict"], "vanishing");
    // Top-level figures belong to the layer with the slowest decay, and name it.
    let rates: Vec<f64> = flow["layers"].as_array().unwrap().iter().map(|l| l["decay_rate"].as_f64().unwrap()).collect();
    let slowest = flow["layer"].as_u64().unwrap() as usize;
    assert!(flow["decay_rate"] == rates[slowest] && rates.iter().all(|r| *r <= rates[slowest]), "layer {slowest} of {rates:?}");
    let said = retrograd(&["gradflow", run, "--lags=40", "--lanes=8", "--windows=2", "--device=cpu"]);
    assert!(text(&said.stdout).contains(&format!("the gradient of layer {slowest}, which fades slowest, changes by")), "{}", text(&said.stdout));
    let (estimated, measured) = (flow["estimated_bias"].as_f64().unwrap(), flow["measured_bias"].as_f64().unwrap());
    assert!(estimated <= 0.1 && measured <= 0.2 && measured > 0.0, "{estimated} {measured}");
    let page = std::fs::read_to_string(std::path::Path::new(run).join("gradflow.html")).unwrap();
    assert!(["id=\"profile", "id=\"bias", "id=\"singular", "id=\"sensitivity"].iter().all(|p| page.contains(p)));
    assert!(std::path::Path::new(run).join("gradflow.json").is_file());
    let out = folder("flow").join("fresh");
    let fresh =
        json(&[&["gradflow", "--hidden", "16", "--init", "identity:0.5", "--activation", "identity", "--out", out.to_str().unwrap()][..], &few].concat());
    assert!((fresh["decay_rate"].as_f64().unwrap() - 0.5).abs() < 1e-4 && (fresh["lyapunov"].as_f64().unwrap() - 0.5f64.ln()).abs() < 1e-3);
    // Lines: lags reach back to the start of each, and no further.
    let lines = file("flow-lines.txt", (0..300).map(|i| format!("{}\n", "abcdefghij".repeat(1 + i % 5))).collect::<String>().as_bytes());
    let of_lines =
        json(&[&["gradflow", lines.to_str().unwrap(), "--lines", "--hidden", "16", "--out", out.with_extension("lines").to_str().unwrap()][..], &few].concat());
    assert!(of_lines["median"][10].as_f64().is_some());
}

/// Radii out of the range of floats are null and drawn as such.
#[test]
fn a_sweep_that_explodes_is_no_crash() {
    let out = folder("flow").join("sweep");
    let few = ["--lags", "30", "--lanes", "5", "--windows", "1", "--hidden", "12", "--device", "cpu", "--json", "--radii", "0.5,1,30"];
    let sweep = json(&[&["gradflow", "--sweep", "--out", out.to_str().unwrap()][..], &few].concat());
    let points = sweep["points"].as_array().unwrap();
    assert_eq!(points.len(), 27);
    let linear = |p: &&Value| p["activation"] == "identity" && p["family"] == "orthogonal";
    let rates: Vec<Option<f64>> = points.iter().filter(linear).map(|p| p["decay_rate"].as_f64()).collect();
    assert!((rates[0].unwrap() - 0.5).abs() < 1e-4 && (rates[1].unwrap() - 1.0).abs() < 1e-4 && rates[2].is_none(), "{rates:?}");
    let page = std::fs::read_to_string(out.join("gradflow.html")).unwrap();
    assert!(page.contains("not finite") && page.contains("exploded"));
}

#[test]
fn what_gradflow_refuses() {
    let run = folder("flow").join("refused");
    let path = run.to_str().unwrap();
    json(&["train", "--hidden", "8", "--batch", "4", "--updates", "2", "--device", "cpu", "--json", "--sample", "0", "--out", path]);
    let (short, other) = (file("flow-short.txt", b"Cicero de finibus"), file("flow-other.txt", "\u{4e00}\n".repeat(500).as_bytes()));
    let (short, other) = (short.to_str().unwrap(), other.to_str().unwrap());
    let newer = folder("flow").join("newer");
    std::fs::create_dir_all(&newer).unwrap();
    std::fs::copy(run.join("model.safetensors"), newer.join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    std::fs::write(newer.join("config.toml"), config.replace("format = 1", "format = 99")).unwrap();
    let task = folder("flow").join("task");
    let task = task.to_str().unwrap();
    json(&[
        "train",
        "--task",
        "recall:2,3",
        "--examples",
        "200",
        "--hidden",
        "8",
        "--batch",
        "4",
        "--updates",
        "2",
        "--device",
        "cpu",
        "--json",
        "--out",
        task,
    ]);
    let cases: [(&[&str], i32, &str); 10] = [
        (&["gradflow", short, "--lags", "100"], 1, "has 17 characters; lags of up to 100 steps need at least 102"),
        (&["gradflow", path, other], 1, "character"),
        (&["gradflow", path, "--init", "identity:1"], 2, "--init is for a fresh model"),
        (&["gradflow", "nowhere.txt"], 1, "nowhere.txt"),
        (&["gradflow", newer.to_str().unwrap()], 1, "format"),
        (&["gradflow", "--lags", "0"], 2, "--lags"),
        (&["gradflow", "--tolerance", "1.5"], 2, "between 0 and 1"),
        (&["gradflow", "--radii", "1"], 2, "--sweep"),
        (&["gradflow", task, "--lines"], 2, "was trained on the task recall:2,3"),
        (&["gradflow", path, short, "--separator", "xyz"], 1, "separator"),
    ];
    for (args, code, word) in cases {
        let out = retrograd(&[args, &["--device", "cpu"]].concat());
        let message = text(&out.stderr);
        let lines: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ")).collect();
        assert!(out.status.code() == Some(code) && lines.len() == 1 && lines[0].contains(word), "{args:?}: {:?} {message}", out.status.code());
    }
}

/// Monitoring changes nothing that is trained, happens at its updates, is the same in a resumed run, and stays within the budget.
#[test]
fn a_monitor_sees_and_changes_nothing() {
    let run = |name: &str, more: &[&str]| {
        let out = folder("flow").join(name);
        let args = [
            "train",
            "--hidden",
            "16",
            "--layers",
            "2",
            "--batch",
            "4",
            "--truncation",
            "regular:32",
            "--seed",
            "3",
            "--json",
            "--sample",
            "0",
            "--schedule=constant",
            "--out",
        ];
        let summary = json(&[&args[..], &[out.to_str().unwrap()], more].concat());
        (summary, out)
    };
    let model = |out: &std::path::Path| std::fs::read(out.join("model.safetensors")).unwrap();
    for &device in names() {
        let name = |what: &str| format!("monitor-{device}-{what}");
        let (_, plain) = run(&name("plain"), &["--device", device, "--updates", "25"]);
        let (summary, watched) = run(&name("watched"), &["--device", device, "--updates", "25", "--monitor", "10", "--memory-budget", "4MiB"]);
        assert!(model(&plain) == model(&watched), "{device}: the same bits");
        assert!(summary["device_bytes_allocated"].as_u64().unwrap() <= 4 << 20 && summary["device_bytes_planned"] == summary["device_bytes_allocated"]);
        assert!(summary["monitor_bytes"].as_u64().unwrap() > 0);
        let looks = |out: &std::path::Path| -> Vec<Value> {
            let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).filter(|l| l.get("monitor").is_some()).collect()
        };
        let seen = looks(&watched);
        assert_eq!(seen.iter().map(|l| l["update"].as_u64().unwrap()).collect::<Vec<_>>(), [10, 20]);
        let look = &seen[0]["monitor"];
        assert_eq!((look["layers"].as_array().unwrap().len(), look["parameters"].as_array().unwrap().len()), (2, 8));
        assert!(look["layers"][1]["median"][0] == 1.0 && look["layers"][0]["decay_rate"].as_f64().unwrap() < 1.0);
        let ratios: Vec<f64> = look["parameters"].as_array().unwrap().iter().map(|p| p["update_ratio"].as_f64().unwrap_or(f64::NAN)).collect();
        // Adam moves every weight by about its rate.
        assert!(ratios.iter().all(|r| *r > 1e-4 && *r < 1.0), "{ratios:?}");
        // Stopped between two monitored updates and resumed.
        let (_, resumed) = run(&name("resumed"), &["--device", device, "--updates", "15", "--monitor", "10", "--memory-budget", "4MiB"]);
        json(&["train", "--resume", resumed.to_str().unwrap(), "--updates", "25", "--json"]);
        assert_eq!(looks(&resumed), seen, "{device}");
    }
}
