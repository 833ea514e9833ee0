// One update of all parameters, as PyTorch defines each rule. g is the gradient times the clip factor, or clamped by value.
//   0 sgd      m = a m + g;  p -= lr m                      (a: momentum)
//   1 rmsprop  v = a v + (1-a) g^2;  p -= lr g / (sqrt(v) + eps)
//   2 adam     m = a m + (1-a) g;  v = b v + (1-b) g^2;  p -= lr (m / (1-a^n)) / (sqrt(v / (1-b^n)) + eps), n updates applied;
//              adamw: p -= lr decay p first
// A gradient that is not finite leaves everything as it is. Padding has gradient zero and stays zero under every rule.

// Fixed when the pipeline is made: software drivers go through every branch.
override RULE: u32;

struct Args {
    count4: u32,
    rule: u32,
    lr: f32,
    a: f32,
    b: f32,
    eps: f32,
    decay: f32,
    clip_value: f32, // 0: no clipping
}

@group(0) @binding(0) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read_write> params: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(5) var<uniform> args: Args;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = (group.y * groups.x + group.x) * 64u + local.x;
    if i >= args.count4 || status[2] == 0u {
        return;
    }
    var g = gradients[i] * bitcast<f32>(status[3]);
    if args.clip_value > 0.0 {
        g = clamp(g, vec4f(-args.clip_value), vec4f(args.clip_value));
    }
    let p = params[i];
    switch RULE {
        case 0u: {
            if args.a != 0.0 {
                g += args.a * m[i];
                m[i] = g;
            }
            params[i] = p - args.lr * g;
        }
        case 1u: {
            let s = args.a * v[i] + (1.0 - args.a) * g * g;
            v[i] = s;
            params[i] = p - args.lr * g / (sqrt(s) + args.eps);
        }
        default: {
            let s = args.a * m[i] + (1.0 - args.a) * g;
            let q = args.b * v[i] + (1.0 - args.b) * g * g;
            m[i] = s;
            v[i] = q;
            let step = (s / bitcast<f32>(status[4])) / (sqrt(q / bitcast<f32>(status[5])) + args.eps);
            params[i] = (p - args.lr * args.decay * p) - args.lr * step;
        }
    }
}
