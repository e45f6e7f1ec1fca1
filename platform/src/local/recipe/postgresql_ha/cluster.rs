//! What is on record of a cluster, and what it says of itself now.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use workplan_engine::process::Liveness;

use super::{NODE, POOLER};
use crate::database::deployed;
use crate::local::pod::PodRecord;
use crate::local::view::LocalView;
use crate::sql::{self, Reader, SqlError};
use crate::{Endpoint, PartRef, PlatformError, PostgresHa, PostgresNode, SecretKey};

/// How long one question to a server may take.
const ANSWER: Duration = Duration::from_secs(3);

/// What a pod's record says of its cluster. No secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cluster {
    /// The folder of PostgreSQL's programs.
    pub(super) bin: PathBuf,
    /// Their major version, where it is known.
    pub(super) major: String,
    /// The data nodes in the order of their numbers.
    pub(super) nodes: Vec<NodeRef>,
    pub(super) superuser: Login,
    /// `postgresql.username`, where that is not the superuser.
    pub(super) owner: Option<Login>,
    pub(super) repmgr: Login,
    pub(super) repmgr_database: String,
    pub(super) sr_check: Login,
    /// The database to make at the first start.
    pub(super) database: Option<String>,
    /// Of a pooler: the users that it knows.
    pub(super) pooler: Option<Vec<Login>>,
    /// Of a pooler: its administrator.
    pub(super) admin: Option<String>,
}

/// A data node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NodeRef {
    pub(super) pod: String,
    pub(super) claim: String,
    pub(super) port: u16,
}

/// A user, and where its password stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) secret: String,
    pub(super) key: String,
}

impl Login {
    pub(super) fn secret_key(&self, namespace: &str) -> SecretKey {
        SecretKey {
            namespace: namespace.to_owned(),
            secret: self.secret.clone(),
            key: self.key.clone(),
        }
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    /// A standby, and whether it receives from an upstream.
    Standby {
        streaming: bool,
    },
}

/// Asks a node for its role, as a user.
pub(super) async fn ask_role(
    view: &LocalView,
    namespace: &str,
    port: u16,
    login: &Login,
    deadline: Duration,
) -> Result<Role, SqlError> {
    let sql = "select pg_catalog.pg_is_in_recovery(), \
               exists (select from pg_catalog.pg_stat_wal_receiver where status = 'streaming')";
    let rows = ask(view, namespace, port, login, "postgres", sql, deadline).await?;
    let Some(row) = rows.first() else { return Ok(Role::Standby { streaming: false }) };
    Ok(match (row.get(0), row.get(1)) {
        (false, _) => Role::Primary,
        (true, streaming) => Role::Standby { streaming },
    })
}

/// The rows of one statement on a loopback port.
pub(super) async fn ask(
    view: &LocalView,
    namespace: &str,
    port: u16,
    login: &Login,
    database: &str,
    sql: &str,
    deadline: Duration,
) -> Result<Vec<sql::Row>, SqlError> {
    let password = deployed(view, &login.secret_key(namespace)).await?;
    let login = sql::Login {
        endpoint: Endpoint::Address { host: "127.0.0.1".to_owned(), port },
        user: login.user.clone(),
        password: Some(password),
        database: database.to_owned(),
        application: view.look().identity.to_string(),
    };
    Reader::connect(view, &login, deadline).await?.rows(sql, &[]).await
}

impl Cluster {
    /// What a pod's record says.
    pub(super) fn of(pod: &PodRecord) -> Result<Self, String> {
        Self::read(&pod.settings)
    }

    pub(super) fn read(settings: &serde_json::Value) -> Result<Self, String> {
        serde_json::from_value(settings.clone())
            .map_err(|_| "its record is of another version of this program".to_owned())
    }

    /// A data node is ready when it answers SQL, is managed and, as a standby, receives from its
    /// primary; a pooler when it answers at all. A login that is refused, or a password that may not
    /// be read, is somebody else's question.
    pub(super) async fn ready(&self, view: &LocalView, pod: &PodRecord) -> Result<(), String> {
        let Some(port) = pod.containers.first().and_then(|c| c.ports.first()) else {
            return Ok(());
        };
        let namespace = &pod.namespace;
        match pod.component.as_str() {
            NODE => {
                let role = ask_role(view, namespace, port.local, &self.superuser, ANSWER).await;
                match passing(role)? {
                    None => Ok(()),
                    Some(Role::Standby { streaming: false }) => {
                        Err("it is a standby and receives nothing from a primary".to_owned())
                    }
                    Some(role) => passing(self.unmanaged(view, pod, port.local, role).await)?
                        .flatten()
                        .map_or(Ok(()), Err),
                }
            }
            POOLER => passing(
                ask(view, namespace, port.local, &self.superuser, "postgres", "select 1", ANSWER)
                    .await,
            )
            .map(drop),
            _ => Ok(()),
        }
    }

