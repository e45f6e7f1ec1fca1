//! Faults of a data node, and what mends them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use tokio::time::Instant;

use super::super::rights::Right;
use super::super::view::not_yet;
use super::KubernetesOperate;
use crate::platform::View as _;
use crate::sql::{Login, Reader, SimpleQueryRow, SqlError};
use crate::{Fault, PartRef, PlatformError, deployed};

/// How long the pooler may take to answer one question.
const ANSWER: Duration = Duration::from_secs(5);

impl KubernetesOperate {
    pub(super) async fn inject(
        &self,
        at: &PartRef,
        node: &str,
        fault: Fault,
    ) -> Result<(), PlatformError> {
        match fault {
            Fault::PodDelete => {
                self.check_node(at, node).await?;
                let cluster = self.view.cluster();
                let namespace = Some(at.release.namespace.clone());
                cluster.demand([(namespace, Right::new("delete", "", "pods"))].into()).await?;
                let pods = cluster.api::<Pod>(&at.release.namespace).await?;
                let doing = format!("delete the pod `{node}`");
                let pod = cluster.ask(&doing, || pods.get_metadata(node)).await?;
                self.delete_pod(&at.release.namespace, node, pod.metadata.uid).await
            }
            // The main process of a container cannot be killed or frozen from inside of it.
            Fault::Kill | Fault::FastStop | Fault::Freeze => {
                let mut error = not_yet("any fault but `pod-delete`");
                if let PlatformError::Target { help, .. } = &mut error {
                    "use `fault: pod-delete`".clone_into(help);
                }
                Err(error)
            }
        }
    }

    /// Deletes a pod, and no other one that has its name meanwhile.
    pub(super) async fn delete_pod(
        &self,
        namespace: &str,
        pod: &str,
        uid: Option<String>,
    ) -> Result<(), PlatformError> {
        let cluster = self.view.cluster();
        let pods = cluster.api::<Pod>(namespace).await?;
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid, ..Default::default() }),
            ..Default::default()
        };
        let deleted = || async {
            match pods.delete(pod, &params).await {
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                other => other.map(drop),
            }
        };
        cluster.ask(&format!("delete the pod `{pod}`"), deleted).await
    }

    /// Waits until the node's pod is there again and ready: its StatefulSet makes it, its entrypoint
    /// lets it join as a standby.
    pub(super) async fn mend_pod(
        &self,
        at: &PartRef,
        node: &str,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        self.check_node(at, node).await?;
        let until = Instant::now() + timeout;
        let is_so = || async {
            let workloads = self.view.workloads(&at.release).await?;
            let mut instances = workloads.iter().flat_map(|w| &w.instances);
            Ok(match instances.find(|i| i.name == node) {
                None => Some(format!("there is no pod `{node}`")),
                Some(instance) if instance.ready => None,
                Some(instance) => {
                    let why = instance.why.as_deref().unwrap_or("it is not ready");
                    Some(format!("`{node}`: {why}"))
                }
            })
        };
        self.view.cluster().wait(self.wait(&at.release, until), is_so).await?;
        let ha = self.view.postgres(at).await?;
        let Some(pooler) = ha.pooler else { return Ok(()) };
        let login = Login {
            endpoint: pooler,
            password: Some(deployed(&self.view, &ha.superuser.1).await?),
            user: ha.superuser.0,
            database: "postgres".to_owned(),
            application: self.hands.identity.to_string(),
        };
        // A node that is back is taken in by the pooler's next round of checks.
        let taken_in = || async {
            Ok(match self.pooler_of(&login, node).await {
                Ok(status) if status != "down" => None,
                Ok(_) => Some(format!("the pooler has `{node}` as down")),
                Err(error) => Some(error.to_string()),
            })
        };
        self.view.cluster().wait(self.wait(&at.release, until), taken_in).await
    }

    /// What the pooler takes a node for.
    async fn pooler_of(&self, login: &Login, node: &str) -> Result<String, SqlError> {
        let reader = Reader::connect(&self.view, login, ANSWER).await?;
        let rows = reader.texts("show pool_nodes").await?;
        let named = |row: &&SimpleQueryRow| {
            let host = row.get("hostname").unwrap_or_default();
            host == node || host.starts_with(&format!("{node}."))
        };
        let status = rows.iter().find(named).and_then(|row| row.get("status"));
        // One that it was not told of is nothing that it could take in.
        Ok(status.unwrap_or_default().to_owned())
    }

    async fn check_node(&self, at: &PartRef, node: &str) -> Result<(), PlatformError> {
        let nodes = self.view.postgres(at).await?.nodes;
        if nodes.iter().any(|n| n.name == node) {
            return Ok(());
        }
        let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        Err(PlatformError::Missing(format!(
            "{at} has no data node `{node}`; it has {}",
            names.join(", ")
        )))
    }
}
