//! A PostgreSQL of the chart `postgresql-ha`: its nodes by labels, its logins by values and Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use serde_json::{Map, Value};
use workplan_engine::kind::Look;

use super::cluster::Cluster;
use super::workload::{COMPONENT, NAME, selector};
use crate::{Endpoint, PartRef, PlatformError, PostgresHa, PostgresNode, SecretKey, SecretValues};

/// The chart.
const CHART: &str = "postgresql-ha";
/// What servers in pods listen on.
const PORT: u16 = 5432;

/// The values that say who logs in as whom, with the chart's defaults behind them.
struct ChartValues<'v> {
    own: &'v Map<String, Value>,
    global: Option<&'v Map<String, Value>>,
}

impl ChartValues<'_> {
    /// `section.key`, `global.section.key` before it.
    fn text(&self, section: &str, key: &str) -> Option<String> {
        let of = |map: Option<&Map<String, Value>>| {
            let value = map?.get(section)?.get(key)?.as_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        of(self.global).or_else(|| of(Some(self.own)))
    }

    fn or(&self, section: &str, key: &str, default: &str) -> String {
        self.text(section, key).unwrap_or_else(|| default.to_owned())
    }
}

impl Cluster {
    /// The PostgreSQL of a release or of a part of it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) async fn postgres_of(
        &self,
        look: &Look,
        at: &PartRef,
    ) -> Result<PostgresHa, PlatformError> {
        let missing = |what: String| PlatformError::Missing(what);
        let Some((_, body)) = self.newest(&at.release).await? else {
            return Err(missing(format!("there is no release {}", at.release)));
        };
        let chart = at.part.as_deref().unwrap_or(body.chart());
        if chart != CHART {
            return Err(PlatformError::Failed {
                what: format!("{at} is of the chart `{chart}`, and no PostgreSQL of it is known"),
                said: Vec::new(),
                help: Some(format!("the chart `{CHART}` is the only provider so far")),
            });
        }
        let mut merged = crate::values::Values::plain(body.defaults());
        merged.merge(&crate::values::Values::plain(body.config()));
        let all = merged.reveal();
        let none = Map::new();
        let own = match &at.part {
            Some(part) => all.get(part).and_then(Value::as_object).unwrap_or(&none),
            None => all,
        };
        let values = ChartValues { own, global: all.get("global").and_then(Value::as_object) };
        let (set, pooler, nodes) = self.objects_of_ha(at).await?;
        self.logins(look, at, &values, &set, pooler, nodes).await
    }

    /// The StatefulSet's name, the pooler's service, and the nodes.
    async fn objects_of_ha(
        &self,
        at: &PartRef,
    ) -> Result<(String, Option<String>, Vec<PostgresNode>), PlatformError> {
        let namespace = &at.release.namespace;
        let sets = self.api::<StatefulSet>(namespace).await?;
        let services = self.api::<Service>(namespace).await?;
        let pods = self.api::<Pod>(namespace).await?;
        let of = |component: &str| {
            let own = format!("{},{NAME}={CHART},{COMPONENT}={component}", selector(&at.release));
            ListParams::default().labels(&own)
        };
        let (data, pool) = (of("postgresql"), of("pgpool"));
        let doing = |what: &str| format!("list the {what} of {at}");
        let (s, v, p) = (doing("StatefulSets"), doing("services"), doing("pods"));
        let (sets, services, pods) = tokio::join!(
            self.ask(&s, || sets.list(&data)),
            self.ask(&v, || services.list(&pool)),
            self.ask(&p, || pods.list(&data)),
        );
        let Some(set) = sets?.items.into_iter().next() else {
            return Err(PlatformError::Missing(format!("{at} has no StatefulSet of PostgreSQL")));
        };
        let name = set.metadata.name.unwrap_or_default();
        let replicas = set.spec.and_then(|s| s.replicas).unwrap_or(1);
        let pods: BTreeMap<String, Pod> = pods?
            .items
            .into_iter()
            .filter_map(|pod| Some((pod.metadata.name.clone()?, pod)))
            .collect();
        let node = |number| {
            let pod = format!("{name}-{number}");
            let endpoint =
                Endpoint::Pod { namespace: namespace.clone(), pod: pod.clone(), port: PORT };
            PostgresNode { running: pods.get(&pod).is_some_and(runs), name: pod, endpoint }
        };
        let nodes = (0..replicas).map(node).collect();
        let pooler = services?.items.into_iter().find_map(|s| s.metadata.name);
        Ok((name, pooler, nodes))
    }

    async fn logins(
        &self,
        look: &Look,
        at: &PartRef,
        chart: &ChartValues<'_>,
        set: &str,
        pooler: Option<String>,
        nodes: Vec<PostgresNode>,
    ) -> Result<PostgresHa, PlatformError> {
        let namespace = &at.release.namespace;
        let key = |secret: &str, key: &str| SecretKey {
            namespace: namespace.clone(),
            secret: secret.to_owned(),
            key: key.to_owned(),
        };
        let username = chart.or("postgresql", "username", "postgres");
        let node = chart.or("postgresql", "existingSecret", set);
        // The pooler's own objects are named like its service.
        let pool_name = pooler.clone().unwrap_or_else(|| set.replace("-postgresql", "-pgpool"));
        let pool = chart.or("pgpool", "existingSecret", &pool_name);
        let owner = (username.clone(), key(&node, "password"));
        let superuser = match username.as_str() {
            "postgres" => owner.clone(),
            _ => ("postgres".to_owned(), key(&node, "postgres-password")),
        };
        let sr_check = (
            chart.or("pgpool", "srCheckUsername", "sr_check_user"),
            key(&pool, "sr-check-password"),
        );
        let replication =
            (chart.or("postgresql", "repmgrUsername", "repmgr"), key(&node, "repmgr-password"));
        let mut pool_users = vec![owner];
        let mut wanted = vec![superuser.1.clone(), sr_check.1.clone(), replication.1.clone()];
        wanted.extend(pool_users.iter().map(|(_, key)| key.clone()));
        wanted.push(key(&pool, "admin-password"));
        let custom = chart.text("pgpool", "customUsersSecret");
        let listed = chart.own.get("pgpool").and_then(|p| p.pointer("/customUsers/usernames"));
        let listed = listed.and_then(Value::as_str).is_some_and(|names| !names.is_empty());
        let custom = custom.or_else(|| listed.then(|| format!("{pool_name}-custom-users")));
        if let Some(secret) = &custom {
            wanted.extend([key(secret, "usernames"), key(secret, "passwords")]);
            let values = self.secret_of(look, namespace, secret).await?.unwrap_or_default();
            let names = values.get("usernames").map(crate::database::list).unwrap_or_default();
            for (number, name) in names.iter().enumerate() {
                let name = String::from_utf8_lossy(name.reveal()).into_owned();
                pool_users.push((name, key(secret, &format!("passwords[{number}]"))));
            }
        }
        Ok(PostgresHa {
            at: at.clone(),
            nodes,
            pooler: pooler.map(|service| Endpoint::Service {
                namespace: namespace.clone(),
                service,
                port: PORT,
            }),
            superuser,
            sr_check: Some(sr_check),
            replication: Some(replication),
            replication_database: Some(chart.or("postgresql", "repmgrDatabase", "repmgr")),
            pool_users,
            missing: self.missing(look, wanted).await?,
        })
    }

    /// Keys that the chart mounts and that are not there: a pod with one waits without a word.
    async fn missing(
        &self,
        look: &Look,
        wanted: Vec<SecretKey>,
    ) -> Result<Vec<String>, PlatformError> {
        let mut secrets: BTreeMap<String, Option<SecretValues>> = BTreeMap::new();
        let mut missing = Vec::new();
        for key in wanted {
            if !secrets.contains_key(&key.secret) {
                let found = self.secret_of(look, &key.namespace, &key.secret).await?;
                secrets.insert(key.secret.clone(), found);
            }
            let what = match secrets.get(&key.secret) {
                Some(Some(values)) if values.contains_key(&key.key) => continue,
                Some(Some(_)) => format!("{key} is not there, and the chart mounts it"),
                _ => format!(
                    "the Secret `{}/{}` is not there, and the chart mounts it",
                    key.namespace, key.secret
                ),
            };
            if !missing.contains(&what) {
                missing.push(what);
            }
        }
        Ok(missing)
    }
}

/// Whether a pod's server has been started and is not being ended.
fn runs(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    let running = |c: &k8s_openapi::api::core::v1::ContainerStatus| {
        c.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    pod.metadata.deletion_timestamp.is_none()
        && statuses.is_some_and(|all| !all.is_empty() && all.iter().all(running))
}
