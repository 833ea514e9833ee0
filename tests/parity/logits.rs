//! Prints the logits after each character of a file, a line each, as a sampler steps through them: for tests/parity/check.py.

use retrograd::{Model, Result, SampleOptions, Sampler, Text};
use std::path::Path;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, text] = &args[..] else {
        println!("usage: logits MODEL TEXT");
        return Ok(());
    };
    let model = Model::load(Path::new(model))?;
    let mut sampler = Sampler::new(model.config, &model.parameters, SampleOptions::default())?;
    for token in model.codec.text()?.encode(&Text::open(Path::new(text))?.utf8()?)? {
        sampler.read(token)?;
        println!("{}", sampler.scores().iter().map(f32::to_string).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
