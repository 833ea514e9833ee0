//! Numbers that go wrong: found and named, skipped and counted; and the smallest possible sizes.

use crate::cli::{file, folder, retrograd, text};
use crate::devices::names;
use retrograd::data::{Codec, Vocabulary};
use retrograd::model::{Config, Init};
use retrograd::store::{Model, TrainedOn};
use serde_json::Value;
use std::path::Path;

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fresh(name: &str) -> std::path::PathBuf {
    let path = folder("anomaly").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// A run that diverges: linear units with a spectral radius far above 1.
const DIVERGES: [&str; 9] =
    ["train", "--hidden=8", "--batch=2", "--truncation=regular:64", "--activation=identity", "--init=identity:9", "--clip-norm=0", "--lr=1", "--sample=0"];

#[test]
fn the_first_number_that_is_not_finite_is_named() {
    for &device in names() {
        let out = retrograd(&[&DIVERGES[..], &["--device", device, "--out", str(&fresh(device)), "--detect-anomaly", "--updates=3"]].concat());
        let message = text(&out.stderr);
        let line = message.lines().find(|l| l.starts_with("error: update ")).unwrap_or_else(|| panic!("{device}: {message}"));
        assert_eq!(out.status.code(), Some(1));
        for word in ["error: update 1: ", "the first number that is not finite is ", "kernel scan_forward_rnn wrote it for h.0", "lane ", "unit ", "not finite"]
        {
            assert!(line.contains(word), "{device}: {word:?} is not in {line}");
        }
    }
}

#[test]
fn without_looking_such_updates_are_skipped_and_the_run_ends_with_advice() {
    let run = fresh("skipped");
    let out = retrograd(&[&DIVERGES[..], &["--device=cpu", "--updates=150", "--json", "--out", str(&run)]].concat());
    let message = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{message}");
    assert!(message.contains("updates were skipped because a gradient was not finite") && message.contains("lower --lr"), "{message}");
    let model = retrograd(&["eval", str(&run), str(&file("any.txt", "lorem ipsum dolor ".repeat(20).as_bytes())), "--device=cpu"]);
    assert!(model.status.success() || text(&model.stderr).contains("error: "), "{}", text(&model.stderr));
}

#[test]
fn looking_changes_no_bit() {
    for &device in names() {
        let models = [&["--quiet"][..], &["--detect-anomaly"]].map(|more| {
            let run = fresh(&format!("same-{device}-{}", more[0].len()));
            let args = ["train", "--hidden=12", "--layers=2", "--dropout=0.2", "--batch=3", "--truncation=regular:9", "--updates=6", "--sample=0"];
            let out = retrograd(&[&args[..], &["--device", device, "--out", str(&run)], more].concat());
            assert!(out.status.success(), "{device}: {}", text(&out.stderr));
            std::fs::read(run.join("model.safetensors")).unwrap()
        });
        assert!(models[0] == models[1], "{device}");
    }
}

/// One unit, one lane, one step; one symbol; sequences of one symbol; all in one.
#[test]
fn the_smallest_sizes_train() {
    let one = file("one symbol.txt", "a".repeat(300).as_bytes());
    let lines = file("one symbol lines.txt", "a\n".repeat(60).as_bytes());
    let two = file("two.txt", "ab".repeat(150).as_bytes());
    for &device in names() {
        for (i, (path, more)) in [
            (&one, &["--hidden=1", "--batch=1", "--truncation=regular:1"][..]),
            (&two, &["--hidden=1", "--batch=1", "--truncation=full"]),
            (&two, &["--hidden=3", "--batch=2", "--truncation=regular:1,5"]),
            (&two, &["--hidden=3", "--batch=2", "--truncation=random:0.01"]),
            (&lines, &["--hidden=2", "--batch=3", "--lines", "--truncation=regular:1"]),
            (&two, &["--hidden=1", "--layers=8", "--batch=1", "--embed=1", "--dropout=0.99"]),
        ]
        .into_iter()
        .enumerate()
        {
            let run = fresh(&format!("small-{device}-{i}"));
            let out = retrograd(&[&["train", str(path), "--updates=12", "--device", device, "--json", "--sample=5", "--out", str(&run)][..], more].concat());
            assert!(out.status.success(), "{device} {more:?}: {}", text(&out.stderr));
            let summary: Value = serde_json::from_slice(&out.stdout).unwrap();
            assert!(summary["train_loss"].as_f64().is_some_and(f64::is_finite) && summary["skipped_updates"] == 0, "{device} {more:?}: {summary}");
            let one_symbol = path == &one;
            assert!(!one_symbol || summary["train_loss"] == 0.0, "the only symbol there is is certain: {summary}");
        }
    }
}

/// Thirty rows of a column `y`, made from a wave, and a column `x`.
fn waves(y: impl Fn(f64) -> String, x: impl Fn(usize) -> String) -> Vec<u8> {
    let row = |i: usize| format!("{},{}\n", y((i as f64 * 0.7).sin()), x(i));
    format!("y,x\n{}", (0..30).map(row).collect::<String>()).into_bytes()
}

/// Infinities, numbers beyond the range of 32 bits, constant columns, and a column that varies only in the held-out part.
#[test]
fn numbers_of_a_table_that_nothing_can_be_learned_from_are_refused() {
    let wave = |s: f64| format!("{s:.4}");
    let other = |i: usize| (i * i % 7).to_string();
    let at = |i: usize, what: &'static str| move |j: usize| if i == j { what.to_string() } else { (j * j % 7).to_string() };
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("inf", waves(wave, at(4, "inf")), &["line 6, column \"x\"", "is infinite"]),
        ("minus", waves(wave, at(0, "-Infinity")), &["line 2, column \"x\"", "is infinite"]),
        ("beyond", waves(wave, at(4, "1e39")), &["line 6, column \"x\"", "3.4e38"]),
        ("far beyond", waves(wave, at(4, "1e999")), &["line 6, column \"x\"", "3.4e38"]),
        ("nan", waves(wave, at(4, "NaN")), &["line 6, column \"x\"", "is no number"]),
        ("equal targets", waves(|_| "5".into(), other), &["column \"y\" is the same in every row"]),
        ("far away", waves(wave, at(29, "3e38")), &["column \"x\" holds 3e38", "standard deviations"]),
        ("far below", waves(wave, at(29, "-3e38")), &["column \"x\" holds -3e38", "standard deviations"]),
    ];
    for (name, csv, words) in cases {
        let csv = file(&format!("{name}.csv"), &csv);
        let out = retrograd(&["train", str(&csv), "--target=y", "--device=cpu", "--updates=2", "--out", str(&fresh(name))]);
        let message = text(&out.stderr);
        assert!(out.status.code() == Some(1) && words.iter().all(|w| message.contains(w)) && !message.contains("panicked"), "{name}: {message}");
    }
}

