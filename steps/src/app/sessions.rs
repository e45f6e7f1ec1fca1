//! Who is in the database of an application.

use std::time::Duration;

use workplan_engine::kind::Look;
use workplan_platform::sql::Reader;
use workplan_platform::{AppView, Database, DatabasePlace, Endpoint, PartRef, PlatformError, View};

/// Deadline of connecting and of the question.
const WITHIN: Duration = Duration::from_secs(5);

/// Sessions of the application's role in its database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    /// All of them. A pooler keeps some for later.
    pub(super) all: i64,
    /// Those in a statement or a transaction.
    pub(super) busy: i64,
}

/// Asks the server that the application's configuration names; `None` where that is not a
/// PostgreSQL of the platform.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn sessions(
    look: &Look,
    view: &dyn View,
    app: &AppView,
) -> Result<Option<Sessions>, PlatformError> {
    let value = |key: &str| app.config.get("database")?.get(key).cloned();
    let (Some(name), Some(user)) = (value("NAME"), value("USER")) else { return Ok(None) };
    let Some(reader) = reader(look, view, app, "postgres").await? else { return Ok(None) };
    let sql = "select count(*), count(*) filter (where state <> 'idle') \
               from pg_catalog.pg_stat_activity \
               where datname = $1 and usename = $2 and backend_type = 'client backend'";
    let rows = reader.rows(sql, &[&name, &user]).await?;
    Ok(rows.first().map(|row| Sessions { all: row.get(0), busy: row.get(1) }))
}

/// A session on the server that the application's configuration names, which can only read; `None`
/// where that is not a PostgreSQL of the platform.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn reader(
    look: &Look,
    view: &dyn View,
    app: &AppView,
    database: &str,
) -> Result<Option<Reader>, PlatformError> {
    let Some(host) = app.config.get("database").and_then(|of| of.get("HOST")) else {
        return Ok(None);
    };
    let Some(part) = server(view, app, host).await? else { return Ok(None) };
    let place = DatabasePlace::Release(part);
    let server = Database { place, user: None, password: None, database: None };
    let login = server.server(look, view).await?.login(database, &look.identity);
    Ok(Some(Reader::connect(view, &login, WITHIN).await?))
}

/// The PostgreSQL of the platform that listens where the configuration says.
async fn server(
    view: &dyn View,
    app: &AppView,
    host: &str,
) -> Result<Option<PartRef>, PlatformError> {
    let mut parts = Vec::new();
    for part in ["postgresql-ha", "postgresql"] {
        parts.push(PartRef { release: app.at.clone(), part: Some(part.to_owned()) });
    }
    for release in view.releases().await? {
        if release.chart.starts_with("postgresql") {
            parts.push(PartRef { release: release.at, part: None });
        }
    }
    for part in parts {
        // One that is not there is not the one that is looked for.
        let Ok(found) = view.postgres(&part).await else { continue };
        let mut endpoints: Vec<&Endpoint> = found.pooler.iter().collect();
        endpoints.extend(found.nodes.iter().map(|node| &node.endpoint));
        for endpoint in endpoints {
            if is_at(view, endpoint, host).await {
                return Ok(Some(part));
            }
        }
    }
    Ok(None)
}

async fn is_at(view: &dyn View, endpoint: &Endpoint, host: &str) -> bool {
    match endpoint {
        Endpoint::Service { namespace, service, port } => {
            let name = format!("{service}.{namespace}");
            if host.starts_with(&name) && host.ends_with(&format!(":{port}")) {
                return true;
            }
        }
        other if other.to_string() == host => return true,
        _ => {}
    }
    view.reach(endpoint).await.is_ok_and(|reached| reached.address.to_string() == host)
}
