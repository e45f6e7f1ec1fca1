//! Reading events, and checking the chain while doing so.

use std::collections::VecDeque;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::event::{Content, EventHash, chain_start, milliseconds};
use super::table::{HISTORY, KV, RUNS, Seal};
use super::{Head, Journal, JournalError, RunRow, StoredEvent};

/// How many events are in memory at once while a run is read.
const PAGE: usize = 128;

impl Journal {
    /// All events of a run, oldest first; every hash is computed again.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], and [`JournalError::Corrupt`] naming the first event whose
    /// content does not match its hash, or the gap.
    pub fn events(&self, run: &str) -> Result<Vec<StoredEvent>, JournalError> {
        self.event_pages(run, 0)?.collect()
    }

    /// The events of a run after position `seq`, checked from the event before them on.
    ///
    /// # Errors
    /// As [`Journal::events`].
    pub fn events_after(&self, run: &str, seq: u64) -> Result<Vec<StoredEvent>, JournalError> {
        self.event_pages(run, seq)?.collect()
    }

    /// Like [`Journal::events_after`] for runs of any size: a bounded number of events is in
    /// memory. Ends with the event that was the newest when it began; after an error it yields
    /// nothing more.
    ///
    /// # Errors
    /// [`JournalError::NotFound`]; the iterator's items have those of [`Journal::events`].
    pub fn event_pages(&self, run: &str, after: u64) -> Result<EventPages<'_>, JournalError> {
        let (row, before) = self.ask(|conn| {
            let row = run_row(conn, &self.path, run)?;
            let before = conn
                .prepare_cached(
                    "SELECT * FROM events WHERE run = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
                )
                .and_then(|mut s| {
                    let after = i64::try_from(after).unwrap_or(i64::MAX);
                    s.query_row((run, after), RawEvent::of_row).optional()
                })
                .map_err(|source| JournalError::sqlite(&self.path, source))?;
            match before {
                Some(raw) => Ok((row, Some(raw.checked_in(&self.path, run)?))),
                None => Ok((row, None)),
            }
        })?;
        let head = Head { seq: row.head_seq, hash: row.head_hash };
        Ok(EventPages {
            journal: self,
            run: run.to_owned(),
            head,
            last: before.map(|event| Head { seq: event.seq, hash: event.hash }),
            page: VecDeque::new(),
            ended: false,
        })
    }

    /// Where a run's chain ends, checked against the event itself.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], [`JournalError::Corrupt`].
    pub fn head(&self, run: &str) -> Result<Head, JournalError> {
        self.ask(|conn| {
            let row = run_row(conn, &self.path, run)?;
            let head = Head { seq: row.head_seq, hash: row.head_hash };
            let event = load(conn, &self.path, head.seq)?;
            if event.is_none_or(|event| event.run != run || event.hash != head.hash) {
                let what = "the newest event of the run is missing";
                return Err(JournalError::corrupt_at(&self.path, run, head.seq, what));
            }
            Ok(head)
        })
    }

    /// Checks everything: all pages and indexes, all derived rows, the chains of all runs. Takes
    /// time in proportion to the file.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] for the first thing that is wrong.
    pub fn verify(&self) -> Result<(), JournalError> {
        self.ask(|conn| {
            let said: String = conn
                .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
                .map_err(|source| JournalError::sqlite(&self.path, source))?;
            if said != "ok" {
                return Err(JournalError::corrupt(&self.path, said));
            }
            [&RUNS, &HISTORY, &KV]
                .into_iter()
                .try_for_each(|table| self.verified.once(table, conn, &self.path))
        })?;
        for row in self.runs(&super::RunFilter::default())? {
            self.event_pages(&row.run, 0)?.try_for_each(|event| event.map(drop))?;
        }
        Ok(())
    }
}

/// Events of one run, a page at a time.
#[derive(Debug)]
pub struct EventPages<'j> {
    journal: &'j Journal,
    run: String,
    head: Head,
    last: Option<Head>,
    page: VecDeque<StoredEvent>,
    ended: bool,
}

impl Iterator for EventPages<'_> {
    type Item = Result<StoredEvent, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.ended {
            match self.turn() {
                Ok(page) => self.page = page.into(),
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl EventPages<'_> {
    fn turn(&mut self) -> Result<Vec<StoredEvent>, JournalError> {
        let path = &self.journal.path;
        let from = self.last.map_or(0, |last| last.seq);
        let (page, last) = self.journal.ask(|conn| {
            let mut page = Vec::new();
            let mut last = self.last;
            for raw in page_after(conn, path, &self.run, from, self.head.seq)? {
                let event = raw.following(conn, path, &self.run, last)?;
                last = Some(Head { seq: event.seq, hash: event.hash });
                page.push(event);
            }
            Ok((page, last))
        })?;
        self.last = last;
        if page.len() < PAGE {
            self.ended = true;
            if last != Some(self.head) {
                let what = match last {
                    Some(last) => format!("missing events between {} and it", last.seq),
                    None => "missing, and every event before it".into(),
                };
                return Err(JournalError::corrupt_at(path, &self.run, self.head.seq, &what));
            }
        }
        Ok(page)
    }
}

fn page_after(
    conn: &Connection,
    path: &Path,
    run: &str,
    after: u64,
    up_to: u64,
) -> Result<Vec<RawEvent>, JournalError> {
    let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "SELECT * FROM events WHERE run = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
    )
    .and_then(|mut s| {
        s.query_map((run, bound(after), bound(up_to), PAGE as i64), RawEvent::of_row)?.collect()
    })
    .map_err(|source| JournalError::sqlite(path, source))
}

