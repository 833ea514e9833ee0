//! Recognizes files that are not UTF-8 by their bytes, and names the command that converts them to text.

use crate::phrase::argument;
use std::path::{Path, PathBuf};

/// The byte order mark of UTF-8.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Utf16Le,
    Utf16Be,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    SevenZip,
    Zip,
    /// Word, OpenDocument, EPUB: a zip of XML.
    Document,
    /// A spreadsheet: also a zip of XML.
    Sheet,
    Pdf,
    Binary,
    /// Mostly UTF-8, with some invalid bytes.
    Broken,
    /// Latin letters, one byte each: Windows-1252, which covers Latin-1 as far as texts use it.
    Latin,
    Unknown,
}

/// Magic numbers.
const SIGNATURES: [(&[u8], Format); 15] = [
    (b"\xff\xfe", Format::Utf16Le),
    (b"\xfe\xff", Format::Utf16Be),
    (b"\x1f\x8b", Format::Gzip),
    (b"BZh", Format::Bzip2),
    (b"\xfd7zXZ\0", Format::Xz),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"7z\xbc\xaf\x27\x1c", Format::SevenZip),
    (b"PK\x03\x04", Format::Zip),
    (b"%PDF-", Format::Pdf),
    (b"\x7fELF", Format::Binary),
    (b"\x89PNG", Format::Binary),
    (b"\xff\xd8\xff", Format::Binary),
    (b"PAR1", Format::Binary),
    (b"SQLite format 3\0", Format::Binary),
    (b"\xd0\xcf\x11\xe0", Format::Binary),
];

/// Bytes that Windows-1252 has no character for.
const NOT_LATIN: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// Whether a file that begins with `head` is UTF-16. Without a byte order mark, it may be valid UTF-8, but every other byte is 0.
pub(super) fn is_wide(head: &[u8]) -> bool {
    matches!(Format::of(&head[..head.len().min(1 << 12)], b""), Format::Utf16Le | Format::Utf16Be)
}

