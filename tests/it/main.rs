//! The integration tests, in one binary.

// What the program prints, refuses and returns.
mod cli;
// Numbers that go wrong, and the smallest possible sizes.
mod anomaly;
// Runs killed at any moment, full disks, vanishing files.
mod crash;
// The devices that tests run on.
mod devices;
// Gradients by time lag of plain models, and what they suggest.
mod flow;
// Gradients by time lag and Jacobians of every cell.
mod flow_cells;
mod forecasts;
// Devices that are lost, hang, fail or vanish.
mod faults;
// Every feature with every cell.
mod features;
// The programs in examples/.
mod examples;
// What a first-time user sees.
mod newcomer;
mod number_labels;
// Models exported to and imported from other programs, and configurations read back.
mod exchange;
// Which module may import from which.
mod layers;
// Whole models against the f64 reference.
mod gradients;
// Cells with gates against the f64 reference, in every form and storage.
mod bands;
mod cells;
// Comparing found and expected values, and tests of that.
mod compare;
// Every kernel and variant, GPU and CPU, against naive f64 loops.
mod kernels;
// Memory: budgets are kept, and gradients are the same within them.
mod memory;
// Bad input: the program's answers, line by line.
mod refused;
// Reports: pages of runs, samples during training, event files.
mod report;
// Malformed files of every kind.
mod nasty;
// Both executors against PyTorch.
mod parity;
// Sequences with labels.
mod labels;
// Streams in lanes against one stream.
mod lanes;
// Profiles of an update, and the calibration cache of an adapter.
mod profile;
// Tests skipped on this machine, and why.
mod skip;
// The shell's side: ignored signals, full disks, arguments of any bytes.
mod shell;
// Runs: their folder, resuming after any end, refusals.
mod runs;
// Numeric series: tables, scales, held-out time, baselines, forecasts.
mod series;
// Every WGSL file against its Rust binding, and its translations; needs no GPU.
mod settings;
mod shaders;
// Licences and sources of the dependencies.
mod supply;
// Synthetic tasks: scored steps, gradients and N, right answers, runs.
mod tables;
mod tasks;
// Texts as people have them, and other programs changing them during a run.
mod texts;
// Tokens: tokenized text, runs on it, text from it.
mod tokens;
// Training: losses update by update, guards, plans, figures.
mod training;
// Truncation strategies: equal bits, where gradients stop, the sums written out.
mod truncation;
// The mean of random truncation is the full gradient, and mistakes in it are detected.
mod unbiased;
