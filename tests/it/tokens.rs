//! Tokens: tokenized text, runs on it, text from it.

use crate::cli::{file, folder, retrograd, text};
use std::path::{Path, PathBuf};

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks that a command is refused in one line with these words.
fn refused(args: &[&str], words: &[&str]) {
    let done = retrograd(args);
    let message = text(&done.stderr);
    assert!(!done.status.success() && message.trim_end().lines().count() == 1, "{args:?}: {message}");
    words.iter().for_each(|w| assert!(message.contains(w), "{args:?}: {message:?} lacks {w:?}"));
}

/// A separate text for each test: one in use must not be rewritten.
fn book(name: &str) -> PathBuf {
    file(&format!("tokens {name}.txt"), "she sells sea shells on the sea shore, né à Zürich → 🦀,\nand so she does\n".repeat(80).as_bytes())
}

#[cfg(not(feature = "tokens"))]
#[test]
fn a_build_without_tokenizers_says_how_to_get_one_with_them() {
    refused(
        &["train", str(&book("none")), "--tokens", "t.json", "--out", str(&folder("tokens").join("none"))],
        &["t.json", "cargo install --path . --features tokens"],
    );
}

#[cfg(feature = "tokens")]
mod with {
    use super::*;
    use retrograd::data::Sequences;
    use retrograd::{Kind, Symbols, Text, Tokenizer, Vocabulary};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use std::time::Instant;
    use tokenizers::models::TrainerWrapper;
    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    fn fresh(name: &str) -> PathBuf {
        folder("tokens").join(name)
    }

    fn ok(args: &[&str]) -> [String; 2] {
        let done = retrograd(args);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        [String::from_utf8(done.stdout).expect("UTF-8"), text(&done.stderr)]
    }

    fn json_of(args: &[&str]) -> Value {
        ok(args)[0].parse().expect("one JSON object")
    }

