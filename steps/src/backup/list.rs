//! What `workplan backup list` shows.

use jiff::Timestamp;
use std::path::PathBuf;

use workplan_engine::kind::{Look, StepError};

use super::keys::Keys;
use super::seal::Verdict;
use super::settings::Where;
use super::shelf::Backup;
use super::store::LeftoverState;
use super::words::{io_error, size};

/// The backups of a layer.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Their folder.
    pub folder: PathBuf,
    /// The layer.
    pub layer: String,
    /// Newest first.
    pub backups: Vec<Listed>,
    /// Those that were begun and not finished.
    pub unfinished: Vec<Unfinished>,
}

/// A backup.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// When it was begun, RFC 3339 in UTC.
    pub made_at: Option<String>,
    /// The same in milliseconds since 1970.
    pub made_ms: Option<i64>,
    /// Who made it.
    pub identity: Option<String>,
    /// SHA-256 of its manifest.
    pub manifest: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// The same for people.
    pub size: String,
    /// Its databases, `SERVER/DATABASE`.
    pub databases: Vec<String>,
    /// Tables in them.
    pub tables: u64,
    /// Rows in the tables.
    pub rows: u64,
    /// Public keys of those who can read it.
    pub recipients: Vec<String>,
    /// Whether a key that is here has sealed it; `None` where no key is here.
    pub sealed: Option<bool>,
    /// When it passed a verification, RFC 3339 in UTC.
    pub verified_at: Option<String>,
    /// The same in milliseconds since 1970.
    pub verified_ms: Option<i64>,
    /// What can be seen to be wrong with it.
    pub trouble: Option<String>,
}

/// A backup that was begun and not finished.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its folder.
    pub path: PathBuf,
    /// Who began it.
    pub identity: Option<String>,
    /// Whether somebody is at it, as far as can be told from here.
    pub live: bool,
}

/// Lists the backups of the target's layer. Members are not read; what can be seen without that is
/// said.
///
/// # Errors
/// When nothing says where they are, or the folder cannot be read.
pub fn list(look: &Look, dir: Option<&str>, layer: Option<&str>) -> Result<Listing, StepError> {
    let place = Where { dir: dir.map(str::to_owned), layer: layer.map(str::to_owned) };
    let settings = place.settings(look)?;
    let keys = Keys::gather(look, &settings);
    let folder = &settings.folder;
    let failed = |e: std::io::Error| io_error("look at", &folder.root, &e);
    let (good, bad) = Backup::all(folder).map_err(failed)?;
    let mut backups: Vec<Listed> = good.iter().map(|backup| listed(backup, &keys)).collect();
    backups.extend(bad.into_iter().map(|(id, why)| Listed {
        path: folder.path(&id),
        id: id.to_string(),
        trouble: Some(why),
        ..Listed::default()
    }));
    backups.sort_by(|a, b| b.id.cmp(&a.id));
    let leftovers = folder.leftovers().map_err(failed)?;
    let unfinished = leftovers.into_iter().map(|left| Unfinished {
        path: left.path,
        identity: left.owner.map(|owner| owner.identity),
        live: !matches!(left.state, LeftoverState::Dead { .. }),
    });
    Ok(Listing {
        folder: folder.root.clone(),
        layer: settings.layer.clone(),
        backups,
        unfinished: unfinished.collect(),
    })
}

fn listed(backup: &Backup, keys: &Keys) -> Listed {
    let manifest = &backup.manifest;
    let verified = backup.verified(keys);
    let verdict = backup.verdict(keys);
    let broken = (verdict == Verdict::Broken)
        .then(|| "its manifest was exchanged or changed after it was sealed".to_owned());
    let verified_at = verified.map(|verified| verified.at);
    let databases = manifest.databases().map(|(server, db)| format!("{}/{}", server.name, db.name));
    Listed {
        id: backup.id.to_string(),
        path: backup.path.clone(),
        made_at: Some(manifest.made_at.clone()),
        made_ms: Some(backup.made_at.as_millisecond()),
        identity: Some(manifest.identity.clone()),
        manifest: Some(backup.digest.to_string()),
        bytes: manifest.bytes(),
        size: size(manifest.bytes()),
        databases: databases.collect(),
        tables: manifest.tables(),
        rows: manifest.rows(),
        recipients: manifest.recipients.clone(),
        sealed: (!keys.all.is_empty()).then_some(verdict == Verdict::Good),
        verified_ms: verified_at
            .as_deref()
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map(Timestamp::as_millisecond),
        verified_at,
        trouble: broken.or_else(|| backup.misfits().into_iter().next()),
    }
}
