//! Analyses of gradients and of strategies.

pub mod compare;
pub mod comparison;
pub mod gradcheck;
pub mod planned;
pub mod recorded;
