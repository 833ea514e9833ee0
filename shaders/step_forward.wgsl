// One step of scan_forward, for rows that no workgroup memory holds: h_t = phi(pre_t + hp_t W_hh + b_h), one dispatch per
// step; the first reads hp from the state that flows in and copies that to block 0 of h, the others read it from h.

override WIDTH: u32;

struct Args {
    index: u32, // t
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    pre_offset: u32, // vec4
    w_offset: u32,   // vec4
    bias: u32,
    bias_offset: u32, // vec4
    keep_offset: u32, // elements
    state_in: u32,   // vec4
    state_out: u32,  // vec4
    h_offset: u32,   // vec4
}

@group(0) @binding(0) var<storage, read> pre: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> keep: array<f32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> h: array<vec4f>;
@group(0) @binding(5) var<uniform> args: Args;

var<private> row: u32;
var<private> col4: u32;

fn a_row(i: u32, k: u32) -> vec4f {
    let lane_row = min(row + i, args.lanes - 1u);
    let kept = keep[args.keep_offset + args.index * args.lanes + lane_row] != 0.0;
    if !kept {
        return vec4f();
    }
    if args.index == 0u {
        return states[args.state_in + lane_row * args.hidden4 + k];
    }
    return h[args.h_offset + (args.index * args.lanes + lane_row) * args.hidden4 + k];
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    return rows;
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let j = min(col4 + v * WIDTH, args.hidden4 - 1u);
    let at = args.w_offset + k * 4u * args.hidden4 + j;
    return mat4x4f(w[at], w[at + args.hidden4], w[at + 2u * args.hidden4], w[at + 3u * args.hidden4]);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    lane = local.x;
    find_share();
    col4 = group.x * (WIDTH * TILE_COLS4) + lane;
    row = group.y * TILE_ROWS;
    tile_product(args.hidden4);
    for (var r = 0u; r < TILE_ROWS; r++) {
        let i = row + r;
        for (var v = 0u; v < TILE_COLS4; v++) {
            let j = col4 + v * WIDTH;
            if i < args.lanes && j < args.hidden4 {
                let at = (args.index * args.lanes + i) * args.hidden4 + j;
                var x = parked_row(r, v) + pre[args.pre_offset + at];
                if args.bias != 0u {
                    x += w[args.bias_offset + j];
                }
                let y = phi(args.phi, x);
                if args.index == 0u {
                    h[args.h_offset + at] = states[args.state_in + at];
                }
                h[args.h_offset + args.lanes * args.hidden4 + at] = y;
                if args.index + 1u == args.steps {
                    states[args.state_out + i * args.hidden4 + j] = y;
                }
            }
        }
    }
}
