// out (+)= sum of the rows of x. A workgroup owns 8 vec4 columns; 32 invocations share each column, each taking every 32nd row,
// and the first adds up their parts: one fixed order.

struct Args {
    rows: u32,
    cols4: u32,
    x_offset: u32,   // vec4
    out_offset: u32, // vec4
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> args: Args;

var<workgroup> part: array<vec4f, 256>;

@compute @workgroup_size(8, 32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let j = group.x * 8u + local.x;
    let at = args.x_offset + min(j, args.cols4 - 1u);
    var sum = vec4f();
    // Four at a time, so that their loads overlap.
    var r = local.y;
    for (; r + 96u < args.rows; r += 128u) {
        let i = at + r * args.cols4;
        let next = 32u * args.cols4;
        sum += (x[i] + x[i + next]) + (x[i + 2u * next] + x[i + 3u * next]);
    }
    for (; r < args.rows; r += 32u) {
        sum += x[at + r * args.cols4];
    }
    part[local.y * 8u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && j < args.cols4 {
        sum = vec4f();
        for (var i = 0u; i < 32u; i += 4u) {
            let at = i * 8u + local.x;
            sum += (part[at] + part[at + 8u]) + (part[at + 16u] + part[at + 24u]);
        }
        if args.accumulate != 0u {
            sum += out[args.out_offset + j];
        }
        out[args.out_offset + j] = sum;
    }
}
