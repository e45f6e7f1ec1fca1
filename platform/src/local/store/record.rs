//! What is on record of a release.

use serde::{Deserialize, Serialize};

use crate::{Release, ReleaseRef, ReleaseStatus};

/// A release's history. Everybody may read it; it holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Which.
    pub(crate) at: ReleaseRef,
    /// From the oldest to the newest; never empty.
    pub(crate) revisions: Vec<Revision>,
}

/// One change of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    /// Counts up from 1.
    pub(crate) revision: u64,
    /// The chart's name.
    pub(crate) chart: String,
    /// The chart's version, as the user said it or as the recipe follows it.
    pub(crate) chart_version: String,
    /// The version of what it runs.
    pub(crate) app_version: String,
    /// Where it stands.
    pub(crate) status: ReleaseStatus,
    /// Whether it was once deployed and a later one took its place.
    #[serde(default)]
    pub(crate) superseded: bool,
    /// Who made it.
    pub(crate) made_by: String,
    /// Keyed digest of the values.
    pub(crate) values_digest: String,
    /// When, RFC 3339 in UTC.
    pub(crate) at_time: String,
    /// Workloads that were scaled to nothing before it was made: whoever goes back from it leaves
    /// them so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rest: Vec<String>,
    /// What happened, where it failed or was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Record {
    /// The newest revision.
    pub(crate) fn newest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The last revision that was deployed, before the newest if that is not.
    pub(crate) fn last_good(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|r| r.status == ReleaseStatus::Deployed)
    }

    /// One revision.
    pub(crate) fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|r| r.revision == number)
    }

    /// The release as others see it.
    pub(crate) fn release(&self) -> Option<Release> {
        let newest = self.newest()?;
        Some(Release {
            at: self.at.clone(),
            chart: newest.chart.clone(),
            chart_version: newest.chart_version.clone(),
            app_version: newest.app_version.clone(),
            revision: newest.revision,
            status: newest.status,
            made_by: Some(newest.made_by.clone()),
            values_digest: newest.values_digest.clone(),
            at_time: newest.at_time.clone(),
        })
    }
}

/// Now, as records say it.
pub(crate) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.to_string())
}
