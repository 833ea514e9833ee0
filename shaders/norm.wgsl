// Sums of squares of all gradients, one part per workgroup: part[2g] is the sum, part[2g + 1] is 1 if a non-finite value was
// seen. The exponent's bits show that: a compiler may assume that there is no NaN.

struct Args {
    count4: u32,
    parts: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> part: array<f32>;
@group(0) @binding(2) var<uniform> args: Args;

var<workgroup> sums: array<f32, 64>;
var<workgroup> broken: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    var sum = 0.0;
    var bad = 0u;
    for (var i = group.x * 64u + local.x; i < args.count4; i += args.parts * 64u) {
        let y = x[i];
        sum += dot(y, y);
        bad |= select(0u, 1u, any((bitcast<vec4u>(y) & vec4u(0x7f800000u)) == vec4u(0x7f800000u)));
    }
    sums[local.x] = sum;
    broken[local.x] = bad;
    workgroupBarrier();
    if local.x == 0u {
        sum = 0.0;
        for (var i = 0u; i < 64u; i += 4u) {
            sum += (sums[i] + sums[i + 1u]) + (sums[i + 2u] + sums[i + 3u]);
            bad |= (broken[i] | broken[i + 1u]) | (broken[i + 2u] | broken[i + 3u]);
        }
        part[2u * group.x] = sum;
        part[2u * group.x + 1u] = f32(bad);
    }
}
