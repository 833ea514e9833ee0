//! Everything that works for a plain recurrent layer works for every cell: a table of cells, features and devices. Each entry runs the program and checks a
//! number.

use crate::cli::{file, folder, ok, str};
use crate::devices::{both, names};
use crate::skip::lacks;
use retrograd::model::{Cell, Config};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// An entry of the table: the cell, the device, and a folder for it.
struct Entry {
    cell: Cell,
    device: &'static str,
    folder: PathBuf,
}

impl Entry {
    /// The arguments of a small run into `name`.
    fn arguments(&self, name: &str, more: &[&str]) -> Vec<String> {
        let fixed = ["train", "--cell", self.cell.name(), "--device", self.device, "--hidden=12", "--batch=4", "--sample=0", "--seed=3", "--json"];
        let mut all: Vec<String> = fixed.iter().map(ToString::to_string).collect();
        for (flag, word) in [("--updates", "8"), ("--truncation", "regular:16")] {
            if !more.iter().any(|m| m.starts_with(flag) || m.starts_with("--epochs") && flag == "--updates") {
                all.push(format!("{flag}={word}"));
            }
        }
        all.extend(["--out".to_string(), str(&self.folder.join(name)).to_string()]);
        all.extend(more.iter().map(ToString::to_string));
        all
    }

