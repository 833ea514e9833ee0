// scan_backward for adapters with many registers; see scan_forward_held.wgsl.

override WIDTH: u32;
override HIDDEN4: u32;
override SLICES: u32;

// delta_t of the workgroup's lanes.
var<workgroup> rows: array<vec4f, ROWS * HIDDEN4>;

// Weight of the edge from step t back to step t - 1.
fn edge(t: u32, lane: u32) -> f32 {
    let at = t * args.lanes + lane;
    return edges[args.keep_offset + at] * edges[args.xi_offset + at];
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    find_share(local.x);
    hold();
    let j = local.x % HIDDEN4;
    let lane = group.x * ROWS + local.x / HIDDEN4;
    let mine = local.x < ROWS * HIDDEN4 && lane < args.lanes;
    let block = args.lanes * HIDDEN4;
    let at = lane * HIDDEN4 + j;
    // The incoming carry already includes the weight of its edge.
    var flow = vec4f();
    // d_h and h of the next step, and the weight of the edge out of it.
    var d = vec4f();
    var y = vec4f();
    var weight = 0.0;
    if mine {
        if args.carry_in != 0u {
            flow = carry[args.carry_offset + at];
        }
        let last = (args.steps - 1u) * block + at;
        d = delta[args.delta_offset + last];
        y = h[args.h_offset + block + last];
        weight = edge(args.steps - 1u, lane);
    } else if local.x < ROWS * HIDDEN4 {
        rows[local.x] = vec4f();
    }
    for (var i = 0u; i < args.steps; i++) {
        let t = args.steps - 1u - i;
        let out = weight;
        if mine {
            let x = (d + flow) * phi_slope(args.phi, y);
            delta[args.delta_offset + t * block + at] = x;
            rows[local.x] = x;
            if t > 0u {
                let before = (t - 1u) * block + at;
                d = delta[args.delta_offset + before];
                y = h[args.h_offset + block + before];
                weight = edge(t - 1u, lane);
            }
        }
        workgroupBarrier();
        products();
        workgroupBarrier();
        if mine {
            flow = select(vec4f(), out * found(local.x), out != 0.0);
        }
    }
    if mine {
        carry[args.carry_offset + at] = flow;
    }
}
