//! What to start as a service.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A user and its group, by number. Processes under it have no supplementary groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

impl Account {
    /// The account that this process acts as.
    #[must_use]
    pub fn current() -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Self { uid: uid.as_raw(), gid: gid.as_raw() }
    }

    /// The account with a name; `None` where there is none.
    ///
    /// # Errors
    /// When the user database cannot be read.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        let found = nix::unistd::User::from_name(name)?;
        Ok(found.map(|user| Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// The account that a file belongs to.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn owner(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { uid: found.uid(), gid: found.gid() })
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.uid == 0
    }
}

/// A server to start. It travels to the program that becomes it on standard input, so its
/// environment and arguments are in no other process's sight before it runs.
#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The server's executable; an absolute path.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them.
    pub args: Vec<String>,
    /// Its complete environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Its working folder, which tells its orphans from other processes; nobody else should use
    /// it.
    pub cwd: PathBuf,
    /// Who it runs as; `None` for the engine's own account. Only root can choose.
    pub account: Option<Account>,
    /// Where its output is appended. The file is made for the account, mode 0640.
    pub log: PathBuf,
    /// Where it is written down before it runs; replaced whole. Everybody may read it.
    pub entry: PathBuf,
    /// What it is, for the entry; no secrets.
    pub what: Value,
}

impl std::fmt::Debug for ServiceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its environment may hold secrets.
        f.debug_struct("ServiceSpec").field("program", &self.program).finish_non_exhaustive()
    }
}
