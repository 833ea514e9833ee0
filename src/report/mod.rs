//! Pages that show results: one self-contained file each, HTML or SVG, pictures drawn as SVG, no scripts, nothing fetched.

pub mod compare;
pub mod plan;
pub mod profile;

mod cost;
mod curves;
mod cuts;
#[cfg(test)]
mod fixture;
mod gradients;
mod graph;
mod memory;
mod page;
mod reading;
mod svg;
mod terminal;
mod words;