impl Format {
    /// The format of a file that begins with `head` and has `around` around an invalid byte.
    fn of(head: &[u8], around: &[u8]) -> Self {
        let signed = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)).map(|(_, format)| *format);
        let holds = |name: &[u8]| memchr::memmem::find(head, name).is_some();
        match signed {
            Some(Format::Zip) if holds(b"xl/") => return Format::Sheet,
            Some(Format::Zip) if holds(b"word/") || holds(b"application/epub") || holds(b"application/vnd.oasis") => return Format::Document,
            Some(format) => return format,
            None => {}
        }
        let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
        let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
        if half >= 4 && odd > half / 2 && even < half / 50 + 1 {
            return Format::Utf16Le;
        }
        if half >= 4 && even > half / 2 && odd < half / 50 + 1 {
            return Format::Utf16Be;
        }
        let control = |b: &&u8| **b < 0x20 && !matches!(**b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
        if around.iter().filter(control).count() > around.len() / 100 {
            return Format::Binary;
        }
        Self::of_letters(around)
    }

    /// The format of a text that is not UTF-8, by its bytes from 0x80 on.
    fn of_letters(around: &[u8]) -> Self {
        let (mut good, mut bad, mut first) = (0, 0, true);
        for chunk in around.utf8_chunks() {
            good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
            // A window may begin within a character.
            bad += if first && chunk.valid().is_empty() { 0 } else { chunk.invalid().len() };
            first = false;
        }
        let high = around.iter().filter(|b| **b >= 0x80).count();
        let letters = around.iter().filter(|b| b.is_ascii_alphabetic()).count();
        match () {
            () if good > 0 && good >= bad => Format::Broken,
            () if high <= letters / 2 && !around.iter().any(|b| NOT_LATIN.contains(b)) => Format::Latin,
            () => Format::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Utf16Le => "UTF-16 (little-endian)",
            Format::Utf16Be => "UTF-16 (big-endian)",
            Format::Gzip => "compressed with gzip",
            Format::Bzip2 => "compressed with bzip2",
            Format::Xz => "compressed with xz",
            Format::Zstd => "compressed with zstd",
            Format::SevenZip => "a 7z archive",
            Format::Zip => "a zip archive",
            Format::Document => "a document of a word processor",
            Format::Sheet => "a workbook of a spreadsheet",
            Format::Pdf => "a PDF",
            Format::Binary => "binary",
            Format::Broken => "UTF-8 with damaged bytes",
            Format::Latin => "Windows-1252 or Latin-1 by its bytes",
            Format::Unknown => "not UTF-8",
        }
    }

    /// The command that converts the file to text: before the input path, and between it and the output path. `None` if there is no such command.
    fn command(self) -> Option<[&'static str; 2]> {
        match self {
            Format::Utf16Le => Some(["iconv -f UTF-16LE -t UTF-8", ">"]),
            Format::Utf16Be => Some(["iconv -f UTF-16BE -t UTF-8", ">"]),
            Format::Gzip => Some(["gzip -dc", ">"]),
            Format::Bzip2 => Some(["bzip2 -dc", ">"]),
            Format::Xz => Some(["xz -dc", ">"]),
            Format::Zstd => Some(["zstd -dc", ">"]),
            Format::SevenZip => Some(["7z e -so", ">"]),
            Format::Zip => Some(["unzip -p", ">"]),
            Format::Document => Some(["pandoc -t plain", "-o"]),
            Format::Pdf => Some(["pdftotext", ""]),
            Format::Broken => Some(["iconv -c -f UTF-8 -t UTF-8", ">"]),
            Format::Latin => Some(["iconv -f WINDOWS-1252 -t UTF-8", ">"]),
            Format::Sheet | Format::Binary | Format::Unknown => None,
        }
    }

    /// Whether training on its bytes would make sense.
    fn bare(self) -> bool {
        matches!(self, Format::Binary | Format::Broken | Format::Latin | Format::Unknown)
    }

    /// Advice for a file, or for piped input if there is no path.
    fn advice(self, path: Option<&Path>) -> String {
        let does = match self {
            Format::Broken => "leave out what is damaged",
            Format::Latin | Format::Utf16Le | Format::Utf16Be => "convert it",
            Format::Document | Format::Pdf => "take its text out",
            _ => "unpack it",
        };
        match (self.command(), path) {
            (Some([command, to]), Some(path)) => {
                let to = if to.is_empty() { String::new() } else { format!(" {to}") };
                format!("{does}: {command} {}{to} {}", argument(path), argument(&beside(path)))
            }
            (Some([command, ">"]), None) if self != Format::Zip && self != Format::SevenZip => format!("{does} in the pipe: ... | {command} | retrograd ..."),
            (_, path) => match self {
                Format::Sheet => "save the sheet as CSV in UTF-8 and give that".to_string(),
                Format::Unknown => {
                    let file = path.map_or("FILE".to_string(), argument);
                    format!("convert it with the name of its encoding, which `file -i {file}` guesses: iconv -f ENCODING -t UTF-8 {file}")
                }
                Format::Binary => "give a text file in UTF-8".to_string(),
                _ => "save it as plain text in UTF-8 and give that".to_string(),
            },
        }
    }
}

/// A free name beside `path`, or in the current directory if its directory is read-only: without the ending of a compressed file, or with another one.
fn beside(path: &Path) -> PathBuf {
    let packed = ["gz", "bz2", "xz", "zst", "zip", "7z"];
    let packed = path.extension().is_some_and(|e| packed.iter().any(|p| e.eq_ignore_ascii_case(p)));
    let stem = path.with_extension("");
    let ending = match (packed, stem.extension()) {
        (true, Some(inner)) => inner.to_string_lossy().into_owned(),
        _ => "txt".to_string(),
    };
    let stem = if packed && stem.extension().is_some() { stem.with_extension("") } else { stem };
    let closed = path.parent().and_then(|folder| folder.metadata().ok()).is_some_and(|m| m.permissions().readonly());
    let name = |n: u32| {
        let mut name = stem.file_name().unwrap_or_default().to_os_string();
        name.push(match n {
            0 if packed => format!(".{ending}"),
            0 | 1 => format!(".utf8.{ending}"),
            n => format!(".utf8-{n}.{ending}"),
        });
        if closed { PathBuf::from(name) } else { path.with_file_name(name) }
    };
    (0..).map(name).find(|p| !p.exists()).unwrap_or_else(|| name(0))
}

