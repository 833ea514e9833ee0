//! Devices that are lost, hang, fail or vanish: the run ends with an error, or continues to the same bytes.

use crate::cli::{folder, retrograd, run, text};
use crate::devices::without_gpu;
use crate::skip::{lacks, skip};
use retrograd::Error;
use retrograd::device::{Device, ExecutionConfig};
use retrograd::gpu::{GpuDevice, Injected, Variants, adapters};
use retrograd::kernel::{Loads, Tile};
use retrograd::run::{End, Event, Folder, OnDeviceLost, Run, RunConfig};
use retrograd::trainer::{Corpus, Trainer};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const UPDATES: u64 = 50;
const CONFIG: &str = r#"
format = 1
text-checksum = ""
text-bytes = 0
bytes = false
hidden = 12
layers = 2
batch = 4
truncation = "random:0.9"
activation = "tanh"
no-bias = false
init = "orthogonal"
updates = 50
optimizer = "adam"
lr = 0.002
schedule = "cosine"
warmup = 5
clip-norm = 1.0
device = "gpu"
seed = 0
val-fraction = 0.01
log-every = 3
save-every = 8
sample = 0
monitor = 10
tensorboard = true
"#;

/// An adapter opened for one test only, so that faults do not affect others.
fn own() -> GpuDevice {
    let adapters = adapters().unwrap();
    let adapter = adapters.first().expect("no GPU adapter: install a Vulkan driver, on Debian `apt-get install mesa-vulkan-drivers`");
    GpuDevice::open_with(adapter, Some(Variants::only(Tile::T8x8, Loads::Each))).unwrap()
}

fn begin(out: &Path, gpu: &GpuDevice) -> Run {
    let mut config = RunConfig::parse(CONFIG).unwrap();
    let symbols = Arc::new(config.open_text(None).unwrap());
    let corpus = Corpus::new(symbols, config.layout(), &config.training).unwrap();
    let folder = Folder::create(out).unwrap();
    config.save(&folder.file("config.toml")).unwrap();
    let device = Device::Gpu(Box::new(gpu.clone()));
    let (settings, _) = Run::settings(&config, &device, &corpus).unwrap();
    let trainer = Trainer::new(&device, corpus, settings).unwrap();
    Run::begin(folder, config, device, trainer).unwrap()
}

/// Trains, injecting each fault after its number of steps since the device was opened. Returns the end, and how often the device was reopened.
fn train(out: &Path, lost: OnDeviceLost, faults: &[(u64, Injected)]) -> (retrograd::Result<End>, u64) {
    let mut gpu = own();
    let (mut steps, mut faults, mut opened, mut down) = (0, faults.iter(), 0, false);
    let mut next = faults.next();
    let ended = begin(out, &gpu).train_on(lost, &mut |event| match event {
        // Work in flight when a device is lost may fail some steps later.
        Event::Step(_) if !down => {
            steps += 1;
            if next.is_some_and(|n| n.0 == steps) {
                gpu.inject(next.unwrap().1);
                (down, next) = (true, faults.next());
            }
        }
        Event::Opened(Device::Gpu(new), _) => {
            (opened, steps, down) = (opened + 1, 0, false);
            gpu = (**new).clone();
        }
        _ => {}
    });
    (ended.map(|(_, end)| end), opened)
}

fn fresh(name: &str) -> std::path::PathBuf {
    folder("faults").join(name)
}

/// A run whose device is lost three times and hangs once, between checkpoints, ends with the same bytes as an undisturbed one.
#[test]
fn a_lost_device_is_opened_again_and_the_bytes_are_the_same() {
    if without_gpu() {
        return;
    }
    let (whole, lost) = (fresh("whole"), fresh("lost"));
    assert_eq!(train(&whole, OnDeviceLost::Stop, &[]), (Ok(End::Done), 0));
    let faults = [(3, Injected::Lost), (11, Injected::Hang), (20, Injected::Lost), (1, Injected::Lost)];
    assert_eq!(train(&lost, OnDeviceLost::Retry, &faults), (Ok(End::Done), 4));
    for name in ["model.safetensors", "best.safetensors"] {
        assert!(std::fs::read(whole.join(name)).unwrap() == std::fs::read(lost.join(name)).unwrap(), "{name} differs");
    }
    let updates = |run: &Path| std::fs::read_to_string(run.join("metrics.jsonl")).unwrap().matches("\"grad_norm\"").count();
    assert_eq!(updates(&whole), updates(&lost), "figures are lost or doubled");
}

