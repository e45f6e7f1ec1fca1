//! Installing and upgrading.

use std::collections::BTreeMap;

use serde_json::Value;

use super::LocalOperate;
use crate::local::recipe::{self, Mode, Rendition};
use crate::local::run::Act;
use crate::local::run::reconcile::Wanted;
use crate::local::store::{Key, Record, Revision, now};
use crate::local::view::is_pending;
use crate::values::Values;
use crate::{
    Object, PlatformError, Release, ReleaseRef, ReleaseSpec, ReleaseStatus, Traffic, View,
};

/// A change of a release, whatever asked for it.
pub(super) struct Change<'c> {
    pub(super) chart: &'c str,
    pub(super) version: Option<&'c str>,
    pub(super) values: &'c Values,
    pub(super) status: ReleaseStatus,
    /// Whether the outside is shut out from now on; `None` leaves that as it is.
    pub(super) shut: Option<bool>,
    pub(super) note: Option<String>,
}

impl<'c> Change<'c> {
    fn of(spec: &'c ReleaseSpec, status: ReleaseStatus) -> Self {
        Self {
            chart: &spec.chart,
            version: spec.version.as_deref(),
            values: &spec.values,
            status,
            shut: Some(spec.quarantine),
            note: None,
        }
    }
}

impl LocalOperate {
    pub(super) async fn deploy_release(
        &self,
        spec: &ReleaseSpec,
    ) -> Result<Release, PlatformError> {
        let act = self.act(&spec.at, Some(spec.timeout))?;
        let releases = self.view.world().store.releases(&spec.at.namespace);
        let _lock = releases.lock(&spec.at.name).await?;
        let record = self.view.record(&spec.at)?;
        let key = self.view.world().store.make_key()?;
        if is_pending(record.as_ref()) {
            let newest = record.as_ref().and_then(Record::newest);
            let same = |r: &&Revision| {
                r.chart == spec.chart && r.values_digest == digest(&key, &spec.values)
            };
            let Some(begun) = newest.filter(same).map(|r| r.status) else {
                return Err(left_behind(&spec.at));
            };
            return self.change(&act, record, &key, Change::of(spec, begun)).await;
        }
        if let Some(newest) = record.as_ref().and_then(Record::newest)
            && newest.status == ReleaseStatus::Deployed
            && newest.chart == spec.chart
            && newest.values_digest == digest(&key, &spec.values)
            && spec.version.as_ref().is_none_or(|v| *v == newest.chart_version)
        {
            let rendition = self.render_now(&spec.at, &spec.chart, &spec.values).await?;
            if self.view.objects(&spec.at).await? == rendition.objects {
                // Nothing to change; what has died is started, as a kubelet would.
                let open = self.view.traffic(&spec.at).await? != Traffic::Shut;
                act.reconcile(&wanted(&rendition, &rendition.objects, open), &key).await?;
                return newest_of(self.view.record(&spec.at)?, &spec.at);
            }
        }
        let status = match &record {
            None => ReleaseStatus::PendingInstall,
            Some(_) => ReleaseStatus::PendingUpgrade,
        };
        self.change(&act, record, &key, Change::of(spec, status)).await
    }

