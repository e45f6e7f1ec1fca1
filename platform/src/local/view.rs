//! Looking at a local target. Nothing here writes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use workplan_engine::kind::Look;

use super::listening::{who_is_connected, who_listens};
use super::pod::{PodFolder, PodRecord, Probe};
use super::recipe::{self, Context, Mode, Rendition, find_service, hidden};
use super::run::{PodStatus, ask_within, status};
use super::store::{Record, check_name};
use super::world::World;
use crate::platform::{Reached, View};
use crate::values::Values;
use crate::{
    AppView, Endpoint, Instance, Object, PartRef, PlatformError, PostgresHa, Release, ReleaseRef,
    ReleaseSpec, Rendered, SecretValues, Traffic, Volume, Workload,
};

/// How long a recipe may take to say whether a pod is ready.
const READY: Duration = Duration::from_secs(5);
/// How long a pod behind a service may take to accept a connection before the next one is tried.
const ACCEPT: Duration = Duration::from_millis(500);

/// The reading half of the platform `local`.
pub struct LocalView {
    world: Arc<World>,
    look: Look,
}

impl LocalView {
    /// The view of a look's target.
    ///
    /// # Errors
    /// When the target file does not say where its releases live.
    pub fn new(look: &Look) -> Result<Self, PlatformError> {
        Ok(Self { world: World::of(&look.place)?, look: look.clone() })
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The handle that it was made from.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// What is on record of a release.
    pub(crate) fn record(&self, at: &ReleaseRef) -> Result<Option<Record>, PlatformError> {
        check_name("namespace", &at.namespace)?;
        check_name("release", &at.name)?;
        self.world.store.releases(&at.namespace).record(&at.name)
    }

    /// The release on record, or that there is none.
    pub(crate) fn must_be(&self, at: &ReleaseRef) -> Result<Record, PlatformError> {
        self.record(at)?.ok_or_else(|| PlatformError::Missing(format!("there is no release {at}")))
    }

    /// The pods of a release that were started.
    pub(crate) fn pods(&self, at: &ReleaseRef) -> Result<Vec<PodStatus>, PlatformError> {
        status(&self.world.store.pods(&at.namespace), &at.name)
    }

    /// One pod's record.
    pub(crate) fn pod(
        &self,
        namespace: &str,
        pod: &str,
    ) -> Result<Option<PodRecord>, PlatformError> {
        check_name("namespace", namespace)?;
        check_name("pod", pod)?;
        PodFolder::new(&self.world.store.pods(namespace), pod).record()
    }

    /// What the values of a chart make.
    pub(crate) fn rendition(
        &self,
        at: &ReleaseRef,
        chart: &str,
        values: &Values,
        mode: Mode,
    ) -> Result<Rendition, PlatformError> {
        check_name("namespace", &at.namespace)?;
        check_name("release", &at.name)?;
        let rendition = Context::render(&self.world, at, recipe::of(chart)?, values, mode)?;
        for secret in rendition.secrets.values() {
            secret.values.values().for_each(|v| self.look.conceal(v));
        }
        Ok(rendition)
    }

    /// What the newest good revision of a release makes, as it was deployed.
    pub(crate) fn current(&self, at: &ReleaseRef, mode: Mode) -> Result<Rendition, PlatformError> {
        let record = self.must_be(at)?;
        let Some(revision) = record.last_good().or(record.newest()) else {
            return Err(PlatformError::Missing(format!("{at} has no revision")));
        };
        let releases = self.world.store.releases(&at.namespace);
        let Some(values) = releases.values(&at.name, revision.revision)? else {
            let what = format!("the values of revision {} of {at} are gone", revision.revision);
            return Err(PlatformError::Missing(what));
        };
        self.rendition(at, &revision.chart, &values, mode)
    }

    /// Whether a pod runs, answers, and is ready in its recipe's eyes; else why not.
    pub(crate) async fn pod_ready(&self, pod: &PodStatus) -> Result<(), String> {
        if let Some(why) = pod.silent().await {
            return Err(why);
        }
        let recipe = recipe::of(&pod.record.chart).map_err(|e| e.to_string())?;
        match tokio::time::timeout(READY, recipe.ready(self, &pod.record)).await {
            Ok(ready) => ready,
            Err(_) => Err(format!("no answer within {} s", READY.as_secs())),
        }
    }

    /// The recipe of a release or of a part of it.
    fn recipe(&self, at: &PartRef) -> Result<&'static dyn recipe::Recipe, PlatformError> {
        let record = self.must_be(&at.release)?;
        match (&at.part, record.newest()) {
            (Some(part), _) => recipe::of(part),
            (None, Some(newest)) => recipe::of(&newest.chart),
            (None, None) => Err(PlatformError::Missing(format!("there is no release {at}"))),
        }
    }
}

