//! Which loopback port belongs to what. A port stays with its owner for good.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::files;
use crate::PlatformError;
use crate::local::listening::who_listens;

/// Ports from here on are given to clients by the kernel.
const EPHEMERAL: u16 = 32768;

/// The table of a target's ports, and the locks on those that were given out just now.
pub(crate) struct Ports {
    path: PathBuf,
    first: u16,
    /// A name in the abstract space for each port that this process gave out and nobody listens on
    /// yet, so that no other target takes it in between. They go with the process.
    locks: Mutex<Vec<UnixDatagram>>,
}

type Table = BTreeMap<String, u16>;

impl Ports {
    pub(super) fn new(path: PathBuf, first: u16) -> Self {
        Self { path, first, locks: Mutex::default() }
    }

    fn table(&self) -> Result<Table, PlatformError> {
        Ok(files::read_json(&self.path)?.unwrap_or_default())
    }

    /// The port of an owner (`namespace/pod/name`); `None` before it was given one.
    pub(crate) fn find(&self, owner: &str) -> Result<Option<u16>, PlatformError> {
        Ok(self.table()?.get(owner).copied())
    }

    /// The port of an owner, given to it now where it has none. The store's lock is held.
    pub(crate) fn give(&self, owner: &str) -> Result<u16, PlatformError> {
        let mut table = self.table()?;
        if let Some(port) = table.get(owner) {
            return Ok(*port);
        }
        let port = self.free(&table.values().copied().collect())?;
        table.insert(owner.to_owned(), port);
        files::write_json(&self.path, &table, files::OPEN)?;
        Ok(port)
    }

    /// What would be given next, beside those in `taken`. Nothing is written or locked.
    pub(crate) fn guess(&self, taken: &[u16]) -> Result<u16, PlatformError> {
        let table = self.table()?;
        let free = |port: &u16| !taken.contains(port) && !table.values().any(|p| p == port);
        (self.first..EPHEMERAL).find(free).ok_or_else(|| self.none())
    }

    /// A port that nobody listens on, that is nobody's in the table, and that is locked from now.
    fn free(&self, taken: &HashSet<u16>) -> Result<u16, PlatformError> {
        for port in (self.first..EPHEMERAL).filter(|port| !taken.contains(port)) {
            let name = format!("workplan-port-{port}");
            let Ok(name) = SocketAddr::from_abstract_name(name) else { continue };
            let Ok(lock) = UnixDatagram::bind_addr(&name) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                self.locks.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
                return Ok(port);
            }
        }
        Err(self.none())
    }

    fn none(&self) -> PlatformError {
        PlatformError::Target {
            what: format!("there is no free port from {} to {}", self.first, EPHEMERAL - 1),
            help: "set `local.ports` of the target to a lower first port".to_owned(),
        }
    }
}

/// Refuses a port that somebody listens on.
pub(crate) fn must_be_free(port: u16, wanted_by: &str) -> Result<(), PlatformError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(PlatformError::Failed {
            what: match who_listens(port) {
                Some(who) => format!("port {port} of {wanted_by} is taken by {who}"),
                None => format!("port {port} of {wanted_by} cannot be listened on: {error}"),
            },
            said: Vec::new(),
            help: Some("end what listens there, or give the target another `local.dir`".to_owned()),
        }),
    }
}