/// The message for a file that is not text: its format, if recognized, and what to do.
pub(super) fn refusal(name: &str, path: Option<&Path>, head: &[u8], around: &[u8], place: &str, otherwise: Option<&str>) -> String {
    let format = Format::of(head, around);
    let or = otherwise.filter(|_| format.bare()).map_or(String::new(), |o| format!("; or {o}"));
    let place = if format.bare() { format!(" ({place})") } else { String::new() };
    let not = if matches!(format, Format::Broken | Format::Unknown) { "" } else { ", not UTF-8" };
    // Relative, as the user may have written it.
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.map(|p| p.strip_prefix(&here).unwrap_or(p));
    format!("{name} is {}{not}{place}; {}{or}", format.name(), format.advice(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = "Liebe Grüße aus München, schöne Grüße auch an die Tür.\n";

    fn wide(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
    }

    #[test]
    fn formats_are_known_by_their_bytes() {
        let latin: Vec<u8> = LETTER.chars().map(|c| c as u32 as u8).collect();
        let marked = |mark: &[u8], rest: Vec<u8>| [mark, &rest].concat();
        for (bytes, expected) in [
            (marked(b"\xff\xfe", wide(LETTER, true)), Format::Utf16Le),
            (marked(b"\xfe\xff", wide(LETTER, false)), Format::Utf16Be),
            (wide(LETTER, true), Format::Utf16Le),
            (wide(LETTER, false), Format::Utf16Be),
            (wide("ab\n\n", true), Format::Utf16Le),
            (latin.clone(), Format::Latin),
            (b"na\xefve \x93quotes\x94 and \x80 50".to_vec(), Format::Latin),
            (LETTER.as_bytes()[..11].to_vec(), Format::Broken),
            ([LETTER.as_bytes(), b"\xff", LETTER.as_bytes()].concat(), Format::Broken),
            (b"\xd0\xd2\xc9\xd7\xc5\xd4 \xcd\xc9\xd2".repeat(20), Format::Unknown),
            (b"PK\x03\x04\x14\0word/document.xml".to_vec(), Format::Document),
            (b"PK\x03\x04\x14\0xl/workbook.xml".to_vec(), Format::Sheet),
            (b"PK\x03\x04\x14\0book.txt".to_vec(), Format::Zip),
            ((0..=255).collect(), Format::Binary),
        ] {
            assert_eq!(Format::of(&bytes, &bytes), expected, "{:?}", String::from_utf8_lossy(&bytes));
            assert_eq!(is_wide(&bytes), matches!(expected, Format::Utf16Le | Format::Utf16Be));
        }
        for good in ["", "ab", "a\0b", "plain text, and a \0 in it", LETTER] {
            assert!(!is_wide(good.as_bytes()), "{good:?}");
        }
    }

    #[test]
    fn what_is_made_has_a_name_that_is_free() {
        let there = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = |name: &str| beside(&there.join(name)).strip_prefix(there).unwrap().display().to_string();
        assert_eq!(made("book.txt.gz"), "book.txt");
        assert_eq!(made("book.gz"), "book.txt");
        assert_eq!(made("book.latin1.txt"), "book.latin1.utf8.txt");
        assert_eq!(made("book"), "book.utf8.txt");
        let closed = std::env::temp_dir().join(format!("retrograd-closed-{}", std::process::id()));
        std::fs::create_dir_all(&closed).unwrap();
        let open = closed.metadata().unwrap().permissions();
        let mut shut = open.clone();
        shut.set_readonly(true);
        std::fs::set_permissions(&closed, shut).unwrap();
        let here = beside(&closed.join("far away.txt.gz"));
        std::fs::set_permissions(&closed, open).unwrap();
        std::fs::remove_dir(&closed).unwrap();
        assert_eq!(here, Path::new("far away.txt"));
        assert_eq!(made("Cargo.toml.gz"), "Cargo.utf8.toml", "Cargo.toml is there");
    }

    #[test]
    fn another_way_is_named_only_where_it_is_one() {
        let said = |bytes: &[u8], path: Option<&str>| refusal("a b", path.map(Path::new), bytes, bytes, "byte 0", Some("train on its bytes with `bytes`"));
        assert!(
            said(b"caf\xe9 au lait", Some("/a b")).ends_with("iconv -f WINDOWS-1252 -t UTF-8 '/a b' > '/a b.utf8.txt'; or train on its bytes with `bytes`")
        );
        assert!(said(b"\x1f\x8b\x08", Some("/x.gz")).ends_with("unpack it: gzip -dc /x.gz > /x.txt"));
        assert!(said(b"\x1f\x8b\x08", None).ends_with("unpack it in the pipe: ... | gzip -dc | retrograd ..."));
    }
}
