//! What moves bytes between ranks.

use std::time::Duration;

/// Moves bytes between the processes that train together. It adds nothing up: sums are ours, in a fixed order.
pub trait Transport: Send + Sync {
    /// Number of this rank, from 0.
    fn rank(&self) -> u32;

    /// Number of ranks.
    fn ranks(&self) -> u32;

    /// Number of this rank among those of its machine, and how many there are.
    fn local(&self) -> (u32, u32) {
        (0, 1)
    }

    /// Name of the machine.
    fn host(&self) -> String {
        "this machine".to_string()
    }

    /// Sends `out[r]` to each rank r and receives `into[r]` from it; both sides know the lengths, and nothing is sent where there is nothing. What a rank
    /// sends to itself is copied. If ranks have not answered after `patience`, calls `give_up` with their numbers and ends all ranks.
    fn exchange(&self, out: &[&[u8]], into: &mut [Vec<u8>], patience: Duration, give_up: &dyn Fn(&[u32]));

    /// Ends all ranks at once with this exit code.
    fn abort(&self, code: i32) -> !;

    /// Ends the use of the transport in good order: all ranks call it.
    fn finish(&self) {}
}
