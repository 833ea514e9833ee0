//! Models exported to and imported from other programs, runs that start from a model, configurations read back.

use crate::cli::{file, folder, refused, retrograd, text};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn fresh(name: &str) -> PathBuf {
    folder("exchange").join(name)
}

/// Runs a command that must succeed; returns its standard output and standard error.
fn ok(args: &[&str]) -> [String; 2] {
    let done = retrograd(args);
    assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
    [text(&done.stdout), text(&done.stderr)]
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}

fn book() -> PathBuf {
    file("exchange.txt", "she sells sea shells on the sea shore, and so she does\n".repeat(60).as_bytes())
}

const SMALL: [&str; 5] = ["--batch=4", "--truncation=regular:16", "--device=cpu", "--sample=0", "--quiet"];

fn train(out: &Path, more: &[&str]) {
    ok(&[&["train", "--out", str(out)], &SMALL[..], more].concat());
}

/// A file as PyTorch writes it: V 4, H 5, one layer, every value 0.125.
fn foreign(name: &str, change: impl Fn(&str, Vec<usize>) -> Option<(Dtype, Vec<usize>)>) -> PathBuf {
    let all = [
        ("rnn.weight_ih_l0", vec![5, 4]),
        ("rnn.weight_hh_l0", vec![5, 5]),
        ("rnn.bias_ih_l0", vec![5]),
        ("rnn.bias_hh_l0", vec![5]),
        ("head.weight", vec![4, 5]),
        ("head.bias", vec![4]),
    ];
    let bytes: Vec<u8> = 0.125f32.to_le_bytes().repeat(80);
    let tensors = all.into_iter().filter_map(|(name, shape)| change(name, shape).map(|(dtype, shape)| (name, dtype, shape)));
    let view = |(name, dtype, shape): (&'static str, Dtype, Vec<usize>)| {
        let len = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorView::new(dtype, shape, &bytes[..len]).unwrap())
    };
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    file(name, &serialize(tensors.map(view), Some(metadata)).unwrap())
}

