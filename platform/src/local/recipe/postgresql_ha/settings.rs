//! The chart's values as typed settings: what `postgresql-ha` 16.3.4 reads, with its defaults.
//!
//! Source of names and defaults: the chart's `values.yaml` and templates. What is not read here has
//! no effect on this platform and is listed.

use serde_json::Value;
use std::collections::BTreeMap;

use workplan_engine::kind::Secret;

use crate::model::IgnoredKey;
use crate::values::Values;

/// What the recipe makes of the values.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `<release>` where it contains `postgresql-ha`, else `<release>-postgresql-ha`.
    pub(crate) fullname: String,
    /// Data nodes.
    pub(crate) replicas: u32,
    /// Poolers; this platform runs one where the chart would run more.
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
    /// Further users that the pooler knows.
    pub(crate) custom_users: Vec<String>,
    pub(crate) reconnect_attempts: u64,
    pub(crate) reconnect_interval: u64,
    pub(crate) connect_timeout: u64,
    pub(crate) use_pg_rewind: bool,
    pub(crate) sync_replication: bool,
    pub(crate) max_connections: u64,
    pub(crate) num_init_children: u64,
    pub(crate) reserved_connections: u64,
    pub(crate) max_pool: u64,
    pub(crate) load_balancing: bool,
    /// `postgresql.extendedConf`, laid over what the recipe writes.
    pub(crate) extended_conf: String,
    /// `pgpool.configuration`, laid over what the recipe writes.
    pub(crate) pooler_conf: String,
}

/// The passwords, by the Secret's name and key. Names and keys are the chart's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, BTreeMap<String, Secret>>);

/// A password that the recipe makes where the values give none, as the chart does.
pub(crate) trait Generate {
    /// Letters and digits.
    fn password(&mut self, secret: &str, key: &str) -> Secret;
}

