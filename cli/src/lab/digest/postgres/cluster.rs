//! A whole server.

use serde_json::{Map, Value, json};
use tokio_postgres::Client;

use super::{catalog, rows, scram};
use crate::lab::digest::{Secrets, Wrong};

/// Settings that all is read with: what a value looks like must not depend on a server's own.
const PINNED: &str = "set session characteristics as transaction isolation level repeatable read, read only;
    set extra_float_digits = 1; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';
    set timezone = 'UTC'; set bytea_output = 'hex'; set search_path = ''; set lock_timeout = '30s';
    set statement_timeout = '300s'";

/// How a database of the server is reached.
#[async_trait::async_trait]
pub(super) trait Connect: Sync {
    /// A session that cannot write, for as long as the value lives.
    async fn connect(&self, database: &str) -> Result<Box<dyn Session>, Wrong>;
}

/// A session.
pub(super) trait Session: Send + Sync {
    /// Its client.
    fn client(&self) -> &Client;
}

/// What a server holds.
pub(super) async fn server(way: &dyn Connect, secrets: &Secrets) -> Result<Value, Wrong> {
    let session = begin(way, "postgres").await?;
    let client = session.client();
    let mut shared: Map<String, Value> =
        catalog::lines(client, catalog::OF_A_SERVER).await?.into_iter().collect();
    shared.insert("roles".to_owned(), roles(client, secrets).await?);
    let names = client
        .query(
            "select datname::text, shobj_description(oid, 'pg_database'), datallowconn
             from pg_database where datname <> 'template0'",
            &[],
        )
        .await
        .map_err(|e| Wrong::sql(&e))?;
    let mut databases = Map::new();
    for row in names {
        let (name, open): (String, bool) = (row.get(0), row.get(2));
        let comment = row.get::<_, Option<String>>(1).map(|c| catalog::without_marks(&c));
        let mut found = if open { database(way, &name).await? } else { Map::new() };
        found.insert("comment".to_owned(), json!(comment));
        databases.insert(catalog::without_run(&name), Value::Object(found));
    }
    Ok(json!({"shared": shared, "databases": databases}))
}

async fn begin(way: &dyn Connect, database: &str) -> Result<Box<dyn Session>, Wrong> {
    let session = way.connect(database).await?;
    session.client().batch_execute(PINNED).await.map_err(|e| Wrong::sql(&e))?;
    session.client().batch_execute("begin").await.map_err(|e| Wrong::sql(&e))?;
    Ok(session)
}

async fn database(way: &dyn Connect, name: &str) -> Result<Map<String, Value>, Wrong> {
    let session = begin(way, name).await?;
    let client = session.client();
    let definitions = catalog::lines(client, catalog::OF_A_DATABASE).await?;
    Ok(Map::from_iter([
        ("definitions".to_owned(), json!(definitions)),
        ("tables".to_owned(), json!(rows::tables(client).await?)),
        ("sequences".to_owned(), json!(rows::sequences(client).await?)),
    ]))
}

/// Roles with their attributes, and which of the known passwords each has.
async fn roles(client: &Client, secrets: &Secrets) -> Result<Value, Wrong> {
    let found = client
        .query(
            "select rolname::text, rolpassword,
                format('super %s inherit %s createrole %s createdb %s login %s replication %s bypassrls %s limit %s until %s',
                    rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
                    rolbypassrls, rolconnlimit, rolvaliduntil),
                shobj_description(oid, 'pg_authid')
             from pg_authid where rolname !~ '^pg_'",
            &[],
        )
        .await
        .map_err(|e| Wrong::sql(&e))?;
    let mut out = Map::new();
    for row in found {
        let verifier: Option<String> = row.get(1);
        let password = verifier.map(|verifier| {
            let known = secrets.values.iter().find(|secret| scram::fits(&verifier, secret));
            match known {
                Some(secret) => secrets.key.of(secret),
                None => format!("unknown, {}", secrets.key.of(verifier.as_bytes())),
            }
        });
        let comment = row.get::<_, Option<String>>(3).map(|c| catalog::without_marks(&c));
        out.insert(
            row.get(0),
            json!({"is": row.get::<_, String>(2), "password": password, "comment": comment}),
        );
    }
    Ok(Value::Object(out))
}
