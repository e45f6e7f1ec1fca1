//! Bitnami's chart `postgresql-ha` as real servers: PostgreSQL with repmgr, and pgpool.

mod cluster;
mod conf;
mod first;
mod node;
mod pooler;
mod render;
mod settings;

use async_trait::async_trait;

use self::cluster::Cluster;
use super::{Chart, Context, Keys, Recipe};
use crate::local::pod::{Container, Pod, PodRecord};
use crate::local::run::{Act, NoStart};
use crate::local::view::LocalView;
use crate::{PartRef, PlatformError, PostgresHa};

/// The chart `postgresql-ha`.
pub(crate) struct PostgresqlHa;

/// What data nodes are called in the chart.
const NODE: &str = "postgresql";
/// What poolers are called in the chart.
const POOLER: &str = "pgpool";

#[async_trait]
impl Recipe for PostgresqlHa {
    fn chart(&self) -> Chart {
        Chart { name: "postgresql-ha", version: "16.3.4", app_version: "17.6.0" }
    }

    fn render(&self, cx: &mut Context<'_>, values: &Keys<'_>) -> Result<(), PlatformError> {
        render::render(cx, values)
    }

    async fn prepare(&self, act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
        if pod.component == NODE {
            node::Node::new(act, pod)?.prepare().await?;
        }
        Ok(())
    }

    async fn before(&self, act: &Act<'_>, pod: &Pod, container: &Container) -> Result<(), NoStart> {
        if pod.component == NODE && container.name == render::MANAGER {
            node::Node::new(act, pod)?.join().await?;
        }
        Ok(())
    }

    async fn finish(&self, act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
        if pod.component == NODE {
            pooler::take_in(act, pod).await?;
        }
        Ok(())
    }

    async fn ready(&self, view: &LocalView, pod: &PodRecord) -> Result<(), String> {
        Cluster::of(pod)?.ready(view, pod).await
    }

    async fn role(&self, view: &LocalView, pod: &PodRecord) -> Option<String> {
        Cluster::of(pod).ok()?.role(view, pod).await
    }

    async fn postgres(&self, view: &LocalView, at: &PartRef) -> Result<PostgresHa, PlatformError> {
        cluster::postgres(view, at)
    }
}
