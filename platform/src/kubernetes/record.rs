//! Helm's own record of a release: a Secret for each revision.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cluster::Cluster;
use crate::{PlatformError, Release, ReleaseRef, ReleaseStatus};

/// Label of the run that made a revision.
pub(super) const RUN: &str = "workplan.run";
/// Label of the step.
pub(super) const STEP: &str = "workplan.step";
/// Label of the attempt.
pub(super) const ATTEMPT: &str = "workplan.attempt";
/// Label of the revision that the other labels speak of: Helm hands labels on to the next revision,
/// whoever makes it.
pub(super) const REVISION: &str = "workplan.revision";
/// Annotation of the newest revision: who is about to make the next one. `helm rollback` takes no
/// labels.
pub(super) const NEXT: &str = "workplan/next";

/// The most that a record may unpack to.
const MOST: u64 = 64 * 1024 * 1024;

/// One revision without what is in it.
#[derive(Debug, Clone)]
pub(super) struct Revision {
    /// Its number.
    pub(super) number: u64,
    /// Helm's word for its state.
    pub(super) status: String,
    /// The Secret's name.
    pub(super) secret: String,
    /// The Secret's version: what is in it is read once for each.
    version: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Revision {
    /// Its state; `None` where the release is kept as history only.
    pub(super) fn state(&self) -> Option<ReleaseStatus> {
        Some(match self.status.as_str() {
            "deployed" | "superseded" => ReleaseStatus::Deployed,
            "pending-install" => ReleaseStatus::PendingInstall,
            "pending-upgrade" => ReleaseStatus::PendingUpgrade,
            "pending-rollback" => ReleaseStatus::PendingRollback,
            "uninstalling" => ReleaseStatus::Uninstalling,
            "uninstalled" => return None,
            _ => ReleaseStatus::Failed,
        })
    }

    /// Who made it, where it was a workplan's step.
    fn identity(&self) -> Option<String> {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        if label(REVISION)? != self.number.to_string() {
            return None;
        }
        Some(format!("workplan:{}:{}:{}", label(RUN)?, label(STEP)?, label(ATTEMPT)?))
    }

    /// Who said that he is about to make the next revision.
    fn next(&self) -> Option<&str> {
        let (number, who) = self.annotations.get(NEXT)?.split_once(' ')?;
        (number == (self.number + 1).to_string()).then_some(who)
    }
}

/// All revisions of a release, the oldest first, at least one.
#[derive(Debug, Clone)]
pub(super) struct History(pub(super) Vec<Revision>);

impl History {
    /// The newest revision.
    pub(super) fn newest(&self) -> Option<&Revision> {
        self.0.last()
    }

    /// The last one that was deployed.
    pub(super) fn last_good(&self) -> Option<&Revision> {
        self.0.iter().rev().find(|r| r.status == "deployed").or_else(|| {
            // A kill between two writes of Helm leaves no revision `deployed`.
            self.0.iter().rev().find(|r| r.status == "superseded")
        })
    }

