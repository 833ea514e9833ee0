//! Where symbols come from: texts, their vocabulary, and lanes of them.

mod lanes;
mod text;

pub use lanes::{Given, Lanes, SegmentInputs};
pub use text::{Text, Vocabulary};
