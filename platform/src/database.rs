//! A database as a plan names it, and the server behind it.

use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

use workplan_engine::kind::{Look, Secret, SecretRef};

use crate::conninfo;
use crate::sql::{Login, Reader};
use crate::{Endpoint, Network, PartRef, PlatformError, ReleaseRef, SecretKey, View};

/// A server, or one database of it, as `databases:` of a target or a `postgresql://` URL says it:
///
/// - `{host, port, user, password, database}`, the password being a secret reference or missing;
/// - `{release, namespace, part, user, password, database}`: a PostgreSQL of the platform, as its
///   superuser with the deployed password unless `user` and `password` say otherwise;
/// - `{url, password}` or a text `postgresql://user@host:port/database`. A password in a URL is
///   taken out of it by the command line before anything is kept;
/// - a text with one of these mappings as JSON, as outputs have it.
///
/// A `host` that is an absolute path is the folder of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where.
    pub place: DatabasePlace,
    /// Who; `None` for the platform's superuser, or `postgres`.
    pub user: Option<String>,
    /// The password's reference.
    pub password: Option<SecretRef>,
    /// The database, where one is named.
    pub database: Option<String>,
}

/// Where a database lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabasePlace {
    /// A plain server.
    Host {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A PostgreSQL of the platform.
    Release(PartRef),
}

/// What is wrong with a database's description: a sentence without a closing period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseProblem(pub String);

/// A server that was resolved: where its primary is, and how to log in.
#[derive(Debug, Clone)]
pub struct Server {
    /// The primary itself, past any pooler.
    pub primary: Endpoint,
    /// All data nodes.
    pub nodes: Vec<Endpoint>,
    /// Who.
    pub user: String,
    /// The password.
    pub password: Option<Secret>,
    /// The database of the description, where it names one.
    pub database: Option<String>,
}

impl Server {
    /// A login to one database of the primary.
    #[must_use]
    pub fn login(&self, database: &str, application: &str) -> Login {
        Login {
            endpoint: self.primary.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            database: database.to_owned(),
            application: application.to_owned(),
        }
    }
}

/// How long asking a node for its role may take.
const ROLE_DEADLINE: Duration = Duration::from_secs(5);

