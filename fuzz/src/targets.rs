//! The readers, and what they make of what they read.

use crate::tables;
use retrograd::analysis::recorded::Recorded;
use retrograd::data::{Codec, Kind, Symbols, Text, Vocabulary};
use retrograd::feed::Feed;
use retrograd::metrics_log::MetricsLog;
use retrograd::model::{Activation, Config, Init};
use retrograd::run::{Folder, Run, RunConfig, Stated};
use retrograd::store::{Checkpoint, Container, Foreign, ImportOptions, Model, TrainedOn};
use retrograd::trainer::Corpus;
use retrograd::{Device, MemoryPlan, Result};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

#[derive(PartialEq)]
pub(crate) enum Shape {
    Bytes,
    /// safetensors, with a checksum.
    Container,
    /// A line for each key, `key = value`.
    Keys,
    /// A line for each row, cells apart by one of these.
    Rows(&'static [u8]),
}

pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Good files.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Reads an input and uses it; `ok`, or what was wrong.
    pub(crate) run: fn(&[u8]) -> String,
    /// Words of the format; of [`Shape::Keys`] whole lines.
    pub(crate) words: &'static [&'static str],
}

/// A reader of another format gets a row here: good files, what reads and uses them, its words.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "model", shape: Shape::Container, seeds: models, run: model, words: &MODEL },
    Target { name: "checkpoint", shape: Shape::Container, seeds: checkpoints, run: checkpoint, words: &[] },
    Target { name: "import", shape: Shape::Container, seeds: models, run: import, words: &MODEL },
    Target { name: "config", shape: Shape::Keys, seeds: configs, run: config, words: &CONFIG },
    Target { name: "text", shape: Shape::Bytes, seeds: texts, run: text, words: &["\n\n", "\u{301}", "\u{10FFFF}"] },
    Target { name: "vocabulary", shape: Shape::Bytes, seeds: vocabularies, run: vocabulary, words: &[] },
    Target { name: "calibration", shape: Shape::Bytes, seeds: calibrations, run: calibration, words: &["t16x16", "T8x8", "each", "Spread", "megaflops"] },
    Target { name: "metrics", shape: Shape::Bytes, seeds: metrics, run: metric, words: &["\"update\":", "\"train_loss\":", "\"val_loss\":", "\"look\":"] },
    Target { name: "series", shape: Shape::Rows(b",;"), seeds: tables::series, run: tables::read_series, words: &tables::CELLS },
    Target {
        name: "labels",
        shape: Shape::Rows(b",\t"),
        seeds: tables::labels,
        run: tables::read_labels,
        words: &["label", "text", "\"a,b\"", "\"a\"\"b\"", "yes", "no"],
    },
    Target { name: "tabular-model", shape: Shape::Container, seeds: tables::models, run: tables::read_model, words: &MODEL },
];

const MODEL: [&str; 16] =
    ["characters", "bytes", "tanh", "relu", "identity", "none", "targets", "all", "refuse", "previous", "zero", "mean", "squared", "absolute", "huber", "rnn"];

const CONFIG: [&str; 60] = [
    "hidden = 3",
    "hidden = 64",
    "layers = 1",
    "layers = 3",
    "batch = 1",
    "batch = 7",
    "truncation = \"full\"",
    "truncation = \"regular:1\"",
    "truncation = \"regular:4,30\"",
    "truncation = \"random:0.9\"",
    "truncation = \"stratified:0.5\"",
    "truncation = \"random:0.999999\"",
    "activation = \"relu\"",
    "activation = \"identity\"",
    "init = \"uniform\"",
    "init = \"identity:0.9\"",
    "init = \"identity:1e30\"",
    "updates = 0",
    "updates = 18446744073709551615",
    "epochs = 2",
    "optimizer = \"sgd\"",
    "optimizer = \"sgd:0.9\"",
    "optimizer = \"adamw:0.1\"",
    "optimizer = \"rmsprop\"",
    "lr = 0.0",
    "lr = 1e38",
    "lr = 3",
    "schedule = \"constant\"",
    "schedule = \"linear\"",
    "schedule = \"step:100,0.5\"",
    "warmup = 0",
    "warmup = 1000000",
    "clip-norm = 0.0",
    "clip-value = 0.5",
    "device = \"auto\"",
    "device = \"gpu:0\"",
    "val-fraction = 0.0",
    "val-fraction = 0.5",
    "val-fraction = 0.999999",
    "memory-budget = \"64KiB\"",
    "memory-budget = 1000000000000",
    "history = \"f32\"",
    "history = \"f16\"",
    "separator = \"\\n\"",
    "separator = \" \"",
    "task = \"copy:3,20\"",
    "task = \"recall:8,20\"",
    "task = \"parity:9\"",
    "examples = 10",
    "examples = 50",
    "monitor = 5",
    "bytes = true",
    "dropout = 0.5",
    "dropout = 0.0",
    "embed = 4",
    "embed = 4096",
    "no-bias = true",
    "patience = 3",
    "val-every = 10",
    "sample = 0",
];

