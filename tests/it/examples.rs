//! The programs in examples/ run to their end and do what they claim.

use crate::cli::{folder, run, text};
use std::path::Path;
use std::process::Command;

/// Output of an example; builds the examples if necessary.
fn example(name: &str) -> String {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--examples", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    // The same features as the tests: with others, everything would be built again.
    if cfg!(feature = "tokens") {
        build.args(["--features", "tokens"]);
    }
    let built = build.output().expect("cargo starts");
    assert!(built.status.success(), "{}", text(&built.stderr));
    let program = Path::new(env!("CARGO_BIN_EXE_retrograd")).with_file_name("examples").join(name);
    let done = run(Command::new(&program).current_dir(folder("examples")));
    assert!(done.status.success(), "{name}: {}", text(&done.stderr));
    text(&done.stdout)
}

/// The last number after a word.
fn number(output: &str, word: &str) -> f64 {
    let behind = output.rsplit_once(word).unwrap_or_else(|| panic!("{word:?} is not in {output}")).1;
    behind.split_whitespace().next().unwrap().trim_end_matches([',', ';', 'x']).parse().unwrap()
}

#[test]
fn text_learns_and_writes() {
    let out = example("text");
    assert!(number(&out, "validation loss") < 2.6 && out.lines().last().unwrap().chars().count() > 2, "{out}");
}

#[test]
fn sequences_learns_sums() {
    let out = example("sequences");
    assert!(["3+4=7\n", "9+9=18\n", "0+8=8\n"].iter().all(|sum| out.contains(sum)), "{out}");
}

#[test]
fn own_data_learns_to_recall() {
    let out = example("own_data");
    assert!(number(&out, "loss") < 0.2, "{out}");
}

#[test]
fn gradients_shows_what_truncation_misses() {
    let out = example("gradients");
    let of = |strategy: &str| number(out.lines().find(|l| l.starts_with(strategy)).unwrap(), "w_hh.0: cosine");
    assert!(of("regular:1 ") < of("regular:16") && of("regular:64") > 0.99, "{out}");
}

#[test]
fn series_are_forecast_better_than_by_the_last_value() {
    let out = example("series");
    let of = |word: &str| number(out.lines().find(|l| l.starts_with("RMSE ")).unwrap(), word);
    assert!(of("RMSE ") < 0.3 * of(", naive ").min(of("seasonal naive ")), "{out}");
}
