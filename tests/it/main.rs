//! The integration tests, in one binary.

// What the program prints, refuses and returns.
mod cli;
// Numbers that go wrong, and the smallest sizes.
mod anomaly;
// Runs that are killed at any moment, disks that are full, files that vanish.
mod crash;
// The devices that tests run on.
mod devices;
// Gradients by time lag, and what they suggest.
mod flow;
mod forecasts;
// Devices that are lost, hang, refuse or vanish.
mod faults;
// The programs under examples/.
mod examples;
// What somebody sees who tries it for the first time.
mod newcomer;
// Models to and from other programs, and configurations given back.
mod exchange;
// Which module may import from which.
mod layers;
// Whole models against the f64 reference.
mod gradients;
// What tells a wrong number from a right one, and tests of that.
mod compare;
// Every kernel and variant, GPU and CPU, against naive f64 loops.
mod kernels;
// Memory: budgets that hold, and the same gradients within them.
mod memory;
// Bad input: what the program answers, line by line.
mod refused;
// Reports: pages of runs, samples on the way, event files.
mod report;
// Files that are wrong in every way that code can make them.
mod nasty;
// Both executors against PyTorch.
mod parity;
// Sequences with labels.
mod labels;
// Streams in lanes, against one stream.
mod lanes;
// Where the time of an update goes, and what is remembered of an adapter.
mod profile;
// What is left out here, and why.
mod skip;
// What a shell does: ignored signals, full disks, arguments of any bytes.
mod shell;
// Runs: their folder, going on after an end of any kind, what is refused.
mod runs;
// Numeric series: tables, scales, held-out time, baselines, forecasts.
mod series;
// Every WGSL file against its Rust binding, and its translations; needs no GPU.
mod settings;
mod shaders;
// Licences and sources of what the program is built of.
mod supply;
// Synthetic tasks: what is scored, gradients and N, right answers, runs.
mod tables;
mod tasks;
// Texts as people have them, and what other programs do to them meanwhile.
mod texts;
// Tokens: text as a tokenizer cuts it, runs on it, text from it.
mod tokens;
// Training: losses update by update, guards, plans, figures.
mod training;
// Truncation strategies: equal bits, where gradients stop, the sums written out.
mod truncation;
// Random truncation has the full gradient as its mean, and mistakes in it are seen.
mod unbiased;
