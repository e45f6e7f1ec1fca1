//! The target's lock: a Lease in each of its namespaces, and in it the memory of the unfinished run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio_util::sync::CancellationToken;
use workplan_engine::journal::Owner;
use workplan_engine::kind::{Look, StepError};
use workplan_engine::process::Liveness;
use workplan_engine::session::{Claim, NotTaken, Remembered, TargetGuard, TargetHold};

use super::cluster::Cluster;
use super::rights::{Right, of_record};
use crate::PlatformError;

/// The Lease's name.
const NAME: &str = "workplan";
/// How long a holder that says nothing keeps a target.
const LASTS: Duration = Duration::from_secs(30);
/// How often a holder says that it is there.
const RENEW: Duration = Duration::from_secs(8);
/// How old the last word may be when something is written: younger than a successor waits.
const FRESH: Duration = Duration::from_secs(20);
/// Annotation: the holder as [`Owner`].
const OWNER: &str = "workplan/owner";
/// Annotation: the run that is not finished.
const RUN: &str = "workplan/run";
/// Annotation: its workplan.
const WORKPLAN: &str = "workplan/workplan";
/// Annotation: the machine that it ran on.
const HOST: &str = "workplan/host";

/// Keeps clusters for one run at a time, by Leases.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubernetesGuard;

/// What is held, shared by who renews it and who writes.
pub(super) struct Held {
    cluster: Arc<Cluster>,
    claim: Claim,
    /// The Leases as we wrote them last, one a namespace, and when.
    written: Mutex<(Vec<(String, Lease)>, SystemTime)>,
    lost: CancellationToken,
    /// One renewal at a time.
    busy: tokio::sync::Mutex<()>,
}

/// A held cluster; it is renewed while this lives.
struct Hold {
    held: Arc<Held>,
    renewing: tokio::task::JoinHandle<()>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

#[async_trait]
impl TargetGuard for KubernetesGuard {
    async fn remembered(&self, look: &Look) -> Result<Option<Remembered>, StepError> {
        if look.place.kind != "kubernetes" {
            return Ok(None);
        }
        let cluster = Cluster::of(look)?;
        for namespace in namespaces(&cluster) {
            if let Some(lease) = cluster.lease(&namespace).await? {
                let note = |key| note(&lease, key);
                if let Some(run) = note(RUN) {
                    let text = |key| note(key).unwrap_or_default();
                    return Ok(Some(Remembered {
                        run,
                        workplan: text(WORKPLAN),
                        host: text(HOST),
                    }));
                }
            }
        }
        Ok(None)
    }

    async fn take(
        &self,
        look: &Look,
        claim: &Claim,
    ) -> Result<Option<Box<dyn TargetHold>>, NotTaken> {
        if look.place.kind != "kubernetes" {
            return Ok(None);
        }
        let failed = |error: PlatformError| NotTaken::Failed(error.into());
        let cluster = Cluster::of(look).map_err(failed)?;
        cluster.demand(rights(&cluster, claim)).await.map_err(failed)?;
        let mut taken = Vec::new();
        for namespace in namespaces(&cluster) {
            match cluster.take(&namespace, claim).await {
                Ok(lease) => taken.push((namespace, lease)),
                Err(refused) => {
                    // Those before it are let go again, all as they were.
                    for (namespace, (before, lease)) in &taken {
                        let _ = cluster.write(namespace, lease, given_back(lease, before)).await;
                    }
                    return Err(refused);
                }
            }
        }
        let taken = taken.into_iter().map(|(namespace, (_, lease))| (namespace, lease)).collect();
        let held = Arc::new(Held {
            cluster: Arc::clone(&cluster),
            claim: claim.clone(),
            written: Mutex::new((taken, SystemTime::now())),
            lost: CancellationToken::new(),
            busy: tokio::sync::Mutex::new(()),
        });
        cluster.hold(&held);
        let renewing = tokio::spawn({
            let held = Arc::clone(&held);
            async move {
                while !held.lost.is_cancelled() {
                    tokio::time::sleep(RENEW).await;
                    // An API server that is away is asked again; only another holder ends it.
                    let _ = held.renew().await;
                }
            }
        });
        Ok(Some(Box::new(Hold { held, renewing })))
    }
}

#[async_trait]
impl TargetHold for Hold {
    fn lost(&self) -> &CancellationToken {
        &self.held.lost
    }

