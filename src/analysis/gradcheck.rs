//! Checks the gradients of the executors against the f64 reference, and the reference against central differences.

use crate::cpu;
use crate::data::Batch;
use crate::device::{Device, DeviceSpec};
use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{GpuDevice, adapters};
use crate::model::record::GateStorage;
use crate::model::{Activation, Cell, Config, Dropout, Init, Output, RegressionLoss, StashPrecision};
use crate::optimizer::{Clip, Optimizer};
use crate::plan::Plan;
use crate::reference::{self, Head, Net, Phi, Read, Targets, Tensors, Window, checks, dropout};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Number of the update whose dropout mask is used.
const UPDATE: u64 = 5;

/// A random window over a random model.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The model.
    pub config: Config,
    /// B.
    pub lanes: u32,
    /// T.
    pub steps: u32,
    /// S: steps per segment.
    pub segment: u32,
    /// Whether h is recomputed on the backward pass.
    pub recompute: bool,
    /// Rows of the head that are processed at once, a multiple of 4.
    pub head_rows: u32,
    /// Precision in which h is stored between the passes.
    pub stash: StashPrecision,
    /// What is stored of gates between the passes.
    pub gates: GateStorage,
    /// Seed of parameters and data.
    pub seed: u64,
    /// Dropout probability of the units between layers.
    pub dropout: f64,
    /// Whether edges are cut and scaled (xi 0, 1 and 1/0.7) instead of all 1.
    pub cuts: bool,
}

impl Case {
    /// A case of odd sizes: B 3, T 17, V 11, H 37, segments of 5 steps, resets, cuts and weights of 0.
    pub fn odd(activation: Activation, layers: u32, bias: bool) -> Self {
        let config = Config { hidden: 37, layers, activation, bias, ..Config::symbols(11) };
        Case {
            config,
            lanes: 3,
            steps: 17,
            segment: 5,
            recompute: false,
            head_rows: 8,
            stash: StashPrecision::F32,
            gates: GateStorage::Kept,
            seed: 1,
            dropout: 0.0,
            cuts: true,
        }
    }

    /// The same sizes and data for another cell.
    pub fn of_cell(cell: Cell, layers: u32, bias: bool) -> Self {
        let odd = Self::odd(Activation::Tanh, layers, bias);
        Case { config: Config { cell, ..odd.config }, ..odd }
    }

    /// The plan of this case.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::with(self.config.dims(self.lanes), self.steps, self.segment, self.recompute);
        plan.extent.head_rows = plan.extent.head_rows.min(self.head_rows);
        (plan.extent.stash, plan.extent.gates) = (self.stash, self.gates);
        plan.extent.dropout = Dropout::new(self.dropout, self.seed);
        plan
    }

    /// Flat parameters, uniform: relu and identity stay finite over the window.
    pub fn parameters(&self) -> Vec<f32> {
        Init::Uniform.parameters(&self.config, self.seed)
    }

    /// The window: one step in six resets, one weight in five is 0, and if `cuts`, one edge in four is cut and one in four scaled.
    pub fn window(&self) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        let rows = self.steps * self.lanes;
        let (input, output) = (self.config.input, self.config.output);
        let mut symbols = |of: u32| (0..if of > 0 { rows } else { 0 }).map(|_| rng.random_range(0..of)).collect::<Vec<u32>>();
        let tokens = symbols(input.symbols());
        let targets = symbols(if let Output::Classes(n) = output { n } else { 0 });
        let mut choose = |odds: u32, values: [f32; 3]| (0..rows).map(|_| values[(rng.random_range(0..odds) as usize).min(2)]).collect::<Vec<f32>>();
        let (keep, weights) = (choose(6, [0.0, 1.0, 1.0]), choose(5, [0.0, 1.0, 1.0]));
        let xi = choose(4, if self.cuts { [0.0, 1.0 / 0.7, 1.0] } else { [1.0; 3] });
        let mut numbers = |each: u32| (0..rows * each).map(|_| rng.random_range(-1.5..1.5)).collect::<Vec<f32>>();
        let (numbers, wanted) = (numbers(input.numbers()), numbers(output.numbers()));
        Batch { lanes: self.lanes, tokens, numbers, targets, wanted, keep, xi, weights }
    }

    /// The initial state, per layer `[B, N Hp]`.
    pub fn state(&self) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x57a7e);
        let (h, ld) = (self.config.hidden as usize, self.config.hidden.next_multiple_of(4) as usize);
        let width = self.config.state_width() as usize;
        let row = |rng: &mut ChaCha8Rng| (0..width).map(|i| if i % ld < h { rng.random_range(-0.5..0.5) } else { 0.0 }).collect::<Vec<f32>>();
        (0..self.config.layers).map(|_| (0..self.lanes).flat_map(|_| row(&mut rng)).collect()).collect()
    }

    /// The reference's dropout factors on the h of a layer before the layer above reads it, `[T,B,H]` each; empty without dropout.
    fn factors(&self) -> Vec<Vec<f64>> {
        let between = if self.dropout > 0.0 { self.config.layers - 1 } else { 0 };
        let sizes = [self.steps, self.lanes, self.config.hidden];
        (1..=between).map(|layer| dropout::factors(self.dropout, self.seed, UPDATE as u32, layer, sizes)).collect()
    }

    /// N: the number of scored steps.
    pub fn n(&self) -> f64 {
        self.window().weights.iter().map(|&w| f64::from(w)).sum::<f64>().max(1.0)
    }
}

