//! Opening a journal, and what is checked then.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use rusqlite::{Connection, OpenFlags};

use super::access::{self, Source, beside};
use super::process::hold;
use super::store::Verified;
use super::{Journal, JournalError, StateDir, schema, wal};

/// Up to this size, in bytes, every opening for writing reads the whole file.
const QUICK_CHECK_LIMIT: u64 = 64 << 20;

/// What a journal is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Appending; creates the state folder and the journal when they are missing.
    ReadWrite,
    /// Reading: writes and creates nothing, needs no write permission, and does not block a
    /// writer.
    ReadOnly,
}

impl Journal {
    /// Opens the journal of a state folder and checks its tables; for writing also every page,
    /// up to 64 MiB. Hash chains are checked when runs are read.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when there is none and the mode is [`Mode::ReadOnly`];
    /// [`JournalError::Corrupt`], [`JournalError::Newer`], [`JournalError::ReadOnly`],
    /// [`JournalError::NoSpace`], [`JournalError::Unfolded`] and the general ones.
    pub fn open(dir: &StateDir, mode: Mode) -> Result<Self, JournalError> {
        let path = dir.journal();
        let source = match mode {
            Mode::ReadWrite => {
                dir.create()?;
                Source::Live(hold(&path, |alone| Ok((read_write(&path, alone)?, true)))?)
            }
            Mode::ReadOnly if !dir.has_journal()? => {
                return Err(JournalError::NotFound { run: "in this state folder".into() });
            }
            Mode::ReadOnly => access::read_only(&path)?,
        };
        let source = RefCell::new(source);
        Ok(Self { path, mode, source, end: None, verified: Verified::default() })
    }

    /// The journal for reading, or `None` when the folder has none yet. Creates nothing.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_if_exists(dir: &StateDir) -> Result<Option<Self>, JournalError> {
        if !dir.has_journal()? {
            return Ok(None);
        }
        match Self::open(dir, Mode::ReadOnly) {
            // The kill of its first writer left a file, but no journal in it.
            Err(JournalError::NotFound { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    }
}

fn read_write(path: &Path, alone: bool) -> Result<Connection, JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    // Made here for its permissions, which SQLite gives the files beside it, too. Never opened
    // here when it exists: see the module `process`.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    if let Err(e) = made.map(drop)
        && e.kind() != ErrorKind::AlreadyExists
    {
        return Err(JournalError::io_write(path, e));
    }
    // SQLite would open what may not be written for reading only, and say so late.
    for needed in [path.parent().unwrap_or(path), path] {
        let rights = AccessFlags::R_OK | AccessFlags::W_OK;
        faccessat(AT_FDCWD, needed, rights, AtFlags::AT_EACCESS)
            .map_err(|errno| JournalError::io_write(needed, errno.into()))?;
    }
    let length = access::length(path)?;
    access::refuse_cut_short(path, length)?;
    if alone {
        wal::verify(path, &beside(path, "-wal"), &beside(path, "-shm"))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(wrong)?;
    access::configure(&conn, path)?;
    // Before anything is written, also not the WAL mark: a newer or foreign file stays as it is.
    if length > 0 {
        schema::refuse_foreign(&conn, path)?;
    }
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(wrong)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(JournalError::corrupt(path, format!("its journal mode is `{mode}`, not wal")));
    }
    conn.pragma_update(None, "synchronous", "FULL").map_err(wrong)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(wrong)?;
    schema::migrate(&mut conn, path)?;
    schema::verify(&conn, path)?;
    if length <= QUICK_CHECK_LIMIT {
        let said: String =
            conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(wrong)?;
        if said != "ok" {
            return Err(JournalError::corrupt(path, said));
        }
    }
    Ok(conn)
}