#[async_trait]
impl View for LocalView {
    async fn release(&self, at: &ReleaseRef) -> Result<Option<Release>, PlatformError> {
        Ok(self.record(at)?.and_then(|record| record.release()))
    }

    async fn releases(&self) -> Result<Vec<Release>, PlatformError> {
        let mut found = Vec::new();
        for namespace in self.world.store.namespaces()? {
            let releases = self.world.store.releases(&namespace);
            for name in releases.names()? {
                found.extend(releases.record(&name)?.and_then(|record| record.release()));
            }
        }
        Ok(found)
    }

    async fn render(&self, spec: &ReleaseSpec) -> Result<Rendered, PlatformError> {
        Ok(self.rendition(&spec.at, &spec.chart, &spec.values, Mode::Show)?.rendered())
    }

    async fn objects(&self, at: &ReleaseRef) -> Result<Vec<Object>, PlatformError> {
        if self.record(at)?.is_none() {
            return Ok(Vec::new());
        }
        let key = self.world.store.key()?;
        let mut objects = self.world.store.releases(&at.namespace).objects(&at.name)?;
        for object in &mut objects {
            match object.kind.as_str() {
                // What is there now, not what was once written.
                "Secret" => {
                    let secrets = self.world.store.secrets(&at.namespace);
                    let body: Map<String, Value> = match secrets.read(&object.name) {
                        Ok(values) => values
                            .unwrap_or_default()
                            .into_iter()
                            .map(|(name, value)| {
                                self.look.conceal(&value);
                                (name, hidden(key.as_ref(), &value))
                            })
                            .collect(),
                        Err(PlatformError::Denied(_)) => {
                            let label = secrets.label(&object.name)?;
                            let keys = label.map(|l| l.keys).unwrap_or_default();
                            keys.into_iter().map(|k| (k, json!("unreadable"))).collect()
                        }
                        Err(error) => return Err(error),
                    };
                    object.body = Value::Object(body);
                }
                _ if key.is_none() => {
                    if let Some(Value::Array(templates)) = object.body.get_mut("templates") {
                        templates.fill(json!("unreadable"));
                    }
                }
                _ => {}
            }
        }
        Ok(objects)
    }

    async fn release_values(&self, at: &ReleaseRef) -> Result<Option<Values>, PlatformError> {
        let Some(record) = self.record(at)? else { return Ok(None) };
        let Some(newest) = record.newest() else { return Ok(None) };
        self.world.store.releases(&at.namespace).values(&at.name, newest.revision)
    }

    async fn workloads(&self, at: &ReleaseRef) -> Result<Vec<Workload>, PlatformError> {
        if self.record(at)?.is_none() {
            return Ok(Vec::new());
        }
        let pods = self.pods(at)?;
        // While the outside is shut out, nobody wants the way in.
        let shut = !pods.iter().any(|p| p.record.gate && p.is_there());
        let mut found: BTreeMap<String, Workload> = BTreeMap::new();
        for object in self.world.store.releases(&at.namespace).objects(&at.name)? {
            if !matches!(object.kind.as_str(), "StatefulSet" | "Deployment") {
                continue;
            }
            if shut && object.body.get("gate") == Some(&json!(true)) {
                continue;
            }
            let text = |key: &str| object.body.get(key).and_then(Value::as_str).map(str::to_owned);
            let wanted = object.body.get("replicas").and_then(Value::as_u64).unwrap_or(0);
            let workload = Workload {
                name: object.name.clone(),
                component: text("component").unwrap_or_default(),
                part: text("part"),
                wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
                instances: Vec::new(),
            };
            found.insert(object.name.clone(), workload);
        }
        for pod in pods {
            let Some(workload) = found.get_mut(&pod.record.workload) else { continue };
            // One that was ended, and is not wanted, is not there.
            if !pod.is_there() && pod.record.ordinal >= workload.wanted {
                continue;
            }
            let ready = self.pod_ready(&pod).await;
            let recipe = recipe::of(&pod.record.chart)?;
            let role = match &ready {
                Ok(()) => recipe.role(self, &pod.record).await,
                Err(why) => Some(why.clone()),
            };
            workload.instances.push(Instance {
                name: pod.record.name.clone(),
                ready: ready.is_ok(),
                why: role,
                incarnation: pod.incarnation(),
            });
        }
        Ok(found.into_values().collect())
    }

