//! Appending to the journal.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::access::{ATTEMPTS, PAUSE, Source};
use super::event::{Content, EventHash, canonical_text, chain_start};
use super::projection::{HISTORY, KV, RUNS};
use super::read::{RawEvent, load, newest_of};
use super::{
    HistoryRow, JournalError, KvRow, Mode, NewEvent, Projection, RunRow, StoredEvent, access,
};

/// The record of all runs of one state folder.
///
/// Appending blocks until the events are on the disk. Reading sees every event that was
/// committed before the call. Any number of processes may have it open; one of them writes at a
/// time.
#[derive(Debug)]
pub struct Journal {
    pub(super) path: PathBuf,
    pub(super) mode: Mode,
    pub(super) source: RefCell<Source>,
    /// Whether the sums of the derived tables were compared since the opening.
    pub(super) sums_verified: Cell<bool>,
}

/// Where a run's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Position of the newest event.
    pub seq: u64,
    /// Its hash.
    pub hash: EventHash,
}

impl Journal {
    /// Appends events to a run and changes what is derived from them, all in one transaction
    /// that is on the disk when this returns. `at` is cut to milliseconds. A run exists from its
    /// first event on; its state is `running` until a projection says otherwise.
    ///
    /// # Errors
    /// [`JournalError::NoSpace`], [`JournalError::Busy`], [`JournalError::ReadOnly`],
    /// [`JournalError::Corrupt`], or [`JournalError::Refused`] for projections without events and
    /// the like. Nothing was appended then.
    pub fn append(
        &mut self,
        run: &str,
        at: Timestamp,
        events: &[NewEvent],
        updates: &[Projection],
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.append_if(run, None, at, events, updates)
    }

    /// Like [`Journal::append`], if `expected` is still the run's newest event (0: the run has
    /// none yet).
    ///
    /// # Errors
    /// [`JournalError::Moved`] when somebody else appended: read the new events and decide
    /// again. Else as [`Journal::append`].
    pub fn append_expecting(
        &mut self,
        run: &str,
        expected: u64,
        at: Timestamp,
        events: &[NewEvent],
        updates: &[Projection],
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.append_if(run, Some(expected), at, events, updates)
    }

