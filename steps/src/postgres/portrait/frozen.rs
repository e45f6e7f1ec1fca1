//! Sessions that all see one moment of a database and write nothing.

use std::time::Duration;

use workplan_engine::kind::StepError;
use workplan_platform::sql::{Reader, SqlError};

use crate::postgres::names::literal;
use crate::postgres::site::{About, Site, about};

/// Settings that decide how values are written as text. Two servers, or two databases of one, may
/// differ in each of them.
const PINNED: &str = "\
    set search_path = ''; \
    set timezone = 'UTC'; \
    set datestyle = 'ISO, YMD'; \
    set intervalstyle = 'postgres'; \
    set extra_float_digits = 1; \
    set bytea_output = 'hex'; \
    set xmlbinary = 'base64'; \
    set lc_monetary = 'C'; \
    set quote_all_identifiers = off; \
    set standard_conforming_strings = on; \
    set row_security = off; \
    set jit = off; \
    set statement_timeout = 0; \
    set lock_timeout = 0; \
    set idle_in_transaction_session_timeout = 0; \
    set client_encoding = 'UTF8'";

/// One moment of one database.
pub(crate) struct Frozen {
    pub(crate) about: About,
    pub(crate) oid: u32,
    pub(crate) database: String,
    /// The name by which other sessions can see the same.
    pub(crate) snapshot: String,
    leader: Reader,
    helpers: Vec<Reader>,
}

impl Frozen {
    /// Opens a snapshot with `jobs` sessions, all of which see it.
    ///
    /// # Errors
    /// In the server's words.
    pub(crate) async fn open(site: &Site, database: &str, jobs: usize) -> Result<Self, StepError> {
        let leader = site.reader(database).await?;
        leader.set(PINNED).await?;
        let about = about(&leader).await?;
        leader.set("begin isolation level repeatable read read only").await?;
        let sql = "select oid from pg_catalog.pg_database where datname = current_database()";
        let rows = leader.rows(sql, &[]).await?;
        let oid = rows.first().map_or(0, |row| row.get(0));
        let snapshot = leader.rows("select pg_catalog.pg_export_snapshot()", &[]).await?;
        let snapshot: String = snapshot.first().map(|row| row.get(0)).unwrap_or_default();
        let database = database.to_owned();
        let mut frozen = Self { about, oid, database, snapshot, leader, helpers: Vec::new() };
        for _ in 1..jobs {
            match frozen.helper(site).await {
                Ok(helper) => frozen.helpers.push(helper),
                // Fewer connections are slower, not wrong.
                Err(error) if matches!(error.code(), Some("53300" | "53400")) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(frozen)
    }

    async fn helper(&self, site: &Site) -> Result<Reader, SqlError> {
        let reader = site.reader(&self.database).await?;
        reader.set(PINNED).await?;
        reader.set("begin isolation level repeatable read read only").await?;
        reader.set(&format!("set transaction snapshot {}", literal(&self.snapshot))).await?;
        Ok(reader)
    }

    /// The first session.
    pub(crate) fn leader(&self) -> &Reader {
        &self.leader
    }

    /// All sessions.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &Reader> {
        std::iter::once(&self.leader).chain(&self.helpers)
    }
}

/// How long one statement of a comparison may take. The step's own deadline comes earlier as a
/// rule.
pub(crate) const LONG: Duration = Duration::from_secs(24 * 3600);
