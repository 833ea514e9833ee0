//! Skipped tests, listed with their reasons.

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::Location;
use std::sync::Mutex;

/// Lists the calling test, or a part of it, as skipped. scripts/test.sh names a file in RETROGRAD_SKIPPED and prints it at the end.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    // Tests run in threads named after them, unless there is only one thread.
    let thread = std::thread::current();
    let name = thread.name().filter(|n| *n != "main").map_or_else(|| Location::caller().to_string(), String::from);
    note(&name, reason);
}

/// Whether a requirement of the calling test is missing; if so, lists the test.
#[track_caller]
pub(crate) fn lacks(there: bool, what: &str) -> bool {
    if !there {
        skip(&format!("it needs {what}"));
    }
    !there
}

/// Whether this process was started with SIGHUP or SIGINT ignored, as by `nohup` or in the background of a script, which its children inherit; if so,
/// lists the calling test.
#[track_caller]
pub(crate) fn deaf() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:")).map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
    // Signals 1 and 2.
    lacks(ignored & 0b11 == 0, "signals, which were ignored when the tests were started")
}

/// Like [`skip`], for a test given by name.
pub(crate) fn note(name: &str, reason: &str) {
    let line = format!("skipped: {name}: {reason}\n");
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // One line, even if a test has many cases.
    if !SAID.lock().unwrap().insert(line.clone()) {
        return;
    }
    match std::env::var_os("RETROGRAD_SKIPPED") {
        Some(path) => {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
            // A single write: tests append concurrently.
            file.and_then(|mut f| f.write_all(line.as_bytes())).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        // Not a macro, whose output the test runner captures.
        None => std::io::stderr().write_all(line.as_bytes()).unwrap(),
    }
}

/// Tests excluded by attributes: those for other systems, and those run by hand. Reads the lines above each test, in any order.
fn left_out(module: &str, source: &str) -> Vec<(String, String)> {
    let (mut found, mut test, mut reason) = (Vec::new(), false, None);
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("fn ").and_then(|l| l.split('(').next()) {
            if let (true, Some(reason)) = (test, reason.take()) {
                found.push((format!("{module}::{name}"), reason));
            }
            (test, reason) = (false, None);
        } else if line == "#[test]" {
            test = true;
        } else if let Some(why) = line.strip_prefix("#[ignore = \"").and_then(|l| l.strip_suffix("\"]")) {
            reason = Some(why.to_string());
        } else if (line == "#[cfg(unix)]" && !cfg!(unix)) || (line == "#[cfg(target_os = \"linux\")]" && !cfg!(target_os = "linux")) {
            reason = Some(format!("not compiled here: {line}"));
        }
    }
    found
}

#[test]
fn tests_left_out_by_attributes_are_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            all.extend(left_out(path.file_stem().unwrap().to_str().unwrap(), &std::fs::read_to_string(&path).unwrap()));
        }
    }
    for (name, reason) in &all {
        note(name, reason);
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"crash::fifty_kills_on_each_device") && names.contains(&"shaders::texts_for_a_browser"), "{names:?}");
    assert_eq!(names.contains(&"shell::output_that_does_not_arrive_fails"), !cfg!(target_os = "linux"), "{names:?}");
}
