// One step of scan_forward per dispatch, where W_hh is too large for each workgroup to read all of it: h_t = phi(pre_t + hp_t W_hh + b_h). Dispatch
// 0 copies the incoming state to block 0 of h, dispatch i computes h of step i - 1. A workgroup computes ROWS lanes by 4 COLS4 columns; its
// invocations split the inner dimension into slices, whose sums are added up in workgroup memory.

override SLICES: u32;
override COLS4: u32;

// Start of a lane's row; beyond the end, that of the last lane.
fn a_row(lane: u32) -> u32 {
    return args.h_offset + ((args.index - 1u) * args.lanes + min(lane, args.lanes - 1u)) * args.hidden4;
}

fn a(at: u32) -> vec4f {
    return h[at];
}

@compute @workgroup_size(COLS4, SLICES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) id: u32) {
    let lane0 = group.y * ROWS;
    let j0 = group.x * COLS4;
    if args.index > 0u {
        products(lane0, j0, id);
    }
    workgroupBarrier();
    let block = args.lanes * args.hidden4;
    for (var i = id; i < ROWS * COLS4; i += SLICES * COLS4) {
        let lane = lane0 + i / COLS4;
        let j = j0 + i % COLS4;
        let at = lane * args.hidden4 + j;
        if lane >= args.lanes || j >= args.hidden4 {
            continue;
        }
        if args.index == 0u {
            h[args.h_offset + at] = states[args.state_in + at];
            continue;
        }
        let t = args.index - 1u;
        var x = pre[args.pre_offset + t * block + at];
        if args.bias != 0u {
            x += w[args.bias_offset + j];
        }
        if keep[args.keep_offset + t * args.lanes + lane] != 0.0 {
            x += found(i);
        }
        let y = phi(args.phi, x);
        h[args.h_offset + args.index * block + at] = y;
        if args.index == args.steps {
            states[args.state_out + at] = y;
        }
    }
}
