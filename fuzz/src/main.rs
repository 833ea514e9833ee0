//! Feeds damaged files to every reader: `cargo run --manifest-path fuzz/Cargo.toml -- TARGET SECONDS [SEED]`, or one of them again: `-- TARGET FILE`.
//!
//! Inputs are mutations of good files: bits, bytes, numbers, pieces cut out, doubled, exchanged between two inputs, and words of a dictionary;
//! or, within the format, a value of a header, a key, a cell or a row. Files with a length or a checksum get the right one as often as not, so that
//! what lies after them is reached. An input that leads to an
//! answer of a new kind (by the error's words) joins the pool. A panic, more memory than a fixed part and 64 times the input, or more than two seconds of
//! processor time is a crash: the input is written to fuzz/crashes, and the exit code is 1.

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

fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    let names: Vec<&str> = targets::TARGETS.iter().map(|t| t.name).collect();
    let (name, seconds, seed) = (args.next().unwrap_or_default(), args.next(), args.next());
    let Some(target) = targets::TARGETS.iter().find(|t| t.name == name) else {
        eprintln!("usage: fuzz TARGET SECONDS|FILE [SEED]; targets: {}", names.join(", "));
        return std::process::ExitCode::from(2);
    };
    if let Some(path) = seconds.as_ref().filter(|s| s.parse::<u64>().is_err()) {
        let begun = Instant::now();
        println!("{}, {:.2?}", (target.run)(&std::fs::read(path).unwrap()), begun.elapsed());
        return std::process::ExitCode::SUCCESS;
    }
    let seconds = seconds.and_then(|s| s.parse().ok()).unwrap_or(60);
    let mut draw = ChaCha8Rng::seed_from_u64(seed.and_then(|s| s.parse().ok()).unwrap_or(0));
    let mut pool = (target.seeds)();
    let seeds = pool.len();
    std::panic::set_hook(Box::new(|info| *SAID.lock().unwrap() = info.to_string()));
    let (mut kinds, mut reasons) = (HashSet::new(), HashSet::new());
    let (start, mut runs, mut accepted) = (Instant::now(), 0u64, 0u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let input = mutate::mutate(&pool, seeds, target, &mut draw);
        let (begun, already, before) = (Instant::now(), used().unwrap_or_default(), HELD.load(Relaxed));
        MOST.store(before, Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let (took, most) = (used().map_or_else(|| begun.elapsed(), |now| now.saturating_sub(already)), MOST.load(Relaxed).saturating_sub(before));
        runs += 1;
        let crash = match &done {
            Err(_) => Some(SAID.lock().unwrap().lines().collect::<Vec<_>>().join(" ")),
            _ if most > FIXED + PER_BYTE * input.len() => Some(format!("{} MiB for {} bytes of input", most >> 20, input.len())),
            _ if took > SLOW => Some(format!("{took:.1?} for {} bytes of input", input.len())),
            _ => None,
        };
        if let Some(reason) = crash {
            // One of each place.
            if reasons.insert(reason.chars().take(60).collect::<String>()) {
                let path = format!("{}/crashes", env!("CARGO_MANIFEST_DIR"));
                std::fs::create_dir_all(&path).unwrap();
                let path = format!("{path}/{name}-{}", reasons.len());
                std::fs::write(&path, &input).unwrap();
                println!("{name}: {reason}; {path}");
            }
            continue;
        }
        let answer = done.unwrap_or_default();
        accepted += u64::from(answer == "ok");
        // Digits and what is quoted tell no two kinds of answer apart.
        let kind: String = answer.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_ascii_digit()).take(90).collect();
        if kinds.len() < POOL && kinds.insert(kind) {
            pool.push(input);
        }
    }
    println!("{name}: {runs} inputs in {seconds} s, {accepted} of them read, {} kinds of answer, {} crashes", kinds.len(), reasons.len());
    std::process::ExitCode::from(u8::from(!reasons.is_empty()))
}