    /// Who made the newest revision.
    fn made_by(&self) -> Option<String> {
        let newest = self.newest()?;
        let announced = || {
            let before = self.0.len().checked_sub(2).and_then(|at| self.0.get(at))?;
            before.next().map(str::to_owned)
        };
        newest.identity().or_else(announced)
    }
}

/// What Helm keeps of a revision; the rest of it is passed over.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Body {
    info: Info,
    chart: Chart,
    #[serde(default)]
    config: Option<Map<String, Value>>,
    /// What was applied, as YAML documents.
    #[serde(default)]
    pub(super) manifest: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Info {
    #[serde(default)]
    description: String,
    #[serde(default)]
    last_deployed: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Chart {
    #[serde(default)]
    metadata: Option<Metadata>,
    /// The chart's own values.
    #[serde(default)]
    values: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    app_version: String,
}

impl Body {
    /// What its user gave.
    pub(super) fn config(&self) -> Map<String, Value> {
        self.config.clone().unwrap_or_default()
    }

    /// The chart's name.
    pub(super) fn chart(&self) -> &str {
        self.chart.metadata.as_ref().map_or("", |m| m.name.as_str())
    }

    /// The chart's own values.
    pub(super) fn defaults(&self) -> Map<String, Value> {
        self.chart.values.clone().unwrap_or_default()
    }

    /// Reads what a Secret's `release` holds.
    ///
    /// # Errors
    /// When it is damaged, in words that hold nothing of it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let packed = base64::engine::general_purpose::STANDARD
            .decode(bytes)
            .map_err(|_| "it is not Base64".to_owned())?;
        let mut text = Vec::new();
        // Helm 2 and very old records are not packed.
        if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
            let mut unpacked = GzDecoder::new(packed.as_slice()).take(MOST);
            unpacked.read_to_end(&mut text).map_err(|_| "it cannot be unpacked".to_owned())?;
        } else {
            text = packed;
        }
        serde_json::from_slice(&text).map_err(|e| {
            // Its own words could repeat a value.
            format!("it is no record of Helm 3, line {}, column {}", e.line(), e.column())
        })
    }
}

