//! A data folder for a new cluster, with its roles, before any server of it listens.

use std::fs::{self, File};
use std::path::Path;

use workplan_engine::kind::Secret;

use super::cluster::{Cluster, Login};
use crate::PlatformError;
use crate::database::deployed;
use crate::local::run::{Act, Program};
use crate::local::store::files;

/// Makes the data folder in a volume. It gets its name when all is in it, so that what a kill
/// leaves is never taken for a database.
pub(super) async fn make(
    act: &Act<'_>,
    cluster: &Cluster,
    data: &Path,
) -> Result<(), PlatformError> {
    let begun = data.with_extension("new");
    files::remove(&begun)?;
    let path = begun.display().to_string();
    let initdb = cluster.bin.join("initdb");
    let args = [
        "-D",
        &path,
        "-U",
        "postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        // Another method would want a password at once; there is none until the next command.
        "--auth=trust",
        "--data-checksums",
        "--no-instructions",
    ];
    act.done(Program::new(&initdb, args)).await?;
    let postgres = cluster.bin.join("postgres");
    let mut single = Program::new(
        &postgres,
        [
            "--single",
            "-j",
            "-D",
            &path,
            "-c",
            "exit_on_error=on",
            "-c",
            "log_statement=none",
            "-c",
            "log_min_error_statement=panic",
            "postgres",
        ],
    );
    single.stdin = Some(roles(act, cluster).await?);
    act.done(single).await?;
    // The servers' own rules are in the pod's folder; what `initdb` left trusts everybody.
    files::write_for(&begun.join("pg_hba.conf"), b"", files::SEALED, Some(act.account))?;
    let failed = |e: std::io::Error| PlatformError::io("name the data folder", data, &e);
    fs::rename(&begun, data).map_err(failed)?;
    if let Some(volume) = data.parent() {
        File::open(volume).and_then(|v| v.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// The roles and databases of a new cluster as SQL. Passwords are in it as SCRAM verifiers.
async fn roles(act: &Act<'_>, cluster: &Cluster) -> Result<Secret, PlatformError> {
    let mut sql: Vec<String> = Vec::new();
    let superuser = verifier(act, &cluster.superuser).await?;
    sql.push(format!("ALTER ROLE {} PASSWORD {superuser}", name(&cluster.superuser.user)));
    if cluster.repmgr.user != cluster.superuser.user {
        let (repmgr, password) =
            (name(&cluster.repmgr.user), verifier(act, &cluster.repmgr).await?);
        sql.push(format!(
            "CREATE ROLE {repmgr} LOGIN SUPERUSER CREATEDB REPLICATION PASSWORD {password}"
        ));
        sql.push(format!("ALTER ROLE {repmgr} SET search_path TO repmgr, \"$user\", public"));
    }
    let (manager, database) = (name(&cluster.repmgr.user), name(&cluster.repmgr_database));
    sql.push(format!("CREATE DATABASE {database} OWNER {manager}"));
    if let Some(owner) = &cluster.owner {
        let (owner, password) = (name(&owner.user), verifier(act, owner).await?);
        sql.push(format!("CREATE ROLE {owner} LOGIN CREATEDB PASSWORD {password}"));
    }
    let taken = [Some(&cluster.superuser), Some(&cluster.repmgr), cluster.owner.as_ref()];
    if !taken.iter().flatten().any(|t| t.user == cluster.sr_check.user) {
        let (check, password) =
            (name(&cluster.sr_check.user), verifier(act, &cluster.sr_check).await?);
        sql.push(format!("CREATE ROLE {check} LOGIN PASSWORD {password}"));
        sql.push(format!("GRANT pg_monitor TO {check}"));
    }
    if let Some(database) = &cluster.database {
        let owner = cluster.owner.as_ref().unwrap_or(&cluster.superuser);
        sql.push(format!("CREATE DATABASE {} OWNER {}", name(database), name(&owner.user)));
    }
    // `-j`: a statement ends with a semicolon and two line ends.
    let text: String = sql.iter().map(|statement| format!("{statement};\n\n")).collect();
    Ok(Secret::new(text))
}

/// A role's deployed password as SQL text of its verifier.
async fn verifier(act: &Act<'_>, login: &Login) -> Result<String, PlatformError> {
    let password = deployed(act.view, &login.secret_key(&act.at.namespace)).await?;
    Ok(format!("'{}'", postgres_protocol::password::scram_sha_256(password.reveal())))
}

/// A name in SQL.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
