//! An engine that reads evaluation data with a model.

use crate::device::Device;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::evaluate::EvalSet;
use crate::model::{Dropout, StashPrecision};
use crate::optimizer::{Clip, Optimizer};
use crate::plan::{self, Plan, Workload};
use crate::store::Model;

/// Default number of lanes.
pub const LANES: u32 = 32;

/// The model on a device, with a plan for reading `held` in `lanes` lanes.
///
/// # Errors
/// If that takes too much memory, or the device refuses.
pub fn engine(device: &Device, model: &Model, held: &EvalSet, lanes: u32) -> Result<Engine> {
    let update = Optimizer::Sgd { momentum: 0.0 }.update(Clip::None);
    let task = Workload {
        config: model.config,
        lanes,
        window: held.longest(),
        ring: 0,
        split: false,
        update,
        stash: StashPrecision::F32,
        dropout: Dropout::default(),
        budget: plan::default_budget(),
    };
    let plan = Plan::for_evaluation(&task, &device.capabilities()).map_err(fewer)?;
    Engine::for_inference(device, model.config, plan, &model.parameters)
}

/// The message for sizes that are too large.
fn fewer(e: Error) -> Error {
    Error::Usage(format!("{}; give fewer `lanes`", e.to_string().split(';').next().unwrap_or_default()))
}