    fn append_if(
        &mut self,
        run: &str,
        expected: Option<u64>,
        at: Timestamp,
        events: &[NewEvent],
        updates: &[Projection],
    ) -> Result<Vec<StoredEvent>, JournalError> {
        refuse_unsound(run, events, updates)?;
        if self.mode == Mode::ReadOnly {
            return Err(JournalError::ReadOnly { path: self.path.clone() });
        }
        let path = &self.path;
        let wrong = |source| JournalError::sqlite(path, source);
        // Cut, so that what is returned is what a later reading returns.
        let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        let tx = self
            .source
            .get_mut()
            .conn_mut()
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(wrong)?;
        if !self.sums_verified.get() {
            verify_sums(&tx, path)?;
        }
        let row = RUNS.get(&tx, path, &[run])?.map(|v| RunRow::read(v, path)).transpose()?;
        let found = row.as_ref().map_or(0, |row| row.head_seq);
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            return Err(JournalError::Moved { run: run.to_owned(), expected, found });
        }
        let newest = newest(&tx, path)?;
        let tail = Tail::of(&tx, path, run, row.as_ref(), newest.as_ref())?;
        let stored = insert(&tx, path, run, at, events, tail)?;
        if let (Some(first), Some(last)) = (stored.first(), stored.last()) {
            let mut row = row.unwrap_or_else(|| fresh_row(first));
            (row.head_seq, row.head_hash) = (last.seq, last.hash);
            for update in updates {
                apply(&tx, path, &mut row, at, &stored, update)?;
            }
            RUNS.put(&tx, path, row.values())?;
        }
        tx.commit().map_err(wrong)?;
        self.sums_verified.set(true);
        Ok(stored)
    }

    /// Asks in one read transaction, and again where an unlocked reading was overtaken.
    pub(super) fn ask<T>(
        &self,
        question: impl Fn(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        for _ in 0..ATTEMPTS {
            let mut source = self.source.borrow_mut();
            if source.is_outdated(&self.path)? {
                *source = access::read_only(&self.path)?;
                self.sums_verified.set(false);
            }
            let answer = self.ask_once(source.conn(), &question);
            if !source.is_outdated(&self.path)? {
                return answer;
            }
            drop(source);
            std::thread::sleep(PAUSE);
        }
        Err(JournalError::Busy { path: self.path.clone() })
    }

    fn ask_once<T>(
        &self,
        conn: &Connection,
        question: impl Fn(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let tx = conn
            .unchecked_transaction()
            .map_err(|source| JournalError::sqlite(&self.path, source))?;
        if !self.sums_verified.get() {
            verify_sums(&tx, &self.path)?;
            self.sums_verified.set(true);
        }
        question(&tx)
    }
}

fn refuse_unsound(
    run: &str,
    events: &[NewEvent],
    updates: &[Projection],
) -> Result<(), JournalError> {
    let refused = |what| Err(JournalError::Refused { what });
    if run.is_empty() {
        return refused("a run without an id");
    }
    if events.is_empty() && !updates.is_empty() {
        return refused("a projection without the event it follows from");
    }
    for update in updates {
        match update {
            Projection::History { step, event, .. } => match events.get(*event) {
                Some(found) if found.step.as_ref() == Some(step) => {}
                Some(_) => return refused("a history row whose event names another step"),
                None => return refused("a history row whose event is not there"),
            },
            Projection::Kv { event, .. } if *event >= events.len() => {
                return refused("a remembered value whose event is not there");
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn verify_sums(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    for table in [&RUNS, &HISTORY, &KV] {
        table.each(conn, path, |_| Ok(()))?;
    }
    Ok(())
}

fn newest(conn: &Connection, path: &Path) -> Result<Option<StoredEvent>, JournalError> {
    conn.prepare_cached("SELECT * FROM events ORDER BY seq DESC LIMIT 1")
        .and_then(|mut s| s.query_row([], RawEvent::of_row).optional())
        .map_err(|source| JournalError::sqlite(path, source))?
        .map(|raw| raw.checked(path))
        .transpose()
}

/// What the next event of a run follows.
struct Tail {
    next_seq: u64,
    prev: EventHash,
    /// For a run's first event: the hash of the journal's newest event, or nothing.
    anchor: Option<Vec<u8>>,
}

impl Tail {
    fn of(
        conn: &Connection,
        path: &Path,
        run: &str,
        row: Option<&RunRow>,
        newest: Option<&StoredEvent>,
    ) -> Result<Self, JournalError> {
        let next_seq = newest.map_or(0, |event| event.seq) + 1;
        let last = newest_of(conn, path, run)?;
        let Some(row) = row else {
            return match last {
                Some(seq) => {
                    Err(JournalError::corrupt_at(path, run, seq, "its run is not in the table"))
                }
                None => {
                    let newest = newest.map(|event| event.hash);
                    let anchor = newest.map_or(Vec::new(), |hash| hash.0.to_vec());
                    Ok(Self { next_seq, prev: chain_start(run, newest), anchor: Some(anchor) })
                }
            };
        };
        let head = load(conn, path, row.head_seq)?;
        if last != Some(row.head_seq)
            || head.is_none_or(|e| e.run != run || e.hash != row.head_hash)
        {
            let what = "the newest events of the run are missing or not its own";
            return Err(JournalError::corrupt_at(path, run, row.head_seq, what));
        }
        Ok(Self { next_seq, prev: row.head_hash, anchor: None })
    }
}

fn insert(
    conn: &Connection,
    path: &Path,
    run: &str,
    at: Timestamp,
    events: &[NewEvent],
    mut tail: Tail,
) -> Result<Vec<StoredEvent>, JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    let mut statement = conn
        .prepare_cached(
            "INSERT INTO events (seq, at_ms, run, kind, step, data, anchor, prev, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .map_err(wrong)?;
    let mut stored = Vec::with_capacity(events.len());
    for event in events {
        let data = canonical_text(&event.data);
        let (seq, prev, step) = (tail.next_seq, tail.prev, event.step.as_deref());
        let hash = Content { seq, at, run, kind: &event.kind, step, data: &data }.hash(prev);
        let position = i64::try_from(seq)
            .map_err(|_| JournalError::corrupt(path, "its positions are used up"))?;
        let anchor = tail.anchor.take();
        statement
            .execute((
                position,
                at.as_millisecond(),
                run,
                &event.kind,
                step,
                &data,
                anchor,
                prev.0,
                hash.0,
            ))
            .map_err(wrong)?;
        let mut data = event.data.clone();
        data.sort_all_objects();
        stored.push(StoredEvent {
            seq,
            at,
            run: run.to_owned(),
            kind: event.kind.clone(),
            step: event.step.clone(),
            data,
            prev,
            hash,
        });
        tail = Tail { next_seq: seq + 1, prev: hash, anchor: None };
    }
    Ok(stored)
}

fn fresh_row(first: &StoredEvent) -> RunRow {
    RunRow {
        run: first.run.clone(),
        workplan: String::new(),
        path: String::new(),
        target: String::new(),
        state: "running".into(),
        created_at: first.at,
        ended_at: None,
        first_seq: first.seq,
        head_seq: first.seq,
        head_hash: first.hash,
        owner: None,
    }
}

fn apply(
    conn: &Connection,
    path: &Path,
    row: &mut RunRow,
    at: Timestamp,
    stored: &[StoredEvent],
    update: &Projection,
) -> Result<(), JournalError> {
    let seq_of = |event: usize| {
        let what = "a projection whose event is not there";
        stored.get(event).map(|e| e.seq).ok_or(JournalError::Refused { what })
    };
    match update.clone() {
        Projection::RunCreated { workplan, path, target } => {
            (row.workplan, row.path, row.target) = (workplan, path, target);
        }
        Projection::RunState { state } => {
            // A rollback or resume of an ended run begins it again.
            (row.state, row.ended_at) = (state, None);
        }
        Projection::RunEnded { state } => {
            (row.state, row.ended_at, row.owner) = (state, Some(at), None);
        }
        Projection::Owner { owner } => row.owner = owner,
        Projection::History { target, workplan, step, meaning, outcome, event } => {
            let (run, seq) = (row.run.clone(), seq_of(event)?);
            let row = HistoryRow { target, workplan, meaning, step, outcome, run, seq };
            HISTORY.put(conn, path, row.values())?;
        }
        Projection::Kv { key, value, event } => {
            let row = KvRow { key, value, run: row.run.clone(), seq: seq_of(event)? };
            KV.put(conn, path, row.values())?;
        }
    }
    Ok(())
}
