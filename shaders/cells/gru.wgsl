// Gated recurrent unit; the blocks are n, r, z, q, and m is hp W_hh of r, z, q. See src/cells/gru.rs.

fn cell_forward(a: mat4x4f, m: mat4x4f, hp: vec4f, cp: vec4f) -> Step {
    let r = sigmoid(a[1] + m[0]);
    let z = sigmoid(a[2] + m[1]);
    let q = a[3] + m[2];
    let n = safe_tanh(a[0] + r * q);
    return Step(mat4x4f(n, r, z, q), (1.0 - z) * n + z * hp, vec4f());
}

fn cell_backward(gates: mat4x4f, now: vec4f, before: vec4f, g_h: vec4f, g_c: vec4f) -> Flow {
    let n = gates[0];
    let r = gates[1];
    let z = gates[2];
    let q = gates[3];
    let d_n = g_h * (1.0 - z) * (1.0 - n * n);
    let d_z = g_h * (before - n) * z * (1.0 - z);
    return Flow(mat4x4f(d_n, d_n * q * r * (1.0 - r), d_z, d_n * r), g_h * z, vec4f());
}
