//! Recipes: what a chart is on this machine.
//!
//! A recipe turns values into objects and pods ([`Recipe::render`]), which is all reading, and
//! knows what must happen before one of its servers starts. It keeps to the chart's own names and
//! keys, so that a values file means the same here and on Kubernetes. What it does not use of the
//! values is listed, never passed over in silence.

mod context;
mod gitea;
mod keys;
mod postgresql_ha;
mod valkey;

pub(crate) use context::{Context, Mode, Rendition, find_service, hidden, template};
pub(crate) use keys::Keys;

use async_trait::async_trait;

use super::pod::{Container, Pod, PodRecord};
use super::run::{Act, NoStart};
use super::view::LocalView;
use crate::values::Values;
use crate::{AppView, PartRef, PlatformError, PostgresHa, ReleaseRef};

/// A chart and the version of it that a recipe follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chart {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// The version of what it runs.
    pub(crate) app_version: &'static str,
}

/// How a chart becomes servers.
#[async_trait]
pub(crate) trait Recipe: Send + Sync {
    /// Which chart.
    fn chart(&self) -> Chart;

    /// The values that the chart itself brings along, as far as they matter here: the user's are
    /// laid over them.
    fn defaults(&self) -> Values {
        Values::default()
    }

    /// What the values make: objects, Secrets, services, volumes and pods, put into the context.
    /// For a subchart the context already speaks for the part.
    ///
    /// # Errors
    /// Values that the chart would refuse, and programs that are missing.
    fn render(&self, cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError>;

    /// What happens before a pod's first server starts, as an init container would. Volumes and
    /// configuration files are there. It must be right however often it is begun.
    async fn prepare(&self, act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
        let _ = (act, pod);
        Ok(())
    }

    /// What happens before one of its servers starts, when those before it are ready.
    async fn before(&self, act: &Act<'_>, pod: &Pod, container: &Container) -> Result<(), NoStart> {
        let _ = (act, pod, container);
        Ok(())
    }

    /// What happens when one of its servers answers, before the pod counts as ready.
    async fn after(
        &self,
        act: &Act<'_>,
        pod: &Pod,
        container: &Container,
    ) -> Result<(), PlatformError> {
        let _ = (act, pod, container);
        Ok(())
    }

    /// What happens when a pod and all that were started along with it are ready, for example that
    /// others are told that it is back. It is asked of pods that ran already, too.
    async fn finish(&self, act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
        let _ = (act, pod);
        Ok(())
    }

    /// Whether a pod, all of whose servers answer their probes, is ready; else why not. It is
    /// asked with a deadline of a few seconds. What may not be read is no reason.
    async fn ready(&self, view: &LocalView, pod: &PodRecord) -> Result<(), String> {
        let _ = (view, pod);
        Ok(())
    }

    /// What may be said of a pod that is ready: its role.
    async fn role(&self, view: &LocalView, pod: &PodRecord) -> Option<String> {
        let _ = (view, pod);
        None
    }

    /// The PostgreSQL of a release or part of this chart.
    async fn postgres(&self, view: &LocalView, at: &PartRef) -> Result<PostgresHa, PlatformError> {
        let _ = view;
        Err(PlatformError::failed(format!("{at} is a {}, no PostgreSQL", self.chart().name)))
    }

    /// The application of a release of this chart.
    async fn app(&self, view: &LocalView, at: &ReleaseRef) -> Result<AppView, PlatformError> {
        let _ = view;
        Err(PlatformError::failed(format!("{at} is a {}, no application", self.chart().name)))
    }
}

/// The recipe of a chart.
///
/// # Errors
/// A chart without one: nothing of it could be run here.
pub(crate) fn of(chart: &str) -> Result<&'static dyn Recipe, PlatformError> {
    let name = chart.rsplit('/').next().unwrap_or(chart);
    all().iter().copied().find(|r| r.chart().name == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|r| r.chart().name).collect();
        PlatformError::Target {
            what: format!("the local platform has no recipe for the chart `{name}`"),
            help: format!("it has recipes for {}", names.join(", ")),
        }
    })
}

/// All recipes, sorted by name.
fn all() -> &'static [&'static dyn Recipe] {
    &[
        &gitea::Gitea,
        &postgresql_ha::PostgresqlHa,
        &valkey::Valkey { cluster: false },
        &valkey::Valkey { cluster: true },
    ]
}