    /// Trains, and returns what `--json` says.
    fn train(&self, name: &str, more: &[&str]) -> Value {
        self.program(&self.arguments(name, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn program(&self, args: &[&str]) -> Value {
        let [out, _] = ok(args);
        out.parse().unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `args` with the folder of a run as the second, and the device, as JSON.
    fn on(&self, name: &str, command: &str, more: &[&str]) -> Value {
        self.program(&[&[command, str(&self.at(name)), "--json"], more].concat())
    }
}

/// A loss is that of a model that predicts something: finite and above 0.
fn is_loss(value: &Value) -> f64 {
    let loss = value.as_f64().unwrap_or(f64::NAN);
    assert!(loss > 0.0 && loss < 20.0, "{value}");
    loss
}

fn bytes(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).unwrap()
}

/// A text of lines, short enough for windows of all of it.
fn poem() -> PathBuf {
    let text: String = (0..60).map(|i| format!("line {} of sixty, {}\n", i, ["to be", "or not", "to be that"][i % 3])).collect();
    file("poem.txt", text.as_bytes())
}

fn table(name: &str, rows: usize) -> PathBuf {
    let row = |i: usize| format!("{},{:.3},{:.3}\n", i, (i as f64 / 4.0).sin(), (i as f64 / 9.0).cos());
    file(name, ("time,load,temp\n".to_string() + &(0..rows).map(row).collect::<String>()).as_bytes())
}

fn labelled() -> PathBuf {
    let line = |i: usize| format!("{}\t{}\n", if i.is_multiple_of(2) { "abcabcab" } else { "cbacbacb" }, if i.is_multiple_of(2) { "up" } else { "down" });
    file("labelled.tsv", (0..120).map(line).collect::<String>().as_bytes())
}

type Feature = (&'static str, fn(&Entry));

/// The features, each with what runs and checks it.
const FEATURES: [Feature; 20] = [
    ("layers, dropout, embedding, without biases", |e| {
        let found = e.train("a", &[str(&poem()), "--layers=2", "--dropout=0.2", "--embed=5"]);
        is_loss(&found["val_loss"]);
        is_loss(&e.train("b", &[str(&poem()), "--layers=3", "--no-bias"])["val_loss"]);
    }),
    ("every truncation", |e| {
        for (i, truncation) in ["full", "regular:16", "regular:8,20", "random:0.9", "random-tail:8,4"].iter().enumerate() {
            let found = e.train(&i.to_string(), &[str(&poem()), &format!("--truncation={truncation}"), "--updates=3"]);
            is_loss(&found["train_loss"]);
        }
    }),
    ("memory budget", |e| {
        let text = poem();
        let args = [str(&text), "--truncation=full", "--updates=2", "--val-fraction=0"];
        let plenty = e.train("plenty", &args);
        let most = plenty["device_bytes_allocated"].as_u64().unwrap();
        let budget = format!("--memory-budget={}", most * 6 / 10);
        let tight = e.train("tight", &[&args[..], &[&budget]].concat());
        let allocated = tight["device_bytes_allocated"].as_u64().unwrap();
        assert!(allocated <= most * 6 / 10 && tight["device_bytes_planned"] == allocated, "{allocated} of {most}");
        let [a, b] = [&plenty, &tight].map(|v| is_loss(&v["train_loss"]));
        assert!((a - b).abs() < 1e-5 * a, "{a} {b}");
    }),
    ("half precision", |e| {
        let [whole, half] = ["f32", "f16"].map(|stash| is_loss(&e.train(stash, &[str(&poem()), &format!("--stash={stash}")])["train_loss"]));
        assert!((whole - half).abs() < 2e-3 * whole, "{whole} {half}");
    }),
    ("resume", |e| {
        let text = poem();
        let args = [str(&text), "--schedule=constant", "--layers=2", "--truncation=regular:8,20", "--val-fraction=0"];
        e.train("whole", &[&args[..], &["--updates=10"]].concat());
        e.train("parts", &[&args[..], &["--updates=4"]].concat());
        ok(&["train", "--resume", str(&e.at("parts")), "--updates=10", "--quiet"]);
        assert!(bytes(&e.at("whole")) == bytes(&e.at("parts")), "a resumed run has other bytes");
    }),
    ("sequences, validation, evaluation", |e| {
        let found = e.train("lines", &[str(&poem()), "--lines", "--epochs=3", "--truncation=full"]);
        let again = e.on("lines", "eval", &["--device", e.device]);
        assert!((is_loss(&found["val_loss"]) - is_loss(&again["loss"])).abs() < 1e-4, "{found} {again}");
    }),
    ("streams in lanes", |e| {
        e.train("stream", &[str(&poem())]);
        let losses = ["1", "5"].map(|lanes| is_loss(&e.on("stream", "eval", &[str(&poem()), "--lanes", lanes, "--device", e.device])["loss"]));
        assert!((losses[0] - losses[1]).abs() < 1e-4 * losses[0], "{losses:?}");
    }),
    ("tokens", |e| {
        if lacks(cfg!(feature = "tokens"), "the feature `tokens`") {
            return;
        }
        let words = ["[UNK]", "line", "of", "sixty", "to", "be", "or", "not", "that", ","];
        let vocab: serde_json::Map<String, Value> = words.iter().enumerate().map(|(i, w)| ((*w).to_string(), i.into())).collect();
        let model = json!({ "type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]" });
        let tokenizer = json!({ "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "Whitespace" }, "model": model });
        let tokenizer = file("features.json", tokenizer.to_string().as_bytes());
        is_loss(&e.train("run", &[str(&poem()), "--tokens", str(&tokenizer), "--embed=6"])["val_loss"]);
    }),
    ("series", |e| {
        let waves = table("waves.csv", 300);
        let args = [str(&waves), "--target=load", "--features=load,temp", "--time=time", "--horizon=3", "--updates=60"];
        e.train("series", &args);
        let rmse = e.on("series", "eval", &["--device", e.device])["rmse"].as_f64().unwrap();
        assert!(rmse > 0.0 && rmse < 0.7, "a wave of amplitude 1 is forecast: {rmse}");
        assert_eq!(ok(&["predict", str(&e.at("series")), "--last=0"])[0].lines().count(), 4, "a head and three rows to come");
    }),
    ("labels", |e| {
        e.train("labels", &[str(&labelled()), "--label-column=2", "--truncation=full", "--updates=60", "--lr=0.02"]);
        let accuracy = e.on("labels", "eval", &["--device", e.device])["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.95, "the first letter tells the label: {accuracy}");
    }),
    ("tasks", |e| {
        let found = e.train("task", &["--task=recall:4,5", "--examples=200", "--truncation=full"]);
        is_loss(&found["val_loss"]);
    }),
    ("compare", |e| {
        let text = poem();
        let args = ["compare", str(&text), "--cell", e.cell.name(), "--device", e.device, "--hidden=8", "--batch=4", "--length=40", "--updates=6"];
        let found = e.program(&[&args[..], &["--draws=4", "--json", "--out", str(&e.at("compared")), "--strategies", "regular:8", "random:0.8"]].concat());
        assert_eq!(found["strategies"].as_array().map(Vec::len), Some(3), "{found}");
    }),
    ("gradflow", |e| {
        e.train("run", &[str(&poem())]);
        let found = e.on("run", "gradflow", &["--device", e.device, "--lags=12", "--lanes=4", "--windows=2"]);
        let first = found["median"][0].as_f64().unwrap();
        assert!((first - 1.0).abs() < 1e-9 && found["lyapunov"].as_f64().is_some() && found["spectral_norm"].as_f64().is_some_and(|n| n > 0.0), "{found}");
    }),
    ("monitor, report", |e| {
        e.train("run", &[str(&poem()), "--monitor=4"]);
        let lines = std::fs::read_to_string(e.at("run").join("metrics.jsonl")).unwrap();
        assert!(lines.contains("saturation"), "{lines}");
        let page = std::fs::read_to_string(e.at("run").join("report.html")).unwrap();
        assert!(page.contains("<svg"), "a page with pictures");
    }),
    ("plan", |e| {
        let text = poem();
        let args = ["plan", str(&text), "--cell", e.cell.name(), "--device", e.device, "--hidden=12", "--truncation=full", "--json"];
        let found = e.program(&args);
        assert!(found["device_bytes"].as_u64().is_some_and(|b| b > 0) && found["dispatches_per_window"].as_u64() != Some(0), "{found}");
    }),
    ("sample", |e| {
        e.train("run", &[str(&poem())]);
        let [out, _] = ok(&["sample", str(&e.at("run")), "--length=40", "--seed=1"]);
        assert_eq!(out.trim_end_matches('\n').chars().count().min(38), 38, "{out:?}");
    }),
    ("PyTorch and back", |e| {
        e.train("run", &[str(&poem()), "--layers=2"]);
        ok(&["import", str(&e.at("run").join("model.safetensors")), str(&e.at("again"))]);
        assert!(bytes(&e.at("run")) == bytes(&e.at("again")), "an imported model has other bytes");
    }),
    ("ONNX", |e| {
        e.train("run", &[str(&poem())]);
        ok(&["export", str(&e.at("run")), str(&e.at("model.onnx")), "--onnx"]);
        let operator = e.cell.spec().torch.as_bytes();
        let graph = std::fs::read(e.at("model.onnx")).unwrap();
        assert!(graph.windows(operator.len()).any(|w| w == operator), "the operator {}", e.cell.spec().torch);
    }),
    ("a run from a model", |e| {
        e.train("first", &[str(&poem())]);
        let from = format!("--from={}", str(&e.at("first")));
        let args = ["train", "--device", e.device, "--batch=4", "--sample=0", "--updates=2", "--json", "--out"];
        let found = e.program(&[&args[..], &[str(&e.at("second")), str(&poem()), &from]].concat());
        let config = std::fs::read_to_string(e.at("second").join("config.toml")).unwrap();
        assert!(config.contains(&format!("cell = \"{}\"", e.cell.name())) && found["updates"] == 2, "{config}");
    }),
    ("anomalies", |e| {
        is_loss(&e.train("run", &[str(&poem()), "--detect-anomaly", "--updates=2"])["train_loss"]);
    }),
];

/// Runs one feature for every cell and device.
fn check(name: &str) {
    let (name, feature) = FEATURES.iter().find(|f| f.0 == name).expect("a feature of the table");
    for device in names() {
        for cell in Cell::ALL {
            let place = folder("features").join(format!("{}-{cell}-{device}", name.replace(|c: char| !c.is_alphanumeric(), "-")));
            let _ = std::fs::remove_dir_all(&place);
            std::fs::create_dir_all(&place).unwrap();
            feature(&Entry { cell, device, folder: place });
        }
    }
}

/// One test per feature, so that they run side by side.
macro_rules! table {
    ($($test:ident = $name:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            check($name);
        })+

        #[test]
        fn every_feature_of_the_table_has_a_test() {
            let mut tested = vec![$($name),+];
            let mut all = FEATURES.map(|f| f.0).to_vec();
            tested.sort_unstable();
            all.sort_unstable();
            assert_eq!(tested, all);
        }
    };
}

table! {
    layers_dropout_embedding = "layers, dropout, embedding, without biases",
    every_truncation = "every truncation",
    memory_budget = "memory budget",
    half_precision = "half precision",
    resume = "resume",
    sequences = "sequences, validation, evaluation",
    streams_in_lanes = "streams in lanes",
    tokens = "tokens",
    series = "series",
    labels = "labels",
    tasks = "tasks",
    compare = "compare",
    gradflow = "gradflow",
    monitor_and_report = "monitor, report",
    plan = "plan",
    sample = "sample",
    pytorch_and_back = "PyTorch and back",
    onnx = "ONNX",
    a_run_from_a_model = "a run from a model",
    anomalies = "anomalies",
}

/// Dispatches of a window do not depend on its length, and what is planned is allocated.
#[test]
fn dispatches_do_not_depend_on_the_length_of_a_window() {
    for device in both() {
        for cell in Cell::ALL {
            let config = Config { cell, hidden: 12, layers: 2, ..Config::symbols(9) };
            let update = Optimizer::Adam.update(Clip::Norm(1.0));
            let found = [4, 16, 64].map(|steps| {
                let engine = retrograd::engine::Engine::new(&device, config, Plan::with(config.dims(3), steps, steps, false), &update).unwrap();
                let [planned, allocated] = engine.device_bytes();
                assert_eq!(planned, allocated, "{cell}, {steps} steps");
                engine.dispatches_per_window()
            });
            assert!(found[0] == found[1] && found[1] == found[2], "{cell}: {found:?}");
        }
    }
}
