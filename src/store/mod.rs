//! Files of models and checkpoints, and the events that TensorBoard reads.

pub mod events;

mod checkpoint;
mod container;
mod foreign;
mod model;
mod onnx;
mod outputs;
mod protobuf;
mod torch;

pub use checkpoint::{Checkpoint, Progress};
pub use container::Container;
pub use foreign::{Foreign, ImportOptions};
pub use model::{Model, TrainedOn};
pub use outputs::{Outputs, Steps};
pub(crate) use torch::torch_name;
