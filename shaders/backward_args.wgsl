// Arguments and bindings of the three forms of the backward scan.

struct Args {
    index: u32, // with one dispatch per step: i
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    h_offset: u32,    // vec4
    w_offset: u32,    // vec4; W_hh transposed
    keep_offset: u32, // elements
    xi_offset: u32,   // elements
    delta_offset: u32, // vec4
    carry_offset: u32, // vec4
    carry_in: u32,
}

@group(0) @binding(0) var<storage, read> h: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> edges: array<f32>; // keep and xi
@group(0) @binding(3) var<storage, read_write> delta: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> carry: array<vec4f>;
@group(0) @binding(5) var<uniform> args: Args;

