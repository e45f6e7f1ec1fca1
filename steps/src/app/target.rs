//! What the kinds of this family have in common: which application, and waiting for it.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use workplan_engine::duration;
use workplan_engine::kind::{
    ErrorCause, Hands, ParamProblem, ParamSpec, ParamType, StepError, With,
};
use workplan_platform::{AppView, PlatformError, ReleaseRef, View, Workload};

/// Between two looks while something is waited for.
const EVERY: Duration = Duration::from_millis(100);

/// The parameters that name the application.
pub(super) const RELEASE: ParamSpec = ParamSpec {
    name: "release",
    ty: ParamType::String,
    required: true,
    doc: "The release that the application is.",
};
pub(super) const NAMESPACE: ParamSpec = ParamSpec {
    name: "namespace",
    ty: ParamType::String,
    required: false,
    doc: "Its namespace; `default` by default.",
};

/// An application as a step names it, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) at: ReleaseRef,
    pub(super) timeout: Duration,
}

impl Target {
    /// Reads the parameters.
    ///
    /// # Errors
    /// A deadline in which nothing can be done.
    pub(super) fn read(with: &With, timeout: Duration) -> Result<Self, Vec<ParamProblem>> {
        let timeout = with.duration("timeout").unwrap_or(timeout);
        if timeout.is_zero() {
            let what = "`timeout` is zero: nothing can be done in no time";
            return Err(vec![ParamProblem::new("timeout", what)]);
        }
        let text = |key: &str| with.str(key).unwrap_or_default().to_owned();
        let namespace = with.str("namespace").unwrap_or("default").to_owned();
        Ok(Self { at: ReleaseRef { namespace, name: text("release") }, timeout })
    }

    /// The release as a resource.
    pub(super) fn release(&self) -> String {
        format!("release/{}", self.at)
    }

    /// The way in as a resource.
    pub(super) fn traffic(&self) -> String {
        format!("traffic/{}", self.at)
    }

    /// The application, and the workload that is scaled to stop it.
    ///
    /// # Errors
    /// When there is none, or the platform cannot say.
    pub(super) async fn find(&self, view: &dyn View) -> Result<(AppView, Workload), PlatformError> {
        let app = view.app(&self.at).await?;
        let workloads = view.workloads(&self.at).await?;
        match workloads.into_iter().find(|w| w.name == app.workload) {
            Some(workload) => Ok((app, workload)),
            None => {
                let what = format!("`{}` has no workload `{}`", self.at, app.workload);
                Err(PlatformError::Missing(what))
            }
        }
    }
}

/// Asks again and again until there is nothing left to wait for.
///
/// # Errors
/// At the deadline, with what is still waited for; and when the run is cancelled.
pub(super) async fn until<F>(
    hands: &Hands,
    within: Duration,
    mut left: impl FnMut() -> F,
) -> Result<(), StepError>
where
    F: Future<Output = Result<Option<String>, StepError>>,
{
    let end = Instant::now() + within;
    loop {
        let left = tokio::select! {
            biased;
            () = hands.cancel().cancelled() => {
                let what = format!("`{}` was ended: the run was cancelled", hands.step);
                return Err(StepError::new(ErrorCause::Cancelled, what));
            }
            left = left() => left?,
        };
        let Some(left) = left else { return Ok(()) };
        if Instant::now() >= end {
            let within = duration::format(within);
            return Err(StepError::failed(format!("{left}, after {within}")));
        }
        sleep(EVERY).await;
    }
}
