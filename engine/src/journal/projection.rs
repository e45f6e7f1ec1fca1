//! Tables that are derived from events, and how damage to them is noticed.
//!
//! Each row carries a digest of its columns, and `seals` holds the exclusive or of all digests
//! of a table: a changed row, a lost row and a row under a wrong key all show.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::event::{EventHash, Framed};
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

/// A derived table: its columns without `seal`, of which the first are the key.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static str,
    count: usize,
    keys: &'static [&'static str],
}

pub(super) const RUNS: Table = Table {
    name: "runs",
    columns: "run, workplan, path, target, state, created_at, ended_at, first_seq, head_seq, \
              head_hash, pid, started_ticks, boot_id, host, owned_since",
    count: 15,
    keys: &["run"],
};
pub(super) const HISTORY: Table = Table {
    name: "history",
    columns: "target, workplan, meaning, step, outcome, run, seq",
    count: 7,
    keys: &["target", "workplan", "meaning", "step"],
};
pub(super) const KV: Table =
    Table { name: "kv", columns: "key, value, run, seq", count: 4, keys: &["key"] };

const SEAL_LEN: usize = 32;
type Seal = [u8; SEAL_LEN];

impl Table {
    fn where_key(&self) -> String {
        let terms: Vec<String> =
            self.keys.iter().enumerate().map(|(n, key)| format!("{key} = ?{}", n + 1)).collect();
        terms.join(" AND ")
    }

    fn seal(&self, values: &[Value]) -> Seal {
        let mut framed = Framed::new("workplan/row/v1");
        framed.field(self.name.as_bytes());
        for value in values {
            match value {
                Value::Null => framed.field(b"null"),
                Value::Integer(n) => {
                    framed.field(b"integer");
                    framed.field(n.to_string().as_bytes());
                }
                Value::Real(x) => {
                    framed.field(b"real");
                    framed.field(&x.to_bits().to_be_bytes());
                }
                Value::Text(text) => {
                    framed.field(b"text");
                    framed.field(text.as_bytes());
                }
                Value::Blob(bytes) => {
                    framed.field(b"blob");
                    framed.field(bytes);
                }
            }
        }
        framed.finish().0
    }

    /// Inserts or replaces a row; the caller has a transaction open.
    pub(super) fn put(
        &self,
        conn: &Connection,
        path: &Path,
        mut values: Vec<Value>,
    ) -> Result<(), JournalError> {
        let wrong = |source| JournalError::sqlite(path, source);
        let select = format!("SELECT seal FROM {} WHERE {}", self.name, self.where_key());
        let old: Option<Seal> = conn
            .prepare_cached(&select)
            .and_then(|mut s| {
                s.query_row(params_from_iter(&values[..self.keys.len()]), |r| r.get(0)).optional()
            })
            .map_err(wrong)?;
        let new = self.seal(&values);
        let mut sum = self.sum(conn).map_err(wrong)?;
        for (n, byte) in sum.iter_mut().enumerate() {
            *byte ^= new[n] ^ old.map_or(0, |old| old[n]);
        }
        values.push(Value::Blob(new.to_vec()));
        let marks = vec!["?"; values.len()].join(", ");
        let insert = format!(
            "INSERT OR REPLACE INTO {} ({}, seal) VALUES ({marks})",
            self.name, self.columns
        );
        conn.prepare_cached(&insert)
            .and_then(|mut s| s.execute(params_from_iter(&values)))
            .map_err(wrong)?;
        conn.prepare_cached("INSERT OR REPLACE INTO seals (name, sum) VALUES (?1, ?2)")
            .and_then(|mut s| s.execute((self.name, sum)))
            .map_err(wrong)?;
        Ok(())
    }

