// The activations, numbered as model::Activation: 0 tanh, 1 relu, else identity.

fn phi(kind: u32, x: vec4f) -> vec4f {
    // Tested by its bits: a compiler may assume that there is no NaN, and clamp or max may turn one into a number.
    let nan = (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
    switch kind {
        // Some drivers return NaN for a large argument; beyond this one tanh is 1 in f32.
        case 0u: { return select(tanh(clamp(x, vec4f(-9.010913), vec4f(9.010913))), x, nan); }
        case 1u: { return select(max(x, vec4f()), x, nan); }
        default: { return x; }
    }
}

// phi'(a) as a function of y = phi(a).
fn phi_slope(kind: u32, y: vec4f) -> vec4f {
    switch kind {
        case 0u: { return 1.0 - y * y; }
        case 1u: { return select(vec4f(), vec4f(1.0), y > vec4f()); }
        default: { return vec4f(1.0); }
    }
}

