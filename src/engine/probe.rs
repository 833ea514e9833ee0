//! Measures how the gradient of single losses decays as it flows back in time: |dL_t/ds_{t-k}| for every lag k, layer and lane, where the state s is h, or h
//! and c together; and what one step does to a gradient, its Jacobian.
//!
//! A lane has one scored step, its last. Since the backward pass is linear in the gradient, each lane's carry is scaled back to about 1 between short
//! segments, by a power of two, which is exact and recorded. So norms down to 1e-300 and less are representable.

use super::Engine;
use crate::arena::{Slot, View};
use crate::data::SegmentInputs;
use crate::device::Device;
use crate::error::Result;
use crate::exec::{download_f32, upload_f32};
use crate::kernel::{Values, Var};
use crate::model::Config;
use crate::model::record::{self, InputLayout, Update};
use crate::optimizer::{Clip, Optimizer};
use crate::plan::Plan;
use crate::schedule::Action;
use std::ops::Range;

/// The probe's first recording, and what the host reads; see [`record::probe::ProbeProgram`].
pub(super) struct Probe {
    first: usize,
    g: Vec<Slot>,
    gates: Vec<Vec<View>>,
}

/// Steps between rescalings. Gradients may change by a factor of 1e4 per step before they leave the range of f32.
pub const STEPS: u32 = 8;

/// Natural logarithms of |dL_t/ds_{t-k}|, and the gates at the step of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct LagNorms {
    /// Number of lags: k runs from 0 to `lags` - 1.
    pub lags: u32,
    /// B: number of lanes.
    pub lanes: u32,
    /// Per layer `[lags, B]`; minus infinity for a zero gradient, NaN for a non-finite one.
    pub ln: Vec<Vec<f64>>,
    /// Per layer `[B, blocks Hp]`: the activations of the gates at the last step; no layers for a cell that keeps none.
    pub gates: Vec<Vec<f32>>,
}

impl Engine {
    /// An engine that can also measure lag norms, over windows of up to `window` steps in `lanes`
    /// lanes, with `steps` steps between rescalings (see [`STEPS`]). It trains like any other.
    ///
    /// # Errors
    /// If sizes are invalid, or the device refuses.
    pub fn with_probe(device: &Device, config: Config, lanes: u32, window: u32, steps: u32) -> Result<Self> {
        let dims = config.dims(lanes).checked()?;
        let plan = Plan::with(dims, window, steps.min(window), false).fitted(&device.capabilities(), dims)?;
        let update = update();
        let recorded = record::probe::record(&config, plan.extent, &update, &device.capabilities());
        Self::with(device, config, plan, Some(&update), recorded.model, Some(Probe { first: recorded.first, g: recorded.g, gates: recorded.gates }))
    }

    /// Device memory of [`Engine::with_probe`] in bytes; 0 if it can't be made.
    pub fn probe_bytes(device: &Device, config: Config, lanes: u32, window: u32, steps: u32) -> u64 {
        let (capabilities, dims) = (device.capabilities(), config.dims(lanes));
        let plan = Plan::with(dims, window, steps.min(window), false).fitted(&capabilities, dims);
        let layout = plan.map(|p| record::probe::record(&config, p.extent, &update(), &capabilities).model.program.layout.bytes());
        layout.map_or(0, |bytes| bytes + capabilities.overhead_bytes)
    }

