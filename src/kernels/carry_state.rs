//! `states[.., from]` -> `states[.., to]` for every layer and lane; a lane that is not finite is reset to zero.

use super::{slices, words};
use crate::arena::Slot;
use crate::kernel::{Call, Kernel, Variant, Word, Work, linear_grid, no_constants, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "carry_state",
    source: include_str!("../../shaders/carry_state.wgsl"),
    tiled: false,
    bindings: &[write("states")],
    args: &["layers", "lanes", "hidden4", "layer_stride", "src", "dst"],
    constants: no_constants,
    grid: |args, _| linear_grid(args[0] * args[1]),
    cpu,
    work: |args| Work { flops: 0.0, bytes: 32.0 * f64::from(args[0]) * f64::from(args[1]) * f64::from(args[2]) },
};

/// Records the carry over `states`, `[layers, n, lanes, hidden]` with `layer_stride` elements a layer; `from` and `to`: elements from a
/// layer's first state to the one that is carried and the one that it becomes.
pub fn record(recording: &mut Recording, variant: Variant, states: Slot, [layers, lanes, hidden]: [u32; 3], layer_stride: u32, [from, to]: [Word; 2]) {
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "carry_state".to_string(),
        bindings: vec![states],
        args: vec![layers.into(), lanes.into(), Word::from(hidden).quarter(), Word::from(layer_stride).quarter(), from.quarter(), to.quarter()],
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let [layers, lanes, hidden4, layer_stride, from, to] = words::<6>(call.args).map(|n| n as usize);
    let ([], [states]) = slices(call.bound);
    let n = hidden4 * 4;
    for layer in states.chunks_mut(layer_stride * 4).take(layers) {
        for lane in 0..lanes {
            let (from, to) = (from * 4 + lane * n, to * 4 + lane * n);
            let finite = layer[from..from + n].iter().all(|x| x.is_finite());
            layer.copy_within(from..from + n, to);
            if !finite {
                layer[to..to + n].fill(0.0);
            }
        }
    }
}
