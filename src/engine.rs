//! A model on a device: runs the passes of a window segment by segment, as planned.

mod fits;
mod memory;
mod metrics;
mod probe;

pub use memory::Memory;
pub use metrics::Metrics;
pub use probe::{LagNorms, STEPS};

use crate::data::SegmentInputs;
use crate::device::Device;
use crate::dims::pad4;
use crate::error::{Error, Result};
use crate::exec::{Counters, Executor, download_f32, download_f32_async, upload_f32};
use crate::kernel::{Values, Var};
use crate::kernels::finish;
use crate::layout::Program;
use crate::model::Config;
use crate::model::record::{self, HostSlots, InputLayout, ModelProgram, Update};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::schedule::Action;
use crate::watch;
use fits::sized;
use std::ops::Range;

/// A model on a device.
pub struct Engine {
    executor: Box<dyn Executor>,
    /// The architecture.
    pub config: Config,
    /// The execution plan.
    pub plan: Plan,
    slots: HostSlots,
    inputs: InputLayout,
    planned: [u64; 2],
    dispatches_per_window: u32,
    /// None for an engine of inference.
    moments: Option<[bool; 2]>,
    /// The last 32 bits of the number of the update whose gradients use dropout.
    dropping: Option<u32>,
    /// Number of its first lane among all that are trained together.
    first_lane: u32,
    /// Whether all kernel outputs are checked.
    watched: bool,
    probe: Option<probe::Probe>,
    /// Cached b_y, until the parameters change.
    bias: Option<Vec<f32>>,
    /// N of the current gradient, if [`Engine::gradient`] computed it.
    divided: Option<f64>,
}

impl Engine {
    /// Creates buffers and pipelines and runs everything once on zeros, so that drivers have compiled before anything is timed.
    ///
    /// # Errors
    /// If the device refuses or runs out of memory.
    pub fn new(device: &Device, config: Config, plan: Plan, update: &Update) -> Result<Self> {
        let recorded = record::record(&config, plan.extent, update, &device.capabilities());
        Self::with(device, config, plan, Some(update), recorded, None)
    }

