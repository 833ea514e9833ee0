// delta_t = g_t phi'(a_t) with g_t = d_h_t + carry_t, carry_{t-1} = keep_t xi_t (delta_t W_hh^T), for a whole segment in one
// dispatch, last step first. delta overwrites d_h. phi' is a function of h alone. The carry flows in from the following
// segment (if carry_in) and out to the one before. Mirrors scan_forward.wgsl.

override WIDTH: u32;
override HIDDEN4: u32;

// delta_t before the product, delta_t W_hh^T after it.
var<workgroup> flow: array<vec4f, TILE_ROWS * HIDDEN4>;
var<private> lane: u32;

fn column(v: u32) -> u32 {
    return min(lane + v * WIDTH, HIDDEN4 - 1u);
}

fn a_row(i: u32, k: u32) -> vec4f {
    return flow[i * HIDDEN4 + k];
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    return rows;
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let at = args.w_offset + k * 4u * HIDDEN4 + column(v);
    return mat4x4f(w[at], w[at + HIDDEN4], w[at + 2u * HIDDEN4], w[at + 3u * HIDDEN4]);
}

fn tile_ready() {
    workgroupBarrier();
}

fn store_block(r: u32, v: u32, block: mat4x4f) {
    let j = lane + v * WIDTH;
    if j < HIDDEN4 {
        let at = r * 4u * HIDDEN4 + j;
        flow[at] = block[0];
        flow[at + HIDDEN4] = block[1];
        flow[at + 2u * HIDDEN4] = block[2];
        flow[at + 3u * HIDDEN4] = block[3];
    }
}

// Weight of the edge from step t back to step t - 1.
fn edge(t: u32, row: u32) -> f32 {
    let at = t * args.lanes + row;
    return edges[args.keep_offset + at] * edges[args.xi_offset + at];
}

fn store_row(r: u32, v: u32, x: vec4f) {
    let j = lane + v * WIDTH;
    if j < HIDDEN4 {
        flow[r * HIDDEN4 + j] = x;
    }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    lane = local.x;
    find_share();
    let first = group.x * TILE_ROWS;
    let rows = min(TILE_ROWS, args.lanes - first);
    let block = args.lanes * HIDDEN4;
    for (var r = 0u; r < TILE_ROWS; r++) {
        for (var j = lane; j < HIDDEN4; j += WIDTH) {
            var x = vec4f();
            if r < rows && args.carry_in != 0u {
                x = carry[args.carry_offset + (first + r) * HIDDEN4 + j];
            }
            flow[r * HIDDEN4 + j] = x;
        }
    }
    for (var i = 0u; i < args.steps; i++) {
        let t = args.steps - 1u - i;
        for (var r = 0u; r < rows; r++) {
            let row = first + r;
            // The incoming carry already includes the weight of its edge.
            var weight = 1.0;
            if i > 0u {
                weight = edge(t + 1u, row);
            }
            for (var j = lane; j < HIDDEN4; j += WIDTH) {
                let at = t * block + row * HIDDEN4 + j;
                let g = delta[args.delta_offset + at] + select(vec4f(), weight * flow[r * HIDDEN4 + j], weight != 0.0);
                let x = g * phi_slope(args.phi, h[args.h_offset + block + at]);
                delta[args.delta_offset + at] = x;
                flow[r * HIDDEN4 + j] = x;
            }
        }
        workgroupBarrier();
        tile_product(HIDDEN4);
    }
    for (var r = 0u; r < rows; r++) {
        let weight = edge(0u, first + r);
        for (var j = lane; j < HIDDEN4; j += WIDTH) {
            carry[args.carry_offset + (first + r) * HIDDEN4 + j] = select(vec4f(), weight * flow[r * HIDDEN4 + j], weight != 0.0);
        }
    }
}
