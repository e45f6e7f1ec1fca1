//! The connection to a cluster, made once for all handles of a session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hmac::{Hmac, Mac};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::OnceCell;
use workplan_engine::digest::{canonical, hex};
use workplan_engine::kind::Look;

use super::lease::Held;
use super::problem::{chain, is_unreachable, kubeconfig_problem, problem};
use super::record::Body;
use super::settings::Settings;
use crate::PlatformError;

/// How long one question may take.
pub(super) const REQUEST: Duration = Duration::from_secs(15);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an API server may be away before a question is given up. One that is restarted by its
/// kubelet is back within seconds.
const AWAY: Duration = Duration::from_secs(8);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// A cluster.
pub(super) struct Cluster {
    pub(super) settings: Settings,
    client: OnceCell<Client>,
    key: OnceCell<Vec<u8>>,
    /// The program `helm` was seen to be new enough.
    pub(super) helm_seen: OnceCell<()>,
    /// The lock, where a run holds it.
    held: OnceLock<Weak<Held>>,
    /// What is in revisions of releases, by Secret and version of it.
    bodies: Mutex<BTreeMap<String, Body>>,
}

impl Cluster {
    /// The cluster of a look's target.
    ///
    /// # Errors
    /// When the target file does not say enough.
    pub(super) fn of(look: &Look) -> Result<Arc<Self>, PlatformError> {
        type Shared = Result<Arc<Cluster>, PlatformError>;
        let make = || {
            let settings = Settings::of(look)?;
            Ok(Arc::new(Cluster {
                settings,
                client: OnceCell::new(),
                key: OnceCell::new(),
                helm_seen: OnceCell::new(),
                held: OnceLock::new(),
                bodies: Mutex::default(),
            }))
        };
        (*look.place.shared::<Shared>(make)).clone()
    }

    /// The client; connecting itself happens with the first question.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub(super) async fn client(&self) -> Result<Client, PlatformError> {
        self.client.get_or_try_init(|| self.connect()).await.cloned()
    }

    async fn connect(&self) -> Result<Client, PlatformError> {
        let mut config = match self.settings.kubeconfig.split_first() {
            None => Config::incluster().map_err(|e| PlatformError::Target {
                what: format!("there is no kubeconfig, and no account of a pod: {}", chain(&e)),
                help:
                    "set `KUBECONFIG`, or name a file as `kubernetes: {kubeconfig: PATH}` in the \
                       target file"
                        .to_owned(),
            })?,
            Some((first, rest)) => {
                let wrong = |e| kubeconfig_problem(&self.settings, &e);
                let mut all = Kubeconfig::read_from(first).map_err(wrong)?;
                for file in rest {
                    all = Kubeconfig::read_from(file).and_then(|f| all.merge(f)).map_err(wrong)?;
                }
                let options = KubeConfigOptions {
                    context: self.settings.context.clone(),
                    ..Default::default()
                };
                Config::from_custom_kubeconfig(all, &options).await.map_err(wrong)?
            }
        };
        config.connect_timeout = Some(CONNECT);
        Client::try_from(config).map_err(|e| problem(&self.settings, "connect", &e))
    }

    /// Objects of a namespace.
    ///
    /// # Errors
    /// When the namespace is not the target's, or the kubeconfig cannot be used.
    pub(super) async fn api<K>(&self, namespace: &str) -> Result<Api<K>, PlatformError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        <K as kube::Resource>::DynamicType: Default,
    {
        self.settings.check_namespace(namespace)?;
        Ok(Api::namespaced(self.client().await?, namespace))
    }

    /// Asks the API, with a deadline. Where nobody answers it is asked again for a while, so `ask`
    /// must be a question, or something that may be done twice. `doing` fits "failed to …".
    ///
    /// # Errors
    /// What the API says, in words.
    pub(super) async fn ask<T, F>(
        &self,
        doing: &str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, PlatformError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let until = tokio::time::Instant::now() + AWAY;
        loop {
            match tokio::time::timeout(REQUEST, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error))
                    if is_unreachable(&error) && tokio::time::Instant::now() + AGAIN < until =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                Ok(Err(error)) => return Err(problem(&self.settings, doing, &error)),
                Err(_) => {
                    return Err(PlatformError::TimedOut(format!(
                        "failed to {doing}: the API server did not answer within {} s",
                        REQUEST.as_secs()
                    )));
                }
            }
        }
    }

    /// What was read of a revision before; it does not change while its Secret's version is the same.
    pub(super) fn known_body(&self, key: &str) -> Option<Body> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps what was read of a revision.
    pub(super) fn keep_body(&self, key: String, body: &Body) {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).insert(key, body.clone());
    }

    /// Keeps what a run holds, for whoever is about to write.
    pub(super) fn hold(&self, held: &Arc<Held>) {
        // One run for one place: there is no second one.
        let _ = self.held.set(Arc::downgrade(held));
    }

    /// Whether the target is still this run's, asked before anything is written.
    ///
    /// # Errors
    /// When somebody else has taken it meanwhile.
    pub(super) async fn still_held(&self) -> Result<(), PlatformError> {
        match self.held.get().and_then(Weak::upgrade) {
            Some(held) => held.still().await,
            None => Ok(()),
        }
    }

    /// A keyed digest of what may hold secrets: equal values have equal digests in this cluster.
    ///
    /// The key is made of the identities of two namespaces that every cluster has. They are random,
    /// only the cluster's own users can read them, and no journal or report has them; so nothing has
    /// to be written for a plan, and a digest outlives every release.
    ///
    /// # Errors
    /// When the namespaces cannot be read.
    pub(super) async fn digest(&self, bytes: &[u8]) -> Result<String, PlatformError> {
        let key = self.key.get_or_try_init(|| self.make_key()).await?;
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            // Any length is a key for HMAC.
            return Ok("hmac:".to_owned());
        };
        mac.update(bytes);
        Ok(format!("hmac:{}", hex(&mac.finalize().into_bytes()[..16])))
    }

    /// The same of a JSON value in canonical form.
    ///
    /// # Errors
    /// As [`Cluster::digest`].
    pub(super) async fn digest_json(&self, value: &Value) -> Result<String, PlatformError> {
        self.digest(canonical(value).as_bytes()).await
    }

    async fn make_key(&self) -> Result<Vec<u8>, PlatformError> {
        let mut key = b"workplan/digests/v1".to_vec();
        for name in ["kube-system", "default"] {
            let api: Api<Namespace> = Api::all(self.client().await?);
            let doing = format!("read the namespace `{name}`");
            let found = self.ask(&doing, || api.get(name)).await?;
            key.extend(found.metadata.uid.unwrap_or_default().into_bytes());
        }
        Ok(key)
    }
}
