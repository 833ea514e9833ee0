// One step of scan_forward per dispatch, where W_hh is too large for each workgroup to read all of it. Dispatch 0 copies the incoming state to block 0 of
// h (and c), dispatch i computes step i - 1. A workgroup computes ROWS lanes by 4 COLS4 units; its invocations split the inner dimension into
// slices, whose sums are added up in workgroup memory.

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
    for (var i = id; i < ROWS * COLS4; i += SLICES * COLS4) {
        let lane = lane0 + i / COLS4;
        let j = j0 + i % COLS4;
        if lane >= args.lanes || j >= args.hidden4 {
            continue;
        }
        if args.index == 0u {
            copy_state(lane, j);
            continue;
        }
        let t = args.index - 1u;
        let row = t * args.lanes + lane;
        let at = row * args.hidden4 + j;
        var m = mat4x4f();
        var hp = vec4f();
        var cp = vec4f();
        if is_kept(t, lane) {
            m = found_gates(i);
            hp = h[args.h_offset + at];
            cp = load_c(at);
        }
        store_step(t, lane, j, cell_forward(load_pre(row, j) + load_bias(j), m, hp, cp));
    }
}