#[test]
fn an_exported_model_comes_back_and_is_trained_on() {
    let (book, out, exported, back) = (book(), fresh("run"), fresh("model.safetensors"), fresh("back"));
    std::fs::create_dir_all(folder("exchange")).unwrap();
    train(&out, &[str(&book), "--cell=rnn", "--hidden=12", "--layers=2", "--updates=60"]);
    let [python, _] = ok(&["export", str(&out), str(&exported)]);
    assert!(python.contains("torch.nn.RNN(13, 12, num_layers=2, nonlinearity=\"tanh\", bias=True)"), "{python}");
    ok(&["import", str(&exported), str(&back)]);
    assert!(same(&out.join("model.safetensors"), &back.join("model.safetensors")));
    let json: Value = serde_json::from_str(&ok(&["export", str(&out), str(&fresh("best.onnx")), "--onnx", "--best", "--json"])[0]).unwrap();
    assert!(json["format"] == "onnx" && json["python"].as_str().unwrap().contains("onnxruntime"), "{json}");
    let loss = |run: &Path| ok(&["eval", str(run), str(&book), "--device=cpu", "--json", "--quiet"])[0].parse::<Value>().unwrap()["loss"].clone();
    assert_eq!(loss(&out), loss(&back));
    refused(&["train", "--resume", str(&back)], 1, &["imported", "--from"]);
    // The text has fewer symbols than the model; a run killed at any time resumes to the same result.
    let short = file("exchange short.txt", "so she sells shells, and does\n".repeat(40).as_bytes());
    let (whole, part) = (fresh("whole"), fresh("part"));
    train(&whole, &[str(&short), "--from", str(&back), "--updates=40", "--schedule=constant"]);
    train(&part, &[str(&short), "--from", str(&back.join("model.safetensors")), "--updates=20", "--schedule=constant"]);
    assert!(same(&part.join("start.safetensors"), &out.join("model.safetensors")));
    ok(&["train", "--resume", str(&part), "--updates=40", "--sample=0", "--quiet"]);
    assert!(same(&whole.join("model.safetensors"), &part.join("model.safetensors")));
    assert!(!same(&whole.join("model.safetensors"), &out.join("model.safetensors")));
    // The optimizer starts fresh: one update of SGD with a negligible rate leaves the model unchanged.
    let still = fresh("still");
    train(&still, &[str(&book), "--from", str(&back), "--updates=1", "--optimizer=sgd", "--lr=1e-30"]);
    assert!(same(&still.join("model.safetensors"), &back.join("model.safetensors")));
    for name in ["checkpoint.safetensors", "model.safetensors", "best.safetensors", "summary.json", "metrics.jsonl"] {
        let _ = std::fs::remove_file(part.join(name));
    }
    ok(&["train", "--resume", str(&part), "--updates=40", "--sample=0"]);
    assert!(
        same(&whole.join("model.safetensors"), &part.join("model.safetensors")),
        "a run that was killed before its first checkpoint begins with the model again"
    );
    let from = |more: &[&str], code, words: &[&str]| refused(&[&["train", str(&book), "--from", str(&back)], more].concat(), code, words);
    from(&["--hidden=13"], 2, &["hidden 13", "12", "--from"]);
    from(&["--layers=1"], 2, &["layers 1", "2"]);
    from(&["--no-bias"], 2, &["no-bias", "--from"]);
    from(&["--bytes"], 2, &["bytes", "--from"]);
    from(&["--init=xavier"], 2, &["--init", "--from"]);
    from(&["--resume=x"], 2, &["--resume", "--from"]);
    refused(&["train", str(&file("foreign symbols.txt", "Quite another text\n".repeat(9).as_bytes())), "--from", str(&back)], 1, &["'Q'", "13 symbols"]);
    refused(&["train", "--from", "/no/such/model"], 1, &["/no/such/model"]);
    refused(&["export", str(&out), str(&exported)], 2, &["model.safetensors", "exists"]);
    refused(&["export", str(&out), str(&fresh("a.onnx"))], 2, &["a.onnx", "--onnx"]);
    refused(&["export", str(&out), str(&fresh("a.safetensors")), "--onnx"], 2, &["a.safetensors", "ONNX"]);
    refused(&["export", "/no/such/run", str(&fresh("a"))], 1, &["/no/such/run"]);
    let linear = fresh("linear");
    train(&linear, &[str(&book), "--hidden=4", "--activation=identity", "--updates=2"]);
    refused(&["export", str(&linear), str(&fresh("b"))], 2, &["identity", "--onnx"]);
    ok(&["export", str(&linear), str(&fresh("b.onnx")), "--onnx"]);
}