impl Database {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong with it; it never repeats what could be a password.
    pub fn parse(value: &Value) -> Result<Self, DatabaseProblem> {
        let problem = |text: &str| DatabaseProblem(text.to_owned());
        let map = match value {
            // An output of another step is text.
            Value::String(text) if text.trim_start().starts_with('{') => {
                return match serde_json::from_str(text) {
                    Ok(inner @ Value::Object(_)) => Self::parse(&inner),
                    _ => Err(problem("the text is no JSON mapping of a database")),
                };
            }
            Value::String(url) => return Self::from_url(url, None),
            Value::Object(map) => map,
            _ => {
                return Err(problem(
                    "a database is a mapping (`{host, port, user, password}` or `{release, \
                     namespace}`) or a `postgresql://` URL",
                ));
            }
        };
        const KEYS: &[&str] = &[
            "url",
            "host",
            "port",
            "user",
            "password",
            "database",
            "release",
            "namespace",
            "part",
        ];
        if let Some(key) = map.keys().find(|k| !KEYS.contains(&k.as_str())) {
            return Err(DatabaseProblem(format!(
                "a database has no key `{key}`; its keys are {}",
                KEYS.join(", ")
            )));
        }
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let password = match map.get("password") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                SecretRef::parse(value.as_str().unwrap_or_default())
                    .map_err(|why| DatabaseProblem(format!("`password`: {why}")))?,
            ),
        };
        if let Some(url) = text("url") {
            let mut read = Self::from_url(&url, password)?;
            read.user = text("user").or(read.user);
            read.database = text("database").or(read.database);
            return Ok(read);
        }
        let place = match (text("host"), text("release")) {
            (Some(host), None) => {
                let port = match map.get("port") {
                    None => 5432,
                    Some(port) => port
                        .as_u64()
                        .or_else(|| port.as_str()?.parse().ok())
                        .and_then(|p| u16::try_from(p).ok())
                        .filter(|p| *p > 0)
                        .ok_or_else(|| problem("`port` is a number from 1 to 65535"))?,
                };
                DatabasePlace::Host { host, port }
            }
            (None, Some(name)) => {
                let namespace = text("namespace").unwrap_or_else(|| "default".to_owned());
                let release = ReleaseRef { namespace, name };
                DatabasePlace::Release(PartRef { release, part: text("part") })
            }
            (Some(_), Some(_)) => {
                return Err(problem("a database has a `host` or a `release`, not both"));
            }
            (None, None) => return Err(problem("a database needs `host`, `release` or `url`")),
        };
        Ok(Self { place, user: text("user"), password, database: text("database") })
    }

    fn from_url(url: &str, password: Option<SecretRef>) -> Result<Self, DatabaseProblem> {
        let problem = |text: &str| DatabaseProblem(text.to_owned());
        if !conninfo::is_url(url) {
            return Err(problem("it cannot be read as a `postgresql://` URL"));
        }
        let info = conninfo::parse(url)?;
        if info.password.is_some() {
            return Err(problem(
                "a password in a URL would be shown and kept; give it as `{url: …, password: \
                 env:NAME}`",
            ));
        }
        let host = info.host.ok_or_else(|| problem("the URL names no host"))?;
        Ok(Self {
            place: DatabasePlace::Host { host, port: info.port.unwrap_or(5432) },
            user: info.user,
            password,
            database: info.database,
        })
    }

    /// What an output says of a database: a mapping that [`Database::parse`] reads, as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut map = serde_json::Map::new();
        match &self.place {
            DatabasePlace::Host { host, port } => {
                map.insert("host".to_owned(), host.as_str().into());
                map.insert("port".to_owned(), (*port).into());
            }
            DatabasePlace::Release(part) => {
                map.insert("release".to_owned(), part.release.name.as_str().into());
                map.insert("namespace".to_owned(), part.release.namespace.as_str().into());
                if let Some(part) = &part.part {
                    map.insert("part".to_owned(), part.as_str().into());
                }
            }
        }
        for (key, value) in [
            ("user", self.user.clone()),
            ("password", self.password.as_ref().map(ToString::to_string)),
            ("database", self.database.clone()),
        ] {
            if let Some(value) = value {
                map.insert(key.to_owned(), value.into());
            }
        }
        Value::Object(map).to_string()
    }

    /// For messages: where it is, without who.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.place {
            DatabasePlace::Host { host, port } if host.starts_with('/') => {
                format!("{host} port {port}")
            }
            DatabasePlace::Host { host, port } => format!("{host}:{port}"),
            DatabasePlace::Release(part) => part.to_string(),
        }
    }

    /// A resource name for what is read or changed of a database: `database/<where>/<name>`.
    #[must_use]
    pub fn resource(&self, database: &str) -> String {
        match &self.place {
            DatabasePlace::Host { host, port } => format!("database/{host}:{port}/{database}"),
            DatabasePlace::Release(part) => format!("database/{part}/{database}"),
        }
    }

    /// A view that can reach it: a server that is named by its host needs no platform.
    ///
    /// # Errors
    /// When it is a release and the target is of no platform that is known.
    pub fn view(&self, look: &Look) -> Result<Arc<dyn View>, PlatformError> {
        match &self.place {
            DatabasePlace::Host { .. } => Ok(Arc::new(Network)),
            DatabasePlace::Release(_) => crate::view(look),
        }
    }

    /// Finds the primary, by SQL on every node, and the login.
    ///
    /// # Errors
    /// When the platform does not know it, a secret is not to be had, or not exactly one node says
    /// that it leads.
    pub async fn server(&self, look: &Look, view: &dyn View) -> Result<Server, PlatformError> {
        let password = match &self.password {
            Some(reference) => Some(look.secret(reference).await?),
            None => None,
        };
        match &self.place {
            DatabasePlace::Host { host, port } => {
                let endpoint = Endpoint::Address { host: host.clone(), port: *port };
                Ok(Server {
                    primary: endpoint.clone(),
                    nodes: vec![endpoint],
                    user: self.user.clone().unwrap_or_else(|| "postgres".to_owned()),
                    password,
                    database: self.database.clone(),
                })
            }
            DatabasePlace::Release(part) => {
                let found = view.postgres(part).await?;
                let password = match (&self.user, password) {
                    (_, Some(given)) => Some(given),
                    (Some(_), None) => None,
                    (None, None) => Some(deployed(view, &found.superuser.1).await?),
                };
                let mut server = Server {
                    primary: Endpoint::Address { host: String::new(), port: 0 },
                    nodes: found.nodes.iter().map(|n| n.endpoint.clone()).collect(),
                    user: self.user.clone().unwrap_or(found.superuser.0),
                    password,
                    database: self.database.clone(),
                };
                server.primary = primary(view, &server, &look.identity, &part.to_string()).await?;
                Ok(server)
            }
        }
    }
}

