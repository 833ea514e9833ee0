// d_w[v] (+)= sum of delta[r] over the rows r whose token is v, in rising order of r. The host lists the rows sorted by token:
// starts[v]..starts[v+1] index into the list behind the starts. No atomics, so the sum has one order.

struct Args {
    vocab: u32,
    cols4: u32,
    starts_offset: u32, // elements; V + 1 starts, then the rows
    delta_offset: u32,  // vec4
    out_offset: u32,    // vec4
    accumulate: u32,
    rows: u32, // of delta, for figures
}

@group(0) @binding(0) var<storage, read> starts: array<u32>;
@group(0) @binding(1) var<storage, read> delta: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> args: Args;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let column_groups = (args.cols4 + 31u) / 32u;
    let index = group.y * groups.x + group.x;
    let v = index / column_groups;
    let j = (index % column_groups) * 32u + local.x;
    if v >= args.vocab || j >= args.cols4 {
        return;
    }
    let list = args.starts_offset + args.vocab + 1u;
    let end = starts[args.starts_offset + v + 1u];
    let at = args.out_offset + v * args.cols4 + j;
    var sum = vec4f();
    for (var i = starts[args.starts_offset + v]; i < end; i++) {
        sum += delta[args.delta_offset + starts[list + i] * args.cols4 + j];
    }
    if args.accumulate != 0u {
        sum += out[at];
    }
    out[at] = sum;
}
