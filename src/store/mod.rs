//! Files of models and snapshots.

mod container;
mod model;
mod snapshot;

pub use container::Container;
pub use model::Model;
pub use snapshot::{Progress, Snapshot};