    /// |dL_t/ds_{t-k}| of the loss of the last of `steps` steps, from the current state, which is preserved; `inputs` must score no other step.
    ///
    /// # Errors
    /// If the device or `inputs` fails.
    ///
    /// # Panics
    /// If the engine has no probe.
    pub fn lag_norms(&mut self, steps: Range<u32>, inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>) -> Result<LagNorms> {
        let (lanes, last) = (self.plan.extent.lanes, steps.end);
        let segments = self.plan.segments(steps);
        let mut flow = Flow::new(&self.config, lanes, segments.iter().map(|s| s.end - s.start).sum());
        self.run(record::PREPARE, &Values::default())?;
        for action in self.plan.actions(segments.len() as u32) {
            let (Action::Forward { segment, place, .. } | Action::Backward { segment, place }) = action;
            let range = &segments[segment as usize];
            self.upload(&inputs, range)?;
            let (group, values) = self.values(range, place);
            if let Action::Forward { from, to, .. } = action {
                self.run(record::forward(group), &values.with(Var::From, from).with(Var::To, to))?;
                self.run(record::pack(group), &values)?;
                if segment + 1 == segments.len() as u32 {
                    flow.norms.gates = self.last_gates(group, &values)?;
                }
            } else {
                let carried = segment + 1 < segments.len() as u32;
                self.probe_segment(&mut flow, group, values.with(Var::CarryIn, u32::from(carried)).with_f32(Var::InverseN, 1.0), last - range.end, carried)?;
            }
        }
        Ok(flow.norms)
    }

    /// The backward pass over a segment whose last step is at lag `lag`.
    fn probe_segment(&mut self, flow: &mut Flow, group: u32, values: Values, lag: u32, carried: bool) -> Result<()> {
        let probe = self.probe.as_ref().expect("an engine with a probe");
        let (layers, state) = (self.config.layers, self.config.dims(self.plan.extent.lanes).state());
        let steps = values.get(Var::Steps);
        if carried {
            let mut carry = download_f32(&mut *self.executor, self.slots.carry, 0, layers * state)?;
            flow.rescale(&mut carry);
            upload_f32(&mut *self.executor, self.slots.carry, 0, &carry)?;
        }
        self.executor.run(probe.first + group as usize, &values)?;
        for (layer, slot) in probe.g.iter().enumerate() {
            let g = download_f32(&mut *self.executor, *slot, 0, steps * state)?;
            flow.note(layer, &g, lag, steps);
        }
        Ok(())
    }

    /// The rows of gates of the last step that the forward pass left.
    fn last_gates(&mut self, group: u32, values: &Values) -> Result<Vec<Vec<f32>>> {
        let (lanes, steps) = (self.plan.extent.lanes, values.get(Var::Steps));
        let views = &self.probe.as_ref().expect("an engine with a probe").gates[group as usize];
        let step = |v: &View| download_f32(&mut *self.executor, v.slot, v.offset.eval(values) + (steps - 1) * lanes * v.ld, lanes * v.ld);
        views.iter().map(step).collect()
    }

    /// The Jacobian of one step of a layer, `[N H, N H]`: row i has the gradient of value i of the state after the step, h and then c, with respect to the state
    /// before it. `state` is the state before, `[N Hp]` per layer; `inputs` are those of one step, the same for every lane. The engine's state is lost.
    ///
    /// A backward pass over the step turns a unit vector as the incoming carry into a row: one row for each lane.
    ///
    /// # Errors
    /// If the device fails, or sizes differ.
    ///
    /// # Panics
    /// If the engine has no probe.
    pub fn state_jacobian(&mut self, layer: u32, state: &[Vec<f32>], inputs: &SegmentInputs) -> Result<Vec<f64>> {
        let dims = self.config.dims(self.plan.extent.lanes);
        let (lanes, width, hidden) = (dims.lanes as usize, dims.state_width() as usize, dims.hidden as usize);
        let columns: Vec<usize> = (0..dims.spec().states as usize).flat_map(|n| (0..hidden).map(move |j| n * dims.hidden_padded() as usize + j)).collect();
        self.set_state(&state.iter().map(|s| s.repeat(lanes)).collect::<Vec<_>>())?;
        self.upload(&|places: &InputLayout, _| Ok(without_edges(inputs, places)), &(0..1))?;
        self.run(record::PREPARE, &Values::default())?;
        let (group, values) = self.values(&(0..1), 0);
        let backward = self.probe.as_ref().expect("an engine with a probe").first + group as usize;
        let first = layer * dims.state();
        let mut jacobian = Vec::with_capacity(columns.len() * columns.len());
        for rows in columns.chunks(lanes) {
            // The backward pass puts deltas in the place of gates.
            self.run(record::forward(group), &values.with(Var::To, self.plan.tail()))?;
            let mut carry = vec![0f32; (dims.layers * dims.state()) as usize];
            rows.iter().enumerate().for_each(|(lane, column)| carry[first as usize + lane * width + column] = 1.0);
            upload_f32(&mut *self.executor, self.slots.carry, 0, &carry)?;
            self.executor.run(backward, &values.with(Var::CarryIn, 1).with_f32(Var::InverseN, 1.0))?;
            let carry = download_f32(&mut *self.executor, self.slots.carry, first, dims.state())?;
            jacobian.extend(carry.chunks_exact(width).take(rows.len()).flat_map(|row| columns.iter().map(|c| f64::from(row[*c]))));
        }
        Ok(jacobian)
    }
}

