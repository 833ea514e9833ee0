//! Sequences with labels: trained, evaluated, resumed, refused.

use crate::cli::{file, folder, refused, retrograd, str, text};
use crate::devices::without_gpu;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn fresh(name: &str) -> PathBuf {
    let path = folder("labels").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// Lines of `letters` letters, labelled by whether the first and the last are equal.
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

/// The label depends on the symbol 11 steps earlier; the model generalises to other lines.
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
    // The results per line add up to the same.
    let lines: Vec<Value> = std::fs::read_to_string(&losses).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let right = lines.iter().filter(|l| l["label"] == l["answer"]).count() as u64;
    assert_eq!((lines.len(), right), (500, confusion[0][0] + confusion[1][1]));
    let mean = lines.iter().map(|l| l["nats"].as_f64().unwrap()).sum::<f64>() / 500.0;
    assert!((mean - found["loss"].as_f64().unwrap()).abs() < 1e-9);
}

/// For any number of lanes, and on the GPU too.
#[test]
fn losses_of_labels_do_not_depend_on_lanes() {
    let (table, run) = (table("lanes.tsv", 60, 7, 3), fresh("lanes"));
    json(&["train", str(&table), "--label-column=2", "--hidden=9", "--updates=5", "--device=cpu", "--json", "--out", str(&run)]);
    let loss = |device: &str, lanes: &str| json(&["eval", str(&run), str(&table), "--device", device, "--lanes", lanes, "--json"])["loss"].as_f64().unwrap();
    let one = loss("cpu", "1");
    let gpu: &[_] = if without_gpu() { &[] } else { &[("gpu", "1"), ("gpu", "13")] };
    for &(device, lanes) in [("cpu", "4"), ("cpu", "64")].iter().chain(gpu) {
        assert!((loss(device, lanes) - one).abs() < 1e-6, "{device} {lanes}");
    }
}

#[test]
fn a_run_on_labels_goes_on_with_the_same_bytes() {
    let table = table("again.csv", 200, 9, 4);
    let args = |out: &Path, updates: &str| {
        let given = [
            str(&table),
            "--label-column=2",
            "--hidden=8",
            "--layers=2",
            "--dropout=0.3",
            "--batch=4",
            "--schedule=constant",
            "--device=cpu",
            "--quiet",
            "--out",
            str(out),
        ];
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
    // A model of labels writes no text, starts no training on text, and reads no table with other symbols or labels.
    refused(&["sample", str(&whole)], 1, &["predicts labels"]);
    refused(&["train", str(&table), "--from", str(&whole)], 1, &["predicts labels"]);
    let other = file("other labels.tsv", b"abc\tequal\nabd\tdifferent\nxyz\tequal\n");
    refused(&["eval", str(&whole), str(&other)], 1, &["line 3", "'x'", "not among"]);
    let other = file("unknown label.tsv", b"abc\tequal\nabd\tneither\n");
    refused(&["eval", str(&whole), str(&other)], 1, &["line 2", "\"neither\"", "\"different\", \"equal\""]);
}

/// Lines of words with one word, at any position, that determines the label; the label is in the second column.
fn words(lines: usize, seed: u64) -> Vec<[String; 2]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut line = || {
        let up = rng.random_range(0..2) == 0;
        let mut words: Vec<&str> = (0..rng.random_range(2..6)).map(|_| ["the", "day", "was", "and", "so", "it"][rng.random_range(0..6)]).collect();
        words.insert(rng.random_range(0..=words.len()), if up { "lovely" } else { "dismal" });
        [words.join(" "), if up { "up" } else { "down" }.to_string()]
    };
    (0..lines).map(|_| line()).collect()
}

fn joined(lines: &[[String; 2]], between: &str) -> String {
    lines.iter().map(|l| l.join(between) + "\n").collect()
}

/// A short run, and its output.
fn train(name: &str, content: &str, flags: &[&str]) -> (PathBuf, String) {
    // A table read as text would prompt a question.
    let ending = if flags.iter().any(|f| f.starts_with("--label-column")) { "tsv" } else { "txt" };
    let (table, run) = (file(&format!("{name}.{ending}"), content.as_bytes()), fresh(name));
    let out = retrograd(&[&["train", str(&table), "--hidden=8", "--updates=4", "--device=cpu", "--out", str(&run)][..], flags].concat());
    assert!(out.status.success(), "{name}: {}", text(&out.stderr));
    (run, text(&out.stderr).to_string())
}

fn summary(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap()
}

