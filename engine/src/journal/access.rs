//! Connections that write nothing, not even the files that SQLite makes for itself.
//!
//! A database in WAL mode is usually read through an index file (`-shm`) which the reader would
//! create. A dry-run may not do that, and a user with read permission only cannot. So:
//!
//! | beside the journal | how it is read |
//! |---|---|
//! | no `-wal`, or one without a frame | everything is in the file: `immutable=1` |
//! | `-wal` and `-shm` | `readonly_shm=1`: live with the writer, or rebuilt in memory |
//! | `-wal` without `-shm` | from a copy in a temporary folder, where SQLite rebuilds the index |
//!
//! An immutable connection takes no lock and would not notice a writer that comes later.
//! So each reading compares the file's stamp before and after, and is repeated when it moved.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::process::{Held, hold};
use super::{JournalError, schema, wal};

/// How often a reading is repeated while a writer starts or ends.
pub(super) const ATTEMPTS: usize = 50;
/// How long an opening is tried again while a writer starts or ends.
const OPEN_WAIT: Duration = Duration::from_secs(3);
/// How long SQLite itself waits for a lock of a reader's; what is left of [`OPEN_WAIT`] is ours.
const READER_WAIT: Duration = Duration::from_millis(200);
/// Pause between them.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// A connection and what it rests on.
#[derive(Debug)]
pub(super) enum Source {
    /// SQLite's locks keep it consistent.
    Live(Held),
    /// Good as long as the stamp is the same.
    Frozen { held: Held, stamp: Stamp },
    /// A copy of what a killed writer left, with a log that nobody indexed.
    Copied { conn: Connection, stamp: Stamp, _folder: TempDir },
}

/// What changes when somebody writes to the file itself or starts a log beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64, u64, i64, i64),
    has_log: bool,
}

impl Source {
    pub(super) fn conn(&self) -> &Connection {
        match self {
            Self::Live(held) | Self::Frozen { held, .. } => held.conn(),
            Self::Copied { conn, .. } => conn,
        }
    }

    pub(super) fn conn_mut(&mut self) -> &mut Connection {
        match self {
            Self::Live(held) | Self::Frozen { held, .. } => held.conn_mut(),
            Self::Copied { conn, .. } => conn,
        }
    }

