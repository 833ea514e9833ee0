//! Sequences of numbers with labels, from files: wide and long tables, class weights, figures by label, bad input.

use crate::cli::{file, folder, refused, retrograd, str, text};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn fresh(name: &str) -> PathBuf {
    let path = folder("number-labels").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn json(args: &[&str]) -> Value {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Traces that rise or fall by a slope under noise, far from zero; `rare` of 100 fall.
fn traces(count: usize, rare: usize, seed: u64) -> Vec<(&'static str, Vec<f64>)> {
    under(0.5, count, rare, seed)
}

fn under(noise: f64, count: usize, rare: usize, seed: u64) -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |i: usize| {
        let (label, slope) = if i % 100 < rare { ("falls, mostly", -0.12) } else { ("rises", 0.12) };
        let steps = rng.random_range(8..=12);
        (label, (0..steps).map(|t| 1000.0 + 50.0 * (slope * f64::from(t) + rng.random_range(-noise..noise))).collect())
    };
    (0..count).map(one).collect()
}

/// A row a sequence; shorter ones end in empty cells. With the label in a column of its own, or without.
fn wide(name: &str, traces: &[(&str, Vec<f64>)], labels: bool) -> PathBuf {
    let cells = |v: &[f64]| (0..12).map(|t| v.get(t).map_or(String::new(), |x| format!("{x:.4}"))).collect::<Vec<_>>().join(",");
    let head = (0..12).map(|t| format!("t{t}")).collect::<Vec<_>>().join(",");
    let mut out = format!("{head}{}\n", if labels { ",kind" } else { "" });
    traces.iter().for_each(|(label, v)| out += &format!("{}{}\n", cells(v), if labels { format!(",\"{label}\"") } else { String::new() }));
    file(name, out.as_bytes())
}

/// A row a step of two channels, the second of no use.
fn long(name: &str, traces: &[(&str, Vec<f64>)]) -> PathBuf {
    let mut out = "id;second;kind;a;b\n".to_string();
    for (i, (label, v)) in traces.iter().enumerate() {
        v.iter().enumerate().for_each(|(t, x)| out += &format!("trace {i};{t};{label};{};{}\n", format!("{x:.4}").replace('.', ","), t % 3));
    }
    file(name, out.as_bytes())
}

const SMALL: [&str; 8] = ["--hidden=16", "--cell=gru", "--updates=150", "--lr=0.01", "--batch=16", "--device=cpu", "--quiet", "--json"];

/// Trains with [`SMALL`], but for the flags given.
fn train(table: &Path, run: &Path, more: &[&str]) -> Value {
    let key = |flag: &str| flag.split('=').next().unwrap_or_default().to_string();
    let small: Vec<&str> = SMALL.into_iter().filter(|s| !more.iter().any(|m| key(m) == key(s))).collect();
    json(&[&["train", str(table), "--out", str(run)][..], &small, more].concat())
}

#[test]
fn a_wide_table_is_trained_on_evaluated_and_predicted() {
    let (train_on, test) = (traces(300, 50, 1), traces(100, 50, 2));
    let run = fresh("wide");
    let summary = train(&wide("wide.csv", &train_on, true), &run, &["--label-column=kind"]);
    assert!(summary["best_val_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
    let held = std::fs::read_to_string(run.join("held_out.txt")).unwrap();
    assert!(held.lines().count() == 30 && held.lines().all(|n| (2..=301).contains(&n.parse::<u64>().unwrap())), "{held}");

    let table = wide("wide-test.csv", &test, true);
    let found = json(&["eval", str(&run), str(&table), "--device=cpu", "--json"]);
    assert!(found["accuracy"].as_f64().unwrap() > 0.9, "{found}");
    let confusion: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).unwrap();
    let (right, named, of) = (confusion[0][0] as f64, (confusion[0][0] + confusion[1][0]) as f64, confusion[0].iter().sum::<u64>() as f64);
    let first = &found["by_label"][0];
    assert_eq!((first["label"].as_str(), first["count"].as_f64()), (Some("falls, mostly"), Some(50.0)));
    for (key, expected) in [("precision", right / named), ("recall", right / of), ("f1", 2.0 * right / (named + of))] {
        assert!((first[key].as_f64().unwrap() - expected).abs() < 1e-12, "{key}: {found}");
    }
    let f1: Vec<f64> = (0..2).map(|i| found["by_label"][i]["f1"].as_f64().unwrap()).collect();
    assert!((found["macro_f1"].as_f64().unwrap() - (f1[0] + f1[1]) / 2.0).abs() < 1e-12);
    let shown = text(&retrograd(&["eval", str(&run), str(&table), "--device=cpu"]).stdout);
    assert!(shown.contains("falls, mostly") && shown.contains("macro F1") && shown.contains("over 100 sequences"), "{shown}");

    // With labels or without, the predictions are the same; the file says what standard output does.
    let labelled = json(&["predict", str(&run), str(&table), "--json"]);
    let bare = wide("wide-bare.csv", &test, false);
    let out = run.join("labels.csv");
    let predicted = json(&["predict", str(&run), str(&bare), "--json", "--out", str(&out)]);
    assert_eq!(predicted["predictions"], labelled["predictions"]);
    let right = predicted["predictions"].as_array().unwrap().iter().zip(&test).filter(|(p, t)| p["label"] == t.0).count();
    assert_eq!(right as f64 / 100.0, found["accuracy"].as_f64().unwrap());
    let written = std::fs::read_to_string(&out).unwrap();
    let mut lines = written.lines();
    assert_eq!(lines.next(), Some("line,label,probability,\"p(falls, mostly)\",p(rises)"));
    assert!(lines.clone().count() == 100 && lines.all(|l| l.rsplit(',').take(2).map(|p| p.parse::<f64>().unwrap()).sum::<f64>() > 0.999_99));
    // A model file alone reads such a table too.
    let model = run.join("best.safetensors");
    assert_eq!(json(&["predict", str(&model), str(&bare), "--json"])["predictions"], labelled["predictions"]);
    assert_eq!(json(&["eval", str(&model), str(&table), "--label-column=kind", "--device=cpu", "--json"])["loss"], found["loss"]);
    // The held-out part is scored without a file.
    assert_eq!(json(&["eval", str(&run), "--device=cpu", "--json"])["sequences"], 30);
}

#[test]
fn a_long_table_has_several_channels_and_goes_on_to_the_same_bytes() {
    let data = traces(120, 50, 3);
    let table = long("long.csv", &data);
    let flags = ["--label-column=kind", "--sequence-column=id", "--ignore=second", "--class-weights=balanced"];
    let (whole, parts) = (fresh("long"), fresh("long-parts"));
    train(&table, &whole, &flags);
    train(&table, &parts, &[&flags[..], &["--save-every=50", "--log-every=50"]].concat());
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert_eq!(model(&whole), model(&parts));
    let (resumed, at_once) = (fresh("long-resumed"), fresh("long-at-once"));
    train(&table, &resumed, &[&flags[..], &["--schedule=constant"]].concat());
    json(&["train", "--resume", str(&resumed), "--updates=200", "--quiet", "--json"]);
    train(&table, &at_once, &[&flags[..], &["--schedule=constant", "--updates=200"]].concat());
    assert_eq!(model(&resumed), model(&at_once));

    let found = json(&["predict", str(&whole), str(&table), "--json"]);
    let first = &found["predictions"][0];
    assert_eq!((first["sequence"].as_str(), first["line"].as_u64(), found["lines"].as_u64()), (Some("trace 0"), Some(2), Some(120)));
    let shown = text(&retrograd(&["predict", str(&whole), str(&table)]).stdout);
    assert!(shown.lines().next().unwrap().starts_with("trace 0\t"), "{shown}");
    // The channels are found by name, whatever their order.
    let swapped = text(&std::fs::read(&table).unwrap());
    let swapped: String = swapped.lines().map(|l| l.split(';').rev().collect::<Vec<_>>().join(";") + "\n").collect();
    let swapped = file("long-swapped.csv", swapped.as_bytes());
    assert_eq!(json(&["predict", str(&whole), str(&swapped), "--json"])["predictions"], found["predictions"]);
    refused(&["predict", str(&whole.join("model.safetensors")), str(&table)], 2, &["--sequence-column"]);
}

/// Where one label is rare, its weight decides how often it is named.
#[test]
fn a_rare_label_is_named_more_often_with_balanced_weights() {
    let table = wide("rare.csv", &under(2.0, 400, 6, 5), true);
    let named = |name: &str, more: &[&str]| {
        let run = fresh(name);
        train(&table, &run, &[&["--label-column=kind", "--updates=60"][..], more].concat());
        let found = json(&["eval", str(&run), str(&table), "--device=cpu", "--last-model", "--json"]);
        let counts: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).unwrap();
        counts[0][0] + counts[1][0]
    };
    let short: Vec<u64> =
        [&[][..], &["--class-weights=balanced"], &["--class-weights=30,1"]].iter().enumerate().map(|(i, m)| named(&format!("rare-{i}"), m)).collect();
    assert!(short[0] < short[1] && short[1] < short[2], "{short:?}");
}

#[test]
fn what_is_not_so_is_refused_in_one_line() {
    let good = wide("refused.csv", &traces(100, 50, 7), true);
    let ragged = file("ragged.csv", b"kind,a,b\nu,1,2\nv,3\n");
    let again = file("again.csv", b"id,kind,a\nk,u,1\nm,v,1\nk,u,2\n");
    let alone = file("alone.csv", b"kind,a,b\nu,1,2\nv,3,4\nw,5,6\n");
    let mixed = file("mixed-label.csv", b"id,kind,a\nk,u,1\nk,v,1\n");
    for (args, code, words) in [
        (vec!["train", str(&ragged), "--label-column=kind"], 1, &["line 3", "2 cells", "3"][..]),
        (vec!["train", str(&again), "--label-column=kind", "--sequence-column=id"], 1, &["line 4", "\"k\" comes back"]),
        (vec!["train", str(&mixed), "--label-column=kind", "--sequence-column=id"], 1, &["line 3", "\"v\" here and \"u\" in line 2"]),
        (vec!["train", str(&alone), "--label-column=kind"], 2, &["--val-fraction"]),
        (vec!["train", str(&good), "--label-column=kind", "--class-weights=1,2,3"], 2, &["3 weights, and there are 2 labels"]),
        (vec!["train", str(&good), "--label-column=kind", "--class-weights=heavy"], 2, &["balanced"]),
        (vec!["train", str(&good), "--class-weights=balanced"], 2, &["--class-weights is about labels"]),
        (vec!["train", str(&good), "--sequence-column=id"], 2, &["--sequence-column is about labels"]),
        (vec!["train", str(&good), "--label-column=kind", "--missing=mean"], 2, &["--missing mean is for series"]),
        (vec!["train", str(&good), "--label-column=kind", "--text-column=t1", "--ignore=t2"], 2, &["--text-column names texts"]),
        (vec!["train", str(&good), "--label-column=kind", "--horizon=3"], 2, &["--horizon"]),
    ] {
        let out = fresh("nothing");
        refused(&[&args[..], &["--out", str(&out)]].concat(), code, words);
        assert!(!out.exists(), "{args:?}");
    }
    let run = fresh("refusing");
    train(&good, &run, &["--label-column=kind", "--updates=5"]);
    let unknown = file("unknown-label.csv", b"kind,t0,t1\nup,1,2\n");
    refused(&["eval", str(&run), str(&unknown)], 1, &["line 2", "\"up\", which is not among the model's"]);
    refused(&["predict", str(&run), str(&good), "--text-column=t1"], 2, &["--text-column is for texts"]);
    refused(&["predict", str(&run), str(&good), "--sequence-column=t1"], 2, &["one sequence a row"]);
    refused(&["eval", str(&run), str(&good), "--unknown=skip"], 2, &["--unknown is for texts"]);
}
