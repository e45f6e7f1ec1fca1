//! What a failover test says something about: this very revision of this very release.

use serde_json::json;
use workplan_engine::digest::Digest;
use workplan_platform::{PartRef, PlatformError, View};

/// Digest of chart, version, values and topology. The revision's number is left out: an upgrade
/// that changes nothing does not make the proof due again.
pub(super) async fn subject(view: &dyn View, at: &PartRef) -> Result<String, PlatformError> {
    let release = view
        .release(&at.release)
        .await?
        .ok_or_else(|| PlatformError::Missing(format!("there is no release {}", at.release)))?;
    let ha = view.postgres(at).await?;
    let nodes: Vec<&str> = ha.nodes.iter().map(|n| n.name.as_str()).collect();
    let digest = Digest::of_json(&json!([
        at.to_string(),
        release.chart,
        release.chart_version,
        release.app_version,
        release.values_digest,
        nodes,
        ha.pooler.is_some(),
    ]));
    Ok(digest.as_str().to_owned())
}
