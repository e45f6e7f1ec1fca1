//! A PostgreSQL that runs.

use serde_json::{Value, json};
use workplan_engine::kind::Look;
use workplan_platform::{Database, DatabasePlace, PartRef, View};

use super::cluster::{self, Way};
use crate::failure::Failure;
use crate::lab::digest::{Secrets, no};

/// What it holds, asked at its primary; `None` where none of its nodes runs.
pub(in crate::lab::digest) async fn live(
    look: &Look,
    view: &dyn View,
    at: &PartRef,
    secrets: &Secrets,
) -> Result<Option<Value>, Failure> {
    let found = view.postgres(at).await.map_err(no)?;
    if !found.nodes.iter().any(|node| node.running) {
        return Ok(None);
    }
    let place = DatabasePlace::Release(at.clone());
    let database = Database { place, user: None, password: None, database: None };
    let server = database.server(look, view).await.map_err(no)?;
    let way = Way { view, server: &server, identity: &look.identity };
    let mut content = cluster::server(&way, secrets).await?;
    content["nodes"] = json!(
        found.nodes.iter().map(|n| json!({"name": n.name, "runs": n.running})).collect::<Vec<_>>()
    );
    let users: Vec<&str> = found.pool_users.iter().map(|(user, _)| user.as_str()).collect();
    content["pool users"] = json!(users);
    content["missing"] = json!(found.missing);
    Ok(Some(content))
}
