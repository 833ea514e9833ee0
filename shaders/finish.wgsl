// Closes an update: the norm from its parts, whether the update applies, the clip factor, Adam's bias corrections, and a row of
// the metrics ring. The count of applied updates is kept here, on the device, so that a skipped update is not counted.
//
// status: 0 applied, 1 skipped, 2 applies now, 3 clip factor, 4 and 5 1 - beta^applied; from 16 on the ring, with rows of 4:
// loss, norm, applies, applied.

override PARTS: u32; // number of partial sums from norm, a multiple of 4

struct Args {
    parts: u32,
    clip_norm: f32, // 0: no clipping
    ln_beta1: f32,
    ln_beta2: f32,
    inverse_n: f32,
    ring_row: u32,
}

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read_write> status: array<u32>;
@group(0) @binding(3) var<uniform> args: Args;

// 1 - exp(x) for x <= 0 without cancellation near 0.
fn one_minus_exp(x: f32) -> f32 {
    if x < -0.5 {
        return 1.0 - exp(x);
    }
    var sum = 1.0;
    for (var n = 10.0; n > 1.5; n -= 1.0) {
        sum = 1.0 + sum * x / n;
    }
    return -x * sum;
}

// The parts, loaded in parallel.
var<workgroup> parts: array<vec2f, PARTS>;

@compute @workgroup_size(PARTS)
fn main(@builtin(local_invocation_index) id: u32) {
    parts[id] = vec2f(part[2u * id], part[2u * id + 1u]);
    workgroupBarrier();
    if id != 0u {
        return;
    }
    var all = vec2f();
    for (var i = 0u; i < PARTS; i += 4u) {
        all += (parts[i] + parts[i + 1u]) + (parts[i + 2u] + parts[i + 3u]);
    }
    let sum = all.x;
    let bad = all.y;
    let overflow = (bitcast<u32>(sum) & 0x7f800000u) == 0x7f800000u;
    let applies = select(1u, 0u, overflow || bad != 0.0);
    let norm = sqrt(sum);
    status[0] += applies;
    status[1] += 1u - applies;
    status[2] = applies;
    var factor = 1.0;
    if args.clip_norm > 0.0 {
        factor = min(1.0, args.clip_norm / (norm + 1e-6));
    }
    let applied = f32(status[0]);
    status[3] = bitcast<u32>(factor);
    status[4] = bitcast<u32>(one_minus_exp(applied * args.ln_beta1));
    status[5] = bitcast<u32>(one_minus_exp(applied * args.ln_beta2));
    let row = 16u + args.ring_row * 4u;
    status[row] = bitcast<u32>(loss[0] * args.inverse_n);
    // A non-finite norm is stored as the bits of infinity, whatever the sum was.
    status[row + 1u] = select(0x7f800000u, bitcast<u32>(norm), applies != 0u);
    status[row + 2u] = applies;
    status[row + 3u] = status[0];
}
