//! The chart's values as typed settings: what `postgresql-ha` 16.3.4 reads, with its defaults.
//!
//! Source of names and defaults: the chart's `values.yaml` and templates, and the images' scripts.

use workplan_engine::kind::Secret;

use crate::PlatformError;
use crate::local::recipe::{Context, Keys};

/// What the recipe makes of the values.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `<release>` where it contains `postgresql-ha`, else `<release>-postgresql-ha`.
    pub(crate) fullname: String,
    /// Data nodes.
    pub(crate) replicas: u32,
    /// Poolers.
    pub(crate) poolers: u32,
    /// `postgresql.username`: the role that the pooler and applications use by default.
    pub(crate) username: String,
    /// Its database, where one is wanted.
    pub(crate) database: Option<String>,
    pub(crate) repmgr_username: String,
    pub(crate) repmgr_database: String,
    pub(crate) admin_username: String,
    pub(crate) sr_check_username: String,
    pub(crate) sr_check_database: String,
    pub(crate) reconnect_attempts: u32,
    pub(crate) reconnect_interval: u32,
    pub(crate) monitor_interval: u32,
    /// Whether a standby that saw the primary less than two monitoring intervals ago keeps the
    /// others from promoting one. Off in the image. With it on, a primary that is found dead sooner
    /// than that has its election cancelled, and repmgr 5.3 never holds another one.
    pub(crate) visibility_consensus: bool,
    pub(crate) connect_timeout: u32,
    pub(crate) sync_replication: bool,
    pub(crate) max_connections: u32,
    pub(crate) num_init_children: u32,
    pub(crate) reserved_connections: u32,
    pub(crate) max_pool: u32,
    pub(crate) child_life_time: Option<String>,
    pub(crate) client_idle_limit: Option<String>,
    pub(crate) connection_life_time: Option<String>,
    pub(crate) load_balancing: bool,
    pub(crate) balance_on_write: String,
    pub(crate) log_connections: bool,
    pub(crate) log_per_node: bool,
    /// `pgpool.extraEnvVars`: the way to the timings of its checks, which have no keys.
    pub(crate) pooler_env: Vec<(String, String)>,
    /// `postgresql.extendedConf`, laid over what the recipe writes.
    pub(crate) extended_conf: String,
    /// `postgresql.repmgrConfiguration`, laid over what the recipe writes.
    pub(crate) repmgr_conf: String,
    /// `pgpool.configuration`, laid over what the recipe writes.
    pub(crate) pooler_conf: String,
    /// Whether the pooler pairs `postgresql.username` with the wrong key, as the chart does when
    /// its passwords are no files.
    pub(crate) mispaired: bool,
}

/// A user with its password and where that stands.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) key: String,
    pub(crate) password: Secret,
}

/// All users that the servers are told of.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    pub(crate) superuser: User,
    /// `postgresql.username`, where that is not the superuser.
    pub(crate) owner: Option<User>,
    pub(crate) repmgr: User,
    pub(crate) sr_check: User,
    /// The administrator of the pooler, who is no user of the database.
    pub(crate) admin: User,
    /// Further users of the pooler.
    pub(crate) custom: Vec<User>,
}

