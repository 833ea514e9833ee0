// scan_forward for adapters with many registers: a workgroup runs through time with few lanes, and its invocations share the
// columns and also slices of the inner dimension. Each holds its part of W_hh in registers from the first step to the last, as much
// as fits (the blocks of Loads::Held), and rereads the rest at each step. The slices' sums are added up in workgroup memory.

override WIDTH: u32;   // invocations per workgroup
override HIDDEN4: u32; // vec4s per row
override SLICES: u32;  // of the inner dimension

// keep_t h_{t-1} of the workgroup's lanes.
var<workgroup> rows: array<vec4f, ROWS * HIDDEN4>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    find_share(local.x);
    hold();
    // One invocation per vec4 of the lanes' rows does all but the product; it loads the next step's input before this step's product.
    let j = local.x % HIDDEN4;
    let lane = group.x * ROWS + local.x / HIDDEN4;
    let mine = local.x < ROWS * HIDDEN4 && lane < args.lanes;
    let block = args.lanes * HIDDEN4;
    let at = lane * HIDDEN4 + j;
    var bias = vec4f();
    var next = vec4f();
    if mine {
        let x = states[args.state_in + at];
        h[args.h_offset + at] = x;
        rows[local.x] = select(vec4f(), x, keep[args.keep_offset + lane] != 0.0);
        next = pre[args.pre_offset + at];
        if args.bias != 0u {
            bias = w[args.bias_offset + j];
        }
    } else if local.x < ROWS * HIDDEN4 {
        rows[local.x] = vec4f();
    }
    for (var t = 0u; t < args.steps; t++) {
        var x = next + bias;
        var kept = false;
        if mine && t + 1u < args.steps {
            next = pre[args.pre_offset + (t + 1u) * block + at];
            kept = keep[args.keep_offset + (t + 1u) * args.lanes + lane] != 0.0;
        }
        workgroupBarrier();
        products();
        workgroupBarrier();
        if mine {
            x += found(local.x);
            let y = phi(args.phi, x);
            h[args.h_offset + (t + 1u) * block + at] = y;
            rows[local.x] = select(vec4f(), y, kept);
            if t + 1u == args.steps {
                states[args.state_out + at] = y;
            }
        }
    }
}
