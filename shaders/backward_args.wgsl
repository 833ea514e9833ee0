// Arguments and bindings of the three forms of the backward scan; those of d_h and of the arguments follow, see src/kernels/scan/text.rs.

struct Args {
    index: u32, // with one dispatch per step: i
    steps: u32,
    lanes: u32,
    hidden4: u32,
    cell: u32, // read by the CPU only
    phi: u32,
    past_offset: u32, // vec4
    w_offset: u32,    // vec4; W_hh transposed
    keep_offset: u32, // elements
    xi_offset: u32,   // elements
    d_h_offset: u32,  // vec4
    delta_offset: u32, // vec4
    carry_offset: u32, // vec4
    carry_in: u32,
    probe: u32,       // 1 to store the gradients of the states
    g_offset: u32,    // vec4
}

// Blocks 0 to S of c, or of h for a cell without c.
@group(0) @binding(0) var<storage, read> past: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> edges: array<f32>; // keep and xi
// The activations, replaced by the deltas; without activations, d_h.
@group(0) @binding(3) var<storage, read_write> delta: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> carry: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> g: array<vec4f>;

// What flows back into step t: dL/dh and dL/dc.
struct Gradient {
    h: vec4f,
    c: vec4f,
}

// Weight of the edge from step t back to step t - 1.
fn edge(t: u32, lane: u32) -> f32 {
    let at = t * args.lanes + lane;
    return edges[args.keep_offset + at] * edges[args.xi_offset + at];
}

// The gradient times the weight of an edge; 0 if that is 0, whatever the gradient.
fn weighted(weight: f32, x: Gradient) -> Gradient {
    let cut = weight == 0.0;
    return Gradient(select(weight * x.h, vec4f(), cut), select(weight * x.c, vec4f(), cut));
}

// Vec4 j of a lane's carry: of h, or with `part` 1 of c.
fn carry_at(lane: u32, part: u32, j: u32) -> u32 {
    return args.carry_offset + (lane * STATES + part) * args.hidden4 + j;
}

fn load_carry(lane: u32, j: u32) -> Gradient {
    if STATES == 2u {
        return Gradient(carry[carry_at(lane, 0u, j)], carry[carry_at(lane, 1u, j)]);
    }
    return Gradient(carry[carry_at(lane, 0u, j)], vec4f());
}

fn store_carry(lane: u32, j: u32, x: Gradient) {
    carry[carry_at(lane, 0u, j)] = x.h;
    if STATES == 2u {
        carry[carry_at(lane, 1u, j)] = x.c;
    }
}

// What a step reads of memory.
struct Read {
    d_h: vec4f,
    gates: mat4x4f,
    now: vec4f,
    before: vec4f,
}

fn load_step(t: u32, lane: u32, j: u32) -> Read {
    let row = t * args.lanes + lane;
    let at = args.past_offset + row * args.hidden4 + j;
    let kept = edges[args.keep_offset + row] != 0.0;
    return Read(load_d_h(row, j), load_gates(row, j), past[at + args.lanes * args.hidden4], select(vec4f(), past[at], kept));
}

// Step t from what flows back into it: stores the deltas and returns the gradient of the state before, without the part through W_hh.
fn step_back(t: u32, lane: u32, j: u32, read: Read, flow: Gradient) -> Flow {
    let row = t * args.lanes + lane;
    let g_h = read.d_h + flow.h;
    if args.probe != 0u {
        let at = args.g_offset + row * STATES * args.hidden4 + j;
        g[at] = g_h;
        if STATES == 2u {
            g[at + args.hidden4] = flow.c;
        }
    }
    let back = cell_backward(read.gates, read.now, read.before, g_h, flow.c);
    store_delta(row, j, back.gates);
    return back;
}

