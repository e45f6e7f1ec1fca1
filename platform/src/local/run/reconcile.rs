//! Bringing what runs of a release to what is wanted, touching nothing that is right already.

use std::collections::BTreeMap;

use super::act::Act;
use super::start::all;
use super::status::{PodStatus, status};
use crate::PlatformError;
use crate::local::pod::{Pod, PodRecord};
use crate::local::recipe::{self, template};
use crate::local::store::Key;

/// What should run.
pub(crate) struct Wanted<'p> {
    /// All pods of the release.
    pub(crate) pods: &'p [Pod],
    /// How many of each workload; its pods' number where it is not named.
    pub(crate) replicas: BTreeMap<String, u32>,
    /// Whether the outside is let in.
    pub(crate) open: bool,
}

impl Wanted<'_> {
    fn runs(&self, pod: &Pod) -> bool {
        let within = self.replicas.get(&pod.workload).is_none_or(|n| pod.ordinal < *n);
        within && (self.open || !pod.gate)
    }
}

impl Act<'_> {
    /// Ends what is not wanted, restarts what changed, starts what is missing, and waits until all
    /// of it is ready.
    pub(crate) async fn reconcile(
        &self,
        wanted: &Wanted<'_>,
        key: &Key,
    ) -> Result<(), PlatformError> {
        self.reconcile_only(wanted, key, |_| true).await
    }

    /// The same for those of the release's pods that are meant.
    pub(crate) async fn reconcile_only(
        &self,
        wanted: &Wanted<'_>,
        key: &Key,
        meant: impl Fn(&PodRecord) -> bool,
    ) -> Result<(), PlatformError> {
        let pods = self.world().store.pods(&self.at.namespace);
        let mut there = status(&pods, &self.at.name)?;
        there.retain(|p| meant(&p.record));
        let find = |name: &str| wanted.pods.iter().find(|p| p.name == name);
        let (gone, kept): (Vec<PodStatus>, Vec<PodStatus>) =
            there.into_iter().partition(|p| !find(&p.record.name).is_some_and(|p| wanted.runs(p)));
        self.stop_in_waves(gone, |p| find(&p.record.name).is_none()).await?;
        // Changed ones: from the last to the first, one by one, as a StatefulSet is rolled.
        let mut changed: Vec<(&Pod, PodStatus)> = Vec::new();
        let mut running: Vec<String> = Vec::new();
        for pod in kept {
            let Some(want) = find(&pod.record.name) else { continue };
            if !pod.is_there() {
                continue;
            }
            running.push(want.name.clone());
            if pod.record.template != template(Some(key), want) {
                changed.push((want, pod));
            }
        }
        changed.sort_by_key(|(want, _)| (want.wave, std::cmp::Reverse(want.ordinal)));
        for (want, pod) in changed {
            self.stop_pods(&[pod], false).await?;
            self.start_pod(want, template(Some(key), want)).await?;
            self.wait_ready(&want.name).await?;
        }
        let mut waves: BTreeMap<u32, Vec<&Pod>> = BTreeMap::new();
        for pod in wanted.pods.iter().filter(|p| wanted.runs(p)) {
            waves.entry(pod.wave).or_default().push(pod);
        }
        for pods in waves.into_values() {
            // One that runs is asked to start too: a server of it may have ended.
            let start = pods.into_iter().map(|pod| async move {
                self.start_pod(pod, template(Some(key), pod)).await?;
                self.wait_ready(&pod.name).await
            });
            all(start.collect()).await?;
        }
        for pod in wanted.pods.iter().filter(|p| wanted.runs(p)) {
            recipe::of(&pod.chart)?.finish(self, pod).await?;
        }
        Ok(())
    }

    /// Ends pods, those of the last wave first.
    pub(crate) async fn stop_in_waves(
        &self,
        pods: Vec<PodStatus>,
        take_away: impl Fn(&PodStatus) -> bool,
    ) -> Result<(), PlatformError> {
        let mut waves: BTreeMap<u32, Vec<PodStatus>> = BTreeMap::new();
        for pod in pods {
            waves.entry(pod.record.wave).or_default().push(pod);
        }
        for (_, pods) in waves.into_iter().rev() {
            let (away, stays): (Vec<PodStatus>, Vec<PodStatus>) =
                pods.into_iter().partition(&take_away);
            self.stop_pods(&away, true).await?;
            self.stop_pods(&stays, false).await?;
        }
        Ok(())
    }

    /// Waits until a pod's servers answer and its recipe finds it ready.
    pub(crate) async fn wait_ready(&self, name: &str) -> Result<(), PlatformError> {
        let pods = self.world().store.pods(&self.at.namespace);
        loop {
            let there = status(&pods, &self.at.name)?;
            let Some(pod) = there.iter().find(|p| p.record.name == name) else {
                return Err(PlatformError::failed(format!("the pod `{name}` is not there")));
            };
            let Err(why) = self.view.pod_ready(pod).await else { return Ok(()) };
            self.check(&format!("waiting for `{name}`: {why}"))?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}
