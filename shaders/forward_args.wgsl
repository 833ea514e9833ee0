// Arguments and bindings of the three forms of the forward scan.

struct Args {
    index: u32, // with one dispatch per step: 0 for the incoming state, else t + 1
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    pre_offset: u32, // vec4
    w_offset: u32,   // vec4
    bias: u32,       // 1 if there is a bias
    bias_offset: u32, // vec4
    keep_offset: u32, // elements
    state_in: u32,   // vec4
    state_out: u32,  // vec4
    h_offset: u32,   // vec4
}

@group(0) @binding(0) var<storage, read> pre: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> keep: array<f32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> h: array<vec4f>;
@group(0) @binding(5) var<uniform> args: Args;