impl Settings {
    /// Reads values.
    pub(crate) fn read(cx: &mut Context<'_>, v: &Keys<'_>) -> Result<Self, PlatformError> {
        let or = |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_owned());
        let replicas = v.number("postgresql.replicaCount", 3)?;
        if !(1..=9).contains(&replicas) {
            return Err(v.wrong("postgresql.replicaCount", "from 1 to 9"));
        }
        for (key, what) in [
            ("witness.create", "a witness is not run here"),
            ("postgresql.tls.enabled", "TLS is not set up here: all of it listens on loopback"),
            ("pgpool.tls.enabled", "TLS is not set up here: all of it listens on loopback"),
            ("ldap.enabled", "LDAP is not set up here"),
        ] {
            if v.flag(key, false)? {
                cx.note(format!("`{key}` is set: {what}"));
            }
        }
        let env = v.variables("postgresql.extraEnvVars");
        let of_env = |name: &str| {
            env.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse().ok())
        };
        let username = v.first(&["global.postgresql.username", "postgresql.username"])?;
        let username = or(username, "postgres");
        let files = v.flag("postgresql.usePasswordFiles", true)?;
        let files = files && v.flag("pgpool.usePasswordFiles", true)?;
        let mispaired = !files && username != "postgres";
        if mispaired {
            cx.note(format!(
                "with `usePasswordFiles: false` the chart gives the pooler the password of \
                 `postgres` for `{username}`: its logins will fail, as they would on Kubernetes"
            ));
        }
        let database = v.first(&["global.postgresql.database", "postgresql.database"])?;
        Ok(Self {
            fullname: cx.fullname("postgresql-ha", v)?,
            replicas,
            poolers: v.number("pgpool.replicaCount", 1)?,
            username,
            database: database.filter(|d| d != "postgres"),
            repmgr_username: or(
                v.first(&["global.postgresql.repmgrUsername", "postgresql.repmgrUsername"])?,
                "repmgr",
            ),
            repmgr_database: or(
                v.first(&["global.postgresql.repmgrDatabase", "postgresql.repmgrDatabase"])?,
                "repmgr",
            ),
            admin_username: or(
                v.first(&["global.pgpool.adminUsername", "pgpool.adminUsername"])?,
                "admin",
            ),
            sr_check_username: or(
                v.first(&["global.pgpool.srCheckUsername", "pgpool.srCheckUsername"])?,
                "sr_check_user",
            ),
            sr_check_database: or(v.text("pgpool.srCheckDatabase")?, "postgres"),
            reconnect_attempts: v.number("postgresql.repmgrReconnectAttempts", 2)?,
            reconnect_interval: v.number("postgresql.repmgrReconnectInterval", 3)?,
            monitor_interval: of_env("REPMGR_MONITOR_INTERVAL_SECS").unwrap_or(2),
            visibility_consensus: env.iter().any(|(name, value)| {
                name == "REPMGR_PRIMARY_VISIBILITY_CONSENSUS"
                    && ["true", "yes", "on", "1"].contains(&value.to_lowercase().as_str())
            }),
            connect_timeout: v.number("postgresql.repmgrConnectTimeout", 5)?,
            sync_replication: v.flag("postgresql.syncReplication", false)?,
            max_connections: v.number("postgresql.maxConnections", 100)?,
            num_init_children: v.number("pgpool.numInitChildren", 32)?,
            reserved_connections: v.number("pgpool.reservedConnections", 0)?,
            max_pool: v.number("pgpool.maxPool", 15)?,
            child_life_time: v.text("pgpool.childLifeTime")?,
            client_idle_limit: v.text("pgpool.clientIdleLimit")?,
            connection_life_time: v.text("pgpool.connectionLifeTime")?,
            load_balancing: v.flag("pgpool.useLoadBalancing", true)?,
            balance_on_write: or(v.text("pgpool.disableLoadBalancingOnWrite")?, "transaction"),
            log_connections: v.flag("pgpool.logConnections", false)?,
            log_per_node: v.flag("pgpool.logPerNodeStatement", false)?,
            pooler_env: v.variables("pgpool.extraEnvVars"),
            extended_conf: v.text("postgresql.extendedConf")?.unwrap_or_default(),
            repmgr_conf: v.text("postgresql.repmgrConfiguration")?.unwrap_or_default(),
            pooler_conf: v.text("pgpool.configuration")?.unwrap_or_default(),
            mispaired,
        })
    }

    /// Name of the PostgreSQL StatefulSet, its Secret and its service.
    pub(crate) fn postgresql(&self) -> String {
        format!("{}-postgresql", self.fullname)
    }

    /// Name of the pooler's Deployment, Secret and service.
    pub(crate) fn pgpool(&self) -> String {
        format!("{}-pgpool", self.fullname)
    }

    /// A setting of the pooler's image, by its variable, in seconds or as it is there.
    pub(crate) fn pooler_variable(&self, name: &str, default: &str) -> String {
        let found = self.pooler_env.iter().rev().find(|(n, _)| n == name);
        found.map_or(default, |(_, value)| value.as_str()).to_owned()
    }
}

