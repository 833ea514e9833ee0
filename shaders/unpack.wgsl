// x = the numbers of packed, which holds them in half precision, two a word; one invocation four numbers.
// What is not finite is put together from its bits: unpack2x16float need not know it.

struct Args {
    count4: u32,
    x_offset: u32,      // vec4
    packed_offset: u32, // vec2
}

@group(0) @binding(0) var<storage, read> packed: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(2) var<uniform> args: Args;

fn numbers(word: u32) -> vec2f {
    let halves = vec2u(word & 0xffffu, word >> 16u);
    let broken = (halves & vec2u(0x7c00u)) == vec2u(0x7c00u);
    let special = ((halves & vec2u(0x8000u)) << vec2u(16u)) | ((halves & vec2u(0x3ffu)) << vec2u(13u)) | vec2u(0x7f800000u);
    return select(unpack2x16float(word), bitcast<vec2f>(special), broken);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.count4 {
        return;
    }
    let words = packed[args.packed_offset + i];
    x[args.x_offset + i] = vec4f(numbers(words.x), numbers(words.y));
}
