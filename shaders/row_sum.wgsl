// out[r] (+)= sum of row r of x. One workgroup per row: each invocation adds up every 64th vec4, then the first adds up their sums,
// in one fixed order. Columns beyond the end are zero by convention up to a multiple of 4.

struct Args {
    rows: u32,
    cols: u32,
    x_offset: u32, // vec4
    x_ld: u32,     // vec4
    out_offset: u32, // elements
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> args: Args;

var<workgroup> part: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let row = group.y * groups.x + group.x;
    let cols4 = (args.cols + 3u) / 4u;
    let at = args.x_offset + min(row, args.rows - 1u) * args.x_ld;
    var sum = vec4f();
    for (var j = local.x; j < cols4; j += 64u) {
        sum += x[at + j];
    }
    part[local.x] = sum;
    workgroupBarrier();
    if local.x == 0u && row < args.rows {
        sum = vec4f();
        for (var i = 0u; i < 64u; i += 4u) {
            sum += (part[i] + part[i + 1u]) + (part[i + 2u] + part[i + 3u]);
        }
        var total = (sum.x + sum.y) + (sum.z + sum.w);
        if args.accumulate != 0u {
            total += out[args.out_offset + row];
        }
        out[args.out_offset + row] = total;
    }
}
