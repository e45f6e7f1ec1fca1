//! Tables that are derived from events, and how damage to them is noticed.
//!
//! Each row carries a digest of its columns, and `seals` holds the exclusive or of all digests
//! of a table: a changed row, a lost row and a row under a wrong key all show.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::JournalError;
use super::event::{EventHash, Framed};

/// A derived table. Its columns without `seal`, of which the first are the key.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Its place in [`Sums`].
    slot: usize,
    /// How many columns there are.
    columns: usize,
    /// How many of them are the key.
    keys: usize,
    one: &'static str,
    all: &'static str,
    seal: &'static str,
    put: &'static str,
}

/// The statements of a table, spelled out when the program is built.
macro_rules! table {
    ($name:literal, $slot:literal, $columns:literal, $count:literal, $marks:literal,
     $keys:literal, $key:literal) => {
        Table {
            name: $name,
            slot: $slot,
            columns: $count,
            keys: $keys,
            one: concat!("SELECT ", $columns, ", seal FROM ", $name, " WHERE ", $key),
            all: concat!("SELECT ", $columns, ", seal FROM ", $name),
            seal: concat!("SELECT seal FROM ", $name, " WHERE ", $key),
            put: concat!(
                "INSERT OR REPLACE INTO ",
                $name,
                " (",
                $columns,
                ", seal) VALUES (",
                $marks,
                ")"
            ),
        }
    };
}

pub(super) const RUNS: Table = table!(
    "runs",
    0,
    "run, workplan, path, target, state, created_at, ended_at, first_seq, head_seq, \
     head_hash, pid, started_ticks, boot_id, host, owned_since",
    15,
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
    1,
    "run = ?1"
);
pub(super) const HISTORY: Table = table!(
    "history",
    1,
    "target, workplan, meaning, step, outcome, run, seq",
    7,
    "?, ?, ?, ?, ?, ?, ?, ?",
    4,
    "target = ?1 AND workplan = ?2 AND meaning = ?3 AND step = ?4"
);
pub(super) const KV: Table =
    table!("kv", 2, "key, value, run, seq", 4, "?, ?, ?, ?, ?", 1, "key = ?1");

const SEAL_LEN: usize = 32;
pub(super) type Seal = [u8; SEAL_LEN];

/// The sums of the tables as a transaction has changed them so far; read when first needed and
/// written once, at its end.
#[derive(Debug, Default)]
pub(super) struct Sums {
    known: [Option<Seal>; 3],
    changed: [bool; 3],
}

impl Sums {
    fn of(&mut self, table: &Table, conn: &Connection) -> rusqlite::Result<&mut Seal> {
        let known = &mut self.known[table.slot];
        if known.is_none() {
            *known = Some(table.sum(conn)?);
        }
        Ok(known.get_or_insert([0; SEAL_LEN]))
    }

    /// Writes what has changed.
    pub(super) fn save(&mut self, conn: &Connection, path: &Path) -> Result<(), JournalError> {
        for table in [&RUNS, &HISTORY, &KV] {
            if !std::mem::take(&mut self.changed[table.slot]) {
                continue;
            }
            conn.prepare_cached("INSERT OR REPLACE INTO seals (name, sum) VALUES (?1, ?2)")
                .and_then(|mut s| s.execute((table.name, self.known[table.slot])))
                .map_err(|source| JournalError::sqlite(path, source))?;
        }
        Ok(())
    }
}

/// The seal of the row that another one takes the place of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Before {
    /// To be looked up.
    Ask,
    /// `None` where there is no such row.
    Known(Option<Seal>),
}

