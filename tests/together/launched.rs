//! The program as mpirun starts it.

use crate::skip::skip;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_retrograd");

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("together").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// mpirun with so many ranks, on any number of cores, also as root in a container.
fn launcher() -> Command {
    let mut command = Command::new("mpirun");
    command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), ("OMPI_MCA_rmaps_base_oversubscribe", "1")]);
    command.stdin(Stdio::null());
    command
}

fn command(ranks: u32, args: &[&str]) -> Command {
    let mut command = launcher();
    command.args(["-n", &ranks.to_string(), PROGRAM]).args(args);
    command
}

/// The lines of the program: mpirun has words of its own.
fn said(out: &Output) -> Vec<String> {
    String::from_utf8_lossy(&out.stderr).lines().filter(|l| l.starts_with("error: ")).map(String::from).collect()
}

fn ok(mut command: Command) -> Output {
    let out = command.output().expect("mpirun is there: apt-get install openmpi-bin");
    assert!(out.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    out
}

fn text(folder: &Path) -> PathBuf {
    let path = folder.join("text.txt");
    std::fs::write(&path, "the gradient of a window flows back, and a lane carries its state. ".repeat(120)).unwrap();
    path
}

const TRAIN: [&str; 7] = ["--hidden=12", "--batch=8", "--sample=0", "--layers=2", "--dropout=0.3", "--log-every=10", "--quiet"];

/// Trains into `out`, on so many ranks, or without mpirun if 0, and returns the model's bytes.
fn trained(ranks: u32, text: &Path, out: &Path, more: &[&str]) -> Vec<u8> {
    let args = [&["train", text.to_str().unwrap(), "--out", out.to_str().unwrap()][..], &TRAIN, more].concat();
    if ranks == 0 {
        let mut alone = Command::new(PROGRAM);
        alone.args(args);
        ok(alone);
    } else {
        ok(command(ranks, &args));
    }
    std::fs::read(out.join("model.safetensors")).unwrap()
}

#[test]
fn a_model_has_the_same_bytes_on_1_2_and_4_ranks() {
    let folder = folder("bytes");
    let text = text(&folder);
    for cell in ["rnn", "lstm"] {
        for (truncation, updates) in [("regular:16", "200"), ("random:0.9", "200"), ("full", "200")] {
            let (cell, truncation, updates) = (format!("--cell={cell}"), format!("--truncation={truncation}"), format!("--updates={updates}"));
            let more = ["--device=cpu", "--lane-groups=4", &cell, &truncation, &updates];
            let one = trained(0, &text, &folder.join(format!("{cell}{truncation}0")), &more);
            for ranks in [1, 2, 4] {
                let other = trained(ranks, &text, &folder.join(format!("{cell}{truncation}{ranks}")), &more);
                assert!(other == one, "{cell} {truncation}: {ranks} ranks");
            }
        }
    }
}

#[test]
fn and_on_adapters_that_ranks_share() {
    if std::env::var("RETROGRAD_TEST_DEVICES").as_deref() == Ok("cpu") {
        return skip("its part on the GPU (RETROGRAD_TEST_DEVICES=cpu)");
    }
    let folder = folder("adapters");
    let text = text(&folder);
    for cell in ["--cell=rnn", "--cell=lstm"] {
        let more = ["--device=gpu", "--lane-groups=2", cell, "--truncation=regular:16", "--updates=40"];
        let one = trained(0, &text, &folder.join(format!("{cell}1")), &more);
        assert!(trained(2, &text, &folder.join(format!("{cell}2")), &more) == one, "{cell}");
    }
}

/// The config, the summary and the checkpoint say ranks and lane groups.
#[test]
fn a_run_says_how_many_ranks_it_had() {
    let folder = folder("says");
    let (text, out) = (text(&folder), folder.join("run"));
    trained(2, &text, &out, &["--device=cpu", "--updates=20"]);
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["ranks"], &summary["lane_groups"]), (&2.into(), &2.into()));
    assert!(summary["rank_sent_bytes_per_update"].as_f64().unwrap() > 0.0);
    assert!(std::fs::read_to_string(out.join("config.toml")).unwrap().contains("lane-groups = 2\n"));
    let line: serde_json::Value = serde_json::from_str(std::fs::read_to_string(out.join("metrics.jsonl")).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((&line["ranks"], &line["lane_groups"]), (&2.into(), &2.into()));
    let checkpoint = String::from_utf8_lossy(&std::fs::read(out.join("checkpoint.safetensors")).unwrap()).into_owned();
    assert!(checkpoint.contains("groups = 2") && checkpoint.contains("ranks = 2"));
}

fn wait_for(what: &str, seconds: u64, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn updates(out: &Path) -> usize {
    std::fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |t| t.lines().count())
}

