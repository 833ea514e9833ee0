//! Pages that show results: one self-contained HTML or SVG file each, with charts drawn as SVG, no scripts, and nothing fetched.

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
#[cfg(test)]
mod fixture;
mod format;
mod gradients;
mod heat;
mod losses;
mod monitored;
mod page;
mod plan_facts;
mod svg;
mod terminal;
mod training;
