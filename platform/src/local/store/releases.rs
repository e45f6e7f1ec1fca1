//! Releases of a namespace: their records, their values, and the objects that they consist of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Lock, Record, check_name, files, lock};
use crate::values::Values;
use crate::{Object, PlatformError};

/// The releases of one namespace.
pub(crate) struct Releases {
    folder: PathBuf,
    namespace: String,
}

/// Values as they lie on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    tree: Map<String, Value>,
    secret: Vec<Vec<String>>,
}

impl Releases {
    pub(super) fn new(folder: PathBuf, namespace: &str) -> Self {
        Self { folder, namespace: namespace.to_owned() }
    }

    /// The names of all, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, PlatformError> {
        let mut names = files::names(&self.folder)?;
        names.retain(|name| self.folder.join(name).join("release.json").exists());
        Ok(names)
    }

    /// Held while a release is worked on. Who cannot get it at once learns who has it.
    pub(crate) async fn lock(&self, name: &str) -> Result<Lock, PlatformError> {
        check_name("namespace", &self.namespace)?;
        check_name("release", name)?;
        let what = format!("the release {}/{name}", self.namespace);
        Lock::take(&self.folder.join(name).join("lock"), lock::RELEASE, &what).await
    }

    /// What is on record; `None` where there is no such release.
    pub(crate) fn record(&self, name: &str) -> Result<Option<Record>, PlatformError> {
        files::read_json(&self.folder.join(name).join("release.json"))
    }

    /// Replaces the record.
    pub(crate) fn write_record(&self, record: &Record) -> Result<(), PlatformError> {
        let path = self.folder.join(&record.at.name).join("release.json");
        files::write_json(&path, record, files::OPEN)
    }

    /// The values of a revision, secrets included.
    pub(crate) fn values(
        &self,
        name: &str,
        revision: u64,
    ) -> Result<Option<Values>, PlatformError> {
        let Some(stored) = files::read_json::<Stored>(&self.values_file(name, revision))? else {
            return Ok(None);
        };
        let mut values = Values::plain(stored.tree);
        for path in stored.secret {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            values.conceal(&path);
        }
        Ok(Some(values))
    }

    /// Keeps the values of a revision. All of them may be secret to somebody, so the file is
    /// sealed whole.
    pub(crate) fn write_values(
        &self,
        name: &str,
        revision: u64,
        values: &Values,
    ) -> Result<(), PlatformError> {
        let secret = values.leaves().into_iter().filter(|l| l.2).map(|l| l.0).collect();
        let stored = Stored { tree: values.reveal().clone(), secret };
        files::write_json(&self.values_file(name, revision), &stored, files::SEALED)
    }

    fn values_file(&self, name: &str, revision: u64) -> PathBuf {
        self.folder.join(name).join("values").join(format!("{revision}.json"))
    }

    /// The objects that are there now.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Object>, PlatformError> {
        Ok(files::read_json(&self.folder.join(name).join("objects.json"))?.unwrap_or_default())
    }

    /// Replaces the objects.
    pub(crate) fn write_objects(
        &self,
        name: &str,
        objects: &[Object],
    ) -> Result<(), PlatformError> {
        files::write_json(&self.folder.join(name).join("objects.json"), &objects, files::OPEN)
    }

    /// Takes all of a release away but its lock, which somebody may wait for. The record goes
    /// first: what is left without one is nothing.
    pub(crate) fn remove(&self, name: &str) -> Result<(), PlatformError> {
        let folder = self.folder.join(name);
        for part in ["release.json", "objects.json", "values"] {
            files::remove(&folder.join(part))?;
        }
        Ok(())
    }
}
