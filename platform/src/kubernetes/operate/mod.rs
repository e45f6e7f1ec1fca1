//! Acting on a cluster.

mod deploy;
mod exec;
mod faults;
mod scale;
mod settle;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use workplan_engine::kind::Hands;

use super::view::{KubernetesView, not_yet};
use super::wait::Wait;
use super::workload::OLD_AND_STUCK;
use crate::platform::{Operate, Reached, View};
use crate::values::Values;
use crate::{
    AppView, Endpoint, ExecOutput, Fault, Object, PartRef, PlatformError, PostgresHa, Release,
    ReleaseRef, ReleaseSpec, Rendered, SecretValues, Traffic, Volume, Workload,
};

/// How long an operation may take that nobody gave a time.
const OPERATION: Duration = Duration::from_secs(300);

/// The acting half of the platform `kubernetes`.
pub struct KubernetesOperate {
    view: KubernetesView,
    hands: Hands,
}

impl KubernetesOperate {
    /// The means to act on the target of a pair of hands.
    ///
    /// # Errors
    /// When the target file does not say enough to reach it.
    pub fn new(hands: &Hands) -> Result<Self, PlatformError> {
        Ok(Self { view: KubernetesView::new(hands)?, hands: hands.clone() })
    }

    /// A wait for something of a release.
    fn wait<'a>(&'a self, at: &'a ReleaseRef, until: Instant) -> Wait<'a> {
        Wait { at, until, cancel: self.hands.cancel() }
    }

    /// Waits until all of a release's workloads are ready.
    async fn wait_ready(&self, at: &ReleaseRef, until: Instant) -> Result<(), PlatformError> {
        let cluster = self.view.cluster();
        let is_so = || async {
            let workloads = self.view.workloads(at).await?;
            self.clear_the_way(at, &workloads).await?;
            Ok(workloads
                .iter()
                .filter(|w| !w.is_ready())
                .map(Workload::readiness)
                .reduce(|a, b| format!("{a}; {b}")))
        };
        cluster.wait(self.wait(at, until), is_so).await
    }

    /// Deletes pods of an older revision that never ran. A StatefulSet waits for such a pod before it
    /// makes the next one, for ever where its image cannot be pulled (kubernetes issue 67250).
    async fn clear_the_way(
        &self,
        at: &ReleaseRef,
        workloads: &[Workload],
    ) -> Result<(), PlatformError> {
        let instances = workloads.iter().flat_map(|w| &w.instances);
        for stuck in instances.filter(|i| i.why.as_deref() == Some(OLD_AND_STUCK)) {
            let uid = stuck.incarnation.split('/').next().unwrap_or_default();
            self.delete_pod(&at.namespace, &stuck.name, Some(uid.to_owned())).await?;
        }
        Ok(())
    }
}

/// The acting half reads as the reading half does.
#[async_trait]
impl View for KubernetesOperate {
    async fn release(&self, at: &ReleaseRef) -> Result<Option<Release>, PlatformError> {
        self.view.release(at).await
    }

    async fn releases(&self) -> Result<Vec<Release>, PlatformError> {
        self.view.releases().await
    }

    async fn render(&self, spec: &ReleaseSpec) -> Result<Rendered, PlatformError> {
        self.view.render(spec).await
    }

    async fn objects(&self, at: &ReleaseRef) -> Result<Vec<Object>, PlatformError> {
        self.view.objects(at).await
    }

    async fn release_values(&self, at: &ReleaseRef) -> Result<Option<Values>, PlatformError> {
        self.view.release_values(at).await
    }

    async fn workloads(&self, at: &ReleaseRef) -> Result<Vec<Workload>, PlatformError> {
        self.view.workloads(at).await
    }

    async fn volumes(&self, at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError> {
        self.view.volumes(at).await
    }

    async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretValues>, PlatformError> {
        self.view.secret(namespace, name).await
    }

    async fn postgres(&self, at: &PartRef) -> Result<PostgresHa, PlatformError> {
        self.view.postgres(at).await
    }

    async fn app(&self, at: &ReleaseRef) -> Result<AppView, PlatformError> {
        self.view.app(at).await
    }

    async fn traffic(&self, at: &ReleaseRef) -> Result<Traffic, PlatformError> {
        self.view.traffic(at).await
    }

    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError> {
        self.view.reach(endpoint).await
    }
}

#[async_trait]
impl Operate for KubernetesOperate {
    async fn deploy(&self, spec: &ReleaseSpec) -> Result<Release, PlatformError> {
        self.view.cluster().still_held().await?;
        self.deploy_release(spec).await
    }

    async fn settle(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        self.view.cluster().still_held().await?;
        self.settle_release(at).await
    }

    async fn roll_back(
        &self,
        at: &ReleaseRef,
        revision: u64,
        timeout: Duration,
    ) -> Result<Release, PlatformError> {
        self.view.cluster().still_held().await?;
        self.roll_back_release(at, revision, timeout).await
    }

    async fn uninstall(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        self.view.cluster().still_held().await?;
        self.uninstall_release(at).await
    }

    async fn scale(
        &self,
        at: &ReleaseRef,
        workload: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        self.view.cluster().still_held().await?;
        self.scale_workload(at, workload, replicas, timeout).await
    }

    async fn set_traffic(&self, at: &ReleaseRef, _open: bool) -> Result<(), PlatformError> {
        Err(not_yet(&format!("opening and shutting the way in to {at}")))
    }

    async fn exec(
        &self,
        at: &ReleaseRef,
        workload: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, PlatformError> {
        self.view.cluster().still_held().await?;
        self.exec_in(at, workload, argv, timeout).await
    }

    async fn fault(&self, at: &PartRef, node: &str, fault: Fault) -> Result<(), PlatformError> {
        self.view.cluster().still_held().await?;
        self.inject(at, node, fault).await
    }

    async fn mend(&self, at: &PartRef, node: &str, timeout: Duration) -> Result<(), PlatformError> {
        self.mend_pod(at, node, timeout).await
    }
}
