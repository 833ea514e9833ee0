//! Training by several processes: lane groups, ranks within this process, and, with the feature `mpi`, ranks that mpirun starts.

// The same bits however many ranks share the lane groups, without MPI.
mod groups;
// The program under mpirun: equal bytes, resuming, failures, bad input.
#[cfg(feature = "mpi")]
mod launched;
#[cfg(feature = "mpi")]
#[allow(dead_code)]
#[path = "../it/skip.rs"]
mod skip;
