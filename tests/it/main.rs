//! The integration tests, in one binary.

// What the program prints, refuses and returns.
mod cli;
// The devices that tests run on.
mod devices;
// Whole models against the f64 reference.
mod gradients;
// Every kernel and variant, GPU and CPU, against naive f64 loops.
#[cfg(any())]
mod kernels;
// Every WGSL file against its Rust binding, and its translations; needs no GPU.
#[cfg(any())]
mod shaders;
// Training: losses update by update, guards, plans, figures.
mod training;
