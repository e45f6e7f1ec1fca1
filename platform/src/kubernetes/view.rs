//! Looking at a cluster. Nothing here writes but what is said to be a dry-run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use workplan_engine::kind::{Look, Secret};

use super::cluster::Cluster;
use super::manifest::{Wanted, meaning, objects, plain_secret};
use super::shape::in_shape_of;
use crate::platform::{Reached, View};
use crate::values::Values;
use crate::{
    AppView, Endpoint, Object, PartRef, PlatformError, PostgresHa, Release, ReleaseRef,
    ReleaseSpec, Rendered, SecretValues, Traffic, Volume, Workload,
};

/// How long Helm may take to render a chart, which it may have to fetch first.
const RENDER: Duration = Duration::from_secs(90);

/// The reading half of the platform `kubernetes`.
pub struct KubernetesView {
    cluster: Arc<Cluster>,
    look: Look,
}

impl KubernetesView {
    /// The view of a look's target.
    ///
    /// # Errors
    /// When the target file does not say enough to reach it.
    pub fn new(look: &Look) -> Result<Self, PlatformError> {
        Ok(Self { cluster: Cluster::of(look)?, look: look.clone() })
    }

    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What a deploy would apply, by Helm itself against this cluster; nothing is changed.
    pub(super) async fn manifest(&self, spec: &ReleaseSpec) -> Result<Vec<Wanted>, PlatformError> {
        self.cluster.settings.check_namespace(&spec.at.namespace)?;
        // Without hiding its Secrets: the difference between them is what is looked for.
        let more = ["--dry-run=server", "--output", "json"];
        let mut call = self.cluster.helm_upgrade(&self.look, spec, &more, RENDER).await?;
        let (reader, writer) = std::io::pipe()
            .map_err(|e| PlatformError::failed(format!("failed to make a pipe: {e}")))?;
        // Past the engine: a manifest may be longer than what it keeps of a child's words.
        call.write_to = Some(writer.into());
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = reader;
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).map(|_| bytes)
        });
        let outcome = self.look.check(call).await?;
        let bytes = reading.await;
        let doing = format!("render {}", spec.at);
        if outcome.code != Some(0) {
            return Err(self.cluster.helm_failure(&doing, &outcome));
        }
        let failed = |why: &str| PlatformError::failed(format!("failed to {doing}: {why}"));
        let bytes = bytes.ok().and_then(Result::ok).ok_or_else(|| failed("its output was lost"))?;
        let release: Value =
            serde_json::from_slice(&bytes).map_err(|_| failed("helm's answer is no JSON"))?;
        let text = release.get("manifest").and_then(Value::as_str).unwrap_or_default();
        objects(&spec.at.to_string(), text, &spec.at.namespace)
    }

    /// An object as others see it: a Secret's values as digests.
    async fn shown(&self, wanted: &Wanted, mut body: Value) -> Result<Object, PlatformError> {
        if wanted.kind == "Secret"
            && let Some(Value::Object(data)) = body.get_mut("data")
        {
            for value in data.values_mut() {
                let bytes = match &*value {
                    Value::String(text) => text.clone().into_bytes(),
                    other => other.to_string().into_bytes(),
                };
                self.look.conceal(&Secret::new(bytes.clone()));
                *value = Value::from(self.cluster.digest(&bytes).await?);
            }
        }
        Ok(Object { kind: wanted.kind.clone(), name: wanted.name.clone(), body: meaning(&body) })
    }

    /// A live object; `None` where it is not there.
    pub(super) async fn live(&self, wanted: &Wanted) -> Result<Option<Value>, PlatformError> {
        let client = self.cluster.client().await?;
        let resource = wanted.resource();
        let api: Api<DynamicObject> = match &wanted.namespace {
            Some(namespace) => {
                self.cluster.settings.check_namespace(namespace)?;
                Api::namespaced_with(client, namespace, &resource)
            }
            None => Api::all_with(client, &resource),
        };
        let doing = format!("read {}/{}", wanted.kind, wanted.name);
        let found = self.cluster.ask(&doing, || api.get_opt(&wanted.name)).await?;
        Ok(found.map(|object| {
            let labels = json!(object.labels());
            let notes = json!(object.annotations());
            let mut body = object.data;
            if let Some(map) = body.as_object_mut() {
                map.insert("metadata".to_owned(), json!({"labels": labels, "annotations": notes}));
            }
            if wanted.kind == "Secret" {
                plain_secret(&mut body);
            }
            body
        }))
    }
}

