//! What this process has open, since the kernel counts file locks by process.
//!
//! Closing *any* descriptor of a file drops *all* POSIX locks that the process holds on it, also
//! those of SQLite's other connections (<https://sqlite.org/howtocorrupt.html>, 2.2). SQLite
//! takes care of its own descriptors, but not of immutable connections, and we look at the
//! `-shm` file ourselves. So both happen only while no locking connection to that journal is open
//! in this process, and an immutable connection that ends later is kept until that is so again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::JournalError;

#[derive(Default)]
struct Open {
    locking: usize,
    parked: Vec<Connection>,
}

static OPEN: Mutex<BTreeMap<PathBuf, Open>> = Mutex::new(BTreeMap::new());

fn open() -> MutexGuard<'static, BTreeMap<PathBuf, Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that is closed with regard to the others of this process.
#[derive(Debug)]
pub(super) struct Held {
    conn: Option<Connection>,
    path: PathBuf,
    locking: bool,
}

/// Opens a connection while nobody else in this process opens or closes one. `work` is told
/// whether no locking connection is open here, and says whether the new one is locking.
pub(super) fn hold(
    path: &Path,
    work: impl FnOnce(bool) -> Result<(Connection, bool), JournalError>,
) -> Result<Held, JournalError> {
    let folder = path.parent().unwrap_or(path);
    let folder = folder.canonicalize().map_err(|source| JournalError::io(folder, source))?;
    let path = folder.join(path.file_name().unwrap_or_default());
    let mut open = open();
    let alone = open.get(&path).is_none_or(|open| open.locking == 0);
    let (conn, locking) = work(alone)?;
    if locking {
        open.entry(path.clone()).or_default().locking += 1;
    }
    Ok(Held { conn: Some(conn), path, locking })
}

impl Held {
    pub(super) fn conn(&self) -> &Connection {
        self.conn.as_ref().expect("a connection is held until drop")
    }

    pub(super) fn conn_mut(&mut self) -> &mut Connection {
        self.conn.as_mut().expect("a connection is held until drop")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = open();
        let Some(entry) = open.get_mut(&self.path) else { return };
        if self.locking {
            drop(self.conn.take());
            entry.locking -= 1;
            if entry.locking == 0 {
                open.remove(&self.path);
            }
        } else {
            entry.parked.extend(self.conn.take());
        }
    }
}
