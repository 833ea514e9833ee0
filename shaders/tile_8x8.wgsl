// A register tile of 8 rows by 8 columns: four mat4x4. See tile_16x16.wgsl for the scheme.

const TILE_ROWS4 = 2u;
const TILE_COLS4 = 2u;

struct Tile {
    m00: mat4x4f, m01: mat4x4f,
    m10: mat4x4f, m11: mat4x4f,
}

fn tile_product(count: u32) {
    var t = Tile();
    for (var k = 0u; k < count; k++) {
        let a0 = a_block(0u, k);
        let a1 = a_block(1u, k);
        let b0 = b_block(k, 0u);
        t.m00 += b0 * a0;
        t.m10 += b0 * a1;
        let b1 = b_block(k, 1u);
        t.m01 += b1 * a0;
        t.m11 += b1 * a1;
    }
    tile_ready();
    store_block(0u, 0u, t.m00);
    store_block(0u, 1u, t.m01);
    store_block(1u, 0u, t.m10);
    store_block(1u, 1u, t.m11);
}
