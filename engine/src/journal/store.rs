//! Appending to the journal.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::access::{ATTEMPTS, PAUSE, Source};
use super::end::End;
use super::event::{Content, EventHash, milliseconds};
use super::table::{Before, HISTORY, KV, RUNS, Table, integer, text};
use super::{JournalError, Mode, NewEvent, Projection, RunRow, StoredEvent, access};

/// The outcome of a step that was begun, which another one soon takes the place of.
const BEGUN: &str = "begun";

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
    /// Where the journal ended after the last append.
    pub(super) end: Option<End>,
    /// The tables whose sum was compared since the opening.
    pub(super) verified: Verified,
}

/// Which tables were compared with their sum. A sum that is wrong stays wrong, whatever is
/// appended: each change takes one seal out and puts one in.
#[derive(Debug, Default)]
pub(super) struct Verified {
    runs: Cell<bool>,
    history: Cell<bool>,
    kv: Cell<bool>,
}

impl Verified {
    pub(super) fn once(
        &self,
        table: &Table,
        conn: &Connection,
        path: &Path,
    ) -> Result<(), JournalError> {
        let verified = match table.name {
            "runs" => &self.runs,
            "history" => &self.history,
            _ => &self.kv,
        };
        if !verified.get() {
            table.each(conn, path, |_| Ok(()))?;
            verified.set(true);
        }
        Ok(())
    }

    fn forget(&self) {
        for table in [&self.runs, &self.history, &self.kv] {
            table.set(false);
        }
    }
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
        let known = self.end.take();
        let tx = Write::begin(self.source.get_mut().conn_mut()).map_err(wrong)?;
        self.verified.once(&RUNS, &tx, path)?;
        let mut end = End::of(&tx, path, run, known)?;
        let found = end.row.as_ref().map_or(0, |row| row.head_seq);
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            return Err(JournalError::Moved { run: run.to_owned(), expected, found });
        }
        let stored = insert(&tx, path, run, at, events, &end)?;
        if let (Some(first), Some(last)) = (stored.first(), stored.last()) {
            let mut row = end.row.take().unwrap_or_else(|| fresh_row(first));
            (row.head_seq, row.head_hash) = (last.seq, last.hash);
            for update in updates {
                apply(&tx, path, &mut end, &mut row, at, &stored, update)?;
            }
            let before = Before::Known(end.seal);
            end.seal = Some(RUNS.put(&tx, path, &mut end.sums, before, &row.values())?);
            end.sums.save(&tx, path)?;
            (end.row, end.newest) = (Some(row), Some(Head { seq: last.seq, hash: last.hash }));
        }
        tx.commit().map_err(wrong)?;
        self.end = Some(end);
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
                self.verified.forget();
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
        self.verified.once(&RUNS, &tx, &self.path)?;
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

/// A transaction that may write. Its statements are kept from one to the next: reading them anew
/// takes SQLite longer than to begin.
struct Write<'c> {
    conn: &'c mut Connection,
    over: bool,
}

impl<'c> Write<'c> {
    fn begin(conn: &'c mut Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self { conn, over: false })
    }

    fn commit(mut self) -> rusqlite::Result<()> {
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.over = true;
        Ok(())
    }
}

impl std::ops::Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        // Some errors, a full disk among them, have rolled it back already.
        if !self.over && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }
}

fn insert(
    conn: &Connection,
    path: &Path,
    run: &str,
    at: Timestamp,
    events: &[NewEvent],
    end: &End,
) -> Result<Vec<StoredEvent>, JournalError> {
    let wrong = |source| JournalError::sqlite(path, source);
    let mut statement = conn
        .prepare_cached(
            "INSERT INTO events (seq, at_ms, run, kind, step, data, anchor, prev, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .map_err(wrong)?;
    let mut stored = Vec::with_capacity(events.len());
    let at_text = milliseconds::text(at);
    let (mut prev, mut anchor) = end.tail(run);
    let mut seq = end.newest.map_or(0, |newest| newest.seq);
    for event in events {
        seq += 1;
        let mut data = event.data.clone();
        data.sort_all_objects();
        let text = data.to_string();
        let step = event.step.as_deref();
        let content = Content { seq, at: &at_text, run, kind: &event.kind, step, data: &text };
        let hash = content.hash(prev);
        let position = i64::try_from(seq)
            .map_err(|_| JournalError::corrupt(path, "its positions are used up"))?;
        statement
            .execute((
                position,
                at.as_millisecond(),
                run,
                &event.kind,
                step,
                &text,
                anchor.take(),
                prev.0,
                hash.0,
            ))
            .map_err(wrong)?;
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
        prev = hash;
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
    end: &mut End,
    row: &mut RunRow,
    at: Timestamp,
    stored: &[StoredEvent],
    update: &Projection,
) -> Result<(), JournalError> {
    let seq_of = |event: usize| {
        let what = "a projection whose event is not there";
        stored.get(event).map(|e| integer(e.seq)).ok_or(JournalError::Refused { what })
    };
    match update {
        Projection::RunCreated { workplan, path, target } => {
            row.workplan.clone_from(workplan);
            row.path.clone_from(path);
            row.target.clone_from(target);
        }
        Projection::RunState { state } => {
            // A rollback or resume of an ended run begins it again.
            row.state.clone_from(state);
            row.ended_at = None;
        }
        Projection::RunEnded { state } => {
            row.state.clone_from(state);
            (row.ended_at, row.owner) = (Some(at), None);
        }
        Projection::Owner { owner } => row.owner.clone_from(owner),
        Projection::History { target, workplan, step, meaning, outcome, event } => {
            let begun = outcome == BEGUN;
            let key = [target, workplan, meaning, step].map(String::as_str).join("\0");
            let seq = seq_of(*event)?;
            let [target, workplan, meaning, step, outcome, run] =
                [target, workplan, meaning, step, outcome, &row.run].map(|part| text(part));
            let values = [target, workplan, meaning, step, outcome, run, seq];
            let before = match end.begun.remove(&key) {
                Some(seal) => Before::Known(Some(seal)),
                None => Before::Ask,
            };
            let seal = HISTORY.put(conn, path, &mut end.sums, before, &values)?;
            if begun {
                end.begun.insert(key, seal);
            }
        }
        Projection::Kv { key, value, event } => {
            let values = [text(key), text(value), text(&row.run), seq_of(*event)?];
            KV.put(conn, path, &mut end.sums, Before::Ask, &values)?;
        }
    }
    Ok(())
}
