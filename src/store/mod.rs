//! Files of models and snapshots, and the events that TensorBoard reads.

pub mod events;

mod container;
mod foreign;
mod model;
mod onnx;
mod protobuf;
mod snapshot;

pub use container::Container;
pub use foreign::{Foreign, Unsaid};
pub use model::Model;
pub(crate) use model::torch_name;
pub use snapshot::{Progress, Snapshot};
