//! Acting on a local target.

mod deploy;
mod exec;
mod faults;
mod rest;
mod scale;
mod settle;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use workplan_engine::kind::Hands;

use super::run::Act;
use super::view::LocalView;
use crate::platform::{Operate, Reached, View};
use crate::values::Values;
use crate::{
    AppView, Endpoint, ExecOutput, Fault, Object, PartRef, PlatformError, PostgresHa, Release,
    ReleaseRef, ReleaseSpec, Rendered, SecretValues, Traffic, Volume, Workload,
};

/// How long an operation may take that nobody gave a time.
const OPERATION: Duration = Duration::from_secs(300);

/// The acting half of the platform `local`.
pub struct LocalOperate {
    pub(super) view: LocalView,
    pub(super) hands: Hands,
}

impl LocalOperate {
    /// The means to act on the target of a pair of hands.
    ///
    /// # Errors
    /// When the target file does not say where its releases live.
    pub fn new(hands: &Hands) -> Result<Self, PlatformError> {
        Ok(Self { view: LocalView::new(hands)?, hands: hands.clone() })
    }

    /// What acts on one release, for so long.
    pub(super) fn act<'a>(
        &'a self,
        at: &'a ReleaseRef,
        timeout: Option<Duration>,
    ) -> Result<Act<'a>, PlatformError> {
        let account = self.view.world().account()?;
        super::store::files::make_folder(self.view.world().store.dir())?;
        self.view.world().check_way(account)?;
        let until = Instant::now() + timeout.unwrap_or(OPERATION);
        let view = &self.view;
        Ok(Act { hands: &self.hands, view, at, account, until, given_up: Mutex::default() })
    }
}

/// The acting half reads as the reading half does.
#[async_trait]
impl View for LocalOperate {
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

    async fn connections(&self, at: &ReleaseRef) -> Result<Option<Vec<String>>, PlatformError> {
        self.view.connections(at).await
    }

    async fn listener(&self, endpoint: &Endpoint) -> Option<String> {
        self.view.listener(endpoint).await
    }

    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError> {
        self.view.reach(endpoint).await
    }
}

#[async_trait]
impl Operate for LocalOperate {
    async fn deploy(&self, spec: &ReleaseSpec) -> Result<Release, PlatformError> {
        self.deploy_release(spec).await
    }

    async fn settle(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        self.settle_release(at).await
    }

    async fn roll_back(
        &self,
        at: &ReleaseRef,
        revision: u64,
        timeout: Duration,
    ) -> Result<Release, PlatformError> {
        self.roll_back_release(at, revision, timeout).await
    }

    async fn uninstall(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        self.uninstall_release(at).await
    }

    async fn scale(
        &self,
        at: &ReleaseRef,
        workload: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        self.scale_workload(at, workload, replicas, timeout).await
    }

    async fn set_traffic(&self, at: &ReleaseRef, open: bool) -> Result<(), PlatformError> {
        self.let_in(at, open).await
    }

    async fn exec(
        &self,
        at: &ReleaseRef,
        workload: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, PlatformError> {
        self.exec_in(at, workload, argv, timeout).await
    }

    async fn fault(&self, at: &PartRef, node: &str, fault: Fault) -> Result<(), PlatformError> {
        self.inject(at, node, fault).await
    }

    async fn mend(&self, at: &PartRef, node: &str, timeout: Duration) -> Result<(), PlatformError> {
        self.mend_pod(at, node, timeout).await
    }
}
