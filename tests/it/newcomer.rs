//! What a first-time user sees: how a run ends, hints that can be pasted, questions about tables, pages by kind.

use crate::cli::{file, folder, ok, refused, run, str};
use crate::skip::lacks;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fresh(name: &str) -> PathBuf {
    let path = folder("newcomer").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

const SMALL: [&str; 5] = ["--hidden=16", "--batch=4", "--truncation=regular:16", "--device=cpu", "--seed=3"];

fn train(out: &Path, more: &[&str]) -> [String; 2] {
    let name = |flag: &str| flag.split('=').next().unwrap_or(flag).to_string();
    let rest = SMALL.into_iter().filter(|flag| !more.iter().any(|m| name(m) == name(flag)));
    ok(&[&["train", "--out", str(out)], &rest.collect::<Vec<_>>()[..], more].concat())
}

fn config(run: &Path) -> toml::Table {
    std::fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

fn summary(run: &Path) -> Value {
    std::fs::read_to_string(run.join("summary.json")).unwrap().parse().unwrap()
}

/// Random text that can only be memorised: the training part says nothing about the held-out part.
fn memorable() -> PathBuf {
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 60) as u8)
    };
    let text: String = (0..900).map(|_| draw()).collect();
    file("memorable.txt", text.as_bytes())
}

#[test]
fn a_text_falls_along_a_cosine_and_is_validated_at_an_interval_that_is_kept() {
    let out = fresh("defaults");
    train(&out, &["--updates=60", "--sample=0"]);
    let kept = config(&out);
    assert_eq!(kept["schedule"].as_str(), Some("cosine:0"));
    assert!(kept["val-every"].as_integer().unwrap() > 60, "an update of 64 symbols, a validation of thousands: {kept}");
    let rates: Vec<f64> =
        std::fs::read_to_string(out.join("metrics.jsonl")).unwrap().lines().filter_map(|l| l.parse::<Value>().unwrap()["learning_rate"].as_f64()).collect();
    assert!(rates[rates.len() - 1] < 0.1 * rates[0], "{rates:?}");
    // On a short text, validating at intervals is affordable, and a resumed run keeps the interval.
    let short = fresh("interval");
    let text = memorable();
    train(&short, &[str(&text), "--truncation=regular:64", "--batch=8", "--updates=200", "--sample=0"]);
    let every = config(&short)["val-every"].as_integer().unwrap();
    assert!((1..=100).contains(&every), "{every}");
    ok(&["train", "--resume", str(&short), "--updates=300", "--sample=0", "--quiet"]);
    assert_eq!(config(&short)["val-every"].as_integer(), Some(every));
}

