//! The folder that holds a journal, its locks, step output and undo data.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::access::{beside, length};

/// A state folder. Making this value touches nothing; only [`StateDir::create`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state folder at `root`, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The SQLite file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.db")
    }

    /// The folder of [`super::RunLock`].
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The folder of data that takes steps back.
    #[must_use]
    pub fn undo(&self) -> PathBuf {
        self.root.join("undo")
    }

    /// The folder of one run. Characters that could leave the folder are written as `%XX`.
    #[must_use]
    pub fn run(&self, run: &str) -> PathBuf {
        self.root.join("runs").join(file_name(run))
    }

    /// The output of one attempt (counted from 1): `runs/<RUN>/logs/<STEP>.<ATTEMPT>.log`.
    #[must_use]
    pub fn log(&self, run: &str, step: &str, attempt: u32) -> PathBuf {
        self.run(run).join("logs").join(format!("{}.{attempt}.log", file_name(step)))
    }

    /// The output of a step's last undo or repair: `runs/<RUN>/logs/<STEP>.<WHAT>.log`.
    #[must_use]
    pub fn side_log(&self, run: &str, step: &str, what: &str) -> PathBuf {
        self.run(run).join("logs").join(format!("{}.{what}.log", file_name(step)))
    }

    /// Makes the folder and its parts, readable by the owner alone; what exists stays as it is.
    ///
    /// # Errors
    /// [`JournalError::ReadOnly`], [`JournalError::NoSpace`] or [`JournalError::NotAFolder`]
    /// where that is the reason, [`JournalError::Io`] otherwise.
    pub fn create(&self) -> Result<(), JournalError> {
        for folder in [self.root.clone(), self.locks(), self.root.join("runs"), self.undo()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| {
                match source.kind() {
                    io::ErrorKind::AlreadyExists => {
                        JournalError::NotAFolder { path: folder.clone() }
                    }
                    _ => JournalError::io_write(&folder, source),
                }
            })?;
        }
        Ok(())
    }

    /// Writes a `.gitignore` of `*` into the existing folder, for one that lies in a working
    /// tree. One that is there stays.
    ///
    /// # Errors
    /// As [`StateDir::create`].
    pub fn ignore_in_git(&self) -> Result<(), JournalError> {
        let path = self.root.join(".gitignore");
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        match opened {
            Ok(mut file) => file.write_all(b"*\n").map_err(|e| JournalError::io_write(&path, e)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(JournalError::io_write(&path, e)),
        }
    }

    /// Whether there is a journal with content. An empty file without a log beside it is what a
    /// kill during the first opening leaves; it holds no run.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the folder may not be looked into.
    pub fn has_journal(&self) -> Result<bool, JournalError> {
        let path = self.journal();
        Ok(length(&path)? > 0 || (path.exists() && length(&beside(&path, "-wal"))? > 0))
    }
}

fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if plain || (byte == b'.' && at > 0) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        let dir = StateDir::new("/s");
        assert_eq!(dir.log("06ck", "T02.copy", 1), Path::new("/s/runs/06ck/logs/T02.copy.1.log"));
        assert_eq!(dir.run("../x"), Path::new("/s/runs/%2E.%2Fx"));
    }
}
