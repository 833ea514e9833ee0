//! Helpers for messages: singular and plural, and quoting for a shell.

use std::path::Path;

/// The word for `n` things: `row`, or `rows`.
pub(crate) fn noun<'a>(n: u64, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {}", noun(n, one, many))
}

/// Quotes a word for a POSIX shell, if necessary.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Quotes a path for a command that can be pasted into a shell, and keeps a leading dash from looking like a flag. Control characters and bytes that are
/// not UTF-8 are written in `$'...'`, which bash and zsh support.
pub(crate) fn argument(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let here = if bytes.starts_with(b"-") { "./" } else { "" };
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => shell_word(&format!("{here}{text}")),
        _ => {
            let shown = |b: &u8| match b {
                b'\'' | b'\\' => format!("\\{}", char::from(*b)),
                b' '..=b'~' => char::from(*b).to_string(),
                b => format!("\\x{b:02x}"),
            };
            format!("$'{here}{}'", bytes.iter().map(shown).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(["a.txt", "it's", "", "$x `y`", "\\n"].map(shell_word), ["a.txt", "'it'\\''s'", "''", "'$x `y`'", "'\\n'"]);
        assert_eq!(["my out", "-x", "--help", "runs/book", "-a b"].map(|p| argument(Path::new(p))), ["'my out'", "./-x", "./--help", "runs/book", "'./-a b'"]);
    }

    #[cfg(unix)]
    #[test]
    fn paths_of_any_bytes_can_be_pasted() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"-a'\xff"));
        assert_eq!(argument(path), r"$'./-a\'\xff'");
        let out = std::process::Command::new("bash").args(["-c", &format!("printf %s {}", argument(path))]).output();
        // Skipped where there is no bash.
        if let Ok(out) = out {
            assert_eq!(out.stdout, b"./-a'\xff");
        }
    }

    #[test]
    fn one_thing_and_several() {
        assert_eq!([counted(0_u64, "row", "rows"), counted(1_usize, "row", "rows"), counted(2_u32, "entry", "entries")], ["0 rows", "1 row", "2 entries"]);
    }
}
