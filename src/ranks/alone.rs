//! The only rank.

use super::Transport;
use std::time::Duration;

/// One process that trains alone.
pub struct Alone;

impl Transport for Alone {
    fn rank(&self) -> u32 {
        0
    }

    fn ranks(&self) -> u32 {
        1
    }

    fn exchange(&self, out: &[&[u8]], into: &mut [Vec<u8>], _patience: Duration, _give_up: &dyn Fn(&[u32])) {
        into.iter_mut().zip(out).for_each(|(into, out)| into.copy_from_slice(out));
    }

    fn abort(&self, code: i32) -> ! {
        crate::platform::exit(code)
    }
}
