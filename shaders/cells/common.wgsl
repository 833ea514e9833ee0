// What the steps of all cells use.

// One step forward: the activations to be kept, h and c.
struct Step {
    gates: mat4x4f,
    h: vec4f,
    c: vec4f,
}

// One step back: the deltas, the part of dL/dh of the step before that does not pass through W_hh, and its dL/dc.
struct Flow {
    gates: mat4x4f,
    h: vec4f,
    c: vec4f,
}

// By its bits: a compiler may assume that there is no NaN, and clamp or max may turn one into a number.
fn is_nan(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// Some drivers return NaN for a large argument; beyond this one tanh is 1 in f32.
fn safe_tanh(x: vec4f) -> vec4f {
    return select(tanh(clamp(x, vec4f(-9.010913), vec4f(9.010913))), x, is_nan(x));
}

// Beyond this argument exp is not finite in f32.
fn sigmoid(x: vec4f) -> vec4f {
    return select(1.0 / (1.0 + exp(clamp(-x, vec4f(-88.0), vec4f(88.0)))), x, is_nan(x));
}

