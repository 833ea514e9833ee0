//! Trains on finite sequences that know nothing of each other, and lets the model end one: sums of two digits, a line each.
//!
//!     cargo run --release --example sequences

use retrograd::{Corpus, Device, DeviceSpec, Kind, Layout, Model, Result, SampleOptions, Sampler, Settings, Symbols, Text, Trainer, Truncation};
use std::sync::Arc;

fn main() -> Result<()> {
    // All pairs of digits, in a mixed order, 20 times: the last tenth, which is held out, has each pair twice.
    let sums: String = (0..2000).map(|i| (i * 7 % 10, i / 10 * 3 % 10)).map(|(a, b)| format!("{a}+{b}={}\n", a + b)).collect();
    let symbols = Arc::new(Symbols::new(Text::given("sums", sums), Kind::Characters)?);
    // Every sequence is one window: `full` is the exact gradient.
    let settings = Settings::default().hidden(64).truncation(Truncation::Full).epochs(60).lr(5e-3).batch(8);
    let corpus = Corpus::new(symbols, Layout::Separated("\n"), &settings)?;
    let (device, line) = Device::open(DeviceSpec::Auto)?;
    println!("{line}");

    let mut trainer = Trainer::new(&device, corpus, settings)?;
    while !trainer.done() {
        trainer.step()?;
    }
    if let Some(loss) = trainer.validate()? {
        println!("{} updates, validation loss {loss:.3} nats", trainer.updates());
    }

    let model = Model::of(&mut trainer)?;
    let end = model.codec.text()?.encode("\n")?;
    for prompt in ["3+4=", "9+9=", "0+8="] {
        let options = SampleOptions { temperature: 0.0, separator: end.clone(), ..SampleOptions::default() };
        let mut sampler = Sampler::new(model.config, &model.parameters, options)?;
        model.codec.text()?.encode(prompt)?.into_iter().try_for_each(|token| sampler.read(token))?;
        let mut answer = prompt.as_bytes().to_vec();
        for _ in 0..4 {
            let token = sampler.draw()?;
            if end.contains(&token) {
                break;
            }
            model.codec.text()?.write(token, &mut answer);
        }
        println!("{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
