//! Bad input: commands, their exit codes and the one line they print, listed in `refused.txt`.

use crate::cli::{folder, retrograd, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files that the commands name, by their placeholder in braces.
fn files() -> BTreeMap<&'static str, PathBuf> {
    let dir = folder("refused");
    let mut files = BTreeMap::from([("none", dir.join("none")), ("dir", dir.clone())]);
    let good = "It was the best of times, it was the worst of times, it was the age of wisdom.\n".repeat(20);
    let mut put = |name: &'static str, file: &str, content: &[u8]| {
        let path = dir.join(file);
        std::fs::write(&path, content).unwrap();
        files.insert(name, path);
    };
    put("text", "text.txt", good.as_bytes());
    put("other", "other.txt", "\u{e9}tude ".repeat(300).as_bytes());
    put("empty", "empty.txt", b"");
    put("latin1", "latin1.txt", b"caf\xe9 au lait");
    put("utf16", "utf16.txt", b"\xff\xfeI\0t\0 \0w\0a\0s\0");
    put("packed", "packed file.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0");
    put("pdf", "book.pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
    put("elf", "program", b"\x7fELF\x02\x01\x01\0\xff\0\0\0");
    put("short", "short.txt", b"abcdefgh");
    put("blank", "blank.txt", b"\n\n\n\n");
    put("one", "one.txt", b"one line alone, and nothing after it but its end\n");
    put("symbols", "symbols.json", b"[\"a\", \"a\"]");
    put("labels", "labels.tsv", b"good day\tx\nbad day\ty\nno day\tx\n");
    put("alike", "alike.tsv", b"good day\tx\nbad day\tx\n");
    put("doubled", "doubled.csv", b"text,label,label\na,x,y\nb,y,x\n");
    put("open", "open.csv", b"text,label\n\"a, b,x\nc,y\n");
    put("jsonl", "rows.jsonl", b"{\"text\": \"a\", \"label\": \"x\"}\n");
    put("ragged", "ragged.csv", b"text,label\na,x\nb\n");
    for (name, content) in CONFIGS {
        put(name, &format!("{name}.toml"), content.as_bytes());
    }
    for (name, content) in TABLES {
        put(name, &format!("{name}.csv"), content.as_bytes());
    }
    let run = dir.join("run");
    if !run.exists() {
        let out = retrograd(&["train", path(&dir.join("text.txt")), "--hidden=8", "--batch=2", "--updates=4", "--device=cpu", "--quiet", "--out", path(&run)]);
        assert!(out.status.success(), "{}", text(&out.stderr));
    }
    let rows: String = (0..60).map(|i| format!("{i},{}\n", (i * 7) % 11)).collect();
    let (table, series) = (dir.join("rows.csv"), dir.join("series"));
    std::fs::write(&table, format!("t,y\n{rows}")).unwrap();
    if !series.exists() {
        let out = retrograd(&["train", path(&table), "--target=y", "--time=t", "--hidden=4", "--updates=4", "--device=cpu", "--quiet", "--out", path(&series)]);
        assert!(out.status.success(), "{}", text(&out.stderr));
    }
    files.insert("rows", table);
    files.insert("series", series);
    let model = std::fs::read(run.join("model.safetensors")).unwrap();
    let mut put = |name: &'static str, content: &[u8]| {
        let path = dir.join(format!("{name}.safetensors"));
        std::fs::write(&path, content).unwrap();
        files.insert(name, path);
    };
    put("cut", &model[..model.len() / 2]);
    put("huge", &[&u64::MAX.to_le_bytes()[..], &model[8..]].concat());
    put("noise", &model.iter().map(|b| b.wrapping_mul(31)).collect::<Vec<u8>>());
    let mut flipped = model.clone();
    *flipped.last_mut().unwrap() ^= 1;
    put("flipped", &flipped);
    put("nothing", b"");
    files.insert("model", run.join("model.safetensors"));
    files.insert("run", run);
    files
}

const CONFIGS: [(&str, &str); 8] = [
    ("unknown", "hiden = 4\n"),
    ("renamed", "history = \"f16\"\n"),
    ("wrong", "hidden = \"many\"\n"),
    ("range", "layers = 9\n"),
    ("broken", "hidden = = 4\n"),
    ("newer", "format = 99\n"),
    ("embedded", "text = \"x.csv\"\ntarget = \"a\"\nembed = 4\n"),
    ("both", "epochs = 1\nupdates = 1\n"),
];

