//! Bringing what runs of a release to what is wanted, touching nothing that is right already.

use std::collections::BTreeMap;
use std::time::Duration;

use super::act::Act;
use super::start::{NoStart, all};
use super::status::{PodStatus, status};
use crate::PlatformError;
use crate::local::pod::{Pod, PodRecord};
use crate::local::recipe::{self, template};
use crate::local::store::Key;

/// Between two looks at a pod that is not ready yet.
const LOOK: Duration = Duration::from_millis(50);
/// Before each new start of a server that ended.
const RESTARTS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// How often in a row a server may end before it answers. More starts would not tell more about a
/// configuration that it refuses.
const MUTE: usize = 3;

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
        self.ports_are_free(wanted.pods.iter().filter(|p| wanted.runs(p))).await?;
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
            self.bring_up(want, template(Some(key), want)).await?;
        }
        let mut waves: BTreeMap<u32, Vec<&Pod>> = BTreeMap::new();
        for pod in wanted.pods.iter().filter(|p| wanted.runs(p)) {
            waves.entry(pod.wave).or_default().push(pod);
        }
        for pods in waves.into_values() {
            // One that runs is asked to start too: a server of it may have ended.
            let start = pods.into_iter().map(|pod| self.bring_up(pod, template(Some(key), pod)));
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

    /// Starts what does not run of a pod, and waits until its servers answer and its recipe finds
    /// it ready. A server that ends meanwhile is started again, as a kubelet does: repmgrd gives up
    /// when it starts while another node is being promoted, a PostgreSQL was seen to end while it was
    /// starting on a busy machine.
    async fn bring_up(&self, pod: &Pod, template: String) -> Result<(), PlatformError> {
        let up = self.come_up(pod, template).await;
        if up.is_err() {
            self.give_up(&pod.name);
        }
        up
    }

    async fn come_up(&self, pod: &Pod, template: String) -> Result<(), PlatformError> {
        let pods = self.world().store.pods(&self.at.namespace);
        let mut pauses = RESTARTS.into_iter();
        // Who ended before it answered, and how often in a row.
        let mut mute = (String::new(), 0);
        loop {
            match self.start_pod(pod, template.clone()).await {
                Ok(()) => mute.1 = 0,
                Err(NoStart::Failed(error)) => return Err(error),
                Err(NoStart::Ended(ended)) => {
                    if mute.0 != ended.name {
                        mute = (ended.name.clone(), 0);
                    }
                    mute.1 += 1;
                    let pause = if mute.1 < MUTE { pauses.next() } else { None };
                    // Without the time for another start, why it ended says more than that.
                    let Some(pause) = pause.filter(|p| *p < self.left()) else {
                        return Err(ended.after(mute.1));
                    };
                    self.pause(pause).await;
                    continue;
                }
            }
            loop {
                let there = status(&pods, &self.at.name)?;
                let Some(there) = there.iter().find(|p| p.record.name == pod.name) else {
                    let what = format!("the pod `{}` is not there", pod.name);
                    return Err(PlatformError::failed(what));
                };
                let Err(why) = self.view.pod_ready(there).await else { return Ok(()) };
                self.check(&format!("waiting for `{}`: {why}", pod.name))?;
                if there.has_ended()
                    && let Some(pause) = pauses.next()
                {
                    self.pause(pause).await;
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Waits so long, or until the run is cancelled.
    async fn pause(&self, long: Duration) {
        tokio::select! {
            () = self.hands.cancel().cancelled() => {}
            () = tokio::time::sleep(long) => {}
        }
    }
}
