// A register tile of 4 rows by 16 columns: four mat4x4 in a row, for wide rows in little workgroup memory.
// See tile_16x16.wgsl for the scheme.

const TILE_ROWS4 = 1u;
const TILE_COLS4 = 4u;

struct Tile {
    m00: mat4x4f, m01: mat4x4f, m02: mat4x4f, m03: mat4x4f,
}

fn tile_product(count: u32) {
    var t = Tile();
    for (var k = 0u; k < count; k++) {
        let a0 = a_block(0u, k);
        t.m00 += b_block(k, 0u) * a0;
        t.m01 += b_block(k, 1u) * a0;
        t.m02 += b_block(k, 2u) * a0;
        t.m03 += b_block(k, 3u) * a0;
    }
    tile_ready();
    store_block(0u, 0u, t.m00);
    store_block(0u, 1u, t.m01);
    store_block(0u, 2u, t.m02);
    store_block(0u, 3u, t.m03);
}
