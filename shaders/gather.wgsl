// out[r] = w[token_r]: the input projection of a one-hot token is a row of W_xh.

struct Args {
    rows: u32,
    cols4: u32,
    tokens_offset: u32, // elements
    w_offset: u32,      // vec4
    out_offset: u32,    // vec4
    out_ld: u32,        // vec4
}

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> args: Args;

// Rows per workgroup.
const ROWS = 8u;

// A workgroup copies 32 vec4 columns of some rows, so all its invocations read the same token for a row.
@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let index = group.y * groups.x + group.x;
    let stretches = (args.cols4 + 31u) / 32u;
    let col = index % stretches * 32u + local.x;
    let first = index / stretches * ROWS;
    if col >= args.cols4 {
        return;
    }
    for (var row = first; row < min(first + ROWS, args.rows); row++) {
        out[args.out_offset + row * args.out_ld + col] = w[args.w_offset + tokens[args.tokens_offset + row] * args.cols4 + col];
    }
}
