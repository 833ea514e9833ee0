//! Trains a character model on a text and writes some of its own: `cargo run --release --example text -- book.txt`

use retrograd::{Corpus, Device, DeviceSpec, Kind, Layout, Model, Result, SampleOptions, Sampler, Settings, Symbols, Text, Trainer, Truncation};
use std::sync::Arc;

fn main() -> Result<()> {
    let text = match std::env::args_os().nth(1) {
        Some(path) => Text::open(path.as_ref())?,
        None => Text::embedded(),
    };
    let symbols = Symbols::new(text, Kind::Characters)?;
    let settings = Settings::default().hidden(64).truncation(Truncation::Regular(32)).updates(300).lr(5e-3);
    let corpus = Corpus::new(Arc::new(symbols), Layout::Stream, &settings)?;
    let (device, line) = Device::open(DeviceSpec::Auto)?;
    println!("{line}");

    let mut trainer = Trainer::new(&device, corpus, settings)?;
    while !trainer.done() {
        trainer.step()?;
        if trainer.updates().is_multiple_of(100)
            && let Some(metrics) = trainer.metrics()?
        {
            println!("update {}: loss {:.3} nats", trainer.updates(), metrics.loss);
        }
    }
    if let Some(loss) = trainer.validate()? {
        println!("validation loss {loss:.3} nats");
    }

    let model = Model::of(&mut trainer)?;
    let mut sampler = Sampler::new(model.config, &model.parameters, SampleOptions::default())?;
    let mut sample = Vec::new();
    for _ in 0..200 {
        model.codec.text()?.write(sampler.draw()?, &mut sample);
    }
    println!("{}", String::from_utf8_lossy(&sample));
    Ok(())
}