/// Reads values, with what is wrong with them as sentences.
pub(crate) fn read(release: &str, values: &Values) -> Result<Settings, Vec<String>> {
    let v = Reader { values };
    let mut problems = Vec::new();
    let fullname = match v.text("fullnameOverride") {
        Some(name) if !name.is_empty() => name,
        _ => match v.text("nameOverride").filter(|n| !n.is_empty()) {
            Some(name) if release.contains(&name) => release.to_owned(),
            Some(name) => format!("{release}-{name}"),
            None if release.contains("postgresql-ha") => release.to_owned(),
            None => format!("{release}-postgresql-ha"),
        },
    };
    let replicas = v.int("postgresql.replicaCount", 3);
    if !(1..=9).contains(&replicas) {
        problems.push("`postgresql.replicaCount` is from 1 to 9".to_owned());
    }
    let users = v.list("pgpool.customUsers.usernames");
    let passwords = v.list("pgpool.customUsers.passwords");
    if users.len() != passwords.len() {
        problems.push(format!(
            "`pgpool.customUsers` has {} names and {} passwords; they are lists of equal length, \
             separated by `;` or `,`",
            users.len(),
            passwords.len()
        ));
    }
    if v.bool("witness.create", false) {
        problems.push("`witness.create` has no recipe here; three data nodes need none".to_owned());
    }
    if v.bool("postgresql.tls.enabled", false) || v.bool("pgpool.tls.enabled", false) {
        problems.push("TLS has no recipe here: all of it listens on loopback alone".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = |path: &str, default: &str| {
        v.text(path).filter(|t| !t.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let global = |name: &str, default: &str| {
        let of = |prefix: &str| v.text(&format!("{prefix}.{name}")).filter(|t| !t.is_empty());
        of("global.postgresql").or_else(|| of("postgresql")).unwrap_or_else(|| default.to_owned())
    };
    Ok(Settings {
        fullname,
        replicas: u32::try_from(replicas).unwrap_or(3),
        poolers: u32::try_from(v.int("pgpool.replicaCount", 1)).unwrap_or(1),
        username: global("username", "postgres"),
        database: Some(global("database", "")).filter(|d| !d.is_empty() && d != "postgres"),
        repmgr_username: global("repmgrUsername", "repmgr"),
        repmgr_database: global("repmgrDatabase", "repmgr"),
        admin_username: text("pgpool.adminUsername", "admin"),
        sr_check_username: text("pgpool.srCheckUsername", "sr_check_user"),
        sr_check_database: text("pgpool.srCheckDatabase", "postgres"),
        custom_users: users,
        reconnect_attempts: v.int("postgresql.repmgrReconnectAttempts", 2),
        reconnect_interval: v.int("postgresql.repmgrReconnectInterval", 3),
        connect_timeout: v.int("postgresql.repmgrConnectTimeout", 5),
        use_pg_rewind: v.bool("postgresql.usePgRewind", false),
        sync_replication: v.bool("postgresql.syncReplication", false),
        max_connections: v.int("postgresql.maxConnections", 100),
        num_init_children: v.int("pgpool.numInitChildren", 32),
        reserved_connections: v.int("pgpool.reservedConnections", 0),
        max_pool: v.int("pgpool.maxPool", 15),
        load_balancing: v.bool("pgpool.useLoadBalancing", true),
        extended_conf: text("postgresql.extendedConf", ""),
        pooler_conf: text("pgpool.configuration", ""),
    })
}

impl Settings {
    /// Name of the PostgreSQL StatefulSet, its Secret and its service.
    pub(crate) fn postgresql(&self) -> String {
        format!("{}-postgresql", self.fullname)
    }

    /// Name of the pooler's Deployment, Secret and service.
    pub(crate) fn pgpool(&self) -> String {
        format!("{}-pgpool", self.fullname)
    }

    /// Whether the chart's own user is the superuser.
    pub(crate) fn plain_superuser(&self) -> bool {
        self.username == "postgres"
    }

    /// The Secret and key with the superuser's password.
    pub(crate) fn superuser_key(&self) -> (String, &'static str) {
        let key = if self.plain_superuser() { "password" } else { "postgres-password" };
        (self.postgresql(), key)
    }
}

/// The Secrets that the chart would make, from the values, else from what `kept` has from before,
/// else made anew. Values win: but they act at the first start of the nodes only.
pub(crate) fn secrets(
    settings: &Settings,
    values: &Values,
    kept: &Secrets,
    generate: &mut dyn Generate,
) -> Secrets {
    let v = Reader { values };
    let mut out = Secrets::default();
    let mut put = |secret: &str, key: &str, paths: &[&str]| {
        let given = paths.iter().find_map(|path| v.text(path).filter(|t| !t.is_empty()));
        let value = given
            .map(|text| Secret::new(text.into_bytes()))
            .or_else(|| kept.get(secret, key).cloned())
            .unwrap_or_else(|| generate.password(secret, key));
        out.0.entry(secret.to_owned()).or_default().insert(key.to_owned(), value);
    };
    let (postgresql, pgpool) = (settings.postgresql(), settings.pgpool());
    if !settings.plain_superuser() {
        put(
            &postgresql,
            "postgres-password",
            &["global.postgresql.postgresPassword", "postgresql.postgresPassword"],
        );
    }
    put(&postgresql, "password", &["global.postgresql.password", "postgresql.password"]);
    put(
        &postgresql,
        "repmgr-password",
        &["global.postgresql.repmgrPassword", "postgresql.repmgrPassword"],
    );
    put(&pgpool, "admin-password", &["global.pgpool.adminPassword", "pgpool.adminPassword"]);
    put(&pgpool, "sr-check-password", &["global.pgpool.srCheckPassword", "pgpool.srCheckPassword"]);
    let users = v.list("pgpool.customUsers.usernames");
    if !users.is_empty() {
        let secret = format!("{}-custom-users", settings.fullname);
        let entry = out.0.entry(secret).or_default();
        for key in ["usernames", "passwords"] {
            let text = v.text(&format!("pgpool.customUsers.{key}")).unwrap_or_default();
            entry.insert(key.to_owned(), Secret::new(text.into_bytes()));
        }
    }
    out
}

impl Secrets {
    /// A value.
    pub(crate) fn get(&self, secret: &str, key: &str) -> Option<&Secret> {
        self.0.get(secret)?.get(key)
    }

    /// A value as text; empty where it is missing or no text.
    pub(crate) fn text(&self, secret: &str, key: &str) -> String {
        self.get(secret, key)
            .and_then(|s| String::from_utf8(s.reveal().to_vec()).ok())
            .unwrap_or_default()
    }

    /// The pooler's further users with their passwords.
    pub(crate) fn custom_users(&self, settings: &Settings) -> Vec<(String, String)> {
        let secret = format!("{}-custom-users", settings.fullname);
        let list = |key: &str| split(&self.text(&secret, key));
        list("usernames").into_iter().zip(list("passwords")).collect()
    }
}

/// Keys with an effect here; a key above one of these is a mapping and no leaf.
const READ: &[&str] = &[
    "fullnameOverride",
    "nameOverride",
    "global.postgresql.username",
    "global.postgresql.password",
    "global.postgresql.postgresPassword",
    "global.postgresql.database",
    "global.postgresql.repmgrUsername",
    "global.postgresql.repmgrPassword",
    "global.postgresql.repmgrDatabase",
    "global.pgpool.adminPassword",
    "global.pgpool.srCheckPassword",
    "postgresql.username",
    "postgresql.password",
    "postgresql.postgresPassword",
    "postgresql.database",
    "postgresql.replicaCount",
    "postgresql.repmgrUsername",
    "postgresql.repmgrPassword",
    "postgresql.repmgrDatabase",
    "postgresql.repmgrReconnectAttempts",
    "postgresql.repmgrReconnectInterval",
    "postgresql.repmgrConnectTimeout",
    "postgresql.usePgRewind",
    "postgresql.syncReplication",
    "postgresql.maxConnections",
    "postgresql.extendedConf",
    "postgresql.tls.enabled",
    "pgpool.tls.enabled",
    "pgpool.replicaCount",
    "pgpool.adminUsername",
    "pgpool.adminPassword",
    "pgpool.srCheckUsername",
    "pgpool.srCheckPassword",
    "pgpool.srCheckDatabase",
    "pgpool.customUsers.usernames",
    "pgpool.customUsers.passwords",
    "pgpool.numInitChildren",
    "pgpool.reservedConnections",
    "pgpool.maxPool",
    "pgpool.useLoadBalancing",
    "pgpool.configuration",
    "witness.create",
    // Read by the parent chart.
    "enabled",
];

/// The keys without effect, each with the reason.
pub(crate) fn ignored(values: &Values) -> Vec<IgnoredKey> {
    values
        .leaves()
        .into_iter()
        .map(|(path, ..)| path.join("."))
        .filter(|key| !READ.contains(&key.as_str()))
        .map(|key| IgnoredKey { why: reason(&key).to_owned(), key })
        .collect()
}

fn reason(key: &str) -> &'static str {
    if key.contains("image.") || key.starts_with("global.security") {
        "there are no images here: the programs of this machine run"
    } else if key.contains("persistence") {
        "a volume is a folder here, of any size"
    } else if key == "postgresql.pgpoolPassword" || key == "pgpool.pgpoolPassword" {
        "it is no key of the chart: `pgpool-password` is the name of a file in the pooler's \
         container, made from the Secret's key `password`"
    } else if key.starts_with("metrics") || key.starts_with("volumePermissions") {
        "no such container runs here"
    } else if key.contains("resources") || key.contains("affinity") || key.contains("Probe") {
        "there is no scheduler here"
    } else if key.starts_with("pgpool.customUsers") || key.contains("xistingSecret") {
        "Secrets are made from the values here"
    } else {
        "this platform has nothing that it would change"
    }
}

/// Values by dotted paths.
struct Reader<'a> {
    values: &'a Values,
}

impl Reader<'_> {
    fn get(&self, path: &str) -> Option<&Value> {
        self.values.get(&path.split('.').collect::<Vec<_>>())
    }

    fn text(&self, path: &str) -> Option<String> {
        match self.get(path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    fn int(&self, path: &str, default: u64) -> u64 {
        self.text(path).and_then(|t| t.parse().ok()).unwrap_or(default)
    }

    fn bool(&self, path: &str, default: bool) -> bool {
        self.text(path).and_then(|t| t.parse().ok()).unwrap_or(default)
    }

    fn list(&self, path: &str) -> Vec<String> {
        self.text(path).map(|text| split(&text)).unwrap_or_default()
    }
}

/// The image splits at `;` and `,`.
fn split(text: &str) -> Vec<String> {
    text.split([';', ',']).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed;

    impl Generate for Fixed {
        fn password(&mut self, _secret: &str, key: &str) -> Secret {
            Secret::new(format!("made-{key}").into_bytes())
        }
    }

    fn values(value: Value) -> Values {
        let Value::Object(tree) = value else { return Values::default() };
        Values::plain(tree)
    }

    #[test]
    fn names_and_defaults_are_the_charts() {
        let settings = read("gitea", &Values::default()).unwrap();
        assert_eq!(settings.postgresql(), "gitea-postgresql-ha-postgresql");
        assert_eq!(settings.pgpool(), "gitea-postgresql-ha-pgpool");
        assert_eq!((settings.replicas, settings.reconnect_attempts), (3, 2));
        assert_eq!(read("postgresql-ha", &Values::default()).unwrap().fullname, "postgresql-ha");
    }

    #[test]
    fn passwords_come_from_the_values_then_from_before_then_are_made() {
        let given =
            values(json!({"postgresql": {"password": "it's 100%:/ ü", "username": "gitea"}}));
        let settings = read("pg", &given).unwrap();
        let mut kept = Secrets::default();
        kept.0
            .entry("pg-postgresql-ha-pgpool".into())
            .or_default()
            .insert("admin-password".into(), Secret::new(*b"kept"));
        let made = secrets(&settings, &given, &kept, &mut Fixed);
        assert_eq!(made.text("pg-postgresql-ha-postgresql", "password"), "it's 100%:/ ü");
        assert_eq!(made.text("pg-postgresql-ha-pgpool", "admin-password"), "kept");
        let superuser = settings.superuser_key();
        assert_eq!(made.text(&superuser.0, superuser.1), "made-postgres-password");
    }

    #[test]
    fn users_of_the_pooler_come_in_pairs() {
        let given =
            values(json!({"pgpool": {"customUsers": {"usernames": "a;b", "passwords": "x"}}}));
        let problems = read("pg", &given).unwrap_err();
        assert!(problems[0].contains("2 names and 1 passwords"), "{problems:?}");
        let given =
            values(json!({"pgpool": {"customUsers": {"usernames": "a;b", "passwords": "x;y z"}}}));
        let settings = read("pg", &given).unwrap();
        let made = secrets(&settings, &given, &Secrets::default(), &mut Fixed);
        let users = made.custom_users(&settings);
        assert_eq!(users, [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y z".to_owned())]);
    }

    #[test]
    fn what_has_no_effect_is_listed_with_its_reason() {
        let given = values(json!({
            "postgresql": {"image": {"tag": "17"}, "password": "x"},
            "pgpool": {"pgpoolPassword": "x"},
        }));
        let keys: Vec<String> = ignored(&given).into_iter().map(|i| i.key).collect();
        assert_eq!(keys, ["pgpool.pgpoolPassword", "postgresql.image.tag"]);
        assert!(ignored(&given)[0].why.contains("no key of the chart"));
    }
}
