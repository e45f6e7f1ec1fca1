//! Where a target's releases live, and who runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workplan_engine::kind::Place;
use workplan_engine::process::Account;

use super::store::Store;
use crate::PlatformError;

/// The first port where the target names none.
const FIRST_PORT: u16 = 21000;

/// The platform of one target.
pub(crate) struct World {
    /// The target's name, for messages.
    pub(crate) target: String,
    /// What it keeps.
    pub(crate) store: Store,
    /// Programs that the target names, by server.
    pub(crate) programs: BTreeMap<String, PathBuf>,
    user: Option<String>,
}

impl World {
    /// The platform of a target, made once for all handles of a session.
    pub(crate) fn of(place: &Place) -> Result<Arc<Self>, PlatformError> {
        type Shared = Result<Arc<World>, PlatformError>;
        (*place.shared::<Shared>(|| Self::new(place).map(Arc::new))).clone()
    }

    fn new(place: &Place) -> Result<Self, PlatformError> {
        let Some(dir) = place.text("local.dir") else {
            return Err(PlatformError::Target {
                what: format!("the target `{}` does not say where its releases live", place.name),
                help: "add `local: {dir: ../world}` to the target file".to_owned(),
            });
        };
        let dir = place.path(dir);
        let dir = std::path::absolute(&dir).map_err(|e| PlatformError::io("find", &dir, &e))?;
        let ports = match place.value("local.ports") {
            None => FIRST_PORT,
            Some(value) => value
                .as_u64()
                .or_else(|| value.as_str()?.parse().ok())
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| (1024..32768).contains(port))
                .ok_or_else(|| PlatformError::Target {
                    what: format!("`local.ports` of the target `{}` is no port", place.name),
                    help: "it is the first port that may be used, from 1024 to 32767".to_owned(),
                })?,
        };
        let user = place.text("local.user").map(str::to_owned);
        let named = |name: &str| {
            let path = place.text(&format!("local.{name}"))?;
            Some((name.to_owned(), place.path(path)))
        };
        let programs = ["gitea"].into_iter().filter_map(named).collect();
        Ok(Self { target: place.name.clone(), store: Store::new(&dir, ports), programs, user })
    }

    /// Who the servers run as: `local.user` of the target; else, under root, the owner of the
    /// store's folder, `postgres` or `nobody`; else whoever runs this.
    ///
    /// # Errors
    /// When the target names a user that is not there, or that only root could become.
    pub(crate) fn account(&self) -> Result<Account, PlatformError> {
        let me = Account::current();
        let named = |name: &str| {
            Account::named(name)
                .map_err(|e| PlatformError::failed(format!("failed to look up `{name}`: {e}")))
        };
        if let Some(name) = &self.user {
            let refused = |what: String| PlatformError::Target {
                what,
                help: "name another user as `local.user` of the target, or none".to_owned(),
            };
            let Some(account) = named(name)? else {
                return Err(refused(format!("there is no user `{name}` on this machine")));
            };
            if account.is_root() {
                return Err(refused("PostgreSQL refuses to run as root".to_owned()));
            }
            if account.uid != me.uid && !me.is_root() {
                return Err(refused(format!("only root can run servers as `{name}`")));
            }
            return Ok(account);
        }
        if !me.is_root() {
            return Ok(me);
        }
        if let Ok(owner) = Account::owner(self.store.dir())
            && !owner.is_root()
        {
            return Ok(owner);
        }
        for name in ["postgres", "nobody"] {
            if let Some(account) = named(name)? {
                return Ok(account);
            }
        }
        Err(PlatformError::Target {
            what: "there is no unprivileged user to run servers as".to_owned(),
            help: "name one as `local.user` of the target".to_owned(),
        })
    }

    /// Refuses a place that the servers' account could not get to.
    pub(crate) fn check_way(&self, account: Account) -> Result<(), PlatformError> {
        use std::os::unix::fs::MetadataExt;
        if account == Account::current() {
            return Ok(());
        }
        let above: Vec<&Path> = self.store.dir().ancestors().collect();
        for folder in above.into_iter().rev() {
            let Ok(found) = std::fs::metadata(folder) else { continue };
            let bit = match (found.uid() == account.uid, found.gid() == account.gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            if found.mode() & bit == 0 {
                return Err(PlatformError::Target {
                    what: format!(
                        "user {} cannot get into `{}`, which its servers need",
                        account.uid,
                        folder.display()
                    ),
                    help: format!("`chmod o+x {}`, or set another `local.dir`", folder.display()),
                });
            }
        }
        Ok(())
    }
}
