//! Who is connected to a database, and how they are ended.

use std::collections::BTreeSet;
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::StepError;
use workplan_platform::sql::{Row, SqlError, Writer};

/// One session of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// The number and the start of its process: a number alone comes again.
    key: (i32, String),
    /// It could write whatever is fenced, and come again.
    pub(super) superuser: bool,
    /// In words, without what it asks: a statement may hold secrets.
    pub(super) who: String,
}

/// Sessions of clients in the database `$1`. Those of this run are left out, `$2` being what their
/// names begin with: the copy and the comparison are ours.
pub(super) const SESSIONS: &str = "\
    select a.pid, a.backend_start::text, coalesce(r.rolsuper, false), \
        format('process %s: `%s` as `%s` from %s, %s', a.pid, a.application_name, a.usename, \
            coalesce(host(a.client_addr), 'the same machine'), coalesce(a.state, 'state unknown')) \
    from pg_catalog.pg_stat_activity a left join pg_catalog.pg_roles r on r.oid = a.usesysid \
    where a.datname = $1 and a.backend_type = 'client backend' and a.pid <> pg_backend_pid() \
    and not (coalesce(r.rolsuper, false) and starts_with(a.application_name, $2)) \
    order by a.pid";

/// What the names of all sessions of a run begin with.
pub(super) fn of_run(identity: &str) -> String {
    identity.splitn(3, ':').take(2).map(|part| format!("{part}:")).collect()
}

pub(super) fn session(row: &Row) -> Session {
    Session { key: (row.get(0), row.get(1)), superuser: row.get(2), who: row.get(3) }
}

async fn connected(writer: &Writer, database: &str, run: &str) -> Result<Vec<Session>, SqlError> {
    Ok(writer.rows(SESSIONS, &[&database, &run]).await?.iter().map(session).collect())
}

/// What ending came to.
pub(super) struct Ended {
    pub(super) count: usize,
    /// Superusers who came again. They cannot be kept out.
    pub(super) back: Vec<String>,
}

/// Ends everybody who is connected, and waits until they are gone.
///
/// # Errors
/// Who did not go in time: a process that is stopped or hangs.
pub(super) async fn end_all(
    writer: &Writer,
    database: &str,
    run: &str,
    wait: Duration,
) -> Result<Ended, StepError> {
    let until = tokio::time::Instant::now() + wait;
    let mut told = BTreeSet::new();
    loop {
        let now = connected(writer, database, run).await?;
        let stays: Vec<&Session> = now.iter().filter(|s| told.contains(&s.key)).collect();
        if stays.is_empty() {
            // Who came after the door was shut is a superuser, or came while it was being shut.
            let new: Vec<i32> =
                now.iter().filter(|s| told.is_empty() || !s.superuser).map(|s| s.key.0).collect();
            if new.is_empty() {
                let back = now.into_iter().map(|s| s.who).collect();
                return Ok(Ended { count: told.len(), back });
            }
            let sql = "select pg_catalog.pg_terminate_backend(pid) from unnest($1::int[]) pid";
            writer.rows(sql, &[&new]).await?;
            told.extend(now.into_iter().filter(|s| new.contains(&s.key.0)).map(|s| s.key));
            continue;
        }
        if tokio::time::Instant::now() >= until {
            let count = stays.len();
            let sessions = if count == 1 { "session of" } else { "sessions of" };
            let mut error = StepError::failed(format!(
                "{count} {sessions} `{database}` {} told to end and {} still there after {}",
                if count == 1 { "was" } else { "were" },
                if count == 1 { "is" } else { "are" },
                duration::format(wait)
            ));
            error.said = stays.into_iter().map(|s| s.who.clone()).collect();
            return Err(error.with_help(
                "such a process is stopped or hangs: see to it on the server's machine; nothing \
                 may be copied while it could still write",
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_a_run_are_known_by_how_they_begin() {
        assert_eq!(of_run("workplan:1m7:T02.fence:3"), "workplan:1m7:");
        assert_eq!(of_run("workplan:-:x:0"), "workplan:-:");
    }
}
