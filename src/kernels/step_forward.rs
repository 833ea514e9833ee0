//! One step of [`super::scan_forward`] a dispatch, for a W_hh that is too large to be read by each workgroup: dispatch 0 of S + 1 copies the
//! state that flows in, dispatch i makes h of step i - 1.

use super::scan_forward::{Operands, Scan};
use super::{Activation, from_vec4, from_vec4_mut, slices, words};
use crate::host;
use crate::kernel::{Call, Constant, Kernel, Loads, Var, Variant, Word, Work, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "step_forward",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/step_forward.wgsl")),
    tiled: true,
    bindings: &[read("pre"), read("w"), read("keep"), write("states"), write("h")],
    args: &["index", "steps", "lanes", "hidden4", "phi", "pre_offset", "w_offset", "bias", "bias_offset", "keep_offset", "state_in", "state_out", "h_offset"],
    constants,
    grid,
    cpu,
    work,
};

/// Records the scan as one dispatch per step and one for the state that flows in.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.pre.slot, o.w.slot, o.keep.slot, o.states, o.h.slot],
        args: vec![
            Word::var(Var::Index),
            Word::var(Var::Steps),
            o.lanes.into(),
            Word::from(o.w.ld).quarter(),
            (o.activation as u32).into(),
            o.pre.offset.quarter(),
            o.w.offset.quarter(),
            u32::from(o.bias.is_some()).into(),
            o.bias.map_or(0.into(), |b| b.offset.quarter()),
            o.keep.offset,
            o.state_in.quarter(),
            o.state_out.quarter(),
            o.h.offset.quarter(),
        ],
        variant,
        repeat: Repeat::Steps(1),
    });
}

pub(super) fn constants(_: &[u32], variant: Variant) -> Vec<Constant> {
    let across = across(variant);
    vec![("COLS4", f64::from(across)), ("SLICES", f64::from(variant.width / across))]
}

pub(super) fn grid(args: &[u32], variant: Variant) -> [u32; 3] {
    [args[3].div_ceil(across(variant)), args[2].div_ceil(variant.tile.rows()), 1]
}

/// Column blocks of a workgroup.
fn across(variant: Variant) -> u32 {
    if let Loads::Sliced(across) = variant.loads { across } else { variant.width }
}

pub(super) fn work(args: &[u32]) -> Work {
    let [lanes, h] = [args[2], args[3] * 4].map(f64::from);
    Work { flops: 2.0 * lanes * h * h, bytes: 4.0 * (3.0 * lanes * h + h * h) }
}

fn cpu(call: &mut Call<'_, '_>) {
    let [index, steps, lanes, hidden4, phi, pre_offset, w_offset, bias, bias_offset, keep_offset, state_in, state_out, h_offset] = words(call.args);
    let ([pre, w, keep], [states, h]) = slices(call.bound);
    let (steps, lanes, n) = (steps as usize, lanes as usize, hidden4 as usize * 4);
    let block = lanes * n;
    let h = &mut from_vec4_mut(h, h_offset)[..(steps + 1) * block];
    if index == 0 {
        return h[..block].copy_from_slice(&from_vec4(states, state_in)[..block]);
    }
    let t = index as usize - 1;
    let scan = Scan {
        lanes,
        n,
        activation: Activation::from_word(phi),
        pre: &from_vec4(pre, pre_offset)[..steps * block],
        w: &from_vec4(w, w_offset)[..n * n],
        bias: (bias != 0).then(|| &from_vec4(w, bias_offset)[..n]),
        keep: &keep[keep_offset as usize..][..steps * lanes],
    };
    let (before, now) = h[t * block..(t + 2) * block].split_at_mut(block);
    let before = &*before;
    let mut rest = &mut *now;
    host::parallel(host::split(lanes, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * n);
        let (scan, before) = (&scan, &before[range.start * n..range.end * n]);
        move || scan.step(t, range, before, part, &mut vec![0f32; before.len()])
    }));
    if t + 1 == steps {
        from_vec4_mut(states, state_out)[..block].copy_from_slice(now);
    }
}