/// The processes of the program that train in a folder, by rank.
fn ranks_of(out: &Path) -> Vec<u32> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let read = |name: &str| std::fs::read(entry.path().join(name)).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let line = read("cmdline");
        let mut words = line.split('\0');
        if words.next() != Some(PROGRAM) || !line.contains(out.to_str().unwrap()) {
            continue;
        }
        if let Some(rank) = read("environ").split('\0').find_map(|v| v.strip_prefix("OMPI_COMM_WORLD_RANK=")).and_then(|n| n.parse().ok()) {
            found.push((rank, pid));
        }
    }
    found.sort_unstable();
    found.into_iter().map(|f| f.1).collect()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// A run that would take long, with its ranks under way.
fn begun(ranks: u32, text: &Path, out: &Path, more: &[&str]) -> Child {
    let args = [
        &["train", text.to_str().unwrap(), "--out", out.to_str().unwrap(), "--updates=1000000", "--val-fraction=0", "--schedule=constant"][..],
        &TRAIN,
        &["--device=cpu", "--save-every=20"],
        more,
    ];
    let mut command = command(ranks, &args.concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first figures", 60, || updates(out) > 2 && out.join("checkpoint.safetensors").exists());
    child
}

/// The end of it: within 30 s, no process is left, and the last checkpoint is whole.
fn ended(child: Child, out: &Path, what: &str) -> Output {
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "{what}: it ended after {:?}", start.elapsed());
    wait_for("the end of all processes", 10, || ranks_of(out).is_empty());
    output
}

/// It goes on, on another number of ranks, by some updates; returns after how many it ends.
fn goes_on(ranks: u32, out: &Path, what: &str) -> u64 {
    // A line every 10 updates.
    let to = 10 * (updates(out) as u64 + 2);
    let args = ["train", "--resume", out.to_str().unwrap(), "--quiet", "--updates", &to.to_string()];
    let mut command = if ranks == 0 { Command::new(PROGRAM) } else { command(ranks, &args) };
    if ranks == 0 {
        command.args(args);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
    to
}

/// How often each failure is tried: once, or as often as RETROGRAD_FAULTS says.
fn times() -> u32 {
    std::env::var("RETROGRAD_FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

#[test]
fn a_killed_rank_ends_all() {
    let folder = folder("killed");
    let text = text(&folder);
    for i in 0..times() {
        for victim in [0, 3] {
            let out = folder.join(format!("{victim} {i}"));
            let child = begun(4, &text, &out, &["--lane-groups=4"]);
            signal(ranks_of(&out)[victim], "KILL");
            let output = ended(child, &out, &format!("rank {victim} killed"));
            let all = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && all.contains("signal 9 (Killed)") && all.contains(&format!("rank {victim} ")), "{all}");
            // To the bytes of a run that nothing has happened to.
            let to = goes_on([2, 0][victim % 2], &out, "killed").to_string();
            let more = ["--lane-groups=4", "--device=cpu", "--val-fraction=0", "--schedule=constant", "--updates", &to];
            let whole = trained(1, &text, &folder.join(format!("{victim} {i} whole")), &more);
            assert!(std::fs::read(out.join("model.safetensors")).unwrap() == whole, "rank {victim} killed, and gone on with");
        }
    }
}

#[test]
fn a_rank_that_hangs_ends_all() {
    let folder = folder("stopped");
    let text = text(&folder);
    for i in 0..times() {
        for victim in [0, 1] {
            let out = folder.join(format!("{victim} {i}"));
            let child = begun(2, &text, &out, &["--lane-groups=4", "--rank-timeout=3"]);
            signal(ranks_of(&out)[victim], "STOP");
            let output = ended(child, &out, &format!("rank {victim} stopped"));
            let said = said(&output);
            assert!(said.len() == 1 && said[0].contains(&format!("rank {victim} on ")) && said[0].contains("has not answered for 3 s"), "{said:?}");
            goes_on([0, 4][victim], &out, "stopped");
        }
    }
}

/// A folder on a disk of 1 MiB, if this user may mount one.
fn small_disk(path: &Path) -> bool {
    std::fs::create_dir_all(path).unwrap();
    Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", path.to_str().unwrap()]).output().is_ok_and(|o| o.status.success())
}

#[test]
fn a_full_disk_ends_all() {
    let folder = folder("full");
    let text = text(&folder);
    for i in 0..times() {
        let disk = folder.join(format!("disk {i}"));
        if !small_disk(&disk) {
            return skip("it needs a small disk, which root alone may mount");
        }
        let out = disk.join("run");
        let child = begun(2, &text, &out, &[]);
        let whole = std::fs::read(out.join("checkpoint.safetensors")).unwrap();
        let filler = std::fs::write(disk.join("filler"), vec![1u8; 2 << 20]);
        assert!(filler.is_err(), "the disk is not small");
        let output = ended(child, &out, "full disk");
        let (said, left) = (said(&output), std::fs::read(out.join("checkpoint.safetensors")).unwrap());
        assert!(said.len() == 1 && said[0].starts_with("error: rank 0 on ") && said[0].contains("cannot write"), "{said:?}");
        assert!(left.len() == whole.len(), "the last checkpoint is whole");
        std::fs::remove_file(disk.join("filler")).unwrap();
        goes_on(2, &out, "full disk");
        assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    }
}

#[test]
fn ranks_that_differ_end_at_once() {
    let folder = folder("differ");
    let text = text(&folder);
    let other = folder.join("other.txt");
    std::fs::write(&other, "the gradient of another window flows back, and a lane carries its state. ".repeat(120)).unwrap();
    let copy = folder.join("copy");
    std::fs::write(&copy, [std::fs::read(PROGRAM).unwrap(), b" ".to_vec()].concat()).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&copy).status().unwrap().success());
    for i in 0..times() {
        let out = folder.join(format!("run {i}"));
        let part = |program: &Path, text: &Path, more: &str| {
            let args = ["train", text.to_str().unwrap(), "--out", out.to_str().unwrap(), "--updates=20", "--device=cpu", more];
            [&["-n", "1", program.to_str().unwrap()][..], &args, &TRAIN].concat().into_iter().map(String::from).collect::<Vec<_>>()
        };
        let program = Path::new(PROGRAM);
        let cases = [
            (part(program, &other, "--seed=1"), "rank 1 on ", "is not the text that this run was trained on"),
            (part(&copy, &text, "--seed=1"), "rank 1 on ", "has another program than rank 0"),
            (part(program, &text, "--seed=2"), "rank 1 on ", "has another settings than rank 0"),
        ];
        for (second, who, words) in cases {
            let mut command = launcher();
            command.args(part(program, &text, "--seed=1")).arg(":").args(second).stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = ended(command.spawn().unwrap(), &out, words);
            let said = said(&output);
            assert!(said.len() == 1 && said[0].contains(who) && said[0].contains(words), "{said:?} {}", String::from_utf8_lossy(&output.stderr));
            assert!(!output.status.success() && !out.exists(), "nothing is left");
        }
    }
}

