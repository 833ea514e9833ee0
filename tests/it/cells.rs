//! GRU and LSTM on both executors against the f64 reference: depths, splits, inputs, every form of the recurrence, every way to store the history; and
//! equal bits where they are promised.

use crate::devices::{both, gpu, without_gpu};
use crate::gradients::{check, others};
use retrograd::analysis::gradcheck::{Case, executor, reference, relative_error};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::kernel::{Capabilities, FORMS, Loads, STEPS, ScanForm, Tile};
use retrograd::model::record::{GateStorage, backward, forward, record};
use retrograd::model::{Cell, Config, StashPrecision};
use retrograd::optimizer::{Clip, Optimizer};
use std::collections::BTreeSet;

/// Every cell but the plain one.
pub(crate) const GATED: [Cell; Cell::ALL.len() - 1] = {
    let [Cell::Rnn, gated @ ..] = Cell::ALL else { panic!("the plain cell is the first") };
    gated
};
const STORAGES: [GateStorage; 2] = [GateStorage::Kept, GateStorage::Recomputed];

fn bits(device: &Device, case: &Case) -> Vec<u32> {
    executor(device, case).unwrap().1.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn gradients_agree_with_the_reference_for_every_depth_and_storage() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for (layers, bias) in [(1, true), (1, false), (2, true), (2, false), (3, true), (3, false)] {
            for gates in STORAGES {
                let recompute = layers == 2;
                check(device, &Case { gates, recompute, ..Case::of_cell(cell, layers, bias) });
            }
        }
    }
}

#[test]
fn gradients_agree_with_the_reference_for_every_split_into_segments() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for segment in [1, 2, 5, 16, 17, 40] {
            for (recompute, gates) in [(false, GateStorage::Kept), (true, GateStorage::Kept), (true, GateStorage::Recomputed)] {
                check(device, &Case { segment, recompute, gates, ..Case::of_cell(cell, 2, true) });
            }
        }
    }
}

#[test]
fn gradients_agree_with_the_reference_for_the_smallest_and_uneven_sizes() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for [vocab, hidden, lanes, steps] in [[1, 1, 1, 1], [2, 1, 1, 9], [5, 33, 17, 3], [65, 16, 9, 4], [3, 130, 2, 6]] {
            for gates in STORAGES {
                check(
                    device,
                    &Case { lanes, steps, gates, config: Config { hidden, layers: 1, cell, ..Config::symbols(vocab) }, ..Case::of_cell(cell, 1, true) },
                );
            }
        }
    }
}

#[test]
fn numbers_labels_embeddings_and_dropout_agree_with_the_reference() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for (i, case) in others().into_iter().enumerate() {
            let config = Config { cell, ..case.config };
            check(device, &Case { config, gates: STORAGES[i % 2], ..case });
            // Dropout acts between layers.
            let deep = Config { layers: 3, ..config };
            for dropout in [0.3, 0.9] {
                if i == 0 || i == 6 {
                    check(device, &Case { config: deep, dropout, gates: STORAGES[i / 6], recompute: i == 6, segment: 3, ..case });
                }
            }
        }
    }
}

/// An adapter that runs recurrences in one form: at 1, 2 and 3 layers, gates kept and recomputed.
fn check_form(what: &str, capabilities: Capabilities) {
    let mut device = gpu();
    device.capabilities = capabilities;
    let device = Device::Gpu(Box::new(device));
    for cell in GATED {
        for (layers, gates) in [(1, GateStorage::Kept), (2, GateStorage::Recomputed), (3, GateStorage::Kept)] {
            println!("{what}, {cell}, {layers} layers");
            check(&device, &Case { gates, recompute: layers == 2, ..Case::of_cell(cell, layers, layers != 2) });
        }
    }
}

/// The forms that calibration on hardware chooses from: one dispatch per step, and weights in registers.
#[test]
fn every_form_of_the_recurrence_agrees_with_the_reference() {
    if without_gpu() {
        return;
    }
    let held = |tile, width, blocks| ScanForm { tile, width, loads: Loads::Held(blocks) };
    for form in [STEPS, ScanForm { tile: Tile::T1x4, ..STEPS }, held(Tile::T1x4, 128, 2), held(Tile::T2x4, 256, 8), held(Tile::T4x4, 256, 0)] {
        let capabilities = Capabilities { scans: Some([[form; 2]; 4]), ..gpu().capabilities };
        for sizes in GATED.map(|cell| cell.spec().gates).into_iter().flat_map(|g| [[g, 1], [1, g]]) {
            let found = capabilities.scan_variant(40, 3, sizes[0], sizes[1]);
            assert!(std::mem::discriminant(&found.loads) == std::mem::discriminant(&form.loads), "{form:?}: {found}");
        }
        check_form(&format!("{form:?}"), capabilities);
    }
}

/// The tiles that software drivers use: a workgroup runs through all steps and reads W_hh at each.
#[test]
fn every_tile_of_the_recurrence_agrees_with_the_reference() {
    if without_gpu() {
        return;
    }
    for tile in [Tile::T1x4, Tile::T2x4, Tile::T4x4, Tile::T16x4] {
        let capabilities = Capabilities { scan: tile, scans: None, ..gpu().capabilities };
        assert_eq!(capabilities.scan_variant(40, 3, 4, 1).tile, tile);
        check_form(&tile.to_string(), capabilities);
    }
}

