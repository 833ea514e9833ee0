//! The profile of an update, on each device and by each clock; and the calibration cache of an adapter.

use crate::cli::{folder, retrograd, run, text};
use crate::devices::{both, gpu, without_gpu};
use retrograd::data::{Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::profile::{Clock, Profile};
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::process::Command;
use std::sync::Arc;

const UPDATES: u64 = 3;

/// Parameters after some updates, as bits, and their profile if requested.
fn train(device: &Device, profiled: bool) -> (Vec<u32>, Option<Profile>) {
    let settings = Settings::default().hidden(20).batch(4).truncation(Truncation::Regular(8)).val_fraction(0.0);
    let symbols = Arc::new(Symbols::new(Text::embedded(), Kind::Characters).unwrap());
    let corpus = Corpus::new(symbols, None, &settings).unwrap();
    let mut trainer = Trainer::new(device, corpus, settings).unwrap();
    trainer.step().unwrap();
    if profiled {
        trainer.engine.profile(true).unwrap();
    }
    (0..UPDATES).for_each(|_| trainer.step().unwrap());
    if profiled {
        trainer.engine.profile(false).unwrap();
    }
    // No longer measured.
    trainer.step().unwrap();
    let profile = trainer.engine.take_profile();
    assert!(trainer.engine.take_profile().is_none());
    (trainer.engine.parameters().unwrap().iter().map(|x| x.to_bits()).collect(), profile)
}

fn check(device: &Device, clock: Clock) {
    let (bits, profile) = train(device, true);
    let (plain, none) = train(device, false);
    assert!(none.is_none() && bits == plain, "{device}: a profile changes nothing");
    let profile = profile.expect("a profile");
    assert_eq!(profile.clock, clock, "{device}");
    let find = |label: &str| profile.entries.iter().find(|e| e.label == label).unwrap_or_else(|| panic!("{device}: no {label}"));
    for label in ["w_hh_t.0", "pre.0", "h.0", "logits", "loss", "d_w_hy", "d_h", "delta.0", "d_w_hh.0", "d_w_xh.0", "d_b_h.0", "norm", "finish", "optimizer"] {
        assert_eq!(find(label).calls, UPDATES, "{device}: {label}");
        assert!(find(label).seconds >= 0.0, "{device}: {label}");
    }
    let updates = UPDATES as f64;
    assert_eq!(find("h.0").work.flops, updates * 2.0 * 8.0 * 4.0 * 20.0 * 20.0, "{device}");
    assert_eq!(find("d_w_hh.0").work.flops, find("h.0").work.flops, "{device}");
    assert!(find("h.0").seconds > 0.0 && profile.kernel_seconds() <= profile.seconds, "{device}: {profile:?}");
    match clock {
        Clock::Submissions => assert!(profile.host_seconds.is_none() && clock.gap().is_some()),
        _ => assert!(profile.host_seconds.is_some_and(|s| s > 0.0 && s < profile.seconds), "{device}: {profile:?}"),
    }
}

#[test]
fn kernels_are_timed_on_every_device() {
    for device in both() {
        let timestamps = matches!(&device, Device::Gpu(gpu) if gpu.info.features.contains(&"timestamps"));
        let clock = match &device {
            Device::Cpu { .. } => Clock::Calls,
            Device::Gpu(_) if timestamps => Clock::Timestamps,
            Device::Gpu(_) => Clock::Submissions,
        };
        check(&device, clock);
    }
}

#[test]
fn without_timestamps_submissions_are_timed_and_that_is_said() {
    if without_gpu() {
        return;
    }
    let mut device = gpu();
    device.info.features.retain(|f| *f != "timestamps");
    check(&Device::Gpu(Box::new(device)), Clock::Submissions);
}

#[test]
fn train_prints_a_profile_and_puts_it_into_the_summary() {
    let small =
        ["train", "--hidden", "16", "--batch", "4", "--truncation", "regular:16", "--updates", "30", "--device", "cpu", "--sample=0", "--profile", "--json"];
    let out = retrograd(&small);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("scan_forward"), "{}", text(&out.stderr));
    let value: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    let profile = &value["profile"];
    assert_eq!((profile["updates"].as_u64(), profile["clock"].as_str()), (Some(30), Some("calls")));
    let kernels = profile["kernels"].as_array().expect("kernels");
    let shares: f64 = kernels.iter().map(|k| k["share"].as_f64().expect("a share")).sum();
    assert!(kernels.iter().any(|k| k["kernel"] == "matmul" && k["gflops"].as_f64() > Some(0.0)) && (0.0..=1.0).contains(&shares), "{profile}");
    let file = std::path::Path::new(value["run_dir"].as_str().expect("a folder")).join("summary.json");
    let file = if file.is_absolute() { file } else { folder("cli").join(file) };
    let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(saved["profile"], *profile);
}

/// A calibration that is damaged, or of another adapter or version, is measured again, with a note; the new one is then cached.
#[test]
fn a_calibration_that_does_not_fit_is_measured_again() {
    if without_gpu() {
        return;
    }
    let cache = folder("calibration");
    let devices = || {
        let out = run(Command::new(env!("CARGO_BIN_EXE_retrograd")).args(["devices", "--json"]).env("XDG_CACHE_HOME", &cache));
        assert!(out.status.success(), "{}", text(&out.stderr));
        let value: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
        (value["adapters"][0]["variants"]["calibration"].as_str().expect("a word").to_string(), text(&out.stderr))
    };
    let (first, notes) = devices();
    assert!(first == "measured" && !notes.contains("note:"), "{first}: {notes}");
    assert_eq!(devices().0, "remembered");
    let path = cache.join("retrograd").join("calibration.json");
    let good = std::fs::read_to_string(&path).unwrap();
    for (bad, note) in [
        (good[..good.len() / 2].to_string(), "is damaged"),
        ("[]]".to_string(), "is damaged"),
        (good.replace("retrograd 0", "retrograd 9"), "nothing for this adapter, driver and version"),
    ] {
        std::fs::write(&path, &bad).unwrap();
        let (calibration, notes) = devices();
        assert!(calibration == "measured" && notes.contains(note), "{bad}: {calibration}: {notes}");
        let (calibration, notes) = devices();
        assert!(calibration == "remembered" && !notes.contains("note:"), "{calibration}: {notes}");
    }
}