    async fn release(self: Box<Self>, unfinished: bool) {
        self.renewing.abort();
        let _one = self.held.busy.lock().await;
        let (leases, _) = self.held.take_written();
        for (namespace, lease) in leases {
            // What cannot be written now runs out by itself; the memory stays then, and is read as
            // what it says.
            let _ = self
                .held
                .cluster
                .write(&namespace, &lease, free(&lease, unfinished || !self.held.claim.remember))
                .await;
        }
    }
}

impl Held {
    fn take_written(&self) -> (Vec<(String, Lease)>, SystemTime) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut written.0), written.1)
    }

    /// Says that the holder is there. Where somebody else has taken a Lease meanwhile, all is lost.
    async fn renew(&self) -> Result<(), PlatformError> {
        let _one = self.busy.lock().await;
        let leases = {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.0.clone()
        };
        let at = SystemTime::now();
        let mut renewed = Vec::new();
        for (namespace, lease) in leases {
            match self.cluster.write(&namespace, &lease, mine(&lease, &self.claim)).await {
                Ok(lease) => renewed.push((namespace, lease)),
                Err(Write::Another) => {
                    self.lost.cancel();
                    return Err(lost());
                }
                Err(Write::Failed(error)) => return Err(error),
            }
        }
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = (renewed, at);
        Ok(())
    }

    /// Whether the target is still ours, to be asked before anything is written. A process that
    /// slept longer than its word counts renews it first, and learns whether somebody else has come.
    ///
    /// # Errors
    /// When it is not, or cannot be told.
    pub(super) async fn still(&self) -> Result<(), PlatformError> {
        if self.lost.is_cancelled() {
            return Err(lost());
        }
        let since = {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            // By the wall clock: a machine that was asleep has not counted otherwise.
            SystemTime::now().duration_since(written.1)
        };
        match since {
            Ok(age) if age < FRESH => Ok(()),
            _ => self.renew().await,
        }
    }
}

fn lost() -> PlatformError {
    PlatformError::Failed {
        what: "another run has taken the target while this one was asleep or cut off".to_owned(),
        said: Vec::new(),
        help: Some("see `workplan status` there; nothing is written any more from here".to_owned()),
    }
}

/// Why a Lease was not written.
enum Write {
    /// Somebody else wrote it.
    Another,
    /// It could not be.
    Failed(PlatformError),
}

impl Cluster {
    async fn leases(&self, namespace: &str) -> Result<Api<Lease>, PlatformError> {
        self.api(namespace).await
    }

    async fn lease(&self, namespace: &str) -> Result<Option<Lease>, PlatformError> {
        let api = self.leases(namespace).await?;
        let doing = format!("read the lock (Lease `{namespace}/{NAME}`)");
        self.ask(&doing, || api.get_opt(NAME)).await
    }

    /// Writes a Lease over the version that was read.
    async fn write(&self, namespace: &str, read: &Lease, new: Lease) -> Result<Lease, Write> {
        let api = self.leases(namespace).await.map_err(Write::Failed)?;
        let params = PostParams::default();
        let doing = format!("write the lock (Lease `{namespace}/{NAME}`)");
        let is_new = read.metadata.resource_version.is_none();
        let written = self
            .ask(&doing, || async {
                let done = match is_new {
                    true => api.create(&params, &new).await,
                    false => api.replace(NAME, &params, &new).await,
                };
                match done {
                    Ok(lease) => Ok(Some(lease)),
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await;
        match written {
            Ok(Some(lease)) => Ok(lease),
            Ok(None) => match self.lease(namespace).await {
                // The answer to our own word was lost, and it was said again.
                Ok(Some(now)) if note(&now, OWNER) == note(&new, OWNER) => Ok(now),
                Ok(_) => Err(Write::Another),
                Err(error) => Err(Write::Failed(error)),
            },
            Err(error) => Err(Write::Failed(error)),
        }
    }

    /// Takes a namespace's Lease: as it was before, and as it is now.
    async fn take(&self, namespace: &str, claim: &Claim) -> Result<(Lease, Lease), NotTaken> {
        let failed = |error: PlatformError| NotTaken::Failed(error.into());
        let now = self.lease(namespace).await.map_err(failed)?;
        let now = now.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..Default::default()
            },
            spec: None,
        });
        if let Some(owner) = holder(&now)
            && !is_over(&now, &owner)
            && !owner.is_same_process(&claim.owner)
        {
            return Err(NotTaken::Held(Box::new(owner)));
        }
        match self.write(namespace, &now, mine(&now, claim)).await {
            Ok(lease) => Ok((now, lease)),
            Err(Write::Failed(error)) => Err(failed(error)),
            Err(Write::Another) => {
                let now = self.lease(namespace).await.map_err(failed)?;
                match now.as_ref().and_then(holder) {
                    Some(owner) => Err(NotTaken::Held(Box::new(owner))),
                    None => Err(failed(PlatformError::failed(
                        "somebody else writes the lock at this moment; try again",
                    ))),
                }
            }
        }
    }
}

