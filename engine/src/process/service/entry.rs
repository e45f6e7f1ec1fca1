//! What is on record of a service.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Account;
use crate::process::{Liveness, ProcessId};

/// A service as it was written down before it began to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// The process.
    pub process: ProcessId,
    /// The server's executable.
    pub program: PathBuf,
    /// Its working folder at the start.
    pub cwd: PathBuf,
    /// Who it runs as.
    pub account: Account,
    /// What it is, in the words of who started it.
    pub what: Value,
}

impl ServiceEntry {
    /// Reads an entry; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the very process of this entry still lives.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.process.liveness()
    }

    /// Names this start of it and no other: process number and start time.
    #[must_use]
    pub fn incarnation(&self) -> String {
        format!("{}@{}", self.process.pid, self.process.started_ticks)
    }
}
