//! The trait, in two halves: looking and acting.

use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use workplan_engine::kind::{Hands, Look};

use crate::error::PlatformError;
use crate::kubernetes::{KubernetesOperate, KubernetesView};
use crate::local::{LocalOperate, LocalView};
use crate::model::{
    AppView, Endpoint, ExecOutput, Fault, Object, PartRef, PostgresHa, Release, ReleaseRef,
    ReleaseSpec, Rendered, SecretValues, Traffic, Volume, Workload,
};

/// An address that can be connected to while this value lives.
pub struct Reached {
    /// The address; on Kubernetes the near end of a port-forward.
    pub address: SocketAddr,
    /// Ends the way there when dropped.
    pub guard: Option<Box<dyn Send + Sync>>,
}

/// Looking at a target. No method changes anything; all of them work with read-only rights, and
/// what may not be read is [`PlatformError::Denied`], never absent.
#[async_trait]
pub trait View: Send + Sync {
    /// The release on record. Local: the store's `release.json`. Kubernetes: Helm's newest Secret.
    async fn release(&self, at: &ReleaseRef) -> Result<Option<Release>, PlatformError>;

    /// All releases of all namespaces, sorted.
    async fn releases(&self) -> Result<Vec<Release>, PlatformError>;

    /// What a deploy would make. Kubernetes: `helm template` and a server-side dry-run.
    async fn render(&self, spec: &ReleaseSpec) -> Result<Rendered, PlatformError>;

    /// What is there of a release now; empty where there is nothing. Comparable with
    /// [`View::render`]: the same objects with the same bodies where nothing would change.
    async fn objects(&self, at: &ReleaseRef) -> Result<Vec<Object>, PlatformError>;

    /// The release's values as its user gave them, merged, with secrets. The caller conceals them.
    async fn release_values(
        &self,
        at: &ReleaseRef,
    ) -> Result<Option<crate::values::Values>, PlatformError>;

    /// Its workloads with their instances, asked now: a process is looked for, a port is asked.
    async fn workloads(&self, at: &ReleaseRef) -> Result<Vec<Workload>, PlatformError>;

    /// The volumes that belong to a release, those included that it no longer uses.
    async fn volumes(&self, at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError>;

    /// A Secret's values; each is concealed from then on.
    async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretValues>, PlatformError>;

    /// A PostgreSQL with its nodes, pooler and deployed logins.
    async fn postgres(&self, at: &PartRef) -> Result<PostgresHa, PlatformError>;

    /// An application.
    async fn app(&self, at: &ReleaseRef) -> Result<AppView, PlatformError>;

    /// Whether the outside can get in.
    async fn traffic(&self, at: &ReleaseRef) -> Result<Traffic, PlatformError>;

    /// Who is connected to an application now, by ingress or past it; `None` where that cannot be
    /// told by looking. Local: the kernel's table of connections. Kubernetes: `None`, it takes an
    /// exec.
    async fn connections(&self, at: &ReleaseRef) -> Result<Option<Vec<String>>, PlatformError> {
        let _ = at;
        Ok(None)
    }

    /// Who listens at an endpoint, with where that is, as the end of a sentence: for a message about
    /// somebody who should not be there. `None` where it cannot be told.
    async fn listener(&self, endpoint: &Endpoint) -> Option<String> {
        let _ = endpoint;
        None
    }

    /// A way to an endpoint. Local: its loopback address. Kubernetes: a port-forward in process.
    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError>;
}

/// Acting on a target. What it makes carries the identity of the handle it came from.
///
/// Every method is idempotent and ends by the handle's cancel token.
#[async_trait]
pub trait Operate: View {
    /// Installs or upgrades, and waits until the workload is ready.
    ///
    /// Before it changes anything it records the operation as pending with its identity; what a
    /// killed one left is found by that. The same deploy again goes on with it where the platform
    /// can (local; Helm cannot); anything else has to be settled first: [`Operate::settle`].
    async fn deploy(&self, spec: &ReleaseSpec) -> Result<Release, PlatformError>;

    /// Brings a release out of `pending-*`: back to its last good revision, or away where there
    /// was none. Volumes stay. What was scaled to nothing before it was begun is again.
    async fn settle(&self, at: &ReleaseRef) -> Result<(), PlatformError>;

    /// Goes back to a revision, as a new revision. A workload that was scaled to nothing before the
    /// newest revision was made is again: an application that somebody stopped is not started by
    /// the way back.
    async fn roll_back(
        &self,
        at: &ReleaseRef,
        revision: u64,
        timeout: Duration,
    ) -> Result<Release, PlatformError>;

    /// Takes a release away. Volumes stay.
    async fn uninstall(&self, at: &ReleaseRef) -> Result<(), PlatformError>;

    /// Sets how many of a workload run, and waits until it is so. It is no release change.
    async fn scale(
        &self,
        at: &ReleaseRef,
        workload: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<(), PlatformError>;

    /// Lets the outside in or shuts it out. It is no release change.
    async fn set_traffic(&self, at: &ReleaseRef, open: bool) -> Result<(), PlatformError>;

    /// Runs a command where a workload runs, with its files and its user.
    async fn exec(
        &self,
        at: &ReleaseRef,
        workload: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, PlatformError>;

    /// Injects a fault into a data node.
    async fn fault(&self, at: &PartRef, node: &str, fault: Fault) -> Result<(), PlatformError>;

    /// Brings a data node back after a fault: thaws it, starts it, or lets it join again as a
    /// standby of today's primary.
    async fn mend(&self, at: &PartRef, node: &str, timeout: Duration) -> Result<(), PlatformError>;
}

/// The view of a look's target.
///
/// # Errors
/// When the target file does not say enough to reach it.
pub fn view(look: &Look) -> Result<Arc<dyn View>, PlatformError> {
    match look.place.kind.as_str() {
        "kubernetes" => Ok(Arc::new(KubernetesView::new(look)?)),
        "local" => Ok(Arc::new(LocalView::new(look)?)),
        kind => Err(unknown(kind)),
    }
}

/// The means to act on the target of a pair of hands.
///
/// # Errors
/// When the target file does not say enough to reach it.
pub fn operate(hands: &Hands) -> Result<Arc<dyn Operate>, PlatformError> {
    match hands.place.kind.as_str() {
        "kubernetes" => Ok(Arc::new(KubernetesOperate::new(hands)?)),
        "local" => Ok(Arc::new(LocalOperate::new(hands)?)),
        kind => Err(unknown(kind)),
    }
}

fn unknown(kind: &str) -> PlatformError {
    PlatformError::Target {
        what: format!("there is no platform `{kind}`"),
        help: "a target is of the kind `kubernetes` or `local`".to_owned(),
    }
}
