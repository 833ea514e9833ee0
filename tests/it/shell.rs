//! The program under a shell: ignored signals, full disks, arguments of any bytes, truncated files.

use crate::cli::{folder, retrograd, run, text};
use crate::skip::deaf;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_retrograd");
const SMALL: &str = "--hidden 8 --batch 4 --truncation regular:16 --sample 0 --device cpu --quiet";

/// Runs a script with `sh`; `$R` is the program, `$O` a folder that does not exist yet.
fn sh(name: &str, script: &str) -> Output {
    let out = folder("shell").join(name);
    run(Command::new("sh").args(["-c", script]).env("R", BINARY).env("O", out).env("SMALL", SMALL))
}

fn trained(name: &str, more: &[&str]) -> std::path::PathBuf {
    let out = folder("shell").join(name);
    let args: Vec<&str> =
        ["train", "--updates", "20", "--out", out.to_str().unwrap()].into_iter().chain(SMALL.split(' ')).chain(more.iter().copied()).collect();
    let done = retrograd(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    out
}

/// Starts a long run under `how`, sends it a signal once it trains, and returns whether it is alive a while later; then ends it.
fn survives(name: &str, how: &str, signal: &str) -> bool {
    let script = format!(
        "{how} & p=$!; n=0; until [ -e \"$O/checkpoint.safetensors\" ] || [ $n = 300 ]; do sleep 0.1; n=$((n+1)); done; kill -{signal} $p; \
         n=0; while kill -0 $p 2>/dev/null && [ $n != 20 ]; do sleep 0.1; n=$((n+1)); done; kill -0 $p 2>/dev/null && echo alive; kill -9 $p 2>/dev/null; wait $p; exit 0"
    );
    let done = sh(name, &script);
    assert!(folder("shell").join(name).join("checkpoint.safetensors").exists(), "{}", text(&done.stderr));
    text(&done.stdout).contains("alive")
}

#[cfg(unix)]
#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    if deaf() {
        return;
    }
    let train = "\"$R\" train --updates 900000 --save-every 5 --out \"$O\" $SMALL";
    assert!(survives("nohup", &format!("nohup {train} >/dev/null 2>&1"), "HUP"));
    assert!(survives("trap", &format!("(trap '' HUP; exec {train})"), "HUP"));
    // `sh` without job control starts background processes with SIGINT ignored.
    assert!(survives("background", train, "INT"));
    assert!(!survives("hangup", train, "HUP"));
    assert!(!survives("term", &format!("(trap '' HUP INT; exec {train})"), "TERM"));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_does_not_arrive_fails() {
    let run_folder = trained("full", &[]);
    let name = run_folder.to_str().unwrap();
    let sample = format!("sample '{name}' --length 3000");
    let json = format!("train --json --updates 3 --out '{name}-json' {SMALL}");
    let eval = format!("eval '{name}' '{name}/config.toml' --device cpu --quiet --json");
    for command in [sample.as_str(), "man", "--help", "--version", "completions bash", "plan --json --device cpu --quiet", "train --help", &json, &eval] {
        let done = sh("unused", &format!("\"$R\" {command} >/dev/full"));
        let message = text(&done.stderr);
        // A text with other symbols is refused for that reason; only the failure matters.
        assert!(done.status.code() == Some(1) && message.contains("error: ") && !message.contains("panicked"), "{command}: {:?} {message}", done.status);
        if command != eval {
            assert!(message.contains("cannot write standard output: No space left on device"), "{command}: {message}");
        }
    }
    assert!(Path::new(&format!("{name}-json/summary.json")).exists(), "what was trained is saved");
    // A closed pipe is not an error.
    for command in [&sample, "man", "train --help"] {
        let done = sh("unused", &format!("{{ \"$R\" {command}; echo \"code $?\" >&2; }} | head -c 10 >/dev/null"));
        assert!(text(&done.stderr).ends_with("code 0\n"), "{command}: {}", text(&done.stderr));
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf8_are_refused_in_one_line() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let odd = OsStr::from_bytes(b"caf\xe9.txt");
    let path = folder("shell").join(odd);
    std::fs::write(&path, "some text to train on\n".repeat(40)).unwrap();
    for args in [vec![odd], vec![OsStr::new("train"), path.as_os_str()], vec![OsStr::new("sample"), odd], vec![OsStr::new("train"), OsStr::new("--lr"), odd]] {
        let done = run(Command::new(BINARY).args(&args));
        let message = text(&done.stderr);
        let lines = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).count();
        assert!(matches!(done.status.code(), Some(1 | 2)) && lines == 1 && !message.contains("panicked"), "{args:?}: {:?} {message}", done.status);
    }
}

#[test]
fn a_run_that_learned_nothing_fails_and_says_so() {
    let out = folder("shell").join("nan");
    let args = ["train", "--updates", "60", "--lr", "1e30", "--activation", "relu", "--clip-norm", "0", "--out", out.to_str().unwrap()];
    let done = retrograd(&args.into_iter().chain(SMALL.split(' ')).collect::<Vec<_>>());
    let message = text(&done.stderr);
    assert!(done.status.code() == Some(1) && message.contains("of no use") && message.contains("--lr"), "{:?} {message}", done.status);
    assert!(out.join("summary.json").exists() && out.join("report.html").exists(), "what happened can still be looked at");
    for command in [&["eval", "--device", "cpu"][..], &["eval", "--device", "cpu", "--json"], &["sample"]] {
        let done = retrograd(&[&command[..1], &[out.to_str().unwrap()], &command[1..]].concat());
        let message = text(&done.stderr);
        assert!(done.status.code() == Some(1) && message.contains("is not finite"), "{command:?}: {:?} {message}", done.status);
    }
}

#[cfg(unix)]
#[test]
fn a_limit_of_file_sizes_is_an_error_of_a_file() {
    let script = "ulimit -f 8; \"$R\" train --updates 900000 --save-every 5 --log-every 1 --hidden 64 --batch 4 --truncation regular:16 --sample 0 --device cpu --quiet --out \"$O\"";
    let done = sh("limit", script);
    let message = text(&done.stderr);
    assert!(done.status.code() == Some(1) && message.contains("File too large") && !message.contains("panicked"), "{:?} {message}", done.status);
}

#[test]
fn a_torn_last_line_of_the_metrics_is_cut_off() {
    let run_folder = trained("torn", &["--log-every", "1"]);
    let metrics = run_folder.join("metrics.jsonl");
    let all = std::fs::read(&metrics).unwrap();
    std::fs::write(&metrics, &all[..all.len() - 30]).unwrap();
    let done = retrograd(&["train", "--resume", run_folder.to_str().unwrap(), "--updates", "30"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let lines = std::fs::read_to_string(&metrics).unwrap();
    assert!(lines.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()), "{lines}");
    // The error for a truncated configuration says what to do.
    for (content, words) in [("", "give the config.toml of a run"), ("seed = 1\n", "put back the one that the run wrote")] {
        std::fs::write(run_folder.join("config.toml"), content).unwrap();
        let done = retrograd(&["train", "--resume", run_folder.to_str().unwrap()]);
        assert!(done.status.code() == Some(1) && text(&done.stderr).contains(words), "{}", text(&done.stderr));
    }
}
