// One step of scan_backward, for rows that no workgroup memory holds. Dispatch i of steps + 1 handles t = steps - 1 - i:
// delta_t = (d_h_t + keep_{t+1} xi_{t+1} (delta_{t+1} W_hh^T)) phi'(a_t); the first takes the carry that flows in instead of
// the product, the last only writes the carry that flows out.

override WIDTH: u32;

struct Args {
    index: u32, // i
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    h_offset: u32,    // vec4
    w_offset: u32,    // vec4; W_hh transposed
    keep_offset: u32, // elements
    xi_offset: u32,   // elements
    delta_offset: u32, // vec4
    carry_offset: u32, // vec4
    carry_in: u32,
}

@group(0) @binding(0) var<storage, read> h: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> edges: array<f32>;
@group(0) @binding(3) var<storage, read_write> delta: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> carry: array<vec4f>;
@group(0) @binding(5) var<uniform> args: Args;

var<private> row: u32;
var<private> col4: u32;
var<private> after: u32; // step t + 1

fn a_row(i: u32, k: u32) -> vec4f {
    return delta[args.delta_offset + (after * args.lanes + min(row + i, args.lanes - 1u)) * args.hidden4 + k];
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
    after = args.steps - args.index;
    if args.index > 0u {
        tile_product(args.hidden4);
    }
    for (var r = 0u; r < TILE_ROWS; r++) {
        let i = row + r;
        for (var v = 0u; v < TILE_COLS4; v++) {
            let j = col4 + v * WIDTH;
            if i < args.lanes && j < args.hidden4 {
                let carry_at = args.carry_offset + i * args.hidden4 + j;
                var flow = vec4f();
                if args.index > 0u {
                    let at = after * args.lanes + i;
                    let weight = edges[args.keep_offset + at] * edges[args.xi_offset + at];
                    flow = select(flow, weight * parked_row(r, v), weight != 0.0);
                } else if args.carry_in != 0u {
                    flow = carry[carry_at];
                }
                if args.index == args.steps {
                    carry[carry_at] = flow;
                } else {
                    let at = ((after - 1u) * args.lanes + i) * args.hidden4 + j;
                    let slope = phi_slope(args.phi, h[args.h_offset + args.lanes * args.hidden4 + at]);
                    delta[args.delta_offset + at] = (delta[args.delta_offset + at] + flow) * slope;
                }
            }
        }
    }
}
