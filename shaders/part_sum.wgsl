// C (+)= the sum of the parts of a product, in order: see matmul.wgsl.

struct Args {
    rows: u32,
    cols: u32,
    inner: u32, // of the product: if 0, C is unchanged
    parts: u32,
    stride: u32, // from one part to the next, in vec4 like every offset and leading dimension here
    c_offset: u32,
    c_ld: u32, // also of a part
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> part: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(2) var<uniform> args: Args;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let cols4 = (args.cols + 3u) / 4u;
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.rows * cols4 {
        return;
    }
    let at = i / cols4 * args.c_ld + i % cols4;
    var sum = part[at];
    for (var p = 1u; p < args.parts; p++) {
        sum += part[at + p * args.stride];
    }
    if args.accumulate != 0u {
        sum += c[args.c_offset + at];
    }
    c[args.c_offset + at] = sum;
}
