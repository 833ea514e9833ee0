// The backward scan over a whole segment in one dispatch, last step first: the cell's step back from g_t = d_h_t + carry_t, and carry_{t-1} = keep_t xi_t
// (delta_t W_hh^T + the step's direct part). The carry flows in from the following segment (if carry_in) and out to the one before. Mirrors
// scan_forward.wgsl.

override WIDTH: u32;
override HIDDEN4: u32;

var<private> lane: u32;
var<private> first: u32;
var<private> now: u32;
var<private> live: u32;

fn column(v: u32) -> u32 {
    return min(lane + v * WIDTH, HIDDEN4 - 1u);
}

// delta_t of the gates of W_hh, which the workgroup has just written.
fn a_row(i: u32, k: u32) -> vec4f {
    let row = now * args.lanes + first + min(i, live - 1u);
    return delta[args.delta_offset + (row * BLOCKS + BEFORE_HIDDEN) * HIDDEN4 + k];
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    return rows;
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let at = args.w_offset + k * 4u * HIDDEN4 + column(v);
    return mat4x4f(w[at], w[at + HIDDEN4], w[at + 2u * HIDDEN4], w[at + 3u * HIDDEN4]);
}

// The accumulators are parked in the carry, in cells of the invocation's own.
fn tile_ready() {}

fn store_row(r: u32, v: u32, x: vec4f) {
    let j = lane + v * WIDTH;
    if j < HIDDEN4 && r < live {
        let at = carry_at(first + r, 0u, j);
        if DIRECT {
            carry[at] += x;
        } else {
            carry[at] = x;
        }
    }
}

fn store_block(r: u32, v: u32, block: mat4x4f) {
    store_row(4u * r, v, block[0]);
    store_row(4u * r + 1u, v, block[1]);
    store_row(4u * r + 2u, v, block[2]);
    store_row(4u * r + 3u, v, block[3]);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    lane = local.x;
    find_share();
    first = group.x * TILE_ROWS;
    live = min(TILE_ROWS, args.lanes - first);
    for (var i = 0u; i < args.steps; i++) {
        let t = args.steps - 1u - i;
        now = t;
        for (var r = 0u; r < live; r++) {
            let row = first + r;
            // The incoming carry already includes the weight of its edge.
            var weight = f32(args.carry_in);
            if i > 0u {
                weight = edge(t + 1u, row);
            }
            for (var j = lane; j < HIDDEN4; j += WIDTH) {
                let back = step_back(t, row, j, load_step(t, row, j), weighted(weight, load_carry(row, j)));
                if DIRECT || STATES == 2u {
                    store_carry(row, j, Gradient(back.h, back.c));
                }
            }
        }
        // For the deltas, which all invocations read.
        storageBarrier();
        tile_product(INNERS * HIDDEN4);
    }
    for (var r = 0u; r < live; r++) {
        let weight = edge(0u, first + r);
        for (var j = lane; j < HIDDEN4; j += WIDTH) {
            store_carry(first + r, j, weighted(weight, load_carry(first + r, j)));
        }
    }
}
