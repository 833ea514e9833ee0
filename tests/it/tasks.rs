//! Synthetic tasks: scored steps, gradients and N, right answers, runs, refusals.

use crate::cli::{folder, refused, retrograd, text};
use crate::devices::{both, cpu};
use retrograd::analysis::gradcheck::relative_error;
use retrograd::data::{Sequences, Set, Symbols, SyntheticTask};
use retrograd::engine::Engine;
use retrograd::estimate::Estimator;
use retrograd::evaluate::EvalSet;
use retrograd::feed::Source;
use retrograd::model::record::InputLayout;
use retrograd::model::{Activation, Config, Init};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use retrograd::reference::{self, Net, Window};
use retrograd::trainer::{Corpus, Layout, Settings, Trainer};
use retrograd::truncation::{Edge, Truncation};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const COPY: SyntheticTask = SyntheticTask::Copy(3);
const RECALL: SyntheticTask = SyntheticTask::Recall { symbols: 3, delay: 4 };
const ADDING: SyntheticTask = SyntheticTask::Adding(5);

fn symbols(task: SyntheticTask, count: u64) -> Arc<Symbols> {
    Arc::new(task.symbols(7, Set::Run, count).unwrap())
}

fn sequences(task: SyntheticTask, count: u64) -> Sequences {
    Sequences::asked(symbols(task, count), task.steps(), task.answers()).unwrap()
}

/// Per sequence: the inputs, targets and weights of its steps, by the definition of the task's text.
fn expected(task: SyntheticTask, count: u64) -> Vec<(Vec<u32>, Vec<u32>, Vec<f64>)> {
    let (symbols, steps, answers) = (symbols(task, count), task.steps() as usize, task.answers() as usize);
    let mut all = vec![0; symbols.len() as usize];
    symbols.read(0, &mut all).unwrap();
    let one = |piece: &[u32]| {
        let targets = [vec![0; steps - answers], piece[steps..].to_vec()].concat();
        let weights = [vec![0.0; steps - answers], vec![1.0; answers]].concat();
        (piece[..steps].to_vec(), targets, weights)
    };
    all.chunks_exact(steps + answers).map(one).collect()
}

#[test]
fn the_asked_steps_alone_are_scored_against_the_answers() {
    for (task, count) in [(COPY, 11), (RECALL, 40), (ADDING, 5)] {
        let (all, expected) = (sequences(task, count), expected(task, count));
        let (lanes, answers) = (3, u64::from(task.answers()));
        assert_eq!(all.scored(), count * answers);
        let packing = all.pack(lanes, Some((1, 2)));
        let mut seen = vec![0; count as usize];
        for w in 0..packing.len() {
            let (steps, items) = (packing.steps(w), packing.items(w));
            assert_eq!(packing.scored(w), items.len() as u64 * answers);
            assert!(items.iter().any(|i| i.from + task.steps() == steps), "a window ends with a sequence");
            let places = InputLayout::new(&Config::symbols(task.vocabulary()), steps * lanes);
            let edges = |_: usize, d: std::ops::Range<u32>| vec![Edge { xi: 1.0, scored: true }; d.len()];
            // In two segments, cut at the worst place.
            let cut = steps - 4;
            let words = [0..cut, cut..steps].map(|r| all.inputs(&packing, w, &places, r, edges).unwrap().words);
            let at = |place: u32, t: u32, lane: u32| {
                if t < cut { words[0][(place + t * lanes + lane) as usize] } else { words[1][(place + (t - cut) * lanes + lane) as usize] }
            };
            for item in items {
                seen[item.sequence as usize] += 1;
                let (read, targets, weights) = &expected[item.sequence as usize];
                for d in 0..task.steps() {
                    let (t, i) = (item.from + d, d as usize);
                    let weight = f64::from(f32::from_bits(at(places.weights(), t, item.lane)));
                    assert_eq!((at(places.tokens(), t, item.lane), weight), (read[i], weights[i]), "{task}, step {d}");
                    assert!(weight == 0.0 || at(places.targets(), t, item.lane) == targets[i], "{task}, step {d}");
                    assert_eq!(at(places.keep(), t, item.lane), f32::from(u8::from(d > 0)).to_bits());
                }
            }
            let weights: f32 = (0..steps).flat_map(|t| (0..lanes).map(move |b| (t, b))).map(|(t, b)| f32::from_bits(at(places.weights(), t, b))).sum();
            assert_eq!(weights as u64, packing.scored(w), "nothing else is scored");
        }
        assert!(seen.iter().all(|n| *n == 1), "{task}: {seen:?}");
    }
}

