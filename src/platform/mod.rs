//! What differs between a machine and a browser tab: threads, clocks, waiting, memory, files. No other module of the library starts a thread, reads
//! a clock or waits.
//!
//! | | `native` | `web` (wasm32) |
//! |---|---|---|
//! | threads | rayon | none: tasks run in their order, which gives the same bits |
//! | clocks | `std::time` | the browser's, through web-time |
//! | waiting | as long as it takes | [`block_on`] takes what is there and refuses the rest: use the asynchronous form |
//! | memory of the machine | sysinfo | unknown |
//! | files | `std::fs` | errors |

#[cfg_attr(not(target_arch = "wasm32"), path = "native.rs")]
#[cfg_attr(target_arch = "wasm32", path = "web.rs")]
mod here;

pub(crate) use here::{
    Instant, NO_GPU, Pool, WAITS, advance, block_on, cores, for_each, map, may_wait, pause, process_id, read_at, run_all, total_memory, unix_seconds,
};
