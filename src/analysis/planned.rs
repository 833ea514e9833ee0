//! The planner's decisions, for people: the content of `retrograd plan --json` and of its chart.

use crate::arena::Purpose;
use crate::device::Device;
use crate::error::Result;
use crate::model::record::{self, GateStorage};
use crate::model::{Cell, Config, StashPrecision};
use crate::plan::{Plan, Workload};
use crate::ranks;
use crate::schedule::Action;
use crate::truncation::Truncation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plan and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Adapter, driver, backend; or the CPU's threads.
    pub device: String,
    /// H.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// The cell of every layer.
    #[serde(default)]
    pub cell: Cell,
    /// B, or with several lane groups the lanes of all of them; the other figures are then of one rank, which holds one group or several in turn.
    pub batch: u32,
    /// Lane groups.
    #[serde(default = "one")]
    pub lane_groups: u32,
    /// Bytes that a rank sends per update if each holds one lane group.
    #[serde(default)]
    pub rank_sent_bytes: u64,
    /// V.
    pub vocabulary: u32,
    /// Parameters of the model; 0 if written by a version that did not store it.
    #[serde(default)]
    pub parameters: u64,
    /// Strategy, as on the command line.
    pub truncation: String,
    /// Bytes available.
    pub budget: u64,
    /// Precision in which h is stored for the backward pass.
    #[serde(default)]
    pub stash: StashPrecision,
    /// What is stored of gates; none for a cell without gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GateStorage>,
    /// Steps of the longest window.
    pub window: u32,
    /// Steps per segment.
    pub segment_steps: u32,
    /// Segments of the longest window.
    pub segments: u32,
    /// Segments whose h is stored at once.
    pub held_segments: u32,
    /// States at the starts of segments that can be stored at once, including the start of the window.
    pub stored_states: u32,
    /// Most recomputations of a step.
    pub most_recomputed: u32,
    /// Mean recomputations per step.
    pub recomputed_per_step: f64,
    /// Time of an update over the longest window, as a multiple of that of the plan that keeps everything: predicted from operations.
    pub time_factor: f64,
    /// Kernel dispatches of that window.
    pub dispatches: u64,
    /// Rows of the head that are processed at once.
    pub head_rows: u32,
    /// Bytes on the device, by purpose.
    pub bytes: BTreeMap<String, u64>,
    /// Total bytes on the device.
    pub device_bytes: u64,
    /// Bytes of activations.
    pub activation_bytes: u64,
    /// The results of other budgets, from least to most memory.
    pub curve: Vec<CurvePoint>,
    /// The segments of the longest window, first to last.
    pub graph: Vec<Segment>,
}

/// The result of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Bytes on the device.
    pub device_bytes: u64,
    /// Bytes of activations.
    pub activation_bytes: u64,
    /// Steps per segment.
    pub segment_steps: u32,
    /// What is stored of gates, as in [`Planned::gates`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GateStorage>,
    /// Segments whose h is stored at once.
    pub held_segments: u32,
    /// States that can be stored at once.
    pub stored_states: u32,
    /// Most recomputations of a step.
    pub most_recomputed: u32,
    /// Mean recomputations per step.
    pub recomputed_per_step: f64,
    /// See [`Planned::time_factor`].
    pub time_factor: f64,
}

/// One segment of the longest window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its steps.
    pub steps: u32,
    /// Whether the state at its start is stored on the first pass.
    pub stored: bool,
    /// Whether its h is kept from the first pass.
    pub held: bool,
    /// Number of recomputations.
    pub recomputed: u32,
}

impl Planned {
    /// The plan for a workload, with `passes` passes forward and backward over each window.
    ///
    /// # Errors
    /// If nothing fits the budget.
    pub fn new(task: &Workload, truncation: Truncation, passes: u32, device: &Device) -> Result<Self> {
        Self::of(&Plan::new(task, &device.capabilities())?, task, truncation, passes, device)
    }

    /// The same, of one of several lane groups.
    #[must_use]
    pub fn in_groups(self, groups: u32, config: &Config) -> Self {
        Planned { batch: self.batch * groups, lane_groups: groups, rank_sent_bytes: ranks::sent_for_a_sum(config.elements().into(), groups.into()), ..self }
    }

