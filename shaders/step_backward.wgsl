// One step of scan_backward per dispatch; see step_forward.wgsl. Dispatch i of steps + 1 handles t = steps - 1 - i; the first takes the incoming carry
// instead of the product with delta_{t+1}, the last only writes the outgoing carry. In between, the carry holds the direct part of the step.

override SLICES: u32;
override COLS4: u32;

// Start of the part of delta_{t+1} of a lane that W_hh^T multiplies.
fn a_row(lane: u32) -> u32 {
    let row = (args.steps - args.index) * args.lanes + min(lane, args.lanes - 1u);
    return args.delta_offset + (row * BLOCKS + BEFORE_HIDDEN) * args.hidden4;
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
        var flow = Gradient(vec4f(), vec4f());
        if args.index > 0u {
            if DIRECT || STATES == 2u {
                flow = load_carry(lane, j);
            }
            flow = weighted(edge(after, lane), Gradient(select(vec4f(), flow.h, DIRECT) + found(i), flow.c));
        } else if args.carry_in != 0u {
            flow = load_carry(lane, j);
        }
        if args.index == args.steps {
            store_carry(lane, j, flow);
        } else {
            let back = step_back(after - 1u, lane, j, load_step(after - 1u, lane, j), flow);
            if DIRECT || STATES == 2u {
                store_carry(lane, j, Gradient(back.h, back.c));
            }
        }
    }
}
