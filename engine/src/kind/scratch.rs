//! Folders for what must not stay: secrets and copies in plain.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{ErrorCause, Launcher, StepError};
use crate::digest::hex;
use crate::process::Account;

/// A new folder that only its account can read, and that is gone with all that is in it when this
/// is dropped, and also when the engine dies, even by SIGKILL. Only a power failure leaves it.
pub struct Scratch {
    path: PathBuf,
    /// Dropped after the folder is removed.
    _guard: Option<Box<dyn Send + Sync>>,
}

impl Scratch {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn make(
        launcher: &dyn Launcher,
        parent: &Path,
        account: Option<Account>,
    ) -> Result<Self, StepError> {
        let failed = |what: String| {
            let text = format!("failed to make a folder in `{}`: {what}", parent.display());
            StepError::new(ErrorCause::NotStarted, text)
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| failed(e.to_string()))?;
        let path = parent.join(format!("workplan-{}", hex(&random)));
        // Before it is there, so that there is no moment in which nobody would remove it.
        let guard = launcher.doom(&path).await?;
        let make = || {
            DirBuilder::new().mode(0o700).create(&path)?;
            match account.filter(|account| *account != Account::current()) {
                Some(to) => std::os::unix::fs::chown(&path, Some(to.uid), Some(to.gid)),
                None => Ok(()),
            }
        };
        make().map_err(|e: std::io::Error| failed(e.to_string()))?;
        Ok(Self { path, _guard: guard })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by the supervisor when the engine ends.
        if fs::remove_dir_all(&self.path).is_err() && self.path.exists() {
            std::mem::forget(self._guard.take());
        }
    }
}
