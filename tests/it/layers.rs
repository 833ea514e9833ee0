//! The layering rules: a module imports only from those before it, no import cycles between files, and code that is unsafe or tied to one library
//! stays where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules, each after those it may import from.
const ORDER: [&str; 48] = [
    "error",
    "platform",
    "ranks",
    "host",
    "setting",
    "phrase",
    "cells",
    "dims",
    "files",
    "kernel",
    "arena",
    "recording",
    "layout",
    "profile",
    "exec",
    "optimizer",
    "kernels",
    "cpu",
    "gpu",
    "device",
    "model",
    "reference",
    "watch",
    "truncation",
    "data",
    "schedule",
    "plan",
    "engine",
    "feed",
    "estimate",
    "lag_profile",
    "relay",
    "evaluate",
    "sample",
    "forecast",
    "settings",
    "corpus",
    "trainer",
    "store",
    "metrics_log",
    "metrics",
    "monitor",
    "run",
    "analysis",
    "report",
    "session",
    "cli",
    "main",
];
/// Files that may hold `unsafe`: what threads of the CPU kernels share, their pool, signals, and the driver's own cache of pipelines.
const UNSAFE: [&str; 4] = ["host::shared", "platform::pool", "cli::signals", "gpu::cache"];

/// What starts threads, reads clocks or blocks. It stands in `platform` alone, so that the library also runs in a browser.
const NATIVE: [&str; 8] = ["rayon", "sysinfo", "pollster", "std::thread", "std::process", "SystemTime", "web_time", "available_parallelism"];
/// Files that use `std::fs`, which gives errors in a browser.
const FILES: [&str; 8] = ["files", "data::raw", "data::text", "gpu::cache", "gpu::calibrate", "run::folder", "run::tensorboard", "analysis::recorded"];

/// Modules that each file imports: `a::b` for src/a/b.rs.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Modules and their code without comments and tests.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let name = |path: &Path| {
        let path = path.strip_prefix(&root).expect("under src").with_extension("");
        let mut parts: Vec<String> = path.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|p| p == "mod") {
            parts.pop();
        }
        parts.join("::")
    };
    let code = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("a file of src");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_string();
        text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    };
    files.iter().map(|path| (name(path), code(path))).filter(|(name, _)| name != "lib").collect()
}

fn imports(modules: &BTreeMap<String, String>) -> Imports {
    modules.iter().map(|(name, code)| (name.clone(), imports_of(name, code, modules))).collect()
}

/// The modules that paths starting with `crate::` or `super::` refer to.
fn imports_of(name: &str, code: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (root, start) in code.match_indices("crate::").map(|(i, w)| (w, i + w.len())).chain(code.match_indices("super::").map(|(i, w)| (w, i + w.len()))) {
        // `super::super::` is handled at its first half.
        let before = &code[..start - root.len()];
        if before.ends_with("::") || before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let mut base: Vec<&str> = if root == "crate::" { Vec::new() } else { name.split("::").collect() };
        if root == "super::" {
            base.pop();
        }
        let mut rest = &code[start..];
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        while let Some((word, further)) = rest.split_once("::").filter(|(word, _)| is_name(word)) {
            base.push(word);
            rest = further;
        }
        let names: Vec<&str> = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            Some((list, _)) => list.split(',').map(|n| n.trim().split("::").next().unwrap_or_default()).collect(),
            None => vec![rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()],
        };
        for last in names {
            let mut path = base.clone();
            path.push(last);
            while !path.is_empty() && !modules.contains_key(&path.join("::")) {
                path.pop();
            }
            let path = path.join("::");
            if !path.is_empty() && path != name {
                found.insert(path);
            }
        }
    }
    found
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// Imports from a later module in the order.
fn upward(imports: &Imports) -> Vec<String> {
    let place = |m: &str| ORDER.iter().position(|o| *o == top(m)).unwrap_or_else(|| panic!("{m} has no place in the order"));
    let all = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    all.filter(|(from, to)| place(to) > place(from)).map(|(from, to)| format!("{from} imports {to}")).collect()
}

/// A file that imports itself through others, if any.
fn circle(imports: &Imports) -> Option<String> {
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in imports.get(module).into_iter().flatten().filter(|n| seen.insert(n.as_str())) {
                open.push(next);
            }
        }
        seen
    };
    imports.keys().find(|m| reached(m).contains(m.as_str())).map(|m| {
        let through = imports[m].iter().find(|n| reached(n).contains(m.as_str())).map_or("", String::as_str);
        format!("{m} imports {through}, and that imports {m}")
    })
}

#[test]
fn modules_import_downward_only() {
    let modules = modules();
    let imports = imports(&modules);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 500, "imports are found");
    assert_eq!(upward(&imports), Vec::<String>::new());
    assert_eq!(circle(&imports), None);
}

/// The checks detect an upward import and a cycle.
#[test]
fn a_planted_import_is_found() {
    let mut modules = modules();
    modules.get_mut("kernel::cost").expect("a module").push_str("\nuse crate::{error::Error, trainer::Trainer};\n");
    assert_eq!(upward(&imports(&modules)), ["kernel::cost imports trainer"]);
    modules.get_mut("report::svg").expect("a module").push_str("\nuse super::chart::Chart;\n");
    modules.get_mut("kernel::cost").expect("a module").clear();
    let found = circle(&imports(&modules)).expect("a circle");
    assert!(found.contains("report::svg") || found.contains("report::chart"), "{found}");
}

#[test]
fn wgpu_and_unsafe_stay_where_they_belong() {
    for (name, code) in modules() {
        let words = |w: &str| code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|x| x == w);
        assert!(top(&name) == "gpu" || !words("wgpu"), "{name} names wgpu");
        assert!(UNSAFE.contains(&name.as_str()) || !words("unsafe"), "{name} holds unsafe code");
    }
}

/// The command line is native; the rest of the library also runs in a browser.
#[test]
fn threads_clocks_and_files_stay_where_they_belong() {
    for (name, code) in modules().into_iter().filter(|(name, _)| !["cli", "main", "platform"].contains(&top(name))) {
        let words: BTreeSet<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        let found = NATIVE.iter().find(|w| code.contains(**w));
        assert_eq!(found, None, "{name}");
        assert!(!code.lines().any(|l| l.starts_with("use std::time") && l.contains("Instant")), "{name} has a clock of its own");
        assert!(FILES.contains(&name.as_str()) || !["fs", "File", "OpenOptions"].iter().any(|w| words.contains(w)), "{name} uses files");
    }
}
