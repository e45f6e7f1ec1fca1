//! The passwords of charts: where they stand in the values, and in which Secret they are deployed.

use serde_json::{Map, Value};

use super::path::{self, Path};
use super::wanted::text;

/// One password of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// Where it stands in the chart's own values.
    pub(super) path: Path,
    /// The deployed Secret.
    pub(super) secret: String,
    /// The key in it.
    pub(super) key: String,
}

/// A mapping that a chart's users often look for, and that is none.
pub(super) const POOLER_FILE: &str = "`pgpool-password` is no key of the chart: it is the name of a \
     file in the pooler's container, made from the key `password` of PostgreSQL's Secret, which is \
     `postgresql.password` in the values";

/// Whether a key is one of the names that the pooler's password file is looked for under.
pub(super) fn is_pooler_file(key: &str) -> bool {
    matches!(key, "pgpool-password" | "pgpoolPassword")
}

/// Keys that name a Secret made by somebody else: what it holds is captured, not its name.
pub(super) const NAMES_OF_SECRETS: &[&str] =
    &["existingSecret", "existingSecretPasswordKey", "customUsersSecret"];

/// The values as a chart reads them: its own, with `global` of its parent.
pub(super) struct Scope<'v> {
    /// The release's name.
    pub(super) release: &'v str,
    /// The chart's name.
    pub(super) chart: &'v str,
    /// Its own values.
    pub(super) own: &'v Map<String, Value>,
    /// `global`.
    pub(super) global: Option<&'v Map<String, Value>>,
}

impl Scope<'_> {
    /// A text that is set.
    fn text(&self, key: &str) -> Option<String> {
        let path = path::parse(key).ok()?;
        let found = match path.split_first() {
            Some((first, rest)) if first == "global" => path::get(self.global?, rest),
            _ => path::get(self.own, &path),
        };
        found.and_then(text).filter(|text| !text.is_empty())
    }

    fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// The name that the chart's objects begin with.
    pub(super) fn fullname(&self) -> String {
        if let Some(name) = self.text("fullnameOverride") {
            return name;
        }
        let name = self.text("nameOverride").unwrap_or_else(|| self.chart.to_owned());
        if self.release.contains(&name) {
            self.release.to_owned()
        } else {
            format!("{}-{name}", self.release)
        }
    }

    /// The passwords that this chart needs with these values; `None` for a chart that is not known.
    pub(super) fn credentials(&self) -> Option<Vec<Credential>> {
        let fullname = self.fullname();
        let one = |path: &str, secret: &str, key: &str| Credential {
            path: path.split('.').map(str::to_owned).collect(),
            secret: secret.to_owned(),
            key: key.to_owned(),
        };
        match self.chart {
            "postgresql-ha" => {
                let postgresql = self
                    .first(&["global.postgresql.existingSecret", "postgresql.existingSecret"])
                    .unwrap_or_else(|| format!("{fullname}-postgresql"));
                let pooler = self
                    .first(&["global.pgpool.existingSecret", "pgpool.existingSecret"])
                    .unwrap_or_else(|| format!("{fullname}-pgpool"));
                let user = self.first(&["global.postgresql.username", "postgresql.username"]);
                let mut all = vec![one("postgresql.password", &postgresql, "password")];
                if user.is_some_and(|user| user != "postgres") {
                    all.push(one("postgresql.postgresPassword", &postgresql, "postgres-password"));
                }
                all.push(one("postgresql.repmgrPassword", &postgresql, "repmgr-password"));
                all.push(one("pgpool.adminPassword", &pooler, "admin-password"));
                all.push(one("pgpool.srCheckPassword", &pooler, "sr-check-password"));
                let users = self.text("pgpool.customUsersSecret");
                if users.is_some() || self.text("pgpool.customUsers.usernames").is_some() {
                    let secret = users.unwrap_or_else(|| format!("{fullname}-pgpool-custom-users"));
                    all.push(one("pgpool.customUsers.passwords", &secret, "passwords"));
                }
                Some(all)
            }
            "valkey" | "valkey-cluster" => {
                let (flag, password) = match self.chart {
                    "valkey" => ("auth.enabled", "auth.password"),
                    _ => ("usePassword", "password"),
                };
                if self.text(flag).as_deref() == Some("false") {
                    return Some(Vec::new());
                }
                let existing = ["auth.existingSecret", "existingSecret"];
                let secret = self.first(&existing).unwrap_or(fullname);
                let keys = ["auth.existingSecretPasswordKey", "existingSecretPasswordKey"];
                let key = self.first(&keys).unwrap_or_else(|| "valkey-password".to_owned());
                Some(vec![one(password, &secret, &key)])
            }
            _ => None,
        }
    }
}

