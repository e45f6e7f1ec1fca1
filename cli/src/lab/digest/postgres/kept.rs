//! A PostgreSQL that does not run, but whose volumes are kept: what a release leaves behind.
//!
//! A copy of a data folder is started on a socket in a temporary folder, asked, and thrown away.
//! Nothing is written to the volume.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use workplan_engine::kind::{CommandSpec, Look};
use workplan_platform::sql::Reader;
use workplan_platform::{Database, Network};

use super::cluster::{self, Way};
use crate::exit;
use crate::failure::Failure;
use crate::lab::digest::{Secrets, no};

/// How long the copy may take to answer; it may have to replay its log.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(30);
/// Longer than any digest takes.
const LIFE: Duration = Duration::from_secs(1800);
/// A part of the socket's name; nobody else is in its folder.
const PORT: u16 = 5432;

/// What a kept volume holds.
pub(in crate::lab::digest) async fn kept(
    look: &Look,
    volume: &Path,
    superuser: &str,
    secrets: &Secrets,
) -> Result<Option<Value>, Failure> {
    let Some(data) = data_folder(volume, 3) else { return Ok(None) };
    let copy = Copy::make(look, &data).await?;
    let at = json!({"host": copy.folder.path(), "port": PORT, "user": superuser});
    let at = Database::parse(&at).map_err(no)?;
    let server = at.server(look, &Network).await.map_err(no)?;
    let (handle, stop) = look.stoppable();
    let serving = handle.check(copy.server()?);
    tokio::pin!(serving);
    let asking = async {
        let until = Instant::now() + START;
        let login = server.login("postgres", &look.identity);
        while let Err(error) = Reader::connect(&Network, &login, POLL * 50).await {
            if Instant::now() > until {
                return Err(no(error));
            }
            tokio::time::sleep(POLL).await;
        }
        let way = Way { view: &Network, server: &server, identity: &look.identity };
        cluster::server(&way, secrets).await
    };
    let answer = tokio::select! {
        ended = &mut serving => {
            let mut failure = Failure::new(
                exit::FAILED,
                format!("a copy of the kept data in `{}` could not be started", data.display()),
            );
            failure.causes = ended.map_or_else(|e| vec![e.to_string()], |ended| ended.tail);
            return Err(failure);
        }
        answer = asking => answer,
    };
    stop.cancel();
    // Only then may its folder go; how it ended does not matter any more.
    drop(serving.await);
    answer.map(Some)
}

/// Where PostgreSQL's files are in a volume.
fn data_folder(folder: &Path, depth: u8) -> Option<PathBuf> {
    if folder.join("PG_VERSION").is_file() && folder.join("global").is_dir() {
        return Some(folder.to_owned());
    }
    let inner = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let mut folders: Vec<PathBuf> = inner.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders.iter().filter(|_| depth > 0).find_map(|inner| data_folder(inner, depth - 1))
}

/// A copy of a data folder, gone when this is dropped.
struct Copy {
    folder: tempfile::TempDir,
    program: PathBuf,
    /// Who owns the original, where that is not us: PostgreSQL does not run as root.
    owner: Option<(u32, u32)>,
}

impl Copy {
    async fn make(look: &Look, data: &Path) -> Result<Self, Failure> {
        let fail = |doing: &str, e: &std::io::Error| Failure::io(doing, data, e);
        let found = std::fs::metadata(data).map_err(|e| fail("read", &e))?;
        let us = nix::unistd::geteuid();
        let owner = us.is_root().then_some((found.uid(), found.gid()));
        if owner.is_none() && found.uid() != us.as_raw() {
            let what = format!("the kept data in `{}` is somebody else's", data.display());
            return Err(Failure::new(exit::FAILED, what));
        }
        let major =
            std::fs::read_to_string(data.join("PG_VERSION")).map_err(|e| fail("read", &e))?;
        let folder = tempfile::Builder::new()
            .prefix("workplan-lab.")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|e| fail("copy", &e))?;
        let mut copy =
            CommandSpec::new(["cp", "--archive", "--reflink=auto", "--"], Path::new("/"), START);
        copy.argv.extend([data.into(), folder.path().join("data").into()]);
        let outcome = look.check(copy).await.map_err(no)?;
        if outcome.code != Some(0) {
            let mut failure =
                Failure::new(exit::FAILED, format!("`{}` could not be copied", data.display()));
            failure.causes = outcome.tail;
            return Err(failure);
        }
        // It is to be a server of its own, not a standby of one that is gone.
        for signal in ["standby.signal", "recovery.signal", "postmaster.pid"] {
            let path = folder.path().join("data").join(signal);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::io("remove", &path, &e));
                }
                _ => {}
            }
        }
        let hba = folder.path().join("hba.conf");
        std::fs::write(&hba, "local all all trust\n").map_err(|e| fail("copy", &e))?;
        if let Some((uid, gid)) = owner {
            for path in [folder.path(), &hba] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid))
                    .map_err(|e| fail("copy", &e))?;
            }
        }
        let program = PathBuf::from(format!("/usr/lib/postgresql/{}/bin/postgres", major.trim()));
        let program = if program.is_file() {
            program
        } else {
            look.program("postgres").ok_or_else(|| {
                let what = format!("there is no PostgreSQL {} to read it with", major.trim());
                Failure::new(exit::FAILED, what)
            })?
        };
        Ok(Self { folder, program, owner })
    }

    /// The server, in the foreground.
    fn server(&self) -> Result<CommandSpec, Failure> {
        let folder = self.folder.path();
        let mut argv: Vec<std::ffi::OsString> = Vec::new();
        if let Some((uid, gid)) = self.owner {
            argv.push("setpriv".into());
            argv.push(format!("--reuid={uid}").into());
            argv.push(format!("--regid={gid}").into());
            argv.extend(["--clear-groups".into(), "--".into()]);
        }
        argv.push(self.program.clone().into());
        argv.extend(["-D".into(), folder.join("data").into()]);
        argv.extend(["-k".into(), folder.into(), "-p".into(), PORT.to_string().into()]);
        // Nothing of how it was configured counts; it must start without repmgr and elsewhere.
        let conf = folder.join("postgresql.conf");
        std::fs::write(&conf, "").map_err(|e| Failure::io("write", &conf, &e))?;
        std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644))
            .map_err(|e| Failure::io("write", &conf, &e))?;
        for setting in [
            format!("config_file={}", conf.display()),
            format!("hba_file={}", folder.join("hba.conf").display()),
            "listen_addresses=".to_owned(),
            "fsync=off".to_owned(),
            "autovacuum=off".to_owned(),
            "max_connections=100".to_owned(),
            "max_wal_senders=20".to_owned(),
            "max_replication_slots=20".to_owned(),
            "logging_collector=off".to_owned(),
        ] {
            argv.extend(["-c".into(), setting.into()]);
        }
        Ok(CommandSpec::new(argv, Path::new("/"), LIFE))
    }
}
