//! Coming out of a half-done operation, going back, and going away.

use std::time::Duration;

use super::LocalOperate;
use super::deploy::{Change, left_behind};
use crate::local::run::Act;
use crate::local::view::is_pending;
use crate::{PlatformError, Release, ReleaseRef, ReleaseStatus};

impl LocalOperate {
    pub(super) async fn settle_release(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        let act = self.act(at, None)?;
        let store = &self.view.world().store;
        let releases = store.releases(&at.namespace);
        let _lock = releases.lock(&at.name).await?;
        let Some(mut record) = self.view.record(at)? else { return Ok(()) };
        let Some(newest) = record.newest().filter(|r| r.status.is_pending()).cloned() else {
            return Ok(());
        };
        if newest.status == ReleaseStatus::Uninstalling {
            return self.take_away(&act).await;
        }
        let Some(good) = record.last_good().cloned() else {
            // It was an install: there is nothing to go back to.
            return self.take_away(&act).await;
        };
        let Some(values) = releases.values(&at.name, good.revision)? else {
            let what = format!("the values of revision {} of {at} are gone", good.revision);
            return Err(PlatformError::Missing(what));
        };
        // From here on a kill leaves the new revision pending, and this one failed.
        if let Some(last) = record.revisions.last_mut() {
            last.status = ReleaseStatus::Failed;
            last.note = Some(format!("it was begun by {} and did not end", last.made_by));
        }
        let change = Change {
            chart: &good.chart,
            version: Some(&good.chart_version),
            values: &values,
            status: ReleaseStatus::PendingRollback,
            shut: None,
            note: Some(format!("settled to revision {}", good.revision)),
        };
        let key = store.make_key()?;
        self.change(&act, Some(record), &key, change).await.map(drop)
    }

    pub(super) async fn roll_back_release(
        &self,
        at: &ReleaseRef,
        revision: u64,
        timeout: Duration,
    ) -> Result<Release, PlatformError> {
        let act = self.act(at, Some(timeout))?;
        let store = &self.view.world().store;
        let releases = store.releases(&at.namespace);
        let _lock = releases.lock(&at.name).await?;
        let record = self.view.must_be(at)?;
        if is_pending(Some(&record)) {
            return Err(left_behind(at));
        }
        let Some(old) = record.revision(revision).cloned() else {
            return Err(PlatformError::Missing(format!("{at} has no revision {revision}")));
        };
        let Some(values) = releases.values(&at.name, revision)? else {
            let what = format!("the values of revision {revision} of {at} are gone");
            return Err(PlatformError::Missing(what));
        };
        let change = Change {
            chart: &old.chart,
            version: Some(&old.chart_version),
            values: &values,
            status: ReleaseStatus::PendingRollback,
            shut: None,
            note: Some(format!("rolled back to revision {revision}")),
        };
        let key = store.make_key()?;
        self.change(&act, Some(record), &key, change).await
    }

    pub(super) async fn uninstall_release(&self, at: &ReleaseRef) -> Result<(), PlatformError> {
        let act = self.act(at, None)?;
        let releases = self.view.world().store.releases(&at.namespace);
        let _lock = releases.lock(&at.name).await?;
        let Some(mut record) = self.view.record(at)? else { return Ok(()) };
        if let Some(last) = record.revisions.last_mut() {
            last.status = ReleaseStatus::Uninstalling;
            last.made_by = self.hands.identity.to_string();
        }
        releases.write_record(&record)?;
        self.take_away(&act).await
    }

    /// Ends all of a release and takes it off the record. Volumes stay. Idempotent.
    async fn take_away(&self, act: &Act<'_>) -> Result<(), PlatformError> {
        let (at, store) = (act.at, &self.view.world().store);
        act.stop_in_waves(self.view.pods(at)?, |_| true).await?;
        let secrets = store.secrets(&at.namespace);
        for name in secrets.of(&at.name)? {
            secrets.remove(&name)?;
        }
        store.releases(&at.namespace).remove(&at.name)
    }
}