/// With only the column given, the determining word is found at any position; then lines without labels are classified.
#[test]
fn defaults_learn_and_labels_of_other_lines_are_named() {
    let (table, run) = (file("lovely.tsv", joined(&words(800, 1), "\t").as_bytes()), fresh("lovely"));
    let out = retrograd(&["train", str(&table), "--label-column=2", "--device=cpu", "--out", str(&run)]);
    let said = text(&out.stderr);
    assert!(out.status.success() && !said.contains("bits per symbol") && !said.contains("warning"), "{said}");
    let found = summary(&run);
    assert!(found["val_accuracy"].as_f64().unwrap() > 0.95 && found["val_bpc"].is_null() && found["updates"] == 2000, "{found}");
    let other = words(40, 2);
    let plain = file("plain lines.txt", other.iter().map(|l| format!("{}\n", l[0])).collect::<String>().as_bytes());
    let named = retrograd(&["predict", str(&run), str(&plain), "--quiet"]);
    let named: Vec<Vec<String>> = text(&named.stdout).lines().map(|l| l.split('\t').map(String::from).collect()).collect();
    assert_eq!(named.len(), 40);
    assert!(named.iter().zip(&other).filter(|(n, o)| n[0] == o[1]).count() >= 38, "{named:?}");
    assert!(named.iter().all(|n| (0.5..=1.0).contains(&n[1].parse::<f64>().unwrap())));
    // A table with a column of texts, and one laid out like the training table, give the same.
    let headed = file("headed.csv", ("id;body\n".to_string() + &other.iter().map(|l| format!("7;{}\n", l[0])).collect::<String>()).as_bytes());
    let laid_out = file("laid out.tsv", joined(&other, "\t").as_bytes());
    let csv = folder("labels").join("named.csv");
    let _ = std::fs::remove_file(&csv);
    let first = json(&["predict", str(&run), str(&headed), "--text-column=body", "--json", "--out", str(&csv)]);
    for (i, data) in [&plain, &laid_out].into_iter().enumerate() {
        let again = json(&["predict", str(&run), str(data), "--json"]);
        assert_eq!(again["lines"], 40, "{i}");
        for (a, b) in first["predictions"].as_array().unwrap().iter().zip(again["predictions"].as_array().unwrap()) {
            assert_eq!((&a["label"], &a["probabilities"]), (&b["label"], &b["probabilities"]));
            assert!((a["probabilities"][0].as_f64().unwrap() + a["probabilities"][1].as_f64().unwrap() - 1.0).abs() < 1e-9);
        }
    }
    assert_eq!(first["predictions"][0]["line"], 2, "the header is line 1");
    let table = std::fs::read_to_string(&csv).unwrap();
    assert!(table.starts_with("line,label,probability,p(down),p(up)\n2,") && table.lines().count() == 41, "{table}");
    refused(&["predict", str(&run), str(&headed), "--text-column=what"], 1, &["no column \"what\"", "\"id\", \"body\""]);
    refused(&["predict", str(&run), str(&plain), "--header=yes"], 2, &["--text-column"]);
    refused(&["predict", str(&run), str(&plain), "--last=3"], 2, &["numeric series"]);
}

/// A header line is not taken for a labelled line, whatever the columns are called; the decision is reported.
#[test]
fn lines_that_name_columns_are_found() {
    let lines = joined(&words(40, 3), "\t");
    for (name, header, flags, labels, said) in [
        ("number", "text\tlabel\n", &["--label-column=2"][..], 2, "line 1 is taken for names of columns: \"text\", \"label\""),
        ("odd words", "Satz\tStimmung\n", &["--label-column=2"], 2, "is taken for names of columns"),
        ("pandas", "0\t1\n", &["--label-column=1"], 2, "is taken for names of columns: \"0\", \"1\", by which"),
        ("stated", "one more line\thm\n", &["--label-column=2", "--header=yes"], 2, ""),
        ("no", "text\tlabel\n", &["--label-column=2", "--header=no"], 3, ""),
        ("rare", "it was so so\trare\n", &["--label-column=2"], 3, "warning: TABLE: the label \"rare\" stands in line 1 alone"),
        ("named", "text\tlabel\n", &["--label-column=label"], 2, ""),
        ("none", "", &["--label-column=2"], 2, ""),
        ("taken", "so it was\tup\n", &["--label-column=up"], 2, "but its \"up\" is a label in line"),
    ] {
        let (_, message) = train(&format!("header {name}"), &(header.to_string() + &lines), flags);
        assert!(message.contains(&format!(" {labels} labels")), "{name}: {message}");
        let told = said.replace("TABLE", str(&folder("files").join(format!("header {name}.tsv"))));
        assert!(message.contains(&told) || message.contains(said.trim_start_matches("warning: TABLE: ")), "{name}: {message}");
        assert_eq!(message.contains("taken for names"), said.contains("names of columns") || name == "taken", "{name}: {message}");
    }
}

