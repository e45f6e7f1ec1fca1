//! The old world: Gitea on its subcharts.

use std::time::Duration;

use async_trait::async_trait;
use workplan_engine::kind::{Hands, Look};
use workplan_platform::local::LocalOperate;
use workplan_platform::{ReleaseRef, ReleaseSpec, deployed, values};

use super::ask::{Acts, Asks};
use super::fill::Site;
use super::folder::Folder;
use super::shape::GITEA;
use crate::exit;
use crate::failure::Failure;

/// How long until all of it is ready: seven servers that start from nothing.
const READY: Duration = Duration::from_secs(300);
const RESTART: Duration = Duration::from_secs(90);

/// The release of Gitea.
pub(super) fn gitea() -> ReleaseRef {
    ReleaseRef { namespace: GITEA.1.to_owned(), name: GITEA.0.to_owned() }
}

fn no(error: impl Into<workplan_engine::kind::StepError>) -> Failure {
    let error = error.into();
    let mut failure = Failure::new(exit::FAILED, error.what);
    failure.causes = error.said;
    failure.help.extend(error.help);
    failure
}

/// Deploys Gitea from the values file of S2.
pub(super) struct Deploy {
    /// The lab.
    pub(super) folder: Folder,
}

#[async_trait]
impl Acts for Deploy {
    type Answer = ();

    async fn act(&self, hands: &Hands) -> Result<(), Failure> {
        let file = self.folder.repo("railiance-cluster").join("helm/gitea-values.sops.yaml");
        let values = values::read(hands, &file).await.map_err(no)?;
        let spec = ReleaseSpec {
            at: gitea(),
            chart: "gitea".to_owned(),
            version: None,
            values,
            quarantine: false,
            timeout: READY,
        };
        workplan_platform::operate(hands).map_err(no)?.deploy(&spec).await.map_err(no)?;
        Ok(())
    }
}

/// Stops Gitea and starts it again. It corrects its counters at each start; after that one more
/// start changes nothing.
pub(super) struct Restart;

#[async_trait]
impl Acts for Restart {
    type Answer = ();

    async fn act(&self, hands: &Hands) -> Result<(), Failure> {
        let operate = workplan_platform::operate(hands).map_err(no)?;
        let app = operate.app(&gitea()).await.map_err(no)?;
        for replicas in [0, 1] {
            operate.scale(&gitea(), &app.workload, replicas, RESTART).await.map_err(no)?;
        }
        Ok(())
    }
}

/// Where Gitea is, past ingress and quarantine, and who its administrator is.
pub(super) struct FindSite;

#[async_trait]
impl Asks for FindSite {
    type Answer = Site;

    async fn ask(&self, look: &Look) -> Result<Site, Failure> {
        let view = workplan_platform::view(look).map_err(no)?;
        let app = view.app(&gitea()).await.map_err(no)?;
        let way = view.reach(&app.inside).await.map_err(no)?;
        let Some((admin, key)) = app.admin else {
            return Err(Failure::new(exit::FAILED, "Gitea has no administrator"));
        };
        let password = deployed(view.as_ref(), &key).await.map_err(no)?;
        Ok(Site {
            url: format!("http://{}", way.address),
            admin,
            password: String::from_utf8_lossy(password.reveal()).into_owned(),
        })
    }
}

/// Ends everything that runs; records and volumes stay.
pub(super) struct Rest;

#[async_trait]
impl Acts for Rest {
    type Answer = ();

    async fn act(&self, hands: &Hands) -> Result<(), Failure> {
        LocalOperate::new(hands).map_err(no)?.rest().await.map_err(no)
    }
}

/// Starts what should run and does not.
pub(super) struct Wake;

#[async_trait]
impl Acts for Wake {
    type Answer = ();

    async fn act(&self, hands: &Hands) -> Result<(), Failure> {
        LocalOperate::new(hands).map_err(no)?.wake().await.map_err(no)
    }
}