/// Models of gates: out and back, resumed, trained on; what does not fit their cell is refused.
#[test]
fn models_of_gates_are_files_like_others() {
    let book = book();
    std::fs::create_dir_all(folder("exchange")).unwrap();
    for (cell, class, states) in [("gru", "GRU", "state"), ("lstm", "LSTM", "cell_state")] {
        let place = |name: &str| fresh(&format!("{cell} {name}"));
        let (out, exported, back) = (place("run"), place("model.safetensors"), place("back"));
        let flags = ["--cell", cell, "--hidden=7", "--layers=2", "--schedule=constant"];
        train(&out, &[&[str(&book), "--updates=20"], &flags[..]].concat());
        let [python, _] = ok(&["export", str(&out), str(&exported)]);
        assert!(python.contains(&format!("torch.nn.{class}(13, 7, num_layers=2, bias=True)")), "{python}");
        let [python, _] = ok(&["export", str(&out), str(&place("model.onnx")), "--onnx"]);
        assert!(python.contains(&format!("\"next_{states}\"]")), "{python}");
        let [_, messages] = ok(&["import", str(&exported), str(&back)]);
        assert!(messages.contains(&format!("2 layers of 7 {cell} units")), "{messages}");
        assert!(same(&out.join("model.safetensors"), &back.join("model.safetensors")));
        assert!(ok(&["sample", str(&back), "--length=9"])[0].len() > 8);
        let part = place("part");
        train(&part, &[&[str(&book), "--updates=10"], &flags[..]].concat());
        ok(&["train", "--resume", str(&part), "--updates=20", "--sample=0", "--quiet"]);
        assert!(same(&out.join("model.safetensors"), &part.join("model.safetensors")), "{cell}: resumed");
        let still = place("still");
        train(&still, &[str(&book), "--from", str(&back), "--updates=1", "--optimizer=sgd", "--lr=1e-30"]);
        assert!(same(&still.join("model.safetensors"), &back.join("model.safetensors")));
        let contradicted = format!("error: cell rnn contradicts the model of --from {}, whose cell is {cell}; leave it out", back.display());
        refused(&["train", str(&book), "--from", str(&back), "--cell=rnn"], 2, &[&contradicted]);
        let biased = "--forget-bias adds to fresh biases, and --from takes those of a model; leave one of them out";
        refused(&["train", str(&book), "--from", str(&back), "--cell=lstm", "--forget-bias=2"], 2, &[biased]);
        let import = |more: &[&str], code, words: &[&str]| refused(&[&["import", str(&exported), str(&place("never"))], more].concat(), code, words);
        import(&["--activation=tanh"], 2, &["--activation is for nn.RNN, and its tensors are those of nn.", class]);
    }
    let four = file("four symbols.json", br#"["d", "a", "c", "b"]"#);
    let never = fresh("never of gates");
    let import = |path: &Path, words: &[&str]| refused(&["import", str(path), str(&never), "--vocabulary", str(&four)], 1, words);
    let shaped = |to: &'static [usize]| {
        foreign("gates.safetensors", move |name, shape| Some((Dtype::F32, if name == "rnn.weight_hh_l0" { to.to_vec() } else { shape })))
    };
    import(&shaped(&[15, 5]), &["gates.safetensors", "nn.GRU(V, H, layers)", "rnn.weight_ih_l0 is F32 [5, 4], expected F32 [15, 4]"]);
    import(&shaped(&[10, 5]), &["rnn.weight_hh_l0 is F32 [10, 5], which has the gates of no cell"]);
    import(&shaped(&[16, 3]), &["with proj_size there are fewer columns"]);
    let renamed = |to: &'static str| {
        let good = std::fs::read(foreign("plain.safetensors", |_, shape| Some((Dtype::F32, shape)))).unwrap();
        let (len, rest) = good.split_first_chunk().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
        let header = text(header).replace("rnn.bias_hh_l0", to);
        file("renamed.safetensors", &[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat())
    };
    import(&renamed("rnn.bias_hh_l0_reverse"), &["rnn.bias_hh_l0_reverse is of a second direction", "bidirectional=False"]);
    import(&renamed("rnn.weight_hr_l0"), &["rnn.weight_hr_l0 is of a projection", "proj_size"]);
    assert!(!never.exists());
}

