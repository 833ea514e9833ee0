// out = x^T for a padded matrix; one 4x4 block per invocation.

struct Args {
    rows4: u32,
    cols4: u32,
    x_offset: u32,   // vec4
    out_offset: u32, // vec4
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> args: Args;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.rows4 * args.cols4 {
        return;
    }
    let r = i / args.cols4;
    let c = i % args.cols4;
    let at = args.x_offset + r * 4u * args.cols4 + c;
    let block = transpose(mat4x4f(x[at], x[at + args.cols4], x[at + 2u * args.cols4], x[at + 3u * args.cols4]));
    let to = args.out_offset + c * 4u * args.rows4 + r;
    out[to] = block[0];
    out[to + args.rows4] = block[1];
    out[to + 2u * args.rows4] = block[2];
    out[to + 3u * args.rows4] = block[3];
}
