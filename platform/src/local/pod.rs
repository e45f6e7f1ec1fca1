//! Pods: what a recipe wants to run, and what is on record of what runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use workplan_engine::kind::Secret;

use crate::PlatformError;
use crate::local::store::files;

/// What a recipe wants to run: one or more servers that live and end together.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Its name, as Kubernetes would give it: `postgresql-ha-postgresql-0`. A Deployment's pods are
    /// numbered too.
    pub(crate) name: String,
    /// The StatefulSet or Deployment.
    pub(crate) workload: String,
    /// What it is in the chart: `postgresql`, `pgpool`, `gitea`, `valkey`.
    pub(crate) component: String,
    /// The subchart that it belongs to.
    pub(crate) part: Option<String>,
    /// The chart whose recipe knows how to start it.
    pub(crate) chart: String,
    /// Its number in its workload.
    pub(crate) ordinal: u32,
    /// Pods of a lower wave are ready before it starts, and end after it.
    pub(crate) wave: u32,
    /// It only lets the outside in: it does not run while traffic is shut.
    pub(crate) gate: bool,
    /// Its volumes.
    pub(crate) claims: Vec<String>,
    /// Its configuration files, relative to the pod's folder; written before it starts.
    pub(crate) files: Vec<PodFile>,
    /// Its servers, in the order of their start.
    pub(crate) containers: Vec<Container>,
    /// What the recipe wants to find again; no secrets.
    pub(crate) settings: Value,
}

/// A configuration file.
#[derive(Debug, Clone)]
pub(crate) struct PodFile {
    /// Below the pod's folder.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: Text,
}

/// What a file says.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// Everybody may read it.
    Open(String),
    /// Only the pod's account may.
    Sealed(Secret),
}

/// A server of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// Its name in the pod.
    pub(crate) name: String,
    /// The executable.
    pub(crate) program: PathBuf,
    /// Its arguments; everybody can read them.
    pub(crate) args: Vec<String>,
    /// Its whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Variables with secret values.
    pub(crate) secret_env: Vec<(String, Secret)>,
    /// Its working folder; its own folder in the pod where it is `None`.
    pub(crate) cwd: Option<PathBuf>,
    /// Where it listens.
    pub(crate) ports: Vec<PodPort>,
    /// How it is asked whether it is ready.
    pub(crate) probe: Probe,
    /// How it is ended.
    pub(crate) stop: Stop,
}

/// A port of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodPort {
    /// Its name: `postgresql`, `http`.
    pub(crate) name: String,
    /// What it would be in a container: 5432.
    pub(crate) port: u16,
    /// What it is here, on loopback.
    pub(crate) local: u16,
}

/// How a server is asked whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Probe {
    /// Its process lives.
    Process,
    /// It accepts a connection.
    Tcp(u16),
    /// It answers the first packet of PostgreSQL's protocol: a process of it works, not only the
    /// kernel.
    Postgres(u16),
    /// It answers `PING`, be it with a demand for the password.
    Redis(u16),
    /// It answers `GET` of a path with a status below 500.
    Http(u16, String),
}

/// How a server is asked to end, and how long it gets before it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// The signal's name: `SIGTERM`.
    pub(crate) signal: String,
    /// How long, in milliseconds.
    pub(crate) patience_ms: u64,
}

impl Stop {
    /// By a signal, with so much time.
    pub(crate) fn by(signal: nix::sys::signal::Signal, patience: Duration) -> Self {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Self { signal: signal.as_str().to_owned(), patience_ms }
    }

    /// The signal; SIGTERM for one that nobody knows.
    pub(crate) fn signal(&self) -> nix::sys::signal::Signal {
        self.signal.parse().unwrap_or(nix::sys::signal::Signal::SIGTERM)
    }

    /// How long it gets.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }
}

/// What is on record of a pod that was started: enough to look at it and to end it, without its
/// values. Everybody may read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    /// Its namespace.
    pub(crate) namespace: String,
    /// The release that it belongs to.
    pub(crate) release: String,
    /// See [`Pod`].
    pub(crate) name: String,
    /// See [`Pod`].
    pub(crate) workload: String,
    /// See [`Pod`].
    pub(crate) component: String,
    /// See [`Pod`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<String>,
    /// See [`Pod`].
    pub(crate) chart: String,
    /// See [`Pod`].
    pub(crate) ordinal: u32,
    /// See [`Pod`].
    pub(crate) wave: u32,
    /// See [`Pod`].
    #[serde(default)]
    pub(crate) gate: bool,
    /// See [`Pod`].
    pub(crate) claims: Vec<String>,
    /// See [`Pod`].
    pub(crate) settings: Value,
    /// Its servers.
    pub(crate) containers: Vec<ContainerRecord>,
    /// Keyed digest of all that makes it what it is; another one means another pod.
    pub(crate) template: String,
    /// Who started it.
    pub(crate) made_by: String,
}

/// What is on record of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    /// See [`Container`].
    pub(crate) name: String,
    /// See [`Container`].
    pub(crate) ports: Vec<PodPort>,
    /// See [`Container`].
    pub(crate) probe: Probe,
    /// See [`Container`].
    pub(crate) stop: Stop,
}

impl PodRecord {
    /// The port that a pod has for one of a container; by its number there.
    pub(crate) fn local_port(&self, port: u16) -> Option<u16> {
        self.containers.iter().flat_map(|c| &c.ports).find(|p| p.port == port).map(|p| p.local)
    }
}

/// The folder of a pod, and where things are in it.
#[derive(Debug, Clone)]
pub(crate) struct PodFolder(pub(crate) PathBuf);

impl PodFolder {
    pub(crate) fn new(pods: &Path, name: &str) -> Self {
        Self(pods.join(name))
    }

    /// The record; `None` where the pod was never started or was taken away.
    pub(crate) fn record(&self) -> Result<Option<PodRecord>, PlatformError> {
        files::read_json(&self.0.join("pod.json"))
    }

    pub(crate) fn write_record(&self, record: &PodRecord) -> Result<(), PlatformError> {
        files::write_json(&self.0.join("pod.json"), record, files::OPEN)
    }

    /// A server's own folder.
    pub(crate) fn container(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where a server is written down before it runs.
    pub(crate) fn entry(&self, container: &str) -> PathBuf {
        self.0.join(format!("{container}.service.json"))
    }

    /// Where a server's output goes.
    pub(crate) fn log(&self, container: &str) -> PathBuf {
        self.0.join(format!("{container}.log"))
    }

    /// A configuration file.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}