/// As on hardware with many cores: long sums in parts.
#[test]
fn sums_in_parts_agree_with_the_reference() {
    if without_gpu() {
        return;
    }
    let mut device = gpu();
    device.capabilities.latencies = FORMS.map(|_| 1_000_000);
    device.capabilities.flops_per_second = 1e13;
    let device = Device::Gpu(Box::new(device));
    for (cell, gates) in GATED.into_iter().flat_map(|cell| STORAGES.map(|gates| (cell, gates))) {
        let case = Case { lanes: 17, segment: 8, head_rows: 68, gates, ..Case::of_cell(cell, 2, true) };
        let update = Optimizer::Adam.update(Clip::None);
        let program = record(&case.config, case.plan().extent, &update, &device.capabilities()).program;
        let parted: BTreeSet<&str> =
            program.recordings[backward(0)].dispatches.iter().filter(|d| d.kernel.name == "part_sum").map(|d| d.label.as_str()).collect();
        assert_eq!(parted, BTreeSet::from(["d_w_hh.0", "d_w_hh.1", "d_w_xh.1", "d_w_hy"]), "{cell}");
        check(&device, &case);
        assert!(bits(&device, &case) == bits(&device, &Case { recompute: true, ..case }), "{cell}: the same each time");
        let [planned, allocated] = Engine::new(&device, case.config, case.plan(), &update).unwrap().device_bytes();
        assert_eq!(planned, allocated);
    }
}

/// Whatever is stored of the gates, a segment's gradients have the same bits whether its history is kept or computed again; where segments end, and
/// how gates are stored, changes only rounding.
#[test]
fn kept_and_recomputed_segments_give_equal_bits_for_each_storage() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for layers in [1, 2] {
            let case = Case { dropout: if layers == 2 { 0.3 } else { 0.0 }, ..Case::of_cell(cell, layers, true) };
            let mut flat = Vec::new();
            for (gates, stash) in STORAGES.into_iter().flat_map(|g| [StashPrecision::F32, StashPrecision::F16].map(|s| (g, s))) {
                let kept = Case { gates, stash, ..case };
                let expected = bits(device, &kept);
                assert!(expected == bits(device, &kept), "{device}, {cell}: the same twice");
                assert!(expected == bits(device, &Case { recompute: true, ..kept }), "{device}, {cell}, {layers} layers, {gates}, {stash}");
                assert!(expected.iter().any(|b| *b != 0));
                flat.push(expected);
            }
            assert!(flat[0] != flat[1] && flat[2] != flat[3], "{device}, {cell}: half precision acts");
            let tensors = |case: Case| executor(device, &case).unwrap().0.tensors;
            let expected = tensors(case);
            for (segment, gates) in [(1, GateStorage::Kept), (16, GateStorage::Kept), (17, GateStorage::Recomputed), (5, GateStorage::Recomputed)] {
                for (x, y) in tensors(Case { segment, gates, ..case }).iter().zip(&expected) {
                    assert!(relative_error(x, y) <= 1e-5, "{device}, {cell}: segments of {segment}, {gates}");
                }
            }
        }
    }
}

/// What is stored in half precision rounds visibly but little. What flows from segment to segment is never rounded.
#[test]
fn a_history_in_half_precision_stays_near_the_reference() {
    for (device, cell) in both().iter().flat_map(|d| GATED.map(|cell| (d, cell))) {
        for (layers, gates) in [1, 2].into_iter().flat_map(|layers| STORAGES.map(|gates| (layers, gates))) {
            let single = Case { gates, ..Case::of_cell(cell, layers, true) };
            let half = Case { stash: StashPrecision::F16, ..single };
            let (expected, got, exact) = (reference(&half), executor(device, &half).unwrap().0, executor(device, &single).unwrap().0);
            let worst = got.tensors.iter().zip(&expected.tensors).map(|(g, e)| relative_error(g, e)).fold(0.0, f64::max);
            println!("{device}, {cell}, {layers} layers, {gates}: {worst:.1e}");
            assert!((1e-6..=1e-2).contains(&worst), "{device} {half:?}: {worst:e}");
            assert_eq!(got.state, exact.state, "{device}: what flows on is f32");
        }
    }
}

/// Storing h alone takes no more slots than h, and c at the start; the activations are then computed in the backward pass.
#[test]
fn recomputed_gates_are_not_stored() {
    let update = Optimizer::Adam.update(Clip::None);
    for cell in GATED {
        for gates in STORAGES {
            let case = Case { gates, ..Case::of_cell(cell, 2, true) };
            let program = record(&case.config, case.plan().extent, &update, &retrograd::cpu::capabilities()).program;
            let count = |at: usize, name: &str| program.recordings[at].dispatches.iter().filter(|d| d.kernel.name == format!("{name}_{cell}")).count();
            let again = if gates == GateStorage::Recomputed { 2 } else { 0 };
            assert_eq!([count(forward(0), "scan_forward"), count(forward(0), "gates"), count(backward(0), "gates")], [2, 0, again], "{cell}, {gates}");
            assert_eq!(count(backward(0), "scan_forward"), 0, "{cell}, {gates}: the recurrence itself runs once");
        }
    }
}
