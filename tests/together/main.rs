//! Training by several processes: lane groups, ranks within this process, and, with the feature `mpi`, ranks that mpirun starts.

// The same bits however many ranks share the lane groups, without MPI.
mod groups;
// The program under mpirun: equal bytes, resuming, failures, bad input.
#[cfg(feature = "mpi")]
mod launched;
#[cfg(feature = "mpi")]
#[allow(dead_code)]
#[path = "../it/skip.rs"]
mod skip;

/// `scripts/features` names what is tested where there is no MPI: all features but that one, which no other check may ask for.
#[test]
fn all_features_but_mpi_are_listed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let features = read("scripts/features");
    let mut listed: Vec<&str> = features.trim().split(',').collect();
    let manifest = read("Cargo.toml");
    let section = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(" = ")).map(|(name, _)| name);
    let mut all: Vec<&str> = names.filter(|n| !["default", "mpi"].contains(n)).collect();
    all.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, all);
    for name in ["scripts/test.sh", "scripts/python.sh", "scripts/check_long.sh", ".github/workflows/ci.yml", "Cargo.toml", "CONTRIBUTING.md"] {
        assert!(!root.join(name).exists() || !read(name).contains("all-features"), "{name} asks for MPI");
    }
}
