// Weighted softmax cross-entropy. Logits are [V, rows]. loss[r] = w_r (log sum_v exp(z_v) - z_target), z = logits + b_y; with
// `gradient`, d_logits = w_r / N (softmax(z) - onehot) overwrites the logits. Rows beyond the end, up to a multiple of 4, become zero:
// they are padding of the next matmul.
//
// An invocation processes 4 rows, so that b_y is read once for them, and every STRANDS-th symbol; 8 adjacent invocations read 128
// consecutive bytes.

override STRANDS: u32;

struct Args {
    rows: u32,
    vocab: u32,
    ld: u32,
    targets_offset: u32,
    weights_offset: u32,
    bias: u32,
    bias_offset: u32,
    inverse_n: f32,
    gradient: u32,
    loss_offset: u32,
}

@group(0) @binding(0) var<storage, read> targets: array<u32>; // and the weights, as bits
@group(0) @binding(1) var<storage, read> params: array<f32>;
@group(0) @binding(2) var<storage, read_write> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> args: Args;

// Results of the strands of each block of rows.
var<workgroup> found: array<vec4f, 8u * STRANDS>;
var<workgroup> broken: array<vec4u, 8u * STRANDS>;

fn z(v: u32, block: u32) -> vec4f {
    let x = logits[v * (args.ld / 4u) + block];
    if args.bias != 0u {
        return x + params[args.bias_offset + v];
    }
    return x;
}

// The bits of a NaN where a logit is NaN or infinite, so that the results are NaN too, whatever a driver's max and exp return.
fn nan_where_broken(x: vec4f) -> vec4u {
    let bits = bitcast<vec4u>(x);
    let is = ((bits & vec4u(0x7fffffffu)) > vec4u(0x7f800000u)) | (bits == vec4u(0x7f800000u));
    return select(vec4u(), bits | vec4u(0x7fc00000u), is);
}

fn weight(r: u32) -> f32 {
    if r < args.rows {
        return bitcast<f32>(targets[args.weights_offset + r]);
    }
    return 0.0;
}

fn goal(r: u32) -> u32 {
    return targets[args.targets_offset + min(r, args.rows - 1u)];
}

@compute @workgroup_size(8, STRANDS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let blocks = (args.rows + 3u) / 4u;
    let block = (group.y * groups.x + group.x) * 8u + local.x;
    let clamped = min(block, blocks - 1u);
    let r = clamped * 4u;
    let w = vec4f(weight(r), weight(r + 1u), weight(r + 2u), weight(r + 3u));
    let goals = vec4u(goal(r), goal(r + 1u), goal(r + 2u), goal(r + 3u));
    let at_goals = vec4f(z(goals.x, clamped).x, z(goals.y, clamped).y, z(goals.z, clamped).z, z(goals.w, clamped).w);

    let first = min(local.y, args.vocab - 1u);
    var top = z(first, clamped);
    var odd = nan_where_broken(top);
    for (var v = first + STRANDS; v < args.vocab; v += STRANDS) {
        let x = z(v, clamped);
        top = max(top, x);
        odd |= nan_where_broken(x);
    }
    found[local.y * 8u + local.x] = top;
    broken[local.y * 8u + local.x] = odd;
    workgroupBarrier();
    for (var s = 0u; s < STRANDS; s++) {
        top = max(top, found[s * 8u + local.x]);
        odd |= broken[s * 8u + local.x];
    }
    let diverged = odd != vec4u();
    workgroupBarrier();

    var sum = vec4f();
    for (var v = local.y; v < args.vocab; v += STRANDS) {
        sum += exp(z(v, clamped) - top);
    }
    found[local.y * 8u + local.x] = sum;
    workgroupBarrier();
    sum = found[local.x];
    for (var s = 1u; s < STRANDS; s++) {
        sum += found[s * 8u + local.x];
    }
    if block >= blocks {
        return;
    }

    // A row of weight 0 contributes nothing, whatever its logits are.
    let counts = w != vec4f();
    if local.y == 0u {
        let sound = select(w * (log(sum) + (top - at_goals)), bitcast<vec4f>(odd), diverged);
        let losses = select(vec4f(), sound, counts);
        for (var i = 0u; i < 4u; i++) {
            loss[args.loss_offset + r + i] = losses[i];
        }
    }
    if args.gradient != 0u {
        let scale = w * args.inverse_n;
        let factor = scale / sum;
        for (var v = local.y; v < args.vocab; v += STRANDS) {
            let p = exp(z(v, block) - top) * factor;
            let sound = select(select(p, p - scale, goals == vec4u(v)), bitcast<vec4f>(odd), diverged);
            logits[v * (args.ld / 4u) + block] = select(vec4f(), sound, counts);
        }
    }
}
