//! Runs killed at any moment, full disks, unwritable folders, vanishing files, two processes in one folder.

use crate::cli::{folder, refused, retrograd, run, text};
use crate::devices::names;
use crate::skip::{lacks, skip};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run that saves after every other update, so that it spends much of its time saving.
const TRAIN: [&str; 11] = [
    "train",
    "--hidden=24",
    "--batch=4",
    "--truncation=random:0.9",
    "--save-every=2",
    "--val-every=20",
    "--updates=120",
    "--log-every=3",
    "--sample=0",
    "--monitor=30",
    "--tensorboard",
];

fn fresh(name: &str) -> PathBuf {
    folder("crash").join(name)
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    command.args(args).current_dir(folder("cli")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn train<'a>(device: &'a str, out: &'a str) -> Vec<&'a str> {
    [&TRAIN[..], &["--device", device, "--out", out]].concat()
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ends(mut child: Child) -> Option<i32> {
    wait_for("the end", || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code()
}

/// When kills hit the run.
#[derive(Debug, Default)]
struct Landed {
    kills: u32,
    /// While a file was being written: its temporary file existed.
    in_a_file: u32,
    /// Between two files of one save: the model was newer than the checkpoint.
    between_files: u32,
    /// Before the first checkpoint existed.
    before_any: u32,
}

fn note(landed: &mut Landed, out: &Path) {
    landed.kills += 1;
    let changed = |name: &str| std::fs::metadata(out.join(name)).and_then(|m| m.modified()).ok();
    let temporary = std::fs::read_dir(out).is_ok_and(|mut all| all.any(|f| f.unwrap().file_name().to_string_lossy().ends_with(".tmp")));
    match (changed("model.safetensors"), changed("checkpoint.safetensors")) {
        _ if temporary => landed.in_a_file += 1,
        (_, None) => landed.before_any += 1,
        (model, checkpoint) => landed.between_files += u32::from(model > checkpoint),
    }
}

/// Kills runs on a device at random moments and resumes them, until `wanted` kills have hit; each run ends with the same bytes as an undisturbed one.
fn kills(device: &str, wanted: u32, seed: u64) {
    let whole = fresh(&format!("{device} {wanted} whole"));
    assert_eq!(ends(program(&train(device, whole.to_str().unwrap())).spawn().unwrap()), Some(0));
    let start = Instant::now();
    let again = fresh(&format!("{device} {wanted} again"));
    assert_eq!(ends(program(&train(device, again.to_str().unwrap())).spawn().unwrap()), Some(0));
    let takes = start.elapsed();
    let read = |run: &Path, name: &str| std::fs::read(run.join(name)).unwrap();
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let (mut landed, mut runs) = (Landed::default(), 0);
    while landed.kills < wanted {
        let out = fresh(&format!("{device} {wanted} killed {runs}"));
        let name = out.to_str().unwrap();
        runs += 1;
        loop {
            let begun = out.join("config.toml").exists();
            let args = if begun { vec!["train", "--resume", name] } else { train(device, name) };
            let log = fresh(&format!("{device} {wanted} said {runs}"));
            let mut child = program(&args).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
            std::thread::sleep(takes.mul_f64(draw.random::<f64>() * 0.8));
            if landed.kills == wanted || child.try_wait().unwrap().is_some() {
                assert_eq!(ends(child), Some(0), "{device}: {name} does not go on: {}", std::fs::read_to_string(&log).unwrap());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            note(&mut landed, &out);
        }
        for file in ["model.safetensors", "best.safetensors"] {
            assert!(read(&whole, file) == read(&out, file), "{device}: {file} of {name} differs");
        }
        let figures = |run: &Path| String::from_utf8(read(run, "metrics.jsonl")).unwrap().matches("\"update\"").count();
        assert_eq!(figures(&whole), figures(&out), "{device}: figures of {name}");
    }
    println!("{device}: {landed:?} in {runs} runs, all with equal bytes; one run takes {takes:.1?}");
    assert!(wanted < 50 || landed.in_a_file + landed.between_files > 0, "no kill landed inside a save");
}

#[test]
fn killed_runs_end_with_the_same_bytes() {
    for &device in names() {
        kills(device, 6, 1);
    }
}

/// `cargo test --test it -- --ignored --nocapture fifty_kills` takes a minute or two.
#[test]
#[ignore = "takes minutes; see CONTRIBUTING.md"]
fn fifty_kills_on_each_device() {
    for &device in names() {
        kills(device, 60, 2);
    }
}

/// A folder on a file system of its own, of a given size; `None` if this user may not mount one.
fn small_disk(name: &str, options: &str) -> Option<PathBuf> {
    let path = fresh(name);
    std::fs::create_dir_all(&path).unwrap();
    let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "retrograd-test"]).arg(&path).output();
    done.is_ok_and(|d| d.status.success()).then_some(path)
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

const SMALL: [&str; 6] = ["train", "--hidden=32", "--batch=4", "--device=cpu", "--sample=0", "--save-every=5"];

/// The disk fills up during a run: the run warns, trains on, and saves again once there is room.
#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing() {
    let Some(disk) = small_disk("disk", "size=512k").map(Mounted) else {
        skip("no file system can be mounted here; it takes root on Linux");
        return;
    };
    let (out, whole, filler) = (disk.0.join("run"), fresh("never full"), disk.0.join("filler"));
    let args = |out: &Path| [&SMALL[..], &["--updates=3000", "--out", out.to_str().unwrap()]].concat().iter().map(|a| a.to_string()).collect::<Vec<_>>();
    assert!(retrograd(&args(&whole).iter().map(String::as_str).collect::<Vec<_>>()).status.success());
    let log = fresh("full disk log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    let child = command.args(args(&out)).current_dir(folder("cli")).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait_for("a checkpoint", || out.join("checkpoint.safetensors").exists());
    // Fills the remaining space.
    let _ = std::fs::write(&filler, vec![1; 1 << 20]);
    let said = || std::fs::read_to_string(&log).unwrap();
    wait_for("a warning", || said().contains("the checkpoint is tried again later") || said().contains("trained"));
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(ends(child), Some(0), "{}", said());
    assert!(said().contains("cannot write") && said().contains("training goes on"), "{}", said());
    assert!(std::fs::read(out.join("model.safetensors")).unwrap() == std::fs::read(whole.join("model.safetensors")).unwrap());
}

/// A folder that becomes read-only is reported in one line, and its run continues once it is writable again.
#[test]
fn a_read_only_folder_is_refused() {
    let Some(disk) = small_disk("read only", "size=4m").map(Mounted) else {
        skip("no file system can be mounted here; it takes root on Linux");
        return;
    };
    let out = disk.0.join("run");
    let name = out.to_str().unwrap();
    assert!(retrograd(&[&SMALL[..], &["--updates=10", "--out", name]].concat()).status.success());
    let remount = |how: &str| assert!(Command::new("mount").args(["-o", how]).arg(&disk.0).status().unwrap().success());
    remount("remount,ro");
    refused(&["train", "--resume", name, "--updates=20"], 1, &["cannot write", ".lock", "make the folder writable"]);
    refused(&[&SMALL[..], &["--out", disk.0.join("new").to_str().unwrap()]].concat(), 1, &["cannot make the folder", "--out"]);
    refused(&["export", name, disk.0.join("model.st").to_str().unwrap()], 1, &["cannot write", "model.st"]);
    remount("remount,rw");
    assert!(retrograd(&["train", "--resume", name, "--updates=20"]).status.success());
}

/// The lock names its holder and ends with it; two processes never write the same run.
#[test]
fn two_processes_do_not_train_in_one_folder() {
    let out = fresh("locked");
    let name = out.to_str().unwrap();
    let mut first = program(&[&SMALL[..], &["--updates=100000000", "--out", name]].concat()).spawn().unwrap();
    wait_for("a checkpoint", || out.join("checkpoint.safetensors").exists());
    let holder = format!("another process (process {})", first.id());
    refused(&["train", "--resume", name], 1, &[&holder, "wait for it, or stop it"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(out.join(".lock").exists(), "a killed process leaves its lock");
    // A stale lock is taken over; if the lock is removed by hand, its former holder stops and leaves everything to the other process.
    let child = || program(&["train", "--resume", name]).stderr(Stdio::piped()).spawn().unwrap();
    let holds = |child: &Child| std::fs::read_to_string(out.join(".lock")).is_ok_and(|pid| pid.trim() == child.id().to_string());
    let second = child();
    wait_for("the lock", || holds(&second));
    std::fs::remove_file(out.join(".lock")).unwrap();
    let mut third = child();
    wait_for("the lock again", || holds(&third));
    let pid = third.id();
    let ended = second.wait_with_output().unwrap();
    let message = text(&ended.stderr);
    assert!(ended.status.code() == Some(1) && message.contains(&format!("process {pid} is training in")), "{message}");
    third.kill().unwrap();
    third.wait().unwrap();
}

/// Files that vanish during a run come back with the next save; what can't come back is reported.
#[test]
fn files_that_vanish_come_back() {
    if lacks(cfg!(unix), "a shell and signals of Unix") {
        return;
    }
    let (out, log) = (fresh("vanishing"), fresh("vanishing log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    command.args([&SMALL[..], &["--updates=4000", "--log-every=10", "--out", out.to_str().unwrap()]].concat());
    let child = command.current_dir(folder("cli")).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait_for("figures", || std::fs::metadata(out.join("metrics.jsonl")).is_ok_and(|m| m.len() > 0) && out.join("checkpoint.safetensors").exists());
    for name in ["metrics.jsonl", "checkpoint.safetensors", "model.safetensors"] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    assert_eq!(ends(child), Some(0), "{}", std::fs::read_to_string(&log).unwrap());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("metrics.jsonl was removed; it begins anew"), "{said}");
    assert!(std::fs::read_to_string(out.join("metrics.jsonl")).unwrap().contains("\"update\":4000"));
    assert!(retrograd(&["train", "--resume", out.to_str().unwrap(), "--updates=4010"]).status.success());
    let gone = run(Command::new("sh")
        .args(["-c", &format!("rm '{}/config.toml'; exec '{}' train --resume '{}'", out.display(), env!("CARGO_BIN_EXE_retrograd"), out.display())]));
    assert!(gone.status.code() == Some(1) && text(&gone.stderr).contains("has no config.toml"), "{}", text(&gone.stderr));
}
