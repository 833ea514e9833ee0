//! Whole updates of a character model (V 65, Adam, clipping at norm 1) over windows of T steps.

use crate::timing::{Times, repeat};
use retrograd::data::{Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::model::{Cell, Config};
use retrograd::profile::Profile;
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::sync::Arc;
use std::time::Instant;

/// V.
pub(crate) const VOCAB: u32 = 65;

/// Sizes of a model and its windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) hidden: u32,
    pub(crate) lanes: u32,
    pub(crate) steps: u32,
    pub(crate) layers: u32,
    pub(crate) cell: Cell,
}

impl Shape {
    /// B 32, T 64, one layer.
    pub(crate) fn new(cell: Cell, hidden: u32) -> Self {
        Shape { hidden, lanes: 32, steps: 64, layers: 1, cell }
    }

    pub(crate) fn config(&self) -> Config {
        Config { hidden: self.hidden, layers: self.layers, cell: self.cell, ..Config::symbols(VOCAB) }
    }

    /// Floating-point operations of the products of an update: `[H,H]` products per step and lane three times (forward, backward, weights), and likewise
    /// the head's; G times as many for a cell with G gates. Looking up rows by token is not counted.
    pub(crate) fn flops(&self) -> f64 {
        let [h, b, t, l, v] = [self.hidden, self.lanes, self.steps, self.layers, VOCAB].map(f64::from);
        6.0 * b * t * (f64::from(self.cell.spec().gates) * h * h * (2.0 * l - 1.0) + h * v)
    }

    fn tokens(&self) -> f64 {
        f64::from(self.lanes) * f64::from(self.steps)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<4} H {:<4} B {:<3} T {:<4} layers {}", self.cell.name(), self.hidden, self.lanes, self.steps, self.layers)
    }
}

/// A trainer whose windows have this shape, on a random text of 65 characters.
fn trainer(device: &Device, shape: Shape) -> Trainer {
    let truncation = Truncation::Regular(shape.steps);
    let settings = Settings::default().cell(shape.cell).hidden(shape.hidden).batch(shape.lanes).layers(shape.layers).truncation(truncation).val_fraction(0.0);
    let symbols = (shape.lanes * (2 * shape.steps + 1)).max(20_000);
    let text: Vec<u8> = (0..symbols).map(|i| b'0' + (i.wrapping_mul(2_654_435_761) >> 16) as u8 % VOCAB as u8).collect();
    let symbols = Arc::new(Symbols::new(Text::given("65 characters at random", text), Kind::Characters).expect("ASCII"));
    assert_eq!(symbols.vocabulary().len(), VOCAB);
    let corpus = Corpus::new(symbols, None, &settings).expect("the text is long enough");
    Trainer::new(device, corpus, settings).expect("the model fits")
}

/// Times whole updates, each from its start until the device has finished. Shorter windows, at an end of the text, are left out.
pub(crate) fn time(device: &Device, shape: Shape, seconds: f64) -> (Times, Trainer) {
    let mut trainer = trainer(device, shape);
    let mut step = || {
        while trainer.next_window().steps.len() < shape.steps as usize {
            trainer.step().expect("the device runs");
        }
        trainer.step().expect("the device runs");
        trainer.engine.wait().expect("the device runs");
    };
    step();
    let times = repeat(seconds, step);
    let metrics = trainer.metrics().expect("metrics").expect("updates were made");
    assert!(metrics.applies && metrics.loss.is_finite(), "{shape}: an update was skipped: {metrics:?}");
    (times, trainer)
}

/// The profile of whole updates, and how many there were.
pub(crate) fn profiled(device: &Device, shape: Shape, seconds: f64) -> (Profile, u64) {
    let (_, mut trainer) = time(device, shape, 0.2);
    trainer.engine.profile(true).expect("the device runs");
    let (begin, before) = (Instant::now(), trainer.updates());
    while begin.elapsed().as_secs_f64() < seconds {
        trainer.step().expect("the device runs");
    }
    trainer.engine.wait().expect("the device runs");
    trainer.engine.profile(false).expect("the device runs");
    (trainer.engine.take_profile().expect("a profile"), trainer.updates() - before)
}

/// Updates without waiting in between, as in a run: tokens per second, and the share of that time in which the device was idle, if it has a clock.
fn streamed(trainer: &mut Trainer, seconds: f64) -> (f64, Option<f64>) {
    trainer.engine.watch_submissions().expect("the device runs");
    let (begin, before) = (Instant::now(), trainer.tokens());
    while begin.elapsed().as_secs_f64() < seconds {
        trainer.step().expect("the device runs");
    }
    trainer.engine.wait().expect("the device runs");
    let rate = (trainer.tokens() - before) as f64 / begin.elapsed().as_secs_f64();
    (rate, trainer.engine.idle_share().expect("the device runs"))
}

