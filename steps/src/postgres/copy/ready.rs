//! Whether both servers have what the copy needs, before anything is made.

use std::collections::BTreeSet;

use workplan_engine::kind::{Look, StepError};
use workplan_platform::sql::{Reader, SqlError};

use super::plan::{Target, Wish};
use super::tools::Tools;
use crate::postgres::portrait::Roles;
use crate::postgres::shared::{self, Entry, some};
use crate::postgres::site::{About, Site, about, is_pooled, not_started};

/// The oldest server that is read and written.
const OLDEST: i32 = 12;

/// Both servers, found good.
pub(super) struct Ready {
    pub(super) source: About,
    pub(super) target: About,
    /// The source database.
    pub(super) entry: Entry,
    /// The database that is to be filled, where it is there.
    pub(super) existing: Option<Entry>,
    pub(super) tools: Tools,
    /// Roles with another name, the two superusers of the installations included.
    pub(super) roles: Roles,
    /// Whether the target has all table spaces that the source uses.
    pub(super) tablespaces: bool,
    /// Worth telling.
    pub(super) notes: Vec<String>,
}

/// Looks at both servers.
///
/// # Errors
/// What is missing, in words; nothing was made.
pub(super) async fn ready(
    look: &Look,
    wish: &Wish,
    names: &Target,
    from: &Site,
    to: &Site,
) -> Result<Ready, StepError> {
    let reader = from.reader(&names.source).await?;
    let there = to.any_reader().await?;
    let (source, target) = (about(&reader).await?, about(&there).await?);
    for (site, about, reader) in [(from, &source, &reader), (to, &target, &there)] {
        server(site, about, reader).await?;
    }
    if target.major() < source.major() {
        return Err(not_started(format!(
            "the source is PostgreSQL {}, the target {}: a dump need not load into an older server",
            source.major(),
            target.major()
        )));
    }
    let tools = Tools::find(look, source.major().max(target.major())).await?;
    let entry = shared::by_name(&reader, &names.source).await?;
    let entry =
        entry.ok_or_else(|| not_started(format!("there is no {}", from.named(&names.source))))?;
    let existing = shared::by_name(&there, &names.name).await?;
    if let Some(existing) = existing.as_ref().filter(|e| e.locale != entry.locale) {
        return Err(not_started(format!(
            "the database `{}` has {}, the source has {}; that cannot be changed",
            existing.name,
            existing.locale.describe(),
            entry.locale.describe()
        ))
        .with_help(
            "drop the empty database: the copy makes one with the source's encoding and locale",
        ));
    }
    let mut roles = wish.roles.clone();
    superusers(&reader, &there, &mut roles).await?;
    needed_roles(wish, &reader, &there, &roles, &entry).await?;
    extensions(&reader, &there).await?;
    let tablespaces = tablespaces(&reader, &there).await?;
    let mut notes = Vec::new();
    if !tablespaces {
        notes.push("the source's table spaces are not at the target: all is in its own one".into());
    }
    Ok(Ready { source, target, entry, existing, tools, roles, tablespaces, notes })
}

async fn server(site: &Site, about: &About, reader: &Reader) -> Result<(), StepError> {
    let place = site.spec.describe();
    if is_pooled(reader).await? {
        return Err(not_started(format!("{place} is a pooler, not a server"))
            .with_help("name the primary itself: a pooler may send each session to another node"));
    }
    if about.standby {
        return Err(not_started(format!("{place} is a standby"))
            .with_help("name the primary: a standby cannot be written, and may be behind"));
    }
    if about.major() < OLDEST {
        return Err(not_started(format!(
            "{place} is PostgreSQL {}; {OLDEST} is the oldest that is copied",
            about.major()
        )));
    }
    if !about.superuser {
        return Err(not_started(format!("`{}` is no superuser at {place}", site.server.user))
            .with_help(
                "owners, rights and large objects of others can be copied by a superuser only",
            ));
    }
    Ok(())
}

