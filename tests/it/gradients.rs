//! Gradients of whole models on both executors against the f64 reference.

use crate::cli::{folder, run, str, text};
use crate::devices::{both, cpu, gpu, without_gpu};
use retrograd::analysis::gradcheck::{Case, differences, executor, reference, relative_error, with_reference};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::kernel::{FORMS, Loads, STEPS, ScanForm, Tile};
use retrograd::model::record::{backward, record};
use retrograd::model::{Activation, Config, Input, Output, RegressionLoss, StashPrecision};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::reference::{self, checks};
use std::collections::BTreeSet;
use std::process::Command;

/// Bound of norm(g - reference) / norm(reference), per tensor.
const BOUND: f64 = 1e-4;

/// Checks loss, gradients and final state.
pub(crate) fn check(device: &Device, case: &Case) {
    let (expected, (got, flat)) = (reference(case), executor(device, case).unwrap());
    // The norm that an update clips to is that of the flat gradients.
    let there = |x: &[f32]| x.iter().filter(|x| **x != 0.0).count();
    let all: usize = case.config.tensors().iter().map(|t| there(&t.extract(&flat))).sum();
    assert_eq!(there(&flat), all, "{device} {case:?}: the padding of the gradients is 0");
    assert!(relative_error(&[got.loss], &[expected.loss]) <= 1e-5, "{device} {case:?}: loss {} and {}", got.loss, expected.loss);
    for ((tensor, g), e) in case.config.tensors().iter().zip(&got.tensors).zip(&expected.tensors) {
        let error = relative_error(g, e);
        assert!(error <= BOUND, "{device} {case:?}: {} is off by {error:e}", tensor.name);
    }
    for (k, (s, e)) in got.state.iter().zip(&expected.state).enumerate() {
        assert!(relative_error(s, e) <= BOUND, "{device} {case:?}: state of layer {k}");
    }
}

const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Identity];

#[test]
fn executors_agree_with_the_reference_for_every_activation_and_depth() {
    for device in both() {
        for activation in ACTIVATIONS {
            for (layers, bias) in [(1, true), (2, false), (3, true)] {
                check(&device, &Case::odd(activation, layers, bias));
            }
        }
    }
}

#[test]
fn executors_agree_with_the_reference_for_every_split_into_segments() {
    for device in both() {
        for recompute in [false, true] {
            for segment in [1, 2, 5, 16, 17, 40] {
                check(&device, &Case { segment, recompute, ..Case::odd(Activation::Tanh, 2, true) });
            }
        }
    }
}

#[test]
fn executors_agree_with_the_reference_for_the_smallest_and_uneven_sizes() {
    let odd = Case::odd(Activation::Tanh, 1, true);
    let sized = |vocab, hidden, lanes, steps| {
        let mut case = Case { lanes, steps, ..odd };
        case.config = Config { hidden, layers: 1, ..Config::symbols(vocab) };
        case
    };
    for device in both() {
        for case in [sized(1, 1, 1, 1), sized(2, 1, 1, 9), sized(5, 33, 17, 3), sized(65, 16, 9, 4), sized(3, 130, 2, 6)] {
            check(&device, &case);
        }
    }
}

#[test]
fn eight_layers_agree_with_the_reference() {
    let mut case = Case::odd(Activation::Tanh, 8, true);
    case.config.hidden = 6;
    both().iter().for_each(|device| check(device, &case));
}

/// The forms that calibration on hardware chooses from.
#[test]
fn every_form_of_the_recurrence_agrees_with_the_reference() {
    if without_gpu() {
        return;
    }
    let held = |tile, width, blocks| ScanForm { tile, width, loads: Loads::Held(blocks) };
    for form in [STEPS, ScanForm { tile: Tile::T1x4, ..STEPS }, held(Tile::T1x4, 128, 2), held(Tile::T4x4, 256, 0)] {
        let mut device = gpu();
        device.capabilities.scans = Some([[form; 2]; 4]);
        assert!(std::mem::discriminant(&device.capabilities.scan_variant(40, 32, 1, 1).loads) == std::mem::discriminant(&form.loads));
        let device = Device::Gpu(Box::new(device));
        for layers in [1, 2] {
            check(&device, &Case::odd(Activation::Tanh, layers, true));
        }
        check(&device, &Case { recompute: true, ..Case::odd(Activation::Relu, 1, false) });
    }
}

