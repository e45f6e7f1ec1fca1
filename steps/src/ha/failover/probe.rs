//! The writer, the reader, the sampler of roles, and the application's users.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workplan_platform::sql::{Login, Reader, SqlError, Writer};
use workplan_platform::{PostgresHa, View};

use super::ledger::Ledger;

/// The hard deadline of one question of a probe. A client that waits longer would call it a hang.
const DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
const SAMPLE: Duration = Duration::from_millis(100);

/// Inserts row after row through the pooler; a new connection after each error.
pub(super) async fn write(
    view: Arc<dyn View>,
    login: Login,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) {
    let mut session: Option<Writer> = None;
    let mut row: i64 = 0;
    while !stop.is_cancelled() {
        let begin = ledger.now();
        row += 1;
        let insert = async {
            let writer = match session.take() {
                Some(writer) => writer,
                None => Writer::connect(&*view, &login, DEADLINE).await?,
            };
            // Who took it: through the pooler, the server alone knows.
            let sql = "insert into workplan_probe (id) values ($1) returning \
                       pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || \
                       pg_catalog.inet_server_port()";
            let rows = writer.rows(sql, &[&row]).await?;
            let by = rows.first().and_then(|r| r.get::<_, Option<String>>(0)).unwrap_or_default();
            Ok::<_, SqlError>((writer, by))
        };
        match tokio::time::timeout(DEADLINE, insert).await {
            Ok(Ok((writer, by))) => {
                session = Some(writer);
                ledger.acknowledge(row, begin, by);
            }
            // It may be there or not; nobody was promised anything.
            Ok(Err(error)) => ledger.error("writer", &told(&error)),
            Err(_) => ledger.error("writer", "no answer within 2s"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads through the pooler, with a new connection each time: what a new client would see.
pub(super) async fn read(
    view: Arc<dyn View>,
    login: Login,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let begin = ledger.now();
        let ask = async {
            let reader = Reader::connect(&*view, &login, DEADLINE).await?;
            reader.rows("select count(*) from workplan_probe", &[]).await
        };
        match tokio::time::timeout(DEADLINE, ask).await {
            Ok(Ok(_)) => ledger.read(begin),
            Ok(Err(error)) => ledger.error("reader", &told(&error)),
            Err(_) => ledger.error("reader", "no answer within 2s"),
        }
        tokio::time::sleep(SAMPLE).await;
    }
}

/// Asks every node, past the pooler, whether it takes writes. All are asked at once, so that one
/// that hangs does not hide a second primary.
pub(super) async fn sample(
    view: Arc<dyn View>,
    ha: Arc<PostgresHa>,
    login: Login,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let at = ledger.now();
        let mut asked = tokio::task::JoinSet::new();
        for node in &ha.nodes {
            let (view, name) = (Arc::clone(&view), node.name.clone());
            let login = Login { endpoint: node.endpoint.clone(), ..login.clone() };
            asked.spawn(async move {
                let leads = async {
                    let reader = Reader::connect(&*view, &login, DEADLINE).await.ok()?;
                    let sql = "select not pg_catalog.pg_is_in_recovery()";
                    let rows = reader.rows(sql, &[]).await.ok()?;
                    Some(rows.first()?.get::<_, bool>(0))
                };
                let leads = tokio::time::timeout(Duration::from_secs(1), leads).await;
                (leads == Ok(Some(true))).then_some(name)
            });
        }
        let mut leading = Vec::new();
        while let Some(answer) = asked.join_next().await {
            leading.extend(answer.ok().flatten());
        }
        leading.sort();
        ledger.sample(at, leading);
        tokio::time::sleep(SAMPLE).await;
    }
}

/// Asks the application who the administrator is, as a user's client would.
pub(super) async fn log_in(
    url: String,
    user: String,
    password: workplan_engine::kind::Secret,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) {
    let Ok(client) = crate::http::plain_client(DEADLINE) else {
        ledger.error("login", "no HTTP client could be made");
        return;
    };
    while !stop.is_cancelled() {
        let begin = ledger.now();
        let password = String::from_utf8_lossy(password.reveal()).into_owned();
        let asked =
            client.get(format!("{url}/api/v1/user")).basic_auth(&user, Some(password)).send();
        match tokio::time::timeout(DEADLINE, asked).await {
            Ok(Ok(answer)) if answer.status().is_success() => ledger.login(begin),
            Ok(Ok(answer)) => ledger.error("login", &format!("status {}", answer.status())),
            Ok(Err(_)) => ledger.error("login", "no connection"),
            Err(_) => ledger.error("login", "no answer within 2s"),
        }
        tokio::time::sleep(SAMPLE).await;
    }
}

/// An error without what differs from one time to the next.
fn told(error: &SqlError) -> String {
    match error {
        SqlError::Unreachable { why, .. } => why.clone(),
        SqlError::Refused { why, .. } => format!("login refused: {why}"),
        SqlError::Silent { .. } => "no answer within 2s".to_owned(),
        SqlError::Server { code, message, .. } => format!("{code} {message}"),
        SqlError::Platform(error) => error.to_string(),
    }
}