#[test]
fn delimiters_cases_and_rare_labels_are_told() {
    let lines = words(60, 4);
    for (name, between) in [("bars", "|"), ("semicolons", ";")] {
        let (_, message) = train(name, &joined(&lines, between), &["--label-column=2"]);
        assert!(message.contains(" 2 labels"), "{message}");
    }
    let cased: Vec<[String; 2]> = (0..60).map(|i| [lines[i][0].clone(), if i % 3 == 0 { lines[i][1].to_uppercase() } else { lines[i][1].clone() }]).collect();
    let (_, message) = train("cased", &joined(&cased, "\t"), &["--label-column=2"]);
    assert!(message.contains("differ by case or blanks alone") && message.contains("\"DOWN\", \"down\""), "{message}");
    let rare = joined(&lines, "\t") + "it was\tnever seen\n";
    let (_, message) = train("rare", &rare, &["--label-column=2"]);
    assert!(message.contains("no line with the label \"never seen\" is held out"), "{message}");
    let long = joined(&lines, "\t") + "\"it was\nso\"\tup\n";
    let (_, message) = train("two lines", &long, &["--label-column=2"]);
    assert!(message.contains("lines 61 to 62 are one record"), "{message}");
    refused(&["train", str(&file("rows.jsonl", b"{\"text\": \"a\", \"label\": \"x\"}\n")), "--label-column=label"], 1, &["JSON Lines", "jq -r"]);
}

/// Held-out lines are sampled alike for both kinds, by a seed of their own; they are recorded, and scored if no other data is given.
#[test]
fn what_is_held_out_is_drawn_kept_and_scored() {
    let mut sorted = words(200, 5);
    sorted.sort_by(|a, b| a[1].cmp(&b[1]));
    let table = joined(&sorted, "\t");
    let numbers = |run: &Path| -> Vec<usize> { std::fs::read_to_string(run.join("held_out.txt")).unwrap().lines().map(|l| l.parse().unwrap()).collect() };
    let (first, _) = train("sorted", &table, &["--label-column=2"]);
    let held = numbers(&first);
    let ups = held.iter().filter(|n| sorted[**n - 1][1] == "up").count();
    let all = sorted.iter().filter(|l| l[1] == "up").count();
    assert!(held.len() == 20 && held.is_sorted() && (ups as f64 - all as f64 / 10.0).abs() < 1.0, "{held:?}");
    let (other, _) = train("sorted 2", &table, &["--label-column=2", "--seed=7"]);
    let (drawn, _) = train("sorted 3", &table, &["--label-column=2", "--split-seed=7"]);
    assert!(numbers(&other) == held && numbers(&drawn) != held);
    let source = folder("files").join("sorted 3.tsv");
    for (name, model) in [("sorted 4", drawn.clone()), ("sorted 5", drawn.join("model.safetensors"))] {
        let from = fresh(name);
        let out =
            retrograd(&["train", str(&source), "--label-column=2", "--from", str(&model), "--seed=3", "--updates=2", "--device=cpu", "--out", str(&from)]);
        assert!(out.status.success() && numbers(&from) == numbers(&drawn), "{}", text(&out.stderr));
    }
    // Lines of a text likewise: names in order.
    let names: String = (0..300).map(|i| format!("{}{i:03}\n", char::from(b'a' + (i / 12) as u8))).collect();
    let (lines, _) = train("names", &names, &["--lines"]);
    let held = numbers(&lines);
    assert!((25..=35).contains(&held.len()) && held.iter().filter(|n| **n <= 150).count() > 5, "{held:?}");
    let (stream, _) = train("stream", &names, &["--truncation=regular:8", "--batch=2"]);
    assert!(!stream.join("held_out.txt").exists());
    for run in [&first, &lines, &stream] {
        let found = json(&["eval", str(run), "--device=cpu", "--json"]);
        let (loss, before) = (found["loss"].as_f64().unwrap(), summary(run)["val_loss"].as_f64().unwrap());
        assert!((loss - before).abs() < 1e-6 && found["held_out"] == true, "{found} {before}");
    }
    assert_eq!(json(&["eval", str(&lines), str(&folder("files").join("names.txt")), "--device=cpu", "--json"])["held_out"], false);
    refused(&["train", str(&folder("files").join("stream.txt")), "--split-seed=1"], 2, &["--split-seed", "leave it out"]);
    refused(&["eval", str(&first.join("model.safetensors"))], 2, &["not the folder of a run"]);
    refused(&["eval", str(&lines), "--lines"], 2, &["--lines", "read as in training"]);
    let (whole, _) = train("whole", &table, &["--label-column=2", "--val-fraction=0"]);
    refused(&["eval", str(&whole)], 2, &["held nothing out"]);
    std::fs::write(folder("files").join("names.txt"), "gone\nelse\n").unwrap();
    refused(&["eval", str(&lines)], 1, &["is not the text", "put back what"]);
}

/// A run that has learned nothing says so and suggests what to try.
#[test]
fn labels_that_are_not_learned_are_told() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let table: String = (0..200).map(|_| format!("{}\t{}\n", rng.random_range(1000..9999), ["x", "y"][rng.random_range(0..2)])).collect();
    let (_, message) = train("noise", &table, &["--label-column=2", "--truncation=regular:4", "--lr=0.002"]);
    assert!(message.contains("no better than always naming the most frequent label") && message.contains("leave out --truncation, --lr"), "{message}");
    let (_, message) = train("noise again", &table, &["--label-column=2"]);
    assert!(message.contains("give --updates 3000 and --hidden 16"), "{message}");
}
