//! The integration tests, in one binary.

// Every kernel and variant, GPU and CPU, against naive f64 loops.
mod kernels;
// Every WGSL file against its Rust binding, and its translations; needs no GPU.
mod shaders;