impl Table {
    fn seal<'v>(&self, values: impl IntoIterator<Item = ValueRef<'v>>) -> Seal {
        let mut framed = Framed::new("workplan/row/v1");
        framed.field(self.name.as_bytes());
        for value in values {
            match value {
                ValueRef::Null => framed.field(b"null"),
                ValueRef::Integer(n) => {
                    framed.field(b"integer");
                    framed.field(n.to_string().as_bytes());
                }
                ValueRef::Real(x) => {
                    framed.field(b"real");
                    framed.field(&x.to_bits().to_be_bytes());
                }
                ValueRef::Text(text) => {
                    framed.field(b"text");
                    framed.field(text);
                }
                ValueRef::Blob(bytes) => {
                    framed.field(b"blob");
                    framed.field(bytes);
                }
            }
        }
        framed.finish().0
    }

    /// Inserts or replaces a row and gives its seal; the caller has a transaction open and saves
    /// the sums at its end.
    pub(super) fn put(
        &self,
        conn: &Connection,
        path: &Path,
        sums: &mut Sums,
        before: Before,
        values: &[ValueRef<'_>],
    ) -> Result<Seal, JournalError> {
        let wrong = |source| JournalError::sqlite(path, source);
        let old = match before {
            Before::Known(old) => old,
            Before::Ask => conn
                .prepare_cached(self.seal)
                .and_then(|mut s| {
                    let key = params_from_iter(bound(&values[..self.keys]));
                    s.query_row(key, |r| r.get(0)).optional()
                })
                .map_err(wrong)?,
        };
        let new = self.seal(values.iter().copied());
        let sum = sums.of(self, conn).map_err(wrong)?;
        for (n, byte) in sum.iter_mut().enumerate() {
            *byte ^= new[n] ^ old.map_or(0, |old| old[n]);
        }
        sums.changed[self.slot] = true;
        let mut row = bound(values);
        row.push(ToSqlOutput::Borrowed(ValueRef::Blob(&new)));
        conn.prepare_cached(self.put)
            .and_then(|mut s| s.execute(params_from_iter(row)))
            .map_err(wrong)?;
        Ok(new)
    }

    /// The row of a key and its seal, which was checked.
    pub(super) fn get(
        &self,
        conn: &Connection,
        path: &Path,
        key: &[&str],
    ) -> Result<Option<(Vec<Value>, Seal)>, JournalError> {
        let row = conn
            .prepare_cached(self.one)
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
        let mut statement = conn.prepare_cached(self.all).map_err(wrong)?;
        let mut rows = statement.query([]).map_err(wrong)?;
        let mut sum = [0; SEAL_LEN];
        while let Some(row) = rows.next().map_err(wrong)? {
            let (values, seal) = self.split(row).map_err(wrong)?;
            sum.iter_mut().zip(seal).for_each(|(sum, byte)| *sum ^= byte);
            visit(self.checked(path, values, seal)?.0)?;
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
    ) -> Result<(Vec<Value>, Seal), JournalError> {
        if self.seal(values.iter().map(ValueRef::from)) == seal {
            return Ok((values, seal));
        }
        Err(JournalError::corrupt(
            path,
            format!("a row of the table `{}` does not match its seal", self.name),
        ))
    }

    fn split(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<(Vec<Value>, Seal)> {
        let values = (0..self.columns).map(|n| row.get(n)).collect::<Result<_, _>>()?;
        Ok((values, row.get(self.columns)?))
    }

    fn sum(&self, conn: &Connection) -> rusqlite::Result<Seal> {
        let sum = conn
            .prepare_cached("SELECT sum FROM seals WHERE name = ?1")?
            .query_row([self.name], |row| row.get(0))
            .optional()?;
        Ok(sum.unwrap_or([0; SEAL_LEN]))
    }
}

fn bound<'v>(values: &[ValueRef<'v>]) -> Vec<ToSqlOutput<'v>> {
    values.iter().map(|value| ToSqlOutput::Borrowed(*value)).collect()
}

/// Takes a row apart; `None` for a value of the wrong type, which its seal rules out.
pub(super) struct Columns(pub(super) std::vec::IntoIter<Value>);

impl Columns {
    pub(super) fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text_or_null(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Value::Text(text) => Some(Some(text)),
            Value::Null => Some(None),
            _ => None,
        }
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        self.integer_or_null()?
    }

    pub(super) fn integer_or_null(&mut self) -> Option<Option<i64>> {
        match self.0.next()? {
            Value::Integer(n) => Some(Some(n)),
            Value::Null => Some(None),
            _ => None,
        }
    }

    pub(super) fn seq(&mut self) -> Option<u64> {
        self.integer()?.try_into().ok()
    }

    pub(super) fn hash(&mut self) -> Option<EventHash> {
        match self.0.next()? {
            Value::Blob(bytes) => Some(EventHash(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.integer()?).ok()
    }
}

pub(super) fn typed<T>(row: Option<T>, path: &Path, table: &Table) -> Result<T, JournalError> {
    row.ok_or_else(|| {
        JournalError::corrupt(path, format!("a row of the table `{}` is not readable", table.name))
    })
}

/// SQLite's integers are signed. A process start or position beyond that does not exist.
pub(super) fn integer<'v>(n: u64) -> ValueRef<'v> {
    ValueRef::Integer(n.try_into().unwrap_or(i64::MAX))
}

pub(super) fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}
