//! Pages that show results: one self-contained HTML file each, pictures drawn as SVG, no scripts, nothing fetched.

pub mod compare;

mod cost;
mod curves;
mod cuts;
#[cfg(test)]
mod fixture;
mod gradients;
mod page;
mod reading;
mod svg;
mod words;
