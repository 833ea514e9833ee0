//! Copies `states[.., from]` to `states[.., to]` for every layer and lane; a lane with a non-finite value is reset to zero.

use super::slices;
use crate::arena::Slot;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "carry_state",
    source: include_str!("../../shaders/carry_state.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[write("states")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| {
        let Args { layers, lanes, .. } = Args::of(args);
        linear_grid(layers * lanes)
    },
    cpu,
    work: |args| {
        let Args { layers, lanes, hidden4, .. } = Args::of(args);
        Work { flops: 0.0, bytes: 32.0 * f64::from(layers) * f64::from(lanes) * f64::from(hidden4) }
    },
};

args! {
    layers: u32,
    lanes: u32,
    hidden4: u32,
    layer_stride: u32,
    src: u32,
    dst: u32,
}

/// Records the copy within `states`, `[layers, n, lanes, hidden]`, with `layer_stride` elements per layer. `from` and `to` are offsets in elements from
/// a layer's first state to the source and the destination.
pub fn record(recording: &mut Recording, variant: Variant, states: Slot, [layers, lanes, hidden]: [u32; 3], layer_stride: u32, [from, to]: [Word; 2]) {
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "carry_state".to_string(),
        bindings: vec![states],
        args: Words {
            layers: layers.into(),
            lanes: lanes.into(),
            hidden4: Word::from(hidden).quarter(),
            layer_stride: Word::from(layer_stride).quarter(),
            src: from.quarter(),
            dst: to.quarter(),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let [layers, lanes, n, stride, from, to] =
        [args.layers, args.lanes, args.hidden4 * 4, args.layer_stride * 4, args.src * 4, args.dst * 4].map(|n| n as usize);
    let ([], [states]) = slices(call.bound);
    for layer in states.chunks_mut(stride).take(layers) {
        for lane in 0..lanes {
            let (from, to) = (from + lane * n, to + lane * n);
            let finite = layer[from..from + n].iter().all(|x| x.is_finite());
            layer.copy_within(from..from + n, to);
            if !finite {
                layer[to..to + n].fill(0.0);
            }
        }
    }
}
