// The forward scan over a whole segment in one dispatch: the cell's step from x_t W_xh + b and hp_t W_hh, with hp_t = keep_t h_{t-1}. Lanes don't depend on
// each other: a workgroup owns a few of them and runs through time on its own, hp in workgroup memory.
// Block 0 of h (and c) receives the incoming state, blocks 1..=steps the new ones; the last block is also the outgoing state.

override WIDTH: u32;   // invocations per workgroup
override HIDDEN4: u32; // vec4s of h

var<workgroup> hp: array<vec4f, TILE_ROWS * HIDDEN4>;
var<private> lane: u32;
var<private> first: u32;
// Step, and lanes of this workgroup that exist.
var<private> now: u32;
var<private> live: u32;

// A tile's column block v is one of the COLUMNS gates of a unit block.
fn unit(v: u32) -> u32 {
    return lane + v / COLUMNS * WIDTH;
}

fn a_row(i: u32, k: u32) -> vec4f {
    return hp[i * HIDDEN4 + k];
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    return rows;
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let row = COLUMNS * HIDDEN4;
    let at = args.w_offset + k * 4u * row + v % COLUMNS * HIDDEN4 + min(unit(v), HIDDEN4 - 1u);
    return mat4x4f(w[at], w[at + row], w[at + 2u * row], w[at + 3u * row]);
}

// The accumulators are parked in the row of gates, added to x_t W_xh: doing the step in registers would unroll it over the whole tile, which
// takes drivers seconds to compile. The cells are the invocation's own: no barrier is needed.
fn tile_ready() {}

fn store_row(r: u32, v: u32, x: vec4f) {
    let j = unit(v);
    if j < HIDDEN4 && r < live {
        let block = BEFORE_HIDDEN + v % COLUMNS;
        let at = args.gates_offset + ((now * args.lanes + first + r) * BLOCKS + block) * HIDDEN4 + j;
        // The last block of a gate with two biases has no x_t W_xh.
        gates[at] = select(x, gates[at] + x, block < COLUMNS);
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
    for (var r = 0u; r < TILE_ROWS; r++) {
        for (var j = lane; j < HIDDEN4; j += WIDTH) {
            var x = vec4f();
            if r < live {
                copy_state(first + r, j);
                x = select(x, h[args.h_offset + (first + r) * HIDDEN4 + j], is_kept(0u, first + r));
            }
            hp[r * HIDDEN4 + j] = x;
        }
    }
    for (var t = 0u; t < args.steps; t++) {
        now = t;
        workgroupBarrier();
        tile_product(HIDDEN4);
        workgroupBarrier();
        let next = min(t + 1u, args.steps - 1u);
        for (var r = 0u; r < live; r++) {
            let row = first + r;
            let before = is_kept(t, row);
            let after = is_kept(next, row);
            for (var j = lane; j < HIDDEN4; j += WIDTH) {
                let a = load_gates(t * args.lanes + row, j) + load_bias(j);
                let cp = select(vec4f(), load_c((t * args.lanes + row) * HIDDEN4 + j), before);
                let step = cell_forward(a, mat4x4f(), hp[r * HIDDEN4 + j], cp);
                store_step(t, row, j, step);
                hp[r * HIDDEN4 + j] = select(vec4f(), step.h, after);
            }
        }
    }
}