/// Whether a key's name says that its value is secret.
pub(super) fn sounds_secret(path: &[String]) -> bool {
    let Some(last) = path.last().map(|l| l.to_lowercase()) else { return false };
    let ends = ["password", "passwords", "passwd", "secret", "secretkey", "token"];
    ends.iter().any(|end| last.ends_with(end)) && !last.contains("existing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(chart: &str, release: &str, own: Value, global: Value) -> Vec<String> {
        let (own, global) = (own.as_object().cloned().unwrap(), global.as_object().cloned());
        let scope = Scope { release, chart, own: &own, global: global.as_ref() };
        let all = scope.credentials().unwrap();
        all.iter().map(|c| format!("{} {}/{}", path::show(&c.path), c.secret, c.key)).collect()
    }

    #[test]
    fn passwords_are_known_by_the_charts_own_names() {
        assert_eq!(
            shown("postgresql-ha", "gitea", json!({}), json!(null)),
            [
                "postgresql.password gitea-postgresql-ha-postgresql/password",
                "postgresql.repmgrPassword gitea-postgresql-ha-postgresql/repmgr-password",
                "pgpool.adminPassword gitea-postgresql-ha-pgpool/admin-password",
                "pgpool.srCheckPassword gitea-postgresql-ha-pgpool/sr-check-password",
            ]
        );
        let own = json!({
            "postgresql": {"username": "gitea", "existingSecret": "own"},
            "pgpool": {"customUsers": {"usernames": "a;b"}},
        });
        let all = shown("postgresql-ha", "postgresql-ha", own, json!({}));
        assert_eq!(
            all,
            [
                "postgresql.password own/password",
                "postgresql.postgresPassword own/postgres-password",
                "postgresql.repmgrPassword own/repmgr-password",
                "pgpool.adminPassword postgresql-ha-pgpool/admin-password",
                "pgpool.srCheckPassword postgresql-ha-pgpool/sr-check-password",
                "pgpool.customUsers.passwords postgresql-ha-pgpool-custom-users/passwords",
            ]
        );
        let global = json!({"postgresql": {"existingSecret": "g", "username": "x"}});
        let own = json!({"fullnameOverride": "db", "pgpool": {"existingSecret": "p"}});
        assert_eq!(
            shown("postgresql-ha", "r", own, global)[1],
            "postgresql.postgresPassword g/postgres-password"
        );
        assert_eq!(
            shown("valkey", "gitea", json!({}), json!(null)),
            ["auth.password gitea-valkey/valkey-password"]
        );
        let own = json!({"auth": {"existingSecret": "s", "existingSecretPasswordKey": "k"}});
        assert_eq!(shown("valkey", "valkey", own, json!(null)), ["auth.password s/k"]);
        assert!(shown("valkey", "v", json!({"auth": {"enabled": false}}), json!(null)).is_empty());
    }

    #[test]
    fn some_names_say_that_they_are_secret() {
        for (key, is) in [
            ("postgresql.password", true),
            ("gitea.config.database.PASSWD", true),
            ("a.SECRET_KEY", false),
            ("a.secretKey", true),
            ("auth.existingSecret", false),
            ("passwordFile", false),
        ] {
            assert_eq!(sounds_secret(&path::parse(key).unwrap()), is, "{key}");
        }
    }
}