/// What the lock itself and the steps of a run need, as far as that can be told beforehand.
fn rights(cluster: &Cluster, claim: &Claim) -> BTreeSet<(Option<String>, Right)> {
    let lock = ["get", "create", "update"].map(|v| Right::new(v, "coordination.k8s.io", "leases"));
    let mut all: BTreeSet<_> = namespaces(cluster)
        .into_iter()
        .flat_map(|namespace| lock.clone().map(|right| (Some(namespace.clone()), right)))
        .collect();
    for (kind, namespace) in &claim.steps {
        let Some(namespace) = namespace.as_ref().filter(|n| !n.contains("${{")) else { continue };
        let needs = match kind.as_str() {
            "release.deploy" => {
                all.extend(of_record(namespace));
                vec![
                    ("", "services", "create"),
                    ("", "services", "patch"),
                    ("", "configmaps", "create"),
                    ("", "configmaps", "patch"),
                ]
            }
            "ha.failover" => vec![("", "pods", "delete")],
            _ => Vec::new(),
        };
        let right = |(group, what, verb)| (Some(namespace.clone()), Right::new(verb, group, what));
        all.extend(needs.into_iter().map(right));
    }
    all
}

fn namespaces(cluster: &Cluster) -> Vec<String> {
    // Always in one order: two who want the same namespaces meet at the first.
    let mut all = cluster.settings.namespaces.clone();
    all.sort();
    all.dedup();
    all
}

fn note(lease: &Lease, key: &str) -> Option<String> {
    lease.metadata.annotations.as_ref()?.get(key).cloned()
}

fn holder(lease: &Lease) -> Option<Owner> {
    let held = lease.spec.as_ref()?.holder_identity.as_deref().is_some_and(|h| !h.is_empty());
    held.then(|| serde_json::from_str(&note(lease, OWNER)?).ok()).flatten()
}

/// Whether a holder has said nothing for too long, or is a process of this machine that is gone.
fn is_over(lease: &Lease, owner: &Owner) -> bool {
    if owner.liveness() == Liveness::Dead {
        return true;
    }
    let Some(spec) = &lease.spec else { return true };
    let lasts = spec.lease_duration_seconds.unwrap_or(0);
    let Some(MicroTime(renewed)) = &spec.renew_time else { return true };
    let age = k8s_openapi::jiff::Timestamp::now().as_second() - renewed.as_second();
    age > i64::from(lasts)
}

/// The Lease as the claimer's own, with the run that is remembered.
fn mine(read: &Lease, claim: &Claim) -> Lease {
    let mut lease = read.clone();
    let owner = serde_json::to_string(&claim.owner).unwrap_or_default();
    let notes = lease.metadata.annotations.get_or_insert_default();
    notes.insert(OWNER.to_owned(), owner);
    // A single step leaves standing what is remembered of a run.
    if claim.remember {
        notes.insert(RUN.to_owned(), claim.owner.run.clone());
        notes.insert(WORKPLAN.to_owned(), claim.workplan.clone());
        notes.insert(HOST.to_owned(), claim.owner.host.clone());
    }
    let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
    let identity = format!("{}/{}/{}", claim.owner.host, claim.owner.pid, claim.owner.run);
    let before = read.spec.as_ref();
    let same = before.is_some_and(|s| s.holder_identity.as_ref() == Some(&identity));
    lease.spec = Some(LeaseSpec {
        acquire_time: match same {
            true => before.and_then(|s| s.acquire_time.clone()),
            false => Some(now.clone()),
        },
        holder_identity: Some(identity),
        lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
        lease_transitions: before
            .and_then(|s| s.lease_transitions)
            .or(Some(0))
            .map(|n| if same { n } else { n.saturating_add(1) }),
        renew_time: Some(now),
        ..Default::default()
    });
    lease
}