/// The inputs of one step, without a loss and with nothing cut.
fn without_edges(inputs: &SegmentInputs, places: &InputLayout) -> SegmentInputs {
    let mut words = inputs.words.clone();
    for (place, value) in [(places.keep(), 1f32), (places.xi(), 1.0), (places.weights(), 0.0)] {
        words[place as usize..][..places.rows as usize].fill(value.to_bits());
    }
    SegmentInputs { words, ..*inputs }
}

/// A probe trains with plain SGD, if at all.
fn update() -> Update {
    Optimizer::Sgd { momentum: 0.0 }.update(Clip::None)
}

/// Data collected during the backward pass.
struct Flow {
    /// Values in a lane's state of a layer.
    width: usize,
    norms: LagNorms,
    /// Per lane: the power of two by which the gradient has been divided.
    power: Vec<i32>,
}

impl Flow {
    fn new(config: &Config, lanes: u32, lags: u32) -> Self {
        let ln = vec![vec![f64::NEG_INFINITY; (lags * lanes) as usize]; config.layers as usize];
        Flow { width: config.dims(lanes).state_width() as usize, norms: LagNorms { lags, lanes, ln, gates: Vec::new() }, power: vec![0; lanes as usize] }
    }

    /// Scales each lane so that its largest value, over all layers, is near 1.
    fn rescale(&mut self, carry: &mut [f32]) {
        let (n, lanes) = (self.width, self.power.len());
        for lane in 0..lanes {
            let rows = || (0..carry.len() / (n * lanes)).map(|layer| (layer * lanes + lane) * n);
            // `max` ignores NaN, and an infinity skips the lane; the norms show both anyway.
            let most = rows().flat_map(|at| &carry[at..at + n]).fold(0f32, |m, x| m.max(x.abs()));
            if most == 0.0 || !most.is_finite() {
                continue;
            }
            let power = most.log2().floor() as i32;
            // In two steps: the factor of a tiny value overflows f32.
            let factors = [power / 2, power - power / 2].map(|p| 2f32.powi(-p));
            for at in rows().collect::<Vec<_>>() {
                carry[at..at + n].iter_mut().for_each(|x| *x = *x * factors[0] * factors[1]);
            }
            self.power[lane] += power;
        }
    }

    /// Records the norms of a segment of a layer.
    fn note(&mut self, layer: usize, g: &[f32], lag: u32, steps: u32) {
        let (n, lanes) = (self.width, self.power.len());
        for (t, step) in g.chunks_exact(n * lanes).enumerate() {
            let k = (lag + steps - 1) as usize - t;
            for (lane, row) in step.chunks_exact(n).enumerate() {
                let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                let ln = norm.ln() + f64::from(self.power[lane]) * std::f64::consts::LN_2;
                self.norms.ln[layer][k * lanes + lane] = if norm.is_finite() { ln } else { f64::NAN };
            }
        }
    }
}
