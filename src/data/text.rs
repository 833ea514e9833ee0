//! Texts: files mapped into memory, or the embedded one.

use crate::error::{Error, Result};
use crate::files;
use std::path::{Path, PathBuf};

/// A text and where it comes from.
pub struct Text {
    /// Its path, or what else tells it from others.
    pub name: String,
    /// Its path, if it is a file.
    pub path: Option<PathBuf>,
    content: Content,
}

enum Content {
    Given(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl Text {
    /// The embedded sample: the first book of Cicero's De finibus bonorum et malorum, 49 KB of Latin, from the crate `lipsum`.
    pub fn embedded() -> Self {
        Self::given("Cicero, De finibus (embedded)", lipsum::LIBER_PRIMUS)
    }

    /// A text in memory.
    pub fn given(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Text { name: name.to_string(), path: None, content: Content::Given(content.into()) }
    }

    /// Maps a file into memory: it is read as it is needed and takes no memory of its own, however long it is.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be read, is a directory, or is empty.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot read {name}: {e}; give the path of a text file"));
        let kind = std::fs::metadata(path).map_err(|e| failed(&e))?;
        if !kind.is_file() {
            return Err(failed(&if kind.is_dir() { "it is a directory" } else { "it is not a regular file" }));
        }
        if kind.len() == 0 {
            return Err(failed(&"it is empty"));
        }
        let file = std::fs::File::open(path).map_err(|e| failed(&e))?;
        // SAFETY: the map is only read. Bytes that another program changes under it are possible; every use decodes them with full
        // checks and takes none for granted, so changed bytes are a wrong text (and mostly an error), never undefined behaviour here.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| failed(&e))?;
        let path = std::path::absolute(path).map_err(|e| failed(&e))?;
        Ok(Text { name, path: Some(path), content: Content::Mapped(map) })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Given(bytes) => bytes,
            Content::Mapped(map) => map,
        }
    }

    /// The bytes as UTF-8.
    ///
    /// # Errors
    /// [`Error::Input`] with the first byte that is not, and where it stands.
    pub fn utf8(&self) -> Result<&str> {
        let bytes = self.bytes();
        std::str::from_utf8(bytes).map_err(|e| {
            let at = e.valid_up_to();
            Error::Input(format!(
                "{} is not UTF-8: byte {:#04x} at offset {at}; convert it, for example with iconv -t UTF-8, or train on its bytes with --bytes",
                self.name, bytes[at]
            ))
        })
    }

    /// A checksum of the bytes.
    pub fn checksum(&self) -> String {
        files::checksum([self.bytes()])
    }
}
