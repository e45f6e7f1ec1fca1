//! Locks that keep others from writing while a database is read.

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError};

use super::fence;
use super::shared::Entry;
use super::site::{SHORT, Site};

/// A session that holds a lock on every table: others may read and not write. It ends when dropped.
///
/// Only a fenced database is guarded: there everybody who would wait is kept out already, and what
/// the locks stop is a superuser's session or a job that the fence does not know. Nothing is done to
/// a database that people work with.
pub(super) struct Guard {
    _session: Reader,
}

impl Guard {
    /// Guards a database, if it is fenced.
    ///
    /// # Errors
    /// Who is in the way.
    pub(super) async fn of(site: &Site, entry: &Entry) -> Result<Option<Self>, StepError> {
        if entry.comment.mark(fence::MARK).is_none() {
            return Ok(None);
        }
        let session = site.reader(&entry.name).await?;
        let sql = "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                   where c.relkind in ('r', 'p') and not c.relispartition \
                   and n.nspname not in ('pg_catalog', 'information_schema') \
                   and n.nspname !~ '^pg_(toast|temp_|toast_temp_)'";
        let tables = session.rows(sql, &[]).await?;
        let tables: Vec<&str> = tables.iter().map(|row| row.get(0)).collect();
        session.set("set idle_in_transaction_session_timeout = 0; begin").await?;
        if !tables.is_empty() {
            let timeout = SHORT.as_millis() / 2;
            session.set(&format!("set local lock_timeout = {timeout}")).await?;
            let sql = format!("lock table {} in share mode", tables.join(", "));
            if let Err(error) = session.set(&sql).await {
                return Err(in_the_way(site, entry, error).await);
            }
        }
        Ok(Some(Self { _session: session }))
    }
}

async fn in_the_way(site: &Site, entry: &Entry, error: SqlError) -> StepError {
    let mut failed = StepError::failed(format!(
        "{} is fenced, and yet somebody writes to it: {error}",
        site.named(&entry.name)
    ));
    let sql = "select format('%s as %s (process %s): %s', application_name, usename, pid, \
                   left(query, 100)) \
               from pg_catalog.pg_stat_activity a where datname = $1 and pid in ( \
                   select pid from pg_catalog.pg_locks l \
                   where l.granted and l.locktype = 'relation' and l.mode like '%Exclusive%')";
    if let Ok(reader) = site.any_reader().await
        && let Ok(rows) = reader.rows(sql, &[&entry.name]).await
    {
        failed.said = rows.iter().map(|row| row.get(0)).collect();
    }
    failed.with_help("end those sessions, or what starts them")
}
