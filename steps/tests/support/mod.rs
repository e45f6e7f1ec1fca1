//! A small world for steps: a folder, secrets, children that are really started, a server.

mod cluster;
mod git;
mod gitea;
mod launcher;
mod local;
mod postgres;
mod server;
mod stub;
mod tls;

pub(crate) use cluster::{ClusterSite, has_cluster};
pub(crate) use git::GitRepo;
pub(crate) use gitea::{ADMIN, GiteaSite, block, gitea, has_gitea};
pub(crate) use launcher::Direct;
pub(crate) use local::LocalWorld;
pub(crate) use postgres::{PASSWORD, Postgres};
pub(crate) use server::{Answer, Server};
pub(crate) use tls::TlsServer;

use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

use workplan_engine::kind::{
    BaseEnv, Hands, Look, ParamProblem, Past, Place, Secret, SecretError, SecretRef, SecretSource,
    Step, With,
};
use workplan_steps::catalogue;

/// The longest that a test waits for an event.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The step's name in all tests.
pub(crate) const STEP: &str = "T01.x";

/// A folder with what steps need around them.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) launcher: Arc<Direct>,
    pub(crate) secrets: BTreeMap<String, String>,
    /// The run that its attempts belong to.
    pub(crate) run: String,
    pub(crate) place: Arc<Place>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            launcher: Arc::default(),
            secrets: BTreeMap::new(),
            run: "r1".to_owned(),
            place: Arc::new(Place::new("local", "local", "state:-")),
        }
    }

    /// With a target whose file lies in the world's folder and says this.
    pub(crate) fn with_target(mut self, values: Value) -> Self {
        let mut place = Place::new("lab", "local", "identity:lab");
        place.folder = self.base().to_owned();
        place.values = with(values).0;
        self.place = Arc::new(place);
        self
    }

    /// A world of a run of its own: a server tells by it whose sessions are whose.
    pub(crate) fn of_new_run(mut self) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1000);
        self.run = format!("r{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self
    }

    pub(crate) fn with_secret(mut self, reference: &str, value: &str) -> Self {
        self.secrets.insert(reference.to_owned(), value.to_owned());
        self
    }

    /// A target that names repositories; they lie in this world.
    pub(crate) fn with_repos(mut self, names: &[&str]) -> Self {
        let mut place = Place::new("lab", "local", "state:-");
        place.folder = self.base().to_path_buf();
        let repos = names.iter().map(|n| ((*n).to_owned(), Value::from(*n))).collect();
        place.values.insert("repos".to_owned(), Value::Object(repos));
        self.place = Arc::new(place);
        self
    }

    /// A value of the target.
    pub(crate) fn with_value(mut self, key: &str, value: Value) -> Self {
        let mut place = Place::new("lab", "local", "state:-");
        place.folder = self.base().to_path_buf();
        place.values.clone_from(&self.place.values);
        place.values.insert(key.to_owned(), value);
        self.place = Arc::new(place);
        self
    }

    pub(crate) fn base(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.base())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn look(&self, past: Past) -> Look {
        let secrets = Arc::new(Values(self.secrets.clone()));
        let mut look = Look::new(STEP, self.base(), secrets, self.launcher.clone());
        look.identity = format!("workplan:{}:{STEP}:1", self.run).into();
        look.past = past;
        look.place = self.place.clone();
        let path = std::env::var_os("PATH").unwrap_or_default();
        look.env = Arc::new(BaseEnv(vec![("PATH".into(), path)]));
        look
    }

    /// Hands of an attempt, with a look whose cancel token is the same.
    pub(crate) fn hands(&self, past: Past) -> Hands {
        Hands::new(self.look(past), None)
    }
}

struct Values(BTreeMap<String, String>);

#[async_trait]
impl SecretSource for Values {
    async fn resolve(&self, reference: &SecretRef, _look: &Look) -> Result<Secret, SecretError> {
        let name = reference.to_string();
        self.0
            .get(&name)
            .map(|v| Secret::new(v.as_bytes()))
            .ok_or(SecretError { reference: name, why: "it is not set".to_owned() })
    }
}

pub(crate) fn with(json: Value) -> With {
    With(json.as_object().unwrap().clone())
}

pub(crate) fn build(kind: &str, json: Value) -> Result<Box<dyn Step>, Vec<ParamProblem>> {
    catalogue().get(kind).unwrap().build(&with(json))
}

pub(crate) fn step(kind: &str, json: Value) -> Box<dyn Step> {
    build(kind, json).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(crate) fn succeeded() -> Past {
    Past::Succeeded { record: "run r0".to_owned(), outputs: BTreeMap::new() }
}

pub(crate) fn interrupted() -> Past {
    Past::Interrupted("the engine was killed".to_owned())
}

/// Waits until something is so; fails after [`SOON`].
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + SOON;
    while !so() {
        assert!(tokio::time::Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
