// One step of scan_backward per dispatch; see step_forward.wgsl. Dispatch i of steps + 1 handles t = steps - 1 - i:
// delta_t = (d_h_t + keep_{t+1} xi_{t+1} (delta_{t+1} W_hh^T)) phi'(a_t); the first takes the incoming carry instead of
// the product, the last only writes the outgoing carry.

override SLICES: u32;
override COLS4: u32;

// Start of delta_{t+1} of a lane.
fn a_row(lane: u32) -> u32 {
    return args.delta_offset + ((args.steps - args.index) * args.lanes + min(lane, args.lanes - 1u)) * args.hidden4;
}

fn a(at: u32) -> vec4f {
    return delta[at];
}

@compute @workgroup_size(COLS4, SLICES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) id: u32) {
    let lane0 = group.y * ROWS;
    let j0 = group.x * COLS4;
    if args.index > 0u {
        products(lane0, j0, id);
    }
    workgroupBarrier();
    let after = args.steps - args.index; // t + 1
    for (var i = id; i < ROWS * COLS4; i += SLICES * COLS4) {
        let lane = lane0 + i / COLS4;
        let j = j0 + i % COLS4;
        if lane >= args.lanes || j >= args.hidden4 {
            continue;
        }
        let carry_at = args.carry_offset + lane * args.hidden4 + j;
        var flow = vec4f();
        if args.index > 0u {
            let at = after * args.lanes + lane;
            let weight = edges[args.keep_offset + at] * edges[args.xi_offset + at];
            flow = select(flow, weight * found(i), weight != 0.0);
        } else if args.carry_in != 0u {
            flow = carry[carry_at];
        }
        if args.index == args.steps {
            carry[carry_at] = flow;
        } else {
            let at = ((after - 1u) * args.lanes + lane) * args.hidden4 + j;
            let slope = phi_slope(args.phi, h[args.h_offset + args.lanes * args.hidden4 + at]);
            delta[args.delta_offset + at] = (delta[args.delta_offset + at] + flow) * slope;
        }
    }
}
