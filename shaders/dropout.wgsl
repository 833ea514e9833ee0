// Dropout: out = 0 where a unit's random word is below the threshold, else x * scale. The words are those of Threefry-4x32 with 20 rounds, counting
// step, lane and block of four units, under a key of seed, update and layer: the mask does not depend on where x is stored or when it is computed.
// With a threshold of 0, out = x.

struct Args {
    rows: u32,
    cols4: u32,
    x_offset: u32,   // vec4
    out_offset: u32, // vec4
    lanes: u32,
    first: u32,      // step of row 0
    first_lane: u32, // lane of row 0, of all that are trained together
    seed_low: u32,
    seed_high: u32,
    update: u32,
    layer: u32,
    threshold: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> args: Args;

fn rotated(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

// Four rounds, and the key added after them.
fn rounds(start: vec4u, a: vec4u, b: vec4u, key: vec4u) -> vec4u {
    var w = start;
    w.x += w.y;
    w.y = rotated(w.y, a.x) ^ w.x;
    w.z += w.w;
    w.w = rotated(w.w, b.x) ^ w.z;
    w.x += w.w;
    w.w = rotated(w.w, a.y) ^ w.x;
    w.z += w.y;
    w.y = rotated(w.y, b.y) ^ w.z;
    w.x += w.y;
    w.y = rotated(w.y, a.z) ^ w.x;
    w.z += w.w;
    w.w = rotated(w.w, b.z) ^ w.z;
    w.x += w.w;
    w.w = rotated(w.w, a.w) ^ w.x;
    w.z += w.y;
    w.y = rotated(w.y, b.w) ^ w.z;
    return w + key;
}

fn threefry(k: vec4u, counter: vec4u) -> vec4u {
    let p = 0x1bd11bdau ^ k.x ^ k.y ^ k.z ^ k.w;
    let even = vec4u(10u, 11u, 13u, 23u);
    let even2 = vec4u(26u, 21u, 27u, 5u);
    let odd = vec4u(6u, 17u, 25u, 18u);
    let odd2 = vec4u(20u, 11u, 10u, 20u);
    var w = counter + k;
    w = rounds(w, even, even2, vec4u(k.y, k.z, k.w, p + 1u));
    w = rounds(w, odd, odd2, vec4u(k.z, k.w, p, k.x + 2u));
    w = rounds(w, even, even2, vec4u(k.w, p, k.x, k.y + 3u));
    w = rounds(w, odd, odd2, vec4u(p, k.x, k.y, k.z + 4u));
    return rounds(w, even, even2, vec4u(k.x, k.y, k.z, k.w + 5u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.rows * args.cols4 {
        return;
    }
    let value = x[args.x_offset + i];
    if args.threshold == 0u {
        out[args.out_offset + i] = value;
        return;
    }
    let row = i / args.cols4;
    let key = vec4u(args.seed_low, args.seed_high, args.update, args.layer);
    let drawn = threefry(key, vec4u(args.first + row / args.lanes, args.first_lane + row % args.lanes, i % args.cols4, 0u));
    out[args.out_offset + i] = select(value * args.scale, vec4f(0.0), drawn < vec4u(args.threshold));
}
