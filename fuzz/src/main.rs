//! Feeds damaged files to every reader: `cargo run -p retrograd-fuzz -- TARGET SECONDS [SEED]`, or one of them again: `-- TARGET FILE`.
//!
//! Inputs are mutations of good files: bits, bytes, numbers, pieces cut out, doubled, exchanged between two inputs, and words of a dictionary;
//! or, within the format, a value of a header, a key, a cell or a row. Files with a length or a checksum get the right one as often as not, so that
//! what lies after them is reached. An input that leads to an
//! answer of a new kind (by the error's words) joins the pool. A panic, more memory than a fixed part and 64 times the input, or more than two seconds of
//! processor time is a crash: the input is written to fuzz/crashes, and the exit code is 1. The tests feed each target some inputs, the same ones each time.

mod mutate;
mod tables;
mod targets;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Counts the bytes that are held, and the most there were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is handed on to the system's allocator; only sizes are counted besides.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that any input may cost, whatever its length.
const FIXED: usize = 64 << 20;
/// Bytes that each byte of an input may cost besides.
const PER_BYTE: usize = 64;
const SLOW: Duration = Duration::from_secs(2);
/// Inputs that are kept to make others of.
const POOL: usize = 4000;

/// Processor time that this process has used, all threads; none where the system does not say so. What is slow because the machine is busy is not slow.
fn used() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    // Ticks of 10 ms.
    Some(Duration::from_millis(fields.iter().sum::<u64>() * 10))
}

static SAID: Mutex<String> = Mutex::new(String::new());

/// What came of many inputs.
#[derive(Debug, Default)]
struct Outcome {
    runs: u64,
    /// Inputs that were read as good ones.
    accepted: u64,
    /// Different answers.
    kinds: HashSet<String>,
    /// Different crashes, by the first words of each.
    crashes: HashSet<String>,
}

/// Feeds a target inputs drawn from a seed as long as `more` says of their number; `crashed` gets each new reason of a crash, and the input.
fn feed(target: &Target, seed: u64, more: impl Fn(u64) -> bool, mut crashed: impl FnMut(usize, &str, &[u8])) -> Outcome {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut pool = (target.seeds)();
    let seeds = pool.len();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| *SAID.lock().unwrap() = info.to_string()));
    let mut outcome = Outcome::default();
    while more(outcome.runs) {
        let input = mutate::mutate(&pool, seeds, target, &mut draw);
        let (begun, already, before) = (Instant::now(), used().unwrap_or_default(), HELD.load(Relaxed));
        MOST.store(before, Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let (took, most) = (used().map_or_else(|| begun.elapsed(), |now| now.saturating_sub(already)), MOST.load(Relaxed).saturating_sub(before));
        outcome.runs += 1;
        let crash = match &done {
            Err(_) => Some(SAID.lock().unwrap().lines().collect::<Vec<_>>().join(" ")),
            _ if most > FIXED + PER_BYTE * input.len() => Some(format!("{} MiB for {} bytes of input", most >> 20, input.len())),
            _ if took > SLOW => Some(format!("{took:.1?} for {} bytes of input", input.len())),
            _ => None,
        };
        if let Some(reason) = crash {
            // One of each place.
            if outcome.crashes.insert(reason.chars().take(60).collect()) {
                crashed(outcome.crashes.len(), &reason, &input);
            }
            continue;
        }
        let answer = done.unwrap_or_default();
        outcome.accepted += u64::from(answer == "ok");
        // Digits and what is quoted tell no two kinds of answer apart.
        let kind: String = answer.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_ascii_digit()).take(90).collect();
        if outcome.kinds.len() < POOL && outcome.kinds.insert(kind) {
            pool.push(input);
        }
    }
    std::panic::set_hook(hook);
    outcome
}

fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    let (name, seconds, seed) = (args.next().unwrap_or_default(), args.next(), args.next());
    let Some(target) = TARGETS.iter().find(|t| t.name == name) else {
        eprintln!("usage: fuzz TARGET SECONDS|FILE [SEED]; targets: {}", names.join(", "));
        return std::process::ExitCode::from(2);
    };
    if let Some(path) = seconds.as_ref().filter(|s| s.parse::<u64>().is_err()) {
        let begun = Instant::now();
        println!("{}, {:.2?}", (target.run)(&std::fs::read(path).unwrap()), begun.elapsed());
        return std::process::ExitCode::SUCCESS;
    }
    let seconds = seconds.and_then(|s| s.parse().ok()).unwrap_or(60);
    let seed = seed.and_then(|s| s.parse().ok()).unwrap_or(0);
    let start = Instant::now();
    let more = |_| start.elapsed() < Duration::from_secs(seconds);
    let outcome = feed(target, seed, more, |n, reason, input| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crashes");
        std::fs::create_dir_all(folder).unwrap();
        let path = format!("{folder}/{name}-{n}");
        std::fs::write(&path, input).unwrap();
        println!("{name}: {reason}; {path}");
    });
    targets::clear();
    let Outcome { runs, accepted, kinds, crashes } = outcome;
    println!("{name}: {runs} inputs in {seconds} s, {accepted} of them read, {} kinds of answer, {} crashes", kinds.len(), crashes.len());
    std::process::ExitCode::from(u8::from(!crashes.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::{FIXED, Outcome, PER_BYTE, SLOW, TARGETS, Target, feed, targets, used};
    use crate::targets::Shape;
    use std::sync::{Mutex, PoisonError};
    use std::time::Instant;

    /// Memory and time are those of the process: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn some(target: &Target, inputs: u64) -> (Outcome, Vec<String>) {
        let mut said = Vec::new();
        let outcome = feed(target, 0, |runs| runs < inputs, |_, reason, _| said.push(reason.to_string()));
        (outcome, said)
    }

    #[test]
    fn every_reader_answers_damaged_files() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = 0;
        for target in TARGETS {
            let (outcome, said) = some(target, 600);
            assert!(said.is_empty(), "{}: {said:#?}", target.name);
            assert!(outcome.kinds.iter().any(|k| k.starts_with("ok")), "{}: no input is read: {outcome:?}", target.name);
            kinds += outcome.kinds.len();
        }
        assert!(kinds > 200, "damage reaches little: {kinds} different answers");
        targets::clear();
    }

    /// A panic, memory and time that no input may cost are found.
    #[test]
    fn planted_faults_are_found() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let panics: fn(&[u8]) -> String = |_| panic!("planted");
        let takes: fn(&[u8]) -> String = |input| std::hint::black_box(vec![1u8; FIXED + PER_BYTE * input.len() + 1]).len().to_string();
        let waits: fn(&[u8]) -> String = |_| {
            let (begun, already) = (Instant::now(), used());
            let spent = || already.and_then(|a| used().map(|now| now - a)).unwrap_or_else(|| begun.elapsed());
            while spent() <= SLOW {}
            "ok".to_string()
        };
        for (run, inputs, words) in [(panics, 9, "planted"), (takes, 9, "64 MiB for"), (waits, 1, "s for ")] {
            let target = Target { name: "planted", shape: Shape::Bytes, seeds: || vec![b"seed".to_vec()], run, words: &[] };
            let (outcome, said) = some(&target, inputs);
            assert!(outcome.runs == inputs && outcome.accepted == 0 && said[0].contains(words), "{words}: {said:?} {outcome:?}");
        }
    }
}
