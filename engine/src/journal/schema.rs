//! Tables and their migrations.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::JournalError;

/// Marks the file as ours ("wkpl"), for `file(1)` and against opening a foreign database.
const APPLICATION_ID: i32 = 0x776b_706c;

/// Migration n brings `user_version` from n to n + 1. Never change one that was released.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE events (
        seq    INTEGER PRIMARY KEY,
        at_ms  INTEGER NOT NULL,
        run    TEXT NOT NULL,
        kind   TEXT NOT NULL,
        step   TEXT,
        data   TEXT NOT NULL,
        anchor BLOB,
        prev   BLOB NOT NULL,
        hash   BLOB NOT NULL
    ) STRICT;
    CREATE INDEX events_of_run ON events (run);
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
    CREATE TABLE runs (
        run           TEXT PRIMARY KEY,
        workplan      TEXT NOT NULL,
        path          TEXT NOT NULL,
        target        TEXT NOT NULL,
        state         TEXT NOT NULL,
        created_at    INTEGER NOT NULL,
        ended_at      INTEGER,
        first_seq     INTEGER NOT NULL REFERENCES events (seq),
        head_seq      INTEGER NOT NULL REFERENCES events (seq),
        head_hash     BLOB NOT NULL,
        pid           INTEGER,
        started_ticks INTEGER,
        boot_id       TEXT,
        host          TEXT,
        owned_since   INTEGER,
        seal          BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE history (
        target   TEXT NOT NULL,
        workplan TEXT NOT NULL,
        meaning  TEXT NOT NULL,
        step     TEXT NOT NULL,
        outcome  TEXT NOT NULL,
        run      TEXT NOT NULL,
        seq      INTEGER NOT NULL REFERENCES events (seq),
        seal     BLOB NOT NULL,
        PRIMARY KEY (target, workplan, meaning, step)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kv (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        run   TEXT NOT NULL,
        seq   INTEGER NOT NULL REFERENCES events (seq),
        seal  BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE seals (
        name TEXT PRIMARY KEY,
        sum  BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// The newest format that this code writes.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Creates or migrates; each step is one transaction, so that an interrupted one is not seen.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    while version(conn, path)? < KNOWN {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        // Another process may have been quicker: ask again inside the transaction.
        let from = version(&tx, path)?;
        let Some(sql) = usize::try_from(from).ok().and_then(|n| MIGRATIONS.get(n)) else { break };
        if from == 0 && !schema_of(&tx).map_err(wrong)?.is_empty() {
            return Err(JournalError::corrupt(path, "it has tables but no format number"));
        }
        tx.execute_batch(sql).map_err(wrong)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(wrong)?;
        tx.pragma_update(None, "user_version", from + 1).map_err(wrong)?;
        tx.commit().map_err(wrong)?;
    }
    Ok(())
}

/// Refuses a file that is somebody else's or of a later release, before anything is written.
pub(super) fn refuse_foreign(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    let id: i32 = conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(wrong)?;
    if id != APPLICATION_ID && !is_fresh(conn, path)? {
        return Err(JournalError::corrupt(path, "it is not a journal of workplan"));
    }
    version(conn, path).map(drop)
}

/// Whether nothing was ever put in: a kill between the file's creation and its first migration
/// leaves neither mark nor table.
pub(super) fn is_fresh(conn: &Connection, path: &Path) -> Result<bool, JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    let id: i32 = conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(wrong)?;
    Ok(id == 0 && version(conn, path)? == 0 && schema_of(conn).map_err(wrong)?.is_empty())
}

/// Refuses newer formats, foreign files and tables that are not the ones that the migrations
/// make. The comparison also catches damage to the page that holds the schema.
pub(super) fn verify(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    let found = version(conn, path)?;
    let mut expected = Connection::open_in_memory().map_err(wrong)?;
    migrate(&mut expected, path)?;
    let id: i32 = conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(wrong)?;
    if id != APPLICATION_ID || found < KNOWN {
        return Err(JournalError::corrupt(path, "it is not a journal of workplan"));
    }
    if schema_of(conn).map_err(wrong)? != schema_of(&expected).map_err(wrong)? {
        return Err(JournalError::corrupt(path, "its tables are not those of a journal"));
    }
    Ok(())
}

fn version(conn: &Connection, path: &Path) -> Result<i64, JournalError> {
    let found: i64 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| JournalError::sqlite(path, source))?;
    match found {
        0..=KNOWN => Ok(found),
        _ if found > KNOWN => {
            Err(JournalError::Newer { path: path.to_path_buf(), found, known: KNOWN })
        }
        _ => Err(JournalError::corrupt(path, "its format number is negative")),
    }
}

/// Kind, name, table and SQL of each object; indexes that SQLite makes itself have no SQL.
type Object = (String, String, String, Option<String>);

fn schema_of(conn: &Connection) -> rusqlite::Result<Vec<Object>> {
    conn.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
}
