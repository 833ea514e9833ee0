//! Malformed files of every kind: one line each, no panic, no allocation by an unchecked size.

use crate::cli::{file, folder, retrograd, run, text};
use crate::devices::without_gpu;
use crate::skip::lacks;
use retrograd::data::{Codec, ColumnSpec, SeriesSpec, Sheet, Table, Text, Vocabulary};
use retrograd::model::{Activation, Config, Init};
use retrograd::store::{Checkpoint, Container, Foreign, ImportOptions, Model, TrainedOn};
use std::path::PathBuf;
use std::process::Command;

/// A safetensors file with a given header and data.
fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn model() -> Model {
    let vocabulary = Vocabulary::of("abc");
    let config = Config { hidden: 5, layers: 2, activation: Activation::Tanh, ..Config::symbols(3) };
    Model { config, codec: Codec::Text(vocabulary), trained_on: TrainedOn::Stream, split_seed: None, parameters: Init::Uniform.parameters(&config, 3) }
}

/// Damaged containers, with the name of the damage.
fn containers() -> Vec<(&'static str, Vec<u8>)> {
    let good = model().to_container().to_bytes();
    let length = |n: u64| [&n.to_le_bytes()[..], &good[8..]].concat();
    let one = |shape: &str, offsets: &str| tensors(&format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#), &[0; 16]);
    let with = |change: &dyn Fn(&mut Container)| {
        let mut c = model().to_container();
        change(&mut c);
        c.to_bytes()
    };
    let config = |text: &'static str| with(&|c| drop(c.metadata.insert("config".into(), text.into())));
    vec![
        ("empty", Vec::new()),
        ("seven bytes", vec![0; 7]),
        ("cut in the header", good[..40].to_vec()),
        ("cut in the data", good[..good.len() - 3].to_vec()),
        ("more after the end", [&good[..], b"more"].concat()),
        ("a header of 2^63 bytes", length(1 << 63)),
        ("a header of 2^64 - 1 bytes", length(u64::MAX)),
        ("a header one byte longer", length(u64::from_le_bytes(good[..8].try_into().unwrap()) + 1)),
        ("a deep header", tensors(&"[".repeat(100_000), b"")),
        ("a header that is no object", tensors("7", b"")),
        ("a header in another encoding", [&4u64.to_le_bytes()[..], &[0xff, 0xfe, 0x7b, 0x00]].concat()),
        ("2^62 numbers", one("[4611686018427387904]", "[0,16]")),
        ("a shape whose product overflows", one("[4294967296,4294967296,4294967296]", "[0,16]")),
        ("a negative size", one("[-4]", "[0,16]")),
        ("offsets beyond the end", one("[4]", "[16,32]")),
        ("offsets that run backward", one("[4]", "[16,0]")),
        ("offsets of 2^64", one("[4]", "[0,18446744073709551616]")),
        (
            "tensors that overlap",
            tensors(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, &[0; 16]),
        ),
        ("a number too few", one("[3]", "[0,16]")),
        ("numbers of another type", tensors(r#"{"w":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}}"#, &[0; 16])),
        ("no metadata", one("[4]", "[0,16]")),
        ("NaN", with(&|c| c.tensors.get_mut("head.bias").unwrap().1[1] = f32::NAN)),
        ("infinity", with(&|c| c.tensors.get_mut("rnn.weight_hh_l1").unwrap().1[0] = f32::NEG_INFINITY)),
        (
            "4 billion units",
            config(r#"{"format":1,"architecture":"rnn","symbols":"characters","hidden":4294967295,"layers":8,"activation":"tanh","bias":true}"#),
        ),
        ("no units", config(r#"{"format":1,"architecture":"rnn","symbols":"characters","hidden":0,"layers":2,"activation":"tanh","bias":true}"#)),
        (
            "4 billion layers",
            config(r#"{"format":1,"architecture":"rnn","symbols":"characters","hidden":5,"layers":4294967295,"activation":"tanh","bias":true}"#),
        ),
        ("a config that is deep", with(&|c| drop(c.metadata.insert("config".into(), "[".repeat(100_000))))),
        ("a vocabulary of nothing", with(&|c| drop(c.metadata.insert("vocabulary".into(), "[]".into())))),
        ("a vocabulary of one symbol twice", with(&|c| drop(c.metadata.insert("vocabulary".into(), r#"["a","a","b"]"#.into())))),
        ("a vocabulary of words", with(&|c| drop(c.metadata.insert("vocabulary".into(), r#"["ab","c","d"]"#.into())))),
        ("a missing tensor", with(&|c| drop(c.tensors.remove("rnn.bias_hh_l1")))),
        ("a tensor too many", with(&|c| c.put("rnn.weight_hh_l9", &[5, 5], vec![0.0; 25]))),
    ]
}

/// Runs the program with little memory; returns its last line.
fn line(args: &[&str]) -> String {
    let done = if lacks(cfg!(target_os = "linux"), "a limit of memory, which Linux keeps") {
        run(Command::new(env!("CARGO_BIN_EXE_retrograd")).args(args))
    } else {
        let quoted: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
        let script = format!("ulimit -v 600000; exec '{}' {}", env!("CARGO_BIN_EXE_retrograd"), quoted.join(" "));
        run(Command::new("sh").args(["-c", &script]))
    };
    let message = text(&done.stderr);
    let errors: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ")).collect();
    assert!(matches!(done.status.code(), Some(1 | 2)) && errors.len() == 1 && !message.contains("panicked"), "{args:?}: {:?}: {message}", done.status);
    errors[0].to_string()
}

#[test]
fn damaged_models_are_refused() {
    for (what, bytes) in containers() {
        let path = file("nasty.safetensors", &bytes);
        let name = path.to_str().unwrap();
        assert!(Model::load(&path).is_err(), "{what}: a model");
        assert!(Checkpoint::load(&path).is_err(), "{what}: a checkpoint");
        let foreign = Foreign::from_bytes(&bytes).and_then(|f| f.model(&ImportOptions { bytes: true, ..ImportOptions::default() }));
        assert!(foreign.is_err(), "{what}: a foreign model");
        for args in [&["sample", name][..], &["import", name, folder("nasty").join("new").to_str().unwrap(), "--bytes"]] {
            let line = line(args);
            assert!(line.contains("nasty.safetensors") && line.len() < 3000, "{what}: {line}");
        }
    }
}

fn trained(name: &str) -> PathBuf {
    let out = folder("nasty").join(name);
    let args = ["train", "--hidden=6", "--batch=2", "--truncation=regular:3,8", "--updates=9", "--sample=0", "--device=cpu", "--out", out.to_str().unwrap()];
    let done = retrograd(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    out
}

/// A checkpoint with a right checksum and wrong sizes is refused before the sizes are used.
#[test]
fn checkpoints_with_wrong_sizes_are_refused() {
    let out = trained("sizes");
    let path = out.join("checkpoint.safetensors");
    let good = std::fs::read(&path).unwrap();
    let resume = ["train", "--resume", out.to_str().unwrap(), "--updates=12"];
    let edit = |key: &str, value: &str| {
        let mut c = Container::from_bytes(&good, &["checkpoint", "checksum"]).unwrap();
        let header = c.metadata["checkpoint"].clone();
        let changed: Vec<String> =
            header.lines().map(|l| if l.starts_with(&format!("{key} = ")) { format!("{key} = {value}") } else { l.to_string() }).collect();
        assert!(changed.join("\n") != header.trim_end(), "{key} is not in {header}");
        c.metadata.insert("checkpoint".to_string(), changed.join("\n"));
        std::fs::write(&path, c.to_bytes()).unwrap();
    };
    for key in ["hidden", "layers", "symbols", "classes", "lanes", "steps", "states", "places", "places_per_slot", "ring", "head_rows", "window"] {
        for value in ["0", "4294967295", "2000000000", "-1", "1.5", "nan", "\"x\"", "99999999999999999999"] {
            edit(key, value);
            let line = line(&resume);
            assert!(line.contains("checkpoint"), "{key} = {value}: {line}");
        }
    }
    // Found by the fuzzer: rows that are not a whole number of vec4s.
    edit("head_rows", "2");
    assert!(line(&resume).contains("checkpoint"));
    std::fs::write(&path, &good).unwrap();
    assert!(retrograd(&resume).status.success());
}

#[test]
fn damaged_configurations_are_refused() {
    let deep = format!("hidden = {}", "[".repeat(50_000));
    let tables = "[a".to_string() + &".a".repeat(50_000) + "]";
    let cases: [(&str, &[u8]); 12] = [
        ("not UTF-8", b"hidden = 12\xff"),
        ("deep", deep.as_bytes()),
        ("deep tables", tables.as_bytes()),
        ("a key twice", b"hidden = 12\nhidden = 13"),
        ("no value", b"hidden ="),
        ("an unknown key", b"hiden = 12"),
        ("a table", b"[hidden]\na = 1"),
        ("a float", b"hidden = 1.5"),
        ("too large", b"hidden = 99999999999999999999"),
        ("not a number", b"lr = nan"),
        ("a date", b"seed = 2020-01-01"),
        ("zero bytes", b"\0\0\0\0"),
    ];
    for (what, bytes) in cases {
        let path = file("nasty.toml", bytes);
        let line = line(&["train", "--device=cpu", "--updates=1", "--config", path.to_str().unwrap()]);
        assert!(line.contains("nasty.toml") || line.contains("--lr"), "{what}: {line}");
    }
}

/// Damaged figures give a page with what is left of them, and a damaged calibration cache is measured again.
#[test]
fn damaged_figures_and_caches_are_put_up_with() {
    let out = trained("figures");
    let metrics = out.join("metrics.jsonl");
    let good = std::fs::read(&metrics).unwrap();
    let many: String = (1..4)
        .map(|i| format!("{{\"update\":{i},\"tokens\":{i},\"train_loss\":1.0,\"mean_loss\":1.0,\"skipped_updates\":{0},\"clipped_updates\":{0}}}\n", u64::MAX))
        .collect();
    let deep = [&good[..], &b"[".repeat(100_000)].concat();
    let damage: [&[u8]; 7] = [
        b"",
        b"\0\0\xff\xfe",
        &good[..good.len() / 2],
        &deep,
        b"{\"update\":1e999,\"train_loss\":-1e308}\n",
        b"{\"update\":18446744073709551615,\"train_loss\":null}\n",
        many.as_bytes(),
    ];
    for bytes in damage {
        std::fs::write(&metrics, bytes).unwrap();
        let done = retrograd(&["report", out.to_str().unwrap()]);
        assert!(matches!(done.status.code(), Some(0 | 1)) && !text(&done.stderr).contains("panicked"), "{}", text(&done.stderr));
    }
    if without_gpu() {
        return;
    }
    let cache = folder("nasty").join("cache");
    std::fs::create_dir_all(cache.join("retrograd")).unwrap();
    for bytes in [&b"{"[..], &b"[".repeat(100_000), b"[{\"adapter\":7}]", b"\xff\xfe"] {
        std::fs::write(cache.join("retrograd/calibration.json"), bytes).unwrap();
        let done = run(Command::new(env!("CARGO_BIN_EXE_retrograd")).arg("devices").env("XDG_CACHE_HOME", &cache));
        assert!(done.status.success() && text(&done.stderr).contains("is damaged"), "{}", text(&done.stderr));
    }
}

/// Found by the fuzzer: a non-ASCII blank after a size.
#[test]
fn sizes_with_blanks_of_other_scripts_are_sizes_or_refused() {
    let config = file("blank.toml", "memory-budget = \"600MiB\u{2028}\"\nhidden = 0\n".as_bytes());
    for (size, words) in [("600 \u{2028}", "600B is too small"), ("6\u{e9}B", "is no size"), ("\u{2028}", "is no size"), (" 20KiB ", "20KiB is too small")] {
        let line = line(&["train", "--device=cpu", "--updates=1", "--memory-budget", size]);
        assert!(line.contains(words), "{size:?}: {line}");
    }
    assert!(line(&["train", "--device=cpu", "--config", config.to_str().unwrap()]).contains("hidden"));
}

fn columns(csv: &str, horizon: u32) -> (Text, SeriesSpec) {
    let asked = ColumnSpec { targets: vec!["y".into()], ..ColumnSpec::default() };
    (
        Text::given("table", csv),
        SeriesSpec { asked, horizon, difference: Default::default(), season: None, loss: Default::default(), quantiles: None, scale: Default::default() },
    )
}

/// Found by reading the code: the rows that a horizon needs were counted one by one.
#[test]
fn a_horizon_of_billions_of_rows_is_refused_at_once() {
    let csv = file("short.csv", b"y\n1\n2\n4\n3\n");
    let begun = std::time::Instant::now();
    let config = file("ahead.toml", b"horizon = 4294967295\n");
    let train = ["train", csv.to_str().unwrap(), "--target=y"];
    let line = |more: &[&str]| line(&[&train[..], more].concat());
    assert!(line(&["--config", config.to_str().unwrap()]).contains("horizon 4294967295: expected a whole number from 1 to 10000"));
    let far = line(&["--horizon=10000", "--val-fraction=0.99999999"]);
    assert!(far.contains("need ") && far.contains("lower --horizon"), "{far}");
    let (text, wanted) = columns("y\n1\n2\n4\n3\n", 3);
    let e = Table::fit(Sheet::read(&text, &wanted.asked).unwrap(), &wanted, 0.5).unwrap_err().to_string();
    assert!(e.contains("need 7;"), "3 held out, 3 wanted, one that reads: {e}");
    assert!(begun.elapsed().as_secs() < 20);
}

/// A model of series whose statistics would produce non-finite numbers.
#[test]
fn models_of_series_with_wrong_statistics_are_refused() {
    let (text, wanted) = columns("y\n1\n2\n4\n3\n1\n2\n3\n1\n", 1);
    let codec = Codec::Series(Table::fit(Sheet::read(&text, &wanted.asked).unwrap(), &wanted, 0.1).unwrap().series);
    let config = Config { input: codec.input(0), output: codec.output(), hidden: 3, ..Config::symbols(1) };
    let model = Model { parameters: Init::Uniform.parameters(&config, 3), config, codec, trained_on: TrainedOn::Stream, split_seed: None };
    let good = model.to_container();
    assert!(Model::from_container(good.clone()).is_ok());
    let series: serde_json::Value = serde_json::from_str(&good.metadata["series"]).unwrap();
    for (pointer, value) in [
        ("/inputs/0/deviation", "1e308"),
        ("/inputs/0/deviation", "0"),
        ("/inputs/0/deviation", "-1"),
        ("/inputs/0/deviation", "1e-320"),
        ("/outputs/0/deviation", "1e40"),
        ("/outputs/0/mean", "-1e300"),
        ("/means/0", "1e300"),
        ("/horizon", "4294967295"),
        ("/horizon", "0"),
        ("/season", "0"),
        ("/delimiter", "\"\u{e9}\""),
        ("/features", "[]"),
        ("/targets", "[\"y\", \"z\"]"),
    ] {
        let mut changed = series.clone();
        *changed.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
        let mut container = good.clone();
        container.metadata.insert("series".to_string(), changed.to_string());
        let path = file("series.safetensors", &container.to_bytes());
        let line = line(&["eval", path.to_str().unwrap(), file("rows.csv", b"y\n1\n2\n3\n1\n").to_str().unwrap()]);
        assert!(line.contains("metadata \"series\""), "{pointer} = {value}: {line}");
    }
}