/// The deployed value of a Secret's key; `passwords[1]` is the second entry of the list in `passwords`.
///
/// # Errors
/// When the Secret or the key is missing.
pub async fn deployed(view: &dyn View, key: &SecretKey) -> Result<Secret, PlatformError> {
    let values = view.secret(&key.namespace, &key.secret).await?.unwrap_or_default();
    let missing = || PlatformError::Missing(format!("{key} is not there"));
    if let Some(value) = values.get(&key.key) {
        return Ok(value.clone());
    }
    let (name, index) =
        key.key.strip_suffix(']').and_then(|k| k.split_once('[')).ok_or_else(missing)?;
    let entry = || list(values.get(name)?).into_iter().nth(index.parse().ok()?);
    entry().ok_or_else(missing)
}

/// The entries of a list in one value, as charts write it: with `;` or `,` between them.
pub(crate) fn list(value: &Secret) -> Vec<Secret> {
    let entries = value.reveal().split(|b| matches!(b, b';' | b','));
    entries.filter(|e| !e.is_empty()).map(Secret::new).collect()
}

/// How long standbys may take to agree on who leads. With the shipped values they need about five
/// seconds after a kill, and twice that on a busy machine.
const FAILOVER: Duration = Duration::from_secs(30);
/// Between two looks at whether they have.
const AGAIN: Duration = Duration::from_millis(500);

/// Which nodes lead, which do not say, and how many follow.
struct Roles {
    leading: Vec<Endpoint>,
    silent: Vec<String>,
    following: usize,
}

async fn roles(view: &dyn View, server: &Server, application: &str) -> Roles {
    let mut found = Roles { leading: Vec::new(), silent: Vec::new(), following: 0 };
    for node in &server.nodes {
        let mut login = server.login("postgres", application);
        login.endpoint = node.clone();
        let role = async {
            let reader = Reader::connect(view, &login, ROLE_DEADLINE).await?;
            let rows = reader.rows("select pg_catalog.pg_is_in_recovery()", &[]).await?;
            Ok::<bool, crate::sql::SqlError>(rows.first().is_some_and(|r| !r.get::<_, bool>(0)))
        };
        match role.await {
            Ok(true) => found.leading.push(node.clone()),
            Ok(false) => found.following += 1,
            Err(error) => found.silent.push(error.to_string()),
        }
    }
    found
}

/// The one node that is not in recovery. Where standbys answer and nobody leads, a failover is under
/// way, and its end is waited for.
async fn primary(
    view: &dyn View,
    server: &Server,
    application: &str,
    name: &str,
) -> Result<Endpoint, PlatformError> {
    let end = tokio::time::Instant::now() + FAILOVER;
    let Roles { leading, silent, .. } = loop {
        let found = roles(view, server, application).await;
        let under_way = found.leading.is_empty() && found.following > 0;
        if !under_way || tokio::time::Instant::now() + AGAIN > end {
            break found;
        }
        tokio::time::sleep(AGAIN).await;
    };
    match <[Endpoint; 1]>::try_from(leading) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(PlatformError::Failed {
            what: format!("no node of {name} says that it leads"),
            said: silent,
            help: Some("see which nodes run, and bring one back".to_owned()),
        }),
        Err(several) => Err(PlatformError::Failed {
            what: format!("{} nodes of {name} say that they lead: split brain", several.len()),
            said: several.iter().map(ToString::to_string).collect(),
            help: Some("stop all but the right one before anything else".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_name_a_database_reads_back_from_its_json() {
        for value in [
            json!({"host": "h", "port": "5433", "user": "u", "password": "env:PW", "database": "d"}),
            json!({"release": "gitea", "namespace": "apps", "part": "postgresql-ha"}),
            json!({"url": "postgresql://u@h/x", "password": "given:0", "database": "d"}),
            json!("postgresql:///d?host=/run/pg"),
        ] {
            let read = Database::parse(&value).unwrap();
            assert_eq!(Database::parse(&Value::from(read.to_json())).unwrap(), read, "{value}");
        }
    }

    #[test]
    fn a_mapping_may_say_more_than_its_url() {
        let value = json!({"url": "postgresql://u@h/x", "user": "v", "database": "d"});
        let read = Database::parse(&value).unwrap();
        assert_eq!((read.user.as_deref(), read.database.as_deref()), (Some("v"), Some("d")));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_password_repeated() {
        for (value, said) in [
            (json!("postgresql://u:hunter2@h/d"), "a password in a URL"),
            (json!("{\"host\": 3"), "no JSON mapping"),
            (json!({"host": "h", "release": "r"}), "not both"),
            (json!({"host": "h", "password": "hunter2"}), "`password`"),
            (json!({"hots": "h"}), "no key `hots`"),
            (json!("mysql://h/d"), "cannot be read"),
            (json!(["h"]), "a mapping"),
        ] {
            let problem = Database::parse(&value).unwrap_err().to_string();
            assert!(problem.contains(said) && !problem.contains("hunter2"), "{problem}");
        }
    }
}
