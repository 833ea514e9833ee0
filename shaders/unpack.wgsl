// x = the half-precision values of packed, two per word; four values per invocation.

struct Args {
    count4: u32,
    x_offset: u32,      // vec4
    packed_offset: u32, // vec2
}

@group(0) @binding(0) var<storage, read> packed: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4u>;
@group(0) @binding(2) var<uniform> args: Args;

// The bits of the numbers that halves are, exactly.
fn numbers(halves: vec4u) -> vec4u {
    let size = halves & vec4u(0x7fffu);
    let wide = size << vec4u(13u);
    let small = bitcast<vec4u>(vec4f(size) * 0x1p-24f);
    let rest = select(wide + vec4u(0x38000000u), wide | vec4u(0x7f800000u), size >= vec4u(0x7c00u));
    return ((halves & vec4u(0x8000u)) << vec4u(16u)) | select(rest, small, size < vec4u(0x400u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.count4 {
        return;
    }
    let words = packed[args.packed_offset + i];
    x[args.x_offset + i] = numbers(vec4u(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u));
}
