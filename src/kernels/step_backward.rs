//! One step of [`super::scan_backward`] a dispatch, for a W_hh that is too large to be read by each workgroup: dispatch i of S + 1 makes
//! delta_t of t = S - 1 - i from delta_{t+1}; the last makes the carry that flows out.

use super::scan_backward::{Operands, Scan};
use super::step_forward::{constants, grid, work};
use super::{Activation, from_vec4, from_vec4_mut, slices, words};
use crate::host;
use crate::kernel::{Call, Kernel, Var, Variant, Word, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "step_backward",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/step_backward.wgsl")),
    tiled: true,
    bindings: &[read("h"), read("w"), read("edges"), write("delta"), write("carry")],
    args: &["index", "steps", "lanes", "hidden4", "phi", "h_offset", "w_offset", "keep_offset", "xi_offset", "delta_offset", "carry_offset", "carry_in"],
    constants,
    grid,
    cpu,
    work,
};

/// Records the scan as one dispatch per step and one for the carry.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.h.slot, o.w_t.slot, o.keep.slot, o.delta.slot, o.carry.slot],
        args: vec![
            Word::var(Var::Index),
            Word::var(Var::Steps),
            o.lanes.into(),
            Word::from(o.w_t.ld).quarter(),
            (o.activation as u32).into(),
            o.h.offset.quarter(),
            o.w_t.offset.quarter(),
            o.keep.offset,
            o.xi.offset,
            o.delta.offset.quarter(),
            o.carry.offset.quarter(),
            o.carry_in,
        ],
        variant,
        repeat: Repeat::Steps(1),
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let [index, steps, lanes, hidden4, phi, h_offset, w_offset, keep_offset, xi_offset, delta_offset, carry_offset, carry_in] = words(call.args);
    let ([h, w, edges], [delta, carry]) = slices(call.bound);
    let (i, steps, lanes, n) = (index as usize, steps as usize, lanes as usize, hidden4 as usize * 4);
    let block = lanes * n;
    let scan = Scan {
        lanes,
        n,
        activation: Activation::from_word(phi),
        h: &from_vec4(h, h_offset)[block..(steps + 1) * block],
        w_t: &from_vec4(w, w_offset)[..n * n],
        keep: &edges[keep_offset as usize..][..steps * lanes],
        xi: &edges[xi_offset as usize..][..steps * lanes],
    };
    let delta = &mut from_vec4_mut(delta, delta_offset)[..steps * block];
    let carry = &mut from_vec4_mut(carry, carry_offset)[..block];
    if i == 0 && carry_in == 0 {
        carry.fill(0.0);
    }
    // Step `after` is t + 1; the first dispatch has none, the last no t.
    let after = steps - i;
    let (before, behind) = delta.split_at_mut(after * block);
    let mut now = if i < steps { &mut before[(after - 1) * block..] } else { &mut [] };
    let (mut flow, behind) = (carry, &*behind);
    host::parallel(host::split(lanes, call.threads).into_iter().map(|range| {
        let now = host::take(&mut now, range.len() * n);
        let flow = host::take(&mut flow, range.len() * n);
        let scan = &scan;
        move || {
            if i > 0 {
                scan.carry(after, range.clone(), &behind[range.start * n..range.end * n], flow);
            }
            if i < steps {
                scan.delta(after - 1, range, now, flow);
            }
        }
    }));
}
