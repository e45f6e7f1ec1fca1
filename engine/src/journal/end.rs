//! Where a journal ends: what the next event follows.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::event::{EventHash, chain_start};
use super::read::{RawEvent, load, newest_of, sealed_row};
use super::table::{Seal, Sums};
use super::{Head, JournalError, RunRow};

/// The end of the journal and of one run in it, as a transaction finds it.
///
/// A writer keeps it from one append to the next. It is what is there as long as no other
/// connection has committed, which SQLite's `data_version` tells; reading and checking all of it
/// again would take longer than the append itself.
#[derive(Debug)]
pub(super) struct End {
    version: i64,
    run: String,
    /// The run, where there is one, and its row's seal.
    pub(super) row: Option<RunRow>,
    pub(super) seal: Option<Seal>,
    /// The newest event of the whole journal.
    pub(super) newest: Option<Head>,
    pub(super) sums: Sums,
    /// Seals of the rows of `history` whose steps are under way.
    pub(super) begun: HashMap<String, Seal>,
}

impl End {
    /// What is known, where it still holds; else what is read. Only to be called in a transaction
    /// that may write.
    pub(super) fn of(
        conn: &Connection,
        path: &Path,
        run: &str,
        known: Option<Self>,
    ) -> Result<Self, JournalError> {
        let version = conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut s| s.query_row([], |row| row.get(0)))
            .map_err(|source| JournalError::sqlite(path, source))?;
        match known {
            Some(known) if known.version == version && known.run == run => Ok(known),
            _ => Self::read(conn, path, run, version),
        }
    }

    fn read(conn: &Connection, path: &Path, run: &str, version: i64) -> Result<Self, JournalError> {
        let newest = newest(conn, path)?;
        let found = sealed_row(conn, path, run)?;
        match (&found, newest_of(conn, path, run)?) {
            (None, None) => {}
            (None, Some(seq)) => {
                return Err(JournalError::corrupt_at(
                    path,
                    run,
                    seq,
                    "its run is not in the table",
                ));
            }
            (Some((row, _)), last) => {
                let head = load(conn, path, row.head_seq)?;
                if last != Some(row.head_seq)
                    || head.is_none_or(|e| e.run != run || e.hash != row.head_hash)
                {
                    let what = "the newest events of the run are missing or not its own";
                    return Err(JournalError::corrupt_at(path, run, row.head_seq, what));
                }
            }
        }
        let (row, seal) = found.unzip();
        let (run, sums) = (run.to_owned(), Sums::default());
        Ok(Self { version, run, row, seal, newest, sums, begun: HashMap::new() })
    }

    /// What the run's next event follows; for its first event also the anchor, the hash of the
    /// journal's newest event, or nothing.
    pub(super) fn tail(&self, run: &str) -> (EventHash, Option<Vec<u8>>) {
        match (&self.row, self.newest.map(|newest| newest.hash)) {
            (Some(row), _) => (row.head_hash, None),
            (None, newest) => {
                (chain_start(run, newest), Some(newest.map_or(Vec::new(), |hash| hash.0.to_vec())))
            }
        }
    }
}

fn newest(conn: &Connection, path: &Path) -> Result<Option<Head>, JournalError> {
    let newest = conn
        .prepare_cached("SELECT * FROM events ORDER BY seq DESC LIMIT 1")
        .and_then(|mut s| s.query_row([], RawEvent::of_row).optional())
        .map_err(|source| JournalError::sqlite(path, source))?
        .map(|raw| raw.checked(path))
        .transpose()?;
    Ok(newest.map(|event| Head { seq: event.seq, hash: event.hash }))
}
