// out[r] = w[token_r]: the input projection of one-hot tokens is a row of W_xh.

struct Args {
    rows: u32,
    cols4: u32,
    tokens_offset: u32, // elements
    w_offset: u32,      // vec4
    out_offset: u32,    // vec4
}

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> args: Args;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    let row = i / args.cols4;
    if row < args.rows {
        out[args.out_offset + i] = w[args.w_offset + tokens[args.tokens_offset + row] * args.cols4 + i % args.cols4];
    }
}
