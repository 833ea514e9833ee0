// scan_forward for adapters with many registers: a workgroup runs through time with few lanes, and its invocations share the
// columns and also slices of the inner dimension. Each holds its part of W_hh in registers from the first step to the last, as much
// as fits (the blocks of Loads::Held), and rereads the rest at each step. The slices' sums are added up in workgroup memory.

override WIDTH: u32;   // invocations per workgroup
override HIDDEN4: u32; // vec4s of h
override SLICES: u32;  // of the inner dimension

// keep_t h_{t-1} of the workgroup's lanes.
var<workgroup> rows: array<vec4f, ROWS * HIDDEN4>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    find_share(local.x);
    hold();
    // One invocation per vec4 of the lanes' units does all but the product; it loads the next step's input before this step's product.
    let j = local.x % HIDDEN4;
    let lane = group.x * ROWS + local.x / HIDDEN4;
    let mine = local.x < ROWS * HIDDEN4 && lane < args.lanes;
    var bias = mat4x4f();
    var next = mat4x4f();
    var hp = vec4f();
    var cp = vec4f();
    if mine {
        copy_state(lane, j);
        if is_kept(0u, lane) {
            hp = states[state_at(args.state_in, lane, 0u, j)];
            if STATES == 2u {
                cp = states[state_at(args.state_in, lane, 1u, j)];
            }
        }
        next = load_pre(lane, j);
        bias = load_bias(j);
    }
    if local.x < ROWS * HIDDEN4 {
        rows[local.x] = hp;
    }
    for (var t = 0u; t < args.steps; t++) {
        let a = next + bias;
        var kept = false;
        if mine && t + 1u < args.steps {
            next = load_pre((t + 1u) * args.lanes + lane, j);
            kept = is_kept(t + 1u, lane);
        }
        workgroupBarrier();
        products();
        workgroupBarrier();
        if mine {
            let step = cell_forward(a, found_gates(local.x / HIDDEN4, j), hp, cp);
            store_step(t, lane, j, step);
            hp = select(vec4f(), step.h, kept);
            cp = select(vec4f(), step.c, kept);
            rows[local.x] = hp;
        }
    }
}
