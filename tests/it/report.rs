//! Reports: the page of one run, of several, of damaged ones; samples during training; event files.

use crate::cli::{file, folder, refused, retrograd, text};
use crate::skip::lacks;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Trains a small run in a folder of its own, and returns that folder.
fn trained(name: &str, more: &[&str]) -> PathBuf {
    bare(name, &[&["--val-every=20"], more].concat())
}

/// Like [`trained`], but validated only on request.
fn bare(name: &str, more: &[&str]) -> PathBuf {
    let out = folder("report").join(name);
    let base = ["train", "--hidden=8", "--batch=4", "--truncation=regular:8", "--updates=40", "--log-every=5", "--device=cpu"];
    let done = retrograd(&[&base[..], &["--out", out.to_str().unwrap()], more].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    out
}

fn page(run: &Path) -> String {
    std::fs::read_to_string(run.join("report.html")).unwrap()
}

fn lines(run: &Path) -> Vec<Value> {
    std::fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Checks that a page fetches nothing, runs nothing, and draws nothing at invalid coordinates.
fn sound(page: &str) {
    let wrong = ["<script", "NaN", "src=", "@import", "url(http", "<link", "\"inf\""];
    assert!(wrong.iter().all(|w| !page.contains(w)), "{:?}", wrong.iter().find(|w| page.contains(**w)));
    assert_eq!(page.matches("<svg role").count(), page.matches("<svg role=\"img\" aria-label=\"").count());
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn a_run_ends_with_its_page() {
    let out = trained("whole", &["--seed=3"]);
    let html = page(&out);
    sound(&html);
    let parts = [
        "Validation loss",
        "bits per symbol",
        ">Loss<",
        "Gradient norm and clipping",
        "Learning rate",
        "Throughput",
        "--monitor 50",
        "Memory against time",
        "One window, segment by segment",
        "Samples",
        "Update 20, 640 symbols",
        "Configuration",
        "State: done",
    ];
    parts.iter().for_each(|part| assert!(html.contains(part), "{part}"));
    let command = "retrograd train --batch 4 --device cpu --hidden 8 --log-every 5 --seed 3 --truncation regular:8 --updates 40 --val-every 20";
    assert!(html.contains(command), "{html}");
    // The same page again from the folder's files, with a note that it was replaced.
    let again = retrograd(&["report", out.to_str().unwrap()]);
    assert!(again.status.success() && text(&again.stdout).starts_with("replaced "), "{}", text(&again.stdout));
    assert!(page(&out) == html);
}

/// The command on the page repeats the run: the same model, even with names that need shell quoting.
#[test]
fn the_command_of_the_page_repeats_the_run() {
    if lacks(cfg!(unix), "a shell and signals of Unix") {
        return;
    }
    let book = file("it's a $HOME book.txt", "the owl & the pussycat went to sea\n".repeat(40).as_bytes());
    let out = trained("repeated", &[book.to_str().unwrap(), "--lines", "--sample=0"]);
    let html = page(&out);
    let command = html.split("<pre>").last().unwrap().split("</pre>").next().unwrap();
    let command = command.replace("&quot;", "\"").replace("&amp;", "&");
    let again = folder("report").join("repeated again");
    let command = command.replacen("retrograd", &format!("'{}'", env!("CARGO_BIN_EXE_retrograd")), 1);
    let done = crate::cli::run(std::process::Command::new("sh").args(["-c", &format!("{command} --out '{}'", again.display())]));
    assert!(done.status.success(), "{command}: {}", text(&done.stderr));
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&out) == model(&again));
}

#[test]
fn hostile_and_damaged_metrics_make_a_page() {
    let out = trained("hostile", &[]);
    let metrics = out.join("metrics.jsonl");
    let good = std::fs::read_to_string(&metrics).unwrap();
    let monitor = r#"{"update":40,"tokens":1,"monitor":{"lags":[0,1,5],"layers":[{"median":[1.0,0.5,null],"low":[1.0,0.1,0.0],"high":[1.0,0.9,1e30],"decay_rate":0.9,"half_life":null,"saturation":0.1}],"parameters":[{"name":"<b>&w","grad_norm":0.1,"weight_norm":1.0,"update_ratio":0.0}],"clipped_updates":3,"skipped_updates":0}}"#;
    let evil = r#"{"update":40,"tokens":1280,"sample":"<script>alert(1)</script>\u0000&amp;"}"#;
    let lost = r#"{"update":41,"tokens":1300,"train_loss":null,"mean_loss":null,"grad_norm":null,"learning_rate":0.1,"tokens_per_second":null,"seconds":null}"#;
    let mut content = format!("{good}{monitor}\n{evil}\n{lost}\n{{\"update\":4").into_bytes();
    content.extend(b"\n\xff\xfe\n[1]\n");
    std::fs::write(&metrics, content).unwrap();
    let done = retrograd(&["report", out.to_str().unwrap(), "--json"]);
    let value: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&value["unread_lines"], &value["replaced"]), (&Value::from(3), &Value::from(true)));
    let html = page(&out);
    sound(&html);
    for part in [
        "&lt;script&gt;alert(1)&lt;/script&gt;␀&amp;amp;",
        "3 lines of metrics.jsonl could not be read",
        "Gradient by lag",
        "&lt;b&gt;&amp;w",
        "Crosses at the top edge",
        "no end recorded",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // If anything but the configuration is missing, there is still a page that says so.
    for name in ["metrics.jsonl", "summary.json", "plan.json", "report.html"] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    let done = retrograd(&["report", out.to_str().unwrap()]);
    assert!(text(&done.stdout).starts_with("wrote "), "{}", text(&done.stderr));
    let html = page(&out);
    sound(&html);
    assert!(html.contains("No report of training is recorded") && html.contains("<code>retrograd plan</code>"), "{html}");
    // A run of another version, and a folder that is no run.
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    std::fs::write(out.join("config.toml"), config.replace("format = 1", "format = 9")).unwrap();
    refused(&["report", out.to_str().unwrap()], 1, &["config.toml", "newer program (format 9"]);
    refused(&["report", folder("files").to_str().unwrap()], 1, &["not the folder of a run"]);
    refused(&["report", "/no/such/run"], 1, &["/no/such/run"]);
    refused(&["report"], 2, &["RUN"]);
}