    /// Whether what it read, or would read, is not what is there.
    pub(super) fn is_outdated(&self, path: &Path) -> Result<bool, JournalError> {
        match self {
            Self::Live(_) => Ok(false),
            Self::Frozen { stamp, .. } | Self::Copied { stamp, .. } => {
                Ok(*stamp != Stamp::of(path)?)
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, JournalError> {
        let m = fs::metadata(path).map_err(|source| JournalError::io(path, source))?;
        let file = (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        // A kill right after the log was begun leaves its header alone. SQLite would wait for a
        // writer to finish it.
        Ok(Self { file, has_log: length(&beside(path, "-wal"))? > wal::HEADER as u64 })
    }
}

/// Opens for reading only; creates nothing.
pub(super) fn read_only(path: &Path) -> Result<Source, JournalError> {
    let until = Instant::now() + OPEN_WAIT;
    let mut without_index = 0;
    loop {
        match try_read_only(path) {
            // Its writer makes the index at once; a killed one never does.
            Err(JournalError::Unfolded { .. }) if without_index >= ATTEMPTS => return copied(path),
            Err(JournalError::Unfolded { .. }) => {
                without_index += 1;
                std::thread::sleep(PAUSE);
            }
            // A writer that is just starting or ending shows each of these for a moment.
            Err(
                JournalError::Sqlite { .. }
                | JournalError::Busy { .. }
                | JournalError::ReadOnly { .. },
            ) if Instant::now() < until => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn try_read_only(path: &Path) -> Result<Source, JournalError> {
    let (wal_path, shm_path) = (beside(path, "-wal"), beside(path, "-shm"));
    let stamp = Stamp::of(path)?;
    refuse_cut_short(path, stamp.file.2)?;
    let mut frozen = false;
    let held = hold(path, |alone| {
        if alone {
            wal::verify(path, &wal_path, &shm_path)?;
        }
        // Beside a locking connection of this process an immutable one would break its locks.
        frozen = alone && !stamp.has_log;
        if !frozen && !shm_path.exists() {
            return Err(JournalError::Unfolded { path: path.to_path_buf(), wal: wal_path });
        }
        let how = if frozen { "mode=ro&immutable=1" } else { "mode=ro&readonly_shm=1" };
        let conn = open(path, how)?;
        if schema::is_fresh(&conn, path)? {
            return Err(JournalError::NotFound { run: "in this state folder".into() });
        }
        let verified = schema::verify(&conn, path);
        if frozen && stamp != Stamp::of(path)? {
            return Err(JournalError::Busy { path: path.to_path_buf() });
        }
        verified.map(|()| (conn, !frozen))
    })?;
    Ok(if frozen { Source::Frozen { held, stamp } } else { Source::Live(held) })
}

/// Reads a copy. Nothing beside the journal is written, and the copy goes with the reader.
fn copied(path: &Path) -> Result<Source, JournalError> {
    let failed = |source| JournalError::io(path, source);
    let folder = TempDir::new().map_err(failed)?;
    let copy = folder.path().join("journal.db");
    let (wal_path, shm_path) = (beside(path, "-wal"), beside(path, "-shm"));
    let unfolded = || JournalError::Unfolded { path: path.to_path_buf(), wal: wal_path.clone() };
    let stamp = Stamp::of(path)?;
    // Opened and closed only while this process holds no lock on it: see the module `process`.
    drop(hold(path, |alone| {
        if !alone {
            return Err(unfolded());
        }
        wal::verify(path, &wal_path, &shm_path)?;
        fs::copy(path, &copy).map_err(failed)?;
        fs::copy(&wal_path, beside(&copy, "-wal")).map_err(failed)?;
        let memory = Connection::open_in_memory().map_err(|e| JournalError::sqlite(path, e))?;
        Ok((memory, false))
    })?);
    if shm_path.exists() || stamp != Stamp::of(path)? {
        return Err(unfolded());
    }
    let conn = Connection::open(&copy).map_err(|e| JournalError::sqlite(path, e))?;
    configure(&conn, path)?;
    if schema::is_fresh(&conn, path)? {
        return Err(JournalError::NotFound { run: "in this state folder".into() });
    }
    schema::verify(&conn, path)?;
    Ok(Source::Copied { conn, stamp, _folder: folder })
}

/// SQLite takes a file shorter than its smallest page for a new one, writes over it, and deletes
/// the log beside an empty one.
pub(super) fn refuse_cut_short(path: &Path, length: u64) -> Result<(), JournalError> {
    let lost_file = length == 0 && self::length(&beside(path, "-wal"))? > 0;
    if lost_file || (1..512).contains(&length) {
        return Err(JournalError::corrupt(path, format!("it was cut to {length} bytes")));
    }
    Ok(())
}

fn open(path: &Path, parameters: &str) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri(path, parameters), flags)
        .map_err(|source| JournalError::sqlite(path, source))?;
    configure(&conn, path)?;
    conn.busy_timeout(READER_WAIT).map_err(|source| JournalError::sqlite(path, source))?;
    Ok(conn)
}

/// Settings of readers and writers.
pub(super) fn configure(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    conn.busy_timeout(Duration::from_secs(10)).map_err(wrong)?;
    conn.pragma_update(None, "cell_size_check", true).map_err(wrong)?;
    // A damaged schema cannot make us run functions of an attacker's choice.
    conn.pragma_update(None, "trusted_schema", false).map_err(wrong)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The path with a suffix: `journal.db` -> `journal.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn length(path: &Path) -> Result<u64, JournalError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(JournalError::io(path, e)),
    }
}

fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}
