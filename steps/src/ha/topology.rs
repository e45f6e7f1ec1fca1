//! What a PostgreSQL with replication and a pooler looks like now, by SQL on every node.

use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::kind::Secret;
use workplan_platform::sql::{Login, Reader, Row, SimpleQueryRow, SqlError};
use workplan_platform::{Endpoint, PostgresHa, PostgresNode, SecretKey, View, deployed};

use crate::proof::Finding;

/// What was seen of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    /// The one node that leads.
    pub(crate) primary: Option<String>,
    /// Data nodes that answered, by name: whether each is in recovery.
    pub(crate) roles: BTreeMap<String, bool>,
    /// Standbys that stream from the primary.
    pub(crate) streaming: usize,
    /// How far the slowest of them is behind, in bytes.
    pub(crate) lag_bytes: Option<i64>,
    /// The pooler's rows: node id, its role for the pooler, the role by SQL, status.
    pub(crate) pooler: Vec<PoolerRow>,
    /// Client users whose login was tried and worked.
    pub(crate) clients: Vec<String>,
}

/// One row of `SHOW pool_nodes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolerRow {
    pub(crate) node: String,
    pub(crate) status: String,
    pub(crate) role: String,
    /// `None` where this pooler version does not say.
    pub(crate) by_sql: Option<String>,
}

/// One inspection.
pub(super) struct Inspection<'a> {
    view: &'a dyn View,
    pub(super) ha: &'a PostgresHa,
    identity: &'a str,
    users: &'a [String],
    /// Of each single question.
    deadline: Duration,
    pub(super) topology: Topology,
    pub(super) findings: Vec<Finding>,
}

/// Looks at every node and at the pooler. Each question has its own deadline; one that gets no
/// answer is a finding with a name, and the others are asked all the same. `users` must be able to
/// log in through the pooler; other users that it knows are tried where their role is there.
pub(crate) async fn inspect(
    view: &dyn View,
    ha: &PostgresHa,
    identity: &str,
    users: &[String],
    deadline: Duration,
) -> (Topology, Vec<Finding>) {
    let mut inspection = Inspection {
        view,
        ha,
        identity,
        users,
        deadline,
        topology: Topology::default(),
        findings: ha.missing.iter().map(Finding::lasting).collect(),
    };
    let secrets = inspection.secrets().await;
    inspection.nodes(&secrets).await;
    inspection.replication(&secrets).await;
    inspection.manager(&secrets).await;
    inspection.logins(&secrets).await;
    inspection.pooler(&secrets).await;
    (inspection.topology, inspection.findings)
}

/// The deployed passwords by user.
pub(super) type Passwords = BTreeMap<String, Secret>;

