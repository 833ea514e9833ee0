//! Sequences with labels: trained, evaluated, gone on with, refused.

use crate::cli::{file, folder, refused, retrograd, text};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fresh(name: &str) -> PathBuf {
    let path = folder("labels").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// Lines of so many letters, and whether the first and the last are the same.
fn table(name: &str, lines: usize, letters: usize, seed: u64) -> PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = String::new();
    for i in 0..lines {
        let mut line: Vec<char> = (0..letters).map(|_| rng.random_range('a'..='h')).collect();
        if i % 2 == 0 {
            line[letters - 1] = line[0];
        } else if line[letters - 1] == line[0] {
            line[letters - 1] = if line[0] == 'h' { 'a' } else { char::from(line[0] as u8 + 1) };
        }
        all += &format!("{}\t{}\n", line.iter().collect::<String>(), if i % 2 == 0 { "equal" } else { "different" });
    }
    file(name, all.as_bytes())
}

fn json(args: &[&str]) -> Value {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The label depends on what was read 11 steps before; on other lines it is right as well.
#[test]
fn labels_of_first_and_last_symbols_are_learned() {
    let (train, test) = (table("train.tsv", 4000, 12, 1), table("test.tsv", 500, 12, 2));
    let run = fresh("equal");
    let args =
        ["--label-column=2", "--hidden=48", "--truncation=full", "--activation=relu", "--init=identity:1", "--lr=2e-3", "--updates=1200", "--device=cpu"];
    let summary = json(&[&["train", str(&train), "--json", "--out", str(&run)][..], &args].concat());
    assert!(summary["val_accuracy"].as_f64().unwrap() > 0.99 && summary["chance_accuracy"].as_f64().unwrap() < 0.6, "{summary}");
    let losses = run.join("losses.jsonl");
    let found = json(&["eval", str(&run), str(&test), "--device=cpu", "--json", "--sequences", str(&losses)]);
    assert!(found["accuracy"].as_f64().unwrap() > 0.99, "{found}");
    assert_eq!(found["labels"], serde_json::json!(["different", "equal"]));
    let confusion: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).unwrap();
    assert_eq!(confusion.iter().map(|row| row.iter().sum::<u64>()).collect::<Vec<_>>(), [250, 250]);
    // What is said of each line adds up to the same.
    let lines: Vec<Value> = std::fs::read_to_string(&losses).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let right = lines.iter().filter(|l| l["label"] == l["answer"]).count() as u64;
    assert_eq!((lines.len(), right), (500, confusion[0][0] + confusion[1][1]));
    let mean = lines.iter().map(|l| l["nats"].as_f64().unwrap()).sum::<f64>() / 500.0;
    assert!((mean - found["loss"].as_f64().unwrap()).abs() < 1e-9);
}

/// Whatever the lanes, and on the GPU too.
#[test]
fn losses_of_labels_do_not_depend_on_lanes() {
    let (table, run) = (table("lanes.tsv", 60, 7, 3), fresh("lanes"));
    json(&["train", str(&table), "--label-column=2", "--hidden=9", "--updates=5", "--device=cpu", "--json", "--out", str(&run)]);
    let loss = |device: &str, lanes: &str| json(&["eval", str(&run), str(&table), "--device", device, "--lanes", lanes, "--json"])["loss"].as_f64().unwrap();
    let one = loss("cpu", "1");
    for (device, lanes) in [("cpu", "4"), ("cpu", "64"), ("gpu", "1"), ("gpu", "13")] {
        assert!((loss(device, lanes) - one).abs() < 1e-6, "{device} {lanes}");
    }
}

#[test]
fn a_run_on_labels_goes_on_with_the_same_bytes() {
    let table = table("again.csv", 200, 9, 4);
    let args = |out: &Path, updates: &str| {
        let given = [str(&table), "--label-column=2", "--hidden=8", "--layers=2", "--dropout=0.3", "--batch=4", "--device=cpu", "--quiet", "--out", str(out)];
        let out = retrograd(&[&["train"][..], &given, &["--updates", updates]].concat());
        assert!(out.status.success(), "{}", text(&out.stderr));
    };
    let (whole, parted) = (fresh("whole"), fresh("parted"));
    args(&whole, "30");
    args(&parted, "11");
    let out = retrograd(&["train", "--resume", str(&parted), "--updates=30", "--quiet"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&parted));
    // A model of labels writes no text and reads no other table.
    refused(&["sample", str(&whole)], 1, &["predicts labels"]);
    refused(&["train", str(&table), "--from", str(&whole)], 1, &["predicts labels"]);
    let other = file("other labels.tsv", b"abc\tequal\nabd\tdifferent\nxyz\tequal\n");
    refused(&["eval", str(&whole), str(&other)], 1, &["line 3", "'x'", "not among"]);
    let other = file("unknown label.tsv", b"abc\tequal\nabd\tneither\n");
    refused(&["eval", str(&whole), str(&other)], 1, &["line 2", "\"neither\"", "\"different\", \"equal\""]);
}
