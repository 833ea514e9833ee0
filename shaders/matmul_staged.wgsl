// C (+)= op(A) op(B), as matmul.wgsl computes it, with tiles of A and B staged in workgroup memory: a workgroup of 8x8
// invocations computes 64 rows by 64 columns, 16 inner steps at a time, each invocation 8 rows by 8 columns. Each number is
// loaded once a workgroup instead of once for 8 rows or columns: for adapters with many cores, whose caches those loads would fill.

override TRANSPOSE_A: bool;
override TRANSPOSE_B: bool;

const MASKED = 3u;
// vec4s of a staged tile: 16 inner steps of 64 rows or columns, so 16 vec4s a step.
const STEPS = 16u;
const WIDE = 16u;

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
    parts: u32, // of the inner dimension, each with a place of its own in C
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> args: Args;

// Step k, row (or column) block i at k * WIDE + i: four rows of A (columns of B) at one inner step.
var<workgroup> left: array<vec4f, 256>;
var<workgroup> right: array<vec4f, 256>;

var<private> mask_base: u32;
// Length of this part of the inner dimension.
var<private> inner_size: u32;

fn live(k: u32) -> bool {
    if k >= inner_size {
        return false;
    }
    if args.form == MASKED {
        return mask[mask_base + k] != 0.0;
    }
    return true;
}

// Stages inner steps k0..k0+16: each of the 64 invocations 4 steps of 4 rows of A and of 4 columns of B. Rows, columns and inner
// steps beyond the end are zero: nothing left over in memory enters a sum.
fn stage(id: u32, k0: u32, row0: u32, col0: u32, a_base: u32, b_base: u32) {
    // Four consecutive invocations share a cache line: along the rows of what lies in memory.
    if TRANSPOSE_A {
        for (var q = 0u; q < 4u; q++) {
            let step = id / WIDE * 4u + q;
            let k = k0 + step;
            let i = row0 / 4u + id % WIDE;
            var x = vec4f();
            if live(k) && i * 4u < args.rows {
                x = a[a_base + k * args.a_ld + i];
            }
            left[step * WIDE + id % WIDE] = x;
        }
    } else {
        let step4 = id % 4u;
        let block = id / 4u;
        var m = mat4x4f();
        let k4 = k0 / 4u + step4;
        for (var q = 0u; q < 4u; q++) {
            let i = row0 + block * 4u + q;
            var x = vec4f();
            if i < args.rows && k4 * 4u < inner_size {
                x = a[a_base + i * args.a_ld + k4];
            }
            m = mat4x4f(m[1], m[2], m[3], x);
        }
        m = transpose(m);
        let at = step4 * 4u * WIDE + block;
        left[at] = m[0];
        left[at + WIDE] = m[1];
        left[at + 2u * WIDE] = m[2];
        left[at + 3u * WIDE] = m[3];
    }
    if TRANSPOSE_B {
        let step4 = id % 4u;
        let block = id / 4u;
        var m = mat4x4f();
        let k4 = k0 / 4u + step4;
        for (var q = 0u; q < 4u; q++) {
            let j = col0 + block * 4u + q;
            var x = vec4f();
            if j < args.cols && k4 * 4u < inner_size {
                x = b[b_base + j * args.b_ld + k4];
            }
            m = mat4x4f(m[1], m[2], m[3], x);
        }
        m = transpose(m);
        let at = step4 * 4u * WIDE + block;
        right[at] = m[0];
        right[at + WIDE] = m[1];
        right[at + 2u * WIDE] = m[2];
        right[at + 3u * WIDE] = m[3];
    } else {
        for (var q = 0u; q < 4u; q++) {
            let step = id / WIDE * 4u + q;
            let k = k0 + step;
            let j = col0 / 4u + id % WIDE;
            var x = vec4f();
            if k < inner_size && j * 4u < args.cols {
                x = b[b_base + k * args.b_ld + j];
            }
            right[step * WIDE + id % WIDE] = x;
        }
    }
}

fn store(c_base: u32, i0: u32, j: u32, m: mat4x4f) {
    for (var q = 0u; q < 4u; q++) {
        let i = i0 + q;
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

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) id: u32,
) {
    let column_groups = (args.cols + 63u) / 64u;
    let index = group.y * groups.x + group.x;
    let row0 = index / column_groups * 64u;
    let col0 = index % column_groups * 64u;
    if row0 >= args.rows {
        return;
    }
    let blocks = (args.inner + 3u) / 4u;
    let span = (blocks + args.parts - 1u) / args.parts;
    let first = min(group.z % args.parts * span, blocks);
    let inner = min(min(span, blocks - first) * 4u, args.inner - min(first * 4u, args.inner));
    inner_size = inner;
    mask_base = args.mask_offset + first * 4u;
    let a_base = args.a_offset + group.z / args.parts * args.a_stride + first * select(1u, 4u * args.a_ld, TRANSPOSE_A);
    let b_base = args.b_offset + group.z / args.parts * args.b_stride + first * select(4u * args.b_ld, 1u, TRANSPOSE_B);
    var m00 = mat4x4f();
    var m01 = mat4x4f();
    var m10 = mat4x4f();
    var m11 = mat4x4f();
    // Not by `inner_size`: a private variable is not taken to be the same for the whole workgroup, which a barrier asks for.
    for (var k0 = 0u; k0 < inner; k0 += STEPS) {
        workgroupBarrier();
        stage(id, k0, row0, col0, a_base, b_base);
        workgroupBarrier();
        for (var k = 0u; k < STEPS; k++) {
            // Row blocks y and y + 8, column blocks x and x + 8: neighbours read neighbouring vec4s.
            let x0 = left[k * WIDE + local.y];
            let x1 = left[k * WIDE + local.y + 8u];
            let y0 = right[k * WIDE + local.x];
            let y1 = right[k * WIDE + local.x + 8u];
            m00 += mat4x4f(y0 * x0.x, y0 * x0.y, y0 * x0.z, y0 * x0.w);
            m01 += mat4x4f(y1 * x0.x, y1 * x0.y, y1 * x0.z, y1 * x0.w);
            m10 += mat4x4f(y0 * x1.x, y0 * x1.y, y0 * x1.z, y0 * x1.w);
            m11 += mat4x4f(y1 * x1.x, y1 * x1.y, y1 * x1.z, y1 * x1.w);
        }
    }
    let c_base = args.c_offset + group.z * args.c_stride;
    let i = row0 + local.y * 4u;
    let j = col0 / 4u + local.x;
    store(c_base, i, j, m00);
    store(c_base, i, j + 8u, m01);
    store(c_base, i + 32u, j, m10);
    store(c_base, i + 32u, j + 8u, m11);
}
