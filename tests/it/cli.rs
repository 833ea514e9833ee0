//! The program: what it prints, refuses and returns.

use crate::devices::without_gpu;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for this process only, so that `runs/` contains no other runs.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}", std::process::id())).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub(crate) fn retrograd(args: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_retrograd")).args(args))
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.current_dir(folder("cli")).output().expect("the program starts")
}

/// Runs a command that must succeed; returns its standard output and standard error.
pub(crate) fn ok(args: &[&str]) -> [String; 2] {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    [text(&out.stdout), text(&out.stderr)]
}

pub(crate) fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the program with an empty driver list, as on a machine without Vulkan.
fn without_adapters(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    run(command.args(args).env("VK_ICD_FILENAMES", "/nonexistent").env("VK_DRIVER_FILES", "/nonexistent").env("WGPU_BACKEND", "vulkan"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn file(name: &str, content: &[u8]) -> PathBuf {
    // Renamed when whole: another test may be reading the same file.
    let path = folder("files").join(name);
    let whole = folder("files").join(format!("{name}.{:?}", std::thread::current().id()));
    std::fs::write(&whole, content).unwrap();
    std::fs::rename(&whole, &path).unwrap();
    path
}

const SMALL: [&str; 12] = ["train", "--hidden", "16", "--batch", "4", "--truncation", "regular:16", "--updates", "30", "--device", "cpu", "--sample=20"];

#[test]
fn train_learns_the_embedded_text_and_prints_a_sample() {
    let out = retrograd(&SMALL);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(!text(&out.stdout).trim().is_empty());
    let messages = text(&out.stderr);
    assert!(messages.contains("device: CPU") && messages.contains("validation loss"), "{messages}");
}

#[test]
fn train_json_is_one_object_with_the_promised_keys() {
    let out = retrograd(&[&SMALL[..], &["--json"]].concat());
    assert!(out.status.success(), "{}", text(&out.stderr));
    let value: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    let keys = "device backend updates tokens train_loss val_loss val_bpc tokens_per_second device_bytes_planned device_bytes_allocated \
        activation_bytes_planned activation_bytes_allocated dispatches_per_window submits_per_window skipped_updates seconds_setup \
        seconds_training run_dir";
    for key in keys.split_whitespace() {
        assert!(value.get(key).is_some(), "{key} is missing");
    }
    assert_eq!(value["updates"], 30);
    assert_eq!(value["tokens"], 30 * 4 * 16);
    assert_eq!(value["device_bytes_planned"], value["device_bytes_allocated"]);
    assert!(value["train_loss"].as_f64().unwrap() < 4.0);
}

#[test]
fn gradcheck_passes_on_the_cpu() {
    let out = retrograd(&["gradcheck", "--device", "cpu", "--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let value: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["passes"], true);
    assert!(value["checks"].as_array().unwrap().len() >= 12);
}

#[test]
fn without_an_adapter_auto_trains_on_the_cpu_and_says_so() {
    let args = SMALL.map(|a| if a == "cpu" { "auto" } else { a });
    let out = without_adapters(&args);
    let messages = text(&out.stderr);
    assert!(out.status.success(), "{messages}");
    assert!(messages.contains("device: CPU") && messages.contains("no GPU adapter was found"), "{messages}");
}

#[test]
fn without_an_adapter_gpu_fails_and_says_what_to_install() {
    let out = without_adapters(&["train", "--device", "gpu"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("apt-get install mesa-vulkan-drivers"), "{}", text(&out.stderr));
    assert!(out.stdout.is_empty());
}

/// Runs a command that must be refused: one clear line on standard error, the exit code, no panic, nothing on standard output.
pub(crate) fn refused(args: &[&str], code: i32, words: &[&str]) {
    let out = retrograd(args);
    let message = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {message}");
    // Mesa's device-select layer prints an error on machines without a desktop session.
    let lines: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
    assert_eq!(lines.len(), 1, "{args:?}: {message}");
    assert!(!message.contains("panicked") && out.stdout.is_empty(), "{args:?}: {message}");
    for word in words {
        assert!(lines[0].contains(word), "{args:?}: {word:?} is not in {message}");
    }
}

#[test]
fn bad_texts_are_refused() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let empty = file("empty.txt", b"");
    let broken = file("broken.txt", b"good text\xff more");
    let short = file("short.txt", "abc ".repeat(8).as_bytes());
    let tiny = file("tiny.txt", b"ab");
    let train = |path: &Path, code, words: &[&str]| refused(&["train", path.to_str().unwrap(), "--device", "cpu"], code, words);
    train(Path::new("/no/such/file.txt"), 1, &["/no/such/file.txt", "cannot read"]);
    train(Path::new(folder), 1, &["directory"]);
    train(&empty, 1, &["empty"]);
    train(&broken, 1, &["not UTF-8", "offset 9", "0xff"]);
    train(&short, 1, &["29 characters", "at least 33", "--batch"]);
    train(&tiny, 1, &["2 characters"]);
    refused(&["train", short.to_str().unwrap(), "--device=cpu", "--separator=xyz"], 1, &["never occurs", "xyz"]);
    refused(&["train", file("empty lines.txt", b"\n\n\n").to_str().unwrap(), "--device=cpu", "--lines"], 1, &["shorter than 2"]);
}

#[test]
fn bad_settings_are_refused() {
    for (flag, value, words) in [
        ("--hidden", "0", &["'0' for '--hidden <H>'", "1 or more"][..]),
        ("--hidden", "-3", &["--hidden"]),
        ("--hidden", "4000000000", &["--hidden"]),
        ("--hidden", "99999999999", &["--hidden"]),
        ("--batch", "0", &["--batch", "1 or more"]),
        ("--layers", "0", &["--layers", "1 to 8"]),
        ("--layers", "9", &["'9'", "--layers", "1 to 8"]),
        ("--truncation", "regular:0", &["regular:0", "at least 1"]),
        ("--truncation", "sometimes", &["sometimes", "full", "regular:TAU"]),
        ("--truncation", "regular:9,3", &["K1 9", "K2 3", "K1 <= K2"]),
        ("--truncation", "random:0", &["PI above 0"]),
        ("--truncation", "random-tail:8,2", &["ALPHA above 2"]),
        ("--init", "magic", &["magic", "orthogonal", "uniform"]),
        ("--optimizer", "lion", &["lion", "adam", "sgd"]),
        ("--activation", "gelu", &["gelu", "tanh", "relu", "identity"]),
        ("--device", "quantum", &["quantum", "auto", "cpu"]),
        ("--device", "gpu:x", &["gpu:x"]),
        ("--schedule", "linear", &["linear", "cosine", "exponential"]),
        ("--separator", "", &["--separator", "at least one"]),
        ("--separator", "\\q", &["\\q", "\\n"]),
        ("--patience", "0", &["--patience"]),
        ("--lr", "0", &["--lr", "above 0"]),
        ("--lr", "NaN", &["--lr", "finite"]),
        ("--clip-norm", "-1", &["--clip-norm"]),
        ("--updates", "0", &["--updates"]),
        ("--lr", "1e39", &["--lr", "f32"]),
        ("--val-fraction", "1", &["--val-fraction", "below 1"]),
        ("--no-such-flag", "1", &["--no-such-flag"]),
    ] {
        refused(&["train", &format!("{flag}={value}")], 2, words);
    }
    refused(&["train", "--val-fraction=0", "--patience=2"], 2, &["--patience", "--val-fraction"]);
    refused(&["train", "--lines", "--separator=x"], 2, &["--lines", "--separator"]);
    refused(&["train", "--out=a", "--resume=b"], 2, &["--out", "--resume"]);
    refused(&["train", "--updates=3", "--epochs=1"], 2, &["--updates", "--epochs"]);
    if !without_gpu() {
        refused(&["train", "--device", "gpu:99"], 1, &["no adapter 99", "there:"]);
    }
    refused(&[], 2, &["no command given", "train"]);
}

/// The program opens no window: it connects to no display and reports no missing one. A variable that the user has set is kept.
#[test]
fn nothing_of_a_window_system_is_opened() {
    if without_gpu() {
        return;
    }
    let devices = |set: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
        command.arg("devices").env_remove("XDG_RUNTIME_DIR").env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY").env_remove("NODEVICE_SELECT");
        run(command.envs(set.iter().copied()))
    };
    let out = devices(&[]);
    assert!(out.status.success() && text(&out.stdout).contains("gpu:0"), "{}", text(&out.stdout));
    assert_eq!(text(&out.stderr), "");
    assert!(devices(&[("MESA_VK_DEVICE_SELECT", "list")]).status.success());
}

#[test]
fn doctor_checks_every_device() {
    if without_gpu() {
        return;
    }
    let out = retrograd(&["doctor", "--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    let adapters = found["adapters"].as_array().expect("a list");
    assert!(found["sound"] == true && !adapters.is_empty(), "{found}");
    for check in adapters.iter().map(|a| &a["check"]).chain([&found["cpu"]["check"]]) {
        let error = check["relative_error"].as_f64().expect("a number");
        assert!(check["passes"] == true && error > 0.0 && error <= 1e-4, "{check}");
    }
    let plain = text(&retrograd(&["doctor"]).stdout);
    assert_eq!(plain.lines().filter(|l| l.starts_with("ok ")).count(), adapters.len() + 1, "{plain}");
}
