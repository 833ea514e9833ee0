// Weighted mean error from numeric targets. Outputs and targets are laid out as [count, rows], so that neighbouring invocations, one row each, read
// neighbouring words. loss[r] = w_r / count sum_v e(z_v - y_v), z = outputs + b_y, e(d) = d^2 or |d|, or the pinball loss of level v mod `levels`; with `gradient`, d_outputs =
// w_r / (N count) e'(z - y) overwrites the outputs. Rows beyond the end, up to a multiple of 4, become zero: they are padding of the next matmul.

struct Args {
    rows: u32,
    count: u32,
    ld: u32,
    targets_offset: u32,
    targets_ld: u32,
    weights_offset: u32,
    bias: u32,
    bias_offset: u32,
    inverse_n: f32,
    gradient: u32,
    loss_offset: u32,
    absolute: u32,
    inverse_count: f32,
    levels: u32,
    q0: f32,
    q1: f32,
    q2: f32,
    q3: f32,
    q4: f32,
    q5: f32,
    q6: f32,
    q7: f32,
    q8: f32,
}

@group(0) @binding(0) var<storage, read> targets: array<f32>; // and the weights
@group(0) @binding(1) var<storage, read> params: array<f32>;
@group(0) @binding(2) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> args: Args;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let r = (group.y * groups.x + group.x) * 64u + local.x;
    if r >= (args.rows + 3u) / 4u * 4u {
        return;
    }
    var weight = 0.0;
    if r < args.rows {
        weight = targets[args.weights_offset + r];
    }
    let scale = weight * args.inverse_n * args.inverse_count;
    var sum = 0.0;
    var quantiles = array<f32, 9>(args.q0, args.q1, args.q2, args.q3, args.q4, args.q5, args.q6, args.q7, args.q8);
    for (var v = 0u; v < args.count; v++) {
        var d = 0.0;
        if weight != 0.0 {
            d = outputs[v * args.ld + r] - targets[args.targets_offset + v * args.targets_ld + r];
            if args.bias != 0u {
                d += params[args.bias_offset + v];
            }
        }
        var below = -1.0;
        var above = 1.0;
        if args.levels != 0u {
            let q = quantiles[v % args.levels];
            below = -q;
            above = 1.0 - q;
        }
        // sign() may turn a NaN into 0; the comparisons pass it on.
        let direction = select(select(d, below, d < 0.0), above, d > 0.0);
        sum += select(d * d, d * direction, args.absolute != 0u);
        if args.gradient != 0u {
            outputs[v * args.ld + r] = select(2.0 * d, direction, args.absolute != 0u) * scale;
        }
    }
    loss[args.loss_offset + r] = sum * (weight * args.inverse_count);
}
