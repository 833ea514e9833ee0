// C (+)= op(A) op(B), batched, in vec4 units along rows. One invocation computes one register tile; the invocations of a
// workgroup share their rows of A (read at the same address) and are adjacent along the columns (coalesced).
//
// Sizes that are not a multiple of a tile: loads clamp to the last row or column, stores are skipped. Along the inner
// dimension, columns beyond the end are zero by the arena's convention, and rows beyond it (op = transposed A, or B as
// stored) are zeroed in A, so that no stale memory enters a sum, not even a NaN.
//
// The inner dimension may be split into parts: each part is a separate product, stored separately in C.

override WIDTH: u32;
override TRANSPOSE_A: bool;
override TRANSPOSE_B: bool;

const TN_MASKED = 3u;
const NN_MASKED = 4u;

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
    form: u32, // 0 AB, 1 AB^T, 2 A^T B, 3 A^T B under a mask, 4 AB under a mask; the overrides say the same except for the mask
    parts: u32, // of the inner dimension
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> args: Args;

var<private> row4: u32;
var<private> col4: u32;
var<private> a_base: u32;
var<private> b_base: u32;
var<private> mask_base: u32;
// Length of this part of the inner dimension.
var<private> inner_size: u32;

fn column(v: u32) -> u32 {
    return min(col4 + v * WIDTH, (args.cols + 3u) / 4u - 1u);
}

// Vec4 i of the tile's part of A at k4: row i of A; or, for a transposed A, row i % 4 of the block's four inner rows, at the columns
// of row block i / 4. An inner row is zero if it is masked or beyond the end.
fn a_row(i: u32, k: u32) -> vec4f {
    if TRANSPOSE_A {
        let inner = k * 4u + i % 4u;
        let clamped = min(inner, inner_size - 1u);
        var live = inner < inner_size;
        if args.form == TN_MASKED {
            live = live && mask[mask_base + clamped] != 0.0;
        }
        let block = min(row4 + i / 4u, (args.rows + 3u) / 4u - 1u);
        return select(vec4f(), a[a_base + clamped * args.a_ld + block], live);
    }
    let row = min(row4 * 4u + i, args.rows - 1u);
    let x = a[a_base + k + row * args.a_ld];
    if args.form == NN_MASKED {
        return select(vec4f(), x, mask[args.mask_offset + row] != 0.0);
    }
    return x;
}

fn a_block(rows: mat4x4f) -> mat4x4f {
    if TRANSPOSE_A {
        return transpose(rows);
    }
    return rows;
}

// Row j of a transposed B, which is column j of the result; zero beyond the end, so that the padding of C stays zero.
fn column_row(k: u32, j: u32) -> vec4f {
    return select(vec4f(), b[b_base + k + min(j, args.cols - 1u) * args.b_ld], j < args.cols);
}

fn b_block(k: u32, v: u32) -> mat4x4f {
    let j = column(v);
    if TRANSPOSE_B {
        let j4 = j * 4u;
        return transpose(mat4x4f(column_row(k, j4), column_row(k, j4 + 1u), column_row(k, j4 + 2u), column_row(k, j4 + 3u)));
    }
    let last = inner_size - 1u;
    let at = b_base + j;
    return mat4x4f(
        b[at + min(k * 4u, last) * args.b_ld],
        b[at + min(k * 4u + 1u, last) * args.b_ld],
        b[at + min(k * 4u + 2u, last) * args.b_ld],
        b[at + min(k * 4u + 3u, last) * args.b_ld],
    );
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
    lane = local.x;
    let column_groups = ((args.cols + 3u) / 4u + WIDTH * TILE_COLS4 - 1u) / (WIDTH * TILE_COLS4);
    let index = group.y * groups.x + group.x;
    col4 = (index % column_groups) * (WIDTH * TILE_COLS4) + lane;
    // From values uniform over the workgroup: WGSL requires uniform control flow around subgroup operations.
    let first4 = (index / column_groups) * TILE_ROWS4;
    row4 = first4;
    if first4 * 4u >= args.rows {
        return;
    }
    let blocks = (args.inner + 3u) / 4u;
    let span = (blocks + args.parts - 1u) / args.parts;
    let first = min(group.z % args.parts * span, blocks);
    let count = min(span, blocks - first);
    inner_size = min(count * 4u, args.inner - min(first * 4u, args.inner));
    mask_base = args.mask_offset + first * 4u;
    a_base = args.a_offset + group.z / args.parts * args.a_stride + first * select(1u, 4u * args.a_ld, TRANSPOSE_A);
    b_base = args.b_offset + group.z / args.parts * args.b_stride + first * select(4u * args.b_ld, 1u, TRANSPOSE_B);
    let c_base = args.c_offset + group.z * args.c_stride;
    find_share();
    tile_product(count);
    for (var r = 0u; r < TILE_ROWS; r++) {
        let i = row4 * 4u + r;
        for (var v = 0u; v < TILE_COLS4; v++) {
            let j = col4 + v * WIDTH;
            if i < args.rows && j * 4u < args.cols {
                let at = c_base + i * args.c_ld + j;
                var sum = parked_row(r, v);
                if args.accumulate != 0u {
                    sum += c[at];
                }
                c[at] = sum;
            }
        }
    }
}
