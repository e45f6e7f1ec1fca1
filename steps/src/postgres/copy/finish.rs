//! What no dump has: positions of sequences, views that are filled, statistics, and what belongs to
//! the database itself.

use futures_util::future::try_join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError, Writer};

use crate::postgres::names::{ident, literal};
use crate::postgres::portrait::{Frozen, LONG, Roles, positions};
use crate::postgres::site::SHORT;

/// Sequences in one statement.
const BATCH: usize = 200;
/// How long standbys may take to replay what was copied.
const REPLAY: Duration = Duration::from_secs(60);

/// Puts every sequence where it stands in the source.
///
/// # Errors
/// In the servers' words.
pub(super) async fn sequences(frozen: &Frozen, writer: &Writer) -> Result<(), StepError> {
    let all: Vec<_> = positions(frozen).await?.into_iter().collect();
    for batch in all.chunks(BATCH) {
        let each: Vec<String> = batch
            .iter()
            .filter_map(|(object, position)| {
                let name = object.strip_prefix("sequence ")?;
                Some(format!(
                    "pg_catalog.setval({}, {}, {})",
                    literal(name),
                    position.value,
                    position.called
                ))
            })
            .collect();
        writer.run(&format!("select {}", each.join(", "))).await?;
    }
    Ok(())
}

/// Has the server look once more whether partitioned indexes are valid.
///
/// An index of a partitioned table becomes valid when its last part is attached. `pg_restore` attaches
/// several at the same time, and where two sessions attach the last two, neither sees the other's,
/// and the index stays invalid for good. Attaching once more what is attached changes nothing else.
///
/// # Errors
/// In the target's words.
pub(super) async fn partitioned_indexes(writer: &Writer) -> Result<(), SqlError> {
    // One whose parts are invalid, or not all there, as in the source, stays as it is.
    let sql = "select distinct on (p.oid) format('%I.%I', pn.nspname, p.relname), \
                   format('%I.%I', cn.nspname, c.relname) \
               from pg_catalog.pg_index i join pg_catalog.pg_class p on p.oid = i.indexrelid \
               join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace \
               join pg_catalog.pg_inherits h on h.inhparent = p.oid \
               join pg_catalog.pg_class c on c.oid = h.inhrelid \
               join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace \
               where p.relkind = 'I' and not i.indisvalid";
    let mut before = usize::MAX;
    loop {
        let invalid = writer.rows(sql, &[]).await?;
        if invalid.is_empty() || invalid.len() >= before {
            return Ok(());
        }
        before = invalid.len();
        for row in invalid {
            let (index, part): (String, String) = (row.get(0), row.get(1));
            writer.run(&format!("alter index {index} attach partition {part}")).await?;
        }
    }
}

/// Fills the materialised views that are filled in the source, in an order in which each finds what
/// it reads.
///
/// # Errors
/// In the target's words, with the view.
pub(super) async fn views(frozen: &Frozen, writer: &Writer) -> Result<(), StepError> {
    let sql = "select format('%I.%I', n.nspname, c.relname) from pg_class c \
               join pg_namespace n on n.oid = c.relnamespace \
               where c.relkind = 'm' and c.relispopulated";
    let filled = frozen.leader().rows(sql, &[]).await?;
    let filled: Vec<String> = filled.iter().map(|row| row.get(0)).collect();
    if filled.is_empty() {
        return Ok(());
    }
    // They were made in the order in which they depend on each other.
    let sql = "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where c.relkind = 'm' order by c.oid";
    for row in writer.rows(sql, &[]).await? {
        let name: String = row.get(0);
        if !filled.contains(&name) {
            continue;
        }
        let sql = format!("refresh materialized view {name}");
        writer.run_within(LONG, &sql).await.map_err(|error| {
            StepError::failed(format!("the materialised view {name} cannot be filled: {error}"))
                .with_help(
                    "it is filled with its owner's rights; a refresh in the source would fail as well",
                )
        })?;
    }
    Ok(())
}