#[test]
fn equal_sequences_leave_few_steps_idle() {
    let packing = sequences(SyntheticTask::Recall { symbols: 8, delay: 20 }, 500).pack(8, Some((0, 0)));
    assert!(packing.idle() < 0.03, "{}", packing.idle());
    assert_eq!(packing.steps(0), 44, "two of 22 steps fit 64");
}

#[test]
fn whole_sequences_are_held_out() {
    let (train, held) = sequences(COPY, 20).hold_out(0.25);
    assert_eq!((train.list().len(), train.scored()), (15, 150));
    assert!(held.is_some_and(|h| h.list().len() == 5 && h.scored() == 50 && h.asks()));
}

/// The reference, sequence by sequence, cut before every step whose number is a multiple of `tau`.
fn by_hand(task: SyntheticTask, count: u64, config: &Config, flat: &[f32], tau: usize) -> (f64, Vec<Vec<f64>>) {
    let net = Net::symbols(config.outputs() as usize, config.hidden as usize, config.layers as usize);
    let params = config.tensors().iter().map(|t| t.extract(flat).iter().map(|&x| f64::from(x)).collect()).collect();
    let (steps, n) = (task.steps() as usize, count as f64 * f64::from(task.answers()));
    let keep: Vec<f64> = (0..steps).map(|t| f64::from(u8::from(t > 0))).collect();
    let xi: Vec<f64> = (0..steps).map(|t| f64::from(u8::from(t % tau != 0))).collect();
    let zero = vec![vec![0.0; net.hidden]; net.layers];
    let mut sum: (f64, Vec<Vec<f64>>) = (0.0, Vec::new());
    for (tokens, targets, weights) in expected(task, count) {
        let window = Window {
            steps,
            read: retrograd::reference::Read::Symbols(&tokens),
            targets: retrograd::reference::Targets::Classes(&targets),
            keep: &keep,
            xi: &xi,
            weights: &weights,
            factors: &[],
            n,
        };
        let found = reference::backward(&net, &params, &window, &zero, &zero);
        sum.0 += found.loss;
        if sum.1.is_empty() {
            sum.1 = found.gradients;
        } else {
            sum.1.iter_mut().flatten().zip(found.gradients.iter().flatten()).for_each(|(s, g)| *s += g);
        }
    }
    sum
}

#[test]
fn gradients_and_losses_are_means_over_the_scored_steps() {
    for device in both() {
        for (task, count) in [(COPY, 7), (RECALL, 25)] {
            let config = Config { hidden: 7, layers: 2, activation: Activation::Tanh, bias: true, ..Config::symbols(task.vocabulary()) };
            let flat = Init::Uniform.parameters(&config, 5);
            for (truncation, tau) in [("full", 1000), ("regular:3", 3)] {
                let source = Source::Sequences(sequences(task, count));
                let mut estimator = Estimator::new(&device, config, &flat, source, truncation.parse().unwrap(), 3, 0).unwrap();
                let found = estimator.estimate(0).unwrap();
                let (loss, gradients) = by_hand(task, count, &config, &flat, tau);
                assert!((found.loss - loss).abs() <= 1e-5 * loss, "{device}, {task}, {truncation}: {} and {loss}", found.loss);
                for ((name, g), e) in estimator.tensors(&found).iter().zip(&gradients) {
                    let g: Vec<f64> = g.iter().map(|&x| f64::from(x)).collect();
                    assert!(relative_error(&g, e) <= 1e-5, "{device}, {task}, {truncation}: {name} is off by {:e}", relative_error(&g, e));
                }
            }
        }
    }
}

#[test]
fn a_trainer_counts_answers() {
    let settings = Settings::default().hidden(6).batch(3).truncation(Truncation::Full).lr(1e-9).val_fraction(0.0);
    let layout = Layout::Asked { steps: COPY.steps(), answers: COPY.answers() };
    let mut trainer = Trainer::new(&cpu(), Corpus::new(symbols(COPY, 6), layout, &settings).unwrap(), settings).unwrap();
    let (config, flat) = (trainer.engine.config, trainer.engine.parameters().unwrap());
    trainer.step().unwrap();
    // 23 steps, 2 sequences per lane: a single window.
    assert_eq!((trainer.tokens(), trainer.at_epoch_end()), (60, true));
    let (loss, _) = by_hand(COPY, 6, &config, &flat, 1000);
    let metrics = trainer.metrics().unwrap().unwrap();
    assert!((f64::from(metrics.loss) - loss).abs() <= 1e-5 * loss, "{} and {loss}", metrics.loss);
}

