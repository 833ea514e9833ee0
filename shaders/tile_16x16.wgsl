// A register tile of 16 rows by 16 columns: sixteen mat4x4, named one by one because a dynamically indexed array would
// leave the registers. Block r,c holds rows 4r..4r+3 (its columns, in WGSL's sense) by columns 4c..4c+3.
// The kernel in front of this text defines a_block(row block, k4), b_block(k4, column block), tile_ready() and
// store_block(r, c, block).

const TILE_ROWS4 = 4u;
const TILE_COLS4 = 4u;

struct Tile {
    m00: mat4x4f, m01: mat4x4f, m02: mat4x4f, m03: mat4x4f,
    m10: mat4x4f, m11: mat4x4f, m12: mat4x4f, m13: mat4x4f,
    m20: mat4x4f, m21: mat4x4f, m22: mat4x4f, m23: mat4x4f,
    m30: mat4x4f, m31: mat4x4f, m32: mat4x4f, m33: mat4x4f,
}

// The product over k4 = 0..count blocks of four, stored.
fn tile_product(count: u32) {
    var t = Tile();
    for (var k = 0u; k < count; k++) {
        let a0 = a_block(0u, k);
        let a1 = a_block(1u, k);
        let a2 = a_block(2u, k);
        let a3 = a_block(3u, k);
        let b0 = b_block(k, 0u);
        t.m00 += b0 * a0;
        t.m10 += b0 * a1;
        t.m20 += b0 * a2;
        t.m30 += b0 * a3;
        let b1 = b_block(k, 1u);
        t.m01 += b1 * a0;
        t.m11 += b1 * a1;
        t.m21 += b1 * a2;
        t.m31 += b1 * a3;
        let b2 = b_block(k, 2u);
        t.m02 += b2 * a0;
        t.m12 += b2 * a1;
        t.m22 += b2 * a2;
        t.m32 += b2 * a3;
        let b3 = b_block(k, 3u);
        t.m03 += b3 * a0;
        t.m13 += b3 * a1;
        t.m23 += b3 * a2;
        t.m33 += b3 * a3;
    }
    tile_ready();
    store_block(0u, 0u, t.m00);
    store_block(0u, 1u, t.m01);
    store_block(0u, 2u, t.m02);
    store_block(0u, 3u, t.m03);
    store_block(1u, 0u, t.m10);
    store_block(1u, 1u, t.m11);
    store_block(1u, 2u, t.m12);
    store_block(1u, 3u, t.m13);
    store_block(2u, 0u, t.m20);
    store_block(2u, 1u, t.m21);
    store_block(2u, 2u, t.m22);
    store_block(2u, 3u, t.m23);
    store_block(3u, 0u, t.m30);
    store_block(3u, 1u, t.m31);
    store_block(3u, 2u, t.m32);
    store_block(3u, 3u, t.m33);
}