/// Takes the statistics that the planner needs; a dump has none.
///
/// # Errors
/// In the target's words.
pub(super) async fn statistics(writers: &[Writer]) -> Result<(), StepError> {
    let Some(first) = writers.first() else { return Ok(()) };
    let sql = "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where c.relkind in ('r', 'm', 'p') and c.relpersistence <> 't' \
               and (c.relkind <> 'm' or c.relispopulated) and n.nspname !~ '^pg_toast' \
               order by c.relpages desc, c.oid";
    let names = first.rows(sql, &[]).await?;
    let next = AtomicUsize::new(0);
    let worker = async |writer: &Writer| {
        while let Some(row) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sql = format!("analyze {}", row.get::<_, &str>(0));
            writer.run_within(LONG, &sql).await?;
        }
        Ok::<_, SqlError>(())
    };
    try_join_all(writers.iter().map(worker)).await?;
    Ok(())
}

/// What belongs to the database itself and is in no dump of it: settings, rights, owner, limit.
pub(super) struct Dress {
    owner: String,
    settings: Vec<(Option<String>, Vec<String>)>,
    /// Rights, with grantee (`None` for all) and whether it may be handed on; `None` for those that
    /// a new database has.
    rights: Option<Vec<(Option<String>, String, bool)>>,
}

impl Dress {
    /// Reads it from a session of the database.
    ///
    /// # Errors
    /// In the server's words.
    pub(super) async fn of(reader: &Reader) -> Result<Self, SqlError> {
        let sql = "select pg_catalog.pg_get_userbyid(datdba)::text, datacl is null \
                   from pg_catalog.pg_database where datname = current_database()";
        let rows = reader.rows(sql, &[]).await?;
        let (owner, untouched) = match rows.first() {
            Some(row) => (row.get(0), row.get(1)),
            None => (String::new(), true),
        };
        let sql = "select r.rolname::text, s.setconfig from pg_catalog.pg_db_role_setting s \
                   left join pg_catalog.pg_roles r on r.oid = s.setrole \
                   join pg_catalog.pg_database d on d.oid = s.setdatabase \
                   where d.datname = current_database()";
        let settings = reader.rows(sql, &[]).await?;
        let settings = settings.iter().map(|row| (row.get(0), row.get(1))).collect();
        let sql = "select r.rolname::text, g.privilege_type, g.is_grantable \
                   from pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) g \
                   left join pg_catalog.pg_roles r on r.oid = g.grantee \
                   where d.datname = current_database() order by 1 nulls first, 2";
        let rights = match untouched {
            true => None,
            false => Some(
                reader
                    .rows(sql, &[])
                    .await?
                    .iter()
                    .map(|row| (row.get(0), row.get(1), row.get(2)))
                    .collect(),
            ),
        };
        Ok(Self { owner, settings, rights })
    }

    /// Statements that give it to another database. `owner` stands in for the source's.
    pub(super) fn statements(
        &self,
        database: &str,
        owner: Option<&str>,
        roles: &Roles,
    ) -> Vec<String> {
        let name = ident(database);
        let named = |role: &str| match owner.filter(|_| role == self.owner) {
            Some(owner) => ident(owner),
            None => ident(roles.get(role).map_or(role, String::as_str)),
        };
        let mut out = vec![format!("alter database {name} owner to {}", named(&self.owner))];
        for (role, settings) in &self.settings {
            let whose = match role {
                Some(role) => format!("alter role {} in database {name}", named(role)),
                None => format!("alter database {name}"),
            };
            for setting in settings {
                let Some((key, value)) = setting.split_once('=') else { continue };
                out.push(format!(
                    "{whose} set {} to {}",
                    quoted_key(key),
                    quoted_value(key, value)
                ));
            }
        }
        if let Some(rights) = &self.rights {
            out.push(format!("revoke all on database {name} from public, {}", named(&self.owner)));
            for (grantee, right, option) in rights {
                let whom = grantee.as_deref().map_or_else(|| "public".to_owned(), named);
                let option = if *option { " with grant option" } else { "" };
                out.push(format!("grant {right} on database {name} to {whom}{option}"));
            }
        }
        out
    }
}