    /// The row of a key, its seal checked.
    pub(super) fn get(
        &self,
        conn: &Connection,
        path: &Path,
        key: &[&str],
    ) -> Result<Option<Vec<Value>>, JournalError> {
        let sql =
            format!("SELECT {}, seal FROM {} WHERE {}", self.columns, self.name, self.where_key());
        let row = conn
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row(params_from_iter(key), |r| self.split(r)).optional())
            .map_err(|source| JournalError::sqlite(path, source))?;
        row.map(|(values, seal)| self.checked(path, values, seal)).transpose()
    }

    /// Every row, each seal and their sum checked.
    pub(super) fn each(
        &self,
        conn: &Connection,
        path: &Path,
        mut visit: impl FnMut(Vec<Value>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let wrong = |source| JournalError::sqlite(path, source);
        let sql = format!("SELECT {}, seal FROM {}", self.columns, self.name);
        let mut statement = conn.prepare_cached(&sql).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        let mut sum = [0; SEAL_LEN];
        while let Some(row) = rows.next().map_err(wrong)? {
            let (values, seal) = self.split(row).map_err(wrong)?;
            sum.iter_mut().zip(seal).for_each(|(sum, byte)| *sum ^= byte);
            visit(self.checked(path, values, seal)?)?;
        }
        if sum != self.sum(conn).map_err(wrong)? {
            let what = format!("rows of the table `{}` are missing or too many", self.name);
            return Err(JournalError::corrupt(path, what));
        }
        Ok(())
    }

    fn checked(
        &self,
        path: &Path,
        values: Vec<Value>,
        seal: Seal,
    ) -> Result<Vec<Value>, JournalError> {
        if self.seal(&values) == seal {
            return Ok(values);
        }
        Err(JournalError::corrupt(
            path,
            format!("a row of the table `{}` does not match its seal", self.name),
        ))
    }

    fn split(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<(Vec<Value>, Seal)> {
        let values = (0..self.count).map(|n| row.get(n)).collect::<Result<_, _>>()?;
        Ok((values, row.get(self.count)?))
    }

    fn sum(&self, conn: &Connection) -> rusqlite::Result<Seal> {
        let sum = conn
            .prepare_cached("SELECT sum FROM seals WHERE name = ?1")?
            .query_row([self.name], |row| row.get(0))
            .optional()?;
        Ok(sum.unwrap_or([0; SEAL_LEN]))
    }
}

/// Takes a row apart; `None` for a value of the wrong type, which its seal rules out.
struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn text_or_null(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Value::Text(text) => Some(Some(text)),
            Value::Null => Some(None),
            _ => None,
        }
    }

    fn integer(&mut self) -> Option<i64> {
        self.integer_or_null()?
    }

    fn integer_or_null(&mut self) -> Option<Option<i64>> {
        match self.0.next()? {
            Value::Integer(n) => Some(Some(n)),
            Value::Null => Some(None),
            _ => None,
        }
    }

    fn seq(&mut self) -> Option<u64> {
        self.integer()?.try_into().ok()
    }

    fn hash(&mut self) -> Option<EventHash> {
        match self.0.next()? {
            Value::Blob(bytes) => Some(EventHash(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.integer()?).ok()
    }
}

fn typed<T>(row: Option<T>, path: &Path, table: &Table) -> Result<T, JournalError> {
    row.ok_or_else(|| {
        JournalError::corrupt(path, format!("a row of the table `{}` is not readable", table.name))
    })
}

/// SQLite's integers are signed. A process start or position beyond that does not exist.
fn integer(n: u64) -> Value {
    Value::Integer(n.try_into().unwrap_or(i64::MAX))
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

    pub(super) fn values(&self) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        let time = |at: Timestamp| Value::Integer(at.as_millisecond());
        let mut values = vec![
            text(&self.run),
            text(&self.workplan),
            text(&self.path),
            text(&self.target),
            text(&self.state),
            time(self.created_at),
            self.ended_at.map_or(Value::Null, time),
            integer(self.first_seq),
            integer(self.head_seq),
            Value::Blob(self.head_hash.0.to_vec()),
        ];
        values.extend(match &self.owner {
            Some(o) => [
                Value::Integer(o.pid.into()),
                integer(o.started_ticks),
                text(&o.boot_id),
                text(&o.host),
                time(o.since),
            ],
            None => [const { Value::Null }; 5],
        });
        values
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

    pub(super) fn values(self) -> Vec<Value> {
        [self.target, self.workplan, self.meaning, self.step, self.outcome, self.run]
            .map(Value::Text)
            .into_iter()
            .chain([integer(self.seq)])
            .collect()
    }
}

impl KvRow {
    pub(super) fn read(values: Vec<Value>, path: &Path) -> Result<Self, JournalError> {
        let mut c = Columns(values.into_iter());
        let row =
            (|| Some(Self { key: c.text()?, value: c.text()?, run: c.text()?, seq: c.seq()? }))();
        typed(row, path, &KV)
    }

    pub(super) fn values(self) -> Vec<Value> {
        vec![
            Value::Text(self.key),
            Value::Text(self.value),
            Value::Text(self.run),
            integer(self.seq),
        ]
    }
}
