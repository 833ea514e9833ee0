//! Runs: the contents of their folder, resuming after any end, refusals.

use crate::cli::{file, folder, refused, retrograd, run, text};
use crate::devices::{names, without_gpu};
use crate::skip::{deaf, lacks};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments for a small model on the embedded text, in a folder of its own.
fn small<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--hidden=12", "--batch=4", "--sample=30", "--device=cpu", "--out", out];
    args.extend(more);
    if !more.iter().any(|a| a.starts_with("--truncation")) {
        args.push("--truncation=regular:16");
    }
    // Compared runs may have different goals, where a schedule would end differently.
    if !more.iter().any(|a| a.starts_with("--schedule")) {
        args.push("--schedule=constant");
    }
    args
}

fn train(out: &Path, more: &[&str]) {
    let done = retrograd(&small(out.to_str().unwrap(), more));
    assert!(done.status.success(), "{}", text(&done.stderr));
}

fn fresh(name: &str) -> PathBuf {
    folder("runs").join(name)
}

fn lines(run: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let strip = |l: &str| {
        let mut v: Value = serde_json::from_str(l).unwrap();
        // Fields that depend on the clock.
        v.as_object_mut().unwrap().retain(|k, _| k != "seconds" && k != "tokens_per_second");
        v
    };
    lines.lines().map(strip).collect()
}

fn same(a: &Path, b: &Path) {
    for name in ["model.safetensors", "best.safetensors"] {
        assert!(std::fs::read(a.join(name)).unwrap() == std::fs::read(b.join(name)).unwrap(), "{name} differs");
    }
    assert_eq!(lines(a), lines(b));
}

/// Starts a command, waits until the run's file exists and some time more, and ends it with a signal; returns its exit code.
fn stop(mut command: Command, run: &Path, signal: &str, after: Duration) -> Option<i32> {
    let mut child = command.current_dir(folder("cli")).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !run.join("checkpoint.safetensors").exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(after);
    // The shell's builtin `kill`: there may be no other.
    let killed = Command::new("sh").args(["-c", &format!("kill {signal} {}", child.id())]).status();
    assert!(killed.unwrap().success());
    child.wait().unwrap().code()
}