impl Cluster {
    /// The revisions of all releases of a namespace, or of one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) async fn histories(
        &self,
        namespace: &str,
        release: Option<&str>,
    ) -> Result<BTreeMap<String, History>, PlatformError> {
        let api = self.api::<Secret>(namespace).await?;
        let name = release.map(|name| format!(",name={name}")).unwrap_or_default();
        let params = ListParams::default().labels(&format!("owner=helm{name}"));
        let doing = format!("list the releases of the namespace `{namespace}`");
        let found = self.ask(&doing, || api.list_metadata(&params)).await?;
        let mut all: BTreeMap<String, History> = BTreeMap::new();
        for secret in found.items {
            let meta = secret.metadata;
            let labels = meta.labels.unwrap_or_default();
            let (Some(name), Some(number)) =
                (labels.get("name").cloned(), labels.get("version").and_then(|v| v.parse().ok()))
            else {
                continue;
            };
            let revision = Revision {
                number,
                status: labels.get("status").cloned().unwrap_or_default(),
                secret: meta.name.unwrap_or_default(),
                version: meta.resource_version.unwrap_or_default(),
                annotations: meta.annotations.unwrap_or_default(),
                labels,
            };
            all.entry(name).or_insert_with(|| History(Vec::new())).0.push(revision);
        }
        for history in all.values_mut() {
            history.0.sort_by_key(|r| r.number);
        }
        Ok(all)
    }

    /// The revisions of a release; `None` where there is none.
    ///
    /// # Errors
    /// As [`Cluster::histories`].
    pub(super) async fn history(&self, at: &ReleaseRef) -> Result<Option<History>, PlatformError> {
        let mut found = self.histories(&at.namespace, Some(&at.name)).await?;
        let history = found.remove(&at.name);
        Ok(history.filter(|h| h.newest().and_then(Revision::state).is_some()))
    }

    /// What is in a revision.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn body(
        &self,
        at: &ReleaseRef,
        revision: &Revision,
    ) -> Result<Body, PlatformError> {
        let key = format!("{}/{}@{}", at.namespace, revision.secret, revision.version);
        if let Some(known) = self.known_body(&key) {
            return Ok(known);
        }
        let api = self.api::<Secret>(&at.namespace).await?;
        let doing = format!("read revision {} of {at}", revision.number);
        let secret = self.ask(&doing, || api.get(&revision.secret)).await?;
        let data = secret.data.unwrap_or_default().remove("release").unwrap_or_default();
        let body = Body::read(&data.0)
            .map_err(|why| PlatformError::failed(format!("failed to {doing}: {why}")))?;
        // It may have been written again since it was listed.
        if secret.metadata.resource_version.as_ref() == Some(&revision.version) {
            self.keep_body(key, &body);
        }
        Ok(body)
    }

    /// The newest revision with what is in it.
    ///
    /// # Errors
    /// As [`Cluster::histories`].
    pub(super) async fn newest(
        &self,
        at: &ReleaseRef,
    ) -> Result<Option<(History, Body)>, PlatformError> {
        let Some(history) = self.history(at).await? else { return Ok(None) };
        let Some(newest) = history.newest() else { return Ok(None) };
        let body = self.body(at, newest).await?;
        Ok(Some((history, body)))
    }

    /// A release as others see it.
    ///
    /// # Errors
    /// As [`Cluster::histories`].
    pub(super) async fn release_of(
        &self,
        at: &ReleaseRef,
    ) -> Result<Option<Release>, PlatformError> {
        let Some((history, body)) = self.newest(at).await? else { return Ok(None) };
        let Some(newest) = history.newest() else { return Ok(None) };
        let Some(status) = newest.state() else { return Ok(None) };
        let meta = body.chart.metadata.clone().unwrap_or_default();
        let said = &body.info.description;
        // The description is written when an operation has ended, the labels when it begins.
        let made_by = match said.starts_with("workplan:") {
            true => Some(said.clone()),
            false => history
                .made_by()
                .or_else(|| (!said.is_empty()).then(|| format!("somebody with Helm (\"{said}\")"))),
        };
        Ok(Some(Release {
            at: at.clone(),
            chart: meta.name,
            chart_version: meta.version,
            app_version: meta.app_version,
            revision: newest.number,
            status,
            made_by,
            values_digest: self.digest_json(&Value::Object(body.config())).await?,
            at_time: body.info.last_deployed.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn packed(text: &str) -> Vec<u8> {
        let mut pack = GzEncoder::new(Vec::new(), Compression::fast());
        pack.write_all(text.as_bytes()).unwrap();
        base64::engine::general_purpose::STANDARD.encode(pack.finish().unwrap()).into_bytes()
    }

    #[test]
    fn a_record_is_read_as_helm_writes_it() {
        let body = Body::read(&packed(
            r#"{"name":"a","info":{"status":"deployed","description":"Install complete"},
                "chart":{"metadata":{"name":"valkey","version":"4.0.2"},"values":{"a":1}},
                "config":{"auth":{"password":"x"}},"manifest":"---\n","version":1}"#,
        ))
        .unwrap();
        assert_eq!(body.chart(), "valkey");
        assert_eq!(body.config()["auth"]["password"], "x");
        assert_eq!(body.defaults()["a"], 1);
    }

    #[test]
    fn a_damaged_record_is_said_without_what_is_in_it() {
        for bytes in [b"hunter2!".to_vec(), packed("{\"hunter2\": 1}"), packed("hunter2")] {
            let why = Body::read(&bytes).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    fn revision(number: u64, of: &str, next: Option<&str>) -> Revision {
        let labels = [(RUN, "r"), (STEP, "T01.a"), (ATTEMPT, "2"), (REVISION, of)];
        let pair = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
        Revision {
            number,
            status: "deployed".to_owned(),
            secret: String::new(),
            version: String::new(),
            labels: labels.into_iter().map(pair).collect(),
            annotations: next.map(|n| pair((NEXT, n))).into_iter().collect(),
        }
    }

    #[test]
    fn labels_that_helm_handed_on_are_nobodys_word() {
        let history = |all: Vec<Revision>| History(all).made_by();
        assert_eq!(history(vec![revision(3, "3", None)]).as_deref(), Some("workplan:r:T01.a:2"));
        assert_eq!(history(vec![revision(3, "3", None), revision(4, "3", None)]), None);
        let told = revision(3, "3", Some("4 workplan:s:T02.b:1"));
        assert_eq!(
            history(vec![told.clone(), revision(4, "3", None)]).as_deref(),
            Some("workplan:s:T02.b:1")
        );
    }
}
