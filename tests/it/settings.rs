//! The settings: one declaration each, from which flags, files, docs and checks are made.

use crate::cli::{retrograd, text};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use retrograd::data::{Kind, Symbols, Text};
use retrograd::device::Device;
use retrograd::feed::Feed;
use retrograd::model::Init;
use retrograd::optimizer::{Optimizer, Schedule};
use retrograd::run::{DataKind, RunConfig, Stated, declared};
use retrograd::setting::{Form, Setting, Value};
use retrograd::trainer::{Corpus, Settings};
use retrograd::{Activation, Bytes, Error, MemoryPlan, SampleOptions, Sampler, StashPrecision, Truncation};
use std::sync::Arc;

/// docs/settings.md, generated from the declarations.
fn page() -> String {
    let mut out = String::from(
        "# Settings\n\nEach is a flag of `retrograd train`, a key of `config.toml`, and a field of `Settings` or `RunConfig` (with underscores). Those marked \
         \"free\" may change when a run goes on (`--resume`).\n\n<!-- Written by `SETTINGS=write cargo test --test it settings`. -->\n",
    );
    let mut section = "";
    let defaults: std::collections::BTreeMap<String, String> = RunConfig::default()
        .toml()
        .unwrap()
        .lines()
        .filter_map(|l| l.split_once(" = ").map(|(k, v)| (k.to_string(), v.trim_matches('"').to_string())))
        .collect();
    let mut all: Vec<&Setting> = declared().filter(|s| s.form != Form::Noted).collect();
    all.sort_by_key(|s| ["Text", "Series", "Model", "Training", "Run"].iter().position(|name| *name == s.section));
    for s in all {
        if s.section != section {
            section = s.section;
            out += &format!("\n## {section}\n\n| flag | what it is |\n|---|---|\n");
        }
        let value = match s.form {
            Form::Switch => String::new(),
            Form::Optional(_) => format!("[={}]", s.value),
            Form::Value | Form::Noted => format!(" {}", s.value),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        let choices = if s.choices.is_empty() { String::new() } else { format!("; one of {}", s.choices.join(", ")) };
        let told = s.form == Form::Switch || s.text().contains("[default: ");
        let default = defaults.get(&s.key()).filter(|_| !told).map_or(String::new(), |d| format!(" [default: {d}]"));
        let free = if s.free { "; free" } else { "" };
        out += &format!("| `--{}{}` | {}{default}{choices}{free} |\n", s.flag(), cell(&value), cell(&s.text()));
    }
    out
}

#[test]
fn the_page_of_settings_is_that_of_the_declarations() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    if std::env::var_os("SETTINGS").is_some_and(|s| s == "write") {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(), "run SETTINGS=write cargo test --test it settings");
}

#[test]
fn every_setting_is_a_flag_and_a_key() {
    let help = text(&retrograd(&["train", "--help"]).stdout);
    for s in declared().filter(|s| s.form != Form::Noted) {
        assert!(help.contains(&format!("--{}", s.flag())), "{}", s.name);
        assert!(!s.help.is_empty() && !s.section.is_empty() && (s.form == Form::Switch) == s.value.is_empty(), "{}", s.name);
    }
    // A file contains the given settings, for every kind of data.
    for kind in [DataKind::Text, DataKind::Task, DataKind::Labels, DataKind::Series] {
        let config = RunConfig::defaults(kind);
        let keys: Vec<String> = config.toml().unwrap().lines().filter_map(|l| Some(l.split_once(" = ")?.0.to_string())).collect();
        assert!(keys.iter().all(|key| declared().any(|s| s.key() == *key)) && keys.len() > 20, "{keys:?}");
    }
}

/// A random number, often an edge case.
fn edge(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_range(0..8) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::from(u32::MAX),
        3 => i64::MAX as u64,
        4 => 1 << rng.random_range(0..64),
        _ => rng.random_range(0..70),
    }
}

fn real(rng: &mut ChaCha8Rng) -> f64 {
    const EDGES: [f64; 12] = [0.0, -0.0, 1.0, -1.0, 0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e300, 2.0, f64::MIN_POSITIVE];
    if rng.random_bool(0.5) { EDGES[rng.random_range(0..EDGES.len())] } else { rng.random_range(-0.5..1.5) }
}

fn any_truncation(rng: &mut ChaCha8Rng) -> Truncation {
    match rng.random_range(0..5) {
        0 => Truncation::Full,
        1 => Truncation::Regular(edge(rng) as u32),
        2 => Truncation::Overlapping { k1: edge(rng) as u32, k2: edge(rng) as u32 },
        3 => Truncation::Random(real(rng)),
        _ => Truncation::RandomTail { mean: real(rng) * 9.0, alpha: real(rng) * 7.0 },
    }
}