/// A request to end saves once; the run goes on to the bytes of one that was not interrupted.
#[test]
fn a_request_to_end_saves_once() {
    let folder = folder("asked");
    let text = text(&folder);
    for name in ["INT", "TERM", "TERM one"] {
        let out = folder.join(name);
        let child = begun(2, &text, &out, &["--lane-groups=4"]);
        // mpirun sends it to all, and has an exit code of its own for it; a rank that hears of it alone tells the others.
        let one = name.ends_with("one");
        signal(if one { ranks_of(&out)[1] } else { child.id() }, name.split(' ').next().unwrap());
        let output = ended(child, &out, name);
        let expected = if one { 130 } else { 1 };
        assert_eq!(output.status.code(), Some(expected), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(said(&output).is_empty());
        let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
        assert_eq!(summary["interrupted"], true, "{name}");
        let to = (10 * (updates(&out) + 2)).to_string();
        ok(command(4, &["train", "--resume", out.to_str().unwrap(), "--quiet", "--updates", &to]));
        let whole = folder.join(format!("{name} whole"));
        let bytes = trained(0, &text, &whole, &["--lane-groups=4", "--device=cpu", "--val-fraction=0", "--schedule=constant", "--updates", &to]);
        assert!(std::fs::read(out.join("model.safetensors")).unwrap() == bytes, "{name}");
    }
}

/// One line from rank 0, exit code 2 from all, and nothing left.
#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let folder = folder("refused");
    let (text, out) = (text(&folder), folder.join("run"));
    let cases: [(u32, &[&str], &str); 9] = [
        (3, &[], "3 processes can't share lane groups"),
        (3, &["--lane-groups=4"], "3 processes can't share lane groups"),
        (4, &["--lane-groups=2"], "4 processes are more than the 2 of --lane-groups"),
        (2, &["--lane-groups=3"], "expected a power of two"),
        (2, &["--lane-groups=0"], "expected a power of two"),
        (2, &["--batch=9"], "does not divide --batch 9"),
        (2, &["--device=gpu:0"], "would share --device gpu:0"),
        (2, &["--hidden=0"], "1 or more"),
        (2, &["--monitor=5"], "--monitor looks at the gradient in one process"),
    ];
    for (ranks, more, words) in cases {
        let args = [&["train", text.to_str().unwrap(), "--out", out.to_str().unwrap(), "--sample=0", "--updates=20"][..], more].concat();
        let output = command(ranks, &args).output().unwrap();
        let said = said(&output);
        assert!(said.len() == 1 && said[0].contains(words), "{more:?}: {said:?} {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(!out.exists(), "{more:?}");
    }
}