/// Times one shape and prints one line of JSON.
pub(crate) fn one(device: &Device, shape: Shape, seconds: f64) {
    let (Times { median, min, count }, mut trainer) = time(device, shape, seconds);
    let (streamed, idle) = streamed(&mut trainer, seconds / 4.0);
    let (rate, gflops) = (shape.tokens() / median, shape.flops() / median / 1e9);
    let idle = idle.map_or("null".to_string(), |x| format!("{x:.4}"));
    let Shape { hidden, lanes, steps, layers, cell } = shape;
    println!(
        "{{\"cell\": \"{cell}\", \"hidden\": {hidden}, \"batch\": {lanes}, \"steps\": {steps}, \"layers\": {layers}, \"seconds\": {median:.6}, \"min\": {min:.6}, \"updates\": {count}, \
         \"tokens_per_second\": {rate:.0}, \"streamed_tokens_per_second\": {streamed:.0}, \"gflops\": {gflops:.1}, \"idle\": {idle}, \"device\": \"{device}\"}}"
    );
}

/// Times updates of B 32, T 64.
pub(crate) fn bench(device: &Device, cells: &[Cell], hidden: &[u32]) {
    let head = ["update", "median", "min", "tokens/s", "streamed", "idle", "GFLOP/s", "dispatches", "device MiB"];
    println!("\n{:<37} {:>10} {:>10} {:>12} {:>12} {:>6} {:>9} {:>10} {:>10}", head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7], head[8]);
    for (&cell, &hidden) in cells.iter().flat_map(|cell| hidden.iter().map(move |h| (cell, h))) {
        let shape = Shape::new(cell, hidden);
        let (times, mut trainer) = time(device, shape, 2.0);
        let (rate, flops) = (shape.tokens() / times.median, shape.flops() / times.median / 1e9);
        let (streamed, idle) = streamed(&mut trainer, 0.5);
        let idle = idle.map_or("-".to_string(), |x| format!("{:.1}%", x * 100.0));
        let (dispatches, bytes) = (trainer.engine.dispatches_per_window(), trainer.engine.device_bytes()[1]);
        let [median, min] = [times.median, times.min].map(|t| t * 1e3);
        println!(
            "{shape:<37} {median:>7.3} ms {min:>7.3} ms {rate:>12.0} {streamed:>12.0} {idle:>6} {flops:>9.1} {dispatches:>10} {:>10.1}",
            bytes as f64 / f64::from(1 << 20)
        );
    }
}

/// Times updates as one size grows and the others stay, relative to the first row of each table.
pub(crate) fn scaling(device: &Device, cell: Cell, quick: bool) {
    let base = Shape::new(cell, if quick { 64 } else { 256 });
    let of = |sizes: &[u32], limit: u32, with: fn(Shape, u32) -> Shape| sizes.iter().filter(|&&n| n <= limit).map(|&n| with(base, n)).collect::<Vec<_>>();
    let tables = [
        ("T", of(&[64, 128, 256, 512, 1024, 2048, 4096], if quick { 512 } else { 4096 }, |s, steps| Shape { steps, ..s })),
        ("B", of(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], if quick { 64 } else { 512 }, |s, lanes| Shape { lanes, ..s })),
        ("H", of(&[16, 32, 64, 128, 256, 512, 1024, 2048], if quick { 128 } else { 2048 }, |s, hidden| Shape { hidden, ..s })),
        ("layers", of(&[1, 2, 3], 3, |s, layers| Shape { layers, ..s })),
    ];
    for (what, shapes) in tables {
        println!("\nscaling in {what:<25} {:>12} {:>12} {:>14} {:>9} {:>22}", "update", "a step", "a token", "GFLOP/s", "a step, of the first");
        let mut first = None;
        for shape in shapes {
            let Times { median, .. } = time(device, shape, if quick { 0.2 } else { 1.5 }).0;
            let step = median / f64::from(shape.steps);
            let of_first = step / *first.get_or_insert(step);
            let (token, flops) = (median / shape.tokens() * 1e9, shape.flops() / median / 1e9);
            println!("{shape:<36} {:>9.3} ms {:>9.1} us {token:>11.0} ns {flops:>9.1} {of_first:>20.2} x", median * 1e3, step * 1e6);
        }
    }
}
