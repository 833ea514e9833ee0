//! Texts: files of any length with random access, or bytes in memory.

use super::encoding::{self, BOM};
use super::raw::Raw;
use crate::error::{Error, Result};
use crate::files;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// Bytes read at once in a pass over a text.
const PIECE: usize = 1 << 20;

/// Contents of pipes by path: opening one again returns the same content, since a pipe can be read only once.
static PIPED: Mutex<BTreeMap<PathBuf, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());

/// A text and its source.
pub struct Text {
    /// Its path, or another name.
    pub name: String,
    /// Its path, if it is a file that can be opened again; `None` for piped content.
    pub path: Option<PathBuf>,
    raw: Raw,
    checksum: OnceLock<String>,
    /// Alternative offered to the user if it is not text.
    otherwise: Option<&'static str>,
    /// Alternative offered if it has a character that a model does not know.
    unknown: Option<&'static str>,
}

impl Text {
    /// The embedded sample: the first book of Cicero's De finibus bonorum et malorum, 49 KB of Latin, from the crate `lipsum`.
    pub fn embedded() -> Self {
        Self::given("Cicero, De finibus (embedded)", lipsum::LIBER_PRIMUS)
    }

    /// A text in memory.
    pub fn given(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Text { name: name.to_string(), path: None, raw: Raw::Batch(Arc::new(content.into())), checksum: OnceLock::new(), otherwise: None, unknown: None }
    }

    /// A text in memory that others hold too.
    pub fn shared(name: &str, content: Arc<Vec<u8>>) -> Self {
        Text { raw: Raw::Batch(content), ..Self::given(name, Vec::new()) }
    }

