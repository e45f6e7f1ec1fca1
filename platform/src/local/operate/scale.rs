//! How many run, and whether the outside gets in. Neither is a release change.

use std::time::Duration;

use serde_json::json;

use super::LocalOperate;
use super::deploy::wanted;
use crate::local::recipe::Rendition;
use crate::local::store::Releases;
use crate::{PlatformError, ReleaseRef, Traffic, View};

impl LocalOperate {
    pub(super) async fn scale_workload(
        &self,
        at: &ReleaseRef,
        workload: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<(), PlatformError> {
        let act = self.act(at, Some(timeout))?;
        let store = &self.view.world().store;
        let releases = store.releases(&at.namespace);
        let _lock = releases.lock(&at.name).await?;
        let rendition = self.rendition_now(at, &releases).await?;
        let mut objects = releases.objects(&at.name)?;
        let Some(object) =
            objects.iter_mut().find(|o| o.name == workload && o.body.get("replicas").is_some())
        else {
            return Err(PlatformError::Missing(format!("{at} has no workload `{workload}`")));
        };
        let most = rendition.pods.iter().filter(|p| p.workload == workload).count();
        if replicas as usize > most {
            return Err(PlatformError::Failed {
                what: format!("`{workload}` of {at} has {most} pods by its values, not {replicas}"),
                said: Vec::new(),
                help: Some("raise its replica count in the values".to_owned()),
            });
        }
        object.body["replicas"] = json!(replicas);
        releases.write_objects(&at.name, &objects)?;
        let open = self.view.traffic(at).await? != Traffic::Shut;
        let mut wanted = wanted(&rendition, &objects, open);
        // Only this workload: a pod of another one may be down for a reason.
        let pods: Vec<_> =
            rendition.pods.iter().filter(|p| p.workload == workload).cloned().collect();
        wanted.pods = &pods;
        act.reconcile_only(&wanted, &store.make_key()?, |p| p.workload == workload).await
    }

    pub(super) async fn let_in(&self, at: &ReleaseRef, open: bool) -> Result<(), PlatformError> {
        let act = self.act(at, None)?;
        let store = &self.view.world().store;
        let releases = store.releases(&at.namespace);
        let _lock = releases.lock(&at.name).await?;
        let rendition = self.rendition_now(at, &releases).await?;
        let gates: Vec<_> = rendition.pods.iter().filter(|p| p.gate).cloned().collect();
        if gates.is_empty() {
            return Err(PlatformError::Failed {
                what: format!("the values of {at} make no way in that could be opened or shut"),
                said: Vec::new(),
                help: None,
            });
        }
        let objects = releases.objects(&at.name)?;
        let mut wanted = wanted(&rendition, &objects, open);
        wanted.pods = &gates;
        act.reconcile_only(&wanted, &store.make_key()?, |p| p.gate).await
    }

    /// What the release's newest good revision makes.
    pub(super) async fn rendition_now(
        &self,
        at: &ReleaseRef,
        releases: &Releases,
    ) -> Result<Rendition, PlatformError> {
        let record = self.view.must_be(at)?;
        let Some(revision) = record.last_good().or(record.newest()) else {
            return Err(PlatformError::Missing(format!("{at} has no revision")));
        };
        let Some(values) = releases.values(&at.name, revision.revision)? else {
            let what = format!("the values of revision {} of {at} are gone", revision.revision);
            return Err(PlatformError::Missing(what));
        };
        self.render_now(at, &revision.chart, &values).await
    }
}
