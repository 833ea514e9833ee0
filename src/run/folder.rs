//! The folder of a run.

use crate::error::{Error, Result};
use crate::platform;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The model that a run started from, if any.
pub const START: &str = "start.safetensors";

/// An existing folder that no other process trains in.
pub struct Folder {
    path: PathBuf,
    /// Whether this process created it.
    new: bool,
    /// Whether nothing in it is worth keeping yet.
    unfinished: bool,
    /// Locked while open; the system releases the lock even if this process is killed.
    _lock: File,
}

impl Folder {
    /// Creates a folder, parents included.
    ///
    /// # Errors
    /// [`Error::Usage`] if it exists and is not empty: nothing is ever overwritten.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot make the folder {}: {e}; choose another with `out`", path.display()));
        let new = !path.exists();
        fs::create_dir_all(path).map_err(|e| failed(&e))?;
        let mut entries = fs::read_dir(path).map_err(|e| failed(&e))?;
        if entries.any(|e| e.is_ok_and(|e| e.file_name() != ".lock" && !left_over(&e))) {
            return Err(Error::Usage(format!(
                "{} exists and is not empty; choose another `out`, or go on with what is there by `resume` {}",
                path.display(),
                path.display()
            )));
        }
        Self::locked(path, new, true)
    }

    /// Creates `runs/NAME`, or `runs/NAME-2`, ... if that is taken.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be created.
    pub fn create_new(name: &str) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Input(format!("cannot make a folder under runs: {e}; choose one with `out`"));
        fs::create_dir_all("runs").map_err(failed)?;
        for i in 1.. {
            let path = Path::new("runs").join(if i == 1 { name.to_string() } else { format!("{name}-{i}") });
            match fs::create_dir(&path) {
                Ok(()) => return Self::locked(&path, true, true),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
        }
        unreachable!("there are more numbers than folders")
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing, not the folder of a run, or in use.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::Input(format!("{} is not a folder; give that of a run", path.display())));
        }
        let has = |name: &str| path.join(name).is_file();
        if !has("config.toml") && has("model.safetensors") && !has("checkpoint.safetensors") {
            let name = path.display();
            let from = crate::phrase::argument(path);
            return Err(Error::Input(format!("{name} holds a model that was imported, and no run; begin one with `retrograd train TEXT --from {from}`")));
        }
        if !has("config.toml") {
            return Err(Error::Input(format!("{} is not the folder of a run: it has no config.toml", path.display())));
        }
        let folder = Self::locked(path, false, false)?;
        // Left by a process that was killed while writing.
        for entry in fs::read_dir(path).into_iter().flatten().flatten().filter(left_over) {
            let _ = fs::remove_file(entry.path());
        }
        Ok(folder)
    }

    fn locked(path: &Path, new: bool, unfinished: bool) -> Result<Self> {
        let name = path.join(".lock");
        let failed = |e: &dyn std::fmt::Display| Error::Input(format!("cannot write {}: {e}; make the folder writable", name.display()));
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&name).map_err(|e| failed(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Some systems don't let others read a locked file.
                let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
                let holder = holder.map_or(String::new(), |pid| format!(" (process {pid})"));
                return Err(Error::Input(format!("another process{holder} is training in {}; wait for it, or stop it", path.display())));
            }
            Err(fs::TryLockError::Error(e)) => return Err(failed(&e)),
        }
        let folder = Folder { path: path.to_path_buf(), new, unfinished, _lock: file };
        // The system holds the lock and releases it with its holder; the file's content is for people.
        let write = |mut file: &File| file.set_len(0).and_then(|()| file.write_all(format!("{}\n", platform::process_id()).as_bytes()));
        write(&folder._lock).map_err(|e| failed(&e))?;
        Ok(folder)
    }

    /// Checks that the folder is still this process's: somebody may have removed the lock and started a second process.
    ///
    /// # Errors
    /// [`Error::Input`] if another process has it.
    pub(super) fn check(&self) -> Result<()> {
        let holder = fs::read_to_string(self.file(".lock")).ok().and_then(|text| text.trim().parse::<u32>().ok());
        match holder.filter(|&pid| pid != platform::process_id()) {
            Some(pid) => Err(Error::Input(format!(
                "process {pid} is training in {} now, since somebody removed or replaced its .lock; this one stops and leaves what is there",
                self.path.display()
            ))),
            None => Ok(()),
        }
    }

    /// From now on its content stays, however this process ends.
    pub fn keep(&mut self) {
        self.unfinished = false;
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether an entry was left by a process that was killed while writing.
fn left_over(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.to_string_lossy().starts_with('.') && name.to_string_lossy().ends_with(".tmp")
}

/// Removes what was made for a run that could not begin.
impl Drop for Folder {
    fn drop(&mut self) {
        if self.unfinished {
            // What can't be removed does no harm.
            for name in ["config.toml", "metrics.jsonl", "model.safetensors", START, ".lock"] {
                let _ = fs::remove_file(self.file(name));
            }
            let _ = fs::remove_dir_all(self.file("tensorboard"));
            if self.new {
                let _ = fs::remove_dir(&self.path);
            }
        }
    }
}

/// The end of the last whole line among the first `end` bytes of a file.
fn whole(mut file: &File, mut end: u64) -> std::io::Result<u64> {
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A file that grows by records. It is truncated after a failed write, or when a run resumes from before its end.
pub(super) struct Growing {
    path: PathBuf,
    file: File,
    /// Length of its valid content, in bytes.
    good: u64,
    waiting: Vec<u8>,
}

impl Growing {
    /// Opens a file and keeps its first `good` bytes, up to the end of the last whole line.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be opened.
    pub(super) fn open(path: PathBuf, good: u64) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Input(format!("cannot write {}: {e}", path.display()));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
        let good = whole(&file, good.min(file.metadata().map_err(failed)?.len())).map_err(failed)?;
        file.set_len(good).map_err(failed)?;
        Ok(Growing { file, good, waiting: Vec::new(), path })
    }

    /// Adds a record and tries to write all pending ones.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written; the records stay pending. Also if the file was removed and starts anew.
    pub(super) fn push(&mut self, record: &[u8]) -> Result<()> {
        self.waiting.extend(record);
        let removed = !self.path.exists();
        self.write()?;
        if removed {
            return Err(Error::Input(format!("{} was removed; it begins anew, without what was in it", self.path.display())));
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let mut write = || {
            if self.waiting.is_empty() {
                return Ok(());
            }
            if !self.path.exists() {
                self.file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
                self.good = 0;
            }
            self.file.set_len(self.good)?;
            self.file.seek(SeekFrom::Start(self.good))?;
            self.file.write_all(&self.waiting)
        };
        write().map_err(|e: std::io::Error| Error::Input(format!("cannot write {}: {e}; free space", self.path.display())))?;
        self.good += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Writes pending records and syncs. Returns the length of the file.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written.
    pub(super) fn sync(&mut self) -> Result<u64> {
        self.write()?;
        self.file.sync_data().map_err(|e| Error::Input(format!("cannot write {}: {e}; free space", self.path.display())))?;
        Ok(self.good)
    }
}
