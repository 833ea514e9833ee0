//! The machine's best rates, measured on the device itself: a plain product of the same sizes by the fastest method available, and a copy of as many
//! bytes (a small one stays in the caches, as small kernels do).

use crate::timing::{repeat, repeat_runs, runs};
use retrograd::arena::{Arena, Purpose, View};
use retrograd::device::Device;
use retrograd::kernel::{FORMS, Values, Variant};
use retrograd::kernels::{gather, matmul};
use retrograd::layout::Program;
use retrograd::recording::Recording;
use std::collections::BTreeMap;

/// Best rates of a device, each measured on first use.
pub(crate) struct Roofline<'a> {
    device: &'a Device,
    products: BTreeMap<[u32; 3], f64>,
    copies: BTreeMap<u32, f64>,
}

impl<'a> Roofline<'a> {
    pub(crate) fn new(device: &'a Device) -> Self {
        Roofline { device, products: BTreeMap::new(), copies: BTreeMap::new() }
    }

    /// Operations per second of `[rows, inner]` times `[inner, cols]`, sizes as [rows, cols, inner]: the fastest of all tiles of this
    /// crate's kernel and, on the CPU, of the matrix library alone.
    pub(crate) fn product(&mut self, sizes: [u32; 3]) -> f64 {
        let device = self.device;
        *self.products.entry(sizes).or_insert_with(|| {
            let own = match device {
                Device::Cpu { threads } => library(sizes, *threads).max(plain(device, sizes, device.capabilities().matmul)),
                Device::Gpu(_) => {
                    let can = device.capabilities();
                    let forms = FORMS.into_iter().zip(can.speeds).filter(|(_, speed)| *speed > 0).map(|((tile, loads), _)| can.form(tile, loads));
                    forms.map(|form| plain(device, sizes, form)).fold(0.0, f64::max)
                }
            };
            own * 2.0 * sizes.map(f64::from).iter().product::<f64>()
        })
    }

    /// Bytes per second, reads plus writes, of a copy that moves about `bytes`.
    pub(crate) fn copy(&mut self, bytes: f64) -> f64 {
        let rows = ((bytes / 8.0 / 1024.0).ceil() as u32).max(1).next_power_of_two();
        let device = self.device;
        *self.copies.entry(rows).or_insert_with(|| copy(device, rows))
    }
}

/// Products per second of this crate's kernel.
fn plain(device: &Device, [rows, cols, inner]: [u32; 3], variant: Variant) -> f64 {
    let mut arena = Arena::default();
    let mut view = |name: &str, rows: u32, cols: u32| {
        let ld = cols.next_multiple_of(4);
        View { slot: arena.persistent(name, rows.next_multiple_of(4) * ld, Purpose::Activations), offset: 0.into(), rows: rows.into(), cols: cols.into(), ld }
    };
    let [a, b, c] = [view("a", rows, inner), view("b", inner, cols), view("c", rows, cols)];
    let mut recording = Recording::new("product");
    let operands = matmul::Operands { form: matmul::Form::Nn, a, b, c, mask: None, accumulate: 0.into() };
    matmul::record(&mut recording, "product", variant, operands, matmul::StridedBatch::ONE);
    per_second(device, arena, recording)
}

/// Products per second of the library, with rows split over the threads.
fn library([rows, cols, inner]: [u32; 3], threads: usize) -> f64 {
    let [m, n, k] = [rows, cols, inner].map(|n| n as usize);
    let (a, b, mut c) = (vec![0.5f32; m * k], vec![0.25f32; k * n], vec![0f32; m * n]);
    let part = m.div_ceil(threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let mut product = || {
        rayon::scope(|scope| {
            for (a, c) in a.chunks(part * k).zip(c.chunks_mut(part * n)) {
                scope.spawn(|_| library_part([c.len() / n, n, k], a, &b, c));
            }
        });
    };
    pool.install(|| {
        product();
        1.0 / repeat(0.1, &mut product).median
    })
}

#[allow(unsafe_code)]
fn library_part([m, n, k]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
    let [rs_a, rs] = [k, n].map(|n| n as isize);
    // SAFETY: the slices hold m k, k n and m n values, the lengths of row-major matrices of these sizes.
    unsafe {
        let (c, a, b) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
        gemm::gemm(m, n, k, c, 1, rs, false, a, 1, rs_a, b, 1, rs, 0.0, 1.0, false, false, false, gemm::Parallelism::None);
    }
}

/// Bytes per second of gathering rows of 1,024 floats by a list that names each once, in order.
fn copy(device: &Device, rows: u32) -> f64 {
    let mut arena = Arena::default();
    let mut view = |name: &str, cols: u32| View {
        slot: arena.persistent(name, rows.next_multiple_of(4) * cols, Purpose::Activations),
        offset: 0.into(),
        rows: rows.into(),
        cols: cols.into(),
        ld: cols,
    };
    let [tokens, from, to] = [view("tokens", 1), view("from", 1024), view("to", 1024)];
    let mut recording = Recording::new("copy");
    gather::record(&mut recording, "copy", device.capabilities().matmul, tokens, from, to);
    let list: Vec<u32> = (0..rows).collect();
    let program = Program::new(arena, vec![recording], device.capabilities().binding_bytes);
    let mut executor = device.executor(program).expect("the copy fits");
    executor.upload(tokens.slot, 0, &list).expect("upload");
    8.0 * 1024.0 * f64::from(rows) * timed(device, &mut *executor)
}

fn per_second(device: &Device, arena: Arena, recording: Recording) -> f64 {
    let program = Program::new(arena, vec![recording], device.capabilities().binding_bytes);
    timed(device, &mut *device.executor(program).expect("the product fits"))
}

fn timed(device: &Device, executor: &mut dyn retrograd::exec::Executor) -> f64 {
    let runs = runs(device);
    let mut run = || {
        (0..runs).for_each(|_| executor.run(0, &Values::default()).expect("the device runs"));
        executor.wait().expect("the device runs");
    };
    run();
    1.0 / repeat_runs(0.05, runs, run).median
}
