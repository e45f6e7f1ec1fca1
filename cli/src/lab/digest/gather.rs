//! Putting it together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::{Value, json};
use workplan_engine::kind::Look;
use workplan_platform::{PartRef, Release, View, Volume, values};

use super::document::Document;
use super::keyed::Key;
use super::{Secrets, no, postgres, releases, repos, volume};
use crate::failure::Failure;
use crate::lab::ask::Asks;
use crate::lab::folder::{Folder, REPOS};

/// The superuser of every PostgreSQL here.
const SUPERUSER: &str = "postgres";

/// Gathers the document of a lab.
pub(crate) struct Gather {
    /// The lab.
    pub(crate) folder: Folder,
}

#[async_trait]
impl Asks for Gather {
    type Answer = Document;

    async fn ask(&self, look: &Look) -> Result<Document, Failure> {
        let key = self.folder.age_key();
        let key = std::fs::read(&key).map_err(|e| Failure::io("read", &key, &e))?;
        let mut secrets = Secrets::new(Key::new(&key));
        let view = workplan_platform::view(look).map_err(no)?;
        let view = view.as_ref();
        let all = view.releases().await.map_err(no)?;
        self.learn(look, view, &all, &mut secrets).await?;

        let mut document = Document::default();
        for name in REPOS {
            let found = repos::repo(look, &self.folder.repo(name), &secrets).await?;
            document.put(format!("repo {name}"), found);
        }
        for release in &all {
            let found = releases::release(view, release, &secrets).await?;
            document.put(format!("release {}", release.at), found);
            self.inside(look, view, release, &secrets, &mut document).await?;
        }
        Ok(document)
    }
}

impl Gather {
    /// All secrets that the lab knows, so that a verifier can be told from another one.
    async fn learn(
        &self,
        look: &Look,
        view: &dyn View,
        all: &[Release],
        secrets: &mut Secrets,
    ) -> Result<(), Failure> {
        for release in all {
            if let Some(values) = view.release_values(&release.at).await.map_err(no)? {
                secrets.learn(&values);
            }
        }
        for name in REPOS {
            let helm = self.folder.repo(name).join("helm");
            let Ok(entries) = std::fs::read_dir(&helm) else { continue };
            let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
            files.sort();
            for file in files.iter().filter(|f| f.to_string_lossy().ends_with(".sops.yaml")) {
                // One that cannot be read is told where the repository is.
                if let Ok(values) = values::read(look, file).await {
                    secrets.learn(&values);
                }
            }
        }
        Ok(())
    }

    /// Databases, volumes and configuration of a release.
    async fn inside(
        &self,
        look: &Look,
        view: &dyn View,
        release: &Release,
        secrets: &Secrets,
        document: &mut Document,
    ) -> Result<(), Failure> {
        let at = &release.at;
        let mut parts: Vec<Option<String>> = Vec::new();
        let mut is_app = false;
        for workload in view.workloads(at).await.map_err(no)? {
            is_app |= workload.component == "gitea";
            if workload.component == "postgresql" && !parts.contains(&workload.part) {
                parts.push(workload.part);
            }
        }
        for part in parts {
            let part = PartRef { release: at.clone(), part };
            if let Some(content) = postgres::live(look, view, &part, secrets).await? {
                document.put(format!("postgres {part}"), content);
            }
        }
        let volumes = view.volumes(at).await.map_err(no)?;
        let names: Vec<Value> =
            volumes.iter().map(|v| json!({"claim": v.claim, "used": v.used})).collect();
        document.put(format!("volumes {at}"), json!(names));
        for (stem, volume) in kept(&volumes) {
            if let Some(content) = postgres::kept(look, &volume, SUPERUSER, secrets).await? {
                document.put(format!("postgres kept {}/{stem}", at.namespace), content);
            }
        }
        if is_app {
            let app = view.app(at).await.map_err(no)?;
            document.put(format!("configuration {at}"), json!(app.config));
            for volume in volumes.iter().filter(|v| !is_data(&v.claim)) {
                if let Some(path) = &volume.path {
                    let found = volume::volume(path, secrets)?;
                    document.put(format!("volume {}/{}", at.namespace, volume.claim), found);
                }
            }
        }
        Ok(())
    }
}

/// Whether a claim is that of a database or of Valkey, by the charts' names.
fn is_data(claim: &str) -> bool {
    claim.starts_with("data-") || claim.starts_with("valkey-data-")
}

/// For each set of database volumes that nobody uses, the one to look at: the first.
fn kept(volumes: &[Volume]) -> BTreeMap<String, PathBuf> {
    let mut sets: BTreeMap<String, Vec<&Volume>> = BTreeMap::new();
    for volume in volumes.iter().filter(|v| v.claim.starts_with("data-")) {
        let stem = volume.claim.trim_end_matches(|c: char| c.is_ascii_digit());
        sets.entry(stem.trim_end_matches('-').to_owned()).or_default().push(volume);
    }
    sets.into_iter()
        .filter(|(_, set)| set.iter().all(|v| !v.used))
        .filter_map(|(stem, set)| {
            let mut paths: Vec<PathBuf> = set.iter().filter_map(|v| v.path.clone()).collect();
            paths.sort();
            Some((stem, paths.into_iter().next()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(claim: &str, used: bool) -> Volume {
        Volume { claim: claim.to_owned(), path: Some(PathBuf::from(format!("/v/{claim}"))), used }
    }

    #[test]
    fn a_set_of_volumes_is_kept_when_nobody_uses_any() {
        let found = kept(&[
            volume("data-gitea-postgresql-ha-postgresql-1", false),
            volume("data-gitea-postgresql-ha-postgresql-0", false),
            volume("data-postgresql-ha-postgresql-0", true),
            volume("data-postgresql-ha-postgresql-1", false),
            volume("gitea-shared-storage", false),
        ]);
        let expected = PathBuf::from("/v/data-gitea-postgresql-ha-postgresql-0");
        assert_eq!(
            found,
            BTreeMap::from([("data-gitea-postgresql-ha-postgresql".into(), expected)])
        );
    }
}
