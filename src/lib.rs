//! Trains recurrent networks by backpropagation through time on any GPU, with hand-written WGSL kernels, or on the CPU.
//!
//! The modules are listed in layers: each imports only from those above it, and `wgpu` is named in [`gpu`] alone.

// Whoever reads the output may be gone; what prints must not panic then.
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod error;

pub mod dims;

pub mod files;

pub mod kernel;

pub mod arena;

pub mod profile;
pub mod recording;

pub mod layout;

pub mod host;

pub mod kernels;

pub mod cpu;
pub mod gpu;

pub mod device;
pub mod model;
pub mod optimizer;
pub mod reference;

pub mod truncation;

pub mod schedule;

pub mod data;
pub mod plan;

pub mod engine;
pub mod evaluate;
pub mod feed;

pub mod estimate;
pub mod sample;
pub mod trainer;

pub mod store;

pub mod metrics;
pub mod run;

pub mod analysis;

pub mod report;

pub mod cli;
