//! Faults of a data node, and what mends them.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::LocalOperate;
use super::deploy::wanted;
use crate::local::pod::Pod;
use crate::local::run::PodStatus;
use crate::local::run::reconcile::Wanted;
use crate::{Fault, PartRef, PlatformError, View};

/// How long a fast stop may take. A primary waits for its standbys' receivers.
const FAST_STOP: Duration = Duration::from_secs(60);
/// How long the other nodes may take to follow today's primary by themselves.
const FOLLOWS: Duration = Duration::from_secs(15);
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(100);

impl LocalOperate {
    pub(super) async fn inject(
        &self,
        at: &PartRef,
        node: &str,
        fault: Fault,
    ) -> Result<(), PlatformError> {
        let act = self.act(&at.release, None)?;
        let releases = self.view.world().store.releases(&at.release.namespace);
        let _lock = releases.lock(&at.release.name).await?;
        let pod = self.node(at, node).await?;
        let servers: Vec<_> =
            pod.servers.iter().filter_map(|(c, e)| Some((c, e.clone()?))).collect();
        match fault {
            Fault::Freeze => servers.iter().rev().for_each(|(_, entry)| entry.freeze()),
            Fault::Kill => {
                // All of the pod at one moment, as when its machine dies.
                servers.iter().rev().for_each(|(_, entry)| entry.signal(Signal::SIGKILL));
                for (container, entry) in servers.iter().rev() {
                    let name = format!("{node}/{}", container.name);
                    act.ended(&name, entry.end(None, Duration::ZERO).await)?;
                }
            }
            Fault::FastStop => {
                for (container, entry) in servers.iter().rev() {
                    let name = format!("{node}/{}", container.name);
                    let ended = entry.end(Some(container.stop.signal()), FAST_STOP).await;
                    act.ended(&name, ended)?;
                }
            }
            Fault::PodDelete => {
                return Err(PlatformError::Failed {
                    what: "a local target has no pods that could be deleted".to_owned(),
                    said: Vec::new(),
                    help: Some("use the fault `kill` or `fast-stop` here".to_owned()),
                });
            }
        }
        Ok(())
    }

    pub(super) async fn mend_pod(
        &self,
        at: &PartRef,
        node: &str,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        let act = self.act(&at.release, Some(timeout))?;
        let store = &self.view.world().store;
        let releases = store.releases(&at.release.namespace);
        let _lock = releases.lock(&at.release.name).await?;
        let pod = self.node(at, node).await?;
        // One that was frozen may believe that it leads; it must not go on as it was.
        let frozen = |(_, e): &(_, Option<workplan_engine::process::ServiceEntry>)| {
            e.as_ref().is_some_and(workplan_engine::process::ServiceEntry::is_frozen)
        };
        if pod.servers.iter().any(frozen) {
            for (container, entry) in pod.servers.iter().rev() {
                let Some(entry) = entry else { continue };
                let name = format!("{node}/{}", container.name);
                act.ended(&name, entry.end(None, Duration::ZERO).await)?;
            }
        }
        let rendition = self.rendition_now(&at.release, &releases).await?;
        let objects = releases.objects(&at.release.name)?;
        let key = store.make_key()?;
        let again = async |name: &str| {
            let pods: Vec<Pod> =
                rendition.pods.iter().filter(|p| p.name == name).cloned().collect();
            let wanted = Wanted { pods: &pods, ..wanted(&rendition, &objects, true) };
            act.reconcile_only(&wanted, &key, |p| p.name == name).await
        };
        again(node).await?;
        // repmgrd gives a standby up whose `standby follow` met a primary that had just gone: it
        // keeps asking the old one. As on Kubernetes, a start of its pod ends that.
        for name in self.astray(at, node).await? {
            act.stop_pods(&[self.node(at, &name).await?], false).await?;
            again(&name).await?;
        }
        Ok(())
    }

    /// The other data nodes that run and do not come to follow today's primary by themselves.
    async fn astray(&self, at: &PartRef, mended: &str) -> Result<Vec<String>, PlatformError> {
        let nodes = self.view.postgres(at).await?.nodes;
        let others: Vec<&str> =
            nodes.iter().map(|n| n.name.as_str()).filter(|n| *n != mended).collect();
        let end = Instant::now() + FOLLOWS;
        loop {
            let mut astray = Vec::new();
            for pod in self.view.pods(&at.release)? {
                let name = pod.record.name.clone();
                if pod.is_there()
                    && others.contains(&name.as_str())
                    && self.view.pod_ready(&pod).await.is_err()
                {
                    astray.push(name);
                }
            }
            if astray.is_empty() || Instant::now() >= end {
                return Ok(astray);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A data node, by its pod's name.
    async fn node(&self, at: &PartRef, node: &str) -> Result<PodStatus, PlatformError> {
        let postgres = self.view.postgres(at).await?;
        let found = self.view.pods(&at.release)?.into_iter().find(|p| p.record.name == node);
        found.filter(|_| postgres.nodes.iter().any(|n| n.name == node)).ok_or_else(|| {
            let names: Vec<&str> = postgres.nodes.iter().map(|n| n.name.as_str()).collect();
            PlatformError::Missing(format!(
                "{at} has no data node `{node}`; it has {}",
                names.join(", ")
            ))
        })
    }
}
