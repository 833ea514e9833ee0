// d_w[v] (+)= sum of delta[r] over the rows r whose token is v. The host lists the rows sorted by token: starts[v]..starts[v+1] index
// into the list after the starts. STRANDS invocations share the rows of a token, and the first adds up their sums: no atomics, so
// the sum has a fixed order.

override COLUMNS: u32; // vec4s per workgroup
override STRANDS: u32;

struct Args {
    vocab: u32,
    cols4: u32,
    starts_offset: u32, // elements; V + 1 starts, then the rows
    delta_offset: u32,  // vec4
    delta_ld: u32,      // vec4
    out_offset: u32,    // vec4
    accumulate: u32,
    rows: u32, // of delta; for reports only
}

@group(0) @binding(0) var<storage, read> starts: array<u32>;
@group(0) @binding(1) var<storage, read> delta: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> args: Args;

var<workgroup> found: array<vec4f, COLUMNS * STRANDS>;

@compute @workgroup_size(COLUMNS, STRANDS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let column_groups = (args.cols4 + COLUMNS - 1u) / COLUMNS;
    let index = group.y * groups.x + group.x;
    let v = min(index / column_groups, args.vocab - 1u);
    let j = (index % column_groups) * COLUMNS + local.x;
    let column = args.delta_offset + min(j, args.cols4 - 1u);
    let list = args.starts_offset + args.vocab + 1u;
    let end = starts[args.starts_offset + v + 1u];
    var sum = vec4f();
    for (var i = starts[args.starts_offset + v] + local.y; i < end; i += STRANDS) {
        sum += delta[column + starts[list + i] * args.delta_ld];
    }
    if STRANDS > 1u {
        found[local.y * COLUMNS + local.x] = sum;
        workgroupBarrier();
        if local.y == 0u {
            for (var s = 1u; s < STRANDS; s++) {
                sum += found[s * COLUMNS + local.x];
            }
        }
    }
    if local.y == 0u && index / column_groups < args.vocab && j < args.cols4 {
        let at = args.out_offset + v * args.cols4 + j;
        if args.accumulate != 0u {
            sum += out[at];
        }
        out[at] = sum;
    }
}
