//! Texts as people have them: line ends, byte order marks, encodings, pipes; and other programs changing them during a run.

use crate::cli::{folder, retrograd, run, text};
use crate::skip::{lacks, skip};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SMALL: [&str; 9] =
    ["--hidden=8", "--batch=2", "--truncation=regular:16", "--updates=4", "--sample=0", "--device=cpu", "--quiet", "--seed=3", "--init=uniform"];

fn book() -> String {
    (0..120).map(|i| format!("Line {i} of the tale: gulls, boats and wind.\n")).collect()
}

fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder("texts").join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn fresh(name: &str) -> PathBuf {
    let path = folder("texts").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ok(args: &[&str]) -> Output {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    out
}

fn refused(args: &[&str], code: i32) -> String {
    let out = retrograd(args);
    let message = text(&out.stderr);
    assert!(out.status.code() == Some(code) && !message.contains("panicked"), "{args:?}: {message}");
    message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect::<Vec<_>>().join(" // ")
}

/// Trains a small model in a new folder.
fn trained(name: &str, book: &Path, more: &[&str]) -> PathBuf {
    let out = fresh(name);
    ok(&[&["train", str(book), "--out", str(&out)], &SMALL[..], more].concat());
    out
}

fn eval(model: &Path, book: &Path, more: &[&str]) -> Value {
    let out = ok(&[&["eval", str(model), str(book), "--device=cpu", "--quiet", "--json"], more].concat());
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Runs a command with `input` on standard input.
fn fed(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    let mut child = command.args(args).current_dir(folder("cli")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn line_ends_and_marks_change_no_figure() {
    let lf = book();
    let plain = trained("lf", &file("lf.txt", &lf), &["--lines"]);
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    let others = [("crlf", lf.replace('\n', "\r\n"), "CRLF"), ("cr", lf.replace('\n', "\r"), "CR;"), ("bom", format!("\u{feff}{lf}"), "")];
    let ends = [("mixed", lf.replacen('\n', "\r\n", 9), "mixed"), ("both", format!("\u{feff}{}", lf.replace('\n', "\r\n")), "CRLF")];
    for (name, content, note) in others.into_iter().chain(ends) {
        let other = file(&format!("{name}.txt"), content);
        assert!(model(&trained(name, &other, &["--lines"])) == model(&plain), "{name}");
        assert_eq!(eval(&plain, &other, &[])["loss"], eval(&plain, &folder("texts").join("lf.txt"), &[])["loss"], "{name}");
        let said = text(&ok(&["eval", str(&plain), str(&other), "--device=cpu"]).stderr);
        assert_eq!(said.lines().filter(|l| l.contains("line ends are")).count(), usize::from(!note.is_empty()), "{said}");
        assert!(said.contains(note), "{said}");
    }
    // Blank lines are no sequences, and stanzas are found, as in a text with LF.
    let stanzas = file("stanzas.txt", lf.replace('\n', "\r\n\r\n"));
    let lines = eval(&trained("blank", &stanzas, &["--lines"]), &stanzas, &[]);
    assert_eq!((&lines["sequences"], &lines["skipped_sequences"]), (&Value::from(120), &Value::from(120)));
    assert_eq!(eval(&trained("stanzas", &stanzas, &["--separator", r"\n\n"]), &stanzas, &[])["sequences"], 120);
    assert_eq!(eval(&trained("given", &stanzas, &["--separator", r"\r\n\r\n"]), &stanzas, &[])["sequences"], 120);
}

#[test]
fn a_mark_is_skipped_in_every_file() {
    let marked = |content: &str| format!("\u{feff}{}", content.replace('\n', "\r\n"));
    let config = file("marked.toml", marked("hidden = 8\nupdates = 3\n"));
    let book = file("book.txt", book());
    let out = fresh("configured");
    ok(&["train", str(&book), "--config", str(&config), "--batch=2", "--device=cpu", "--quiet", "--sample=0", "--out", str(&out)]);
    assert!(std::fs::read_to_string(out.join("config.toml")).unwrap().contains("hidden = 8"));
    let vocabulary = file("marked.json", marked("[\"a\", \"b\"]\n"));
    let other = file("no model.safetensors", b"nothing");
    assert!(refused(&["import", str(&other), str(&fresh("never")), "--vocabulary", str(&vocabulary)], 1).contains("not a whole safetensors"));
    let names: String = (0..60).map(|i| format!("good {i}\t{}\n", if i % 2 == 0 { "x" } else { "y" })).collect();
    let labels = |name: &str, content: &str| {
        let out = fresh(name);
        let small: Vec<&str> = SMALL.into_iter().filter(|a| !a.starts_with("--sample")).collect();
        ok(&[&["train", str(&file(&format!("{name}.tsv"), content)), "--label-column=2", "--out", str(&out)], &small[..]].concat());
        std::fs::read(out.join("model.safetensors")).unwrap()
    };
    assert!(labels("plain labels", &names) == labels("marked labels", &marked(&names)));
}

/// The command that a message names converts the file to text, if the program it needs is installed.
#[test]
fn what_is_no_text_is_named_with_the_command_that_mends_it() {
    if lacks(cfg!(unix), "a shell and signals of Unix") {
        return;
    }
    let lf = book().replace("gulls", "gulls' caf\u{e9}");
    let wide = |little: bool| lf.encode_utf16().flat_map(|u| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect::<Vec<u8>>();
    let latin: Vec<u8> = lf.chars().map(|c| c as u8).collect();
    let mut cases = vec![
        ("wide le.txt", [b"\xff\xfe", &wide(true)[..]].concat(), "UTF-16 (little-endian)"),
        ("wide be.txt", [b"\xfe\xff", &wide(false)[..]].concat(), "UTF-16 (big-endian)"),
        ("unmarked.txt", wide(true), "UTF-16 (little-endian)"),
        ("it's latin.txt", latin, "Windows-1252 or Latin-1"),
        ("damaged.txt", [lf.as_bytes(), b"\xc3"].concat(), "damaged bytes"),
    ];
    for program in ["gzip", "xz", "bzip2", "zstd"] {
        let path = file("packed.txt", &lf);
        match Command::new(program).arg("-c").arg(&path).output() {
            Ok(out) if out.status.success() => {
                let name = match program {
                    "gzip" => "packed 1.txt.gz",
                    "xz" => "packed 2.txt.xz",
                    "bzip2" => "packed 3.txt.bz2",
                    _ => "packed 4.txt.zst",
                };
                cases.push((name, out.stdout, program));
            }
            _ => skip(&format!("files of {program}, which is not there")),
        }
    }
    for (name, content, what) in cases {
        let path = file(name, content);
        let message = refused(&[&["train", str(&path), "--out", str(&fresh("never"))], &SMALL[..]].concat(), 1);
        assert!(message.contains(what) && !message.contains(" // "), "{message}");
        let command = message.split(": ").last().unwrap().split("; or train on its bytes").next().unwrap();
        let made = Command::new("sh").arg("-c").arg(command).output().unwrap();
        let to = PathBuf::from(command.rsplit(" > ").next().unwrap().replace(r"'\''", "\u{1}").replace('\'', "").replace('\u{1}', "'"));
        if made.status.code() == Some(127) {
            skip(&format!("what `{command}` makes: the program is not there"));
            continue;
        }
        let made = std::fs::read_to_string(&to).unwrap_or_else(|e| panic!("{command}: {e}"));
        assert!(made.trim_start_matches('\u{feff}') == lf, "{command}");
        std::fs::remove_file(to).unwrap();
    }
    // The advice never repeats what was given, or suggests what can't work.
    let latin = folder("texts").join("it's latin.txt");
    for more in [&["--label-column=1", "--bytes"][..], &["--label-column=1"], &["--target=a"]] {
        let message = refused(&[&["train", str(&latin)], more].concat(), 1);
        assert!(message.contains("iconv -f WINDOWS-1252") && !message.contains("--bytes"), "{message}");
    }
}

#[test]
fn pipes_and_standard_input_are_texts() {
    let lf = book();
    let path = file("piped.txt", &lf);
    let (whole, piped) = (trained("whole", &path, &[]), fresh("piped"));
    let out = fed(&[&["train", "-", "--out", str(&piped)], &SMALL[..6], &["--seed=3", "--init=uniform"]].concat(), lf.as_bytes());
    let said = text(&out.stderr);
    assert!(out.status.success() && said.contains("note: standard input is kept nowhere"), "{said}");
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&piped));
    let loss = &eval(&whole, &path, &[])["loss"];
    for name in ["-", "/dev/stdin"] {
        if name == "-" || !lacks(Path::new(name).exists(), name) {
            let out = fed(&["eval", str(&whole), name, "--device=cpu", "--quiet", "--json"], lf.as_bytes());
            let found: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", text(&out.stderr)));
            assert_eq!(&found["loss"], loss, "{name}");
        }
    }
    // A pipe can't be found again, so the text is asked for; once given, the run continues like the other.
    let on = |run: &Path, more: &[&str]| {
        [&["train"], more, &["--resume", str(run), "--updates=9", "--sample=0", "--quiet"]].concat().into_iter().map(String::from).collect::<Vec<_>>()
    };
    let words = |v: &[String]| v.iter().map(String::as_str).collect::<Vec<_>>().join("\u{1}");
    let message = refused(&words(&on(&piped, &[])).split('\u{1}').collect::<Vec<_>>(), 1);
    assert!(message.contains("came through a pipe") && message.contains("before --resume"), "{message}");
    let out = fed(&words(&on(&piped, &["-"])).split('\u{1}').collect::<Vec<_>>(), lf.as_bytes());
    assert!(out.status.success(), "{}", text(&out.stderr));
    ok(&words(&on(&whole, &[])).split('\u{1}').collect::<Vec<_>>());
    assert!(model(&whole) == model(&piped));
    let empty = fed(&["eval", str(&whole), "-", "--device=cpu"], b"");
    assert!(empty.status.code() == Some(1) && text(&empty.stderr).contains("standard input: it is empty"));
}

#[test]
#[cfg(unix)]
fn a_path_may_be_of_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let path = folder("texts").join(std::ffi::OsStr::from_bytes(b"caf\xe9 '\n.txt"));
    std::fs::write(&path, book()).unwrap();
    let model = trained("any", &file("any.txt", book()), &[]);
    let of = |path: &Path| run(Command::new(env!("CARGO_BIN_EXE_retrograd")).args(["eval", str(&model)]).arg(path).args(["--device=cpu", "--quiet"]));
    let out = of(&path);
    assert!(out.status.success(), "{}", text(&out.stderr));
    std::fs::write(&path, b"\x1f\x8b\x08").unwrap();
    let message = text(&of(&path).stderr);
    assert!(message.contains(r"gzip -dc $'") && message.contains(r"caf\xe9 \'\x0a.txt'"), "{message}");
}

/// A model file says what its sequences are; flags override it; a file without that word is of a stream.
#[test]
fn a_model_file_knows_its_sequences() {
    let path = file("sequences.txt", book());
    let lines = trained("lines", &path, &["--lines"]);
    let model = lines.join("model.safetensors");
    let (of_run, of_file) = (eval(&lines, &path, &[]), eval(&model, &path, &[]));
    assert_eq!((&of_run["loss"], &of_run["sequences"]), (&of_file["loss"], &Value::from(120)));
    assert_eq!(eval(&model, &path, &["--stream"])["sequences"], 1);
    assert_ne!(eval(&model, &path, &["--separator", ": "])["loss"], of_run["loss"]);
    let from = |name: &str, source: &Path, more: &[&str]| {
        let out = fresh(name);
        ok(&[&["train", str(&path), "--from", str(source), "--batch=2", "--updates=3", "--sample=0", "--device=cpu", "--quiet", "--out", str(&out)], more]
            .concat());
        (std::fs::read(out.join("model.safetensors")).unwrap(), std::fs::read_to_string(out.join("config.toml")).unwrap().contains("separator"))
    };
    let as_lines = from("from lines", &model, &["--lines"]);
    assert!(as_lines.1);
    for (name, source) in [("from file", &model), ("from run", &lines)] {
        assert!(from(name, source, &[]) == as_lines, "{name}");
    }
    let stream = from("from stream", &model, &["--stream"]);
    assert!(!stream.1 && stream.0 != as_lines.0);
    // It still does after export and import.
    let (exported, back) = (folder("texts").join("exported.safetensors"), fresh("back"));
    let _ = std::fs::remove_file(&exported);
    ok(&["export", str(&lines), str(&exported)]);
    ok(&["import", str(&exported), str(&back)]);
    assert_eq!(eval(&back, &path, &[])["loss"], of_run["loss"]);
    // A stream's file contains no more than it always did.
    let plain = std::fs::read(trained("stream", &path, &[]).join("model.safetensors")).unwrap();
    assert!(!text(&plain).contains("sequences"));
}

#[test]
fn unknown_characters_are_counted_and_can_be_learned() {
    let path = file("known.txt", book());
    let run = trained("known", &path, &[]);
    let strange = book().replace("tale", "t\u{e4}le \u{1f980}");
    let other = file("strange.txt", &strange);
    assert!(refused(&["eval", str(&run), str(&other), "--device=cpu"], 1).contains("--unknown skip"));
    let skipped = eval(&run, &other, &["--unknown=skip"]);
    assert_eq!(
        (&skipped["unknown"], &skipped["loss"]),
        (&Value::from(240), &eval(&run, &file("skipped.txt", strange.replace(['\u{e4}', '\u{1f980}'], "")), &[])["loss"])
    );
    let read = eval(&run, &other, &["--unknown=symbol:e"]);
    assert_eq!(
        (&read["unknown"], &read["loss"]),
        (&Value::from(240), &eval(&run, &file("read.txt", strange.replace(['\u{e4}', '\u{1f980}'], "e")), &[])["loss"])
    );
    assert!((read["perplexity"].as_f64().unwrap() - read["loss"].as_f64().unwrap().exp()).abs() < 1e-9);
    assert!(refused(&["eval", str(&run), str(&other), "--device=cpu", "--unknown=symbol:~"], 2).contains("not a symbol of the model"));
    let learned = fresh("learned");
    let train = ["train", str(&other), "--from", str(&run), "--batch=2", "--sample=0", "--device=cpu", "--out", str(&learned), "--updates=2"];
    assert!(refused(&train, 1).contains("--extend-vocabulary"));
    let said = text(&ok(&[&train[..], &["--extend-vocabulary"]].concat()).stderr);
    assert!(said.contains("2 new symbols: the model of --from now knows 33"), "{said}");
    assert!(eval(&learned, &other, &[])["loss"].as_f64().unwrap().is_finite());
    ok(&["train", "--resume", str(&learned), "--updates=4", "--sample=0", "--quiet"]);
    // The prompt takes escapes, and the same options for unknown characters.
    let sample = |more: &[&str]| text(&ok(&[&["sample", str(&run), "--length=5"], more].concat()).stdout);
    assert!(sample(&["--prompt", r"Line 3\nLine"]).starts_with("Line 3\nLine"));
    assert!(refused(&["sample", str(&run), "--prompt", r"a\q"], 2).contains(r"\q is unknown"));
    sample(&["--prompt", "t\u{e4}le", "--unknown=skip"]);
    let bytes = trained("bytes", &path, &["--bytes"]);
    let found: Value = serde_json::from_slice(&ok(&["sample", str(&bytes), "--json", "--length=40", "--temperature=5"]).stdout).unwrap();
    let numbers: Vec<u8> = found["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
    assert!(numbers.len() == 40 && std::str::from_utf8(&numbers).ok() == found["text"].as_str(), "{found}");
}

#[test]
fn models_of_every_kind_are_imported() {
    let lines: String = (0..60).map(|i| format!("good {i}\t{}\n", if i % 2 == 0 { "x" } else { "y" })).collect();
    let table: String = "a,b\n".to_string() + &(0..300).map(|i| format!("{},{}\n", i % 7, i % 5)).collect::<String>();
    let kinds = [(file("import.tsv", lines), "--label-column=2"), (file("import.csv", table), "--target=a"), (file("import.txt", book()), "--embed=4")];
    for (i, (path, flag)) in kinds.into_iter().enumerate() {
        let (out, back) = (fresh(&format!("kind {i}")), fresh(&format!("back {i}")));
        let small: Vec<&str> = SMALL.into_iter().filter(|a| !a.starts_with("--sample")).collect();
        ok(&[&["train", str(&path), flag, "--out", str(&out)], &small[..]].concat());
        let model = out.join("model.safetensors");
        ok(&["import", str(&model), str(&back)]);
        assert!(std::fs::read(&model).unwrap() == std::fs::read(back.join("model.safetensors")).unwrap(), "{flag}");
        assert!(refused(&["import", str(&model), str(&fresh("never")), "--activation=relu"], 2).contains("leave it out"));
    }
}

/// A run continues if its text is rewritten with the same bytes; if the text is cut short, the run ends with one line and is saved.
#[test]
#[cfg(unix)]
fn a_text_that_is_cut_short_ends_the_run_with_a_line() {
    let content = book().repeat(40);
    let (path, out) = (file("cut.txt", &content), fresh("cut"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrograd"));
    let args =
        ["train", str(&path), "--hidden=8", "--batch=2", "--updates=100000000", "--sample=0", "--device=cpu", "--quiet", "--log-every=5", "--out", str(&out)];
    let child = command.args(args).current_dir(folder("cli")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let progress = || std::fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default().lines().count();
    let wait = |lines: usize| {
        let start = std::time::Instant::now();
        while progress() < lines && start.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(progress() >= lines, "no update in a minute");
    };
    wait(2);
    for _ in 0..20 {
        std::fs::write(&path, &content).unwrap();
    }
    wait(progress() + 2);
    std::fs::write(&path, &content[..100]).unwrap();
    let done = child.wait_with_output().unwrap();
    let message = text(&done.stderr);
    let lines: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
    assert!(done.status.code() == Some(1) && lines.len() == 1 && !message.contains("panicked"), "{message}");
    assert!(lines[0].contains("was cut short while it was read") && lines[0].contains("100 now") && lines[0].contains("saved after update"), "{message}");
    // The advice works.
    std::fs::write(&path, &content).unwrap();
    let update: u64 = lines[0].split("saved after update ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    ok(&["train", "--resume", str(&out), "--updates", &(update + 2).to_string(), "--sample=0", "--quiet"]);
    // An evaluation works too.
    let model = fresh("cut model.safetensors");
    std::fs::copy(out.join("model.safetensors"), &model).unwrap();
    assert!(eval(&model, &path, &[])["loss"].is_number());
}
