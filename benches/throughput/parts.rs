//! Each part of an update beside the machine's best rate for it: what is lost, and where.

use crate::kernels::{product_of, recorded, values};
use crate::roofline::Roofline;
use crate::updates::{Shape, profiled};
use retrograd::device::Device;
use retrograd::model::Cell;
use retrograd::optimizer::Clip;
use retrograd::recording::Dispatch;

/// B 32, T 64, one layer: the profile of whole updates as they run. `best` is the fastest plain product of the same sizes, or a copy of as many bytes, measured
/// in the same run; `lost` is the time beyond that.
pub(crate) fn bench(device: &Device, cells: &[Cell], hidden: &[u32]) {
    let mut roofline = Roofline::new(device);
    for shape in cells.iter().flat_map(|&cell| hidden.iter().map(move |&h| Shape::new(cell, h))) {
        let model = recorded(shape, Clip::Norm(1.0), &device.capabilities());
        let at = values(shape);
        let dispatches: Vec<&Dispatch> = model.program.recordings.iter().flat_map(|r| &r.dispatches).collect();
        let (profile, updates) = profiled(device, shape, 1.5);
        let (each, square) = (1e3 / updates as f64, roofline.product([1024; 3]));
        println!("\n{shape}; best product of 1024 x 1024 x 1024: {:.0} GFLOP/s", square / 1e9);
        println!("{:<20} {:<10} {:>9} {:>7} {:>9} {:>9} {:>8} {:>9}", "kernel", "what", "ms", "share", "GFLOP/s", "best", "of best", "lost ms");
        let mut flops = 0.0;
        for e in &profile.entries {
            let sizes = dispatches.iter().find(|d| d.kernel.name == e.kernel && d.label == e.label).and_then(|d| product_of(d, &at));
            let (least, rate, best) = match sizes {
                Some(sizes) => {
                    let best = roofline.product(sizes);
                    flops += e.work.flops;
                    (e.work.flops / best, e.work.flops / e.seconds, best)
                }
                None => (e.work.bytes / roofline.copy(e.work.bytes / e.calls.max(1) as f64), f64::NAN, f64::NAN),
            };
            let shown = |x: f64| if x.is_nan() { "-".to_string() } else { format!("{:.0}", x / 1e9) };
            println!(
                "{:<20} {:<10} {:>9.4} {:>6.1}% {:>9} {:>9} {:>7.0}% {:>9.4}",
                e.kernel,
                e.label,
                e.seconds * each,
                100.0 * e.seconds / profile.seconds,
                shown(rate),
                shown(best),
                100.0 * least / e.seconds,
                (e.seconds - least).max(0.0) * each
            );
        }
        let rest = profile.seconds - profile.kernel_seconds();
        println!("{:<31} {:>9.4} {:>6.1}%", "between kernels", rest * each, 100.0 * rest / profile.seconds);
        let rate = flops / profile.seconds;
        println!("{:<31} {:>9.4} {:>7} {:>9.0} {:>9.0} {:>7.0}%", "update", profile.seconds * each, "", rate / 1e9, square / 1e9, 100.0 * rate / square);
    }
}
