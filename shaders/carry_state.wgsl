// Copies a state: states[.., from] -> states[.., to], for every layer and lane. The last state of a window becomes the first of the next, and past
// states are kept. A lane with a non-finite value is reset to zero.

struct Args {
    layers: u32,
    lanes: u32,
    hidden4: u32,
    layer_stride: u32, // vec4
    src: u32,          // vec4 offset of the source from a layer's first state
    dst: u32,          // likewise of the destination
}

@group(0) @binding(0) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(1) var<uniform> args: Args;

var<workgroup> broken: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let row = min(group.y * groups.x + group.x, args.layers * args.lanes - 1u);
    let at = (row / args.lanes) * args.layer_stride + (row % args.lanes) * args.hidden4;
    var bad = 0u;
    for (var j = local.x; j < args.hidden4; j += 64u) {
        let exponent = bitcast<vec4u>(states[at + args.src + j]) & vec4u(0x7f800000u);
        bad |= select(0u, 1u, any(exponent == vec4u(0x7f800000u)));
    }
    if local.x == 0u {
        atomicStore(&broken, 0u);
    }
    workgroupBarrier();
    if bad != 0u {
        atomicStore(&broken, 1u);
    }
    workgroupBarrier();
    bad = atomicLoad(&broken);
    for (var j = local.x; j < args.hidden4; j += 64u) {
        states[at + args.dst + j] = select(states[at + args.src + j], vec4f(), bad != 0u);
    }
}
