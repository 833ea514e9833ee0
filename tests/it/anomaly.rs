//! Numbers that go wrong: found and named, skipped and counted; and the smallest sizes there are.

use crate::cli::{file, folder, retrograd, text};
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

/// A training that diverges: linear units far beyond a radius of 1.
const DIVERGES: [&str; 9] =
    ["train", "--hidden=8", "--batch=2", "--truncation=regular:64", "--activation=identity", "--init=identity:9", "--clip-norm=0", "--lr=1", "--sample=0"];

#[test]
fn the_first_number_that_is_not_finite_is_named() {
    for device in ["cpu", "gpu"] {
        let out = retrograd(&[&DIVERGES[..], &["--device", device, "--out", str(&fresh(device)), "--detect-anomaly", "--updates=3"]].concat());
        let message = text(&out.stderr);
        let line = message.lines().find(|l| l.starts_with("error: update ")).unwrap_or_else(|| panic!("{device}: {message}"));
        assert_eq!(out.status.code(), Some(1));
        for word in ["error: update 1: ", "the first number that is not finite is ", "kernel scan_forward wrote it for h.0", "lane ", "unit ", "not finite"] {
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
    for device in ["cpu", "gpu"] {
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
    for device in ["cpu", "gpu"] {
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