pub(super) fn run_row(conn: &Connection, path: &Path, run: &str) -> Result<RunRow, JournalError> {
    match sealed_row(conn, path, run)? {
        Some((row, _)) => Ok(row),
        None => Err(JournalError::NotFound { run: run.to_owned() }),
    }
}

/// The run and its row's seal.
pub(super) fn sealed_row(
    conn: &Connection,
    path: &Path,
    run: &str,
) -> Result<Option<(RunRow, Seal)>, JournalError> {
    let Some((values, seal)) = RUNS.get(conn, path, &[run])? else { return Ok(None) };
    Ok(Some((RunRow::read(values, path)?, seal)))
}

/// The event at a position, its own hash checked.
pub(super) fn load(
    conn: &Connection,
    path: &Path,
    seq: u64,
) -> Result<Option<StoredEvent>, JournalError> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    conn.prepare_cached("SELECT * FROM events WHERE seq = ?1")
        .and_then(|mut s| s.query_row([seq], RawEvent::of_row).optional())
        .map_err(|source| JournalError::sqlite(path, source))?
        .map(|raw| raw.checked(path))
        .transpose()
}

pub(super) fn newest_of(
    conn: &Connection,
    path: &Path,
    run: &str,
) -> Result<Option<u64>, JournalError> {
    let seq: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM events WHERE run = ?1")
        .and_then(|mut s| s.query_row([run], |row| row.get(0)))
        .map_err(|source| JournalError::sqlite(path, source))?;
    seq.map(|seq| position(seq, path)).transpose()
}

fn position(seq: i64, path: &Path) -> Result<u64, JournalError> {
    u64::try_from(seq).map_err(|_| JournalError::corrupt(path, "an event has a negative position"))
}

/// A row of `events`, not yet believed.
pub(super) struct RawEvent {
    seq: i64,
    at_ms: i64,
    run: String,
    kind: String,
    step: Option<String>,
    data: String,
    anchor: Option<Vec<u8>>,
    prev: [u8; 32],
    hash: [u8; 32],
}

impl RawEvent {
    pub(super) fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            run: row.get(2)?,
            kind: row.get(3)?,
            step: row.get(4)?,
            data: row.get(5)?,
            anchor: row.get(6)?,
            prev: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// The event, if its content matches its hash.
    pub(super) fn checked(self, path: &Path) -> Result<StoredEvent, JournalError> {
        let seq = position(self.seq, path)?;
        let wrong = |what| JournalError::corrupt_at(path, &self.run, seq, what);
        let at = Timestamp::from_millisecond(self.at_ms)
            .map_err(|_| wrong("its time is out of range"))?;
        let (prev, hash) = (EventHash(self.prev), EventHash(self.hash));
        let content = Content {
            seq,
            at: &milliseconds::text(at),
            run: &self.run,
            kind: &self.kind,
            step: self.step.as_deref(),
            data: &self.data,
        };
        if content.hash(prev) != hash {
            return Err(wrong("content does not match its hash"));
        }
        let data = serde_json::from_str(&self.data).map_err(|_| wrong("its data is not JSON"))?;
        Ok(StoredEvent {
            seq,
            at,
            run: self.run,
            kind: self.kind,
            step: self.step,
            data,
            prev,
            hash,
        })
    }

    fn checked_in(self, path: &Path, run: &str) -> Result<StoredEvent, JournalError> {
        let event = self.checked(path)?;
        if event.run == run {
            return Ok(event);
        }
        Err(JournalError::corrupt_at(path, run, event.seq, "it belongs to another run"))
    }

    /// The event, if it also follows `last` in the run's chain.
    fn following(
        self,
        conn: &Connection,
        path: &Path,
        run: &str,
        last: Option<Head>,
    ) -> Result<StoredEvent, JournalError> {
        let anchor = self.anchor.clone();
        let event = self.checked_in(path, run)?;
        let wrong = |what: &str| JournalError::corrupt_at(path, run, event.seq, what);
        match (last, anchor) {
            (Some(last), None) if event.prev == last.hash => Ok(event),
            (Some(last), _) => Err(wrong(&format!("missing events between {} and it", last.seq))),
            (None, Some(anchor)) => {
                let newest = match anchor.len() {
                    0 => None,
                    _ => {
                        let bytes = anchor.try_into();
                        Some(EventHash(bytes.map_err(|_| wrong("its anchor is damaged"))?))
                    }
                };
                if event.prev != chain_start(run, newest) {
                    return Err(wrong("missing events before it, or its anchor is damaged"));
                }
                // Positions have no gaps, so the journal's newest event of then is the one before.
                let before = load(conn, path, event.seq - 1)?.map(|event| event.hash);
                if before != newest {
                    return Err(wrong("the event before it in the journal is not the one of then"));
                }
                Ok(event)
            }
            (None, None) => Err(wrong("missing events before it")),
        }
    }
}
