//! What a platform speaks about. Plain data; both platforms fill the same types.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use workplan_engine::kind::Secret;

use crate::values::Values;

/// A release by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name in it.
    pub name: String,
}

impl fmt::Display for ReleaseRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A release, or a subchart inside of one: `postgresql-ha` of release `gitea`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartRef {
    /// The release.
    pub release: ReleaseRef,
    /// The subchart; `None` for the release's own chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl fmt::Display for PartRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{}#{part}", self.release),
            None => write!(f, "{}", self.release),
        }
    }
}

/// Where a release stands. The words are Helm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStatus {
    /// The last operation ended well. It says nothing about the workload.
    Deployed,
    /// The last operation failed.
    Failed,
    /// An install was begun and not ended.
    PendingInstall,
    /// An upgrade was begun and not ended.
    PendingUpgrade,
    /// A rollback was begun and not ended.
    PendingRollback,
    /// An uninstall was begun and not ended.
    Uninstalling,
}

impl ReleaseStatus {
    /// Whether an operation was begun and not ended.
    #[must_use]
    pub fn is_pending(self) -> bool {
        !matches!(self, Self::Deployed | Self::Failed)
    }
}

/// A release as it is on record at the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Which.
    pub at: ReleaseRef,
    /// The chart's name, without a version: `postgresql-ha`.
    pub chart: String,
    /// The chart's version.
    pub chart_version: String,
    /// The version of what it runs.
    pub app_version: String,
    /// Counts up with each change, from 1.
    pub revision: u64,
    /// Where it stands.
    pub status: ReleaseStatus,
    /// Who made this revision: `workplan:<run>:<step>:<attempt>`, or what else the record says.
    pub made_by: Option<String>,
    /// Digest of the user-supplied values, keyed so that it says nothing about secrets in them.
    pub values_digest: String,
    /// When this revision was made, RFC 3339 in UTC.
    pub at_time: String,
}

/// What to deploy.
#[derive(Debug, Clone)]
pub struct ReleaseSpec {
    /// Which release.
    pub at: ReleaseRef,
    /// The chart's name: `postgresql-ha`, `valkey`, `gitea`.
    pub chart: String,
    /// The chart's version; on `local` only compared and told.
    pub version: Option<String>,
    /// The values of the user, merged; those from SOPS files are marked as secret.
    pub values: Values,
    /// Deploy with the outside shut: no ingress, no SSH. [`crate::Operate::set_traffic`] opens it.
    pub quarantine: bool,
    /// How long until its workload is ready.
    pub timeout: Duration,
}

/// One object that a release consists of: a StatefulSet, a Service, a Secret, a server's
/// configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `StatefulSet`, `Deployment`, `Service`, `Secret`, `ConfigMap`, `Ingress`,
    /// `PersistentVolumeClaim`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it says. Secret values stand as `hmac:…`, keyed per target, so that a change shows and
    /// the value does not.
    pub body: Value,
}

/// What a chart with these values would make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The objects, sorted by kind and name.
    pub objects: Vec<Object>,
    /// Keys of the values that this platform passes over, each with the reason.
    pub ignored: Vec<IgnoredKey>,
    /// Worth saying: another major version than the chart's, a host name that was translated.
    pub notes: Vec<String>,
    /// What the platform would not change in place.
    pub refused: Vec<Refused>,
}

/// Fields of an object that differ and that the platform does not change in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `StatefulSet/NAME`.
    pub object: String,
    /// With dots: `spec.volumeClaimTemplates`.
    pub fields: Vec<String>,
    /// What to do about it.
    pub way: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, fields, way } = self;
        let fields = fields.join("`, `");
        write!(f, "`{fields}` of {object} cannot be changed in place: {way}")
    }
}

/// A key of the values without effect here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IgnoredKey {
    /// Dotted path.
    pub key: String,
    /// Why.
    pub why: String,
}

/// A StatefulSet or Deployment and what runs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name: `postgresql-ha-postgresql`.
    pub name: String,
    /// What it is in the chart: `postgresql`, `pgpool`, `gitea`, `valkey`.
    pub component: String,
    /// The subchart that it belongs to, where it is not the release's own.
    pub part: Option<String>,
    /// How many are wanted.
    pub wanted: u32,
    /// Those that are there.
    pub instances: Vec<Instance>,
}

impl Workload {
    /// Whether as many are ready as are wanted, and no more are there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.instances.len() == self.wanted as usize && self.instances.iter().all(|i| i.ready)
    }

    /// How many are ready and why another is not, in words: `` `x` has 1 of 2 ready: `x-1` … ``.
    #[must_use]
    pub fn readiness(&self) -> String {
        let ready = self.instances.iter().filter(|i| i.ready).count();
        let why = self
            .instances
            .iter()
            .find_map(|i| i.why.as_ref().map(|why| format!(": `{}` {why}", i.name)))
            .unwrap_or_default();
        format!("`{}` has {ready} of {} ready{why}", self.name, self.wanted)
    }
}

