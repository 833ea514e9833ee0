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

mod captions;
mod chart;
mod cost;
mod curves;
#[cfg(test)]
mod fixture;
mod format;
mod gradients;
mod graph;
mod heat;
mod memory;
mod monitored;
mod page;
mod planned_points;
mod strategies;
mod svg;
mod terminal;
mod training;
mod truncation_chart;
