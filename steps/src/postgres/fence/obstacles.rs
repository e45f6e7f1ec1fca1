//! What a fence could not keep out.

use workplan_engine::kind::StepError;
use workplan_platform::sql::Reader;

use crate::postgres::names::literal;
use crate::postgres::shared::some;
use crate::postgres::site::{Site, not_started};

/// What may stay, and is worth telling.
pub(super) type Notes = Vec<String>;

/// Makes sure that nobody could write behind the fence.
///
/// # Errors
/// Who could.
pub(super) async fn none(site: &Site, reader: &Reader, database: &str) -> Result<Notes, StepError> {
    prepared(site, reader, database).await?;
    subscriptions(site, reader, database).await?;
    let mut notes = slots(reader, database).await?;
    notes.extend(jobs(site, reader, database).await?);
    Ok(notes)
}

/// A prepared transaction belongs to no session and commits whenever somebody says so: the copy
/// would not have it.
///
/// # Errors
/// Which ones there are.
pub(super) async fn prepared(
    site: &Site,
    reader: &Reader,
    database: &str,
) -> Result<(), StepError> {
    let sql = "select format('`%s` of `%s` since %s', gid, owner, prepared) \
               from pg_catalog.pg_prepared_xacts where database = $1 order by prepared";
    let rows = reader.rows(sql, &[&database]).await?;
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(not_started(format!(
        "{} has prepared transactions: {}",
        site.named(database),
        some(&found)
    ))
    .with_help(
        "a copy would lack what they hold: end each with `COMMIT PREPARED` or `ROLLBACK PREPARED`",
    ))
}

/// What a subscription brings is written by the server itself.
async fn subscriptions(site: &Site, reader: &Reader, database: &str) -> Result<(), StepError> {
    let sql = "select format('`%s`', subname) from pg_catalog.pg_subscription s \
               join pg_catalog.pg_database d on d.oid = s.subdbid \
               where d.datname = $1 and s.subenabled order by 1";
    let rows = reader.rows(sql, &[&database]).await?;
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(not_started(format!("a subscription writes to {}: {}", site.named(database), some(&found)))
        .with_help("stop it with `ALTER SUBSCRIPTION … DISABLE`"))
}

/// Who reads the database's changes is left behind by a move.
async fn slots(reader: &Reader, database: &str) -> Result<Notes, StepError> {
    let sql = "select format('the replication slot `%s` (%s, %s) reads this database, and stays \
                   with it', slot_name, plugin, \
                   case when active then 'in use' else 'not in use' end) \
               from pg_catalog.pg_replication_slots where database = $1 order by slot_name";
    Ok(reader.rows(sql, &[&database]).await?.iter().map(|row| row.get(0)).collect())
}

/// Libraries of the server whose processes run jobs, and what they are called.
const SCHEDULERS: &[(&str, &str)] = &[
    ("pg_cron", "pg_cron"),
    ("pg_partman_bgw", "the worker of pg_partman"),
    ("timescaledb", "TimescaleDB"),
];

/// Jobs that a scheduler begins: a superuser's come through the fence.
async fn jobs(site: &Site, reader: &Reader, database: &str) -> Result<Notes, StepError> {
    let sql = "select string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ','), \
               current_setting('cron.database_name', true)";
    let rows = reader.rows(sql, &[]).await?;
    let (loaded, place) = match rows.first() {
        Some(row) => (row.get::<_, Vec<String>>(0), row.get::<_, Option<String>>(1)),
        None => (Vec::new(), None),
    };
    let mut notes: Notes = SCHEDULERS
        .iter()
        .filter(|(library, _)| loaded.iter().any(|name| name == library))
        .map(|(_, name)| format!("the server runs {name}; a job of a superuser's would come in"))
        .collect();
    let mut places = vec![database.to_owned()];
    if let Some(place) = place.filter(|place| !place.is_empty() && place != database) {
        places.push(place);
    }
    for place in places {
        let reader = site.reader(&place).await?;
        if exists(&reader, "pgagent.pga_job").await? {
            notes
                .push(format!("`{place}` has jobs of pgAgent; one of a superuser's would come in"));
        }
        if !exists(&reader, "cron.job").await? {
            continue;
        }
        let sql = format!(
            "select format('%s as `%s`', jobid, username), coalesce(r.rolsuper, false) \
             from cron.job j left join pg_catalog.pg_roles r on r.rolname = j.username \
             where j.active and j.database = {} order by jobid",
            literal(database)
        );
        let found = reader.rows(&sql, &[]).await?;
        let of = |superuser: bool| -> Vec<String> {
            let rows = found.iter().filter(|row| row.get::<_, bool>(1) == superuser);
            rows.map(|row| format!("job {}", row.get::<_, &str>(0))).collect()
        };
        let (through, kept) = (of(true), of(false));
        if !through.is_empty() {
            return Err(not_started(format!(
                "pg_cron runs jobs in {} as a superuser: {}",
                site.named(database),
                some(&through)
            ))
            .with_help("set them to inactive (`cron.alter_job`), and active again afterwards"));
        }
        if !kept.is_empty() {
            notes.push(format!("kept out, and failing meanwhile: pg_cron's {}", some(&kept)));
        }
    }
    Ok(notes)
}

async fn exists(reader: &Reader, relation: &str) -> Result<bool, StepError> {
    let sql = "select pg_catalog.to_regclass($1) is not null";
    let rows = reader.rows(sql, &[&relation]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