/// A run killed or interrupted several times and resumed ends with the same bytes as an undisturbed one; so does the same command run twice.
#[test]
fn interrupted_runs_end_with_the_same_bytes() {
    if lacks(cfg!(unix), "a shell and signals of Unix") || deaf() {
        return;
    }
    let poems: String = (0..300).map(|i| format!("{}{}", "to be or not, ".repeat(i % 5 + 1), "\n")).collect();
    let poems = file("poems.txt", poems.as_bytes());
    let stream = ["--updates=3000", "--save-every=200", "--schedule=cosine", "--warmup=50"];
    let sequences = [poems.to_str().unwrap(), "--epochs=150", "--lines", "--val-every=500", "--layers=2"];
    let ring = ["--updates=2500", "--truncation=regular:3,8", "--val-every=700"];
    let random = ["--updates=3000", "--truncation=random-tail:8,4", "--optimizer=sgd:0.9"];
    for (name, more) in [("stream", &stream[..]), ("sequences", &sequences), ("ring", &ring), ("random", &random)] {
        let (whole, again) = (fresh(&format!("{name} whole")), fresh(&format!("{name} again")));
        train(&whole, more);
        train(&again, more);
        same(&whole, &again);
        for signal in ["-KILL", "-INT"] {
            let part = fresh(&format!("{name} {signal}"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
            command.args(small(part.to_str().unwrap(), more));
            let codes: Vec<Option<i32>> = (0..3)
                .map(|i| {
                    let code =
                        stop(std::mem::replace(&mut command, Command::new(env!("CARGO_BIN_EXE_retrograd"))), &part, signal, Duration::from_millis(40 * i + 20));
                    command.args(["train", "--resume", part.to_str().unwrap()]);
                    code
                })
                .collect();
            // A fast machine may finish before the last signal.
            assert!(codes[0] == if signal == "-INT" { Some(130) } else { None }, "{name} {signal}: {codes:?}");
            let done = run(&mut command);
            assert!(done.status.success(), "{}", text(&done.stderr));
            same(&whole, &part);
        }
    }
}

#[test]
fn a_run_on_the_gpu_goes_on_with_the_same_bytes() {
    if without_gpu() {
        return;
    }
    let (whole, part) = (fresh("gpu whole"), fresh("gpu part"));
    let gpu = |out: &Path, updates: &str| {
        let args = small(out.to_str().unwrap(), &["--val-every=40", updates]);
        let done = retrograd(&args.iter().map(|a| if *a == "--device=cpu" { "--device=gpu" } else { a }).collect::<Vec<_>>());
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    gpu(&whole, "--updates=120");
    gpu(&part, "--updates=70");
    let done = retrograd(&["train", "--resume", part.to_str().unwrap(), "--updates=120", "--sample=0"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(std::fs::read(whole.join("model.safetensors")).unwrap() == std::fs::read(part.join("model.safetensors")).unwrap());
}

/// Recomputed segments in half precision: a resumed run gives the bytes of an uninterrupted run, and not those of f32.
#[test]
fn a_history_in_half_precision_trains_and_goes_on() {
    let half = ["--stash=f16", "--truncation=regular:300", "--memory-budget=60KiB", "--cell=rnn"];
    let (whole, part, single) = (fresh("half whole"), fresh("half part"), fresh("half single"));
    train(&whole, &[&half[..], &["--updates=40"]].concat());
    train(&part, &[&half[..], &["--updates=15"]].concat());
    train(&single, &["--updates=40", half[1], half[2], half[3]]);
    let resume = ["train", "--resume", part.to_str().unwrap(), "--updates=40", "--sample=30"];
    let done = retrograd(&resume);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&part), "going on changes the bytes");
    assert!(model(&whole) != model(&single), "nothing is rounded");
    let losses: Vec<f64> = lines(&whole).iter().filter_map(|l| l["train_loss"].as_f64()).collect();
    assert!(losses[losses.len() - 1] < losses[0] - 0.5, "{losses:?}");
    assert!(std::fs::read_to_string(whole.join("config.toml")).unwrap().contains("stash = \"f16\""));
    refused(&[&resume[..], &["--stash=f32"]].concat(), 2, &["--stash f32", "f16"]);
    refused(&["train", "--stash=f64"], 2, &["f64", "f16"]);
}

#[test]
fn a_finished_run_says_so_and_more_updates_continue_it() {
    let (short, long) = (fresh("short"), fresh("long"));
    train(&short, &["--updates=100"]);
    train(&long, &["--updates=170"]);
    let resume = |more: &[&str]| retrograd(&[&["train", "--resume", short.to_str().unwrap(), "--sample=0"], more].concat());
    let before = std::fs::read(short.join("model.safetensors")).unwrap();
    let done = resume(&[]);
    assert!(done.status.success() && text(&done.stderr).contains("is finished: 100 updates"), "{}", text(&done.stderr));
    assert!(std::fs::read(short.join("model.safetensors")).unwrap() == before);
    assert!(resume(&["--updates=170"]).status.success());
    assert!(std::fs::read(short.join("model.safetensors")).unwrap() == std::fs::read(long.join("model.safetensors")).unwrap());
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(short.join("summary.json")).unwrap()).unwrap()["updates"], 170);
    let args = |more: &'static str| ["train", "--resume", short.to_str().unwrap(), more].map(str::to_string);
    for (more, words) in [
        ("--updates=50", &["less than the 170"][..]),
        ("--hidden=13", &["--hidden 13", "12"]),
        ("--lines", &["--lines", "separator"]),
        ("--seed=1", &["--seed"]),
    ] {
        refused(&args(more).each_ref().map(String::as_str), 2, words);
    }
    refused(&["train", "--out", short.to_str().unwrap()], 2, &["exists", "--resume"]);
}

#[test]
fn early_stop_ends_when_validation_does_not_improve() {
    let out = fresh("early");
    let done = retrograd(&small(out.to_str().unwrap(), &["--updates=5000", "--val-every=20", "--patience=3", "--lr=0.3", "--json"]));
    assert!(done.status.success(), "{}", text(&done.stderr));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["stopped_early"], true);
    let (updates, best) = (summary["updates"].as_u64().unwrap(), summary["best_update"].as_u64().unwrap());
    assert_eq!(updates, best + 60);
    let validations: Vec<f64> = lines(&out).iter().filter_map(|l| l["val_loss"].as_f64()).collect();
    assert_eq!(validations.iter().copied().fold(f64::INFINITY, f64::min), summary["best_val_loss"].as_f64().unwrap());
}

