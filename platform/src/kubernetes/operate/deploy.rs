//! Installing and upgrading, by Helm.

use std::time::Duration;

use tokio::time::Instant;

use super::super::record::{ATTEMPT, REVISION, RUN, STEP};
use super::super::rights::{of_deploy, of_record};
use super::super::view::not_yet;
use super::KubernetesOperate;
use crate::platform::View as _;
use crate::{PlatformError, Release, ReleaseRef, ReleaseSpec, ReleaseStatus};

impl KubernetesOperate {
    pub(super) async fn deploy_release(
        &self,
        spec: &ReleaseSpec,
    ) -> Result<Release, PlatformError> {
        let (at, cluster) = (&spec.at, self.view.cluster());
        if spec.quarantine {
            return Err(not_yet(&format!("a deploy of {at} in quarantine")));
        }
        let until = Instant::now() + spec.timeout;
        let history = cluster.history(at).await?;
        let newest = history.as_ref().and_then(|h| h.newest());
        if newest.and_then(|n| n.state()).is_some_and(ReleaseStatus::is_pending) {
            return Err(left_behind(at));
        }
        if !self.is_deployed(spec).await? {
            let mut rights = of_record(&at.namespace);
            let wanted = self.view.manifest(spec).await?;
            rights.extend(of_deploy(&wanted));
            cluster.demand(rights).await?;
            if let [first, rest @ ..] = &self.view.refused(&wanted).await?[..] {
                return Err(PlatformError::Failed {
                    what: format!("{at} cannot become what is wanted: {first}"),
                    said: rest.iter().map(ToString::to_string).collect(),
                    help: Some("nothing was changed".to_owned()),
                });
            }
            let number = newest.map_or(0, |n| n.number) + 1;
            self.upgrade(spec, number, until).await?;
        }
        // `helm --wait` is no proof of anything, and says nothing while it waits.
        self.wait_ready(at, until).await?;
        self.newest_of(at).await
    }

    /// Whether the record and the objects are as wanted, so that only the workload may be not.
    async fn is_deployed(&self, spec: &ReleaseSpec) -> Result<bool, PlatformError> {
        let Some(release) = self.view.release(&spec.at).await? else { return Ok(false) };
        let wanted = serde_json::Value::Object(spec.values.reveal().clone());
        if release.status != ReleaseStatus::Deployed
            || release.chart != spec.chart
            || spec.version.as_ref().is_some_and(|v| *v != release.chart_version)
            || release.values_digest != self.view.cluster().digest_json(&wanted).await?
        {
            return Ok(false);
        }
        let (rendered, live) = tokio::join!(self.view.render(spec), self.view.objects(&spec.at));
        Ok(rendered?.objects == live?)
    }

    async fn upgrade(
        &self,
        spec: &ReleaseSpec,
        number: u64,
        until: Instant,
    ) -> Result<(), PlatformError> {
        let (at, cluster) = (&spec.at, self.view.cluster());
        let left = until.saturating_duration_since(Instant::now());
        let timeout = format!("{}s", left.as_secs().max(1));
        let mut more = vec!["--timeout", &timeout, "--description", &self.hands.identity];
        let labels = labels(&self.hands.identity, number);
        if let Some(labels) = &labels {
            more.extend(["--labels", labels]);
        }
        let call = cluster
            .helm_upgrade(&self.hands, spec, &more, left.max(Duration::from_secs(1)))
            .await?;
        cluster.still_held().await?;
        let outcome = self.hands.run(call).await?;
        if outcome.code == Some(0) {
            return Ok(());
        }
        let doing = match number {
            1 => format!("install {at}"),
            _ => format!("upgrade {at}"),
        };
        Err(cluster.helm_failure(&doing, &outcome))
    }

    /// The release on record after an operation.
    pub(super) async fn newest_of(&self, at: &ReleaseRef) -> Result<Release, PlatformError> {
        let found = self.view.release(at).await?;
        found.ok_or_else(|| PlatformError::Missing(format!("there is no release {at}")))
    }
}

/// Who makes a revision, as labels that Helm writes with its first record of it; `None` where the
/// identity cannot be one. The description of a revision is written only when it has ended.
fn labels(identity: &str, revision: u64) -> Option<String> {
    let parts: Vec<&str> = identity.split(':').collect();
    let ["workplan", run, step, attempt] = parts[..] else { return None };
    let fits = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && edge(text.chars().next())
            && edge(text.chars().last())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let all = [(RUN, run), (STEP, step), (ATTEMPT, attempt)];
    all.iter().all(|(_, value)| fits(value)).then(|| {
        let pairs = all.iter().map(|(key, value)| format!("{key}={value}"));
        pairs.chain([format!("{REVISION}={revision}")]).collect::<Vec<_>>().join(",")
    })
}

pub(super) fn left_behind(at: &ReleaseRef) -> PlatformError {
    PlatformError::Failed {
        what: format!("an operation on {at} was begun and did not end"),
        said: Vec::new(),
        help: Some(
            "settle it first: `workplan resume`, or repair the step that began it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_becomes_labels_where_it_can() {
        assert_eq!(
            labels("workplan:r1:T01.deploy:2", 3).as_deref(),
            Some("workplan.run=r1,workplan.step=T01.deploy,workplan.attempt=2,workplan.revision=3")
        );
        for identity in ["workplan:-:a:0", "workplan:r:a@1:0", "somebody", "workplan:r:a b:1"] {
            assert_eq!(labels(identity, 1), None, "{identity}");
        }
    }
}
