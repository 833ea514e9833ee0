// C (+)= op(A) op(B), as in matmul.wgsl, with tiles of A and B staged in workgroup memory: a workgroup of SIDE x SIDE
// invocations computes 4 SIDE BLOCKS rows by as many columns, STEPS inner steps at a time, each invocation BLOCKS x BLOCKS blocks of 4x4.
// Each value is loaded once per workgroup instead of once per 4 rows or columns, and the next tiles are loaded while the current ones are
// multiplied. For adapters with many cores, whose caches the repeated loads would fill.

override TRANSPOSE_A: bool;
override TRANSPOSE_B: bool;
override SIDE: u32;   // 8 or 16
override BLOCKS: u32; // 1 or 2
override STEPS: u32;  // a multiple of 4

const TN_MASKED = 3u;
const NN_MASKED = 4u;
// vec4s of a staged inner step.
override WIDE: u32 = SIDE * BLOCKS;
// Blocks of 4x4 values in a tile of A, and in one of B.
override COUNT: u32 = WIDE * STEPS / 4u;
// Blocks that an invocation loads, of A and B together: 1 or 2; if there are fewer, the last invocations load none.
override EACH: u32 = (2u * COUNT + SIDE * SIDE - 1u) / (SIDE * SIDE);

struct Args {
    rows: u32,
    cols: u32,
    inner: u32,
    a_offset: u32, // vec4, like every offset, leading dimension and stride here
    a_ld: u32,
    a_stride: u32,
    b_offset: u32,
    b_ld: u32,
    b_stride: u32,
    c_offset: u32,
    c_ld: u32,
    c_stride: u32,
    mask_offset: u32, // elements
    accumulate: u32,
    batch: u32,
    form: u32,
    parts: u32, // of the inner dimension, each stored separately in C
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> args: Args;

// Step k, row (or column) block i is at `cell(k, i)`: four rows of A (columns of B) at one inner step.
var<workgroup> left: array<vec4f, STEPS * WIDE>;
var<workgroup> right: array<vec4f, STEPS * WIDE>;

var<private> mask_base: u32;
// Length of this part of the inner dimension.
var<private> inner_size: u32;
var<private> a_base: u32;
var<private> b_base: u32;
// First row and column of the tile, in blocks.
var<private> row4: u32;
var<private> col4: u32;

// The result: row blocks y and y + SIDE, column blocks x and x + SIDE, so that neighbours read neighbouring vec4s.
var<private> m00: mat4x4f;
var<private> m01: mat4x4f;
var<private> m10: mat4x4f;
var<private> m11: mat4x4f;

// Blocks of steps are shifted against each other, so that values stored together lie in different banks.
fn cell(k: u32, i: u32) -> u32 {
    return k * WIDE + (i ^ ((k / 4u) & 7u));
}

// Inner-step and row block numbers of block i of a tile of A or B; adjacent invocations take blocks adjacent in memory.
fn place(i: u32, across: bool) -> vec2u {
    if across {
        return vec2u(i / WIDE, i % WIDE);
    }
    return vec2u(i % (STEPS / 4u), i / (STEPS / 4u));
}

// Four inner steps by four rows of A from inner step k0 on. Rows and inner steps that are masked or beyond the end are zero:
// no stale memory enters a sum.
fn block_of_a(at: vec2u, k0: u32) -> mat4x4f {
    let k = k0 + at.x * 4u;
    let i = row4 + at.y;
    var m = mat4x4f();
    for (var q = 0u; q < 4u; q++) {
        var x = vec4f();
        if TRANSPOSE_A {
            var live = k + q < inner_size && i * 4u < args.rows;
            if live && args.form == TN_MASKED {
                live = mask[mask_base + k + q] != 0.0;
            }
            if live {
                x = a[a_base + (k + q) * args.a_ld + i];
            }
        } else if i * 4u + q < args.rows && k < inner_size {
            if args.form != NN_MASKED || mask[args.mask_offset + i * 4u + q] != 0.0 {
                x = a[a_base + (i * 4u + q) * args.a_ld + k / 4u];
            }
        }
        m = mat4x4f(m[1], m[2], m[3], x);
    }
    if TRANSPOSE_A {
        return m;
    }
    return transpose(m);
}

fn block_of_b(at: vec2u, k0: u32) -> mat4x4f {
    let k = k0 + at.x * 4u;
    let j = col4 + at.y;
    var m = mat4x4f();
    for (var q = 0u; q < 4u; q++) {
        var x = vec4f();
        if TRANSPOSE_B {
            if j * 4u + q < args.cols && k < inner_size {
                x = b[b_base + (j * 4u + q) * args.b_ld + k / 4u];
            }
        } else if k + q < inner_size && j * 4u < args.cols {
            x = b[b_base + (k + q) * args.b_ld + j];
        }
        m = mat4x4f(m[1], m[2], m[3], x);
    }
    if TRANSPOSE_B {
        return transpose(m);
    }
    return m;
}

// Block i of both tiles: first those of A, then those of B.
fn load(i: u32, k0: u32) -> mat4x4f {
    if i < COUNT {
        return block_of_a(place(i, TRANSPOSE_A), k0);
    }
    if i < 2u * COUNT {
        return block_of_b(place(i - COUNT, !TRANSPOSE_B), k0);
    }
    return mat4x4f();
}

fn stage(i: u32, m: mat4x4f) {
    if i < COUNT {
        let at = place(i, TRANSPOSE_A);
        for (var q = 0u; q < 4u; q++) {
            left[cell(at.x * 4u + q, at.y)] = m[q];
        }
    } else if i < 2u * COUNT {
        let at = place(i - COUNT, !TRANSPOSE_B);
        for (var q = 0u; q < 4u; q++) {
            right[cell(at.x * 4u + q, at.y)] = m[q];
        }
    }
}

// Adds the products of one inner step.
fn multiply(k: u32, local: vec3u) {
    let x0 = left[cell(k, local.y)];
    let y0 = right[cell(k, local.x)];
    m00 += mat4x4f(y0 * x0.x, y0 * x0.y, y0 * x0.z, y0 * x0.w);
    if BLOCKS > 1u {
        let x1 = left[cell(k, local.y + SIDE)];
        let y1 = right[cell(k, local.x + SIDE)];
        m01 += mat4x4f(y1 * x0.x, y1 * x0.y, y1 * x0.z, y1 * x0.w);
        m10 += mat4x4f(y0 * x1.x, y0 * x1.y, y0 * x1.z, y0 * x1.w);
        m11 += mat4x4f(y1 * x1.x, y1 * x1.y, y1 * x1.z, y1 * x1.w);
    }
}

fn store(c_base: u32, i4: u32, j: u32, m: mat4x4f) {
    for (var q = 0u; q < 4u; q++) {
        let i = i4 * 4u + q;
        if i < args.rows && j * 4u < args.cols {
            let at = c_base + i * args.c_ld + j;
            var sum = m[q];
            if args.accumulate != 0u {
                sum += c[at];
            }
            c[at] = sum;
        }
    }
}

@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) id: u32,
) {
    let column_groups = (args.cols + 4u * WIDE - 1u) / (4u * WIDE);
    let index = group.y * groups.x + group.x;
    let first4 = index / column_groups * WIDE;
    row4 = first4;
    col4 = index % column_groups * WIDE;
    if first4 * 4u >= args.rows {
        return;
    }
    let blocks = (args.inner + 3u) / 4u;
    let span = (blocks + args.parts - 1u) / args.parts;
    let first = min(group.z % args.parts * span, blocks);
    let inner = min(min(span, blocks - first) * 4u, args.inner - min(first * 4u, args.inner));
    inner_size = inner;
    mask_base = args.mask_offset + first * 4u;
    a_base = args.a_offset + group.z / args.parts * args.a_stride + first * select(1u, 4u * args.a_ld, TRANSPOSE_A);
    b_base = args.b_offset + group.z / args.parts * args.b_stride + first * select(4u * args.b_ld, 1u, TRANSPOSE_B);
    var next0 = load(id, 0u);
    var next1 = mat4x4f();
    if EACH > 1u {
        next1 = load(id + SIDE * SIDE, 0u);
    }
    // Not `inner_size`: a private variable does not count as uniform over the workgroup, which the barrier requires.
    for (var k0 = 0u; k0 < inner; k0 += STEPS) {
        workgroupBarrier();
        stage(id, next0);
        if EACH > 1u {
            stage(id + SIDE * SIDE, next1);
        }
        workgroupBarrier();
        if k0 + STEPS < inner {
            next0 = load(id, k0 + STEPS);
            if EACH > 1u {
                next1 = load(id + SIDE * SIDE, k0 + STEPS);
            }
        }
        for (var k = 0u; k < STEPS; k += 4u) {
            multiply(k, local);
            multiply(k + 1u, local);
            multiply(k + 2u, local);
            multiply(k + 3u, local);
        }
    }
    let c_base = args.c_offset + group.z * args.c_stride;
    let i = row4 + local.y;
    let j = col4 + local.x;
    store(c_base, i, j, m00);
    if BLOCKS > 1u {
        store(c_base, i, j + SIDE, m01);
        store(c_base, i + SIDE, j, m10);
        store(c_base, i + SIDE, j + SIDE, m11);
    }
}
