//! Looks at gradients: what truncation makes of those of each parameter, against the full gradient of the same text and weights.
//!
//!     cargo run --release --example gradients

use retrograd::{Activation, Config, Device, DeviceSpec, Estimator, Init, Kind, Lanes, Result, Source, Symbols, Text, Truncation};
use std::sync::Arc;

const LANES: u32 = 8;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum()
}

fn main() -> Result<()> {
    let symbols = Arc::new(Symbols::new(Text::embedded(), Kind::Characters)?);
    let config = Config { hidden: 48, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(symbols.vocabulary().len()) };
    let parameters = Init::default().parameters(&config, 1);
    let (device, line) = Device::open(DeviceSpec::Cpu)?;
    println!("{line}");
    // The named gradients of the first 4,001 characters, in 8 lanes of 500 steps.
    let gradients = |truncation: Truncation| -> Result<Vec<(String, Vec<f32>)>> {
        let source = Source::Stream(Lanes::new(symbols.clone(), 0..4001, LANES)?);
        let mut estimator = Estimator::new(&device, config, &parameters, source, truncation, LANES, 1)?;
        let estimate = estimator.estimate(0)?;
        Ok(estimator.tensors(&estimate))
    };
    let full = gradients(Truncation::Full)?;
    for text in ["regular:1", "regular:4", "regular:16", "regular:64", "random:0.9"] {
        print!("{text:12}");
        for ((name, x), (_, y)) in gradients(text.parse()?)?.iter().zip(&full) {
            let cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt();
            print!("  {name}: cosine {cosine:.4}, norm {:.2}x", (dot(x, x) / dot(y, y)).sqrt());
        }
        println!();
    }
    Ok(())
}