pub(crate) fn answer<T>(done: Result<T>) -> String {
    done.map_or_else(|e| e.to_string(), |_| "ok".to_string())
}

/// Where this process writes what readers read.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Removes what was written; nothing is fed after it.
pub(crate) fn clear() {
    if let Some(folder) = FOLDER.get() {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// In memory, where there is such a place.
fn place(name: &str) -> PathBuf {
    let folder = FOLDER.get_or_init(|| {
        let shm = PathBuf::from("/dev/shm");
        let folder = if shm.is_dir() { shm } else { std::env::temp_dir() }.join(format!("retrograd-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    folder.join(name)
}

pub(crate) fn written(name: &str, input: &[u8]) -> PathBuf {
    let path = place(name);
    std::fs::write(&path, input).unwrap();
    path
}

fn models() -> Vec<Vec<u8>> {
    let of = |layers, bias, vocabulary: Vocabulary| {
        let config = Config { hidden: 5, layers, activation: Activation::Relu, bias, ..Config::symbols(vocabulary.len()) };
        let parameters = Init::Uniform.parameters(&config, 3);
        let container = Model { config, codec: Codec::Text(vocabulary), trained_on: TrainedOn::Stream, split_seed: None, parameters }.to_container();
        // Without the checksum and metadata it is as PyTorch writes it.
        let bare = Container { metadata: [("vocabulary".to_string(), container.metadata["vocabulary"].clone())].into(), tensors: container.tensors.clone() };
        [container.to_bytes(), bare.to_bytes()]
    };
    [of(1, true, Vocabulary::of("añ\"\n")), of(3, true, Vocabulary::of("ab")), of(2, false, Vocabulary::of("xyz")), of(1, true, Vocabulary::bytes())].concat()
}

fn model(input: &[u8]) -> String {
    answer(Model::load(&written("model.safetensors", input)).and_then(|m| m.to_onnx()))
}

fn import(input: &[u8]) -> String {
    let read = |unsaid| Foreign::from_bytes(input).and_then(|f| f.model(&unsaid));
    let with = ImportOptions { vocabulary: Some(["a", "b", "c"].map(String::from).to_vec()), ..ImportOptions::default() };
    let bytes = ImportOptions { bytes: true, ..ImportOptions::default() };
    answer(read(ImportOptions::default()).or_else(|e| read(with).or_else(|_| read(bytes)).map_err(|_| e)))
}

/// What a small run leaves: config.toml, checkpoint and metrics.
fn run_files() -> &'static [Vec<u8>; 3] {
    static FILES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut config = RunConfig::parse(&String::from_utf8(plain()).unwrap()).unwrap();
        let symbols = Arc::new(config.open_text(None).unwrap());
        let corpus = Corpus::new(symbols, config.layout(), &config.training).unwrap();
        let folder = Folder::create(&place("run")).unwrap();
        config.save(&folder.file("config.toml")).unwrap();
        let device = Device::Cpu { threads: 1 };
        let (settings, _) = Run::settings(&config, &device, &corpus).unwrap();
        let trainer = retrograd::Trainer::new(&device, corpus, settings).unwrap();
        let mut run = Run::begin(folder, config, device, trainer).unwrap();
        run.train(&mut |_| {}).unwrap();
        ["config.toml", "checkpoint.safetensors", "metrics.jsonl"].map(|n| std::fs::read(place("run").join(n)).unwrap())
    })
}

fn plain() -> Vec<u8> {
    b"format = 1\ntext-checksum = \"\"\ntext-bytes = 0\nbytes = false\nhidden = 6\nlayers = 2\nbatch = 2\ntruncation = \"regular:3,8\"\nactivation = \"tanh\"\n\
      no-bias = false\ninit = \"orthogonal\"\nupdates = 12\noptimizer = \"adam\"\nlr = 0.002\nschedule = \"cosine\"\nwarmup = 2\nclip-norm = 1.0\ndevice = \"cpu\"\nseed = 0\n\
      val-fraction = 0.01\nlog-every = 2\nsample = 5\nmonitor = 4\nmemory-budget = \"600KiB\"\n"
        .to_vec()
}

fn checkpoints() -> Vec<Vec<u8>> {
    vec![run_files()[1].clone()]
}

/// Reads one and goes on from it, as far as the first update.
fn checkpoint(input: &[u8]) -> String {
    let files = run_files();
    let read = || {
        let checkpoint = Checkpoint::load(&written("checkpoint.safetensors", input))?;
        let path = place("again");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("config.toml"), &files[0]).unwrap();
        let folder = Folder::open(&path)?;
        let config = RunConfig::load(&folder.file("config.toml"))?;
        let corpus = Corpus::new(Arc::new(config.find_text(None)?), config.layout(), &config.training)?;
        let mut run = Run::resume(folder, config, Device::Cpu { threads: 1 }, corpus, &checkpoint)?;
        if !run.trainer.done() { run.trainer.step() } else { Ok(()) }
    };
    answer(read())
}

fn configs() -> Vec<Vec<u8>> {
    let task = b"task = \"recall:8,20\"\nexamples = 100\nhidden = 7\ntruncation = \"full\"\nhistory = \"f16\"\n".to_vec();
    vec![run_files()[0].clone(), plain(), task, b"hidden = 9\nseparator = \"\\n\"\nclip-value = 0.1\nepochs = 3\n".to_vec()]
}

/// As --resume reads it, and as --config does; then as far as the plan.
fn config(input: &[u8]) -> String {
    let path = written("config.toml", input);
    let use_it = |mut config: RunConfig| {
        config.check()?;
        config.text = None;
        // A task of a million sequences is made, as it was asked for, and takes its time.
        if config.examples.is_some_and(|n| n > 1000) || config.task.is_some_and(|t| t.steps() > 10_000) {
            return Ok(());
        }
        let symbols = Arc::new(config.open_text(None)?);
        let settings = config.training;
        let corpus = Corpus::new(symbols, config.layout(), &settings)?;
        let model = settings.config(&corpus.codec)?;
        let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
        MemoryPlan::new(&settings.task(model, &feed), &Device::Cpu { threads: 1 }.capabilities())?;
        Ok(())
    };
    let resumed = RunConfig::load(&path).and_then(use_it);
    let over = RunConfig::merged(&Stated::new(), Some(&path)).and_then(|(c, _)| use_it(c));
    answer(resumed.or(over))
}

fn texts() -> Vec<Vec<u8>> {
    vec![
        "the quick brown fox\n\njumps over\nthe lazy dog\n".repeat(9).into_bytes(),
        "añ\u{1F600}\u{301}é\n".repeat(200).into_bytes(),
        vec![0; 300],
        b"ab".to_vec(),
    ]
}

fn text(input: &[u8]) -> String {
    let read = |kind: Kind| {
        let symbols = Symbols::new(Text::open(&written("text.txt", input))?, kind)?;
        let mut out = vec![0; 64.min(symbols.len() as usize)];
        for from in [0, symbols.len() / 3, symbols.len() - out.len() as u64] {
            symbols.read(from.min(symbols.len() - out.len() as u64), &mut out)?;
        }
        let symbols = Arc::new(symbols);
        let settings = retrograd::Settings::default().batch(2).hidden(4);
        for layout in [None, Some("\n"), Some("\n\n")] {
            Corpus::new(symbols.clone(), layout, &settings)?;
        }
        Ok(())
    };
    let bytes = answer(read(Kind::Bytes));
    format!("{} {bytes}", answer(read(Kind::Characters))).replace("ok ok", "ok")
}

fn vocabularies() -> Vec<Vec<u8>> {
    vec![br#"["\n", " ", "a", "b", "\u00e9"]"#.to_vec(), b"[]".to_vec(), br#"["aa", "", 3]"#.to_vec()]
}

fn vocabulary(input: &[u8]) -> String {
    let Ok(symbols) = serde_json::from_slice::<Vec<String>>(input) else { return "not JSON".to_string() };
    let one = |kind| Vocabulary::new(kind, &symbols).and_then(|v| v.encode("a b\n"));
    format!("{} {}", answer(one(Kind::Characters)), answer(one(Kind::Bytes)))
}

fn calibrations() -> Vec<Vec<u8>> {
    let variants = serde_json::to_value(retrograd::gpu::Variants::only(retrograd::kernel::Tile::T8x8, retrograd::kernel::Loads::Each)).unwrap();
    vec![serde_json::to_vec_pretty(&serde_json::json!([{"adapter": "a", "variants": variants}, {"adapter": "b", "variants": variants}])).unwrap()]
}

/// Plans with what it says of the device.
fn calibration(input: &[u8]) -> String {
    let Some(all) = retrograd::gpu::cached(input) else { return "not a cache".to_string() };
    let mut config = RunConfig::parse(&String::from_utf8(plain()).unwrap()).unwrap();
    let symbols = Arc::new(config.open_text(None).unwrap());
    let settings = config.training;
    for (_, capabilities) in all {
        let corpus = Corpus::new(symbols.clone(), config.layout(), &settings).unwrap();
        let model = settings.config(&corpus.codec).unwrap();
        let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
        if let Err(e) = MemoryPlan::new(&settings.task(model, &feed), &capabilities) {
            return e.to_string();
        }
        for hidden in [1, 37, 5000] {
            let _ = capabilities.scan_variant(hidden, 2, 1, 1);
            let _ = capabilities.scan_variant(hidden, 2, 4, 1);
            let _ = capabilities.scan_variant(hidden, 2, 1, 3);
        }
    }
    "ok".to_string()
}

fn metrics() -> Vec<Vec<u8>> {
    vec![run_files()[2].clone()]
}

/// A page of a run whose figures are damaged.
fn metric(input: &[u8]) -> String {
    let history = MetricsLog::parse(input);
    let _ = history.updates;
    let path = place("run");
    std::fs::write(path.join("metrics.jsonl"), input).unwrap();
    answer(Recorded::load(&path, |_| (Vec::new(), String::new())).map(|r| retrograd::report::run::html(&r)))
}