#[async_trait]
impl View for KubernetesView {
    async fn release(&self, at: &ReleaseRef) -> Result<Option<Release>, PlatformError> {
        self.cluster.release_of(at).await
    }

    async fn releases(&self) -> Result<Vec<Release>, PlatformError> {
        let mut found = Vec::new();
        for namespace in &self.cluster.settings.namespaces {
            for name in self.cluster.histories(namespace, None).await?.into_keys() {
                let at = ReleaseRef { namespace: namespace.clone(), name };
                found.extend(self.cluster.release_of(&at).await?);
            }
        }
        found.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(found)
    }

    async fn render(&self, spec: &ReleaseSpec) -> Result<Rendered, PlatformError> {
        let all = self.manifest(spec).await?;
        let mut rendered = Rendered { refused: self.refused(&all).await?, ..Rendered::default() };
        for wanted in all {
            rendered.objects.push(self.shown(&wanted, wanted.body.clone()).await?);
        }
        Ok(rendered)
    }

    async fn objects(&self, at: &ReleaseRef) -> Result<Vec<Object>, PlatformError> {
        let Some((_, body)) = self.cluster.newest(at).await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let all = objects(&at.to_string(), &body.manifest, &at.namespace)?;
        let live = futures_util::future::join_all(all.iter().map(|wanted| self.live(wanted))).await;
        for (wanted, live) in all.iter().zip(live) {
            if let Some(live) = live? {
                let shaped = in_shape_of(&wanted.body, &live);
                found.push(self.shown(wanted, shaped).await?);
            }
        }
        Ok(found)
    }

    async fn release_values(&self, at: &ReleaseRef) -> Result<Option<Values>, PlatformError> {
        Ok(self.cluster.newest(at).await?.map(|(_, body)| Values::plain(body.config())))
    }

    async fn workloads(&self, at: &ReleaseRef) -> Result<Vec<Workload>, PlatformError> {
        let Some((_, body)) = self.cluster.newest(at).await? else { return Ok(Vec::new()) };
        self.cluster.workloads_of(at, body.chart()).await
    }

    async fn volumes(&self, at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError> {
        self.cluster.volumes_of(at).await
    }

    async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretValues>, PlatformError> {
        self.cluster.secret_of(&self.look, namespace, name).await
    }

    async fn postgres(&self, at: &PartRef) -> Result<PostgresHa, PlatformError> {
        self.cluster.postgres_of(&self.look, at).await
    }

    async fn app(&self, at: &ReleaseRef) -> Result<AppView, PlatformError> {
        Err(not_yet(&format!("looking into the application {at}")))
    }

    async fn traffic(&self, at: &ReleaseRef) -> Result<Traffic, PlatformError> {
        Err(not_yet(&format!("the way in to {at}")))
    }

    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError> {
        match endpoint {
            Endpoint::Address { host, port } => {
                Ok(Reached { address: crate::address(host, *port).await?, guard: None })
            }
            Endpoint::Pod { namespace, pod, port } => {
                self.cluster.reach_pod(namespace, pod, *port).await
            }
            Endpoint::Service { namespace, service, port } => {
                self.cluster.reach_service(namespace, service, *port).await
            }
        }
    }
}

/// What the platform has no code for.
pub(super) fn not_yet(what: &str) -> PlatformError {
    PlatformError::Target {
        what: format!("{what} is not there on targets of the kind `kubernetes` yet"),
        help: "use a `local` target for this step, or leave it out".to_owned(),
    }
}

impl Cluster {
    /// A Secret's values, concealed.
    ///
    /// # Errors
    /// When it may not be read.
    pub(super) async fn secret_of(
        &self,
        look: &Look,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretValues>, PlatformError> {
        let api = self.api::<KubeSecret>(namespace).await?;
        let doing = format!("read the Secret `{namespace}/{name}`");
        let found = self.ask(&doing, || api.get_opt(name)).await?;
        let values = found.map(|secret| {
            let data = secret.data.unwrap_or_default().into_iter();
            data.map(|(key, value)| (key, Secret::new(value.0))).collect::<SecretValues>()
        });
        for value in values.iter().flat_map(|v| v.values()) {
            look.conceal(value);
            // The chart's lists of users and passwords.
            let entries = crate::database::list(value);
            entries.iter().filter(|_| entries.len() > 1).for_each(|e| look.conceal(e));
        }
        Ok(values)
    }
}