impl Inspection<'_> {
    fn users(&self) -> impl Iterator<Item = &(String, SecretKey)> {
        std::iter::once(&self.ha.superuser)
            .chain(self.ha.sr_check.as_ref())
            .chain(self.ha.replication.as_ref())
            .chain(&self.ha.pool_users)
    }

    async fn secrets(&mut self) -> Passwords {
        let mut found = Passwords::new();
        let mut problems = Vec::new();
        for (user, key) in self.users() {
            match deployed(self.view, key).await {
                Ok(secret) if secret.reveal().is_empty() => problems
                    .push(Finding::lasting(format!("the password of `{user}` is empty: {key}"))),
                Ok(secret) => {
                    found.insert(user.clone(), secret);
                }
                Err(error) => problems.push(
                    Finding::lasting(format!("the password of `{user}` is not to be had: {error}"))
                        .with_help(
                            "put the key into the versioned values file, then deploy the release",
                        ),
                ),
            }
        }
        // One user may stand in several lists.
        for problem in problems {
            if !self.findings.contains(&problem) {
                self.findings.push(problem);
            }
        }
        found
    }

    fn login(&self, endpoint: &Endpoint, user: &str, secrets: &Passwords) -> Login {
        Login {
            endpoint: endpoint.clone(),
            user: user.to_owned(),
            password: secrets.get(user).cloned(),
            database: "postgres".to_owned(),
            application: self.identity.to_owned(),
        }
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        user: &str,
        secrets: &Passwords,
        sql: &str,
    ) -> Result<Vec<Row>, SqlError> {
        self.ask_in("postgres", endpoint, user, secrets, sql).await
    }

    pub(super) async fn ask_in(
        &self,
        database: &str,
        endpoint: &Endpoint,
        user: &str,
        secrets: &Passwords,
        sql: &str,
    ) -> Result<Vec<Row>, SqlError> {
        let mut login = self.login(endpoint, user, secrets);
        database.clone_into(&mut login.database);
        let asked = async {
            let reader = Reader::connect(self.view, &login, self.deadline).await?;
            reader.rows(sql, &[]).await
        };
        self.bounded(endpoint, asked).await
    }

    /// The pooler's own view of its nodes, which it tells in the simple protocol alone.
    async fn pool_nodes(
        &self,
        pooler: &Endpoint,
        user: &str,
        secrets: &Passwords,
    ) -> Result<Vec<PoolerRow>, SqlError> {
        let login = self.login(pooler, user, secrets);
        let asked = async {
            let reader = Reader::connect(self.view, &login, self.deadline).await?;
            reader.texts("show pool_nodes").await
        };
        Ok(self.bounded(pooler, asked).await?.iter().map(pooler_row).collect())
    }

    /// A frozen server accepts the connection and then says nothing.
    async fn bounded<T>(
        &self,
        endpoint: &Endpoint,
        asked: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        match tokio::time::timeout(self.deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(SqlError::Silent { at: endpoint.to_string(), after: self.deadline }),
        }
    }

    async fn nodes(&mut self, secrets: &Passwords) {
        let superuser = self.ha.superuser.0.clone();
        for node in &self.ha.nodes {
            if !node.running {
                self.findings.push(Finding::passing(format!("`{}` does not run", node.name)));
                continue;
            }
            let sql = "select pg_catalog.pg_is_in_recovery()";
            match self.ask(&node.endpoint, &superuser, secrets, sql).await {
                Ok(rows) => {
                    let standby = rows.first().is_some_and(|row| row.get(0));
                    self.topology.roles.insert(node.name.clone(), standby);
                }
                Err(error) => self.findings.push(unanswered(&node.name, &error)),
            }
        }
        let leading: Vec<&String> =
            self.topology.roles.iter().filter(|(_, standby)| !**standby).map(|(n, _)| n).collect();
        match leading[..] {
            [one] => self.topology.primary = Some(one.clone()),
            [] => self.findings.push(Finding::passing("no node says that it leads")),
            _ => self.findings.push(
                Finding::lasting(format!(
                    "{} nodes say that they lead (split brain): {}",
                    leading.len(),
                    leading.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
                ))
                .with_help("stop all but the right one; their data may have parted already"),
            ),
        }
    }

    async fn replication(&mut self, secrets: &Passwords) {
        let Some(primary) = self.topology.primary.clone() else { return };
        let Some(node) = self.ha.nodes.iter().find(|n| n.name == primary) else { return };
        let sql = "select count(*) filter (where state = 'streaming'), \
                   max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn))::bigint \
                   from pg_catalog.pg_stat_replication where application_name not like 'pg_basebackup%'";
        match self.ask(&node.endpoint, &self.ha.superuser.0.clone(), secrets, sql).await {
            Ok(rows) => {
                if let Some(row) = rows.first() {
                    self.topology.streaming = usize::try_from(row.get::<_, i64>(0)).unwrap_or(0);
                    self.topology.lag_bytes = row.get(1);
                }
                let wanted = self.ha.nodes.len() - 1;
                if self.topology.streaming < wanted {
                    self.findings.push(Finding::passing(format!(
                        "{} of {wanted} standbys stream from `{primary}`",
                        self.topology.streaming
                    )));
                }
            }
            Err(error) => self.findings.push(unanswered(&primary, &error)),
        }
    }

    /// The users that the pooler and the replication manager log in as, on every backend.
    async fn logins(&mut self, secrets: &Passwords) {
        let internal: Vec<(String, SecretKey, &str)> = self
            .ha
            .sr_check
            .iter()
            .map(|(u, k)| (u.clone(), k.clone(), "the pooler's streaming-replication check"))
            .chain(
                self.ha
                    .replication
                    .iter()
                    .map(|(u, k)| (u.clone(), k.clone(), "the replication manager")),
            )
            .collect();
        for (user, key, who) in internal {
            if !secrets.contains_key(&user) {
                continue;
            }
            for node in &self.ha.nodes {
                if !self.topology.roles.contains_key(&node.name) {
                    continue;
                }
                if let Err(error) = self.ask(&node.endpoint, &user, secrets, "select 1").await {
                    self.findings.push(refused(&node.name, &user, who, &key, &error));
                    break;
                }
            }
        }
    }

    async fn pooler(&mut self, secrets: &Passwords) {
        let Some(pooler) = self.ha.pooler.clone() else { return };
        let superuser = self.ha.superuser.0.clone();
        match self.pool_nodes(&pooler, &superuser, secrets).await {
            Ok(rows) => {
                self.topology.pooler = rows;
                self.judge_pooler();
            }
            Err(error) => {
                let key = self.ha.superuser.1.clone();
                let finding = match self.all_down(&error) {
                    Some(finding) => finding,
                    None => refused_by_pooler(&superuser, "the superuser", &key, &error),
                };
                self.findings.push(finding);
            }
        }
        let known = self.roles_on_primary(secrets).await;
        for user in self.users {
            if !self.ha.pool_users.iter().any(|(name, _)| name == user) {
                self.findings.push(no_entry(user));
            } else if known.as_ref().is_some_and(|known| !known.contains(user)) {
                self.findings.push(
                    Finding::lasting(format!("there is no role `{user}` that may log in"))
                        .with_help("make it with `postgres.role`"),
                );
            }
        }
        for (user, key) in self.ha.pool_users.clone() {
            let there = known.as_ref().is_some_and(|known| known.contains(&user));
            if user == superuser || !secrets.contains_key(&user) || !there {
                continue;
            }
            // Past the pooler first: whose password it is that is wrong.
            if let Some(node) = self.primary()
                && let Err(error @ SqlError::Refused { .. }) =
                    self.ask(&node.endpoint, &user, secrets, "select 1").await
            {
                self.findings.push(refused(&node.name, &user, "a client", &key, &error));
                continue;
            }
            match self.ask(&pooler, &user, secrets, "select 1").await {
                Ok(_) => self.topology.clients.push(user),
                Err(error) if self.all_down(&error).is_some() => {}
                Err(error) => {
                    self.findings.push(refused_by_pooler(&user, "a client", &key, &error));
                }
            }
        }
    }

    pub(super) fn primary(&self) -> Option<&PostgresNode> {
        let primary = self.topology.primary.as_ref()?;
        self.ha.nodes.iter().find(|node| node.name == *primary)
    }

    /// The pooler has given up all nodes, and each of them answers: it cannot log in for its checks.
    fn all_down(&self, error: &SqlError) -> Option<Finding> {
        let SqlError::Server { message, .. } = error else { return None };
        if !message.contains("all backend nodes are down")
            || self.topology.roles.len() < self.ha.nodes.len()
        {
            return None;
        }
        let (user, key) = self.ha.sr_check.as_ref()?;
        Some(
            Finding::lasting(format!(
                "the pooler takes all nodes for down, and each of them answers: its checks cannot \
                 log in as `{user}` with what the pooler was started with"
            ))
            .with_help(format!(
                "compare {key} with the pooler's own, then deploy the release again"
            )),
        )
    }

    /// A user that the pooler was told of ahead of its role is no fault. `None` where nobody could
    /// be asked, which is a finding of its own.
    async fn roles_on_primary(&mut self, secrets: &Passwords) -> Option<Vec<String>> {
        let (name, endpoint) = self.primary().map(|n| (n.name.clone(), n.endpoint.clone()))?;
        let sql = "select rolname::text from pg_catalog.pg_roles where rolcanlogin";
        match self.ask(&endpoint, &self.ha.superuser.0, secrets, sql).await {
            Ok(rows) => Some(rows.iter().map(|row| row.get(0)).collect()),
            Err(error) => {
                self.findings.push(unanswered(&name, &error));
                None
            }
        }
    }

    fn judge_pooler(&mut self) {
        let rows = self.topology.pooler.clone();
        if rows.len() != self.ha.nodes.len() {
            self.findings.push(Finding::lasting(format!(
                "the pooler knows {} of {} nodes",
                rows.len(),
                self.ha.nodes.len()
            )));
        }
        // The incident: logins still work, and the first failover hangs for ever.
        if !rows.is_empty() && rows.iter().all(|r| r.by_sql.as_deref() == Some("unknown")) {
            self.findings.push(
                Finding::passing(
                    "the pooler cannot ask any node for its role (`pg_role` is unknown on all): \
                     its streaming-replication check cannot log in. Logins still work, and the \
                     next failover would hang without an error",
                )
                .with_help(
                    "compare the key `sr-check-password` of the deployed Secret with what the \
                     pooler was started with; redeploy the release so that both agree",
                ),
            );
            return;
        }
        for row in &rows {
            if row.status != "up" {
                let finding = Finding::passing(format!(
                    "the pooler has node {} as `{}`",
                    row.node, row.status
                ));
                self.findings.push(finding.with_help(
                    "a node that is back is taken in by `pcp_attach_node`, or by a restart of the pooler",
                ));
            }
            if let Some(by_sql) = row.by_sql.as_ref().filter(|r| **r != row.role) {
                self.findings.push(Finding::passing(format!(
                    "the pooler has node {} as `{}`, by SQL it is `{by_sql}`",
                    row.node, row.role
                )));
            }
        }
        let primaries = rows.iter().filter(|r| r.role == "primary").count();
        if primaries != 1 {
            self.findings
                .push(Finding::passing(format!("the pooler has {primaries} primaries, not one")));
        }
    }
}