/// A net that keeps the cue: one unit per cue symbol, summed up forever; distractors and the mark add nothing. Optionally a second layer copies it.
fn keeper(layers: u32, bias: Option<f32>) -> (Config, Vec<f32>) {
    let config = Config { hidden: 3, layers, activation: Activation::Identity, bias: bias.is_some(), ..Config::symbols(RECALL.vocabulary()) };
    let mut flat = vec![0.0; config.elements() as usize];
    for tensor in config.tensors() {
        let unit = |i: u32, j: u32| f32::from(u8::from(i == j));
        let matrix: Vec<f32> = (0..tensor.rows).flat_map(|i| (0..tensor.cols).map(move |j| unit(i, j))).collect();
        match tensor.name.as_str() {
            "w_hh.1" | "b_h.0" | "b_h.1" => {}
            // In favour of the first answer.
            "b_y" => tensor.insert(&mut flat, &[&[bias.unwrap()][..], &[0.0; 6]].concat()),
            _ => tensor.insert(&mut flat, &matrix),
        }
    }
    (config, flat)
}

#[test]
fn accuracy_is_the_share_of_right_answers() {
    let count = 50;
    let cues = expected(RECALL, count).iter().filter(|(read, _, _)| read[0] == 0).count();
    let share = cues as f64 / count as f64;
    assert!(share > 0.1 && share < 0.9);
    for device in both() {
        let accuracy = |(config, flat): (Config, Vec<f32>), lanes: u32, segment: u32| {
            let held = EvalSet::sequences(sequences(RECALL, count), lanes);
            let plan = Plan::with(config.dims(lanes), held.longest(), segment, false);
            let mut engine = Engine::new(&device, config, plan, &Optimizer::Sgd { momentum: 0.0 }.update(Clip::None)).unwrap();
            engine.set_parameters(&flat).unwrap();
            held.answers(&mut engine, || Ok(())).unwrap().unwrap().accuracy()
        };
        for (lanes, segment) in [(1, 1), (3, 64), (7, 5)] {
            assert_eq!(accuracy(keeper(1, None), lanes, segment), 1.0, "{device}");
            assert_eq!(accuracy(keeper(2, Some(0.5)), lanes, segment), 1.0, "{device}");
            assert_eq!(accuracy(keeper(1, Some(1.5)), lanes, segment), share, "{device}: the first answer always");
            let (config, mut flat) = keeper(1, None);
            flat.fill(0.0);
            assert_eq!(accuracy((config, flat), lanes, segment), 0.0, "{device}: where all are equal, none is the largest");
        }
    }
}

fn fresh(name: &str) -> PathBuf {
    folder("tasks").join(name)
}

