//! What runs of a pod, asked now.

use std::path::Path;

use workplan_engine::process::{Liveness, ServiceEntry};

use super::probe::ask;
use crate::PlatformError;
use crate::local::pod::{ContainerRecord, PodFolder, PodRecord};
use crate::local::store::files;

/// A pod with its servers.
pub(crate) struct PodStatus {
    /// What is on record.
    pub(crate) record: PodRecord,
    /// Its folder.
    pub(crate) folder: PodFolder,
    /// Its servers; `None` for one that was never started or taken away.
    pub(crate) servers: Vec<(ContainerRecord, Option<ServiceEntry>)>,
}

impl PodStatus {
    /// Whether any of its servers lives, or may.
    pub(crate) fn is_there(&self) -> bool {
        self.servers.iter().any(|(_, e)| e.as_ref().is_some_and(|e| e.liveness() != Liveness::Dead))
    }

    /// Whether all of its servers live.
    pub(crate) fn is_whole(&self) -> bool {
        self.servers
            .iter()
            .all(|(_, e)| e.as_ref().is_some_and(|e| e.liveness() == Liveness::Alive))
    }

    /// Names this start of it and no other.
    pub(crate) fn incarnation(&self) -> String {
        let first = self.servers.first().and_then(|(_, e)| e.as_ref());
        first.map(ServiceEntry::incarnation).unwrap_or_default()
    }

    /// Whether a server of it was started and has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let dead = |e: &ServiceEntry| e.liveness() == Liveness::Dead;
        self.servers.iter().any(|(_, entry)| entry.as_ref().is_some_and(dead))
    }

    /// Why one of its servers does not answer, where one does not.
    pub(crate) async fn silent(&self) -> Option<String> {
        for (container, entry) in &self.servers {
            let Some(entry) = entry else {
                return Some(format!("`{}` was not started", container.name));
            };
            match entry.liveness() {
                Liveness::Alive => {}
                Liveness::Dead => return Some(format!("`{}` has ended", container.name)),
                Liveness::Unknown => {
                    return Some(format!("`{}` runs on another machine", container.name));
                }
            }
            if entry.is_frozen() {
                return Some(format!("`{}` is stopped (SIGSTOP)", container.name));
            }
            if let Err(why) = ask(&container.probe).await {
                return Some(format!("`{}`: {why}", container.name));
            }
        }
        None
    }
}

/// The pods of a namespace's release, sorted by name.
pub(crate) fn status(pods: &Path, release: &str) -> Result<Vec<PodStatus>, PlatformError> {
    let mut found = Vec::new();
    for name in files::names(pods)? {
        let folder = PodFolder::new(pods, &name);
        let Some(record) = folder.record()?.filter(|r| r.release == release) else { continue };
        let mut servers = Vec::new();
        for container in &record.containers {
            let path = folder.entry(&container.name);
            let entry =
                ServiceEntry::read(&path).map_err(|e| PlatformError::io("read", &path, &e))?;
            servers.push((container.clone(), entry));
        }
        found.push(PodStatus { record, folder, servers });
    }
    Ok(found)
}