/// As on hardware with many cores: every weight gradient of a whole segment in parts, and as many parts for the last segment, a single step.
#[test]
fn sums_in_parts_agree_with_the_reference() {
    if without_gpu() {
        return;
    }
    let mut device = gpu();
    device.capabilities.latencies = FORMS.map(|_| 1_000_000);
    let device = Device::Gpu(Box::new(device));
    let bits = |case: &Case| executor(&device, case).unwrap().1.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    for layers in [1, 2] {
        let case = Case { lanes: 17, segment: 8, head_rows: 68, ..Case::odd(Activation::Tanh, layers, true) };
        let update = Optimizer::Adam.update(Clip::None);
        let program = record(&case.config, case.plan().extent, &update, &device.capabilities()).program;
        let parted: BTreeSet<&str> =
            program.recordings[backward(0)].dispatches.iter().filter(|d| d.kernel.name == "part_sum").map(|d| d.label.as_str()).collect();
        let expected = BTreeSet::from(["d_w_hh.0", "d_w_hh.1", "d_w_xh.1", "d_w_hy"]);
        assert_eq!(parted, expected.into_iter().filter(|l| layers == 2 || !l.ends_with('1')).collect());
        check(&device, &case);
        let first = bits(&case);
        assert!(first == bits(&case) && first == bits(&Case { recompute: true, ..case }), "{layers} layers: the same each time");
        let [planned, allocated] = Engine::new(&device, case.config, case.plan(), &update).unwrap().device_bytes();
        assert_eq!(planned, allocated);
    }
}

#[test]
fn kept_and_recomputed_h_give_equal_bits() {
    for device in both() {
        for layers in [1, 2] {
            let kept = Case::odd(Activation::Tanh, layers, true);
            let bits = |case: &Case| executor(&device, case).unwrap().1.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
            let expected = bits(&kept);
            assert!(expected == bits(&Case { recompute: true, ..kept }), "{device}, {layers} layers");
            assert!(expected == bits(&kept), "{device}: the same twice");
            assert!(expected.iter().any(|b| *b != 0));
        }
    }
}

/// Half the memory for h, at the price of a visible but small rounding; results still do not depend on what is kept.
#[test]
fn a_history_in_half_precision_acts_and_stays_near_the_reference() {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    for device in both() {
        for (activation, layers) in [(Activation::Tanh, 1), (Activation::Tanh, 2), (Activation::Relu, 2), (Activation::Identity, 1)] {
            let single = Case::odd(activation, layers, true);
            let half = Case { stash: StashPrecision::F16, ..single };
            let (expected, (got, flat)) = (reference(&half), executor(&device, &half).unwrap());
            let worst = got.tensors.iter().zip(&expected.tensors).map(|(g, e)| relative_error(g, e)).fold(0.0, f64::max);
            assert!(worst <= 2e-2, "{device} {half:?}: {worst:e}");
            let (exact, other) = executor(&device, &single).unwrap();
            assert!(bits(&flat) != bits(&other), "{device}: nothing is rounded");
            assert_eq!(got.state, exact.state, "{device}: what flows on is f32");
            let recomputed = executor(&device, &Case { recompute: true, ..half }).unwrap().1;
            assert!(bits(&flat) == bits(&recomputed), "{device}, {layers} layers: kept and recomputed differ");
        }
    }
}

/// Models with inputs and outputs other than symbols.
pub(crate) fn others() -> Vec<Case> {
    let odd = Case::odd(Activation::Tanh, 2, true);
    let numbers = |count, deviation| Output::Numbers { count, deviation };
    let with = |input, output, layers, bias| Case { config: Config { input, output, layers, bias, ..odd.config }, ..odd };
    vec![
        with(Input::Numbers(7), numbers(5, RegressionLoss::Squared), 1, true),
        with(Input::Numbers(1), numbers(1, RegressionLoss::Absolute), 2, false),
        with(Input::Numbers(4), Output::Classes(3), 2, true),
        with(Input::Numbers(130), numbers(67, RegressionLoss::Squared), 1, false),
        with(Input::Symbols(11), numbers(6, RegressionLoss::Absolute), 1, true),
        with(Input::Symbols(11), Output::Classes(2), 1, true),
        with(Input::Embedded { symbols: 11, size: 5 }, Output::Classes(11), 2, true),
        with(Input::Embedded { symbols: 300, size: 40 }, numbers(2, RegressionLoss::Squared), 1, false),
        with(Input::Numbers(3), Output::Quantiles { count: 12, levels: "0.1,0.5,0.95".parse().unwrap() }, 1, true),
        with(Input::Embedded { symbols: 1, size: 1 }, Output::Classes(4), 1, true),
    ]
}

#[test]
fn numbers_labels_and_embeddings_agree_with_the_reference() {
    for device in both() {
        for case in others() {
            check(&device, &case);
            check(&device, &Case { recompute: true, segment: 4, head_rows: 4, ..case });
        }
    }
}

#[test]
fn dropout_agrees_with_the_reference() {
    for device in both() {
        for (case, layers) in [(others()[0], 2), (others()[6], 3), (Case::odd(Activation::Relu, 2, false), 2)] {
            for dropout in [0.3, 0.9] {
                let case = Case { dropout, config: Config { layers, ..case.config }, ..case };
                check(&device, &case);
                check(&device, &Case { recompute: true, segment: 3, seed: u64::MAX - 5, ..case });
            }
        }
    }
}