/// The name of a setting; one of an extension has a dot in it.
fn quoted_key(key: &str) -> String {
    key.split('.').map(ident).collect::<Vec<_>>().join(".")
}

/// The value of a setting. Some are lists of names, and are kept as such, with quotes: those must
/// not be quoted once more as a whole.
fn quoted_value(key: &str, value: &str) -> String {
    const LISTS: &[&str] = &[
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    ];
    if !LISTS.contains(&key.to_ascii_lowercase().as_str()) {
        return literal(value);
    }
    let names = split_names(value);
    if names.is_empty() { "''".to_owned() } else { names.join(", ") }
}

/// A list of names as constants.
fn split_names(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (name, after) = if let Some(inner) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = inner.char_indices().peekable();
            let mut end = inner.len();
            while let Some((at, c)) = chars.next() {
                if c != '"' {
                    name.push(c);
                } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                    name.push('"');
                } else {
                    end = at + 1;
                    break;
                }
            }
            (name, &inner[end..])
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim_end().to_owned(), &rest[end..])
        };
        out.push(literal(&name).trim_start().to_owned());
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    out
}

/// Waits until every standby has replayed what was copied; `None` where there is nothing to wait
/// for any more, else who is behind.
///
/// # Errors
/// In the target's words.
pub(super) async fn replayed(reader: &Reader) -> Result<Option<String>, SqlError> {
    let now = "select pg_catalog.pg_current_wal_flush_lsn()::text";
    let rows = reader.rows(now, &[]).await?;
    let position: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    let sql = format!(
        "select application_name from pg_catalog.pg_stat_replication \
         where state in ('streaming', 'catchup') and replay_lsn < {}::pg_catalog.pg_lsn",
        literal(&position)
    );
    let end = tokio::time::Instant::now() + REPLAY;
    loop {
        let behind = reader.rows(&sql, &[]).await?;
        if behind.is_empty() {
            return Ok(None);
        }
        if tokio::time::Instant::now() > end {
            let names: Vec<&str> = behind.iter().map(|row| row.get(0)).collect();
            return Ok(Some(names.join(", ")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Does statements one after the other.
///
/// # Errors
/// In the server's words.
pub(super) async fn all(writer: &Writer, statements: &[String]) -> Result<(), SqlError> {
    for statement in statements {
        writer.run_within(SHORT, statement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_given_as_they_were() {
        let dress = Dress {
            owner: "old".to_owned(),
            settings: vec![
                (
                    None,
                    vec![
                        "search_path=\"$user\", public, \"a \"\"b\"\", c\"".to_owned(),
                        "my.own=it's".to_owned(),
                        "search_path=".to_owned(),
                    ],
                ),
                (Some("old".to_owned()), vec!["work_mem=7MB".to_owned()]),
            ],
            rights: Some(vec![
                (None, "CONNECT".to_owned(), false),
                (Some("old".to_owned()), "CREATE".to_owned(), true),
            ]),
        };
        assert_eq!(
            dress.statements("d", Some("new"), &Roles::new()),
            [
                "alter database \"d\" owner to \"new\"",
                "alter database \"d\" set \"search_path\" to '$user', 'public', 'a \"b\", c'",
                "alter database \"d\" set \"my\".\"own\" to 'it''s'",
                "alter database \"d\" set \"search_path\" to ''",
                "alter role \"new\" in database \"d\" set \"work_mem\" to '7MB'",
                "revoke all on database \"d\" from public, \"new\"",
                "grant CONNECT on database \"d\" to public",
                "grant CREATE on database \"d\" to \"new\" with grant option",
            ]
        );
    }
}
