// scan_backward for adapters with many registers; see scan_forward_held.wgsl.

override WIDTH: u32;
override HIDDEN4: u32;
override SLICES: u32;

// delta_t of the gates of W_hh, of the workgroup's lanes.
var<workgroup> rows: array<vec4f, ROWS * INNERS * HIDDEN4>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    find_share(local.x);
    hold();
    let r = local.x / HIDDEN4;
    let j = local.x % HIDDEN4;
    let lane = group.x * ROWS + r;
    let mine = local.x < ROWS * HIDDEN4 && lane < args.lanes;
    // The incoming carry already includes the weight of its edge.
    var flow = Gradient(vec4f(), vec4f());
    // What the next step reads, and the weight of the edge out of it.
    var read = Read(vec4f(), mat4x4f(), vec4f(), vec4f());
    var weight = 0.0;
    if mine {
        if args.carry_in != 0u {
            flow = load_carry(lane, j);
        }
        read = load_step(args.steps - 1u, lane, j);
        weight = edge(args.steps - 1u, lane);
    } else if local.x < ROWS * HIDDEN4 {
        keep_deltas(r, j, mat4x4f());
    }
    for (var i = 0u; i < args.steps; i++) {
        let t = args.steps - 1u - i;
        let out = weight;
        var back = Flow(mat4x4f(), vec4f(), vec4f());
        if mine {
            back = step_back(t, lane, j, read, flow);
            keep_deltas(r, j, back.gates);
            if t > 0u {
                read = load_step(t - 1u, lane, j);
                weight = edge(t - 1u, lane);
            }
        }
        workgroupBarrier();
        products();
        workgroupBarrier();
        if mine {
            flow = weighted(out, Gradient(back.h + found(local.x), back.c));
        }
    }
    if mine {
        store_carry(lane, j, flow);
    }
}