/// Loss and gradients, one tensor each in the order of [`Config::tensors`].
#[derive(Debug, Clone)]
pub struct Gradients {
    /// Mean loss, nats.
    pub loss: f64,
    /// Row-major, without padding.
    pub tensors: Tensors,
    /// The final state, per layer `[B, N H]`.
    pub state: Vec<Vec<f64>>,
}

/// The results of a device's executor for a case, and the raw gradients bit for bit.
///
/// # Errors
/// If the device fails.
pub fn executor(device: &Device, case: &Case) -> Result<(Gradients, Vec<f32>)> {
    executor_with(device, case, case.plan())
}

/// As [`executor`], with another plan.
///
/// # Errors
/// If the device fails.
pub fn executor_with(device: &Device, case: &Case, plan: Plan) -> Result<(Gradients, Vec<f32>)> {
    let mut engine = Engine::new(device, case.config, plan, &Optimizer::Sgd { momentum: 0.0 }.update(Clip::None))?;
    engine.set_parameters(&case.parameters())?;
    engine.set_state(&case.state())?;
    let window = case.window();
    engine.drop_units(Some(UPDATE));
    engine.gradient(0..case.steps, |places, range| window.inputs(places, range), case.n())?;
    let loss = engine.loss_sum()? / case.n();
    engine.carry()?;
    let flat = engine.gradients()?;
    let tensors = case.config.tensors().iter().map(|t| wide(&t.extract(&flat))).collect();
    let h = case.config.hidden;
    let state = engine.state()?.iter().map(|s| unpad(s, h)).collect();
    Ok((Gradients { loss, tensors, state }, flat))
}

/// The results of the reference for a case.
pub fn reference(case: &Case) -> Gradients {
    with_reference(case, |net, params, window, state| {
        let carry: Vec<Vec<f64>> = state.iter().map(|s| vec![0.0; s.len()]).collect();
        let back = reference::backward(net, params, window, state, &carry);
        Gradients { loss: back.loss, tensors: back.gradients, state: back.state }
    })
}

/// The central differences of the reference's loss, for a case without cuts.
pub fn differences(case: &Case) -> Tensors {
    with_reference(case, |net, params, window, state| checks::central_differences(net, params, window, state, 1e-5))
}

/// A cell in the reference's terms.
pub const fn in_reference(cell: Cell) -> reference::Cell {
    match cell {
        Cell::Rnn => reference::Cell::Rnn,
        Cell::Gru => reference::Cell::Gru,
        Cell::Lstm => reference::Cell::Lstm,
    }
}

