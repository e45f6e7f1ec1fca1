//! What the platform keeps, in one folder: what `etcd` and the volumes are to a cluster.
//!
//! ```text
//! key                              key of the digests, 0600
//! ports.json                       which loopback port belongs to what
//! lock                             held while tables change
//! NAMESPACE/releases/NAME/         release.json, values/N.json, objects.json, lock
//! NAMESPACE/secrets/               NAME.json (its keys), NAME.values.json (0600)
//! NAMESPACE/volumes/               CLAIM.json, CLAIM/ (the data; stays)
//! NAMESPACE/pods/POD/              pod.json, configuration, and a folder for each container
//! ```
//!
//! Everybody may read it but for what is secret; each file is replaced whole.

pub(crate) mod files;
mod key;
mod lock;
mod ports;
mod record;
mod releases;
mod secrets;
mod volumes;

pub(crate) use key::Key;
pub(crate) use lock::Lock;
pub(crate) use ports::{Ports, must_be_free};
pub(crate) use record::{Record, Revision, now};
pub(crate) use releases::Releases;
pub(crate) use secrets::Secrets;
pub(crate) use volumes::{VolumeLabel, Volumes};

use std::path::{Path, PathBuf};

use crate::PlatformError;

/// The store of a target.
pub(crate) struct Store {
    dir: PathBuf,
    /// Its ports.
    pub(crate) ports: Ports,
}

impl Store {
    pub(crate) fn new(dir: &Path, first_port: u16) -> Self {
        Self { dir: dir.to_owned(), ports: Ports::new(dir.join("ports.json"), first_port) }
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of the namespaces that have anything.
    pub(crate) fn namespaces(&self) -> Result<Vec<String>, PlatformError> {
        let mut names = files::names(&self.dir)?;
        names.retain(|name| self.dir.join(name).join("releases").is_dir());
        Ok(names)
    }

    /// The key of the digests, for who only looks: `None` where it may not be read.
    pub(crate) fn key(&self) -> Result<Option<Key>, PlatformError> {
        match Key::read(&self.dir.join("key")) {
            Ok(found) => Ok(Some(found.unwrap_or_else(Key::none))),
            Err(PlatformError::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The key of the digests, made where it is missing.
    pub(crate) fn make_key(&self) -> Result<Key, PlatformError> {
        Key::make(&self.dir.join("key"))
    }

    /// Held while tables of the whole store change.
    pub(crate) async fn lock(&self) -> Result<Lock, PlatformError> {
        Lock::take(&self.dir.join("lock"), lock::TABLES, "the store's tables").await
    }

    /// Releases of a namespace.
    pub(crate) fn releases(&self, namespace: &str) -> Releases {
        Releases::new(self.namespace(namespace).join("releases"), namespace)
    }

    /// Secrets of a namespace.
    pub(crate) fn secrets(&self, namespace: &str) -> Secrets {
        Secrets { folder: self.namespace(namespace).join("secrets") }
    }

    /// Volumes of a namespace.
    pub(crate) fn volumes(&self, namespace: &str) -> Volumes {
        Volumes { folder: self.namespace(namespace).join("volumes") }
    }

    /// The folder of a namespace's pods.
    pub(crate) fn pods(&self, namespace: &str) -> PathBuf {
        self.namespace(namespace).join("pods")
    }

    fn namespace(&self, namespace: &str) -> PathBuf {
        self.dir.join(namespace)
    }
}

/// Refuses a name that could lead out of its folder, or that Kubernetes would refuse.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), PlatformError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let right = name.chars().all(fine)
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.len() <= 63;
    if right {
        return Ok(());
    }
    Err(PlatformError::failed(format!(
        "`{name}` cannot be the name of a {what}: 1 to 63 of a-z, 0-9, `-` and `.`, with a letter \
         or digit at both ends"
    )))
}
