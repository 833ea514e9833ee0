//! Profiles: the time of each kernel as measured by an executor, and the work done in that time.

use crate::kernel::Work;
use crate::platform::Instant;
use crate::recording::Dispatch;
use std::collections::BTreeMap;
use std::time::Duration;

/// How the time of a dispatch was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// By the device itself, before and after each dispatch.
    Timestamps,
    /// By the host: each dispatch is submitted and waited for alone, which includes the latency of a submission.
    Submissions,
    /// By the host, around each call.
    Calls,
}

impl Clock {
    /// A one-word name.
    pub const fn name(self) -> &'static str {
        match self {
            Clock::Timestamps => "timestamps",
            Clock::Submissions => "submissions",
            Clock::Calls => "calls",
        }
    }

    /// What can't be measured, if anything.
    pub const fn gap(self) -> Option<&'static str> {
        match self {
            Clock::Timestamps | Clock::Calls => None,
            Clock::Submissions => Some(
                "this adapter has no timestamps: each dispatch was submitted and waited for alone, its time includes that, and the host's own time can't be told",
            ),
        }
    }
}

/// All dispatches of one kernel for one purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// The result computed, such as `d_w_hh.0`.
    pub label: String,
    /// Variant of the kernel; empty if it has only one.
    pub variant: String,
    /// Number of dispatches.
    pub calls: u64,
    /// Total seconds of all calls.
    pub seconds: f64,
    /// Total operations and bytes of all calls.
    pub work: Work,
}

/// The profile of everything that ran during a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How the times were measured.
    pub clock: Clock,
    /// The kernels, the longest first.
    pub entries: Vec<Entry>,
    /// Elapsed seconds.
    pub seconds: f64,
    /// Seconds that the host spent on its own work, without waiting; `None` if unknown. They cost nothing while the device is working.
    pub host_seconds: Option<f64>,
}

impl Profile {
    /// Seconds of all kernels.
    pub fn kernel_seconds(&self) -> f64 {
        self.entries.iter().map(|e| e.seconds).sum()
    }
}

/// Records a profile.
pub(crate) struct Recorder {
    clock: Clock,
    entries: BTreeMap<(&'static str, String), Entry>,
    running: Option<Instant>,
    passed: Duration,
    waited: Duration,
}

impl Recorder {
    pub(crate) fn new(clock: Clock) -> Self {
        Recorder { clock, entries: BTreeMap::new(), running: None, passed: Duration::ZERO, waited: Duration::ZERO }
    }

    /// Starts or stops recording.
    pub(crate) fn run(&mut self, on: bool) {
        if let Some(since) = self.running.take() {
            self.passed += since.elapsed();
        }
        self.running = on.then(Instant::now);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Records that the host was waiting since then.
    pub(crate) fn waited(&mut self, since: Instant) {
        if self.is_running() {
            self.waited += since.elapsed();
        }
    }

    /// Records one dispatch with evaluated arguments.
    pub(crate) fn note(&mut self, d: &Dispatch, args: &[u32], seconds: f64) {
        let kernel = d.kernel;
        let work = (kernel.work)(args);
        if let Some(e) = self.entries.get_mut(&(kernel.name, d.label.clone())) {
            (e.calls, e.seconds) = (e.calls + 1, e.seconds + seconds);
            e.work = Work { flops: e.work.flops + work.flops, bytes: e.work.bytes + work.bytes };
            return;
        }
        let variant = if kernel.tiled { d.variant.to_string() } else { String::new() };
        let entry = Entry { kernel: kernel.name, label: d.label.clone(), variant, calls: 1, seconds, work };
        self.entries.insert((kernel.name, d.label.clone()), entry);
    }

    /// The profile so far.
    pub(crate) fn finish(mut self) -> Profile {
        self.run(false);
        let mut entries: Vec<Entry> = self.entries.into_values().collect();
        entries.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let host_seconds = (self.clock != Clock::Submissions).then(|| self.passed.saturating_sub(self.waited).as_secs_f64());
        Profile { clock: self.clock, entries, seconds: self.passed.as_secs_f64(), host_seconds }
    }
}
