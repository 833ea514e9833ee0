//! Trains recurrent networks by backpropagation through time on any GPU, with hand-written WGSL kernels, or on the CPU.
//!
//! ```
//! use retrograd::{Corpus, Device, Kind, Layout, Model, Settings, Symbols, Text, Trainer, Truncation, DeviceSpec};
//! use std::sync::Arc;
//!
//! # fn main() -> retrograd::Result<()> {
//! let (device, _) = Device::open(DeviceSpec::Cpu)?; // DeviceSpec::Auto takes a GPU where there is one
//! let settings = Settings::default().hidden(32).truncation(Truncation::Regular(32)).updates(60);
//! let symbols = Symbols::new(Text::embedded(), Kind::Characters)?; // Text::open(path)? for a file of your own
//! let corpus = Corpus::new(Arc::new(symbols), Layout::Stream, &settings)?;
//! let mut trainer = Trainer::new(&device, corpus, settings)?;
//! let before = trainer.validate()?.unwrap();
//! while !trainer.done() {
//!     trainer.step()?;
//! }
//! let after = trainer.validate()?.unwrap(); // nats per symbol of the held-out tail
//! assert!(after < before);
//! let path = std::env::temp_dir().join(format!("retrograd-{}.safetensors", std::process::id()));
//! Model::of(&mut trainer)?.save(&path)?; // PyTorch's names and shapes
//! assert_eq!(Model::load(&path)?.config.hidden, 32);
//! # std::fs::remove_file(&path).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! `examples/` has four complete programs: a text, finite sequences, custom data, and inspecting gradients.
//!
//! | name | what it is |
//! |---|---|
//! | [`Device`] | an adapter or the CPU, opened by a [`DeviceSpec`] |
//! | [`Text`], [`Symbols`], [`Corpus`] | a file, its vocabulary, and its training and held-out parts |
//! | [`Settings`], [`Truncation`] | the sizes, how far back gradients flow, the optimizer, the goal |
//! | [`Trainer`] | one update at a time; validation |
//! | [`MemoryPlan`] | how to run a window within a memory budget ([`Settings::memory_budget`]); a trainer's is `trainer.engine.plan` |
//! | [`Model`] | architecture, vocabulary and parameters; logits of a batch; safetensors and ONNX files |
//! | [`Sampler`] | samples symbols from a model |
//! | [`Estimator`] | the gradient over a whole text at fixed parameters |
//! | [`Engine`] | a model on a device, window by window, for custom data ([`Batch`]) |
//!
//! # Versions
//!
//! Semantic versioning as in Cargo: below 1.0, a minor version may contain breaking changes, a patch may not. The public interface is what this page shows,
//! the program's flags, exit codes and `--json` keys, and the files of runs and models, which newer versions read. Public modules not shown here (kernels,
//! recordings, executors) are for this crate's tests and may change in any version.
//!
//! The modules are listed in layers: each imports only from those above it, and only `gpu` uses `wgpu`.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The reader of the output may be gone; printing must not panic then.
#![warn(clippy::print_stderr, clippy::print_stdout)]
// Parts of the library are used only by the command line.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

pub mod error;
pub mod exec;
pub(crate) mod platform;

#[doc(hidden)]
pub mod ranks;

#[doc(hidden)]
pub mod setting;

pub mod cells;
pub mod dims;

#[doc(hidden)]
pub mod files;

pub(crate) mod phrase;

#[doc(hidden)]
pub mod kernel;

#[doc(hidden)]
pub mod arena;

#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod recording;

#[doc(hidden)]
pub mod layout;

#[doc(hidden)]
pub mod host;

#[doc(hidden)]
pub mod kernels;

#[doc(hidden)]
pub mod cpu;
#[doc(hidden)]
pub mod gpu;
pub mod watch;

pub mod device;
pub mod model;
pub mod optimizer;
pub mod reference;

pub mod truncation;

#[doc(hidden)]
pub mod schedule;

pub mod data;
pub mod plan;

pub mod engine;
pub mod evaluate;
pub mod feed;
pub mod relay;

pub mod corpus;
pub mod estimate;
pub mod forecast;
pub mod lag_profile;
pub mod sample;
pub mod settings;
pub mod trainer;

pub mod store;

pub mod metrics;
pub mod metrics_log;
pub mod monitor;
pub mod run;

pub mod analysis;

#[doc(hidden)]
pub mod report;

#[doc(hidden)]
pub mod session;

#[doc(hidden)]
#[cfg(feature = "cli")]
pub mod cli;

pub use data::{Batch, Codec, Kind, Lanes, Symbols, Text, Tokenizer, Vocabulary, Writer};
pub use device::{Device, DeviceSpec};
pub use engine::Engine;
pub use error::{Error, Result};
pub use estimate::Estimator;
pub use feed::Source;
pub use model::{Activation, Config, Dropout, Init, RegressionLoss, StashPrecision};
pub use optimizer::{Clip, Optimizer, Schedule};
pub use plan::{Bytes, Plan as MemoryPlan, Workload};
pub use sample::{Options as SampleOptions, Sampler};
pub use store::Model;
pub use trainer::{Corpus, Goal, Layout, Settings, Trainer};
pub use truncation::Truncation;
