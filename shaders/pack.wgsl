// packed = x in half precision, two numbers a word; one invocation four numbers.
// What pack2x16float makes of numbers beyond the range of halves is left open: finite ones are held within it, others go around it.

struct Args {
    count4: u32,
    x_offset: u32,      // vec4
    packed_offset: u32, // vec2
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
@group(0) @binding(2) var<uniform> args: Args;

fn halves(pair: vec2f) -> u32 {
    let bits = bitcast<vec2u>(pair);
    let size = bits & vec2u(0x7fffffffu);
    let broken = size >= vec2u(0x7f800000u);
    let word = pack2x16float(select(clamp(pair, vec2f(-65504.0), vec2f(65504.0)), vec2f(), broken));
    let marks = ((bits >> vec2u(16u)) & vec2u(0x8000u)) | select(vec2u(0x7c00u), vec2u(0x7e00u), size > vec2u(0x7f800000u));
    let special = select(vec2u(), marks, broken);
    // Where a number is not finite, the word's half is zero.
    return word | special.x | (special.y << 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.count4 {
        return;
    }
    let numbers = x[args.x_offset + i];
    packed[args.packed_offset + i] = vec2u(halves(numbers.xy), halves(numbers.zw));
}
