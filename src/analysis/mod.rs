//! Analyses of gradients and of strategies.

pub mod compare;
pub mod comparison;
pub mod flow;
pub mod gradcheck;
pub mod planned;
pub mod recorded;
