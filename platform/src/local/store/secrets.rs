//! Secrets of a namespace, with the chart's own names and keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use workplan_engine::kind::Secret;

use super::files;
use crate::{PlatformError, SecretValues};

/// What everybody may know of a Secret: that it is there, whose it is, and its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretLabel {
    /// The release that made it; `None` for one that a person put there.
    pub(crate) release: Option<String>,
    /// Its keys.
    pub(crate) keys: Vec<String>,
}

/// The Secrets of one namespace.
pub(crate) struct Secrets {
    pub(super) folder: PathBuf,
}

impl Secrets {
    fn values_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.values.json"))
    }

    fn label_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// What everybody may know of one.
    pub(crate) fn label(&self, name: &str) -> Result<Option<SecretLabel>, PlatformError> {
        files::read_json(&self.label_file(name))
    }

    /// A Secret's values.
    pub(crate) fn read(&self, name: &str) -> Result<Option<SecretValues>, PlatformError> {
        if self.label(name)?.is_none() {
            return Ok(None);
        }
        let path = self.values_file(name);
        let Some(encoded) = files::read_json::<BTreeMap<String, String>>(&path)? else {
            return Ok(None);
        };
        let decode = |text: &String| STANDARD.decode(text).ok().map(Secret::new);
        let values = encoded.iter().map(|(k, v)| Some((k.clone(), decode(v)?))).collect();
        let damaged = || PlatformError::failed(format!("`{}` is damaged", path.display()));
        Option::<SecretValues>::ok_or_else(values, damaged).map(Some)
    }

    /// Makes or replaces one. The values come before the label, so that what is labelled is there.
    pub(crate) fn write(
        &self,
        name: &str,
        values: &SecretValues,
        release: Option<&str>,
    ) -> Result<(), PlatformError> {
        let encoded: BTreeMap<&String, String> =
            values.iter().map(|(k, v)| (k, STANDARD.encode(v.reveal()))).collect();
        files::write_json(&self.values_file(name), &encoded, files::SEALED)?;
        let label = SecretLabel {
            release: release.map(str::to_owned),
            keys: values.keys().cloned().collect(),
        };
        files::write_json(&self.label_file(name), &label, files::OPEN)
    }

    /// Takes one away.
    pub(crate) fn remove(&self, name: &str) -> Result<(), PlatformError> {
        files::remove(&self.label_file(name))?;
        files::remove(&self.values_file(name))
    }

    /// The names of those that a release made.
    pub(crate) fn of(&self, release: &str) -> Result<Vec<String>, PlatformError> {
        let mut found = Vec::new();
        for file in files::names(&self.folder)? {
            let Some(name) = file.strip_suffix(".json").filter(|n| !n.ends_with(".values")) else {
                continue;
            };
            if self.label(name)?.is_some_and(|l| l.release.as_deref() == Some(release)) {
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }
}
