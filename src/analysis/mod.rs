//! Analyses of gradients and of strategies.

pub mod comparison;
pub mod gradcheck;