    /// Like [`Engine::new`], without blocking.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub async fn new_async(device: &Device, config: Config, plan: Plan, update: &Update) -> Result<Self> {
        let recorded = record::record(&config, plan.extent, update, &device.capabilities());
        let (program, engine) = Self::parts(device, config, plan, Some(update), recorded, None);
        let mut engine = engine(device.executor_async(program).await?);
        engine.run_all_once()?;
        engine.executor.wait_async().await?;
        engine.forget_updates()?;
        Ok(engine)
    }

    /// An engine with these parameters that is never updated.
    ///
    /// # Errors
    /// As [`Engine::new`]; [`Error::Usage`] if the number of parameters is wrong.
    pub fn for_inference(device: &Device, config: Config, plan: Plan, parameters: &[f32]) -> Result<Self> {
        let recorded = record::record_inference(&config, plan.extent, &device.capabilities());
        let mut engine = Self::with(device, config, plan, None, recorded, None)?;
        engine.set_parameters(parameters)?;
        Ok(engine)
    }

    /// Like [`Engine::for_inference`], for [`Engine::outputs`] of all steps.
    ///
    /// # Errors
    /// As [`Engine::for_inference`].
    pub fn for_outputs(device: &Device, config: Config, plan: Plan, parameters: &[f32]) -> Result<Self> {
        let recorded = record::record_outputs(&config, plan.extent, &device.capabilities());
        let mut engine = Self::with(device, config, plan, None, recorded, None)?;
        engine.set_parameters(parameters)?;
        Ok(engine)
    }

    fn with(device: &Device, config: Config, plan: Plan, update: Option<&Update>, recorded: ModelProgram, probe: Option<probe::Probe>) -> Result<Self> {
        let (program, engine) = Self::parts(device, config, plan, update, recorded, probe);
        let mut engine = engine(device.executor(program)?);
        engine.run_all_once()?;
        engine.executor.wait()?;
        engine.forget_updates()?;
        Ok(engine)
    }

    /// The program, and a function that builds the engine around its executor.
    fn parts(
        device: &Device,
        config: Config,
        plan: Plan,
        update: Option<&Update>,
        recorded: ModelProgram,
        probe: Option<probe::Probe>,
    ) -> (Program, impl FnOnce(Box<dyn Executor>) -> Self + Send + use<>) {
        let layout = &recorded.program.layout;
        let planned = [layout.bytes() + device.capabilities().overhead_bytes, layout.bytes_for(crate::arena::Purpose::Activations)];
        let window = [record::PREPARE, record::forward(0), record::pack(0), record::backward(0), record::UPDATE, record::CARRY];
        let dispatches_per_window = window.iter().map(|&r| recorded.program.recordings[r].dispatch_count(plan.extent.steps)).sum();
        let (slots, inputs, moments) = (recorded.slots, recorded.inputs, update.map(|u| u.moments));
        let engine = move |executor| Engine {
            executor,
            config,
            plan,
            slots,
            inputs,
            planned,
            dispatches_per_window,
            moments,
            dropping: None,
            first_lane: 0,
            watched: false,
            probe,
            bias: None,
            divided: None,
        };
        (recorded.program, engine)
    }

    /// All parameters, inputs and weights are zero, and so are all gradients: only the status changes.
    fn run_all_once(&mut self) -> Result<()> {
        let values = Values::default().with(Var::Steps, 1);
        // The groups of a stash differ only in their buffers.
        for recording in
            [record::PREPARE, record::forward(0), record::pack(0), record::backward(0), record::EVALUATE, record::LOGITS, record::UPDATE, record::CARRY]
        {
            self.run(recording, &values)?;
        }
        Ok(())
    }

    /// Resets the counts of updates.
    fn forget_updates(&mut self) -> Result<()> {
        self.executor.upload(self.slots.status, 0, &[0; finish::RING as usize])
    }

    /// Description of its executor.
    pub fn description(&self) -> &str {
        self.executor.description()
    }

    /// Layout of a segment's inputs.
    pub fn inputs(&self) -> &InputLayout {
        &self.inputs
    }

    /// Bytes on the device, `[planned, allocated]`.
    pub fn device_bytes(&self) -> [u64; 2] {
        [self.planned[0], self.executor.allocated_bytes()]
    }

    /// Planned bytes of activations.
    pub fn activation_bytes(&self) -> u64 {
        self.planned[1]
    }

    /// Dispatches of a window of one segment.
    pub fn dispatches_per_window(&self) -> u32 {
        self.dispatches_per_window
    }

    /// The work issued so far.
    pub fn counters(&self) -> Counters {
        self.executor.counters()
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// If the device fails.
    pub fn wait(&mut self) -> Result<()> {
        self.executor.wait()
    }

    /// Like [`Engine::wait`], without blocking: the work is done when the future completes.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn wait_async(&mut self) -> Result<()> {
        self.executor.wait_async().await
    }

    /// From now on, checks everything that kernels write, and fails at the first non-finite value; many times slower.
    pub fn detect_anomalies(&mut self) {
        self.watched = true;
    }

    /// Whether [`Engine::detect_anomalies`] was called.
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    fn run(&mut self, recording: usize, values: &Values) -> Result<()> {
        if self.watched {
            let dims = self.config.dims(self.plan.extent.lanes);
            let shape = [dims.lanes, dims.hidden_padded(), dims.gates_width()];
            return watch::run(&mut *self.executor, shape, recording, values);
        }
        self.executor.run(recording, values)
    }

    /// Starts or stops measuring the time of each kernel.
    ///
    /// # Errors
    /// If the device fails.
    pub fn profile(&mut self, on: bool) -> Result<()> {
        self.executor.profile(on)
    }

    /// Takes the measurements; `None` if there are none.
    pub fn take_profile(&mut self) -> Option<Profile> {
        self.executor.take_profile()
    }

    /// See [`Executor::watch_submissions`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn watch_submissions(&mut self) -> Result<()> {
        self.executor.watch_submissions()
    }

    /// See [`Executor::idle_share`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn idle_share(&mut self) -> Result<Option<f64>> {
        self.executor.idle_share()
    }

    /// The flat parameters, see [`Config::tensors`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&mut self) -> Result<Vec<f32>> {
        download_f32(&mut *self.executor, self.slots.params, 0, self.config.elements())
    }

    /// Like [`Engine::parameters`], without blocking.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn parameters_async(&mut self) -> Result<Vec<f32>> {
        download_f32_async(&mut *self.executor, self.slots.params, 0, self.config.elements()).await
    }

    /// Replaces the flat parameters.
    ///
    /// # Errors
    /// If the device fails; [`Error::Usage`] if their number is wrong.
    pub fn set_parameters(&mut self, flat: &[f32]) -> Result<()> {
        sized("parameters", flat.len(), self.config.elements())?;
        self.bias = None;
        upload_f32(&mut *self.executor, self.slots.params, 0, flat)
    }

    /// That it is not one of [`Engine::for_inference`].
    fn trains(&self) -> Result<()> {
        if self.moments.is_some() { Ok(()) } else { Err(Error::Usage("an engine for inference has no gradients; make one by Engine::new".to_string())) }
    }

    /// The flat gradients of the last window.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradients(&mut self) -> Result<Vec<f32>> {
        self.trains()?;
        download_f32(&mut *self.executor, self.slots.gradients, 0, self.config.elements())
    }

    /// Like [`Engine::gradients`], without blocking.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn gradients_async(&mut self) -> Result<Vec<f32>> {
        download_f32_async(&mut *self.executor, self.slots.gradients, 0, self.config.elements()).await
    }

    /// From now on, gradients use the plan's dropout with the masks of update number `update`, or none. Only gradients do.
    pub fn drop_units(&mut self, update: Option<u64>) {
        self.dropping = update.map(|u| u as u32);
    }

    /// From now on, its lanes are those from this one on, of all that are trained together: dropout depends on it.
    pub fn lanes_from(&mut self, first: u32) {
        self.first_lane = first;
    }

    /// Computes loss and gradients of a window from the current state and leaves them on the device. `inputs` returns the inputs of a segment, `n` is N.
    ///
    /// # Errors
    /// If the device or `inputs` fails; [`Error::Usage`] if the inputs do not fit the model,
    /// or N is not a finite number above 0. Parameters, moments and state are then unchanged.
    pub fn gradient(&mut self, window: Range<u32>, inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>, n: f64) -> Result<()> {
        if !(n > 0.0 && n.is_finite()) {
            return Err(Error::Usage(format!("N is {n}; expected a number above 0, such as the steps and lanes that are scored")));
        }
        self.gradient_over(&self.plan.segments(window), inputs, n, false, None)?;
        self.divided = Some(n);
        Ok(())
    }

    /// Like [`Engine::gradient`] over successive segments, each at most as long as the plan's. With `accumulate`, adds to the current loss and gradients.
    /// Sets aside the state at the start of segment `kept` (or after the last) for [`Engine::save_state`].
    ///
    /// # Errors
    /// As [`Engine::gradient`].
    pub fn gradient_over(
        &mut self,
        segments: &[Range<u32>],
        inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>,
        n: f64,
        accumulate: bool,
        mut kept: Option<u32>,
    ) -> Result<()> {
        self.trains()?;
        self.divided = None;
        self.run(record::PREPARE, &Values::default())?;
        let (mut more, count) = (accumulate, segments.len() as u32);
        let (mut reached, mut uploaded) = (0, None);
        for action in self.plan.actions(count) {
            let (Action::Forward { segment, .. } | Action::Backward { segment, .. }) = action;
            // If a backward pass follows the forward pass of its segment, the inputs are still there.
            if uploaded.replace(segment) != Some(segment) {
                self.upload(&inputs, &segments[segment as usize])?;
            }
            match action {
                Action::Forward { segment, from, to, place } => {
                    let (group, values) = self.values(&segments[segment as usize], place);
                    let values = self.dropping(values);
                    self.run(record::forward(group), &values.with(Var::From, from).with(Var::To, to))?;
                    self.run(record::pack(group), &values)?;
                    // The first pass visits every state once.
                    reached += u32::from(segment == reached);
                    if reached == segment + 1 && kept == Some(reached) {
                        self.copy_state(to, self.plan.extent.states)?;
                        kept = None;
                    }
                }
                Action::Backward { segment, place } => {
                    let (group, values) = self.values(&segments[segment as usize], place);
                    let values = self.dropping(values).with(Var::Accumulate, u32::from(more)).with(Var::CarryIn, u32::from(segment + 1 < count));
                    self.run(record::backward(group), &values.with_f32(Var::InverseN, (1.0 / n) as f32))?;
                    more = true;
                }
            }
        }
        Ok(())
    }

    fn upload(&mut self, inputs: &impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>, segment: &Range<u32>) -> Result<()> {
        let inputs = inputs(&self.inputs, segment.clone())?;
        self.check_inputs(&inputs, segment.len() as u32)?;
        self.executor.upload(self.slots.inputs, 0, &inputs.words)
    }

    /// The group of a place, and the values for it and a segment.
    fn values(&self, segment: &Range<u32>, place: u32) -> (u32, Values) {
        let per_slot = self.plan.extent.places_per_slot;
        let values = Values::default().with(Var::Steps, segment.end - segment.start).with(Var::First, segment.start).with(Var::FirstLane, self.first_lane);
        (place / per_slot, values.with(Var::Place, place % per_slot))
    }

    fn dropping(&self, values: Values) -> Values {
        self.dropping.map_or(values, |update| values.with(Var::Drop, 1).with(Var::Update, update))
    }

    /// Completes an update: norm, clipping, optimizer. Records the metrics of update number `update` (from 0) in the ring, with the loss divided by `n`.
    ///
    /// # Errors
    /// If the device fails; [`Error::Usage`] if N differs from that of [`Engine::gradient`].
    pub fn update(&mut self, update: u64, lr: f32, n: f64) -> Result<()> {
        self.trains()?;
        if let Some(other) = self.divided.filter(|other| *other != n) {
            return Err(Error::Usage(format!("the gradient was divided by N = {other}, and the loss is to be by {n}; give update the same N")));
        }
        self.bias = None;
        let row = (update % u64::from(finish::RING_ROWS)) as u32;
        let values = Values::default().with(Var::RingRow, row).with_f32(Var::LearningRate, lr).with_f32(Var::InverseN, (1.0 / n) as f32);
        self.run(record::UPDATE, &values)
    }

    /// Copies the state after the last window to the start of the next.
    ///
    /// # Errors
    /// If the device fails.
    pub fn carry(&mut self) -> Result<()> {
        self.copy_state(self.plan.tail(), 0)
    }

    /// Computes the weighted losses of some steps from the current state, and advances it. Passes them to `losses` segment by segment, `[S, B]`. Segments
    /// begin at multiples of the plan's, wherever `steps` begin.
    ///
    /// # Errors
    /// If the device or `inputs` fails.
    pub fn evaluate(
        &mut self,
        steps: Range<u32>,
        inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>,
        mut losses: impl FnMut(Range<u32>, &[f32]),
    ) -> Result<()> {
        let aligned = steps.start / self.plan.extent.steps * self.plan.extent.steps..steps.end;
        for segment in self.plan.segments(aligned).into_iter().map(|s| s.start.max(steps.start)..s.end).filter(|s| !s.is_empty()) {
            self.upload(&inputs, &segment)?;
            let (_, values) = self.values(&segment, 0);
            self.run(record::forward(0), &values.with(Var::To, self.plan.tail()))?;
            self.run(record::EVALUATE, &values)?;
            self.carry()?;
            let rows = (segment.end - segment.start) * self.plan.extent.lanes;
            losses(segment, &download_f32(&mut *self.executor, self.slots.row_loss, 0, rows)?);
        }
        Ok(())
    }

    /// Advances the state over some steps without computing outputs.
    ///
    /// # Errors
    /// If the device or `inputs` fails.
    pub fn advance(&mut self, steps: Range<u32>, inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>) -> Result<()> {
        for segment in self.plan.segments(steps) {
            self.upload(&inputs, &segment)?;
            let (_, values) = self.values(&segment, 0);
            self.run(record::forward(0), &values.with(Var::To, self.plan.tail()))?;
            self.carry()?;
        }
        Ok(())
    }

    /// The sum of the weighted losses of the last window.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss_sum(&mut self) -> Result<f64> {
        Ok(f64::from(download_f32(&mut *self.executor, self.slots.loss, 0, 1)?[0]))
    }

    /// Advances by one step and returns its outputs `[V, B]`: logits, or forecasts of standardized values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, inputs: &SegmentInputs) -> Result<Vec<f32>> {
        let (_, values) = self.values(&(0..1), 0);
        self.check_inputs(inputs, 1)?;
        self.executor.upload(self.slots.inputs, 0, &inputs.words)?;
        self.run(record::forward(0), &values.with(Var::To, self.plan.tail()))?;
        self.run(record::LOGITS, &values)?;
        self.carry()?;
        let ld = self.plan.extent.logits_ld();
        let all = download_f32(&mut *self.executor, self.slots.logits, 0, self.config.outputs() * ld)?;
        let (lanes, bias) = (self.plan.extent.lanes as usize, self.output_bias()?);
        Ok(all.chunks_exact(ld as usize).zip(bias).flat_map(|(row, b)| row[..lanes].iter().map(move |x| x + b)).collect())
    }

    /// Advances over some steps and passes their outputs to `take`, segment by segment, `[V, rows]` with this number of elements from one row of it to the
    /// next, and the V values of b_y, which are not added. For an engine of [`Engine::for_outputs`].
    ///
    /// # Errors
    /// If the device or `inputs` fails.
    pub fn outputs(
        &mut self,
        steps: Range<u32>,
        inputs: impl Fn(&InputLayout, Range<u32>) -> Result<SegmentInputs>,
        mut take: impl FnMut(Range<u32>, &[f32], usize, &[f32]),
    ) -> Result<()> {
        let bias = self.output_bias()?.to_vec();
        let ld = pad4(self.plan.extent.rows());
        for segment in self.plan.segments(steps) {
            self.upload(&inputs, &segment)?;
            let (_, values) = self.values(&segment, 0);
            self.run(record::forward(0), &values.with(Var::To, self.plan.tail()))?;
            self.run(record::LOGITS, &values)?;
            self.carry()?;
            let all = download_f32(&mut *self.executor, self.slots.logits, 0, self.config.outputs() * ld)?;
            take(segment, &all, ld as usize, &bias);
        }
        Ok(())
    }

    /// b_y; zeros if the model has none.
    pub(crate) fn output_bias(&mut self) -> Result<&[f32]> {
        if self.bias.is_none() {
            let tensor = self.config.tensors().into_iter().find(|t| t.name == "b_y");
            let read = tensor.map(|t| download_f32(&mut *self.executor, self.slots.params, t.offset, t.cols)).transpose()?;
            self.bias = Some(read.unwrap_or(vec![0.0; self.config.outputs() as usize]));
        }
        Ok(self.bias.as_deref().unwrap_or_default())
    }
}