fn any_settings(rng: &mut ChaCha8Rng) -> Settings {
    let mut s = Settings::default();
    // Only a few settings at a time, so that some pass all checks.
    for _ in 0..rng.random_range(1..5) {
        match rng.random_range(0..22) {
            0 => s.hidden = edge(rng) as u32,
            1 => s.layers = edge(rng) as u32,
            2 => s.batch = edge(rng) as u32,
            3 => s.activation = [Activation::Tanh, Activation::Relu, Activation::Identity][rng.random_range(0..3)],
            4 => s.no_bias = rng.random(),
            5 => {
                let x = real(rng);
                s.init = [Init::Orthogonal(x as f32), Init::Xavier, Init::Identity(x as f32), Init::Normal(x as f32), Init::Uniform][rng.random_range(0..5)];
            }
            6 => s.dropout = real(rng),
            7 => s.embed = Some(edge(rng) as u32),
            8 => s.truncation = any_truncation(rng),
            9 => s.updates = Some(edge(rng)),
            10 => s.epochs = Some(edge(rng)),
            11 => {
                let x = real(rng);
                let all =
                    [Optimizer::Sgd { momentum: x as f32 }, Optimizer::RmsProp { alpha: x as f32 }, Optimizer::Adam, Optimizer::AdamW { decay: x as f32 }];
                s.optimizer = all[rng.random_range(0..4)];
            }
            12 => s.lr = real(rng),
            13 => {
                let x = real(rng);
                s.schedule = [Schedule::Constant, Schedule::Cosine(x), Schedule::Exponential(x)][rng.random_range(0..3)];
            }
            14 => s.warmup = edge(rng),
            15 => s.clip_norm = real(rng),
            16 => s.clip_value = Some(real(rng)),
            17 => s.memory_budget = Some(Bytes(edge(rng))),
            18 => s.stash = [StashPrecision::F32, StashPrecision::F16][rng.random_range(0..2)],
            19 => s.seed = edge(rng),
            20 => s.val_fraction = real(rng),
            _ => s.split_seed = Some(edge(rng)),
        }
    }
    s
}

/// No value of the public settings types makes the library panic: it returns an error that names a setting, or a result.
#[test]
fn random_settings_are_refused_or_taken_and_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let symbols = Arc::new(Symbols::new(Text::given("text", "the quick brown fox jumps over the lazy dog\n".repeat(4)), Kind::Characters).unwrap());
    let capabilities = Device::Cpu { threads: 1 }.capabilities();
    let (mut taken, mut named, mut planned) = (0, std::collections::BTreeSet::new(), 0);
    for i in 0..100_000 {
        let settings = any_settings(&mut rng);
        match settings.check() {
            Ok(()) => taken += 1,
            Err(Error::Setting { setting, message }) => {
                assert!(message.contains(setting), "{setting}: {message}");
                named.insert(setting);
            }
            Err(e) => panic!("{settings:?}: {e:?}"),
        }
        let Ok(corpus) = Corpus::new(symbols.clone(), if i % 2 == 0 { None } else { Some("\n") }, &settings) else { continue };
        settings.schedule.factor(0.5);
        // A plan takes a thousand times as long.
        if i % 50 > 1 {
            continue;
        }
        let model = settings.config(&corpus.codec).unwrap();
        let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
        planned += u64::from(MemoryPlan::new(&settings.task(model, &feed), &capabilities).is_ok());
    }
    assert!(taken > 10_000 && planned > 300, "{taken} taken, {planned} planned");
    let all = ["hidden", "layers", "batch", "init", "dropout", "embed", "truncation", "updates", "optimizer", "lr", "schedule", "clip_norm", "clip_value"];
    assert!(all.iter().all(|s| named.contains(s)), "{named:?}");
}

/// A random word for a flag, seldom a valid one.
fn word(rng: &mut ChaCha8Rng, s: &Setting) -> String {
    const WORDS: [&str; 16] =
        ["", "0", "1", "7", "-1", "1e999", "nan", "\u{0}", "é", "a,b", "\"", "full", "regular:0", "recall:4,9", "18446744073709551615", "%d"];
    match s.choices {
        [] => WORDS[rng.random_range(0..WORDS.len())].to_string(),
        some => some[rng.random_range(0..some.len())].to_string(),
    }
}

#[test]
fn random_words_for_flags_and_keys_are_refused_or_taken_and_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(18);
    let all: Vec<&Setting> = declared().collect();
    let (mut taken, mut read_back) = (0, 0);
    for _ in 0..100_000 {
        let mut stated = Stated::new();
        for _ in 0..rng.random_range(0..4) {
            let s = all[rng.random_range(0..all.len())];
            let value = match s.form {
                Form::Switch => Some(Value::Boolean(rng.random())),
                _ => s.read(&word(&mut rng, s)).ok(),
            };
            stated.insert(s.key(), value);
        }
        let Ok((config, keys)) = RunConfig::merged(&stated, None) else { continue };
        assert_eq!(keys.len(), stated.len());
        taken += 1;
        let text = config.toml().unwrap();
        let again = RunConfig::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(again, config);
        read_back += 1;
    }
    assert!(taken > 5_000 && read_back == taken, "{taken}");
}

#[test]
fn random_options_of_sampling_are_refused_or_taken_and_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    let config = retrograd::Config::symbols(5);
    let config = retrograd::Config { hidden: 3, ..config };
    let parameters = Init::default().parameters(&config, 1);
    let mut drawn = 0;
    for _ in 0..2_000 {
        let options = SampleOptions {
            temperature: real(&mut rng) as f32,
            top_k: edge(&mut rng) as usize,
            seed: edge(&mut rng),
            separator: (0..rng.random_range(0..3)).map(|_| edge(&mut rng) as u32).collect(),
        };
        let Ok(mut sampler) = Sampler::new(config, &parameters, options) else { continue };
        drawn += u64::from(sampler.draw().is_ok());
    }
    assert!(drawn > 100, "{drawn}");
}