#[test]
fn a_run_that_overfits_ends_with_its_best_model() {
    if lacks(cfg!(unix), "a shell and signals of Unix") {
        return;
    }
    let (out, text) = (fresh("my out"), memorable());
    let [written, said] = train(&out, &[str(&text), "--hidden=48", "--updates=400", "--lr=0.01", "--schedule=constant", "--val-every=20", "--sample=60"]);
    let end = summary(&out);
    let best = end["best_update"].as_u64().unwrap();
    assert!(best < 400 && end["sample_update"] == best, "{end}");
    // The hint can be pasted, and writes the sample that the run printed.
    let hint = said.split('`').find(|part| part.starts_with("retrograd sample")).unwrap_or_else(|| panic!("{said}"));
    assert!(hint.ends_with("my out' --best") && said.contains(&format!("of update {best}")), "{said}");
    let pasted = format!("{} --length 60 --seed 3", hint.replacen("retrograd", &format!("'{}'", env!("CARGO_BIN_EXE_retrograd")), 1));
    let again = run(Command::new("sh").args(["-c", &pasted]));
    assert_eq!(crate::cli::text(&again.stdout).trim_end(), written.trim_end(), "{pasted}");
    // Of 20 validations only the informative ones are printed.
    let lines = said.lines().filter(|l| l.starts_with("validation: ")).count();
    let best_ones = said.lines().filter(|l| l.ends_with("the best so far")).count();
    assert_eq!(lines, best_ones + 1, "{said}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("the best model"), "the sample is told from the last");
    // An early stop names it too.
    let early = fresh("early");
    let [_, said] =
        train(&early, &[str(&text), "--hidden=48", "--updates=900", "--lr=0.01", "--schedule=constant", "--val-every=20", "--patience=3", "--sample=0"]);
    assert!(said.contains("stopped early: validation has not improved 3 times in a row"), "{said}");
    assert!(said.contains("--best` writes text with the best model") && !said.contains("as below"), "{said}");
}

#[test]
fn names_with_a_dash_can_be_pasted() {
    let out = folder("cli").join("-x");
    let _ = std::fs::remove_dir_all(&out);
    let [_, said] = ok(&[&["train", "--out=-x", "--updates=2"], &SMALL[..]].concat());
    assert!(said.contains("`retrograd sample ./-x`"), "{said}");
    ok(&["sample", "./-x", "--length=1"]);
}

#[test]
fn tables_are_asked_about_and_can_be_texts() {
    let sales = "day,price\n".to_string() + &(0..300).map(|i| format!("{},{}.5\n", 20240000 + i, i % 17)).collect::<String>();
    let csv = file("newcomer sales.csv", sales.as_bytes());
    let plain = file("newcomer sales.txt", sales.replace(',', "\t").as_bytes());
    for path in [&csv, &plain] {
        for command in [&["train", str(path)][..], &["plan", str(path)], &["compare", str(path)], &["gradflow", str(path)]] {
            let tables = ["train", "plan"].contains(&command[0]);
            refused(command, 2, if tables { &["looks like a table", "--target day", "--text"] } else { &["looks like a table", "--text"] });
        }
    }
    // Each suggested way works.
    let (as_text, again) = (fresh("as text"), fresh("again"));
    train(&as_text, &[str(&csv), "--text", "--updates=2", "--quiet"]);
    assert_eq!(config(&as_text)["table-as-text"].as_bool(), Some(true));
    ok(&["train", "--config", str(&as_text.join("config.toml")), "--out", str(&again), "--updates=3", "--quiet"]);
    ok(&["train", "--resume", str(&again), "--updates=4", "--text", "--quiet"]);
    train(&fresh("as bytes"), &[str(&csv), "--bytes", "--updates=2", "--quiet"]);
    train(&fresh("as series"), &[str(&csv), "--target=price", "--updates=2", "--quiet"]);
    train(&fresh("as series, tabs"), &[str(&plain), "--target=price", "--delimiter=\\t", "--updates=2", "--quiet"]);
    ok(&["plan", str(&csv), "--text", "--device=cpu", "--quiet"]);
    refused(&["train", str(&csv), "--text", "--target=price"], 2, &["--text", "--target"]);
}

#[test]
fn small_things_are_said() {
    let out = fresh("small");
    train(&out, &["--updates=2", "--quiet"]);
    for (name, more, words) in [("m.pt", &[][..], [".pt", ".safetensors"]), ("m.h5", &[], [".h5", ".safetensors"]), ("m.pt", &["--onnx"], [".pt", ".onnx"])] {
        let path = fresh(name);
        refused(&[&["export", str(&out), str(&path)], more].concat(), 2, &words);
        assert!(!path.exists());
    }
    let picture = fresh("plan.svg");
    let [_, said] = ok(&["plan", "--device=cpu", "--svg", str(&picture)]);
    assert!(said.contains(&format!("wrote {}", picture.display())), "{said}");
    let [checks, _] = ok(&["gradcheck", "--device=cpu"]);
    let count = checks.lines().count() - 1;
    assert_eq!(checks.lines().last(), Some(format!("{count} of {count} ok").as_str()));
    let one = file("newcomer one.csv", ("x\n".to_string() + &(0..120).map(|i| format!("{}\n", i % 7)).collect::<String>()).as_bytes());
    let series = fresh("one");
    train(&series, &[str(&one), "--target=x", "--updates=2", "--quiet"]);
    let [_, said] = ok(&["predict", str(&series), str(&one), "--last=0", "--out", str(&fresh("p.csv"))]);
    assert!(!said.contains("1 rows") && !said.contains("1 series"), "{said}");
}

#[test]
fn pages_say_what_each_kind_of_run_is_about() {
    let lines: String =
        (0..200).map(|i| format!("{}\t{}\n", if i % 2 == 0 { "sun and sea" } else { "rain or wind" }, if i % 2 == 0 { "good" } else { "bad" })).collect();
    let mails = file("newcomer mails.tsv", lines.as_bytes());
    let numbers: String = "x\n".to_string() + &(0..400).map(|i| format!("{}\n", i % 7)).collect::<String>();
    let numbers = file("newcomer numbers.csv", numbers.as_bytes());
    let [a, b, c, d] = ["page text", "page labels", "page task", "page series"].map(fresh);
    train(&a, &["--updates=20", "--quiet"]);
    train(&b, &[str(&mails), "--label-column=2", "--updates=20", "--quiet"]);
    train(&c, &["--task=recall:4,4", "--updates=20", "--quiet"]);
    train(&d, &[str(&numbers), "--target=x", "--updates=20", "--quiet"]);
    let page = |run: &Path| std::fs::read_to_string(run.join("report.html")).unwrap();
    let has = |run: &Path, words: &[&str], not: &[&str]| {
        let page = page(run);
        words.iter().for_each(|w| assert!(page.contains(w), "{}: {w}", run.display()));
        not.iter().for_each(|w| assert!(!page.contains(w), "{}: {w}", run.display()));
    };
    has(&a, &["bits per symbol", "symbols per second", "Samples"], &["Right answers"]);
    has(&b, &["Right labels", "Right answers", "by chance", "nats per label", "labels per second"], &["per symbol", "<h2>Samples"]);
    has(&c, &["Right answers", "nats per answer", "answers per second"], &["per symbol", "<h2>Samples"]);
    has(&d, &["rows per second", "Errors"], &["per symbol", "Right answers"]);
    // Several kinds on one page are not compared.
    let out = fresh("kinds.html");
    ok(&["report", str(&a), str(&b), str(&c), str(&d), "--out", str(&out)]);
    let all = std::fs::read_to_string(&out).unwrap();
    for words in ["of 4 kinds", "Results: texts of characters", "Results: labels", "Results: answers", "Results: series", "Labels per s", "Rows per s"] {
        assert!(all.contains(words), "{words}");
    }
    assert!(!all.contains("lowest validation loss") && !all.contains("of it per s"));
    ok(&["report", str(&a), str(&a), "--out", str(&fresh("same.html"))]);
}

#[test]
fn a_comparison_shows_the_text_from_its_first_symbol_and_names_as_pytorch_has_them() {
    let book = file("newcomer book.txt", "Quietly flows the river, and the mill turns.\n".repeat(60).as_bytes());
    let out = fresh("compared");
    let base = ["compare", str(&book), "--hidden=8", "--batch=4", "--length=32", "--updates=3", "--draws=2", "--device=cpu", "--quiet", "--json"];
    let [json, _] = ok(&[&base[..], &["--strategies", "full", "regular:4", "--out", str(&out)]].concat());
    assert!(json.parse::<Value>().unwrap()["stretch"].as_str().unwrap().starts_with("Quietly flows"));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("compared on newcomer book.txt</h1>"), "a title has no folders");
    assert!(page.contains("rnn.weight_hh_l0") && page.contains("head.weight") && !page.contains("w_hh.0"));
}
