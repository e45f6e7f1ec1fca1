//! Waiting by watches: asked again when something of the release changes, until a deadline.

use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, select_all};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::workload::selector;
use crate::{PlatformError, ReleaseRef};

/// How long changes that come together are gathered before the next question.
const GATHER: Duration = Duration::from_millis(150);
/// What is not watched (events, claims) is seen this often.
const LOOK: Duration = Duration::from_secs(5);

/// What is waited for, for how long.
pub(super) struct Wait<'a> {
    pub(super) at: &'a ReleaseRef,
    pub(super) until: Instant,
    pub(super) cancel: &'a CancellationToken,
}

impl Cluster {
    /// Asks `is_so` again and again, each time that a workload or a pod of the release has changed.
    /// It says `None` when it is so, else what is not. An API server that is away for a while ends
    /// nothing.
    ///
    /// # Errors
    /// At the deadline, with what was not so last; when `is_so` fails for a reason that lasts; when
    /// the token is cancelled.
    pub(super) async fn wait<F>(
        &self,
        wait: Wait<'_>,
        mut is_so: impl FnMut() -> F,
    ) -> Result<(), PlatformError>
    where
        F: Future<Output = Result<Option<String>, PlatformError>>,
    {
        let began = Instant::now();
        let mut changes = self.changes(wait.at).await?;
        loop {
            let why = match is_so().await {
                Ok(None) => return Ok(()),
                Ok(Some(why)) => why,
                Err(error @ (PlatformError::Denied(_) | PlatformError::Target { .. })) => {
                    return Err(error);
                }
                Err(error) => error.to_string(),
            };
            tokio::select! {
                biased;
                () = wait.cancel.cancelled() => {
                    return Err(PlatformError::failed(format!("it was cancelled; {why}")));
                }
                () = tokio::time::sleep_until(wait.until) => {
                    return Err(PlatformError::TimedOut(format!(
                        "{} is not ready after {}: {why}",
                        wait.at,
                        workplan_engine::duration::format(Duration::from_secs(
                            began.elapsed().as_secs().max(1)
                        ))
                    )));
                }
                _ = changes.next() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Something of a release has changed; what, is asked.
    async fn changes(&self, at: &ReleaseRef) -> Result<BoxStream<'static, ()>, PlatformError> {
        let config = watcher::Config::default().labels(&selector(at)).timeout(60);
        let pods = self.api::<Pod>(&at.namespace).await?;
        let sets = self.api::<StatefulSet>(&at.namespace).await?;
        let deployments = self.api::<Deployment>(&at.namespace).await?;
        Ok(select_all([
            watcher(pods, config.clone()).default_backoff().map(drop).boxed(),
            watcher(sets, config.clone()).default_backoff().map(drop).boxed(),
            watcher(deployments, config).default_backoff().map(drop).boxed(),
        ])
        .boxed())
    }
}
