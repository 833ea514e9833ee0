//! Prints the logits after each character of a file, a line each: for tests/parity/check.py.

use retrograd::{Model, Result, Text};
use std::path::Path;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, text] = &args[..] else {
        println!("usage: logits MODEL TEXT");
        return Ok(());
    };
    let model = Model::load(Path::new(model))?;
    let symbols = model.codec.text()?.encode(&Text::open(Path::new(text))?.utf8()?)?;
    for row in &model.logits(&[symbols])?[0] {
        println!("{}", row.iter().map(f32::to_string).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
