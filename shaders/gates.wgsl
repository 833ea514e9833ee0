// The activations of all steps of a segment, and c, from rows of gates that hold x_t W_xh and hp_t W_hh, and from h: what the forward scan computed, for a
// backward pass that does not find it stored. An invocation runs through time with one vec4 of a lane's units.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.lanes * args.hidden4 {
        return;
    }
    let lane = i / args.hidden4;
    let j = i % args.hidden4;
    let bias = load_bias(j);
    var c = load_c(i);
    for (var t = 0u; t < args.steps; t++) {
        let row = t * args.lanes + lane;
        let at = row * args.hidden4 + j;
        let kept = is_kept(t, lane);
        let hp = select(vec4f(), h[args.h_offset + at], kept);
        let step = cell_forward(load_gates(row, j) + bias, mat4x4f(), hp, select(vec4f(), c, kept));
        store_gates(row, j, step.gates);
        c = step.c;
        store_c(at + args.lanes * args.hidden4, c);
    }
}
