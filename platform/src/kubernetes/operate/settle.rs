//! Coming out of a half-done operation, going back, and going away.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::super::manifest;
use super::super::record::{NEXT, Revision};
use super::super::rights::{of_deploy, of_record};
use super::super::workload::selector;
use super::deploy::left_behind;
use super::{KubernetesOperate, OPERATION};
use crate::{PlatformError, Release, ReleaseRef, ReleaseStatus};

/// Who changes what Helm does not.
pub(super) const MANAGER: &str = "workplan";

impl KubernetesOperate {
    pub(super) async fn settle_release(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        let Some(history) = self.view.cluster().history(at).await? else { return Ok(()) };
        let Some(newest) = history.newest() else { return Ok(()) };
        match newest.state() {
            Some(ReleaseStatus::PendingInstall | ReleaseStatus::Uninstalling) => {
                self.uninstall_release(at).await
            }
            Some(status) if status.is_pending() => match history.last_good() {
                Some(good) => {
                    let number = good.number;
                    self.go_back(at, newest, number, Instant::now() + OPERATION).await
                }
                // It was upgraded from a failed install: there is nothing to go back to.
                None => self.uninstall_release(at).await,
            },
            _ => Ok(()),
        }
    }

    pub(super) async fn roll_back_release(
        &self,
        at: &ReleaseRef,
        revision: u64,
        timeout: Duration,
    ) -> Result<Release, PlatformError> {
        let Some(history) = self.view.cluster().history(at).await? else {
            return Err(PlatformError::Missing(format!("there is no release {at}")));
        };
        let Some(newest) = history.newest() else {
            return Err(PlatformError::Missing(format!("{at} has no revision")));
        };
        if newest.state().is_some_and(ReleaseStatus::is_pending) {
            return Err(left_behind(at));
        }
        if !history.0.iter().any(|r| r.number == revision) {
            return Err(PlatformError::Failed {
                what: format!("{at} has no revision {revision} any more"),
                said: Vec::new(),
                help: Some("Helm keeps the last ten; deploy the values of that time".to_owned()),
            });
        }
        self.go_back(at, newest, revision, Instant::now() + timeout).await?;
        self.newest_of(at).await
    }

    async fn go_back(
        &self,
        at: &ReleaseRef,
        newest: &Revision,
        revision: u64,
        until: Instant,
    ) -> Result<(), PlatformError> {
        let body = self.view.cluster().body(at, newest).await?;
        let wanted = manifest::objects(&at.to_string(), &body.manifest, &at.namespace)?;
        let mut rights = of_record(&at.namespace);
        rights.extend(of_deploy(&wanted));
        self.view.cluster().demand(rights).await?;
        self.announce(at, newest).await?;
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let (number, timeout) = (revision.to_string(), format!("{}s", left.as_secs().max(1)));
        let args =
            ["rollback", &at.name, &number, "--namespace", &at.namespace, "--timeout", &timeout];
        let cluster = self.view.cluster();
        let call = cluster.helm_call(&self.hands, &args, left).await?;
        let outcome = self.hands.run(call).await?;
        if outcome.code != Some(0) {
            let doing = format!("take {at} back to revision {revision}");
            return Err(cluster.helm_failure(&doing, &outcome));
        }
        self.wait_ready(at, until).await
    }

    /// Notes who is about to make the next revision: `helm rollback` takes no labels, and what is
    /// pending after a kill has to be known as ours.
    async fn announce(&self, at: &ReleaseRef, newest: &Revision) -> Result<(), PlatformError> {
        let api = self.view.cluster().api::<Secret>(&at.namespace).await?;
        let note = format!("{} {}", newest.number + 1, self.hands.identity);
        let patch = json!({"metadata": {"annotations": {NEXT: note}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let doing = format!("note who changes {at}");
        let patch = Patch::Merge(patch);
        let ask = || api.patch_metadata(&newest.secret, &params, &patch);
        self.view.cluster().ask(&doing, ask).await.map(drop)
    }

    pub(super) async fn uninstall_release(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        let cluster = self.view.cluster();
        if cluster.history(at).await?.is_none() {
            return Ok(());
        }
        let until = Instant::now() + OPERATION;
        let args = ["uninstall", &at.name, "--namespace", &at.namespace, "--ignore-not-found"];
        let call = cluster.helm_call(&self.hands, &args, OPERATION).await?;
        let outcome = self.hands.run(call).await?;
        if outcome.code != Some(0) {
            return Err(cluster.helm_failure(&format!("uninstall {at}"), &outcome));
        }
        let pods = cluster.api::<Pod>(&at.namespace).await?;
        let params = ListParams::default().labels(&selector(at));
        let doing = format!("list the pods of {at}");
        let is_so = || async {
            let left = cluster.ask(&doing, || pods.list_metadata(&params)).await?;
            let names = left.items.into_iter().filter_map(|pod| pod.metadata.name);
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            Ok((!names.is_empty()).then(|| format!("{} are being ended", names.join(", "))))
        };
        cluster.wait(self.wait(at, until), is_so).await
    }
}