    /// Makes a new revision: recorded as pending before the first effect, and as what became of it
    /// after the last. One that is pending already is gone on with. The release's lock is held.
    pub(super) async fn change(
        &self,
        act: &Act<'_>,
        record: Option<Record>,
        key: &Key,
        change: Change<'_>,
    ) -> Result<Release, PlatformError> {
        let (at, store) = (act.at, &self.view.world().store);
        let releases = store.releases(&at.namespace);
        // Values that cannot be rendered change nothing, not even the record.
        let chart = recipe::of(change.chart)?.chart();
        let mut rendition = self.render_now(at, change.chart, change.values).await?;
        let rest = match (change.status, record.as_ref().and_then(Record::newest)) {
            (ReleaseStatus::PendingRollback, Some(newest)) => {
                let rest = newest.rest.clone();
                keep_at_rest(&mut rendition.objects, &rest);
                rest
            }
            _ => at_rest(&releases.objects(&at.name)?),
        };
        let shut = match change.shut {
            Some(shut) => shut,
            None => record.is_some() && self.view.traffic(at).await? == Traffic::Shut,
        };
        let mut record = record.unwrap_or_else(|| Record { at: at.clone(), revisions: Vec::new() });
        let begun = record.revisions.pop_if(|r| r.status.is_pending());
        let rest = begun.as_ref().map_or(rest, |r| r.rest.clone());
        let number = match &begun {
            Some(begun) => begun.revision,
            None => record.newest().map_or(0, |r| r.revision) + 1,
        };
        releases.write_values(&at.name, number, change.values)?;
        record.revisions.push(Revision {
            revision: number,
            chart: chart.name.to_owned(),
            chart_version: change.version.unwrap_or(chart.version).to_owned(),
            app_version: chart.app_version.to_owned(),
            status: change.status,
            superseded: false,
            made_by: self.hands.identity.to_string(),
            values_digest: digest(key, change.values),
            at_time: now(),
            rest,
            note: change.note,
        });
        releases.write_record(&record)?;
        let done = self.put(act, &rendition, key, !shut).await;
        let Some(newest) = record.revisions.last_mut() else { return newest_of(None, at) };
        match &done {
            Ok(()) => newest.status = ReleaseStatus::Deployed,
            Err(error) => {
                newest.status = ReleaseStatus::Failed;
                newest.note = Some(error.to_string());
            }
        }
        if done.is_ok() {
            for older in record.revisions.iter_mut().rev().skip(1) {
                older.superseded |= older.status == ReleaseStatus::Deployed;
            }
        }
        releases.write_record(&record)?;
        done?;
        newest_of(Some(record), at)
    }

    /// Renders for a deploy: ports are given out, so the tables are locked.
    pub(super) async fn render_now(
        &self,
        at: &ReleaseRef,
        chart: &str,
        values: &Values,
    ) -> Result<Rendition, PlatformError> {
        let _lock = self.view.world().store.lock().await?;
        self.view.rendition(at, chart, values, Mode::Deploy)
    }

    /// Puts a rendition into the world: Secrets, volumes, objects, pods.
    async fn put(
        &self,
        act: &Act<'_>,
        rendition: &Rendition,
        key: &Key,
        open: bool,
    ) -> Result<(), PlatformError> {
        let (at, store) = (act.at, &self.view.world().store);
        let secrets = store.secrets(&at.namespace);
        for (name, secret) in &rendition.secrets {
            let owner = secrets.label(name)?;
            if owner.is_some_and(|l| l.release.as_deref() != Some(&at.name)) {
                return Err(PlatformError::failed(format!(
                    "the Secret `{}/{name}` is there and not of the release {at}",
                    at.namespace
                )));
            }
            secrets.write(name, &secret.values, Some(&at.name))?;
        }
        for (claim, label) in &rendition.claims {
            store.volumes(&at.namespace).make(claim, label, act.account)?;
        }
        store.releases(&at.namespace).write_objects(&at.name, &rendition.objects)?;
        act.reconcile(&wanted(rendition, &rendition.objects, open), key).await?;
        for name in secrets.of(&at.name)? {
            if !rendition.secrets.contains_key(&name) {
                secrets.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// Workloads that are scaled to nothing.
fn at_rest(live: &[Object]) -> Vec<String> {
    let none = |o: &&Object| o.body.get("replicas").and_then(Value::as_u64) == Some(0);
    live.iter().filter(none).map(|o| o.name.clone()).collect()
}

fn keep_at_rest(objects: &mut [Object], rest: &[String]) {
    for object in objects.iter_mut().filter(|o| rest.contains(&o.name)) {
        if object.body.get("replicas").is_some() {
            object.body["replicas"] = 0.into();
        }
    }
}

/// What should run: a rendition's pods, as many as the live objects say.
pub(super) fn wanted<'r>(rendition: &'r Rendition, live: &[Object], open: bool) -> Wanted<'r> {
    let replicas: BTreeMap<String, u32> = live
        .iter()
        .filter_map(|o| {
            let replicas = o.body.get("replicas")?.as_u64()?;
            Some((o.name.clone(), u32::try_from(replicas).unwrap_or(u32::MAX)))
        })
        .collect();
    Wanted { pods: &rendition.pods, replicas, open }
}

pub(super) fn digest(key: &Key, values: &Values) -> String {
    key.digest_json(&serde_json::Value::Object(values.reveal().clone()))
}

pub(super) fn newest_of(record: Option<Record>, at: &ReleaseRef) -> Result<Release, PlatformError> {
    record
        .and_then(|r| r.release())
        .ok_or_else(|| PlatformError::Missing(format!("there is no release {at}")))
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
