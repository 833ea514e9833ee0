
// Accumulators of a tiled kernel, parked in the invocation's own cells of workgroup memory before a rolled loop processes
// them: storing them from registers would unroll edge checks and activations over the whole tile, which takes drivers
// seconds to compile. Appended after the kernel, because naga 30 wants an override before the array that it sizes.

var<workgroup> parked: array<vec4f, WIDTH * TILE_ROWS4 * TILE_COLS4 * 4u>;
var<private> lane: u32;

// The cells are the invocation's own: no barrier is needed.
fn tile_ready() {}

fn store_block(r: u32, v: u32, block: mat4x4f) {
    let at = ((r * TILE_COLS4 + v) * 4u) * WIDTH + lane;
    parked[at] = block[0];
    parked[at + WIDTH] = block[1];
    parked[at + 2u * WIDTH] = block[2];
    parked[at + 3u * WIDTH] = block[3];
}

// Row r of the tile, its vec4 column v.
fn parked_row(r: u32, v: u32) -> vec4f {
    return parked[((r / 4u * TILE_COLS4 + v) * 4u + r % 4u) * WIDTH + lane];
}
