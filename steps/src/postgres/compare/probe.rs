//! Counters that tell whether somebody wrote since.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use workplan_platform::sql::{Reader, SqlError};

/// How much was written to a database, as the server counts it. Reading, vacuum and ANALYZE leave
/// the counts as they are. They are equal only while nobody wrote; a crash of the server or a reset
/// of its statistics makes them differ, too, which asks for the proof once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Rows inserted, updated and deleted, in tables and in the catalog.
    pub(crate) rows: i64,
    /// Tables that were counted; a new file behind one makes a row in the catalog.
    pub(crate) tables: i64,
    /// Since when it counts.
    pub(crate) since: Option<String>,
}

impl Probe {
    /// Whether something was written since an earlier look. A server that counts anew, after a
    /// crash or as a promoted standby, cannot tell, and says no.
    pub(crate) fn is_later_than(&self, earlier: &Self) -> bool {
        self.since == earlier.since && self.rows > earlier.rows
    }
}

/// How long sessions that are ending are waited for: each brings its counts in as it goes.
const ENDING: Duration = Duration::from_millis(500);

/// Reads the counters of the session's database.
///
/// # Errors
/// In the server's words.
pub(crate) async fn probe(reader: &Reader) -> Result<Probe, SqlError> {
    let others = "select from pg_catalog.pg_stat_activity where datname = current_database() \
                  and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let end = tokio::time::Instant::now() + ENDING;
    while tokio::time::Instant::now() < end && !reader.rows(others, &[]).await?.is_empty() {
        tokio::time::sleep(ENDING / 20).await;
    }
    // What ANALYZE writes is left out.
    let sql = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8, count(*), \
        (select stats_reset::text from pg_catalog.pg_stat_database \
         where datname = current_database()) \
        from pg_catalog.pg_stat_all_tables \
        where relname not in ('pg_statistic', 'pg_statistic_ext_data') \
        and schemaname !~ '^pg_(temp_|toast)' \
        and (schemaname <> 'pg_catalog' or relid in (select oid from pg_catalog.pg_class \
             where not relisshared))";
    let rows = reader.rows(sql, &[]).await?;
    Ok(match rows.first() {
        Some(row) => Probe { rows: row.get(0), tables: row.get(1), since: row.get(2) },
        None => Probe { rows: 0, tables: 0, since: None },
    })
}
