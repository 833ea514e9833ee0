//! Repeated measurements.

use retrograd::device::Device;
use retrograd::gpu::Kind;
use std::time::Instant;

/// Seconds of one run of something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) count: usize,
}

/// Times `f`, which runs something `runs` times and waits; returns times per run.
pub(crate) fn repeat_runs(seconds: f64, runs: u32, f: impl FnMut()) -> Times {
    let Times { median, min, count } = repeat(seconds, f);
    let [median, min] = [median, min].map(|t| t / f64::from(runs));
    Times { median, min, count }
}

/// Runs between two waits: on hardware the time of a single one is lost in the latency of a submission.
pub(crate) fn runs(device: &Device) -> u32 {
    match device {
        Device::Gpu(gpu) if gpu.info.kind == Kind::Hardware => 20,
        _ => 1,
    }
}

/// Times `f`, which has run once before: for `seconds`, and 3 to 400 times.
pub(crate) fn repeat(seconds: f64, mut f: impl FnMut()) -> Times {
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 3 || (times.len() < 400 && begin.elapsed().as_secs_f64() < seconds) {
        let start = Instant::now();
        f();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Times { median: times[times.len() / 2], min: times[0], count: times.len() }
}

/// The processor's name, as the system reports it.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split_once(':')).map(|(_, name)| name.trim().to_string());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {}, {}", name.unwrap_or_else(|| std::env::consts::ARCH.to_string()), std::env::consts::OS)
}