/// Tables of denormal numbers, and of the largest numbers, are scaled like others: the same losses, and forecasts in their unit.
#[test]
fn the_smallest_and_the_largest_numbers_are_learned_like_others() {
    for &device in names() {
        let losses = ["", "e-40", "e-200", "e-290", "e38"].map(|unit| {
            let (run, csv) =
                (fresh(&format!("unit{unit}-{device}")), file(&format!("unit{unit}.csv"), &waves(|s| format!("{s:.4}{unit}"), |i| (i * i % 7).to_string())));
            let args = ["train", str(&csv), "--target=y", "--hidden=4", "--batch=1", "--updates=20", "--json", "--device", device, "--out", str(&run)];
            let out = retrograd(&args);
            assert!(out.status.success(), "{unit}: {}", text(&out.stderr));
            let forecasts = text(&retrograd(&["predict", str(&run), str(&csv)]).stdout);
            assert!(!forecasts.contains("NaN") && !forecasts.contains("inf") && forecasts.lines().count() > 20, "{unit}: {forecasts}");
            serde_json::from_slice::<Value>(&out.stdout).unwrap()["train_loss"].as_f64().unwrap()
        });
        assert!(losses.iter().all(|l| l.is_finite() && (l / losses[0] - 1.0).abs() < 1e-4), "{device}: {losses:?}");
    }
}

/// Denormal weights and steps have no effect on any device, whether or not it flushes denormals to zero.
#[test]
fn denormal_weights_and_steps_change_nothing() {
    let config = Config { hidden: 6, ..Config::symbols(3) };
    let mut parameters = Init::Uniform.parameters(&config, 3);
    parameters.iter_mut().for_each(|x| *x *= 1e-39);
    let path = fresh("denormal.safetensors");
    Model { config, codec: Codec::Text(Vocabulary::of("abc")), trained_on: TrainedOn::Stream, split_seed: None, parameters }.save(&path).unwrap();
    let abc = file("abc.txt", "abcacb".repeat(40).as_bytes());
    for &device in names() {
        let out = retrograd(&["eval", str(&path), str(&abc), "--device", device, "--json"]);
        assert!(out.status.success(), "{device}: {}", text(&out.stderr));
        let loss = serde_json::from_slice::<Value>(&out.stdout).unwrap()["loss"].as_f64().unwrap();
        assert!((loss - 3f64.ln()).abs() < 1e-6, "{device}: {loss}");
        let run = fresh(&format!("still-{device}"));
        let args = ["train", str(&abc), "--lr=1e-40", "--hidden=6", "--batch=2", "--updates=5", "--sample=0", "--json", "--device", device, "--out", str(&run)];
        let out = retrograd(&args);
        assert!(out.status.success(), "{device}: {}", text(&out.stderr));
        let summary: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert!(summary["train_loss"].as_f64().is_some_and(f64::is_finite) && summary["skipped_updates"] == 0, "{device}: {summary}");
    }
}
