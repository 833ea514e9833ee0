// Weighted softmax cross-entropy. Logits lie as [V, rows], so that neighbouring invocations, one row each, read neighbouring
// words. loss[r] = w_r (log sum_v exp(z_v) - z_target), z = logits + b_y; with `gradient`, d_logits = w_r / N (softmax(z) - onehot)
// overwrites the logits. Rows beyond the end, up to a multiple of 4, become zero: they are padding of the next matmul.

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
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> args: Args;

fn z(v: u32, r: u32) -> f32 {
    let x = logits[v * args.ld + r];
    if args.bias != 0u {
        return x + params[args.bias_offset + v];
    }
    return x;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let r = (group.y * groups.x + group.x) * 64u + local.x;
    if r >= (args.rows + 3u) / 4u * 4u {
        return;
    }
    var weight = 0.0;
    if r < args.rows {
        weight = bitcast<f32>(targets[args.weights_offset + r]);
    }
    if weight == 0.0 {
        loss[args.loss_offset + r] = 0.0;
        for (var v = 0u; v < args.vocab; v++) {
            logits[v * args.ld + r] = 0.0;
        }
        return;
    }
    var top = z(0u, r);
    var odd = 0u;
    for (var v = 0u; v < args.vocab; v++) {
        let x = z(v, r);
        top = max(top, x);
        let bits = bitcast<u32>(x);
        if (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u {
            odd = bits | 0x7fc00000u;
        }
    }
    // NaN or infinity among the logits: so is all that comes of them, whatever a driver's max and exp make of it.
    if odd != 0u {
        loss[args.loss_offset + r] = bitcast<f32>(odd);
        for (var v = 0u; v < args.vocab * args.gradient; v++) {
            logits[v * args.ld + r] = bitcast<f32>(odd);
        }
        return;
    }
    var sum = 0.0;
    for (var v = 0u; v < args.vocab; v++) {
        sum += exp(z(v, r) - top);
    }
    let target_v = targets[args.targets_offset + r];
    loss[args.loss_offset + r] = weight * (log(sum) + (top - z(target_v, r)));
    if args.gradient != 0u {
        let scale = weight * args.inverse_n;
        let factor = scale / sum;
        for (var v = 0u; v < args.vocab; v++) {
            let p = exp(z(v, r) - top) * factor;
            logits[v * args.ld + r] = select(p, p - scale, v == target_v);
        }
    }
}