/// Errors in a run's files are reported, and nothing in the run is touched.
#[test]
fn damaged_foreign_and_missing_files_are_refused() {
    let book = file("book.txt", "the quick brown fox jumps over the lazy dog\n".repeat(40).as_bytes());
    let out = fresh("damaged");
    train(&out, &[book.to_str().unwrap(), "--updates=60"]);
    let path = out.to_str().unwrap();
    let checkpoint = out.join("checkpoint.safetensors");
    let good = std::fs::read(&checkpoint).unwrap();
    let resume = ["train", "--resume", path, "--updates=80"];
    let with = |content: &[u8], words: &[&str]| {
        std::fs::write(&checkpoint, content).unwrap();
        refused(&resume, 1, &[&["checkpoint.safetensors"], words].concat());
        assert!(std::fs::read(&checkpoint).unwrap() == content);
    };
    with(&good[..good.len() / 2], &["not a whole"]);
    with(&[], &["not a whole"]);
    let mut flipped = good.clone();
    flipped[good.len() - 5] ^= 4;
    with(&flipped, &["checksum"]);
    with(&std::fs::read(out.join("model.safetensors")).unwrap(), &["no `checkpoint`"]);
    std::fs::remove_file(&checkpoint).unwrap();
    refused(&resume, 1, &["no checkpoint.safetensors"]);
    std::fs::write(&checkpoint, &good).unwrap();
    std::fs::write(&book, "another text, and a longer one\n".repeat(60)).unwrap();
    refused(&resume, 1, &["book.txt", "not the text", "checksum"]);
    std::fs::remove_file(&book).unwrap();
    refused(&resume, 1, &["book.txt", "cannot read", "new path"]);
    // If the text has moved, its new path works.
    let moved = file("moved.txt", "the quick brown fox jumps over the lazy dog\n".repeat(40).as_bytes());
    let done = retrograd(&["train", moved.to_str().unwrap(), "--resume", path, "--updates=80", "--sample=0"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    std::fs::write(out.join("config.toml"), config.replace("format = 1", "format = 2")).unwrap();
    refused(&resume, 1, &["config.toml", "newer program"]);
    std::fs::write(out.join("config.toml"), config.replace("hidden = 12", "hidden = \"x\"")).unwrap();
    refused(&resume, 1, &["config.toml"]);
    let edits = [
        ("hidden = 12", "hidden = 16", "put it back"),
        ("optimizer = \"adam\"", "optimizer = \"sgd\"", "optimizer is sgd, but the run was started with adam"),
        ("truncation = \"regular:16\"", "truncation = \"full\"", "put it back"),
        ("no-bias = false", "no-bias = false\nseparator = \"\\n\"", "separator is \\n, but"),
        ("lr = 0.002", "lr = -1.0", "lr -1.0: expected"),
        ("log-every = 50", "log-every = 0", "log-every 0: expected"),
        ("val-fraction = 0.1", "val-fraction = nan", "val-fraction nan: expected"),
    ];
    for (from, to, word) in edits {
        assert!(config.contains(from), "{config}");
        std::fs::write(out.join("config.toml"), config.replace(from, to)).unwrap();
        refused(&["train", "--resume", path, "--updates=90"], 1, &["config.toml", word]);
    }
    refused(&["train", "--resume", "/no/such/run"], 1, &["/no/such/run"]);
    refused(&["train", "--resume", folder("files").to_str().unwrap()], 1, &["config.toml"]);
}

#[test]
fn models_are_evaluated_and_sampled() {
    let book = file("eval book.txt", "she sells sea shells on the sea shore\n".repeat(60).as_bytes());
    let out = fresh("eval");
    train(&out, &[book.to_str().unwrap(), "--updates=200", "--val-fraction=0"]);
    let run = out.to_str().unwrap();
    let eval = |more: &[&str]| -> Value {
        let done = retrograd(&[&["eval", run, book.to_str().unwrap(), "--device=cpu", "--json"], more].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let (one, eight) = (eval(&["--lanes=1"]), eval(&["--lanes=8"]));
    let difference = one["loss"].as_f64().unwrap() - eight["loss"].as_f64().unwrap();
    assert!(difference.abs() < 1e-3 && one["tokens"] == eight["tokens"] && one["tokens"] == 38 * 60 - 1, "{one} {eight}");
    assert!((one["bpc"].as_f64().unwrap() - one["loss"].as_f64().unwrap() / 2f64.ln()).abs() < 1e-12);
    let sample = |more: &[&str]| text(&retrograd(&[&["sample", run, "--length=50"], more].concat()).stdout);
    assert_eq!(sample(&["--seed=3"]), sample(&["--seed=3"]));
    assert_ne!(sample(&["--seed=3"]), sample(&["--seed=4"]));
    assert_eq!(sample(&["--top-k=1", "--seed=3"]), sample(&["--temperature=0"]));
    let with_prompt = sample(&["--prompt", "she s"]);
    assert!(with_prompt.starts_with("she s") && with_prompt.trim_end_matches('\n').chars().count() >= 54, "{with_prompt:?}");
    refused(&["sample", run, "--prompt", "she ß"], 1, &["--prompt", "'ß' (U+00DF) at byte 4"]);
    let foreign = file("foreign.txt", "she\nQells".as_bytes());
    refused(&["eval", run, foreign.to_str().unwrap()], 1, &["foreign.txt", "'Q' (U+0051) at byte 4, line 2"]);
    refused(&["eval", run, "/no/such/text"], 1, &["/no/such/text"]);
    refused(&["sample", run, "--best"], 1, &["best.safetensors", "no validation"]);
    refused(&["eval", run, book.to_str().unwrap(), "--lanes=999999999"], 2, &["--lanes"]);
    refused(&["sample", run, "--temperature=-1"], 2, &["--temperature"]);
    refused(&["sample", book.to_str().unwrap()], 1, &["eval book.txt", "not a whole safetensors"]);
    refused(&["eval", "/no/such/run", run], 1, &["/no/such/run"]);
}

/// The losses of sequences are the same bits in any number of lanes, and equal those of each sequence alone.
#[test]
fn losses_of_sequences_do_not_depend_on_their_neighbours() {
    let all: Vec<String> =
        (0..60).map(|i| format!("{}\n", "abcdefg hij".chars().cycle().skip(i).step_by(i % 3 + 1).take(i * 7 % 90 + 1).collect::<String>())).collect();
    let book = file("sequences.txt", all.concat().as_bytes());
    let out = fresh("sequences");
    train(&out, &[book.to_str().unwrap(), "--lines", "--epochs=2"]);
    let losses = |book: &Path, device: &str, lanes: &str| -> Vec<(u64, String)> {
        let to = folder("files").join(format!("losses {device} {lanes} {}.jsonl", book.file_stem().unwrap().display()));
        let args = ["eval", out.to_str().unwrap(), book.to_str().unwrap(), "--device", device, "--lanes", lanes, "--sequences", to.to_str().unwrap()];
        let done = retrograd(&args);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let lines = std::fs::read_to_string(&to).unwrap();
        lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).map(|v| (v["tokens"].as_u64().unwrap(), v["nats"].to_string())).collect()
    };
    for &device in names() {
        let many = losses(&book, device, "32");
        assert!(many.len() == 60 && many.iter().zip(&all).all(|(m, s)| m.0 == s.len() as u64), "every character is scored once");
        for lanes in ["1", "2", "7"] {
            assert_eq!(losses(&book, device, lanes), many, "{device}, {lanes} lanes");
        }
        for i in [0, 11, 59] {
            let alone = file(&format!("alone {i}.txt"), all[i].as_bytes());
            assert_eq!(losses(&alone, device, "3"), many[i..=i], "{device}: sequence {i} alone");
        }
    }
}

/// The last good checkpoint survives a full disk, here simulated by a file-size limit.
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    if lacks(cfg!(unix), "a shell and signals of Unix") {
        return;
    }
    let out = fresh("full disk");
    train(&out, &["--updates=50"]);
    let good = std::fs::read(out.join("checkpoint.safetensors")).unwrap();
    let script = format!("ulimit -f 4; exec '{}' train --resume '{}' --updates=90 --sample=0", env!("CARGO_BIN_EXE_retrograd"), out.display());
    // A file beyond the limit gives an error, not a signal.
    let done = run(Command::new("sh").args(["-c", &format!("trap '' XFSZ; {script}")]));
    let message = text(&done.stderr);
    assert!(done.status.code() == Some(1) && message.contains("cannot write") && message.contains("last good one is of update 50"), "{message}");
    assert!(std::fs::read(out.join("checkpoint.safetensors")).unwrap() == good);
    assert!(std::fs::read_dir(&out).unwrap().all(|f| !f.unwrap().file_name().to_string_lossy().ends_with(".tmp")));
    assert!(retrograd(&["train", "--resume", out.to_str().unwrap(), "--updates=90", "--sample=0"]).status.success());
}

/// A table, compare.json and a page, with the same weights and symbols for every strategy.
#[test]
fn strategies_are_compared() {
    let out = fresh("compare");
    let base = ["compare", "--hidden=10", "--batch=4", "--length=40", "--updates=12", "--draws=20", "--device=cpu"];
    let done =
        retrograd(&[&base[..], &["--out", out.to_str().unwrap(), "--json", "--strategies", "regular:5", "regular:2,6;random:0.8", "random-tail:6,4"]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let value: Value = serde_json::from_slice(&done.stdout).unwrap();
    let strategies = value["strategies"].as_array().unwrap();
    let names: Vec<&str> = strategies.iter().map(|s| s["truncation"].as_str().unwrap()).collect();
    assert_eq!(names, ["full", "regular:5", "regular:2,6", "random:0.8", "random-tail:6,4"]);
    for s in strategies {
        assert_eq!((&s["updates"], &s["tokens"]), (&strategies[0]["updates"], &strategies[0]["tokens"]));
        let of = |key: &str| s[key].as_f64().unwrap();
        let keys = ["seconds", "val_loss", "cosine", "relative_bias", "relative_spread", "bytes", "window_mean", "window_max"];
        assert!(keys.iter().all(|k| of(k).is_finite()) && !s["curve"].as_array().unwrap().is_empty());
        // Random strategies have a spread and no visible bias; the others have a bias, except for the full gradient.
        let random = s["truncation"].as_str().unwrap().starts_with("random");
        assert_eq!(random, of("relative_spread") > 0.0);
        assert!(!random || of("relative_bias") < 2.0 * of("relative_bias_error"), "{s}");
        assert!(random || (of("relative_bias") < 1e-6) == (s["truncation"] == "full"), "{s}");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(names.iter().all(|n| page.contains(n)) && page.contains("<svg") && !page.contains("<script"), "{page}");
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(out.join("compare.json")).unwrap()).unwrap()["strategies"], value["strategies"]);
    refused(&["compare", "--strategies", "regular:9,2"], 2, &["K1 9"]);
    refused(&["compare", "--out", out.to_str().unwrap()], 2, &["exists"]);
    refused(&["compare", "--length=100000"], 1, &["--length"]);
    refused(&["compare", "--val-fraction=0"], 2, &["--val-fraction"]);
}

/// Standard error may be closed: training goes on and is saved.
#[test]
fn a_closed_standard_error_does_not_end_a_run() {
    if lacks(cfg!(target_os = "linux"), "/dev/full") {
        return;
    }
    let out = fresh("unheard");
    let args = small(out.to_str().unwrap(), &["--updates=200", "--log-every=1"]).join("' '");
    for ending in ["2>/dev/full", "2>&1 >/dev/null | head -n 1"] {
        let _ = std::fs::remove_dir_all(&out);
        run(Command::new("sh").args(["-c", &format!("'{}' '{args}' {ending}", env!("CARGO_BIN_EXE_retrograd"))]));
        let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
        assert_eq!(summary["updates"], 200, "{ending}");
    }
}

/// A run that can't start leaves nothing behind, and one killed before its first checkpoint starts again.
#[test]
fn runs_that_do_not_begin() {
    let out = fresh("no device");
    refused(&["train", "--device=gpu:99", "--out", out.to_str().unwrap()], 1, &["no adapter 99"]);
    assert!(!out.exists());
    let (out, whole) = (fresh("begun"), fresh("begun whole"));
    train(&out, &["--updates=30"]);
    train(&whole, &["--updates=40"]);
    for name in ["checkpoint.safetensors", "model.safetensors", "best.safetensors", "summary.json", "metrics.jsonl"] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    let done = retrograd(&["train", "--resume", out.to_str().unwrap(), "--updates=40"]);
    assert!(done.status.success() && text(&done.stderr).contains("beginning again"), "{}", text(&done.stderr));
    same(&out, &whole);
    let again = retrograd(&["train", "--resume", out.to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap()["updates"], 40, "{}", text(&again.stderr));
}

/// The advice works.
#[test]
fn a_run_of_an_earlier_version_says_how_to_go_on() {
    let (out, next) = (fresh("earlier"), fresh("earlier next"));
    train(&out, &["--updates=10"]);
    std::fs::rename(out.join("checkpoint.safetensors"), out.join("snapshot.safetensors")).unwrap();
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    std::fs::write(out.join("config.toml"), config.replace("stash =", "history =")).unwrap();
    let path = out.to_str().unwrap();
    refused(&["train", "--resume", path], 1, &["a run of an earlier version", "--from"]);
    refused(&["train", "--from", path, "--out", next.to_str().unwrap()], 1, &["history is called stash now"]);
    std::fs::write(out.join("config.toml"), config).unwrap();
    let done = retrograd(&["train", "--from", path, "--updates=2", "--device=cpu", "--sample=0", "--out", next.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn bytes_of_any_file_are_trained_on() {
    let any: Vec<u8> = (0..4000u32).map(|i| (i * i / 7) as u8).collect();
    let any = file("any.bin", &any);
    let out = fresh("bytes");
    train(&out, &[any.to_str().unwrap(), "--bytes", "--updates=20"]);
    let eval = retrograd(&["eval", out.to_str().unwrap(), any.to_str().unwrap(), "--device=cpu", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&eval.stdout).unwrap()["tokens"], 3999);
    assert_eq!(retrograd(&["sample", out.to_str().unwrap(), "--length=40"]).stdout.len(), 41);
    refused(&["train", any.to_str().unwrap()], 1, &["not UTF-8", "--bytes"]);
}

/// The first checkpoint is written before the first model: a run that is killed between the two goes on, with the same bytes.
#[test]
fn a_run_without_its_first_model_goes_on() {
    let (whole, cut) = (fresh("first whole"), fresh("first cut"));
    train(&whole, &["--updates=12"]);
    train(&cut, &["--updates=5"]);
    std::fs::remove_file(cut.join("model.safetensors")).unwrap();
    let done = retrograd(&["train", "--resume", cut.to_str().unwrap(), "--updates=12"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let models = [&whole, &cut].map(|run| std::fs::read(run.join("model.safetensors")).unwrap());
    assert!(models[0] == models[1]);
}
