//! A comparison, plans and a run as they might turn out, for tests.

use crate::analysis::comparison::{Comparison, Parameter, Point, Strategy};
use crate::analysis::planned::{CurvePoint, Planned, Segment};
use crate::analysis::recorded::Recorded;
use crate::metrics_log::{Figures, LayerProfile, Look, MetricsLog, Monitored, ParameterFigures, Sample, Validation};
use crate::model::Cell;
use crate::model::record::GateStorage;
use crate::run::RunConfig;

const STRETCH: &str = "Non eram nescius, Brute, cum, quae summis ingeniis exquisitaque doctrina philosophi Graeco sermone tractavissent,\n\
                       ea Latinis litteris mandaremus, fore ut hic noster labor in varias reprehensiones incurreret.";

/// Values between 0 and 1 that look random.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Five strategies on one text.
pub(super) fn comparison() -> Comparison {
    let kinds = [
        ("full", 0.0, 0.0, 512.0, 41_000.0, 0.0),
        ("regular:16", 0.34, 0.0, 16.0, 52_000.0, 0.05),
        ("regular:64", 0.071, 0.0, 64.0, 50_500.0, 0.011),
        ("random:0.9", 0.031, 0.021, 10.0, 47_200.0, 0.118),
        ("random-tail:16,1.5", 0.012, 0.0078, 42.0, 45_800.0, 0.034),
    ];
    let strategies = kinds.iter().enumerate().map(|(i, kind)| strategy(i as u64, *kind)).collect();
    Comparison {
        text: "Cicero, De finibus (embedded)".into(),
        device: "llvmpipe (LLVM 15.0.6, 256 bits), Mesa 22.3.6, Vulkan".into(),
        parameters: 79_918,
        hidden: 256,
        layers: 1,
        cell: Cell::Rnn,
        batch: 32,
        length: 512,
        seed: 7,
        training: "adam, learning rate 0.004".to_string(),
        gradient_at: "the weights at the end".to_string(),
        draws: 64,
        gradient_tokens: 65_536,
        stretch: STRETCH.into(),
        strategies,
    }
}

fn strategy(i: u64, (name, bias, error, mean, speed, worse): (&str, f64, f64, f64, f64, f64)) -> Strategy {
    let mut noise = Noise(i + 1);
    let random = name.starts_with("random");
    let spread = if random { 30.0 * error * (2.0 + error * 40.0) } else { 0.0 };
    let tensors = [("w_xh.0", 0.6), ("w_hh.0", 1.9), ("b_h.0", 1.2), ("w_hy", 0.08), ("b_y", 0.0)];
    let parameter = |&(name, times): &(&str, f64)| Parameter {
        name: name.into(),
        cosine: 1.0 - 0.5 * (bias * times).powi(2),
        relative_bias: bias * times,
        relative_bias_error: error * times,
        relative_spread: spread * times,
    };
    Strategy {
        truncation: name.into(),
        updates: 400,
        tokens: 400 * 32 * 512,
        seconds: 400.0 * 32.0 * 512.0 / speed,
        tokens_per_second: speed,
        val_loss: Some(1.934 + worse),
        cosine: 1.0 - 0.5 * f64::powi(bias, 2),
        relative_bias: bias,
        relative_bias_error: error,
        relative_spread: spread,
        bytes: (mean * 32.0 * 256.0 * 4.0) as u64,
        window_mean: mean,
        window_max: match name {
            "random:0.9" => 97,
            "random-tail:16,1.5" => 512,
            _ => mean as u32,
        },
        per_parameter: tensors.iter().map(parameter).collect(),
        curve: (0..=100).map(|k| point(k, speed, worse, &mut noise)).collect(),
        cuts: cuts(name, mean as usize, &mut noise),
    }
}

/// Report k of 100; every fifth has a validation.
fn point(k: u64, speed: f64, worse: f64, noise: &mut Noise) -> Point {
    let tokens = k * 4 * 32 * 512;
    let part = k as f64 / 100.0;
    let loss = 1.934 + worse * (0.3 + 0.7 * part) + 1.6 * (-6.0 * part).exp() * (1.0 + 2.0 * worse) + 0.25 * (1.0 - part);
    Point {
        update: k * 4,
        tokens,
        seconds: tokens as f64 / speed,
        train_loss: (k > 0).then_some(loss - 0.06 + 0.09 * (noise.next() - 0.5)),
        val_loss: k.is_multiple_of(5).then_some(if k == 0 { 4.03 } else { loss + 0.02 * (noise.next() - 0.5) }),
    }
}