/// Without retrying, the run ends in one line, and resuming by hand continues from the last checkpoint.
#[test]
fn a_lost_device_stops_a_run_in_one_line() {
    if without_gpu() {
        return;
    }
    for (name, fault, words) in [("stop lost", Injected::Lost, "device lost"), ("stop hung", Injected::Hang, "no answer for 0 s; the driver hangs")] {
        let out = fresh(name);
        let (ended, opened) = train(&out, OnDeviceLost::Stop, &[(19, fault)]);
        let Err(Error::Lost(line)) = ended else { panic!("{ended:?}") };
        assert!(opened == 0 && !line.contains('\n') && line.contains(words) && line.contains("checkpoint is of update 16: go on with"), "{line}");
        assert_eq!(Error::Lost(line).exit_code(), 1);
        let done = retrograd(&["train", "--resume", out.to_str().unwrap()]);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
}

/// A device that is lost repeatedly without progress is given up.
#[test]
fn a_device_that_is_always_lost_is_given_up() {
    if without_gpu() {
        return;
    }
    let (ended, opened) = train(&fresh("always"), OnDeviceLost::Retry, &[(2, Injected::Lost); 9]);
    let Err(Error::Lost(line)) = ended else { panic!("{ended:?}") };
    assert!(opened == 3 && line.contains("4 times in a row") && line.contains("update 0"), "{line}");
}

/// An uncaptured wgpu error ends a run and is not retried: it would recur.
#[test]
fn an_error_that_nobody_asked_for_ends_a_run() {
    if without_gpu() {
        return;
    }
    let out = fresh("invalid");
    let (ended, opened) = train(&out, OnDeviceLost::Retry, &[(9, Injected::Invalid)]);
    let Err(Error::Device(line)) = ended else { panic!("{ended:?}") };
    assert!(opened == 0 && line.contains("device error") && line.contains("injected") && !line.contains('\n'), "{line}");
    assert!(out.join("checkpoint.safetensors").exists());
}

/// An interrupt while waiting for the device is honoured.
#[test]
fn an_interrupt_ends_the_wait_for_a_device() {
    if without_gpu() {
        return;
    }
    let gpu = own();
    let mut begun = begin(&fresh("interrupt"), &gpu);
    let flag = Arc::new(AtomicBool::new(false));
    begun.trainer.set_interrupt(flag.clone());
    let mut steps = 0;
    let ended = begun.train_on(OnDeviceLost::Retry, &mut |event| {
        steps += u64::from(matches!(event, Event::Step(_)));
        if steps == 2 {
            gpu.inject(Injected::Lost);
        }
        if matches!(event, Event::Warning(_)) {
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    assert!(matches!(ended, Err(Error::Interrupted)), "{:?}", ended.map(|e| e.1));
    assert!(steps < UPDATES);
}

/// With too little memory, the driver reports it and the program prints one line.
#[test]
fn too_little_memory_is_one_line() {
    if without_gpu() || lacks(cfg!(target_os = "linux"), "a limit of memory, which Linux keeps") {
        return;
    }
    if own().info.backend != "vulkan" {
        skip("Mesa's GL ends the process by itself when memory is short");
        return;
    }
    let out = fresh("memory");
    let sizes = "--cell=rnn --hidden=2048 --batch=64 --init=normal:0.01 --truncation=full --memory-budget=2GiB --updates=1";
    let script = format!("ulimit -v 900000; exec '{}' train --device=gpu {sizes} --out '{}'", env!("CARGO_BIN_EXE_retrograd"), out.display());
    let done = run(Command::new("sh").args(["-c", &script]));
    let message = text(&done.stderr);
    // Ignores what the driver itself prints.
    let error: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
    assert!(done.status.code() == Some(1) && error.len() == 1 && error[0].contains("memory"), "{:?}: {message}", done.status);
}

/// A run whose adapter is gone says so, and continues on another device only if told to.
#[test]
fn an_adapter_that_is_gone_is_named() {
    if without_gpu() {
        return;
    }
    let out = fresh("gone");
    let name = out.to_str().unwrap();
    let small = ["train", "--hidden=12", "--batch=4", "--truncation=regular:16", "--device=gpu", "--updates=5", "--sample=0", "--out", name];
    assert!(retrograd(&small).status.success());
    let resume = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
        command.args(["train", "--resume", name, "--updates=9", "--sample=0"]).args(more);
        run(command.env("VK_ICD_FILENAMES", "/nonexistent").env("VK_DRIVER_FILES", "/nonexistent").env("WGPU_BACKEND", "vulkan"))
    };
    let done = resume(&[]);
    let message = text(&done.stderr);
    assert!(done.status.code() == Some(1) && message.contains("which is not there now") && message.contains("--device"), "{message}");
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    std::fs::write(out.join("config.toml"), config.replace("device = \"gpu\"", "device = \"auto\"")).unwrap();
    let message = text(&resume(&[]).stderr);
    assert!(message.contains("which is not there now: there is CPU"), "{message}");
    let done = resume(&["--device=cpu"]);
    assert!(done.status.success() && text(&done.stderr).contains("bits may differ"), "{}", text(&done.stderr));
}

#[test]
fn a_gpu_outclasses_less() {
    if without_gpu() {
        return;
    }
    let gpu = Device::Gpu(Box::new(own()));
    let software = gpu.choices();
    let hardware = ExecutionConfig { description: "NVIDIA (vulkan, 550)".to_string(), ..software.clone() };
    let cpu = Device::Cpu { threads: 2 };
    assert!(software.outclass(&cpu) && !software.outclass(&gpu));
    assert!(hardware.outclass(&cpu) && hardware.outclass(&gpu) == gpu.to_string().ends_with(", software)"));
    assert!(!cpu.choices().outclass(&gpu) && !cpu.choices().outclass(&cpu));
}
