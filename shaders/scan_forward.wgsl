// h_t = phi(pre_t + hp_t W_hh + b_h) with hp_t = keep_t h_{t-1}, for a whole segment in one dispatch. Lanes don't depend on
// each other: a workgroup owns a few of them and runs through time on its own, hp in workgroup memory.
// Block 0 of h receives the incoming state, blocks 1..=steps the new ones; the last block is also the outgoing state.

override WIDTH: u32;   // invocations per workgroup
override HIDDEN4: u32; // vec4s per row

var<workgroup> hp: array<vec4f, TILE_ROWS * HIDDEN4>;
var<private> lane: u32;

fn column(v: u32) -> u32 {
    return min(lane + v * WIDTH, HIDDEN4 - 1u);
}

fn a_row(i: u32, k: u32) -> vec4f {
    return hp[i * HIDDEN4 + k];
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    return rows;
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let at = args.w_offset + k * 4u * HIDDEN4 + column(v);
    return mat4x4f(w[at], w[at + HIDDEN4], w[at + 2u * HIDDEN4], w[at + 3u * HIDDEN4]);
}

// Once all have read hp, the accumulators may be parked in it.
fn tile_ready() {
    workgroupBarrier();
}

fn store_block(r: u32, v: u32, block: mat4x4f) {
    let j = lane + v * WIDTH;
    if j < HIDDEN4 {
        let at = r * 4u * HIDDEN4 + j;
        hp[at] = block[0];
        hp[at + HIDDEN4] = block[1];
        hp[at + 2u * HIDDEN4] = block[2];
        hp[at + 3u * HIDDEN4] = block[3];
    }
}

fn store_row(r: u32, v: u32, x: vec4f) {
    let j = lane + v * WIDTH;
    if j < HIDDEN4 {
        hp[r * HIDDEN4 + j] = x;
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
        let live = r < rows;
        let row = first + select(0u, r, live);
        let kept = live && keep[args.keep_offset + row] != 0.0;
        for (var j = lane; j < HIDDEN4; j += WIDTH) {
            let at = row * HIDDEN4 + j;
            let x = states[args.state_in + at];
            if live {
                h[args.h_offset + at] = x;
            }
            hp[r * HIDDEN4 + j] = select(vec4f(), x, kept);
        }
    }
    for (var t = 0u; t < args.steps; t++) {
        workgroupBarrier();
        tile_product(HIDDEN4);
        let next = min(t + 1u, args.steps - 1u);
        for (var r = 0u; r < rows; r++) {
            let row = first + r;
            let kept = keep[args.keep_offset + next * args.lanes + row] != 0.0;
            for (var j = lane; j < HIDDEN4; j += WIDTH) {
                let at = t * block + row * HIDDEN4 + j;
                var x = hp[r * HIDDEN4 + j] + pre[args.pre_offset + at];
                if args.bias != 0u {
                    x += w[args.bias_offset + j];
                }
                let y = phi(args.phi, x);
                h[args.h_offset + block + at] = y;
                if t + 1u == args.steps {
                    states[args.state_out + row * HIDDEN4 + j] = y;
                }
                hp[r * HIDDEN4 + j] = select(vec4f(), y, kept);
            }
        }
    }
}
