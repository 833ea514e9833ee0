//! The dependencies: licences, sources, and duplicate versions.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Licences that require no more than a notice. A crate must offer at least one of them.
const LICENCES: [&str; 9] = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "Unicode-3.0", "Zlib"];

/// Crates linked in two versions, and the dependency that needs the older one; for every target.
const TWICE: [(&str, &str); 19] = [
    ("bit-set", "fancy-regex under tokenizers has the older one"),
    ("bit-vec", "the same"),
    ("getrandom", "tokenizers has the older one"),
    ("r-efi", "under getrandom, UEFI alone"),
    ("rand_chacha", "lipsum and tokenizers have older ones"),
    ("equator", "gemm 0.19 and faer 0.24 ask for different ones"),
    ("equator-macro", "the same"),
    ("hashbrown", "gpu-allocator has the older one"),
    ("jni-sys", "Android alone"),
    ("rand", "lipsum has the older one"),
    ("rand_core", "the same"),
    ("itertools", "bindgen under mpi has the older one, at build time alone"),
    ("rustc-hash", "the same"),
    ("shlex", "the same"),
    ("syn", "macros, at build time alone"),
    ("thiserror", "sysctl under gemm, macOS alone"),
    ("thiserror-impl", "the same"),
    ("windows", "sysinfo and wgpu, Windows alone"),
    ("windows-", "the same"),
];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_string());
    let host = String::from_utf8(Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout).unwrap();
    let host = host.lines().find_map(|l| l.strip_prefix("host: ")).expect("a host").to_string();
    let args = ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &host];
    let out = Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The library alone pulls in no crate of the command line.
#[test]
fn the_library_needs_no_crate_of_the_command_line() {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_string());
    let tree = |features: &[&str]| {
        let args = ["tree", "--edges", "normal", "--prefix", "none", "--offline", "--locked"];
        let out = Command::new(&cargo).args(args).args(features).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let names = String::from_utf8(out.stdout).unwrap();
        names.lines().filter_map(|l| l.split(' ').next()).map(String::from).collect::<BTreeSet<String>>()
    };
    let (library, program) = (tree(&["--no-default-features"]), tree(&[]));
    for name in ["clap", "clap_builder", "clap_complete", "clap_mangen", "csv", "csv-core", "ctrlc", "indicatif"] {
        assert!(program.contains(name) && !library.contains(name), "{name}");
    }
}

/// Whether a crate's licence (an SPDX expression, without nested parentheses beyond one level) is allowed by the list above.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    expression.split(" AND ").all(|part| part.trim_matches(['(', ')']).split(" OR ").any(|licence| LICENCES.contains(&licence.trim_matches(['(', ')']))))
}

#[test]
fn every_crate_has_a_licence_that_asks_for_a_notice_alone() {
    let packages = metadata()["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 50, "{}", packages.len());
    let wrong: Vec<String> =
        packages.iter().filter(|p| !p["license"].as_str().is_some_and(allowed)).map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
}

#[test]
fn the_lockfile_names_one_registry_checksums_and_known_duplicates() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("the lockfile is committed");
    let lock: toml::Table = lock.parse().unwrap();
    let (mut sources, mut versions) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let name = text("name").unwrap();
        versions.entry(name.to_string()).or_default().push(text("version").unwrap().to_string());
        // The workspace's own.
        if !["retrograd", "retrograd-fuzz"].contains(&name) {
            assert!(text("checksum").is_some_and(|c| c.len() == 64), "{name} has no checksum");
            sources.insert(text("source").unwrap_or("a path").to_string());
        }
    }
    assert!(sources.len() == 1 && sources.iter().all(|s| s.starts_with("registry+")), "{sources:?}");
    let known = |name: &str| TWICE.iter().any(|(k, _)| name == *k || (k.ends_with('-') && name.starts_with(k)));
    let new: Vec<_> = versions.iter().filter(|(name, v)| v.len() > 1 && !known(name)).collect();
    assert!(new.is_empty(), "crates in several versions: {new:?}; bring them together, or say why they are there");
    let gone: Vec<_> =
        TWICE.iter().filter(|(k, _)| !versions.iter().any(|(name, v)| v.len() > 1 && (name == k || (k.ends_with('-') && name.starts_with(k))))).collect();
    assert!(gone.is_empty(), "no longer there twice: {gone:?}");
}

/// The Python package has a lockfile of its own; scripts/licences.py looks at its licences.
#[test]
fn the_lockfile_of_the_python_package_names_the_same_crates() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a lockfile").parse::<toml::Table>().unwrap();
    let packages = |lock: &toml::Table| {
        let text = |p: &toml::Value, key: &str| p.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_string();
        lock["package"].as_array().unwrap().iter().map(|p| ["name", "version", "source", "checksum"].map(|key| text(p, key))).collect::<BTreeSet<_>>()
    };
    let (ours, python) = (packages(&read("Cargo.lock")), packages(&read("python/Cargo.lock")));
    let sources: BTreeSet<&String> = python.iter().map(|p| &p[2]).filter(|s| !s.is_empty()).collect();
    assert!(sources.len() == 1 && sources.iter().all(|s| s.starts_with("registry+")), "{sources:?}");
    let other: Vec<_> = python.iter().filter(|p| ours.iter().any(|o| o[0] == p[0]) && !ours.contains(*p)).collect();
    assert!(other.is_empty(), "crates in other versions than in Cargo.lock: {other:?}; cargo update --manifest-path python/Cargo.toml");
}