/// What the installations' own superusers own is named after them.
async fn superusers(from: &Reader, to: &Reader, roles: &mut Roles) -> Result<(), SqlError> {
    let sql = "select rolname::text from pg_catalog.pg_roles where oid = 10";
    let (here, there) = (from.rows(sql, &[]).await?, to.rows(sql, &[]).await?);
    if let (Some(here), Some(there)) = (here.first(), there.first()) {
        let (here, there): (String, String) = (here.get(0), there.get(0));
        if here != there {
            roles.entry(here).or_insert(there);
        }
    }
    Ok(())
}

async fn needed_roles(
    wish: &Wish,
    from: &Reader,
    to: &Reader,
    roles: &Roles,
    entry: &Entry,
) -> Result<(), StepError> {
    let sql = "select distinct r.rolname::text from pg_catalog.pg_roles r where r.oid in ( \
            select d.refobjid from pg_catalog.pg_shdepend d \
            where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and ( \
                d.dbid = (select oid from pg_catalog.pg_database where datname = current_database()) \
                or (d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and d.objid = \
                (select oid from pg_catalog.pg_database where datname = current_database())))) \
        or r.oid in (select s.setrole from pg_catalog.pg_db_role_setting s where s.setdatabase = \
                (select oid from pg_catalog.pg_database where datname = current_database()))";
    let mut wanted: BTreeSet<String> =
        from.rows(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    if wish.owner.is_some() {
        wanted.remove(&entry.owner);
    }
    let mut wanted: BTreeSet<String> =
        wanted.into_iter().map(|role| roles.get(&role).cloned().unwrap_or(role)).collect();
    wanted.extend(wish.owner.clone());
    let sql = "select rolname::text from pg_catalog.pg_roles";
    let there: BTreeSet<String> = to.rows(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    let missing: Vec<String> = wanted.difference(&there).map(|role| format!("`{role}`")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = if missing.len() == 1 { "a role" } else { "roles" };
    Err(not_started(format!(
        "the target lacks {what} that the source's objects or rights name: {}",
        some(&missing)
    ))
    .with_help("make them first (`postgres.role`), or give `roles: {OLD: NEW}`"))
}

async fn extensions(from: &Reader, to: &Reader) -> Result<(), StepError> {
    let have =
        from.rows("select extname::text, extversion from pg_catalog.pg_extension", &[]).await?;
    let names: Vec<String> = have.iter().map(|row| row.get(0)).collect();
    let available = to
        .rows(
            "select name::text from pg_catalog.pg_available_extensions where name = any($1)",
            &[&names],
        )
        .await?;
    let available: BTreeSet<String> = available.iter().map(|row| row.get(0)).collect();
    let missing: Vec<String> = have
        .iter()
        .filter(|row| !available.contains(row.get::<_, &str>(0)))
        .map(|row| format!("`{}` {}", row.get::<_, &str>(0), row.get::<_, &str>(1)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(not_started(format!(
        "the target's server lacks extensions that the source uses: {}",
        some(&missing)
    ))
    .with_help("install their files on the target's machine; the copy creates them"))
}

async fn tablespaces(from: &Reader, to: &Reader) -> Result<bool, SqlError> {
    let sql = "select distinct t.spcname::text from pg_catalog.pg_class c \
               join pg_catalog.pg_tablespace t on t.oid = c.reltablespace \
               where t.spcname <> 'pg_global'";
    let used = from.rows(sql, &[]).await?;
    let used: Vec<String> = used.iter().map(|row| row.get(0)).collect();
    if used.is_empty() {
        return Ok(true);
    }
    let sql = "select count(*) from pg_catalog.pg_tablespace where spcname = any($1)";
    let rows = to.rows(sql, &[&used]).await?;
    let found: i64 = rows.first().map_or(0, |row| row.get(0));
    Ok(usize::try_from(found).unwrap_or(0) == used.len())
}