#[test]
fn several_runs_are_drawn_together() {
    let runs = [trained("first", &[]), trained("second", &["--layers=2", "--lr=0.01"]), bare("third", &["--val-fraction=0"])];
    let out = folder("report").join("together.html");
    let paths: Vec<&str> = runs.iter().map(|r| r.to_str().unwrap()).collect();
    let report = [&["report"], &paths[..], &["--out", out.to_str().unwrap()]].concat();
    assert!(retrograd(&report).status.success());
    let html = std::fs::read_to_string(&out).unwrap();
    sound(&html);
    for part in ["3 runs", "first, second, third", "Loss against symbols", "Loss against seconds", "What differs", "val-fraction", ">layers<", "Throughput"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains(">batch<"), "what is the same in all is no difference");
    // A report may be replaced, with a note; another file may not.
    assert!(text(&retrograd(&report).stdout).starts_with("replaced "));
    std::fs::write(&out, "my notes").unwrap();
    refused(&report, 2, &["together.html", "not a report", "--out"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "my notes");
}

#[test]
fn text_is_written_on_the_way() {
    let out = trained("samples", &["--sample=50"]);
    let samples: Vec<(u64, usize)> = lines(&out).iter().filter_map(|l| Some((l["update"].as_u64()?, l["sample"].as_str()?.chars().count()))).collect();
    assert_eq!(samples, [(1, 50), (5, 50), (10, 50), (20, 50), (40, 50)]);
    let none = trained("no samples", &["--sample=0"]);
    assert!(lines(&none).iter().all(|l| l.get("sample").is_none()));
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&out) == model(&none), "samples change nothing that is trained");
}

#[test]
fn clipped_updates_are_counted() {
    let counted = |name: &str, flag: &str| {
        let out = trained(name, &[flag, "--sample=0"]);
        let reports: Vec<Value> = lines(&out).iter().filter(|l| l.get("best").is_none()).map(|l| l["clipped_updates"].clone()).collect();
        let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
        (reports.iter().map(|n| n.as_u64()).sum::<Option<u64>>(), summary["clipped_updates"].as_u64())
    };
    assert_eq!(counted("all clipped", "--clip-norm=0.000001"), (Some(40), Some(40)));
    assert_eq!(counted("none clipped", "--clip-norm=1000"), (Some(0), Some(0)));
    assert_eq!(counted("clamped", "--clip-value=0.1"), (None, None));
}

/// The framing is intact, and a resumed run takes back later events.
#[test]
fn event_files_are_written() {
    let out = trained("board", &["--tensorboard"]);
    let done = retrograd(&["train", "--resume", out.to_str().unwrap(), "--updates=50"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let mut files: Vec<PathBuf> = std::fs::read_dir(out.join("tensorboard")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let records = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let (mut at, mut out) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let data = bytes[at + 12..at + 12 + length].to_vec();
            assert_eq!(retrograd::store::events::record(&data), bytes[at..at + 16 + length]);
            out.push(data);
            at += 16 + length;
        }
        out
    };
    let has = |record: &[u8], what: &[u8]| record.windows(what.len()).any(|w| w == what);
    let (first, second) = (records(&files[0]), records(&files[1]));
    assert!(has(&first[0], b"brain.Event:2") && has(&second[0], b"brain.Event:2"));
    assert!(has(&first[1], b"config") && !first.iter().any(|r| r.ends_with(&[0x3a, 2, 8, 1])));
    // Step 41, the start of a session log.
    assert!(second[1].ends_with(&[0x10, 41, 0x3a, 2, 8, 1]), "{:?}", second[1]);
    assert!(first.iter().any(|r| has(r, b"loss/validation")) && second.iter().any(|r| has(r, b"sample")));
    // No event files unless requested.
    assert!(!folder("report").join("whole").join("tensorboard").exists());
}
