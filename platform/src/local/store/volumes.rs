//! Volumes: data that stays when its release goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use workplan_engine::process::Account;

use super::files;
use crate::PlatformError;

/// What everybody may know of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeLabel {
    /// The release that it was made for.
    pub(crate) release: String,
    /// The subchart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<String>,
    /// What is worth knowing of its content before it can be opened: the major version of the
    /// server that made it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) holds: BTreeMap<String, String>,
}

/// The volumes of one namespace.
pub(crate) struct Volumes {
    pub(super) folder: PathBuf,
}

impl Volumes {
    /// Where a claim's data lies.
    pub(crate) fn path(&self, claim: &str) -> PathBuf {
        self.folder.join(claim)
    }

    fn label_file(&self, claim: &str) -> PathBuf {
        self.folder.join(format!("{claim}.json"))
    }

    /// What everybody may know of one; `None` where there is none.
    pub(crate) fn label(&self, claim: &str) -> Result<Option<VolumeLabel>, PlatformError> {
        files::read_json(&self.label_file(claim))
    }

    /// Makes one where it is missing; one that is there stays as it is.
    pub(crate) fn make(
        &self,
        claim: &str,
        label: &VolumeLabel,
        account: Account,
    ) -> Result<(), PlatformError> {
        if self.label(claim)?.is_none() {
            files::write_json(&self.label_file(claim), label, files::OPEN)?;
        }
        files::make_folder_for(&self.path(claim), 0o700, account)
    }

    /// Notes what one holds.
    pub(crate) fn note(&self, claim: &str, key: &str, value: &str) -> Result<(), PlatformError> {
        let Some(mut label) = self.label(claim)? else {
            return Err(PlatformError::Missing(format!("there is no volume `{claim}`")));
        };
        label.holds.insert(key.to_owned(), value.to_owned());
        files::write_json(&self.label_file(claim), &label, files::OPEN)
    }

    /// All claims, sorted.
    pub(crate) fn all(&self) -> Result<Vec<(String, VolumeLabel)>, PlatformError> {
        let mut found = Vec::new();
        for file in files::names(&self.folder)? {
            let Some(claim) = file.strip_suffix(".json") else { continue };
            if let Some(label) = self.label(claim)? {
                found.push((claim.to_owned(), label));
            }
        }
        Ok(found)
    }
}
