//! Where sequences stand.

use std::collections::BTreeMap;

use workplan_platform::sql::SqlError;

use super::frozen::{Frozen, LONG};
use crate::postgres::names::literal;

/// The value that a sequence gave last, and whether it gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) value: i64,
    pub(crate) called: bool,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let called = if self.called { "given" } else { "not given yet" };
        write!(f, "{} ({called})", self.value)
    }
}

/// Sequences in one statement.
const BATCH: usize = 200;

/// Where all sequences stand now. Sequences are in no snapshot: two readings tell whether one moves.
///
/// # Errors
/// In the server's words.
pub(crate) async fn positions(frozen: &Frozen) -> Result<BTreeMap<String, Position>, SqlError> {
    let sql = "select i.type || ' ' || i.identity, i.identity from pg_class c \
               join pg_namespace n on n.oid = c.relnamespace, \
               lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i \
               where c.relkind = 'S' and n.nspname !~ '^pg_(toast|temp_|toast_temp_)'";
    let found = frozen.leader().rows_within(LONG, sql, &[]).await?;
    let mut all = BTreeMap::new();
    for batch in found.chunks(BATCH) {
        let each: Vec<String> = batch
            .iter()
            .map(|row| {
                let (object, name): (&str, &str) = (row.get(0), row.get(1));
                format!("select {}, last_value, is_called from {name}", literal(object))
            })
            .collect();
        let rows = frozen.leader().rows_within(LONG, &each.join(" union all "), &[]).await?;
        for row in &rows {
            all.insert(row.get(0), Position { value: row.get(1), called: row.get(2) });
        }
    }
    Ok(all)
}
