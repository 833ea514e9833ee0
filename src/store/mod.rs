//! Files of models and snapshots, and the events that TensorBoard reads.

pub mod events;

mod container;
mod foreign;
mod model;
mod onnx;
mod protobuf;
mod checkpoint;

pub use container::Container;
pub use foreign::{Foreign, ImportOptions};
pub(crate) use model::torch_name;
pub use model::{Model, TrainedOn};
pub use checkpoint::{Progress, Checkpoint};