fn pooler_row(row: &SimpleQueryRow) -> PoolerRow {
    let column = |name: &str| {
        let ix = row.columns().iter().position(|c| c.name() == name)?;
        row.get(ix).map(|text| text.trim().to_owned())
    };
    let host = column("hostname").unwrap_or_default();
    let port = column("port").unwrap_or_default();
    let node = column("node_id").unwrap_or_default();
    PoolerRow {
        node: format!("{node} ({host}:{port})"),
        status: column("status").unwrap_or_default(),
        role: column("role").unwrap_or_default(),
        by_sql: column("pg_role"),
    }
}

pub(super) fn unanswered(node: &str, error: &SqlError) -> Finding {
    match error {
        SqlError::Refused { .. } => Finding::lasting(format!("`{node}`: {error}")),
        _ => Finding::passing(format!("`{node}`: {error}")),
    }
}

fn no_entry(user: &str) -> Finding {
    Finding::lasting(format!("the pooler has no `pool_passwd` entry for `{user}`")).with_help(
        "add the user to `pgpool.customUsers` in the versioned values, then deploy the release",
    )
}

/// A login that its PostgreSQL takes, as far as that was asked.
fn refused_by_pooler(user: &str, who: &str, key: &SecretKey, error: &SqlError) -> Finding {
    match error {
        SqlError::Refused { why, .. } => Finding::lasting(format!(
            "the pooler refuses `{user}` ({who}) with the deployed password ({key}), and its \
             PostgreSQL takes it: the pooler's `pool_passwd` entry for `{user}` is missing or \
             wrong ({why})"
        ))
        .with_help(
            "deploy the release again, so that the pooler is started with today's passwords",
        ),
        other => refused("the pooler", user, who, key, other),
    }
}

fn refused(at: &str, user: &str, who: &str, key: &SecretKey, error: &SqlError) -> Finding {
    match error {
        SqlError::Refused { why, .. } => Finding::lasting(format!(
            "{at} refuses `{user}` ({who}) with the deployed password ({key}): {why}"
        ))
        .with_help(
            "passwords of the chart act at the first start only: set the role's password to the \
             deployed one, or put the right one into the versioned values and redeploy",
        ),
        other => Finding::passing(format!("`{user}` ({who}) cannot log in at {at}: {other}")),
    }
}
