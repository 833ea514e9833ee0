//! Times every form of the recurrence separately, in microseconds per step, forward and backward. Calibration chooses among these.

use crate::kernels::{alone, fill, recorded, values};
use crate::timing::repeat;
use crate::updates::Shape;
use retrograd::device::Device;
use retrograd::kernel::{Capabilities, Loads, SCAN_COLUMNS, ScanForm, Tile};
use retrograd::model::Cell;
use retrograd::optimizer::Clip;

/// The forms to time.
fn forms() -> Vec<ScanForm> {
    let held = |tile, width, blocks| ScanForm { tile, width, loads: Loads::Held(blocks) };
    let sliced = |tile, width, across| ScanForm { tile, width, loads: Loads::Sliced(across) };
    let mut all = Vec::new();
    for tile in [Tile::T1x4, Tile::T2x4, Tile::T4x4] {
        all.extend([(256, 0), (256, 4), (256, 8), (512, 0), (512, 4), (512, 6), (1024, 0), (1024, 2), (1024, 3)].map(|(w, b)| held(tile, w, b)));
    }
    for (tile, width) in [(Tile::T4x4, 256), (Tile::T8x4, 64), (Tile::T8x4, 128), (Tile::T8x4, 256), (Tile::T16x4, 128)] {
        all.extend([8, 16].map(|across| sliced(tile, width, across)));
    }
    all
}

/// Prints microseconds per step of every form at these sizes.
pub(crate) fn bench(device: &Device, cell: Cell, columns: &[u32], lanes: &[u32]) {
    println!("\n{:>5} {:>5} {:>6} {:>24} {:>6} {:>12} {:>12}", "H", "B", "lanes", "form", "width", "us forward", "us backward");
    for &hidden in columns {
        for &lanes in lanes {
            let mut seen = std::collections::HashSet::new();
            for form in forms() {
                let capabilities = Capabilities { scans: Some([[form; 2]; SCAN_COLUMNS.len()]), ..device.capabilities() };
                // More lanes per workgroup would leave most cores idle, fewer would make them wait.
                let groups = lanes / form.tile.rows();
                if matches!(form.loads, Loads::Held(_)) && (hidden > 512 || !(16..=256).contains(&groups)) {
                    continue;
                }
                let v = capabilities.scan_variant(hidden, lanes, cell.spec().gates, 1);
                // A form that does not fit becomes another one.
                let fits = v.tile == form.tile && std::mem::discriminant(&v.loads) == std::mem::discriminant(&form.loads);
                if fits && seen.insert(v) {
                    let times = steps(device, &capabilities, Shape { lanes, ..Shape::new(cell, hidden) });
                    println!("{hidden:>5} {lanes:>5} {:>6} {:>24} {:>6} {:>12.2} {:>12.2}", v.tile.rows(), v.loads.to_string(), v.width, times[0], times[1]);
                }
            }
        }
    }
}

/// Microseconds per step of the forward and of the backward recurrence.
fn steps(device: &Device, capabilities: &Capabilities, shape: Shape) -> [f64; 2] {
    let model = recorded(shape, Clip::None, capabilities);
    ["h.0", "delta.0"].map(|label| {
        let all = model.program.recordings.iter().flat_map(|r| &r.dispatches);
        let dispatch = all.into_iter().find(|d| d.label == label).expect("every model has a recurrence");
        let mut executor = device.executor(alone(&model.program.arena, dispatch, capabilities)).expect("the program fits");
        fill(&mut *executor, &model.program.arena, &dispatch.bindings);
        let values = values(shape);
        const RUNS: u32 = 4;
        let mut run = || {
            (0..RUNS).for_each(|_| executor.run(0, &values).expect("the device runs"));
            executor.wait().expect("the device runs");
        };
        run();
        repeat(0.01, run).min * 1e6 / f64::from(RUNS * shape.steps)
    })
}
