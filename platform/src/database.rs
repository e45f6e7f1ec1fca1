//! A database as a plan names it, and the server behind it.

use serde_json::Value;
use std::time::Duration;

use workplan_engine::kind::{Look, Secret, SecretRef};

use crate::sql::{Login, Reader};
use crate::{Endpoint, PartRef, PlatformError, ReleaseRef, SecretKey, View};

/// A server, or one database of it, as `databases:` of a target or a `postgresql://` URL says it:
///
/// - `{host, port, user, password, database}`, the password being a secret reference or missing;
/// - `{release, namespace, part, user, password, database}`: a PostgreSQL of the platform, as its
///   superuser with the deployed password unless `user` and `password` say otherwise;
/// - `{url, password}` or a text `postgresql://user@host:port/database`. A password in a URL is
///   taken out of it by the command line before anything is kept.
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
            return Self::from_url(&url, password);
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
        let config: tokio_postgres::Config = url.parse().map_err(|_| {
            // The parser's own words may repeat a part of the text.
            DatabaseProblem("it cannot be read as a `postgresql://` URL".to_owned())
        })?;
        if config.get_password().is_some() {
            return Err(DatabaseProblem(
                "a password in a URL would be shown and kept; give it as `{url: …, password: \
                 env:NAME}`"
                    .to_owned(),
            ));
        }
        let host = match config.get_hosts() {
            [tokio_postgres::config::Host::Tcp(host)] => host.clone(),
            _ => return Err(DatabaseProblem("a URL names one host".to_owned())),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        Ok(Self {
            place: DatabasePlace::Host { host, port },
            user: config.get_user().map(str::to_owned),
            password,
            database: config.get_dbname().map(str::to_owned),
        })
    }

    /// A resource name for what is read or changed of a database: `database/<where>/<name>`.
    #[must_use]
    pub fn resource(&self, database: &str) -> String {
        match &self.place {
            DatabasePlace::Host { host, port } => format!("database/{host}:{port}/{database}"),
            DatabasePlace::Release(part) => format!("database/{part}/{database}"),
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

/// The deployed value of a Secret's key.
///
/// # Errors
/// When the Secret or the key is missing.
pub async fn deployed(view: &dyn View, key: &SecretKey) -> Result<Secret, PlatformError> {
    let values = view.secret(&key.namespace, &key.secret).await?;
    values
        .and_then(|values| values.get(&key.key).cloned())
        .ok_or_else(|| PlatformError::Missing(format!("{key} is not there")))
}

/// The one node that is not in recovery.
async fn primary(
    view: &dyn View,
    server: &Server,
    application: &str,
    name: &str,
) -> Result<Endpoint, PlatformError> {
    let mut leading = Vec::new();
    let mut silent = Vec::new();
    for node in &server.nodes {
        let mut login = server.login("postgres", application);
        login.endpoint = node.clone();
        let role = async {
            let reader = Reader::connect(view, &login, ROLE_DEADLINE).await?;
            let rows = reader.rows("select pg_catalog.pg_is_in_recovery()", &[]).await?;
            Ok::<bool, crate::sql::SqlError>(rows.first().is_some_and(|r| !r.get::<_, bool>(0)))
        };
        match role.await {
            Ok(true) => leading.push(node.clone()),
            Ok(false) => {}
            Err(error) => silent.push(error.to_string()),
        }
    }
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
