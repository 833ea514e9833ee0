//! The planner: runs a window of any length within a memory budget.
//!
//! A window is split into segments of S steps. The first pass keeps the h of some segments; of the others it stores only
//! states, at some or all of their starts, from which they are recomputed, see [`crate::schedule`]. Among the plans that
//! fit, the planner takes the one predicted to be fastest: the least recomputation, and of equals the largest S.

use crate::arena::Purpose;
use crate::dims::{Dims, pad4};
use crate::error::{Error, Result};
use crate::kernel::{Capabilities, DISPATCH_SECONDS};
use crate::model::record::{self, GateStorage, InputLayout, SegmentBytes, StashPrecision, Update, WindowShape};
use crate::model::{Config, Dropout, Input};
use crate::schedule::{self, Action};
use crate::setting::{SettingType, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A number of bytes, written as `48MiB`, `2GiB`, `500KB` or `1000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Usage(format!("`{text}` is no size in bytes; expected a number above 0 and KiB, MiB, GiB, KB, MB, GB or B, such as 48MiB"));
        let trimmed = text.trim();
        if !trimmed.is_ascii() {
            return Err(wrong());
        }
        let number =
            |unit: &str| Some(trimmed.len().checked_sub(unit.len())?).filter(|at| trimmed[*at..].eq_ignore_ascii_case(unit)).map(|at| trimmed[..at].trim_end());
        let (number, unit) = UNITS.iter().find_map(|(name, size)| number(name).map(|n| (n, *size))).ok_or_else(wrong)?;
        let bytes = number.parse::<f64>().ok().filter(|x| *x > 0.0).map(|x| x * unit as f64).ok_or_else(wrong)?;
        if bytes < 1.0 || bytes >= 2f64.powi(63) { Err(wrong()) } else { Ok(Bytes(bytes as u64)) }
    }
}

impl fmt::Display for Bytes {
    /// Rounded up, so that the printed size is enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)].into_iter().find(|u| self.0 >= u.1).unwrap_or(("B", 1));
        let tenths = (self.0 as u128 * 10).div_ceil(u128::from(size));
        if tenths.is_multiple_of(10) { write!(f, "{}{unit}", tenths / 10) } else { write!(f, "{}.{}{unit}", tenths / 10, tenths % 10) }
    }
}

impl SettingType for Bytes {
    type Inner = Self;
    fn of(inner: Self) -> Self {
        inner
    }
    fn inner(&self) -> Option<&Self> {
        Some(self)
    }
    fn write(bytes: &Self) -> std::result::Result<Value, String> {
        u64::write(&bytes.0)
    }
    /// Reads a number of bytes, or a size with a unit.
    fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
        match value {
            Some(Value::String(text)) => text.parse().map_err(|e: Error| e.to_string()),
            number => u64::read(number).map(Bytes).map_err(|_| "expected a size in bytes, such as 16777216 or \"16MiB\"".to_string()),
        }
    }
    fn parse(word: &str) -> std::result::Result<Value, String> {
        word.parse::<Self>().map_err(|e| e.to_string()).and_then(|b| Self::write(&b))
    }
}

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// The sizes of slots.
    pub extent: WindowShape,
    /// Length of the longest window that it was made for.
    pub window: u32,
    /// Whether an extra segment may begin within a window.
    pub split: bool,
}

/// The work to plan for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// The model.
    pub config: Config,
    /// B: number of lanes.
    pub lanes: u32,
    /// Length of the longest window in steps.
    pub window: u32,
    /// Past states kept for windows that have been reached and not begun.
    pub ring: u32,
    /// Whether an extra segment may begin within a window, see [`crate::feed::Feed::splits`].
    pub split: bool,
    /// The optimizer's update.
    pub update: Update,
    /// How h is stored between the passes.
    pub stash: StashPrecision,
    /// Dropout between layers.
    pub dropout: Dropout,
    /// Memory budget on the device in bytes.
    pub budget: u64,
}

/// Longest segment in steps.
const LONGEST_SEGMENT: u32 = 1024;
/// Maximum bytes of a chunk of logits; less if the budget is small.
const HEAD_BYTES: u64 = 16 << 20;
/// Minimum bytes of a chunk, unless nothing else fits.
const LEAST_HEAD_BYTES: u64 = 64 << 10;
/// Fixed cost of a pass over a segment, in steps.
const PASS: f64 = 1.0;
/// Cost of packing a value of h into half precision, or unpacking it, in operations.
const PACK: f64 = 32.0;
/// Cost of computing the gates of a segment again, relative to its forward pass: one product of all rows instead of one per step.
const AGAIN: f64 = 0.9;
/// Maximum number of recomputations of a segment.
const MOST_REPETITIONS: u32 = 8;

/// The default budget: a quarter of the machine's memory, at most 2 GiB, which small GPUs have.
pub fn default_budget() -> u64 {
    crate::platform::total_memory().map_or(1 << 30, |all| all / 4).min(2 << 30)
}

impl Plan {
    /// The plan for a workload.
    ///
    /// # Errors
    /// [`Error::Usage`] if no plan fits the budget, naming the smallest sufficient one, or the adapter's limits.
    pub fn new(task: &Workload, capabilities: &Capabilities) -> Result<Self> {
        Planner::new(task, capabilities)?.plan()
    }

    /// The plans for other budgets, from least to most memory; last the plan that keeps everything.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn curve(task: &Workload, capabilities: &Capabilities) -> Result<Vec<Self>> {
        let planner = Planner::new(task, capabilities)?;
        let mut plans: Vec<Self> = Vec::new();
        let (mut budget, most) = (planner.least().map_or(0, |l| l.1), planner.bytes(planner.roomy()));
        while budget < most {
            plans.extend(planner.best(budget));
            budget = (budget as f64 * 1.12) as u64 + 1;
        }
        plans.extend(planner.best(most));
        plans.dedup();
        Ok(plans)
    }

    /// A plan for an evaluation, which reads a text segment by segment and keeps nothing of earlier ones.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn for_evaluation(task: &Workload, capabilities: &Capabilities) -> Result<Self> {
        let short = Workload { window: task.window.min(LONGEST_SEGMENT), ring: 0, split: false, ..*task };
        let planner = Planner::new(&short, capabilities)?;
        let steps = (1..=planner.longest()).rev().find(|&s| planner.bytes(planner.extent(s, 1, 1, GateStorage::Kept)) <= task.budget.min(64 << 20));
        let plan = Plan { extent: planner.extent(steps.unwrap_or(1), 1, 1, GateStorage::Kept), window: task.window, split: false };
        planner.checked(plan)
    }

    /// The plan with segments of `steps` steps, with h kept, or recomputed once.
    pub fn with(dims: Dims, window: u32, steps: u32, recompute: bool) -> Self {
        let segments = window.div_ceil(steps);
        let chunk = u32::try_from(HEAD_BYTES / 4 / u64::from(dims.outputs)).unwrap_or(u32::MAX).max(4) / 4 * 4;
        let (stored, places) = if recompute { (segments, 1) } else { (1, segments) };
        let head_rows = pad4(steps * dims.lanes).min(chunk);
        let extent = WindowShape {
            lanes: dims.lanes,
            steps,
            states: schedule::states(stored),
            places,
            places_per_slot: places,
            ring: 0,
            head_rows,
            stash: StashPrecision::F32,
            gates: GateStorage::Kept,
            dropout: Dropout::default(),
        };
        Plan { extent, window, split: false }
    }

    /// The same plan with as many places per slot as the device can bind at once.
    ///
    /// # Errors
    /// [`Error::Usage`] if it can't bind even one.
    pub fn fitted(mut self, capabilities: &Capabilities, dims: Dims) -> Result<Self> {
        let place = SegmentBytes::new(&dims, self.extent.steps, self.extent.gates).largest;
        let held = place / u64::from(self.extent.stash.per_word());
        let most = if place > capabilities.binding_bytes { 0 } else { capabilities.binding_bytes / held };
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        if most == 0 {
            return Err(Error::Usage(format!(
                "{} steps take {} in one piece, the device binds at most {}; use fewer lanes",
                self.extent.steps,
                Bytes(place),
                Bytes(capabilities.binding_bytes)
            )));
        }
        self.extent.places_per_slot = self.extent.places.min(most);
        Ok(self)
    }

    /// Validates the plan, which may come from a file, for a workload.
    ///
    /// # Errors
    /// [`Error::Input`] if it doesn't fit: its sizes would be requested from the device.
    pub fn checked(self, task: &Workload) -> Result<Self> {
        let e = &self.extent;
        let steps = (1..=LONGEST_SEGMENT).contains(&e.steps) && (1..=task.window.max(1)).contains(&self.window);
        let same = e.lanes == task.lanes && e.ring == kept(task.ring) && e.stash == task.stash && self.split == task.split;
        let fits = steps && same && {
            let segments = self.segment_count();
            (schedule::states(1)..=schedule::states(segments)).contains(&e.states)
                && (1..=segments).contains(&e.places)
                && (1..=e.places).contains(&e.places_per_slot)
                && (1..=pad4(e.steps.saturating_mul(e.lanes))).contains(&e.head_rows)
                && e.head_rows.is_multiple_of(4)
        };
        if fits { Ok(self) } else { Err(Error::Input("its plan is not one for what is trained: it is damaged, or of another version".to_string())) }
    }

    /// The segments of a window.
    pub fn segments(&self, window: Range<u32>) -> Vec<Range<u32>> {
        window.clone().step_by(self.extent.steps as usize).map(|t| t..t.saturating_add(self.extent.steps).min(window.end)).collect()
    }

    /// Number of stored states: at the window's start, and at starts of segments.
    pub fn stored(&self) -> u32 {
        self.extent.states - 2
    }

    /// Index of the state at the end of a window.
    pub fn tail(&self) -> u32 {
        schedule::tail(self.stored())
    }

    /// The passes over a window of `segments` segments.
    pub fn actions(&self, segments: u32) -> Vec<Action> {
        schedule::schedule(segments, self.stored(), self.extent.places)
    }

    /// Number of segments of the longest window.
    pub fn segment_count(&self) -> u32 {
        self.window.div_ceil(self.extent.steps) + u32::from(self.split)
    }

    /// Maximum and mean number of recomputations of a segment of the longest window.
    pub fn recomputed(&self) -> (u32, f64) {
        let segments = self.segment_count();
        let (most, all) = schedule::repetitions(segments, self.stored(), self.extent.places);
        (most, all as f64 / f64::from(segments))
    }

    /// Predicted time of an update over the longest window, relative to a plan that keeps
    /// everything in long segments: from operations, and a fixed cost of each pass over a segment.
    pub fn time_factor(&self, config: &Config) -> f64 {
        let (mut forward, mut backward) = operations(config);
        let kept = forward + backward;
        if self.extent.stash == StashPrecision::F16 {
            let moved = PACK * f64::from(config.hidden) * f64::from(config.layers);
            (forward, backward) = (forward + moved, backward + moved);
        }
        if self.extent.gates == GateStorage::Recomputed {
            backward += AGAIN * forward;
        }
        let longest = LONGEST_SEGMENT.min(self.window);
        let (_, again) = self.recomputed();
        let passes = |steps: u32, again: f64| PASS * forward * (2.0 + again) / f64::from(steps);
        (forward * (1.0 + again) + backward + passes(self.extent.steps, again)) / (kept + passes(longest, 0.0))
    }

    /// Bytes on the device, by purpose.
    pub fn bytes(&self, config: &Config, update: &Update, capabilities: &Capabilities) -> BTreeMap<Purpose, u64> {
        let layout = record::record(config, self.extent, update, capabilities).program.layout;
        let mut bytes: BTreeMap<Purpose, u64> = Purpose::ALL.iter().map(|p| (*p, layout.bytes_for(*p))).collect();
        *bytes.entry(Purpose::Status).or_insert(0) += capabilities.overhead_bytes;
        bytes
    }
}

/// Floating-point operations per step and lane, forward and backward: products with `[D,H]`, `[H,H]` and `[V,H]` matrices; one-hot symbols are only looked up.
pub(crate) fn operations(config: &Config) -> (f64, f64) {
    let [h, v, l] = [config.hidden, config.outputs(), config.layers].map(f64::from);
    let d = if let Input::Symbols(_) = config.input { 0.0 } else { f64::from(config.input.width()) };
    let forward = 2.0 * h * (h * (2.0 * l - 1.0) + d) * f64::from(config.cell.spec().gates);
    (forward, 2.0 * forward + 6.0 * h * v)
}

/// Slots for past states: one more than are kept, for the state that is set aside.
fn kept(ring: u32) -> u32 {
    if ring > 0 { ring + 1 } else { 0 }
}

/// Searches for a plan.
struct Planner<'a> {
    task: &'a Workload,
    capabilities: &'a Capabilities,
    dims: Dims,
    /// Bytes of h of one step of one layer.
    unit: u64,
    /// Correction of the estimate of bytes.
    packing: i64,
}

impl<'a> Planner<'a> {
    fn new(task: &'a Workload, capabilities: &'a Capabilities) -> Result<Self> {
        let dims = task.config.dims(task.lanes).checked()?;
        let mut planner = Planner { task, capabilities, dims, unit: u64::from(dims.block()) * 4, packing: 0 };
        let states = planner.state() * (u64::from(task.ring) + 5);
        if states > capabilities.binding_bytes {
            return Err(Error::Usage(format!(
                "the states of one step, and the {} past ones that are kept, would take {} in one piece, the device binds at most {}; lower `batch`, `hidden` or K2/K1",
                task.ring,
                Bytes(states),
                Bytes(capabilities.binding_bytes)
            )));
        }
        let small = planner.extent_with(1, 1, 1, 0, GateStorage::Kept);
        planner.packing = planner.exact(small) as i64 - planner.bytes(small) as i64;
        Ok(planner)
    }

    fn with(&self, extent: WindowShape) -> Plan {
        Plan { extent, window: self.task.window, split: self.task.split }
    }

    /// Bytes of one step's state of all layers.
    fn state(&self) -> u64 {
        u64::from(self.dims.state()) * 4 * u64::from(self.task.config.layers)
    }

    /// The ways to store what a cell has besides h.
    fn ways(&self) -> &'static [GateStorage] {
        if self.dims.spec().keeps_gates { &[GateStorage::Kept, GateStorage::Recomputed] } else { &[GateStorage::Kept] }
    }

    /// The longest segment that one dispatch may process and one slot may hold.
    fn longest(&self) -> u32 {
        let spec = self.dims.spec();
        let [h, b, g] = [self.task.config.hidden, self.task.lanes, spec.gates].map(f64::from);
        let affordable = DISPATCH_SECONDS * self.capabilities.flops_per_second / (2.0 * b * h * h * g);
        let binding = self.capabilities.binding_bytes / (self.unit * u64::from(spec.blocks()));
        let rows = self.capabilities.binding_bytes / 4 / (InputLayout::words_per_row(&self.task.config) + 1) / u64::from(self.task.lanes);
        // Another segment is held in f32 as workspace: it must be short compared to the window, or half precision would save nothing.
        let longest = match self.task.stash {
            StashPrecision::F32 => self.task.window.min(LONGEST_SEGMENT),
            StashPrecision::F16 => self.task.window.min(LONGEST_SEGMENT).div_ceil(8),
        };
        let scan = self.capabilities.longest_scan(self.dims.hidden_padded() / 4, spec.gates, self.task.lanes);
        let most = u64::from(longest.min(scan)).min(affordable as u64).min(binding.saturating_sub(1)).min(rows);
        u32::try_from(most).unwrap_or(1).max(1)
    }

    fn segments(&self, steps: u32) -> u32 {
        self.task.window.div_ceil(steps) + u32::from(self.task.split)
    }

    /// The sizes of a plan.
    fn extent(&self, steps: u32, stored: u32, places: u32, gates: GateStorage) -> WindowShape {
        let bytes = HEAD_BYTES.min(self.task.budget / 16).max(LEAST_HEAD_BYTES);
        self.extent_with(steps, stored, places, bytes, gates)
    }

    /// The same with chunks of the head of `head_bytes` bytes, or of 4 rows.
    fn extent_with(&self, steps: u32, stored: u32, places: u32, head_bytes: u64, gates: GateStorage) -> WindowShape {
        let bytes = head_bytes.min(self.capabilities.binding_bytes);
        let chunk = u32::try_from(bytes / 4 / u64::from(self.dims.outputs)).unwrap_or(u32::MAX).max(4) / 4 * 4;
        let largest = SegmentBytes::new(&self.dims, steps, gates).largest / u64::from(self.task.stash.per_word());
        let per_slot = u32::try_from(self.capabilities.binding_bytes / largest).unwrap_or(u32::MAX).max(1);
        WindowShape {
            lanes: self.task.lanes,
            steps,
            states: schedule::states(stored),
            places,
            places_per_slot: places.min(per_slot),
            ring: kept(self.task.ring),
            head_rows: pad4(steps * self.task.lanes).min(chunk),
            stash: self.task.stash,
            gates,
            dropout: self.task.dropout,
        }
    }

    /// Bytes of what is stored of a segment, of all layers.
    fn place(&self, steps: u32, gates: GateStorage) -> u64 {
        let segment = SegmentBytes::new(&self.dims, steps, gates);
        (segment.stored / u64::from(self.task.stash.per_word()) + segment.first_c) * u64::from(self.task.config.layers)
    }

    /// Approximate bytes on the device; [`Planner::exact`] counts them all.
    fn bytes(&self, e: WindowShape) -> u64 {
        let (c, layers) = (&self.task.config, u64::from(self.task.config.layers));
        let rows = u64::from(e.steps) * u64::from(e.lanes);
        let moments = self.task.update.moments.iter().filter(|m| **m).count() as u64;
        let (hidden, outputs) = (u64::from(self.dims.hidden_padded()), u64::from(c.outputs()));
        let fixed = u64::from(c.elements()) * 4 * (2 + moments)
            + u64::from(self.dims.spec().gates) * layers * hidden * hidden * 4
            + outputs * u64::from(pad4(e.lanes)) * 4;
        let words = InputLayout::words_per_row(c) + u64::from(pad4(c.embedding()));
        let inputs = 4 * (words * rows + u64::from(c.input.symbols())) + 8 * rows + outputs * u64::from(e.head_rows) * 4;
        let segment = SegmentBytes::new(&self.dims, e.steps, e.gates);
        let unpacked = if e.stash == StashPrecision::F16 { layers * segment.stored } else { 0 };
        let parts = u64::from(record::parts(c, e, self.capabilities)) * 4;
        let dropped = u64::from(c.layers > 1 && e.dropout.acts());
        let d_h = if self.dims.spec().keeps_gates { 1 } else { layers.min(2) };
        let states = self.state() * (u64::from(e.all_states()) + 1) + unpacked + segment.worked + (d_h + dropped) * u64::from(e.steps) * self.unit;
        let places = u64::from(e.places) * self.place(e.steps, e.gates);
        (fixed + inputs + parts + states + places + self.capabilities.overhead_bytes).saturating_add_signed(self.packing)
    }

    /// Exact bytes on the device.
    fn exact(&self, e: WindowShape) -> u64 {
        record::record(&self.task.config, e, &self.task.update, self.capabilities).program.layout.bytes() + self.capabilities.overhead_bytes
    }

    /// The sizes that keep everything in the longest segments.
    fn roomy(&self) -> WindowShape {
        let steps = self.longest();
        self.extent(steps, 1, self.segments(steps), GateStorage::Kept)
    }

    /// The fastest plan that fits `budget` by the estimate.
    fn best(&self, budget: u64) -> Option<Plan> {
        let mut best: Option<(f64, Plan)> = None;
        let all = (1..=self.longest()).rev().flat_map(|steps| self.ways().iter().map(move |gates| (steps, *gates)));
        for (steps, gates) in all {
            let Some(extent) = self.fitting(steps, budget, gates) else { continue };
            let plan = self.with(extent);
            let time = plan.time_factor(&self.task.config);
            if best.as_ref().is_none_or(|b| time < b.0) {
                best = Some((time, plan));
            }
        }
        best.map(|b| b.1)
    }

    /// The sizes with segments of `steps` steps that fit and recompute least.
    fn fitting(&self, steps: u32, budget: u64, gates: GateStorage) -> Option<WindowShape> {
        let segments = self.segments(steps);
        // The memory left after one stored state and one place.
        let (state, place) = (self.state(), self.place(steps, gates));
        let left = budget.checked_sub(self.bytes(self.extent(steps, 1, 1, gates)))?;
        if u64::from(segments - 1) * place <= left {
            return Some(self.extent(steps, 1, segments, gates));
        }
        // With a state at the start of every segment that is not kept, the rest of the memory keeps history.
        let spare = left.checked_sub(state * (u64::from(segments) - 2));
        let places = 1 + spare.map_or(0, |l| l / place.saturating_sub(state).max(1)).min(u64::from(segments) - 2) as u32;
        let most = self.most_stored();
        let stored = u32::try_from(left / state + 1).unwrap_or(u32::MAX).min(most);
        let (stored, places) = match segments - places {
            needed if spare.is_some() && needed <= most => (needed, places),
            _ => (stored.min(segments - 1).max(1), 1),
        };
        let within = schedule::reach(stored, MOST_REPETITIONS) >= u64::from(segments - places + 1);
        within.then(|| self.extent(steps, stored, places, gates))
    }

    /// Maximum number of states in one slot.
    fn most_stored(&self) -> u32 {
        let all = self.capabilities.binding_bytes / self.state();
        u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(3 + if self.task.ring > 0 { self.task.ring + 1 } else { 0 }).max(1)
    }

    /// The plan with the least memory, and its bytes.
    fn least(&self) -> Option<(Plan, u64)> {
        let small = |(steps, gates): (u32, GateStorage)| {
            let segments = u64::from(self.segments(steps));
            let stored = (1..=self.most_stored()).find(|&s| schedule::reach(s, MOST_REPETITIONS) >= segments)?;
            let extent = self.extent_with(steps, stored, 1, 0, gates);
            Some((self.bytes(extent), extent))
        };
        let all = (1..=self.longest().min(64)).flat_map(|steps| self.ways().iter().map(move |gates| (steps, *gates)));
        let extent = all.filter_map(small).min_by_key(|s| s.0)?.1;
        Some((self.with(extent), self.exact(extent)))
    }

    fn plan(&self) -> Result<Plan> {
        let mut budget = self.task.budget;
        // The packing of slots may exceed the estimate: then subtracts the excess and tries again.
        for _ in 0..20 {
            let Some(plan) = self.best(budget) else { break };
            let bytes = self.exact(plan.extent);
            if bytes <= self.task.budget {
                return self.checked(plan);
            }
            budget = budget.saturating_sub((bytes - self.task.budget).max(1 << 10));
        }
        let Some((least, bytes)) = self.least() else {
            return Err(Error::Usage(format!(
                "a window of {} steps needs more states than the device binds in one piece ({}); lower `batch`, `hidden` or the window",
                self.task.window,
                Bytes(self.capabilities.binding_bytes)
            )));
        };
        if bytes <= self.task.budget {
            return self.checked(least);
        }
        let (budget, lanes, hidden) = (Bytes(self.task.budget), self.task.lanes, self.task.config.hidden);
        let needed = format!("a budget of {budget} is too small: this model needs at least {} with `batch` {lanes} and `hidden` {hidden}", Bytes(bytes));
        Err(Error::setting("memory_budget", format!("{needed}; give that as `memory_budget`, or lower one of them")))
    }

    /// Checks that no slot exceeds what the adapter can bind.
    fn checked(&self, plan: Plan) -> Result<Plan> {
        let program = record::record(&self.task.config, plan.extent, &self.task.update, self.capabilities).program;
        let most = self.capabilities.binding_bytes;
        match program.arena.largest() {
            (name, bytes) if bytes > most => Err(Error::Usage(format!(
                "{name} would take {} in one piece, the device binds at most {}; lower `batch`, `hidden` or the vocabulary",
                Bytes(bytes),
                Bytes(most)
            ))),
            _ => Ok(plan),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_and_print() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1.5 GiB", 3 << 29), ("12mib", 12 << 20), ("500KB", 500_000), ("1000", 1000), ("7B", 7)] {
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes(bytes), "{text}");
        }
        for text in ["", "MiB", "0", "-5MiB", "1e400", "12 apples", "NaN", "inf", "0.1B", "5é"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!([1u64 << 20, (1 << 20) + 1, 12_345, 7].map(|b| Bytes(b).to_string()), ["1MiB", "1.1MiB", "12.1KiB", "7B"]);
        for bytes in [1u64, 1023, 1025, 123_456_789] {
            assert!(Bytes(bytes).to_string().parse::<Bytes>().unwrap().0 >= bytes, "enough");
        }
    }
}
