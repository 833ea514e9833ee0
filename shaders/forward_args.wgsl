// Arguments and bindings of the three forms of the forward scan; those of c and of the arguments follow, see src/kernels/scan/text.rs.

struct Args {
    index: u32, // with one dispatch per step: 0 for the incoming state, else t + 1
    steps: u32,
    lanes: u32,
    hidden4: u32,
    cell: u32, // read by the CPU only
    phi: u32,
    gates_offset: u32, // vec4
    w_offset: u32,   // vec4
    bias: u32,       // 1 if there is a bias
    bias_offset: u32, // vec4
    keep_offset: u32, // elements
    state_in: u32,   // vec4
    state_out: u32,  // vec4
    h_offset: u32,   // vec4
    c_offset: u32,   // vec4
}

// x_t W_xh, replaced by the activations where the cell keeps them.
@group(0) @binding(0) var<storage, read_write> gates: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> keep: array<f32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> h: array<vec4f>;

// Vec4 j of a lane's incoming or outgoing state, which begins at `offset`: of h, or with `part` 1 of c.
fn state_at(offset: u32, lane: u32, part: u32, j: u32) -> u32 {
    return offset + (lane * STATES + part) * args.hidden4 + j;
}

// Whether the state of the step before is kept.
fn is_kept(t: u32, lane: u32) -> bool {
    return keep[args.keep_offset + t * args.lanes + lane] != 0.0;
}

// Copies the incoming state to block 0 of h and c.
fn copy_state(lane: u32, j: u32) {
    let at = lane * args.hidden4 + j;
    h[args.h_offset + at] = states[state_at(args.state_in, lane, 0u, j)];
    if STATES == 2u {
        store_c(at, states[state_at(args.state_in, lane, 1u, j)]);
    }
}

// Stores the results of step t.
fn store_step(t: u32, lane: u32, j: u32, step: Step) {
    let row = t * args.lanes + lane;
    store_gates(row, j, step.gates);
    let at = (row + args.lanes) * args.hidden4 + j;
    h[args.h_offset + at] = step.h;
    store_c(at, step.c);
    if t + 1u == args.steps {
        states[state_at(args.state_out, lane, 0u, j)] = step.h;
        if STATES == 2u {
            states[state_at(args.state_out, lane, 1u, j)] = step.c;
        }
    }
}

