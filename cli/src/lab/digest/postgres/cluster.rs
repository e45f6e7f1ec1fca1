//! A whole server.

use std::time::Duration;

use serde_json::{Map, Value, json};
use workplan_platform::sql::Reader;
use workplan_platform::{Server, View};

use super::{catalog, rows, scram};
use crate::failure::Failure;
use crate::lab::digest::{Secrets, no};

/// Settings that all is read with: what a value looks like must not depend on a server's own.
const PINNED: &str =
    "set session characteristics as transaction isolation level repeatable read, read only;
    set extra_float_digits = 1; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';
    set timezone = 'UTC'; set bytea_output = 'hex'; set search_path = ''; set lock_timeout = '30s';
    set statement_timeout = '300s'";

/// How long one statement may take: a digest of a large table.
const STATEMENT: Duration = Duration::from_secs(300);

/// A server that was found, and the way to it.
pub(super) struct Way<'w> {
    /// What knows the way.
    pub(super) view: &'w dyn View,
    /// The server; its superuser.
    pub(super) server: &'w Server,
    /// Who asks.
    pub(super) identity: &'w str,
}

/// What a server holds.
pub(super) async fn server(way: &Way<'_>, secrets: &Secrets) -> Result<Value, Failure> {
    let reader = &begin(way, "postgres").await?;
    let mut shared: Map<String, Value> =
        catalog::lines(reader, catalog::OF_A_SERVER).await?.into_iter().collect();
    shared.insert("roles".to_owned(), roles(reader, secrets).await?);
    let names = reader
        .rows(
            "select datname::text, shobj_description(oid, 'pg_database'), datallowconn
             from pg_database where datname <> 'template0'",
            &[],
        )
        .await
        .map_err(no)?;
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

async fn begin(way: &Way<'_>, database: &str) -> Result<Reader, Failure> {
    let login = way.server.login(database, way.identity);
    let reader = Reader::connect(way.view, &login, STATEMENT).await.map_err(no)?;
    reader.set(PINNED).await.map_err(no)?;
    reader.set("begin").await.map_err(no)?;
    Ok(reader)
}

async fn database(way: &Way<'_>, name: &str) -> Result<Map<String, Value>, Failure> {
    let reader = &begin(way, name).await?;
    let definitions = catalog::lines(reader, catalog::OF_A_DATABASE).await?;
    Ok(Map::from_iter([
        ("definitions".to_owned(), json!(definitions)),
        ("tables".to_owned(), json!(rows::tables(reader).await?)),
        ("sequences".to_owned(), json!(rows::sequences(reader).await?)),
    ]))
}

/// Roles with their attributes, and which of the known passwords each has.
async fn roles(reader: &Reader, secrets: &Secrets) -> Result<Value, Failure> {
    let found = reader
        .rows(
            "select rolname::text, rolpassword,
                format('super %s inherit %s createrole %s createdb %s login %s replication %s bypassrls %s limit %s until %s',
                    rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
                    rolbypassrls, rolconnlimit, rolvaliduntil),
                shobj_description(oid, 'pg_authid')
             from pg_authid where rolname !~ '^pg_'",
            &[],
        )
        .await
        .map_err(no)?;
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
