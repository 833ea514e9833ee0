//! Files of models and snapshots, and the events that TensorBoard reads.

pub mod events;

mod container;
mod model;
mod snapshot;

pub use container::Container;
pub use model::Model;
pub use snapshot::{Progress, Snapshot};