impl Users {
    /// The users with their passwords: from the Secrets that the values name; else from the chart's
    /// own, with the given, the deployed or made-up passwords. They act at the first start of the
    /// nodes only.
    pub(crate) fn read(
        cx: &mut Context<'_>,
        v: &Keys<'_>,
        settings: &Settings,
    ) -> Result<Self, PlatformError> {
        let plain = settings.username == "postgres";
        let node = Source {
            existing: v
                .first(&["global.postgresql.existingSecret", "postgresql.existingSecret"])?,
            own: settings.postgresql(),
        };
        let pool = Source {
            existing: v.first(&["global.pgpool.existingSecret", "pgpool.existingSecret"])?,
            own: settings.pgpool(),
        };
        let given = |keys: &[&str]| v.secret(keys);
        let password = given(&["global.postgresql.password", "postgresql.password"])?;
        let postgres =
            given(&["global.postgresql.postgresPassword", "postgresql.postgresPassword"])?;
        let repmgr = given(&["global.postgresql.repmgrPassword", "postgresql.repmgrPassword"])?;
        let admin = given(&["global.pgpool.adminPassword", "pgpool.adminPassword"])?;
        let sr = given(&["global.pgpool.srCheckPassword", "pgpool.srCheckPassword"])?;
        let named = node.user(cx, &settings.username, "password", password)?;
        let (superuser, owner) = if plain {
            (named, None)
        } else {
            (node.user(cx, "postgres", "postgres-password", postgres)?, Some(named))
        };
        Ok(Self {
            superuser,
            owner,
            repmgr: node.user(cx, &settings.repmgr_username, "repmgr-password", repmgr)?,
            admin: pool.user(cx, &settings.admin_username, "admin-password", admin)?,
            sr_check: pool.user(cx, &settings.sr_check_username, "sr-check-password", sr)?,
            custom: custom(cx, v, settings)?,
        })
    }
}

/// Where passwords come from.
struct Source {
    existing: Option<String>,
    own: String,
}

impl Source {
    fn user(
        &self,
        cx: &mut Context<'_>,
        name: &str,
        key: &str,
        given: Option<Secret>,
    ) -> Result<User, PlatformError> {
        let (secret, password) = match &self.existing {
            Some(existing) => (existing, cx.existing_secret(existing, key)?),
            None => (&self.own, cx.own_secret(&self.own, key, given)?),
        };
        Ok(User { name: name.to_owned(), secret: secret.clone(), key: key.to_owned(), password })
    }
}

/// The pooler's further users: two lists of equal length.
fn custom(
    cx: &mut Context<'_>,
    v: &Keys<'_>,
    settings: &Settings,
) -> Result<Vec<User>, PlatformError> {
    let existing = v.text("pgpool.customUsersSecret")?;
    let names = v.secret(&["pgpool.customUsers.usernames"])?;
    let words = v.secret(&["pgpool.customUsers.passwords"])?;
    let (secret, names, words) = match existing {
        Some(secret) => {
            let names = cx.existing_secret(&secret, "usernames")?;
            let words = cx.existing_secret(&secret, "passwords")?;
            (secret, names, words)
        }
        None => {
            let Some(names) = names else { return Ok(Vec::new()) };
            let secret = format!("{}-custom-users", settings.pgpool());
            let words = words.unwrap_or_else(|| Secret::new(Vec::new()));
            cx.own_secret(&secret, "usernames", Some(names.clone()))?;
            cx.own_secret(&secret, "passwords", Some(words.clone()))?;
            (secret, names, words)
        }
    };
    let (names, words) = (list(&names), list(&words));
    if names.len() != words.len() {
        return Err(PlatformError::Failed {
            what: format!(
                "`pgpool.customUsers` has {} names and {} passwords",
                names.len(),
                words.len()
            ),
            said: Vec::new(),
            help: Some("they are lists of equal length, separated by `;` or `,`".to_owned()),
        });
    }
    if words.iter().any(|w| w.reveal().iter().any(u8::is_ascii_whitespace)) {
        cx.note(
            "a password of `pgpool.customUsers` has a space in it: the chart's image splits the \
             list there, so that it would not start on Kubernetes",
        );
    }
    let user = |(index, (name, password)): (usize, (Secret, Secret))| User {
        name: String::from_utf8_lossy(name.reveal()).into_owned(),
        secret: secret.clone(),
        key: format!("passwords[{index}]"),
        password,
    };
    Ok(names.into_iter().zip(words).enumerate().map(user).collect())
}

/// The parts of a list, as the chart means it.
fn list(text: &Secret) -> Vec<Secret> {
    crate::database::list(text)
}