/// One pod, or on `local` one server process with its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The pod's name: `postgresql-ha-postgresql-0`.
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
    /// Why not.
    pub why: Option<String>,
    /// What makes this start of it this one: pod UID and restart count, or pid and start time.
    pub incarnation: String,
}

/// A place to connect to, as the platform names it. [`crate::View::reach`] gives an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Endpoint {
    /// A plain address.
    Address {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A port of one pod.
    Pod {
        /// Namespace.
        namespace: String,
        /// The pod.
        pod: String,
        /// Port in it.
        port: u16,
    },
    /// A port of a service.
    Service {
        /// Namespace.
        namespace: String,
        /// The service.
        service: String,
        /// Port of it.
        port: u16,
    },
}

impl Endpoint {
    /// The folder and port of a Unix socket: an address whose host is an absolute path, as
    /// PostgreSQL's own tools read it.
    #[must_use]
    pub fn socket(&self) -> Option<(&str, u16)> {
        match self {
            Self::Address { host, port } if host.starts_with('/') => Some((host, *port)),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { host, port } => write!(f, "{host}:{port}"),
            Self::Pod { namespace, pod, port } => write!(f, "pod {namespace}/{pod}:{port}"),
            Self::Service { namespace, service, port } => {
                write!(f, "service {namespace}/{service}:{port}")
            }
        }
    }
}

/// A PostgreSQL with replication and a pooler, of whatever provider.
#[derive(Debug, Clone)]
pub struct PostgresHa {
    /// Which.
    pub at: PartRef,
    /// The data nodes in the order of their numbers. Which of them leads is asked by SQL.
    pub nodes: Vec<PostgresNode>,
    /// Where clients go; `None` where there is no pooler.
    pub pooler: Option<Endpoint>,
    /// The superuser and its deployed password.
    pub superuser: (String, SecretKey),
    /// The user of the pooler's streaming-replication check and its deployed password.
    pub sr_check: Option<(String, SecretKey)>,
    /// The replication manager's own user (`repmgr`).
    pub replication: Option<(String, SecretKey)>,
    /// The database with its record of the nodes; `None` where the manager is another one.
    pub replication_database: Option<String>,
    /// Users that the pooler was told of (`pool_passwd`), with their deployed passwords.
    pub pool_users: Vec<(String, SecretKey)>,
    /// What the Secret and the chart want, and is not there; each a sentence.
    pub missing: Vec<String>,
}

/// One data node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresNode {
    /// Its name: `postgresql-ha-postgresql-0`.
    pub name: String,
    /// Where it listens, past any pooler.
    pub endpoint: Endpoint,
    /// Whether its main process is there.
    pub running: bool,
}

/// One key of a Secret at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Its name.
    pub secret: String,
    /// The key; `passwords[1]` for the second entry of a list.
    pub key: String,
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret `{}/{}` key `{}`", self.namespace, self.secret, self.key)
    }
}

/// An application with an HTTP face.
#[derive(Debug, Clone)]
pub struct AppView {
    /// The release.
    pub at: ReleaseRef,
    /// The workload that is scaled to stop it.
    pub workload: String,
    /// Past ingress and quarantine: the pod's own port.
    pub inside: Endpoint,
    /// As users reach it; `None` where the values make no ingress.
    pub outside: Option<Endpoint>,
    /// The administrator and its deployed password.
    pub admin: Option<(String, SecretKey)>,
    /// What the *running* application reads: `app.ini` by section and key, without secret values
    /// (they stand as `hmac:…`). Empty where it was never started.
    pub config: BTreeMap<String, BTreeMap<String, String>>,
}

/// Whether the outside can get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// Ingress and SSH lead to the application.
    Open,
    /// They do not.
    Shut,
    /// The values make no way in.
    None,
}

/// What a command in a workload said.
#[derive(Debug, Clone, Default)]
pub struct ExecOutput {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output. Its length was checked against the source where the way to it can cut it.
    pub stdout: Vec<u8>,
    /// The end of standard error, redacted.
    pub said: Vec<String>,
}

/// A fault to inject into a data node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL for the whole server.
    Kill,
    /// A fast stop, as at a planned shutdown.
    FastStop,
    /// SIGSTOP for the whole server: it neither answers nor closes its connections.
    Freeze,
    /// The pod is deleted; Kubernetes alone.
    PodDelete,
}

/// Values of one Secret at the target.
pub type SecretValues = BTreeMap<String, Secret>;

/// Where a volume's data lies, for those that are kept when a release goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The claim's name: `data-gitea-postgresql-ha-postgresql-0`.
    pub claim: String,
    /// On `local`, the folder.
    pub path: Option<PathBuf>,
    /// Whether a workload uses it now.
    pub used: bool,
}