fn cuts(name: &str, window: usize, noise: &mut Noise) -> Vec<f32> {
    let mut length = 0;
    let mut xi = |i: usize| {
        length += 1;
        if i == 0 {
            length = 0;
            return 0.0;
        }
        // Probability that a box continues after `length` symbols.
        let live = match name {
            "full" => 1.0,
            "random:0.9" => 0.9,
            "random-tail:16,1.5" if length >= 16 => 1.0 - 1.5 / length as f64,
            "random-tail:16,1.5" => 1.0,
            _ => f64::from(u8::from(length % window != 0)),
        };
        if noise.next() < live {
            (1.0 / live) as f32
        } else {
            length = 0;
            0.0
        }
    };
    (0..STRETCH.chars().count()).map(&mut xi).collect()
}

/// A plan for a window of `t` steps in segments of `steps`: the last is held, all others are recomputed once.
fn planned(t: u32, steps: u32, layers: u32) -> Planned {
    let segments = t.div_ceil(steps);
    let segment = |i: u32| Segment { steps: steps.min(t - i * steps), stored: true, held: i + 1 == segments, recomputed: u32::from(i + 1 < segments) };
    let block = 4 * 32 * 256 * u64::from(layers);
    let bytes = [("parameters", 327_672), ("optimizer's moments", 655_344), ("head", 8 << 20), ("inputs", 24 * 32 * u64::from(steps))];
    let activations = block * u64::from(segments + 3 * steps);
    let fixed: u64 = bytes.iter().map(|(_, n)| n).sum();
    Planned {
        device: "llvmpipe (LLVM 15.0.6, 256 bits), Mesa 22.3.6, Vulkan".into(),
        hidden: 256,
        layers,
        cell: Cell::Rnn,
        batch: 32,
        lane_groups: 1,
        rank_sent_bytes: 0,
        vocabulary: 96,
        parameters: 0,
        truncation: "full".into(),
        budget: 24 << 20,
        stash: crate::model::StashPrecision::F32,
        gates: None,
        window: t,
        segment_steps: steps,
        segments,
        held_segments: 1,
        stored_states: segments,
        most_recomputed: 1,
        recomputed_per_step: 1.0 - 1.0 / f64::from(segments),
        time_factor: 1.0 + (1.0 - 1.0 / f64::from(segments)) / 3.0,
        dispatches: u64::from(segments) * 21,
        head_rows: 2048,
        bytes: bytes.iter().map(|(name, n)| ((*name).into(), *n)).chain([("activations".into(), activations)]).collect(),
        device_bytes: fixed + activations,
        activation_bytes: activations,
        curve: (0..9).map(|i| curve_point((t, segments), i, (block, fixed))).collect(),
        graph: (0..segments).map(segment).collect(),
    }
}

/// Point i of 9: ever more memory, and ever less recomputation.
fn curve_point((t, segments): (u32, u32), i: u32, (block, fixed): (u64, u64)) -> CurvePoint {
    let most = [5, 4, 3, 2, 2, 1, 1, 1, 0][i as usize];
    let again = [4.6, 3.4, 2.5, 1.8, 1.4, 1.0 - 1.0 / f64::from(segments), 0.6, 0.3, 0.0][i as usize];
    let steps = t.div_ceil(segments);
    let (stored, held) = [(3, 1), (6, 1), (10, 1), (20, 1), (60, 1), (100, 40), (90, 70), (60, 85), (1, 100)][i as usize];
    let part = |percent: u32| (segments * percent / 100).max(1);
    let activations = block * u64::from(part(stored) + part(held) * steps + 2 * steps);
    CurvePoint {
        device_bytes: fixed + activations,
        activation_bytes: activations,
        segment_steps: steps,
        gates: None,
        held_segments: part(held),
        stored_states: part(stored),
        most_recomputed: most,
        recomputed_per_step: again,
        time_factor: 1.0 + again / 3.0,
    }
}

/// A long window in many segments.
pub(super) fn long_plan() -> Planned {
    planned(10_000, 64, 1)
}

/// A window that is drawn step by step.
pub(super) fn short_plan() -> Planned {
    planned(12, 4, 2)
}

/// As [`long_plan`], with less room: few states are stored, and segments are recomputed up to three times.
pub(super) fn frugal_plan() -> Planned {
    let mut p = planned(1_500, 100, 1);
    for (i, s) in p.graph.iter_mut().enumerate() {
        s.stored = [0, 5, 9, 12].contains(&i);
        s.recomputed = if s.held { 0 } else { [1, 2, 3, 3, 2, 1, 2, 2, 1, 1, 2, 1, 1, 1, 0][i] };
    }
    (p.stored_states, p.most_recomputed, p.recomputed_per_step, p.time_factor) = (4, 3, 1.53, 1.51);
    p
}

/// A window of an LSTM, whose gates are computed again.
pub(super) fn gated_plan() -> Planned {
    let gates = Some(GateStorage::Recomputed);
    let mut p = Planned { cell: Cell::Lstm, gates, ..planned(1_500, 100, 1) };
    p.curve.iter_mut().enumerate().for_each(|(i, q)| q.gates = if i > 6 { Some(GateStorage::Kept) } else { gates });
    p
}