    /// Why repmgr would not do its part of a failover, by what the node knows itself: its daemon is
    /// not up, it has a standby on record as one of another node than today's primary, or the daemon
    /// of a standby does not watch that one yet, which it does some seconds later. Such a standby
    /// receives, and would not see the primary die. A daemon that has not said whom it watches, as
    /// after a crash of its server, is taken at the record's word.
    async fn unmanaged(
        &self,
        view: &LocalView,
        pod: &PodRecord,
        port: u16,
        role: Role,
    ) -> Result<Option<String>, SqlError> {
        let id = pod.ordinal + 1;
        let sql = format!(
            "select repmgr.repmgrd_is_running(), exists (select from repmgr.nodes s \
             join repmgr.nodes p on s.upstream_node_id = p.node_id where s.node_id = {id} \
             and p.active and p.type = 'primary' \
             and repmgr.get_upstream_node_id() in (-1, p.node_id))"
        );
        let (namespace, database) = (&pod.namespace, &self.repmgr_database);
        let rows = ask(view, namespace, port, &self.superuser, database, &sql, ANSWER).await?;
        let said = |column| rows.first().and_then(|row| row.get::<_, Option<bool>>(column));
        Ok(if said(0) != Some(true) {
            Some("its repmgrd is not up".to_owned())
        } else if role != Role::Primary && said(1) != Some(true) {
            Some("repmgr does not have it as following the primary yet".to_owned())
        } else {
            None
        })
    }

    pub(super) async fn role(&self, view: &LocalView, pod: &PodRecord) -> Option<String> {
        let port = pod.containers.first()?.ports.first()?.local;
        if pod.component != NODE {
            return None;
        }
        let namespace = &pod.namespace;
        match ask_role(view, namespace, port, &self.superuser, ANSWER).await {
            Ok(Role::Primary) => Some("primary".to_owned()),
            Ok(Role::Standby { .. }) => Some("standby".to_owned()),
            Err(error) => Some(format!("its role could not be asked: {error}")),
        }
    }
}

/// Whether an answer, or its lack, is a server's that works.
fn passing<T>(answer: Result<T, SqlError>) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(
            SqlError::Refused { .. }
            | SqlError::Platform(
                PlatformError::Denied(_) | PlatformError::Missing(_) | PlatformError::Secret(_),
            ),
        ) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The cluster of a release or of a part of one.
pub(super) fn postgres(view: &LocalView, at: &PartRef) -> Result<PostgresHa, PlatformError> {
    let namespace = &at.release.namespace;
    let mut pods = view.pods(&at.release)?;
    pods.retain(|p| p.record.chart == "postgresql-ha" && p.record.part == at.part);
    pods.sort_by_key(|p| p.record.ordinal);
    let cluster_of = |component: &str| {
        let pod = pods.iter().find(|p| p.record.component == component)?;
        Some(Cluster::of(&pod.record).map_err(PlatformError::failed))
    };
    let Some(cluster) = cluster_of(NODE).transpose()? else {
        return Err(PlatformError::Missing(format!("there is no PostgreSQL in {at}")));
    };
    let known = cluster_of(POOLER).transpose()?.and_then(|pooler| pooler.pooler);
    let nodes = pods.iter().filter(|p| p.record.component == NODE).filter_map(|pod| {
        let port = pod.record.containers.first()?.ports.first()?.port;
        let main = pod.servers.first().and_then(|(_, entry)| entry.as_ref());
        Some(PostgresNode {
            name: pod.record.name.clone(),
            endpoint: Endpoint::Pod {
                namespace: namespace.clone(),
                pod: pod.record.name.clone(),
                port,
            },
            running: main.is_some_and(|entry| entry.liveness() == Liveness::Alive),
        })
    });
    let pooler = pods.iter().find(|p| p.record.component == POOLER).and_then(|pod| {
        let port = pod.record.containers.first()?.ports.first()?.port;
        let service = pod.record.workload.clone();
        Some(Endpoint::Service { namespace: namespace.clone(), service, port })
    });
    let named = |login: &Login| (login.user.clone(), login.secret_key(namespace));
    let mut found = PostgresHa {
        at: at.clone(),
        nodes: nodes.collect(),
        pooler,
        superuser: named(&cluster.superuser),
        sr_check: Some(named(&cluster.sr_check)),
        replication: Some(named(&cluster.repmgr)),
        replication_database: Some(cluster.repmgr_database.clone()),
        pool_users: known.iter().flatten().map(named).collect(),
        missing: Vec::new(),
    };
    found.missing = missing(view, &cluster, known.as_deref(), namespace)?;
    Ok(found)
}

/// What the Secrets lack of what the servers were told.
fn missing(
    view: &LocalView,
    cluster: &Cluster,
    known: Option<&[Login]>,
    namespace: &str,
) -> Result<Vec<String>, PlatformError> {
    let secrets = view.world().store.secrets(namespace);
    let own = [&cluster.superuser, &cluster.repmgr, &cluster.sr_check];
    let mut found = Vec::new();
    for login in own.into_iter().chain(&cluster.owner).chain(known.unwrap_or_default()) {
        // An entry of a list is there when the list is.
        let key = login.key.split('[').next().unwrap_or_default();
        let sentence = match secrets.label(&login.secret)? {
            None => format!("the Secret `{namespace}/{}` is not there", login.secret),
            Some(label) if !label.keys.iter().any(|k| k == key) => format!(
                "the Secret `{namespace}/{}` has no key `{key}`, the password of `{}`",
                login.secret, login.user
            ),
            Some(_) => continue,
        };
        if !found.contains(&sentence) {
            found.push(sentence);
        }
    }
    Ok(found)
}
