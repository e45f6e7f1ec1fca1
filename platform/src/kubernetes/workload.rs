//! What runs of a release, and why it does not.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;

use super::cluster::Cluster;
use crate::{Instance, PlatformError, ReleaseRef, Workload};

/// Label of a release's objects.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label of the chart that an object is of.
pub(super) const NAME: &str = "app.kubernetes.io/name";
/// Label of what an object is in its chart.
pub(super) const COMPONENT: &str = "app.kubernetes.io/component";

/// The selector of a release's objects.
pub(super) fn selector(at: &ReleaseRef) -> String {
    format!("{INSTANCE}={}", at.name)
}

/// A label of an object.
pub(super) fn label<'m>(meta: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

/// A workload and the label that its pods of today have.
struct Kept {
    workload: Workload,
    /// The hash of the newest pod template, where it can be told.
    revision: Option<String>,
    /// Whether the controller has seen the newest change and carried it out.
    settled: bool,
}

impl Cluster {
    /// The StatefulSets and Deployments of a release with their pods.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) async fn workloads_of(
        &self,
        at: &ReleaseRef,
        chart: &str,
    ) -> Result<Vec<Workload>, PlatformError> {
        let sets = self.api::<StatefulSet>(&at.namespace).await?;
        let deployments = self.api::<Deployment>(&at.namespace).await?;
        let pods = self.api::<Pod>(&at.namespace).await?;
        let params = ListParams::default().labels(&selector(at));
        let doing = |what: &str| format!("list the {what} of {at}");
        let (s, d, p) = (doing("StatefulSets"), doing("Deployments"), doing("pods"));
        let (sets, deployments, pods) = tokio::join!(
            self.ask(&s, || sets.list(&params)),
            self.ask(&d, || deployments.list(&params)),
            self.ask(&p, || pods.list(&params)),
        );
        let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
        for set in sets? {
            kept.insert(set.metadata.name.clone().unwrap_or_default(), of_set(&set, chart));
        }
        for deployment in deployments? {
            let name = deployment.metadata.name.clone().unwrap_or_default();
            kept.insert(name, of_deployment(&deployment, chart));
        }
        for pod in pods? {
            let Some(owner) = owner(&pod) else { continue };
            let Some(kept) = kept.get_mut(&owner) else { continue };
            kept.workload.instances.push(kept.instance(&pod));
        }
        let mut found = Vec::new();
        for (name, mut kept) in kept {
            kept.workload.instances.sort_by(|a, b| a.name.cmp(&b.name));
            if kept.workload.instances.len() < kept.workload.wanted as usize {
                let why = self.why_missing(at, &name).await?;
                kept.stand_in(why);
            }
            for instance in &mut kept.workload.instances {
                if !instance.ready && instance.why.as_deref() == Some(PENDING) {
                    instance.why = Some(self.why_pending(at, &instance.name).await?);
                }
            }
            found.push(kept.workload);
        }
        Ok(found)
    }

    /// Why a controller makes no pods, as it says in its events.
    async fn why_missing(&self, at: &ReleaseRef, name: &str) -> Result<String, PlatformError> {
        // A Deployment's pods are made by its ReplicaSet, whose name begins with its own.
        let all = self.warnings(at).await?;
        let of = |event: &&Event| {
            let object = &event.involved_object;
            let named = object.name.as_deref().unwrap_or_default();
            let ours = named == name || named.starts_with(&format!("{name}-"));
            ours && matches!(
                object.kind.as_deref(),
                Some("StatefulSet" | "ReplicaSet" | "Deployment")
            )
        };
        let said = all.iter().rfind(of).and_then(|event| event.message.clone());
        Ok(said.unwrap_or_else(|| "it is not made yet".to_owned()))
    }

    /// Why a pod does not start, as the scheduler and the kubelet say.
    async fn why_pending(&self, at: &ReleaseRef, pod: &str) -> Result<String, PlatformError> {
        let claims = self.api::<PersistentVolumeClaim>(&at.namespace).await?;
        let params = ListParams::default();
        let doing = format!("list the volume claims of {at}");
        let found = self.ask(&doing, || claims.list(&params)).await?;
        let all = self.warnings(at).await?;
        let of = |kind: &str, name: &str| {
            let hit = |event: &&Event| {
                event.involved_object.kind.as_deref() == Some(kind)
                    && event.involved_object.name.as_deref() == Some(name)
            };
            all.iter().rfind(hit).and_then(|event| event.message.clone())
        };
        for claim in found.items {
            let name = claim.metadata.name.unwrap_or_default();
            let pending = claim.status.and_then(|s| s.phase).as_deref() == Some("Pending");
            if pending && name.ends_with(&format!("-{pod}")) {
                let why = of("PersistentVolumeClaim", &name);
                let why = why.map(|w| format!(": {w}")).unwrap_or_default();
                return Ok(format!("its volume claim `{name}` is Pending{why}"));
            }
        }
        Ok(of("Pod", pod).unwrap_or_else(|| PENDING.to_owned()))
    }

    /// The warnings of a namespace, the oldest first. Who may not read events gets none.
    async fn warnings(&self, at: &ReleaseRef) -> Result<Vec<Event>, PlatformError> {
        let api = self.api::<Event>(&at.namespace).await?;
        let params = ListParams::default().fields("type=Warning");
        let doing = format!("list the events of the namespace `{}`", at.namespace);
        let mut found = match self.ask(&doing, || api.list(&params)).await {
            Ok(list) => list.items,
            Err(PlatformError::Denied(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        found.sort_by_key(|e| e.last_timestamp.clone().map(|t| t.0));
        Ok(found)
    }
}

/// Said of a pod of an older revision that never ran, so that its StatefulSet waits for it.
pub(super) const OLD_AND_STUCK: &str = "it is of an older revision and does not start";
/// Said of a pod of which nothing else is known.
const PENDING: &str = "it is Pending";

impl Kept {
    /// Says why instances are missing where an instance would stand.
    fn stand_in(&mut self, why: String) {
        if self.workload.instances.len() < self.workload.wanted as usize {
            let number = self.workload.instances.len();
            self.workload.instances.push(Instance {
                name: format!(
                    "{} (number {} of {})",
                    self.workload.name,
                    number + 1,
                    self.workload.wanted
                ),
                ready: false,
                why: Some(why),
                incarnation: String::new(),
            });
        }
    }

    fn instance(&self, pod: &Pod) -> Instance {
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let containers: Vec<&ContainerStatus> =
            status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten().collect();
        let restarts: i32 = containers.iter().map(|c| c.restart_count).sum();
        let conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
        let is_ready = conditions.clone().any(|c| c.type_ == "Ready" && c.status == "True");
        let hash = label(meta, "controller-revision-hash");
        let old = self.revision.as_deref().is_some_and(|now| hash.is_some_and(|hash| hash != now));
        let why = if meta.deletion_timestamp.is_some() {
            Some("it is being ended".to_owned())
        } else if old {
            let runs = |c: &&ContainerStatus| {
                c.state.as_ref().is_some_and(|s| s.running.is_some()) || c.restart_count > 0
            };
            let starting = containers.is_empty() || containers.iter().any(runs);
            let stuck = !starting && containers.iter().any(|c| unwell(c).is_some());
            Some(if stuck { OLD_AND_STUCK } else { "it is of an older revision" }.to_owned())
        } else if is_ready && !self.settled {
            Some("the change of its workload is not carried out yet".to_owned())
        } else if is_ready {
            None
        } else {
            let waiting = containers.iter().find_map(|c| unwell(c));
            let scheduling = conditions
                .filter(|c| c.type_ == "PodScheduled" && c.status == "False")
                .find_map(|c| c.message.clone());
            let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or("Pending");
            let plain = match phase {
                "Running" => "it runs and is not ready".to_owned(),
                "Pending" => PENDING.to_owned(),
                phase => format!("it is {phase}"),
            };
            // A claim that is not bound says more than that the scheduler waits for it.
            let scheduling = scheduling.filter(|s| !s.contains("PersistentVolumeClaim"));
            Some(waiting.or(scheduling).unwrap_or(plain))
        };
        Instance {
            name: meta.name.clone().unwrap_or_default(),
            ready: why.is_none(),
            why,
            incarnation: format!("{}/{restarts}", meta.uid.as_deref().unwrap_or_default()),
        }
    }
}

/// Why a container does not run: an image that cannot be pulled, a start that failed.
fn unwell(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if matches!(reason, "ContainerCreating" | "PodInitializing" | "") {
            return None;
        }
        let message = waiting.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
        return Some(format!("container `{}` waits ({reason}{message})", container.name));
    }
    let ended = state.terminated.as_ref()?;
    Some(format!("container `{}` ended with exit code {}", container.name, ended.exit_code))
}

/// The workload of a pod: its StatefulSet, or the Deployment of its ReplicaSet.
fn owner(pod: &Pod) -> Option<String> {
    let owner =
        pod.metadata.owner_references.as_ref()?.iter().find(|o| o.controller == Some(true))?;
    match owner.kind.as_str() {
        "StatefulSet" => Some(owner.name.clone()),
        "ReplicaSet" => {
            let hash = label(&pod.metadata, "pod-template-hash")?;
            owner.name.strip_suffix(&format!("-{hash}")).map(str::to_owned)
        }
        _ => None,
    }
}

fn workload(meta: &ObjectMeta, replicas: Option<i32>, chart: &str) -> Workload {
    let name = label(meta, NAME).unwrap_or_default();
    let component = match name {
        "postgresql-ha" => label(meta, COMPONENT).unwrap_or_default(),
        other => other,
    };
    Workload {
        name: meta.name.clone().unwrap_or_default(),
        component: component.to_owned(),
        part: (name != chart && !name.is_empty()).then(|| name.to_owned()),
        wanted: u32::try_from(replicas.unwrap_or(1)).unwrap_or(0),
        instances: Vec::new(),
    }
}

fn of_set(set: &StatefulSet, chart: &str) -> Kept {
    let status = set.status.as_ref();
    let replicas = set.spec.as_ref().and_then(|s| s.replicas);
    let seen = status.and_then(|s| s.observed_generation) >= set.metadata.generation;
    Kept {
        workload: workload(&set.metadata, replicas, chart),
        revision: status.filter(|_| seen).and_then(|s| s.update_revision.clone()),
        settled: seen,
    }
}

fn of_deployment(deployment: &Deployment, chart: &str) -> Kept {
    let status = deployment.status.as_ref();
    let replicas = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let seen = status.and_then(|s| s.observed_generation) >= deployment.metadata.generation;
    let updated = status.and_then(|s| s.updated_replicas).unwrap_or(0);
    let all = status.and_then(|s| s.replicas).unwrap_or(0);
    Kept {
        workload: workload(&deployment.metadata, Some(replicas), chart),
        revision: None,
        settled: seen && updated == replicas && all == replicas,
    }
}
