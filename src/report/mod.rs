//! Pages that show results: one self-contained file each, HTML or SVG, pictures drawn as SVG, no scripts, nothing fetched.

pub mod compare;
pub mod flow;
pub mod plan;
pub mod profile;
pub mod run;
pub mod runs;
pub mod series;
pub mod sweep;

pub use page::GENERATOR;

mod chart;
mod cost;
mod curves;
mod truncation_chart;
#[cfg(test)]
mod fixture;
mod gradients;
mod graph;
mod heat;
mod memory;
mod monitored;
mod page;
mod captions;
mod svg;
mod terminal;
mod training;
mod format;