const CONFIG: &str = r#"
format = 1
text = "/books/book.txt"
text-checksum = "00"
text-bytes = 1000000
bytes = false
hidden = 128
layers = 2
batch = 32
truncation = "regular:64"
activation = "tanh"
no-bias = false
init = "orthogonal"
updates = 1000
optimizer = "adam"
lr = 0.002
schedule = "cosine:0"
warmup = 100
clip-norm = 1.0
device = "cpu"
seed = 0
val-fraction = 0.1
log-every = 10
"#;

/// A run of two layers with `reports` reports, one in ten with a validation, and one in five monitored.
pub(super) fn recorded(reports: u64) -> Recorded {
    let mut noise = Noise(5);
    let mut history = MetricsLog::default();
    for k in 1..=reports {
        let part = k as f64 / reports as f64;
        let loss = 1.4 + 2.5 * (-6.0 * part).exp() + 0.05 * noise.next();
        let (update, tokens) = (10 * k, 20_480 * k);
        history.reports.push(Figures {
            update,
            tokens,
            loss,
            mean_loss: loss,
            norm: 0.4 + noise.next(),
            learning_rate: 0.002 * (1.0 - part),
            speed: 4e5,
            seconds: 0.05 * k as f64,
            skipped: u64::from(k == 7),
            clipped: Some(k % 5),
            epoch: part,
            ranks: None,
            lane_groups: None,
        });
        if k.is_multiple_of(10) || k == reports {
            history.validations.push(Validation { update, tokens, seconds: 0.05 * k as f64, loss: loss + 0.1, ..Validation::default() });
        }
        if k.is_multiple_of(5) || k == 1 {
            history.monitored.push(monitored(update, part));
        }
        if k.is_power_of_two() && k < 32 {
            history.samples.push(Sample { update, tokens, text: "the <b>cat & the hat\n".repeat(4) });
        }
    }
    let json = format!(r#"{{"updates":{},"tokens_per_second":400000.0,"device":"CPU, 2 threads","epochs":1.5,"sample":"once upon"}}"#, 10 * reports);
    Recorded {
        name: "book".into(),
        config: RunConfig::parse(CONFIG).expect("a configuration"),
        given: vec!["hidden".into(), "layers".into()],
        command: "retrograd train /books/book.txt --hidden 128 --layers 2".into(),
        history,
        summary: serde_json::from_str(&json).ok(),
        planned: Some(long_plan()),
        forecast: None,
    }
}

/// A gradient that fades more slowly the later the update.
fn monitored(update: u64, part: f64) -> Monitored {
    let lags: Vec<u64> = (0..64).collect();
    let layer = |k: u32| {
        let rate: f64 = 0.7 + 0.25 * part + 0.05 * f64::from(k);
        let median: Vec<f64> = lags.iter().map(|lag| rate.powi(*lag as i32)).collect();
        let times = |x: f64| median.iter().zip(&lags).map(|(m, lag)| m * x.powi(*lag as i32)).collect();
        LayerProfile { low: times(0.97), high: times(1.02), decay_rate: rate, half_life: 0.5f64.ln() / rate.ln(), saturation: 0.05 * part, median }
    };
    let names = ["w_xh.0", "w_hh.0", "b_h.0", "w_xh.1", "w_hh.1", "b_h.1", "w_hy", "b_y"];
    let parameter = |(i, name): (usize, &&str)| ParameterFigures {
        name: (*name).to_string(),
        grad_norm: 0.1 * (i + 1) as f64,
        weight_norm: 1.0,
        update_ratio: 0.01 * (1.1 - part) / (i + 1) as f64,
    };
    let parameters = names.iter().enumerate().map(parameter).collect();
    let layers = (0..2).map(layer).collect();
    Monitored { update, tokens: 0, monitor: Look { lags, layers, parameters, clipped_updates: None, skipped_updates: 0 } }
}

/// Checks what every page must hold: it is well formed, no id occurs twice, pictures have names, nothing is fetched or run.
pub(super) fn checked(page: &str) {
    well_formed(page);
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|p| p.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id occurs twice");
    assert_eq!(page.matches("<svg role").count(), page.matches("<svg role=\"img\" aria-label=").count());
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http-equiv"));
}

/// Checks that tags match, attributes are quoted and numbers finite; ignores the content of `style`.
pub(super) fn well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>') || tag == "style", "{part}");
        let name = tag.trim_matches('/').split_whitespace().next().unwrap();
        for value in tag.split('"').skip(1).step_by(2) {
            assert!(!value.split([' ', ',']).any(|n| ["NaN", "inf", "-inf"].contains(&n)), "{tag}");
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !name.starts_with('!') && name != "meta" {
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            open.push(name);
        }
        for entity in text.split('&').skip(1) {
            assert!(["lt;", "gt;", "amp;", "quot;"].iter().any(|e| entity.starts_with(e)), "{text}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!page.contains("NaN"));
}
