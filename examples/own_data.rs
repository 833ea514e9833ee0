//! Trains on data of its own, made window by window: at each step the target is the symbol that was read three steps before.
//!
//!     cargo run --release --example own_data

use retrograd::{Activation, Batch, Clip, Config, Device, DeviceSpec, Dropout, Engine, Init, MemoryPlan, Optimizer, Result, StashPrecision, Workload};

const LAG: u32 = 3;
const STEPS: u32 = 16;
const LANES: u32 = 32;
const SYMBOLS: u32 = 4;

/// A window of random symbols, `[STEPS, LANES]`, time-major. Each lane is a sequence of its own: its first step keeps no state.
fn window(next: &mut impl FnMut() -> u32) -> Batch {
    let mut given = Batch { lanes: LANES, ..Batch::default() };
    for t in 0..STEPS {
        for b in 0..LANES {
            given.tokens.push(next() % SYMBOLS);
            // What there is nothing to recall for is not scored, and its target not read.
            let before = t.checked_sub(LAG).map(|s| given.tokens[(s * LANES + b) as usize]);
            given.targets.push(before.unwrap_or(0));
            given.weights.push(if before.is_some() { 1.0 } else { 0.0 });
            given.keep.push(if t == 0 { 0.0 } else { 1.0 });
            given.xi.push(if t == 0 { 0.0 } else { 1.0 });
        }
    }
    given
}

fn main() -> Result<()> {
    let config = Config { hidden: 32, layers: 1, activation: Activation::Tanh, bias: true, ..Config::symbols(SYMBOLS) };
    let update = Optimizer::Adam.update(Clip::Norm(1.0));
    let (device, line) = Device::open(DeviceSpec::Auto)?;
    println!("{line}");
    let task = Workload {
        config,
        lanes: LANES,
        window: STEPS,
        ring: 0,
        split: false,
        stash: StashPrecision::F32,
        dropout: Dropout::default(),
        update,
        budget: 64 << 20,
    };
    let mut engine = Engine::new(&device, config, MemoryPlan::new(&task, &device.capabilities())?, &update)?;
    engine.set_parameters(&Init::default().parameters(&config, 1))?;

    let mut state = 12345u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let scored = f64::from((STEPS - LAG) * LANES);
    for u in 0..400 {
        let data = window(&mut random);
        engine.gradient(0..STEPS, |places, steps| data.inputs(places, steps), scored)?;
        engine.update(u, 1e-2, scored)?;
        if u % 100 == 99 {
            println!("update {}: loss {:.4} nats; guessing gives {:.4}", u + 1, engine.metrics(u)?.loss, f64::from(SYMBOLS).ln());
        }
    }
    Ok(())
}