    /// As [`Planned::new`], for an existing plan.
    ///
    /// # Errors
    /// As [`Planned::new`].
    pub fn of(plan: &Plan, task: &Workload, truncation: Truncation, passes: u32, device: &Device) -> Result<Self> {
        let capabilities = device.capabilities();
        let bytes = plan.bytes(&task.config, &task.update, &capabilities);
        let (most_recomputed, recomputed_per_step) = plan.recomputed();
        let c = &task.config;
        let gates = |p: &Plan| Some(p.extent.gates).filter(|_| c.cell.spec().keeps_gates);
        let point = |p: &Plan| {
            let (most_recomputed, recomputed_per_step) = p.recomputed();
            let bytes = p.bytes(c, &task.update, &capabilities);
            CurvePoint {
                device_bytes: bytes.values().sum(),
                activation_bytes: bytes[&Purpose::Activations],
                segment_steps: p.extent.steps,
                gates: gates(p),
                held_segments: p.extent.places,
                stored_states: p.stored(),
                most_recomputed,
                recomputed_per_step,
                time_factor: p.time_factor(c),
            }
        };
        let curve = Plan::curve(task, &capabilities)?.iter().map(point).collect();
        Ok(Planned {
            device: device.to_string(),
            hidden: c.hidden,
            layers: c.layers,
            cell: c.cell,
            batch: task.lanes,
            lane_groups: 1,
            rank_sent_bytes: 0,
            vocabulary: c.outputs(),
            parameters: c.parameters(),
            truncation: truncation.to_string(),
            budget: task.budget,
            stash: plan.extent.stash,
            gates: gates(plan),
            window: task.window,
            segment_steps: plan.extent.steps,
            segments: plan.segment_count(),
            held_segments: plan.extent.places,
            stored_states: plan.stored(),
            most_recomputed,
            recomputed_per_step,
            time_factor: plan.time_factor(c),
            dispatches: dispatches(task, plan, passes, device),
            head_rows: plan.extent.head_rows,
            device_bytes: bytes.values().sum(),
            activation_bytes: bytes[&Purpose::Activations],
            bytes: bytes.into_iter().map(|(purpose, n)| (format!("{purpose:?}").to_lowercase(), n)).collect(),
            curve,
            graph: graph(plan),
        })
    }
}

fn one() -> u32 {
    1
}

/// Dispatches of an update over the longest window.
fn dispatches(task: &Workload, plan: &Plan, passes: u32, device: &Device) -> u64 {
    let program = record::record(&task.config, plan.extent, &task.update, &device.capabilities()).program;
    let count = |recording: usize| u64::from(program.recordings[recording].dispatch_count(plan.extent.steps));
    let count_of =
        |a: Action| if matches!(a, Action::Forward { .. }) { count(record::forward(0)) + count(record::pack(0)) } else { count(record::backward(0)) };
    let all: u64 = plan.actions(plan.segment_count()).into_iter().map(count_of).sum();
    u64::from(passes) * (all + count(record::PREPARE)) + count(record::UPDATE) + count(record::CARRY)
}

/// The treatment of each segment of the longest window.
fn graph(plan: &Plan) -> Vec<Segment> {
    let count = plan.segment_count();
    let of = |i: u32| plan.extent.steps.min(plan.window.saturating_sub(i * plan.extent.steps));
    let mut graph: Vec<Segment> = (0..count).map(|i| Segment { steps: of(i), stored: i == 0, held: i + plan.extent.places >= count, recomputed: 0 }).collect();
    let mut seen = vec![false; count as usize];
    // The segment whose state each slot holds, until the first pass is over.
    let mut holds = vec![None; plan.extent.states as usize];
    let mut first = true;
    for action in plan.actions(count) {
        match action {
            Action::Forward { segment, to, .. } => {
                let again = std::mem::replace(&mut seen[segment as usize], true);
                graph[segment as usize].recomputed += u32::from(again);
                holds[to as usize] = Some(segment + 1).filter(|_| first);
            }
            Action::Backward { .. } if first => {
                first = false;
                let stored = holds.iter().take(plan.stored() as usize).flatten();
                stored.for_each(|&s| graph.get_mut(s as usize).into_iter().for_each(|g: &mut Segment| g.stored = true));
            }
            Action::Backward { .. } => {}
        }
    }
    graph
}
