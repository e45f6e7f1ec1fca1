//! What a command brings along, and who is told.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::TargetGuard;
use crate::journal::StoredEvent;
use crate::kind::{BaseEnv, Registry, SecretSource};
use crate::process::ServiceStarter;
use crate::run::{Event, RunState};

/// What a command brings along.
pub struct World {
    /// The catalogue.
    pub registry: Registry,
    /// Where values of secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// The environment that children start from.
    pub env: BaseEnv,
    /// Program and arguments that call [`crate::process::supervise()`]; the path of a lock file is
    /// appended where there is one.
    pub supervisor: (PathBuf, Vec<OsString>),
    /// How servers are started that stay when the engine ends.
    pub services: ServiceStarter,
    /// A folder of locks that all state folders share, so that two clones do not work on one named
    /// target at once. The implicit target is the state folder itself and needs none.
    pub machine_locks: Option<PathBuf>,
    /// Who keeps the locks of targets at the targets themselves; `None` where nobody does.
    pub guard: Option<Arc<dyn TargetGuard>>,
    /// Version of the program.
    pub version: String,
}

/// What a person asks of a run under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Stop after the current steps.
    Cancel,
    /// Stop at once.
    Kill,
}

/// Who is told what happened; called only with committed events.
pub trait Reporter {
    /// Events were committed.
    fn committed(&mut self, state: &RunState, stored: &[StoredEvent], events: &[Event]);

    /// A running step said a line (redacted). Lines may be lost when they come fast.
    fn line(&mut self, step: &str, line: &str) {
        let _ = (step, line);
    }

    /// Whether [`Reporter::line`] is of use.
    fn wants_lines(&self) -> bool {
        false
    }

    /// Something worth telling that is no event, for example a write-back that has to wait.
    fn notice(&mut self, text: &str) {
        let _ = text;
    }
}