/// Trains a small run on a task; returns its summary.
fn train(out: &Path, more: &[&str]) -> Value {
    let args = ["train", "--hidden=16", "--batch=8", "--device=cpu", "--json", "--out", out.to_str().unwrap()];
    let done = retrograd(&[&args[..], more].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

fn validations(run: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    lines.lines().map(|l| serde_json::from_str(l).unwrap()).filter(|l: &Value| !l["val_loss"].is_null()).collect()
}

#[test]
fn a_run_reports_right_answers() {
    let out = fresh("learned");
    let summary = train(&out, &["--task=recall:2,2", "--examples=600", "--updates=300", "--lr=0.01"]);
    assert_eq!(summary["chance_accuracy"], 0.5);
    assert!(summary["val_accuracy"].as_f64().unwrap() > 0.95, "{summary}");
    assert_eq!(summary["sample"], "");
    assert_eq!(validations(&out).last().unwrap()["val_accuracy"], summary["val_accuracy"]);
    let eval = |more: &[&str]| retrograd(&[&["eval", out.to_str().unwrap(), "--device=cpu"], more].concat());
    let found: Value = serde_json::from_slice(&eval(&["--json", "--examples=300"]).stdout).unwrap();
    assert!(found["accuracy"].as_f64().unwrap() > 0.95 && found["tokens"] == 300 && found["chance_accuracy"] == 0.5, "{found}");
    let other: Value = serde_json::from_slice(&eval(&["--json", "--examples=300", "--seed=1"]).stdout).unwrap();
    assert!(other["loss"] != found["loss"]);
    let losses = out.join("losses.jsonl");
    let spoken = eval(&["--sequences", losses.to_str().unwrap()]);
    assert!(text(&spoken.stdout).contains("by chance 50.0%"), "{}", text(&spoken.stdout));
    let first: Value = serde_json::from_str(std::fs::read_to_string(losses).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((&first["tokens"], &first["nats"]), (&1.into(), &first["loss"]));
    let named = out.to_str().unwrap();
    refused(&["sample", named], 2, &["recall:2,2", "retrograd eval"]);
    refused(&["eval", named, "x.txt"], 2, &["recall:2,2", "leave the text out"]);
    refused(&["eval", named, "--lines"], 2, &["--lines"]);
    refused(&["train", "x.txt", "--resume", named], 2, &["recall:2,2", "leave the text out"]);
    refused(&["train", "--resume", named, "--task=recall:2,3"], 2, &["--task recall:2,3", "recall:2,2"]);
}

#[test]
fn a_text_has_no_right_answers() {
    let out = fresh("text");
    let summary = train(&out, &["--updates=3"]);
    assert!(summary["val_accuracy"].is_null() && summary["chance_accuracy"].is_null() && summary.get("val_accuracy").is_some());
    assert!(validations(&out)[0]["val_accuracy"].is_null());
    assert!(!std::fs::read_to_string(out.join("config.toml")).unwrap().contains("task"));
    refused(&["eval", out.join("model.safetensors").to_str().unwrap()], 2, &["no text given"]);
    refused(&["eval", out.to_str().unwrap(), "x.txt", "--seed=1"], 2, &["--seed"]);
}

#[test]
fn a_run_on_a_task_goes_on_with_the_same_bytes() {
    let more = ["--task=adding:6", "--examples=300", "--truncation=random:0.8", "--val-every=50"];
    let (whole, again, part) = (fresh("whole"), fresh("again"), fresh("part"));
    let summaries = [&whole, &again].map(|out| train(out, &[&more[..], &["--updates=150"]].concat()));
    assert_eq!(summaries[0]["val_accuracy"], summaries[1]["val_accuracy"]);
    train(&part, &[&more[..], &["--updates=100"]].concat());
    let done = retrograd(&["train", "--updates=150", "--json", "--resume", part.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let resumed: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&resumed["val_accuracy"], &resumed["tokens"]), (&summaries[0]["val_accuracy"], &summaries[0]["tokens"]));
    for name in ["model.safetensors", "best.safetensors"] {
        let bytes = |run: &Path| std::fs::read(run.join(name)).unwrap();
        assert!(bytes(&whole) == bytes(&again) && bytes(&whole) == bytes(&part), "{name} differs");
    }
    let accuracies = |run: &Path| validations(run).iter().map(|l| l["val_accuracy"].clone()).collect::<Vec<_>>();
    assert_eq!((accuracies(&whole), accuracies(&whole).len()), (accuracies(&part), 3));
    // Changed sequences are detected.
    let config = part.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("examples = 300", "examples = 301")).unwrap();
    refused(&["train", "--updates=200", "--resume", part.to_str().unwrap()], 1, &["adding:6", "checksum"]);
}

#[test]
fn bad_tasks_are_refused() {
    for (task, words) in [
        ("recall:0,5", &["recall:0,5", "from 2 to"][..]),
        ("recall:8", &["recall:8", "recall:SYMBOLS,T"]),
        ("recall:8,0", &["recall:8,0", "from 1 to"]),
        ("recall:8,20,1", &["recall:SYMBOLS,T"]),
        ("copy:0", &["copy:0", "from 1 to"]),
        ("adding:1", &["adding:1", "from 2 to"]),
        ("parity:9", &["parity:9", "adding:T"]),
        ("", &["--task"]),
    ] {
        refused(&["train", &format!("--task={task}"), "--device=cpu"], 2, words);
    }
    refused(&["train", "book.txt", "--task=copy:3"], 2, &["--task", "leave out the text"]);
    refused(&["train", "--lines", "--task=copy:3"], 2, &["--task", "--lines"]);
    refused(&["train", "--separator=x", "--task=copy:3"], 2, &["--task", "--separator"]);
    refused(&["train", "--bytes", "--task=copy:3"], 2, &["--task", "--bytes"]);
    refused(&["train", "--examples=9"], 2, &["--task"]);
    refused(&["train", "--task=copy:3", "--examples=0"], 2, &["--examples"]);
    refused(&["train", "--task=copy:3", "--examples=1"], 2, &["task copy:3", "at least 2", "--examples"]);
    refused(&["train", "--task=copy:1000000"], 2, &["lower --examples"]);
}
