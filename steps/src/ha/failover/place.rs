//! The database that the writer writes to. The whole of it is ours, by its mark.

use std::time::Duration;

use workplan_engine::kind::StepError;
use workplan_platform::PostgresHa;
use workplan_platform::sql::Writer;

use super::course::{Course, DEADLINE};
use crate::ha::inspect;

/// Its name.
pub(super) const PROBE_DATABASE: &str = "workplan_failover_probe";

/// What its comment says of it.
const MARK: &str = "select pg_catalog.shobj_description(oid, 'pg_database') from pg_catalog.pg_database \
     where datname = $1";

/// How long making or dropping it may take: a busy server ends a checkpoint first.
const LONG: Duration = Duration::from_secs(30);

/// Whether a comment on a database says that it is ours.
fn is_ours(comment: Option<&str>) -> bool {
    comment.is_some_and(|comment| comment.starts_with("workplan:"))
}

impl Course<'_> {
    async fn primary(&self, ha: &PostgresHa, name: &str, db: &str) -> Result<Writer, StepError> {
        let node = ha
            .nodes
            .iter()
            .find(|n| n.name == name)
            .ok_or_else(|| StepError::failed(format!("there is no node `{name}`")))?;
        let login = self.login(ha, &node.endpoint, db).await?;
        Ok(Writer::connect(&*self.operate, &login, DEADLINE).await?)
    }

    /// Drops the database where it is there and ours.
    async fn drop_ours(&self, writer: &Writer) -> Result<(), StepError> {
        let rows = writer.rows(MARK, &[&PROBE_DATABASE]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        if !is_ours(row.get::<_, Option<&str>>(0)) {
            return Err(StepError::failed(format!(
                "the database `{PROBE_DATABASE}` was not made by a failover test: it has no mark"
            ))
            .with_help("rename or drop it, then resume"));
        }
        let sql = format!("drop database {PROBE_DATABASE} with (force)");
        Ok(writer.run_within(LONG, &sql).await?)
    }

    /// Makes it anew.
    pub(super) async fn make_probe_database(
        &self,
        ha: &PostgresHa,
        primary: &str,
    ) -> Result<(), StepError> {
        let writer = self.primary(ha, primary, "postgres").await?;
        self.drop_ours(&writer).await?;
        let sql = format!("create database {PROBE_DATABASE} template template0");
        writer.run_within(LONG, &sql).await?;
        let mark = self.hands.identity.replace('\'', "''");
        writer.run(&format!("comment on database {PROBE_DATABASE} is '{mark}'")).await?;
        let writer = self.primary(ha, primary, PROBE_DATABASE).await?;
        writer.run("create table workplan_probe (id bigint primary key)").await?;
        Ok(())
    }

    /// Drops it.
    pub(super) async fn drop_probe_database(&self, ha: &PostgresHa) -> Result<(), StepError> {
        let (topology, _) = inspect(&*self.operate, ha, &self.hands.identity, &[], DEADLINE).await;
        let Some(primary) = topology.primary else {
            return Err(StepError::failed("no single node leads; the writer's database stays"));
        };
        let writer = self.primary(ha, &primary, "postgres").await?;
        self.drop_ours(&writer).await
    }
}
