//! How many of a workload run. It is no release change.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::KubernetesOperate;
use super::settle::MANAGER;
use crate::platform::View as _;
use crate::{PlatformError, ReleaseRef, Workload};

impl KubernetesOperate {
    pub(super) async fn scale_workload(
        &self,
        at: &ReleaseRef,
        workload: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        let until = Instant::now() + timeout;
        let cluster = self.view.cluster();
        if !self.view.workloads(at).await?.iter().any(|w| w.name == workload) {
            return Err(PlatformError::Missing(format!("{at} has no workload `{workload}`")));
        }
        let sets = cluster.api::<StatefulSet>(&at.namespace).await?;
        let deployments = cluster.api::<Deployment>(&at.namespace).await?;
        let doing = format!("scale `{workload}` of {at} to {replicas}");
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let is_set = cluster.ask(&doing, || sets.get_metadata_opt(workload)).await?.is_some();
        let scaled = || async {
            match is_set {
                true => sets.patch_scale(workload, &params, &patch).await,
                false => deployments.patch_scale(workload, &params, &patch).await,
            }
        };
        cluster.ask(&doing, scaled).await?;
        let is_so = || async {
            let all = self.view.workloads(at).await?;
            let this = all.iter().find(|w| w.name == workload);
            Ok(this.filter(|w| w.wanted != replicas || !w.is_ready()).map(Workload::readiness))
        };
        cluster.wait(self.wait(at, until), is_so).await
    }
}
