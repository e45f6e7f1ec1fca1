//! The values of the old world, before they are encrypted.

use serde_json::Value;

use crate::lab::shape::Shape;

/// Names of keys whose values are secret; SOPS encrypts these and nothing else, so that a diff of
/// the rest can be read. Those of the last three are connection strings with a password in them.
pub(super) const SECRET_KEYS: &str = "^(.*[pP]assword|passwords|PASSWD|SECRET_KEY|INTERNAL_TOKEN|JWT_SECRET|LFS_JWT_SECRET|PROVIDER_CONFIG|HOST|CONN_STR)$";

/// `.sops.yaml` of a repository.
pub(super) fn sops_rules(recipient: &str) -> String {
    format!(
        "# Only what is secret is encrypted; everything else can be read and reviewed.\n\
         creation_rules:\n  \
           - path_regex: \\.sops\\.yaml$\n    \
             encrypted_regex: {}\n    \
             age: {recipient}\n",
        text(SECRET_KEYS)
    )
}

/// Values of the release `gitea` with its subcharts, as S2 has them.
pub(super) fn gitea(shape: &Shape) -> String {
    let p = &shape.passwords;
    format!(
        r#"# Gitea with its PostgreSQL HA and its Valkey, which are subcharts. Chart gitea 12.7.0.
replicaCount: 1

service:
  http:
    port: 3000
  ssh:
    port: 22

ingress:
  enabled: true
  hosts:
    - host: git.lab.example
      paths:
        - path: /
          pathType: Prefix

persistence:
  enabled: true
  size: 10Gi

gitea:
  admin:
    username: {admin}
    password: {admin_password}
    email: admin@lab.example
    # The chart's own `keepUpdated` sets the password again at every start, and so changes a row.
    passwordMode: initialOnlyNoReset
  config:
    APP_NAME: "Railiance forge"
    server:
      OFFLINE_MODE: true
      LFS_START_SERVER: true
    database:
      # Below what the pooler has for clients: the next one would be refused.
      MAX_OPEN_CONNS: 20
      CONN_MAX_LIFETIME: 5m
    service:
      DISABLE_REGISTRATION: true
    log:
      LEVEL: Warn

# Name, user and password of the subchart are forced onto Gitea.
postgresql-ha:
  enabled: true
  global:
    postgresql:
      database: {database}
      username: {role}
      password: {role_password}
  postgresql:
    replicaCount: 3
    postgresPassword: {superuser}
    repmgrPassword: {repmgr}
  pgpool:
    replicaCount: 1
    # Gitea reads what it has just written; a standby may not have it yet.
    useLoadBalancing: false
    adminPassword: {pooler_admin}
    srCheckPassword: {sr_check}
    # RAIL-BS-WP-0003
    pgpoolPassword: {role_password}
  persistence:
    enabled: true
    size: 10Gi

postgresql:
  enabled: false

valkey-cluster:
  enabled: false

valkey:
  enabled: true
  architecture: standalone
  global:
    valkey:
      # In a URL as it is: letters and digits.
      password: {valkey}
"#,
        admin = text(&shape.admin),
        admin_password = text(&p.admin),
        database = text(&shape.database),
        role = text(&shape.role),
        role_password = text(&p.role),
        superuser = text(&p.superuser),
        repmgr = text(&p.repmgr),
        pooler_admin = text(&p.pooler_admin),
        sr_check = text(&p.sr_check),
        valkey = text(&p.valkey),
    )
}

/// A text in double quotes: JSON's spelling is YAML's, too.
pub(super) fn text(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_say_what_was_drawn() {
        let shape = Shape::new(11, 1);
        let file = workplan_engine::text::SourceFile::new("values.yaml", gitea(&shape));
        let (root, found) = workplan_engine::yaml::parse_file(&file);
        assert!(!found.has_errors());
        let at = |path: &[&str]| {
            let root = root.as_ref().unwrap();
            let node = path.iter().try_fold(root, |n, part| n.as_map()?.get(part)).unwrap();
            node.as_str().unwrap().to_owned()
        };
        assert_eq!(
            at(&["postgresql-ha", "global", "postgresql", "password"]),
            shape.passwords.role
        );
        assert_eq!(at(&["postgresql-ha", "global", "postgresql", "database"]), shape.database);
        assert_eq!(at(&["gitea", "admin", "password"]), shape.passwords.admin);
    }
}