/// Tables that can't be forecast.
const TABLES: [(&str, &str); 27] = [
    ("torn", "a,b\n1,2\n3\n"),
    ("word", "a,b\n1,2\n3,four\n5,6\n"),
    ("nan", "a,b\n1,2\nNaN,4\n5,6\n"),
    ("infinite", "a,b\n1,2\n3,-inf\n5,6\n"),
    ("gap", "a,b\n1,2\n,4\n5,6\n"),
    ("twice", "a,a\n1,2\n3,4\n"),
    ("nameless", "a,\n1,2\n3,4\n"),
    ("header", "a,b\n"),
    ("constant", "a,b\n1,2\n1,4\n1,6\n1,8\n1,3\n1,2\n1,2\n1,5\n"),
    ("dates", "day,b\n2026-01-01,2\n2026-01-02,4\n2026-01-03,6\n"),
    ("semicolons", "a;b\n1;2\n3;4\n"),
    ("large", "a,b\n1,2\n1e300,4\n5,6\n"),
    ("tiny", "a,b\n1,2\n3,5\n"),
    ("unquoted", "a,b\n1,2\n3,\"4\n5,6\n7,8\n"),
    ("stray", "a,b\n1,\"2\n3,4\n5,\"6\n"),
    ("comma", "a,b\n1,\"1,234\"\n2,950\n"),
    ("mixed", "a;b\n1;1.5\n2;2,5\n"),
    ("share", "a,b\n1,5%\n2,0.5\n"),
    ("truths", "a,b\n1,TRUE\n2,5\n"),
    ("unsorted", "t,y\n2019-1-31,1\n2019-3-31,2\n2019-2-28,3\n2019-4-30,4\n"),
    ("again", "t,y\n1949-Jan,1\n1949-Feb,2\n1949-Feb,3\n"),
    ("orders", "t,y\n01/02/2018,1\n01/03/2018,2\n01/04/2018,3\n"),
    ("weeks", "t,y\nweek one,1\nweek two,2\n"),
    ("timeless", "t,y\n1,1\n,2\n"),
    ("hollow", "t,y\n1,\n2,3\n"),
    ("worded", "t,y\n1,five\n2,3\n"),
    ("flags", "t,y,flag,flag\n1,1,0,1\n2,2,0,1\n"),
];

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Splits a command into words; double quotes group words, braces name files.
fn words(line: &str, files: &BTreeMap<&'static str, PathBuf>) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    words.push(word);
    let named = |word: String| files.iter().fold(word, |w, (name, file)| w.replace(&format!("{{{name}}}"), path(file)));
    words.into_iter().map(named).collect()
}

/// Exit code and output of a command, with file names replaced by their placeholders.
fn answer(command: &str, files: &BTreeMap<&'static str, PathBuf>) -> String {
    let words = words(command, files);
    let out = retrograd(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let message = text(&out.stderr);
    assert!(!message.contains("panicked"), "{command}: {message}");
    // Mesa's device-select layer prints an error on machines without a desktop session.
    let lines: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
    let mut line = lines.join(" // ").trim_start_matches("error: ").to_string();
    let mut paths: Vec<_> = files.iter().collect();
    paths.sort_by_key(|(_, file)| std::cmp::Reverse(path(file).len()));
    paths.iter().for_each(|(name, file)| line = line.replace(path(file), &format!("{{{name}}}")));
    format!("{} {line}", out.status.code().unwrap_or(-1))
}

/// Flags that a message names, with their positions.
fn flags(message: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in message.match_indices("--").filter(|(at, _)| *at == 0 || " `'(".contains(&message[at - 1..*at])) {
        let rest = &message[at + 2..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
        found.extend((end > 0).then(|| (at, &message[at..at + 2 + end])));
    }
    found
}

/// The flags in a command's message that do not exist: not in that command, nor in `train` or `eval` where the message
/// mentions them, nor among those the user gave.
fn unknown_flags(command: &str, message: &str, helps: &mut BTreeMap<String, String>) -> Vec<String> {
    let name = command.split(' ').next().unwrap_or_default().to_string();
    let mut has = |name: &str, flag: &str| {
        let help = helps.entry(name.to_string()).or_insert_with(|| text(&retrograd(&[name, "--help"]).stdout));
        help.split([' ', ',', '=', '[', '\n']).any(|word| word == flag)
    };
    let mut named = |before: &str, flag: &str| ["train", "eval", name.as_str()].iter().any(|other| before.contains(other) && has(other, flag));
    let all = flags(message).into_iter();
    let unknown = all.filter(|(at, flag)| !(command.contains(flag) || named(&format!("{name} {}", &message[..*at]), flag)));
    unknown.map(|f| f.1.to_string()).collect()
}

/// Every command in the list is refused with the line below it. To print all current lines: `REFUSED=show cargo test --test it refused -- --nocapture`.
#[test]
fn bad_input_is_refused_in_one_line() {
    let (files, list) = (files(), include_str!("refused.txt"));
    let (mut count, mut wrong, mut helps) = (0, Vec::new(), BTreeMap::new());
    let mut lines = list.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("a line without a command: {line}"));
        let expected = lines.next_if(|l| !l.starts_with("$ ")).unwrap_or("");
        let found = answer(command, &files);
        if std::env::var_os("REFUSED").is_some() {
            println!("$ {command}\n{found}\n");
        }
        let unknown = unknown_flags(command, &found, &mut helps);
        if !unknown.is_empty() {
            wrong.push(format!("$ {command}\n  names flags that it has not got: {unknown:?}\n  {found}"));
        }
        if found != expected || !(found.starts_with("1 ") || found.starts_with("2 ")) {
            wrong.push(format!("$ {command}\n  expected {expected}\n  found    {found}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count} are not what they should be:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 80, "{count} cases");
}