    async fn volumes(&self, at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError> {
        check_name("namespace", &at.namespace)?;
        let pods = self.pods(at)?;
        let volumes = self.world.store.volumes(&at.namespace);
        let all = volumes.all()?.into_iter().filter(|(_, label)| label.release == at.name);
        Ok(all
            .map(|(claim, _)| Volume {
                used: pods.iter().any(|p| p.is_there() && p.record.claims.contains(&claim)),
                path: Some(volumes.path(&claim)),
                claim,
            })
            .collect())
    }

    async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretValues>, PlatformError> {
        check_name("namespace", namespace)?;
        check_name("Secret", name)?;
        let values = self.world.store.secrets(namespace).read(name)?;
        for value in values.iter().flat_map(|v| v.values()) {
            self.look.conceal(value);
            // The chart's lists of users and passwords.
            let entries = crate::database::list(value);
            entries.iter().filter(|_| entries.len() > 1).for_each(|e| self.look.conceal(e));
        }
        Ok(values)
    }

    async fn postgres(&self, at: &PartRef) -> Result<PostgresHa, PlatformError> {
        self.recipe(at)?.postgres(self, at).await
    }

    async fn app(&self, at: &ReleaseRef) -> Result<AppView, PlatformError> {
        let part = PartRef { release: at.clone(), part: None };
        self.recipe(&part)?.app(self, at).await
    }

    async fn traffic(&self, at: &ReleaseRef) -> Result<Traffic, PlatformError> {
        self.must_be(at)?;
        let gates: Vec<PodStatus> = self.pods(at)?.into_iter().filter(|p| p.record.gate).collect();
        let has_gate = self
            .world
            .store
            .releases(&at.namespace)
            .objects(&at.name)?
            .iter()
            .any(|o| o.body.get("gate") == Some(&json!(true)));
        Ok(match (has_gate, gates.iter().any(PodStatus::is_there)) {
            (_, true) => Traffic::Open,
            (true, false) => Traffic::Shut,
            (false, false) => Traffic::None,
        })
    }

    async fn connections(&self, at: &ReleaseRef) -> Result<Option<Vec<String>>, PlatformError> {
        let app = self.app(at).await?;
        let pods = self.pods(at)?.into_iter().filter(|p| p.record.workload == app.workload);
        let containers = pods.flat_map(|p| p.record.containers);
        let ports = containers.flat_map(|c| c.ports).map(|p| p.local);
        Ok(Some(ports.flat_map(who_is_connected).collect()))
    }

    async fn listener(&self, endpoint: &Endpoint) -> Option<String> {
        let port = self.reach(endpoint).await.ok()?.address.port();
        who_listens(port).map(|who| format!("port {port}, {who}"))
    }

    async fn reach(&self, endpoint: &Endpoint) -> Result<Reached, PlatformError> {
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let address = match endpoint {
            Endpoint::Address { host, port } => {
                let mut found =
                    tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|e| {
                        PlatformError::failed(format!("failed to look up `{host}`: {e}"))
                    })?;
                let nothing = || PlatformError::Missing(format!("`{host}` has no address"));
                found.next().ok_or_else(nothing)?
            }
            Endpoint::Pod { namespace, pod, port } => {
                let found = self.pod(namespace, pod)?.and_then(|pod| pod.local_port(*port));
                local(
                    found
                        .ok_or_else(|| PlatformError::Missing(format!("there is no {endpoint}")))?,
                )
            }
            Endpoint::Service { namespace, service, port } => {
                let found = self.service(namespace, service, *port).await?;
                local(
                    found
                        .ok_or_else(|| PlatformError::Missing(format!("there is no {endpoint}")))?,
                )
            }
        };
        Ok(Reached { address, guard: None })
    }
}

impl LocalView {
    /// The loopback port behind a service: of its first pod that accepts a connection, else of its
    /// first.
    async fn service(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Result<Option<u16>, PlatformError> {
        check_name("namespace", namespace)?;
        let ports = self.world.service_ports(namespace, service, port)?;
        for port in &ports {
            if ask_within(&Probe::Tcp(*port), ACCEPT).await.is_ok() {
                return Ok(Some(*port));
            }
        }
        Ok(ports.first().copied())
    }
}

impl World {
    /// The loopback ports of the pods behind a service.
    pub(crate) fn service_ports(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Result<Vec<u16>, PlatformError> {
        let releases = self.store.releases(namespace);
        for name in releases.names()? {
            let Some((pods, target)) = find_service(&releases.objects(&name)?, service, port)
            else {
                continue;
            };
            let mut found = Vec::new();
            for pod in pods {
                let record = PodFolder::new(&self.store.pods(namespace), &pod).record()?;
                found.extend(record.and_then(|record| record.local_port(target)));
            }
            return Ok(found);
        }
        Ok(Vec::new())
    }

    /// The loopback port of the first pod behind a service.
    pub(crate) fn service_port(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Result<Option<u16>, PlatformError> {
        Ok(self.service_ports(namespace, service, port)?.first().copied())
    }
}

/// Whether a release is in the middle of an operation.
pub(crate) fn is_pending(record: Option<&Record>) -> bool {
    record.and_then(Record::newest).is_some_and(|r| r.status.is_pending())
}
