//! Volume claims of a release: they outlive it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;

use super::cluster::Cluster;
use super::workload::selector;
use crate::{PlatformError, ReleaseRef, Volume};

impl Cluster {
    /// The claims with the release's label, those included that nothing uses.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) async fn volumes_of(&self, at: &ReleaseRef) -> Result<Vec<Volume>, PlatformError> {
        let claims = self.api::<PersistentVolumeClaim>(&at.namespace).await?;
        let pods = self.api::<Pod>(&at.namespace).await?;
        let params = ListParams::default().labels(&selector(at));
        let (c, p) = (format!("list the volume claims of {at}"), format!("list the pods of {at}"));
        let (claims, pods) = tokio::join!(
            self.ask(&c, || claims.list(&params)),
            self.ask(&p, || pods.list(&params)),
        );
        let used: BTreeSet<String> = pods?
            .items
            .into_iter()
            .filter_map(|pod| pod.spec?.volumes)
            .flatten()
            .filter_map(|volume| Some(volume.persistent_volume_claim?.claim_name))
            .collect();
        let names = claims?.items.into_iter().filter_map(|claim| claim.metadata.name);
        let mut found: Vec<Volume> =
            names.map(|claim| Volume { used: used.contains(&claim), path: None, claim }).collect();
        found.sort_by(|a, b| a.claim.cmp(&b.claim));
        Ok(found)
    }
}
