//! Looking into gradients.

pub mod gradcheck;