    /// Opens a file. It is read on demand and takes no memory, however long it is. Sources that can
    /// be read only once (`-` for standard input, a pipe) are read into memory and have no path.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be read, is a directory or a device, or is empty.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, "the path of a text file")
    }

    /// Opens a file that should hold what `expected` says.
    fn open_as(path: &Path, expected: &str) -> Result<Self> {
        let piped = path.as_os_str() == "-";
        let name = if piped || path == Path::new("/dev/stdin") { "standard input".to_string() } else { path.display().to_string() };
        let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot read {name}: {e}; give {expected}"));
        let text = if piped { Self::piped(&name, path, || Ok(std::io::stdin())) } else { Self::at(&name, path) }.map_err(|e| failed(&e))?;
        if text.is_empty() {
            return Err(failed(&"it is empty"));
        }
        Ok(text)
    }

    /// Reads a source that can be read only once, or returns its content if it has been read.
    fn piped<R: Read>(name: &str, path: &Path, open: impl FnOnce() -> std::io::Result<R>) -> std::io::Result<Self> {
        let mut known = PIPED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let content = match known.get(path) {
            Some(content) => content.clone(),
            None => {
                let mut content = Vec::new();
                open()?.read_to_end(&mut content)?;
                known.entry(path.to_path_buf()).or_insert(Arc::new(content)).clone()
            }
        };
        Ok(Text { raw: Raw::Batch(content), ..Self::given(name, Vec::new()) })
    }

    fn at(name: &str, path: &Path) -> std::io::Result<Self> {
        let refused = |what: &str| Err(std::io::Error::other(what));
        let kind = fs::metadata(path)?;
        if kind.is_dir() {
            return refused("it is a directory");
        }
        if endless(kind.file_type()) {
            return refused("it is a device");
        }
        if !kind.is_file() {
            return Self::piped(name, path, || File::open(path));
        }
        // /dev/stdin and the like are a different file in each process. They may lead to a file with a path of its own, or to one that no longer has any.
        let of_a_process = path.starts_with("/dev") || path.starts_with("/proc");
        let lasting = if of_a_process { fs::canonicalize(path).ok().filter(|p| p.is_file()) } else { Some(std::path::absolute(path)?) };
        let Some(path) = lasting else { return Self::piped(name, path, || File::open(path)) };
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        Ok(Text { name: name.to_string(), path: Some(path), raw: Raw::File { file, len }, checksum: OnceLock::new(), otherwise: None, unknown: None })
    }

    /// Sets the alternative offered, in the words of a message, if it turns out not to be text.
    #[must_use]
    pub fn or(self, otherwise: &'static str) -> Self {
        Text { otherwise: Some(otherwise), ..self }
    }

    /// Sets the alternative offered, in the words of a message, if a model does not know one of its characters.
    #[must_use]
    pub fn or_for_unknown(self, otherwise: &'static str) -> Self {
        Text { unknown: Some(otherwise), ..self }
    }

    /// That alternative, for the end of a message.
    pub(super) fn for_unknown(&self) -> String {
        self.unknown.map_or(String::new(), |o| format!("; {o}"))
    }

    /// Length in bytes; that of a file when it was opened.
    pub fn len(&self) -> u64 {
        self.raw.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the bytes from `at` on.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be read, or another program has truncated it.
    pub fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        match self.raw.read(at, out) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Input(format!(
                "{} was cut short while it was read: {} bytes when it was opened, {} now; put it back as it was",
                self.name,
                self.len(),
                self.raw.len_now()
            ))),
            Err(e) => Err(Error::Input(format!("cannot read {} at byte {at}: {e}; see that the file and its disk stay there", self.name))),
        }
    }

    /// The bytes in a range.
    ///
    /// # Errors
    /// As [`Text::read`].
    pub(in crate::data) fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Passes all bytes in order to `take(offset, bytes, last)`, which returns how many it has consumed; the rest comes again with the next piece.
    pub(super) fn pieces(&self, mut take: impl FnMut(u64, &[u8], bool) -> Result<usize>) -> Result<()> {
        let len = self.len();
        let mut buffer = vec![0; PIECE.min(len as usize)];
        let (mut at, mut left, mut hasher) = (0, 0, files::Hasher::default());
        loop {
            let filled = (buffer.len() as u64).min(len - at) as usize;
            self.read(at + left as u64, &mut buffer[left..filled])?;
            hasher.update(&buffer[left..filled]);
            let last = at + filled as u64 == len;
            let done = take(at, &buffer[..filled], last)?;
            if last {
                self.checksum.get_or_init(|| hasher.digits());
                return Ok(());
            }
            buffer.copy_within(done..filled, 0);
            (at, left) = (at + done as u64, filled - done);
        }
    }

    /// Passes all characters in order to `each`, with the byte at which they begin: in pieces
    /// of whole characters that never split "\r\n". Skips a byte order mark at the start.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not UTF-8, saying what it is instead and what to do; or as [`Text::read`].
    pub(super) fn characters(&self, mut each: impl FnMut(u64, &str) -> Result<()>) -> Result<()> {
        self.pieces(|at, bytes, last| {
            let mark = if at == 0 && bytes.starts_with(BOM) { BOM.len() } else { 0 };
            if at == 0 && encoding::is_wide(bytes) {
                return Err(self.no_text(0));
            }
            let content = match std::str::from_utf8(&bytes[mark..]) {
                Ok(content) => content,
                Err(e) if e.error_len().is_none() && !last => std::str::from_utf8(&bytes[mark..mark + e.valid_up_to()]).unwrap_or_default(),
                Err(e) => return Err(self.no_text(at + (mark + e.valid_up_to()) as u64)),
            };
            // The next piece may begin with the "\n" that belongs to it.
            let content = content.strip_suffix('\r').filter(|_| !last).unwrap_or(content);
            each(at + mark as u64, content)?;
            Ok(mark + content.len())
        })
    }

    /// The error for a text with an invalid byte at `at`: what it is, and what to do.
    fn no_text(&self, at: u64) -> Error {
        let window = |from: u64, most: u64| self.bytes(from..(from + most).min(self.len())).unwrap_or_default();
        let (head, around) = (window(0, 1 << 16), window(at.saturating_sub(1 << 15), 1 << 16));
        let mut line = 1;
        let counted = self.pieces(|from, bytes, _| {
            let before = (at.saturating_sub(from) as usize).min(bytes.len());
            line += memchr::memchr_iter(b'\n', &bytes[..before]).count();
            Ok(bytes.len())
        });
        let byte = around.get((at - at.saturating_sub(1 << 15)) as usize).copied().unwrap_or_default();
        let place = format!("byte {byte:#04x} at offset {at}{}", counted.map_or(String::new(), |()| format!(", line {line}")));
        Error::Input(encoding::refusal(&self.name, self.path.as_deref(), &head, &around, &place, self.otherwise))
    }

    /// The whole text, without a byte order mark, and with "\n" for each line end ("\n", "\r\n" or "\r").
    ///
    /// # Errors
    /// [`Error::Input`] if it is not UTF-8, saying what it is instead and what to do; or if it can't be read.
    pub fn utf8(&self) -> Result<String> {
        let mut all = String::with_capacity(self.len() as usize);
        self.characters(|_, piece| {
            all.push_str(&with_lf(piece));
            Ok(())
        })?;
        Ok(all)
    }

    /// The error for content that has changed since the text was opened.
    pub(super) fn changed(&self, at: u64) -> Error {
        Error::Input(format!(
            "{} was changed while it was read: near byte {at} there is not what was there when it was opened; put it back as it was",
            self.name
        ))
    }

    /// A checksum of the first `first` bytes.
    ///
    /// # Errors
    /// As [`Text::read`].
    pub fn checksum_of(&self, first: u64) -> Result<String> {
        let mut hasher = files::Hasher::default();
        let mut at = 0;
        while at < first {
            let bytes = self.bytes(at..first.min(at + PIECE as u64))?;
            hasher.update(&bytes);
            at += bytes.len() as u64;
        }
        Ok(hasher.digits())
    }

    /// A checksum of all bytes.
    ///
    /// # Errors
    /// As [`Text::read`].
    pub fn checksum(&self) -> Result<String> {
        if self.checksum.get().is_none() {
            self.pieces(|_, bytes, _| Ok(bytes.len()))?;
        }
        Ok(self.checksum.get().cloned().unwrap_or_default())
    }
}

/// Reads a whole file such as JSON or a configuration, see [`Text::utf8`]; `expected` says what it should be, in the words of a message.
///
/// # Errors
/// [`Error::Input`] if it can't be read, or is not UTF-8, saying what it is instead and what to do.
pub fn whole(path: &Path, expected: &str) -> Result<String> {
    Text::open_as(path, expected)?.utf8()
}

/// Replaces every line end by "\n".
pub(super) fn with_lf(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\r', text.as_bytes()) {
        Some(_) => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        None => text.into(),
    }
}

/// Whether a file of this type is a disk or has no end. Terminals are read to their end.
#[cfg(unix)]
fn endless(kind: fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_block_device() || (kind.is_char_device() && !std::io::IsTerminal::is_terminal(&std::io::stdin()))
}

#[cfg(not(unix))]
fn endless(_: fs::FileType) -> bool {
    false
}