/// Calls `f` with the case in the reference's terms.
pub fn with_reference<R>(case: &Case, f: impl FnOnce(&Net, &Tensors, &Window<'_>, &[Vec<f64>]) -> R) -> R {
    let c = &case.config;
    let phi = match c.activation {
        Activation::Tanh => Phi::Tanh,
        Activation::Relu => Phi::Relu,
        Activation::Identity => Phi::Identity,
    };
    let cell = in_reference(c.cell);
    let head = match c.output {
        Output::Classes(_) => Head::Softmax,
        Output::Numbers { deviation: RegressionLoss::Squared, .. } => Head::Squared,
        Output::Numbers { deviation: RegressionLoss::Absolute, .. } => Head::Absolute,
        Output::Quantiles { levels, .. } => {
            let mut all = [0; 9];
            all.iter_mut().zip(levels.levels()).for_each(|(a, level)| *a = (level * 10_000.0).round() as u16);
            Head::Pinball { levels: all, count: levels.count() }
        }
    };
    let embedded = Some(c.input.symbols() as usize).filter(|_| c.embedding() > 0);
    let sizes = [c.input.width(), c.outputs(), c.hidden, c.layers].map(|n| n as usize);
    let net = Net { embedded, inputs: sizes[0], outputs: sizes[1], hidden: sizes[2], layers: sizes[3], cell, phi, bias: c.bias, head };
    let flat = case.parameters();
    let params: Tensors = c.tensors().iter().map(|t| wide(&t.extract(&flat))).collect();
    let given = case.window();
    let (keep, xi, weights) = (wide(&given.keep), wide(&given.xi), wide(&given.weights));
    let (numbers, wanted) = (wide(&given.numbers), wide(&given.wanted));
    let read = if numbers.is_empty() { Read::Symbols(&given.tokens) } else { Read::Numbers(&numbers) };
    let targets = if wanted.is_empty() { Targets::Classes(&given.targets) } else { Targets::Numbers(&wanted) };
    let factors = case.factors();
    let window = Window { steps: case.steps as usize, read, targets, keep: &keep, xi: &xi, weights: &weights, factors: &factors, n: case.n() };
    let state: Vec<Vec<f64>> = case.state().iter().map(|s| unpad(s, c.hidden)).collect();
    f(&net, &params, &window, &state)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn unpad(rows: &[f32], cols: u32) -> Vec<f64> {
    rows.chunks_exact(cols.next_multiple_of(4) as usize).flat_map(|r| wide(&r[..cols as usize])).collect()
}

/// norm(x - y) / norm(y); 0 if both are zero, infinite if x is not finite.
pub fn relative_error(x: &[f64], y: &[f64]) -> f64 {
    let norm = |v: f64| v.sqrt();
    let difference = norm(x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum());
    let size = norm(y.iter().map(|b| b * b).sum());
    match (difference, size) {
        _ if x.len() != y.len() || !difference.is_finite() => f64::INFINITY,
        (0.0, _) => 0.0,
        (d, s) => d / s,
    }
}

/// Bound of norm(g - reference) / norm(reference) per tensor.
pub(crate) const BOUND: f64 = 1e-4;
/// Bound of the reference against central differences.
pub(crate) const DIFFERENCES_BOUND: f64 = 1e-6;

/// A comparison of gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What computed them.
    pub device: String,
    /// The model and the window.
    pub case: String,
    /// The tensor that differs most.
    pub tensor: String,
    /// Its distance, relative to its norm.
    pub relative_error: f64,
    /// The distance that is allowed.
    pub bound: f64,
    /// Why there is no result, if there is none.
    pub failure: Option<String>,
}

impl Check {
    /// Whether the distance is allowed.
    pub fn passes(&self) -> bool {
        self.relative_error <= self.bound
    }

    /// As a JSON object.
    pub fn json(&self) -> Value {
        let Check { device, case, tensor, relative_error, bound, .. } = self;
        json!({"device": device, "case": case, "tensor": tensor, "relative_error": Some(relative_error).filter(|x| x.is_finite()), "bound": bound, "passes": self.passes()})
    }
}

/// Checks the reference against central differences, and the devices, by their names, against the reference. Each comparison is passed to `told` as it is made.
pub fn check(devices: &[(String, Device)], told: &mut dyn FnMut(&Check)) -> Vec<Check> {
    let mut all = Vec::new();
    let mut report = |device: &str, case: String, (tensor, relative_error): (String, f64), bound: f64, failure: Option<String>| {
        let check = Check { device: device.to_string(), case, tensor, relative_error, bound, failure };
        told(&check);
        all.push(check);
    };
    // The plain cell with each activation, then the others.
    let activations = [Activation::Tanh, Activation::Relu, Activation::Identity].map(|a| (format!("{a:?}"), Case::odd(a, 1, true)));
    let others = Cell::ALL.into_iter().filter(|c| *c != Cell::Rnn).map(|c| (c.spec().torch.to_string(), Case::of_cell(c, 1, true)));
    for (name, case) in activations.into_iter().chain(others) {
        for layers in [1, 3] {
            let odd = Case { config: Config { layers, ..case.config }, ..case };
            let smooth = Case { cuts: false, ..odd };
            let label = |c: &Case| {
                format!("{name} {layers} layer{} {}", if layers == 1 { "" } else { "s" }, if c.cuts { "resets, cuts, weights" } else { "resets, weights" })
            };
            // Central differences of every parameter: a smaller net, since each costs two passes.
            let mut small = smooth;
            small.config.hidden = 7;
            let expected = reference(&small);
            let measured = Gradients { tensors: differences(&small), ..expected.clone() };
            report("f64 reference", format!("{} vs differences", label(&small)), worst(&small, &measured, &expected), DIFFERENCES_BOUND, None);
            let again = Case { gates: GateStorage::Recomputed, ..odd };
            let again = Some(again).filter(|_| odd.config.cell.spec().keeps_gates);
            for case in [odd, Case { recompute: true, ..odd }].into_iter().chain(again) {
                let expected = reference(&case);
                for (device_name, device) in devices {
                    let got = executor(device, &case).map(|(got, _)| got);
                    let gates = if case.gates == GateStorage::Kept { "" } else { ", gates recomputed" };
                    let what = format!("{}{}{gates}", label(&case), if case.recompute { ", recomputed" } else { "" });
                    let (worst, failure) = match &got {
                        Ok(got) => (worst(&case, got, &expected), None),
                        Err(e) => (("no result".to_string(), f64::INFINITY), Some(e.to_string())),
                    };
                    report(device_name, what, worst, BOUND, failure);
                }
            }
        }
    }
    all
}

/// The tensor that differs most.
pub(crate) fn worst(case: &Case, got: &Gradients, expected: &Gradients) -> (String, f64) {
    let names = case.config.tensors().into_iter().map(|t| t.name);
    let errors = got.tensors.iter().zip(&expected.tensors).map(|(g, e)| relative_error(g, e));
    let loss = ("loss".to_string(), relative_error(&[got.loss], &[expected.loss]));
    names.zip(errors).chain([loss]).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

/// The adapter with each of its forms by itself.
pub fn forms(device: &Device) -> Vec<(String, Device)> {
    let Device::Gpu(gpu) = device else { return Vec::new() };
    let with = |(name, capabilities)| {
        let mut device = gpu.clone();
        device.capabilities = capabilities;
        (name, Device::Gpu(device))
    };
    gpu.every_form().into_iter().map(with).collect()
}

/// The device that is asked for, or else the CPU and every adapter.
///
/// # Errors
/// If one can't be opened.
pub fn all_devices(wish: Option<DeviceSpec>) -> Result<Vec<Device>> {
    if let Some(wish) = wish {
        return Ok(vec![Device::open(wish)?.0]);
    }
    let mut devices = vec![Device::Cpu { threads: cpu::default_threads() }];
    for adapter in adapters()? {
        devices.push(Device::Gpu(Box::new(GpuDevice::open(&adapter)?)));
    }
    Ok(devices)
}