/// The Lease as nobody's.
fn free(read: &Lease, unfinished: bool) -> Lease {
    let mut lease = read.clone();
    if let Some(notes) = &mut lease.metadata.annotations {
        notes.remove(OWNER);
        if !unfinished {
            [RUN, WORKPLAN, HOST].iter().for_each(|key| drop(notes.remove(*key)));
        }
    }
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
        spec.renew_time = None;
        spec.acquire_time = None;
    }
    lease
}

/// The Lease as nobody's, with the memory that it had before it was taken.
fn given_back(taken: &Lease, before: &Lease) -> Lease {
    let mut lease = free(taken, false);
    let notes = lease.metadata.annotations.get_or_insert_default();
    for key in [RUN, WORKPLAN, HOST] {
        notes.extend(note(before, key).map(|text| (key.to_owned(), text)));
    }
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(run: &str) -> Claim {
        // As precise as it is written.
        let now = k8s_openapi::jiff::Timestamp::now().as_second();
        let since = k8s_openapi::jiff::Timestamp::from_second(now).unwrap();
        let owner = Owner::this_process(run, since).unwrap();
        Claim { owner, workplan: "W".to_owned(), remember: true, steps: Vec::new() }
    }

    fn empty() -> Lease {
        Lease { metadata: ObjectMeta::default(), spec: None }
    }

    #[test]
    fn what_is_taken_names_its_holder_and_what_is_free_names_nobody() {
        let claim = claim("r1");
        let taken = mine(&empty(), &claim);
        assert_eq!(holder(&taken), Some(claim.owner.clone()));
        assert!(!is_over(&taken, &claim.owner));
        let free_with_memory = free(&taken, true);
        assert_eq!(holder(&free_with_memory), None);
        assert_eq!(note(&free_with_memory, RUN).as_deref(), Some("r1"));
        assert_eq!(note(&free(&taken, false), RUN), None);
    }

    #[test]
    fn what_is_given_back_remembers_what_it_did_before() {
        // A resume that could not take the next namespace forgets nothing.
        let before = free(&mine(&empty(), &claim("r1")), true);
        let back = given_back(&mine(&before, &claim("r1")), &before);
        assert_eq!(holder(&back), None);
        assert_eq!(note(&back, RUN).as_deref(), Some("r1"));
        // A run that never began is not remembered.
        let back = given_back(&mine(&empty(), &claim("r2")), &empty());
        assert_eq!(note(&back, RUN), None);
    }

    #[test]
    fn a_single_step_leaves_the_memory_of_a_run() {
        let left = free(&mine(&empty(), &claim("r1")), true);
        let single = Claim { remember: false, ..claim("r2") };
        let taken = mine(&left, &single);
        assert_eq!(note(&taken, RUN).as_deref(), Some("r1"));
        assert_eq!(holder(&taken).map(|o| o.run).as_deref(), Some("r2"));
    }

    #[test]
    fn who_is_gone_or_silent_is_over() {
        let claim = claim("r1");
        let taken = mine(&empty(), &claim);
        let mut gone = claim.owner.clone();
        gone.started_ticks += 1;
        assert!(is_over(&taken, &gone), "another process has its number");
        let mut silent = taken.clone();
        let ago = k8s_openapi::jiff::Timestamp::from_second(1_000_000).unwrap();
        silent.spec.as_mut().unwrap().renew_time = Some(MicroTime(ago));
        let mut elsewhere = claim.owner.clone();
        elsewhere.host = "another machine".to_owned();
        assert!(is_over(&silent, &elsewhere) && !is_over(&taken, &elsewhere));
    }

    #[test]
    fn a_renewal_counts_no_change_of_holder() {
        let claim = claim("r1");
        let once = mine(&empty(), &claim);
        let transitions = |l: &Lease| l.spec.as_ref().unwrap().lease_transitions;
        assert_eq!(transitions(&mine(&once, &claim)), transitions(&once));
        let other = Claim { owner: Owner { run: "r2".to_owned(), ..claim.owner }, ..claim };
        assert_eq!(transitions(&mine(&once, &other)), transitions(&once).map(|n| n + 1));
    }
}
