// h = phi(a). The activations are numbered as cells::Activation: 0 tanh, 1 relu, else identity.

fn cell_forward(a: mat4x4f, m: mat4x4f, hp: vec4f, cp: vec4f) -> Step {
    let x = a[0] + m[0];
    switch args.phi {
        case 0u: { return Step(mat4x4f(), safe_tanh(x), vec4f()); }
        case 1u: { return Step(mat4x4f(), select(max(x, vec4f()), x, is_nan(x)), vec4f()); }
        default: { return Step(mat4x4f(), x, vec4f()); }
    }
}

// phi'(a) is a function of h = phi(a).
fn cell_backward(gates: mat4x4f, now: vec4f, before: vec4f, g_h: vec4f, g_c: vec4f) -> Flow {
    var slope = vec4f(1.0);
    switch args.phi {
        case 0u: { slope = 1.0 - now * now; }
        case 1u: { slope = select(vec4f(), vec4f(1.0), now > vec4f()); }
        default: {}
    }
    return Flow(mat4x4f(g_h * slope, vec4f(), vec4f(), vec4f()), vec4f(), vec4f());
}
