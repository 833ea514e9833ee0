// packed = x in half precision, two values per word; four values per invocation.
// In integer arithmetic: pack2x16float leaves its rounding and out-of-range results open, and not every adapter has it.

struct Args {
    count4: u32,
    x_offset: u32,      // vec4
    packed_offset: u32, // vec2
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
@group(0) @binding(2) var<uniform> args: Args;

// The bits of the halves nearest to values given by their bits; ties to even.
fn halves(bits: vec4u) -> vec4u {
    let one = vec4u(1u);
    let size = bits & vec4u(0x7fffffffu);
    let bounded = min(size, vec4u(0x477fe000u)); // 65504
    let normal = (bounded + vec4u(0xfffu) + ((bounded >> vec4u(13u)) & one) - vec4u(0x38000000u)) >> vec4u(13u);
    // Below 2^-14 the last bit of a half has the value 2^-24.
    let fraction = (bounded & vec4u(0x7fffffu)) | vec4u(0x800000u);
    let shift = min(vec4u(126u) - min(bounded >> vec4u(23u), vec4u(112u)), vec4u(25u));
    let small = (fraction + (one << (shift - one)) - one + ((fraction >> shift) & one)) >> shift;
    let finite = select(normal, small, bounded < vec4u(0x38800000u));
    let broken = select(vec4u(0x7c00u), vec4u(0x7e00u), size > vec4u(0x7f800000u));
    return ((bits >> vec4u(16u)) & vec4u(0x8000u)) | select(finite, broken, size >= vec4u(0x7f800000u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.count4 {
        return;
    }
    let h = halves(x[args.x_offset + i]);
    packed[args.packed_offset + i] = h.xz | (h.yw << vec2u(16u));
}
