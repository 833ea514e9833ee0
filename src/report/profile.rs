//! A profile as a table and as JSON.

use crate::metrics::{number, optional};
use crate::profile::{Entry, Profile};
use serde_json::{Value, json};
use std::fmt::Write;

/// A rate in billions per second; none if there is nothing to count.
fn rate(work: f64, seconds: f64) -> Option<f64> {
    (work > 0.0 && seconds > 0.0).then(|| work / seconds / 1e9)
}

/// One object: the total, and each kernel, with times in seconds per update.
pub fn json(profile: &Profile, updates: u64) -> Value {
    let each = 1.0 / updates.max(1) as f64;
    let kernel = |e: &Entry| {
        json!({
            "kernel": e.kernel, "what": e.label, "variant": e.variant, "calls": number(e.calls as f64 * each), "seconds": number(e.seconds * each),
            "share": number(e.seconds / profile.seconds), "gflops": optional(rate(e.work.flops, e.seconds)), "gbytes_per_second": optional(rate(e.work.bytes, e.seconds)),
        })
    };
    json!({
        "clock": profile.clock.name(), "cannot_show": profile.clock.gap(), "updates": updates, "seconds": number(profile.seconds * each),
        "kernel_seconds": number(profile.kernel_seconds() * each), "host_seconds": optional(profile.host_seconds.map(|s| s * each)),
        "host_share": optional(profile.host_seconds.map(|s| s / profile.seconds)), "kernels": profile.entries.iter().map(kernel).collect::<Vec<_>>(),
    })
}

/// A row per kernel, then the total.
pub fn table(profile: &Profile, updates: u64) -> String {
    let each = 1e3 / updates.max(1) as f64;
    let mut text = format!("profile of {updates} updates, per update (times by {}):\n", profile.clock.name());
    let _ = writeln!(text, "  {:<16} {:<14} {:>6} {:>11} {:>7} {:>9} {:>8}  form", "kernel", "what", "calls", "ms", "share", "GFLOP/s", "GB/s");
    let percent = |seconds: f64| 100.0 * seconds / profile.seconds;
    for e in &profile.entries {
        let shown = |work| rate(work, e.seconds).map_or("-".to_string(), |r| format!("{r:.2}"));
        let calls = e.calls as f64 / updates.max(1) as f64;
        let _ = writeln!(
            text,
            "  {:<16} {:<14} {calls:>6.1} {:>11.4} {:>6.2}% {:>9} {:>8}  {}",
            e.kernel,
            e.label,
            e.seconds * each,
            percent(e.seconds),
            shown(e.work.flops),
            shown(e.work.bytes),
            e.variant
        );
    }
    let kernels = profile.kernel_seconds();
    let _ = writeln!(text, "  {:<38} {:>11.4} {:>6.2}%", "all kernels", kernels * each, percent(kernels));
    if let Some(host) = profile.host_seconds {
        let _ = writeln!(text, "  {:<38} {:>11.4} {:>6.2}%", "host, waiting left out", host * each, percent(host));
    }
    let _ = write!(text, "  {:<38} {:>11.4}", "update", profile.seconds * each);
    if let Some(gap) = profile.clock.gap() {
        let _ = write!(text, "\nnote: {gap}");
    }
    text
}
