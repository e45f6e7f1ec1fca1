//! All of it at once: down as when a machine is shut down, and up again as it was.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::LocalOperate;
use super::deploy::wanted;
use crate::local::run::Act;
use crate::local::store::files;
use crate::{PlatformError, ReleaseRef, Traffic, View};

/// Which releases let the outside in when all of it was ended.
const RESTING: &str = "resting.json";

impl LocalOperate {
    /// Ends every server of every release, those that others need last. Records, objects and volumes
    /// stay; [`LocalOperate::wake`] starts all of it again.
    ///
    /// # Errors
    /// When a process could not be ended, or a record cannot be read.
    pub async fn rest(&self) -> Result<(), PlatformError> {
        let store = &self.view.world().store;
        let mut open: BTreeMap<String, bool> =
            files::read_json(&store.dir().join(RESTING))?.unwrap_or_default();
        let mut pods = Vec::new();
        for release in self.view.releases().await? {
            let there = self.view.pods(&release.at)?;
            // What rests already was noted when it was put to rest.
            if there.iter().any(|pod| pod.is_there()) {
                let traffic = self.view.traffic(&release.at).await?;
                open.insert(release.at.to_string(), traffic != Traffic::Shut);
            }
            pods.extend(there);
        }
        if pods.is_empty() {
            return Ok(());
        }
        files::write_json(&store.dir().join(RESTING), &open, files::OPEN)?;
        let nobody = ReleaseRef { namespace: String::new(), name: String::new() };
        self.whole(&nobody)?.stop_in_waves(pods, |_| false).await
    }

    /// Starts what should run of every release and does not, those first that others need. What runs
    /// is not touched, and no record changes.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn wake(&self) -> Result<(), PlatformError> {
        let store = &self.view.world().store;
        let resting = store.dir().join(RESTING);
        let open: Option<BTreeMap<String, bool>> = files::read_json(&resting)?;
        let mut releases = Vec::new();
        for release in self.view.releases().await? {
            let rendition = {
                let releases = store.releases(&release.at.namespace);
                let _lock = releases.lock(&release.at.name).await?;
                self.rendition_now(&release.at, &releases).await?
            };
            let last = rendition.pods.iter().map(|pod| pod.wave).max();
            releases.push((last, release.at, rendition));
        }
        releases.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let key = store.make_key()?;
        for (_, at, rendition) in releases {
            let records = store.releases(&at.namespace);
            let _lock = records.lock(&at.name).await?;
            let there = self.view.pods(&at)?.iter().any(|pod| pod.is_there());
            let let_in = match open.as_ref().and_then(|open| open.get(&at.to_string())) {
                Some(open) => *open,
                // The machine went down under it; else what is so stays so.
                None => !there || self.view.traffic(&at).await? != Traffic::Shut,
            };
            let objects = records.objects(&at.name)?;
            let wanted = wanted(&rendition, &objects, let_in);
            self.whole(&at)?.reconcile(&wanted, &key).await?;
        }
        files::remove(&resting)
    }

    fn whole<'a>(&'a self, at: &'a ReleaseRef) -> Result<Act<'a>, PlatformError> {
        let mut act = self.act(at, None)?;
        if let Some(timeout) = self.hands.timeout {
            act.until = Instant::now() + timeout;
        }
        Ok(act)
    }
}