    /// The 256 bytes, and `more` tokens for common English: a character beyond ASCII is several tokens.
    fn bytes_and(more: usize) -> String {
        let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true))).with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder().vocab_size(256 + more).show_progress(false).initial_alphabet(ByteLevel::alphabet().into_iter().collect()).build();
        tokenizer.train(&mut TrainerWrapper::from(trainer), include_str!("../../README.md").lines()).unwrap();
        tokenizer.to_string(true).unwrap()
    }

    /// Whole words in lower case; the file asks to cut texts to 5 tokens and pad them to 40, which training must ignore.
    fn words(names: &[&str]) -> String {
        let vocab: serde_json::Map<String, Value> = names.iter().enumerate().map(|(i, w)| ((*w).to_string(), i.into())).collect();
        json!({
            "version": "1.0", "added_tokens": [], "normalizer": { "type": "Lowercase" }, "pre_tokenizer": { "type": "Whitespace" },
            "truncation": { "direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0 },
            "padding": { "strategy": { "Fixed": 40 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]" },
            "post_processor": null, "decoder": null, "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]" },
        })
        .to_string()
    }

    fn vocabulary(json: String) -> Vocabulary {
        Vocabulary::tokens(Tokenizer::new(json).unwrap())
    }

    /// Output of a writer for symbols given one at a time; each piece is valid UTF-8.
    fn written(vocabulary: &Vocabulary, symbols: &[u32]) -> String {
        let (mut writer, mut all) = (vocabulary.writer(&[]), String::new());
        for &s in symbols {
            let mut out = Vec::new();
            writer.push(s, &mut out).unwrap();
            all.push_str(&String::from_utf8(out).expect("whole characters"));
        }
        let mut out = Vec::new();
        writer.end(&mut out).unwrap();
        all + &String::from_utf8(out).unwrap()
    }

    #[test]
    fn characters_of_several_tokens_are_written_whole() {
        let v = vocabulary(bytes_and(40));
        let content = "she → né 🦀🦀, 日本\nso\u{fffd}!";
        let ids = v.encode(content).unwrap();
        assert!(v.kind() == Kind::Tokens && v.len() == 296 && ids.len() > content.chars().count());
        assert_eq!(written(&v, &ids), content);
        // Arbitrary tokens, as a barely trained model samples them: the same as decoding them all at once.
        let mut x = 1u32;
        for _ in 0..200 {
            let ids: Vec<u32> = (0..30)
                .map(|_| {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (x >> 16) % v.len()
                })
                .collect();
            assert_eq!(written(&v, &ids), v.tokenizer().unwrap().decode(&ids).unwrap(), "{ids:?}");
        }
    }

    #[test]
    fn words_are_written_with_the_spaces_between_them() {
        let v = vocabulary(words(&["[UNK]", "she", "sells", ","]));
        let ids = v.encode("She sells, she knows").unwrap();
        assert_eq!(ids, [1, 2, 3, 1, 0], "neither cut short nor padded");
        assert_eq!(written(&v, &ids), "she sells , she [UNK]");
        let mut out = Vec::new();
        v.writer(&ids[..1]).push(2, &mut out).unwrap();
        assert_eq!(out, b" sells", "after a prompt");
    }

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let content: String = (0..9000).map(|i| format!("she sells {i} sea shells\n{}", ["", "\n", "  and more\n"][i % 3])).collect();
        let v = vocabulary(bytes_and(60));
        let whole = v.encode(&content).unwrap();
        let symbols = Symbols::with(Text::given("long", content.clone()), v.clone()).unwrap();
        assert!(content.len() > 3 << 16 && symbols.unit() == "tokens" && !symbols.altered());
        let mut read = vec![0; symbols.len() as usize];
        symbols.read(0, &mut read).unwrap();
        assert!(read == whole);
        for place in (0..whole.len()).step_by(9973).chain([whole.len()]) {
            let before = v.tokenizer().unwrap().decode(&whole[..place]).unwrap();
            assert_eq!(symbols.bytes(0..place as u64).unwrap(), before.len() as u64, "{place}");
        }
    }

    #[test]
    fn sequences_end_where_tokens_do() {
        let v = vocabulary(bytes_and(60));
        let content = "she sells\n\n→ shells, sea\nand so";
        let symbols = Symbols::separated(Text::given("lines", content), v.clone(), Some("\n")).unwrap();
        let mut all = vec![0; symbols.len() as usize];
        symbols.read(0, &mut all).unwrap();
        let mark = v.encode("\n").unwrap();
        let parts = symbols.split("\n").unwrap();
        assert_eq!(parts.len(), 4);
        for ((range, end), line) in parts.iter().zip(content.split('\n')) {
            assert_eq!(all[range.start as usize..range.end as usize], v.encode(line).unwrap());
            assert!(*end == symbols.len() || all[range.end as usize..*end as usize] == mark);
            assert_eq!(symbols.bytes(range.clone()).unwrap(), line.len() as u64);
        }
        assert_eq!(symbols.bytes(0..symbols.len()).unwrap(), content.len() as u64);
        assert!(symbols.split("\n\n").unwrap_err().to_string().contains("not made for the separator"));
    }

    const SMALL: [&str; 7] = ["--hidden=12", "--embed=6", "--batch=4", "--truncation=regular:16", "--device=cpu", "--seed=3", "--sample=30"];

    fn train(out: &Path, more: &[&str]) -> [String; 2] {
        ok(&[&["train", "--out", str(out)], &SMALL[..], more].concat())
    }

    fn same(a: &Path, b: &Path) -> bool {
        std::fs::read(a.join("model.safetensors")).unwrap() == std::fs::read(b.join("model.safetensors")).unwrap()
    }

    #[test]
    fn a_run_on_tokens_from_end_to_end() {
        let (book, tokenizer) = (book("run"), file("tokenizer.json", bytes_and(60).as_bytes()));
        let (whole, part) = (fresh("whole"), fresh("part"));
        let [_, said] = train(&whole, &[str(&book), "--tokens", str(&tokenizer), "--updates=30", "--schedule=constant"]);
        assert!(said.contains("316 symbols") && said.contains("tokens/s") && said.contains("bits per byte") && !said.contains("note: the tokenizer"), "{said}");
        train(&part, &[str(&book), "--tokens", str(&tokenizer), "--updates=13", "--schedule=constant"]);
        // The tokenizer has moved; then a different one is given.
        let moved = file("moved.json", bytes_and(60).as_bytes());
        std::fs::remove_file(&tokenizer).unwrap();
        let on = ["train", "--resume", str(&part), "--updates=30", "--sample=0", "--quiet"];
        refused(&on, &["tokenizer.json", "cannot read"]);
        let other = file("other.json", bytes_and(61).as_bytes());
        refused(&[&on[..], &["--tokens", str(&other)]].concat(), &["other.json", "not the tokenizer", "--tokens"]);
        ok(&[&on[..], &["--tokens", str(&moved)]].concat());
        assert!(same(&whole, &part), "going on gives the same bytes");
        // The model contains its tokenizer.
        std::fs::remove_file(&moved).unwrap();
        let model = whole.join("model.safetensors");
        let found = json_of(&["eval", str(&model), str(&book), "--device=cpu", "--json", "--quiet"]);
        // The first token is not predicted.
        let (v, content) = (vocabulary(bytes_and(60)), std::fs::read_to_string(&book).unwrap());
        let bytes = content.len() - v.tokenizer().unwrap().decode(&v.encode("she sells").unwrap()[..1]).unwrap().len();
        let per_byte = found["bpc"].as_f64().unwrap() * found["tokens"].as_f64().unwrap() / bytes as f64;
        assert!((found["bits_per_byte"].as_f64().unwrap() - per_byte).abs() < 1e-9, "{found}");
        let summary: Value = std::fs::read_to_string(whole.join("summary.json")).unwrap().parse().unwrap();
        assert!(summary["val_bits_per_byte"].as_f64().unwrap() < summary["val_bpc"].as_f64().unwrap(), "{summary}");
        let written = ok(&["sample", str(&whole), "--prompt", "né → ", "--length=200", "--temperature=3"])[0].clone();
        assert!(written.starts_with("né → "));
        let once = json_of(&["sample", str(&whole), "--prompt", "né → ", "--length=200", "--temperature=3", "--json"])["text"].clone();
        assert_eq!(written, format!("né → {}\n", once.as_str().unwrap()), "as a stream and at once");
        assert!(json_of(&["gradflow", str(&model), str(&book), "--device=cpu", "--json", "--quiet", "--lags=8"]).is_object());
        let [python, _] = ok(&["export", str(&whole), str(&fresh("model.safetensors"))]);
        assert!(python.contains("tokenizers.Tokenizer.from_str") && python.contains("Embedding(316, 6)"), "{python}");
        assert!(ok(&["export", str(&whole), str(&fresh("model.onnx")), "--onnx"])[0].contains("[\"tokenizer\"]"));
        let imported = fresh("import");
        ok(&["import", str(&model), str(&imported)]);
        assert!(std::fs::read(imported.join("model.safetensors")).unwrap() == std::fs::read(&model).unwrap());
        let [plan, _] = ok(&["plan", str(&book), "--from", str(&whole), "--device=cpu"]);
        assert!(!plan.is_empty());
        // So does a run that starts from it.
        let (one, two) = (fresh("one"), fresh("two"));
        let from = |out: &Path, n| train(out, &[str(&book), "--from", str(&model), "--schedule=constant", n]);
        from(&one, "--updates=8");
        from(&two, "--updates=3");
        ok(&["train", "--resume", str(&two), "--updates=8", "--sample=0", "--quiet"]);
        assert!(same(&one, &two));
        refused(&["train", str(&book), "--from", str(&model), "--tokens", str(&other)], &["--from", "leave --tokens out"]);
    }

    #[test]
    fn lines_of_tokens_are_sequences() {
        let (book, tokenizer, out) = (book("lines"), file("lines.json", bytes_and(30).as_bytes()), fresh("lines"));
        let [_, said] = train(&out, &[str(&book), "--tokens", str(&tokenizer), "--lines", "--updates=20", "--monitor=10"]);
        assert!(said.contains("144 sequences"), "{said}");
        let found = json_of(&["eval", str(&out), str(&book), "--device=cpu", "--json", "--quiet"]);
        let per_byte = found["bpc"].as_f64().unwrap() * found["tokens"].as_f64().unwrap() / std::fs::metadata(&book).unwrap().len() as f64;
        assert!(found["sequences"] == 160 && (found["bits_per_byte"].as_f64().unwrap() - per_byte).abs() < 1e-9, "{found}");
        ok(&["sample", str(&out), "--length=40"]);
        ok(&["gradflow", str(&out), "--device=cpu", "--json", "--quiet", "--lags=4"]);
    }

    #[test]
    fn what_a_tokenizer_leaves_out_is_said() {
        let (book, tokenizer, out) = (book("words"), file("words.json", words(&["[UNK]", "she", "sea", "the", ","]).as_bytes()), fresh("words"));
        let [_, said] = train(&out, &[str(&book), "--tokens", str(&tokenizer), "--updates=5"]);
        let words = 18 * 80;
        assert!(said.contains(&format!("of the {words} tokens are unknown")) && said.contains("does not give the text back"), "{said}");
        let lines = [str(&book), "--tokens", str(&tokenizer), "--lines"];
        refused(&[&["train"], &lines[..]].concat(), &["tokens words.txt", "no token for the separator \"\\n\""]);
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let (book, good) = (book("refused"), words(&["[UNK]", "she"]));
        let with = |name: &str, content: &str, words: &[&str]| {
            refused(&["train", str(&book), "--tokens", str(&file(name, content.as_bytes())), "--out", str(&fresh("refused"))], &[&[name], words].concat());
        };
        with("broken.json", "{\"version\": ", &["not JSON", "tokenizer.json"]);
        with("list.json", "[1, 2]", &["not a tokenizer", "tokenizer.json"]);
        with("odd.json", &good.replace("WordLevel", "Wordless"), &["not a tokenizer"]);
        with("empty.json", &words(&[]), &["no tokens"]);
        with("beyond.json", &good.replace("\"she\":1", "\"she\":4000000000"), &["\"she\"", "4000000000", "of only 2 tokens"]);
        with("lots.json", &bytes_and(1).replace("\"dropout\": null", "\"dropout\": 0.1"), &["dropout of 0.1", "null"]);
        let lost = file("lost.json", words(&["she", "sea"]).as_bytes());
        refused(&["train", str(&book), "--tokens", str(&lost)], &["tokens refused.txt: the tokenizer fails", "[UNK]"]);
        refused(&["train", str(&book), "--tokens", "/no/such.json"], &["/no/such.json", "cannot read"]);
        let tokenizer = file("good.json", good.as_bytes());
        refused(&["train", str(&book), "--tokens", str(&tokenizer), "--bytes"], &["--tokens", "--bytes"]);
        refused(&["train", "--task=copy:3", "--tokens", str(&tokenizer)], &["--tokens", "--task"]);
        refused(&["train", str(&book), "--label-column=1", "--tokens", str(&tokenizer)], &["--tokens", "--label-column"]);
        assert!(!fresh("refused").exists(), "nothing is left");
        // A model file with its tokenizer removed.
        let v = vocabulary(good);
        let codec = retrograd::Codec::Text(v.clone());
        let config = retrograd::Config { hidden: 2, ..retrograd::Config::symbols(v.len()) };
        let mut container = retrograd::Model {
            config,
            codec,
            trained_on: retrograd::store::TrainedOn::Stream,
            split_seed: None,
            parameters: vec![0.5; config.elements() as usize],
        }
        .to_container();
        assert!(container.metadata["config"].contains("\"format\":2") && retrograd::Model::from_container(container.clone()).is_ok());
        container.metadata.insert("tokenizer".into(), "{}".into());
        assert!(retrograd::Model::from_container(container.clone()).unwrap_err().to_string().contains("its tokenizer: not a tokenizer"));
        container.metadata.remove("tokenizer");
        assert!(retrograd::Model::from_container(container).unwrap_err().to_string().contains("no `tokenizer`"));
    }
    /// A text in sequences, and one in pieces that start anywhere: encoded, cut, and the scored bytes counted.
    #[test]
    #[ignore = "a measurement; run it by itself in a build with optimization, with --nocapture"]
    fn the_time_for_a_byte_does_not_grow_with_the_text() {
        let vocabulary = vocabulary(bytes_and(50));
        let line = "she sells sea shells on the sea shore,\r\nand so she does\n";
        let seconds = |megabytes: usize, separator: Option<&str>| {
            let start = Instant::now();
            let text = Text::given("shells", line.repeat((megabytes << 20) / line.len()));
            let symbols = Arc::new(Symbols::separated(text, vocabulary.clone(), separator).unwrap());
            let mut all = vec![Sequences::pieces(symbols.clone(), 0..symbols.len(), 50).unwrap()];
            all.extend(separator.map(|s| Sequences::new(symbols.clone(), s).unwrap()));
            for sequences in all {
                let bytes = sequences.scored_bytes().unwrap().expect("bytes of a text");
                assert!(bytes > (megabytes as u64) * 900_000, "{bytes} bytes");
            }
            start.elapsed().as_secs_f64() / megabytes as f64
        };
        for separator in [Some("\n"), None] {
            let each = [1, 4, 16].map(|megabytes| seconds(megabytes, separator));
            println!("seconds for each of 1, 4 and 16 MB, separator {separator:?}: {each:.3?}");
            assert!(each[2] < 4.0 * each[0], "what is quadratic takes 16 times as long: {each:.3?}");
        }
    }
}
