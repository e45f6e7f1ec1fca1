//! What is derived from events: how it changes, and its rows.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::{Value, ValueRef};

use super::event::EventHash;
use super::table::{Columns, HISTORY, KV, RUNS, integer, text, typed};
use super::{JournalError, Owner};

/// A change of a derived table, made in the transaction of the events that it follows from.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// What the run is about. Comes with a run's first events.
    RunCreated {
        /// Id of the workplan.
        workplan: String,
        /// Its file.
        path: String,
        /// Identity of the target.
        target: String,
    },
    /// The run's state, a word of the status format such as `running`.
    RunState {
        /// The state.
        state: String,
    },
    /// The run came to an end, at the time of these events.
    RunEnded {
        /// The state it ended in.
        state: String,
    },
    /// Who works on the run; `None` when nobody does any more.
    Owner {
        /// The process.
        owner: Option<Owner>,
    },
    /// What the last attempt of a step with this meaning came to on this target.
    History {
        /// Identity of the target.
        target: String,
        /// Id of the workplan.
        workplan: String,
        /// The step.
        step: String,
        /// Digest of what the step means.
        meaning: String,
        /// What came out.
        outcome: String,
        /// Which of the events written with it says so, counted from 0. It names the same step.
        event: usize,
    },
    /// A remembered value, such as `plan_spent/<digest>`.
    Kv {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
        /// Which of the events written with it says so, counted from 0.
        event: usize,
    },
}

/// A run, without its events.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub run: String,
    /// Id of the workplan.
    pub workplan: String,
    /// The workplan's file.
    pub path: String,
    /// Identity of the target.
    pub target: String,
    /// A word of the status format.
    pub state: String,
    /// Time of the first event.
    pub created_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// Position of its first event.
    pub first_seq: u64,
    /// Position of its newest event.
    pub head_seq: u64,
    /// Hash of its newest event.
    pub head_hash: EventHash,
    /// Who works on it, or did when it was killed.
    pub owner: Option<Owner>,
}

/// What the last attempt of a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// Identity of the target.
    pub target: String,
    /// Id of the workplan.
    pub workplan: String,
    /// Digest of what the step means.
    pub meaning: String,
    /// The step.
    pub step: String,
    /// What came out.
    pub outcome: String,
    /// The run that says so.
    pub run: String,
    /// The event that says so.
    pub seq: u64,
}

/// A remembered value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvRow {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The run that says so.
    pub run: String,
    /// The event that says so.
    pub seq: u64,
}

impl RunRow {
    pub(super) fn read(values: Vec<Value>, path: &Path) -> Result<Self, JournalError> {
        typed(Self::typed(Columns(values.into_iter())), path, &RUNS)
    }

    fn typed(mut c: Columns) -> Option<Self> {
        let mut row = Self {
            run: c.text()?,
            workplan: c.text()?,
            path: c.text()?,
            target: c.text()?,
            state: c.text()?,
            created_at: c.time()?,
            ended_at: match c.integer_or_null()? {
                Some(ms) => Some(Timestamp::from_millisecond(ms).ok()?),
                None => None,
            },
            first_seq: c.seq()?,
            head_seq: c.seq()?,
            head_hash: c.hash()?,
            owner: None,
        };
        let (pid, ticks) = (c.integer_or_null()?, c.integer_or_null()?);
        let (boot, host, since) = (c.text_or_null()?, c.text_or_null()?, c.integer_or_null()?);
        if let (Some(pid), Some(ticks), Some(boot_id), Some(host), Some(since)) =
            (pid, ticks, boot, host, since)
        {
            row.owner = Some(Owner {
                pid: pid.try_into().ok()?,
                started_ticks: ticks.try_into().ok()?,
                boot_id,
                host,
                run: row.run.clone(),
                since: Timestamp::from_millisecond(since).ok()?,
            });
        }
        Some(row)
    }

    pub(super) fn values(&self) -> [ValueRef<'_>; 15] {
        let time = |at: Timestamp| ValueRef::Integer(at.as_millisecond());
        let owner = match &self.owner {
            Some(o) => [
                ValueRef::Integer(o.pid.into()),
                integer(o.started_ticks),
                text(&o.boot_id),
                text(&o.host),
                time(o.since),
            ],
            None => [ValueRef::Null; 5],
        };
        let [pid, ticks, boot, host, since] = owner;
        [
            text(&self.run),
            text(&self.workplan),
            text(&self.path),
            text(&self.target),
            text(&self.state),
            time(self.created_at),
            self.ended_at.map_or(ValueRef::Null, time),
            integer(self.first_seq),
            integer(self.head_seq),
            ValueRef::Blob(&self.head_hash.0),
            pid,
            ticks,
            boot,
            host,
            since,
        ]
    }
}

impl HistoryRow {
    pub(super) fn read(values: Vec<Value>, path: &Path) -> Result<Self, JournalError> {
        let mut c = Columns(values.into_iter());
        let row = (|| {
            Some(Self {
                target: c.text()?,
                workplan: c.text()?,
                meaning: c.text()?,
                step: c.text()?,
                outcome: c.text()?,
                run: c.text()?,
                seq: c.seq()?,
            })
        })();
        typed(row, path, &HISTORY)
    }
}

impl KvRow {
    pub(super) fn read(values: Vec<Value>, path: &Path) -> Result<Self, JournalError> {
        let mut c = Columns(values.into_iter());
        let row =
            (|| Some(Self { key: c.text()?, value: c.text()?, run: c.text()?, seq: c.seq()? }))();
        typed(row, path, &KV)
    }
}
