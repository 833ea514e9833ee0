// Long short-term memory; the blocks are i, f, g, o. See src/cells/lstm.rs.

fn cell_forward(a: mat4x4f, m: mat4x4f, hp: vec4f, cp: vec4f) -> Step {
    let i = sigmoid(a[0] + m[0]);
    let f = sigmoid(a[1] + m[1]);
    let g = safe_tanh(a[2] + m[2]);
    let o = sigmoid(a[3] + m[3]);
    let c = f * cp + i * g;
    return Step(mat4x4f(i, f, g, o), o * safe_tanh(c), c);
}

fn cell_backward(gates: mat4x4f, now: vec4f, before: vec4f, g_h: vec4f, g_c: vec4f) -> Flow {
    let i = gates[0];
    let f = gates[1];
    let g = gates[2];
    let o = gates[3];
    let y = safe_tanh(now);
    let dc = g_c + g_h * o * (1.0 - y * y);
    let deltas = mat4x4f(dc * g * i * (1.0 - i), dc * before * f * (1.0 - f), dc * i * (1.0 - g * g), g_h * y * o * (1.0 - o));
    return Flow(deltas, vec4f(), dc * f);
}
