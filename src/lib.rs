//! Trains recurrent networks by backpropagation through time on any GPU, with hand-written WGSL kernels, or on the CPU.

pub mod error;
pub mod dims;
pub mod host;
pub mod kernel;
pub mod recording;
pub mod arena;
pub mod kernels;
pub mod cpu;
pub mod gpu;
pub mod reference;
