//! What the planner decided, for people: the content of `retrograd plan --json`, and of its picture.

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
    /// B.
    pub batch: u32,
    /// V.
    pub vocabulary: u32,
    /// Strategy, as on the command line.
    pub truncation: String,
    /// Bytes that may be used.
    pub budget: u64,
    /// Steps of the longest window.
    pub window: u32,
    /// Steps of a segment.
    pub segment_steps: u32,
    /// Segments of the longest window.
    pub segments: u32,
    /// Segments whose h is held at once.
    pub held_segments: u32,
    /// States at the starts of segments that can be stored at once, that of the window's start among them.
    pub stored_states: u32,
    /// Most times that a step is computed again.
    pub most_recomputed: u32,
    /// Mean times that a step is computed again.
    pub recomputed_per_step: f64,
    /// Time of an update over the longest window, as a multiple of that of the plan that keeps everything: as predicted by operations.
    pub time_factor: f64,
    /// Kernel dispatches of that window.
    pub dispatches: u64,
    /// Rows of the head that are worked on at once.
    pub head_rows: u32,
    /// Bytes on the device, by what they are for.
    pub bytes: BTreeMap<String, u64>,
    /// All of them.
    pub device_bytes: u64,
    /// Those of activations.
    pub activation_bytes: u64,
    /// From least to most memory: what other budgets would give.
    pub curve: Vec<CurvePoint>,
    /// The segments of the longest window, first to last.
    pub graph: Vec<Segment>,
}

/// What a budget would give.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Bytes on the device.
    pub device_bytes: u64,
    /// Those of activations.
    pub activation_bytes: u64,
    /// Steps of a segment.
    pub segment_steps: u32,
    /// Segments whose h is held at once.
    pub held_segments: u32,
    /// States that can be stored at once.
    pub stored_states: u32,
    /// Most times that a step is computed again.
    pub most_recomputed: u32,
    /// Mean times that a step is computed again.
    pub recomputed_per_step: f64,
    /// See [`Planned::time_factor`].
    pub time_factor: f64,
}

/// One segment of the longest window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its steps.
    pub steps: u32,
    /// Whether the state at its start is stored on the first sweep.
    pub stored: bool,
    /// Whether its h is kept from the first sweep.
    pub held: bool,
    /// Times that it is computed again.
    pub recomputed: u32,
}
