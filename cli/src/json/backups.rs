//! What `backup list --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use workplan_steps::backup::{Listed, Listing};

/// The backups of a layer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackupsDocument {
    /// `workplan/backups/v1`.
    schema: &'static str,
    /// Their folder.
    folder: String,
    /// The layer.
    layer: String,
    /// Newest first.
    backups: Vec<BackupEntry>,
    /// Those that were begun and not finished.
    unfinished: Vec<UnfinishedEntry>,
}

/// A backup.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackupEntry {
    /// Its name: its time in UTC.
    id: String,
    /// Its folder.
    path: String,
    /// When it was begun, RFC 3339.
    made_at: Option<String>,
    /// Who made it: `workplan:RUN:STEP:ATTEMPT`.
    identity: Option<String>,
    /// SHA-256 of its manifest.
    manifest: Option<String>,
    /// Bytes on disk.
    bytes: u64,
    /// The databases in it, `SERVER/DATABASE`.
    databases: Vec<String>,
    /// Tables in them.
    tables: u64,
    /// Rows in the tables.
    rows: u64,
    /// Public keys of those who can read it.
    recipients: Vec<String>,
    /// Whether a key that is here has sealed its manifest; `null` where none is here.
    sealed: Option<bool>,
    /// When it passed a verification, RFC 3339.
    verified_at: Option<String>,
    /// What can be seen to be wrong with it without reading its members.
    trouble: Option<String>,
}

/// A backup that was begun and not finished.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnfinishedEntry {
    /// Its folder.
    path: String,
    /// Who began it.
    identity: Option<String>,
    /// Whether somebody is at it.
    live: bool,
}

impl BackupsDocument {
    /// Of a listing.
    pub(crate) fn new(listing: &Listing) -> Self {
        let unfinished = listing.unfinished.iter().map(|left| UnfinishedEntry {
            path: left.path.display().to_string(),
            identity: left.identity.clone(),
            live: left.live,
        });
        Self {
            schema: "workplan/backups/v1",
            folder: listing.folder.display().to_string(),
            layer: listing.layer.clone(),
            backups: listing.backups.iter().map(BackupEntry::new).collect(),
            unfinished: unfinished.collect(),
        }
    }
}

impl BackupEntry {
    fn new(backup: &Listed) -> Self {
        let backup = backup.clone();
        Self {
            id: backup.id,
            path: backup.path.display().to_string(),
            made_at: backup.made_at,
            identity: backup.identity,
            manifest: backup.manifest,
            bytes: backup.bytes,
            databases: backup.databases,
            tables: backup.tables,
            rows: backup.rows,
            recipients: backup.recipients,
            sealed: backup.sealed,
            verified_at: backup.verified_at,
            trouble: backup.trouble,
        }
    }
}
