// One update of all parameters. g is the gradient times the clip factor, or clamped by value. The rule's arm of `apply` updates a parameter; the arms
// are in src/optimizer, beside each rule's CPU implementation, and are appended to this text.
// A non-finite gradient leaves everything unchanged. Padding has gradient zero and stays zero under every rule.

// Fixed when the pipeline is created: software drivers execute every branch.
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
    apply(i, params[i], g, vec2f(bitcast<f32>(status[4]), bitcast<f32>(status[5])));
}
