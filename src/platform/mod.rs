//! The differences between a native process and a browser tab: threads, clocks, blocking, memory, files. No other module of the library starts a
//! thread, reads a clock or blocks.
//!
//! | | `native` | `web` (wasm32) |
//! |---|---|---|
//! | threads | a pool of its own for the kernels (`pool`), rayon for data | none: tasks run in order |
//! | clocks | `std::time` | the browser's, through web-time |
//! | blocking | until done | an error, unless the future is ready at once: callers use the asynchronous form |
//! | memory of the machine | sysinfo | unknown |
//! | files | `std::fs` | errors |

#[cfg_attr(not(target_arch = "wasm32"), path = "native.rs")]
#[cfg_attr(target_arch = "wasm32", path = "web.rs")]
mod here;

pub(crate) use here::{
    BLOCKS, Instant, NO_GPU, Pool, advance, block_on, cache_bytes, cores, exit, for_each, give_way, has_graphics, is_failing, machine_cores, map, may_block,
    pause, process_id, read_at, run_all, run_together, total_memory, unix_seconds,
};
