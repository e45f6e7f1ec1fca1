//! Gates that were shut: who is inside may end what was begun.
//!
//! A gate that is told to stop closes its ports at once and lives on until the last request has
//! ended. It is no longer the pod's server then, so that the gate can be opened again beside it;
//! but it stays written down, and ends with the pod.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};
use workplan_engine::process::{Liveness, ServiceEntry};

use super::act::Act;
use super::probe::ask_within;
use super::status::PodStatus;
use crate::PlatformError;
use crate::local::pod::Probe;
use crate::local::store::files;

/// How long a gate may take to close its ports before it is killed.
const CLOSE: Duration = Duration::from_secs(5);
/// How long one question whether a port is closed may take.
const QUESTION: Duration = Duration::from_millis(500);
/// Between two such questions.
const PAUSE: Duration = Duration::from_millis(20);
/// What the record of one that is leaving is called, around its process number.
const LEAVING: (&str, &str) = (".leaving-", ".service.json");

impl Act<'_> {
    /// Tells a gate to stop and returns when nobody can come in any more.
    pub(super) async fn leave(&self, pod: &PodStatus) -> Result<(), PlatformError> {
        for (container, entry) in &pod.servers {
            let Some(entry) = entry else { continue };
            let name = format!("{}/{}", pod.record.name, container.name);
            entry.thaw();
            entry.signal(container.stop.signal());
            let until = Instant::now() + CLOSE;
            for port in container.ports.iter().map(|port| Probe::Tcp(port.local)) {
                while entry.liveness() == Liveness::Alive
                    && ask_within(&port, QUESTION).await.is_ok()
                {
                    if Instant::now() >= until {
                        self.ended(&name, entry.end(Some(Signal::SIGKILL), Duration::ZERO).await)?;
                    }
                    sleep(PAUSE).await;
                }
            }
            let from = pod.folder.entry(&container.name);
            if entry.liveness() == Liveness::Alive {
                let (before, after) = LEAVING;
                let to = format!("{}{before}{}{after}", container.name, entry.process.pid);
                files::replace(&from, &pod.folder.file(&to))?;
            } else {
                files::remove(&from)?;
            }
        }
        self.forget_gone(pod)
    }

    /// Ends what is leaving, for the pod goes.
    pub(super) async fn end_leaving(&self, pod: &PodStatus) -> Result<(), PlatformError> {
        for (path, entry) in leaving(pod)? {
            self.ended(&pod.record.name, entry.end(None, Duration::ZERO).await)?;
            files::remove(&path)?;
        }
        Ok(())
    }

    /// Takes away what is on record of those that have left.
    fn forget_gone(&self, pod: &PodStatus) -> Result<(), PlatformError> {
        for (path, entry) in leaving(pod)? {
            if entry.liveness() == Liveness::Dead {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn leaving(pod: &PodStatus) -> Result<Vec<(PathBuf, ServiceEntry)>, PlatformError> {
    let (before, after) = LEAVING;
    let mut found = Vec::new();
    for name in files::names(&pod.folder.0)? {
        if !name.contains(before) || !name.ends_with(after) {
            continue;
        }
        let path = pod.folder.file(&name);
        let entry = ServiceEntry::read(&path).map_err(|e| PlatformError::io("read", &path, &e))?;
        found.extend(entry.map(|entry| (path, entry)));
    }
    Ok(found)
}