#[test]
fn dropout_is_the_same_where_h_is_computed_again() {
    for device in both() {
        let kept = Case { dropout: 0.3, ..Case::odd(Activation::Tanh, 3, true) };
        let bits = |case: &Case| executor(&device, case).unwrap().1.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let expected = bits(&kept);
        assert!(expected == bits(&Case { recompute: true, ..kept }), "{device}: kept and computed again");
        assert!(expected == bits(&Case { recompute: true, stash: StashPrecision::F32, ..kept }), "{device}: twice");
        assert!(expected != bits(&Case { dropout: 0.0, ..kept }), "{device}: nothing is dropped");
        let single = |segment| executor(&device, &Case { segment, ..kept }).unwrap().0;
        for (x, y) in single(5).tensors.iter().zip(&single(17).tensors) {
            assert!(relative_error(x, y) <= 1e-5, "{device}: the mask depends on where segments end");
        }
    }
}

#[test]
fn head_chunks_change_nothing_but_rounding() {
    for device in both() {
        let whole = Case { head_rows: 1 << 20, ..Case::odd(Activation::Tanh, 1, true) };
        let (a, _) = executor(&device, &whole).unwrap();
        let (b, _) = executor(&device, &Case { head_rows: 4, ..whole }).unwrap();
        for (x, y) in a.tensors.iter().zip(&b.tensors) {
            assert!(relative_error(x, y) <= 1e-6, "{device}");
        }
    }
}

#[test]
fn in_the_reference_all_three_ways_agree_for_numbers_labels_embeddings_and_dropout() {
    for mut case in others() {
        (case.config.hidden, case.steps) = (4, 7);
        case.dropout = if case.config.layers > 1 { 0.3 } else { 0.0 };
        with_reference(&case, |net, params, window, state| {
            let carry: Vec<Vec<f64>> = state.iter().map(|s| vec![0.0; s.len()]).collect();
            let back = reference::backward(net, params, window, state, &carry).gradients;
            for (b, f) in back.iter().zip(&checks::forward_mode(net, params, window, state)) {
                assert!(relative_error(b, f) <= 1e-10, "{case:?}: backward and forward mode");
            }
        });
        let smooth = Case { cuts: false, ..case };
        for (b, d) in reference(&smooth).tensors.iter().zip(&differences(&smooth)) {
            assert!(relative_error(b, d) <= 1e-6, "{smooth:?}: backward and central differences");
        }
    }
}

#[test]
fn in_the_reference_all_three_ways_agree() {
    for activation in ACTIVATIONS {
        for (layers, bias) in [(1, true), (2, false)] {
            let mut cut = Case::odd(activation, layers, bias);
            cut.config.hidden = 5;
            cut.steps = 9;
            with_reference(&cut, |net, params, window, state| {
                let carry: Vec<Vec<f64>> = state.iter().map(|s| vec![0.0; s.len()]).collect();
                let back = reference::backward(net, params, window, state, &carry).gradients;
                for (b, f) in back.iter().zip(&checks::forward_mode(net, params, window, state)) {
                    assert!(relative_error(b, f) <= 1e-10, "{cut:?}: backward and forward mode");
                }
            });
            let smooth = Case { cuts: false, ..cut };
            for (b, d) in reference(&smooth).tensors.iter().zip(&differences(&smooth)) {
                assert!(relative_error(b, d) <= 1e-6, "{smooth:?}: backward and central differences");
            }
        }
    }
}

/// The comparison must detect missing cuts.
#[test]
#[should_panic(expected = "is off by")]
fn a_window_without_its_cuts_is_seen() {
    let cut = Case::odd(Activation::Tanh, 1, true);
    let (got, _) = executor(&cpu(), &Case { cuts: false, ..cut }).unwrap();
    for ((tensor, g), e) in cut.config.tensors().iter().zip(&got.tensors).zip(&reference(&cut).tensors) {
        let error = relative_error(g, e);
        assert!(error <= BOUND, "{} is off by {error:e}", tensor.name);
    }
}

/// As on a machine with narrower vector units (RETROGRAD_SIMD): right gradients, and with AVX2 the very bytes of the widest.
#[test]
fn narrower_vector_units_compute_the_same() {
    let with = |units: &str, args: &[&str]| {
        let out = run(Command::new(env!("CARGO_BIN_EXE_retrograd")).args(args).env("RETROGRAD_SIMD", units));
        assert!(out.status.success(), "{units}: {args:?}: {}", text(&out.stderr));
    };
    let train = |units: &str| {
        let to = folder("units").join(if units.is_empty() { "widest" } else { units });
        let sizes = ["--cell", "lstm", "--hidden", "37", "--batch", "3", "--updates", "10"];
        with(units, &[&["train", "--device", "cpu", "--sample", "0", "--quiet", "--out", str(&to)], &sizes[..]].concat());
        let log = std::fs::read_to_string(to.join("metrics.jsonl")).expect("a log");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
        (std::fs::read(to.join("model.safetensors")).expect("a model"), last["val_loss"].as_f64().expect("a loss"))
    };
    let (widest, loss) = train("");
    assert!(train("avx2").0 == widest, "AVX2 has other bytes");
    let (_, plain) = train("none");
    assert!((plain - loss).abs() < 1e-5, "{plain}, {loss}");
    for units in ["none", "avx2"] {
        with(units, &["gradcheck", "--device", "cpu"]);
    }
}