#[test]
fn foreign_files_are_imported_or_refused_with_every_fault() {
    let good = foreign("good.safetensors", |_, shape| Some((Dtype::F32, shape)));
    let symbols = |name: &str, json: &str| file(name, json.as_bytes());
    let four = symbols("four.json", r#"["d", "a", "c", "b"]"#);
    let run = fresh("imported");
    let [_, messages] = ok(&["import", str(&good), str(&run), "--vocabulary", str(&four)]);
    assert!(messages.contains("tanh is taken") && messages.contains("4 symbols"), "{messages}");
    assert!(ok(&["sample", str(&run), "--length=9"])[0].chars().all(|c| "abcd\n".contains(c)));
    ok(&["train", str(&file("abcd.txt", "abcd".repeat(60).as_bytes())), "--from", str(&run), "--out", str(&fresh("on")), "--updates=3", "--device=cpu"]);
    refused(&["import", str(&good), str(&run), "--vocabulary", str(&four)], 2, &["imported", "exists"]);
    let import = |path: &Path, more: &[&str], words: &[&str]| refused(&[&["import", str(path), str(&fresh("never"))], more].concat(), 1, words);
    import(&good, &[], &["good.safetensors", "which 4 symbols", "--vocabulary"]);
    import(&good, &["--bytes"], &["4 symbols", "256"]);
    for (json, words) in [
        (r#"["a", "b", "c"]"#, &["3 symbols, expected 4"][..]),
        (r#"["a", "b", "c", "a"]"#, &["\"a\" is there 2 times, at the indices 0, 3"]),
        (r#"["a", "a", "c", "d", "e"]"#, &["5 symbols, expected 4", "\"a\" is there 2 times, at the indices 0, 1"]),
        (r#"["a", "b", "cd", "e"]"#, &["\"cd\" at index 2 is not one character"]),
        (r#"{"a": 0}"#, &["vocabulary.json", "expected a JSON array"]),
        ("abcd", &["vocabulary.json", "expected a JSON array"]),
    ] {
        import(&good, &["--vocabulary", str(&symbols("vocabulary.json", json))], words);
    }
    let with = ["--vocabulary", str(&four)];
    import(&four, &with, &["four.json", "not a whole safetensors"]);
    import(Path::new("/no/such/file"), &with, &["/no/such/file"]);
    let one = |wanted: &'static str, dtype: Dtype, to: &'static [usize]| {
        foreign("bad.safetensors", move |name, shape| Some(if name == wanted { (dtype, to.to_vec()) } else { (Dtype::F32, shape) }))
    };
    import(&one("head.bias", Dtype::F32, &[5]), &with, &["bad.safetensors", "head.bias is F32 [5], expected F32 [4]"]);
    import(&one("rnn.weight_hh_l0", Dtype::F32, &[5, 4]), &with, &["rnn.weight_hh_l0 is F32 [5, 4], expected F32 [5, 5]"]);
    import(&one("rnn.bias_hh_l0", Dtype::F16, &[5]), &with, &["rnn.bias_hh_l0 is F16 [5], expected F32 [5]"]);
    import(&one("rnn.bias_hh_l0", Dtype::F64, &[5]), &with, &["F64 [5], expected F32 [5]"]);
    let headless = foreign("headless.safetensors", |name, shape| if name.starts_with("head") { None } else { Some((Dtype::F32, shape)) });
    import(&headless, &with, &["head.weight is missing, expected F32 [4, 5]", "rename"]);
    assert!(!fresh("never").exists());
}

#[test]
fn a_configuration_is_given_back_and_flags_override_it() {
    let (book, out, again) = (book(), fresh("configured"), fresh("configured again"));
    train(&out, &[str(&book), "--hidden=9", "--epochs=2", "--lines", "--clip-value=0.5", "--memory-budget=8MiB", "--schedule=cosine", "--val-every=7"]);
    let config = out.join("config.toml");
    let given = |to: &Path, more: &[&str]| ok(&[&["train", "--config", str(&config), "--out", str(to), "--sample=0", "--quiet"], more].concat());
    given(&again, &[]);
    assert!(same(&out.join("model.safetensors"), &again.join("model.safetensors")) && same(&config, &again.join("config.toml")));
    let other = fresh("overridden");
    given(&other, &["--updates=5", "--clip-norm=2", "--separator=sea"]);
    let text = std::fs::read_to_string(other.join("config.toml")).unwrap();
    assert!(["updates = 5", "clip-norm = 2.0", "separator = \"sea\"", "hidden = 9"].iter().all(|k| text.contains(k)), "{text}");
    assert!(!["epochs", "clip-value"].iter().any(|k| text.contains(k)), "{text}");
    // All keys are optional, and sizes may be written with units.
    let part = file("part.toml", b"# small\nhidden = 7\nmemory-budget = \"4MiB\"\nupdates = 3\nbatch = 4\n");
    ok(&["train", str(&book), "--config", str(&part), "--out", str(&fresh("part of it")), "--device=cpu"]);
    let text = std::fs::read_to_string(fresh("part of it").join("config.toml")).unwrap();
    assert!(["hidden = 7", "memory-budget = 4194304", "updates = 3"].iter().all(|k| text.contains(k)), "{text}");
    let plan: Value = ok(&["plan", str(&book), "--config", str(&part), "--device=cpu", "--json"])[0].parse().unwrap();
    assert_eq!(plan["budget"], 4 << 20, "{plan}");
    refused(&["train", "--config", str(&part), "--resume", str(&out)], 2, &["--config", "--resume"]);
    refused(&["train", "--config", "/no/such/file"], 1, &["/no/such/file"]);
}

/// The message names key, line, and allowed values.
#[test]
fn bad_configurations_are_refused() {
    for (line, words) in [
        ("hiden = 3", &["unknown key hiden", "a similar one is hidden"][..]),
        ("hidden = \"12\"", &["hidden", "expected a whole number"]),
        ("hidden = 1.5", &["hidden", "expected a whole number"]),
        ("hidden = -1", &["hidden", "-1", "expected a whole number from 0"]),
        ("hidden = 0", &["hidden 0", "1 or more"]),
        ("layers = 9", &["layers 9", "1 to 8"]),
        ("batch = 5000000000", &["batch", "4294967295"]),
        ("lr = \"fast\"", &["lr", "expected a number"]),
        ("lr = 0", &["lr 0", "above 0"]),
        ("lr = nan", &["lr nan", "finite"]),
        ("no-bias = 1", &["no-bias", "expected true or false"]),
        ("truncation = \"regular:0\"", &["truncation", "at least 1"]),
        ("truncation = 64", &["truncation", "expected a text in quotes"]),
        ("activation = \"gelu\"", &["activation", "gelu", "tanh"]),
        ("optimizer = \"lion\"", &["optimizer", "lion", "adam"]),
        ("device = \"quantum\"", &["device", "quantum", "cpu"]),
        ("val-fraction = 1", &["val-fraction 1", "below 1"]),
        ("log-every = 0", &["log-every 0", "1 or more"]),
        ("updates = 0", &["updates 0", "1 or more"]),
        ("memory-budget = \"much\"", &["memory-budget", "48MiB"]),
        ("memory-budget = 1.5", &["memory-budget", "16MiB"]),
        ("separator = \"\"", &["separator \"\"", "at least one character"]),
        ("format = 2", &["newer program", "format 2"]),
        ("updates = 4\nepochs = 3", &["updates and epochs"]),
        ("hidden =", &[]),
        ("hidden = 3 4", &[]),
    ] {
        let bad = file("bad.toml", format!("# a comment\nseed = 5\n{line}\nwarmup = 2\n").as_bytes());
        refused(&["train", "--config", str(&bad)], 1, &[&["bad.toml line 3"], words].concat());
    }
    refused(&["train", "--config", str(&file("binary.toml", b"a = \"\xff\""))], 1, &["binary.toml", "UTF-8"]);
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let commands = ["train", "eval", "sample", "compare", "plan", "devices", "gradcheck", "export", "import", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let [script, _] = ok(&["completions", shell]);
        assert!(commands.iter().all(|c| script.contains(c)) && script.contains("memory-budget"), "{shell}");
    }
    assert!(ok(&["man"])[0].contains(".TH retrograd 1"));
    let pages = fresh("man");
    ok(&["man", str(&pages)]);
    assert!(commands.iter().all(|c| pages.join(format!("retrograd-{c}.1")).exists()) && pages.join("retrograd.1").exists());
    refused(&["completions", "dos"], 2, &["dos", "bash"]);
    // Commands a newcomer tries first.
    refused(&[str(&book())], 2, &["retrograd train /"]);
    refused(&["sample"], 2, &["<RUN>", "retrograd sample --help"]);
}
