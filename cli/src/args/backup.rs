//! `workplan backup`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::work::{TargetArgs, duration};

/// `workplan backup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Backup {
    #[command(subcommand)]
    pub(crate) what: BackupCommand,
}

/// What to do with backups.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make an encrypted backup of what the target's layer owns
    Create(BackupCreate),
    /// List the backups, newest first
    List(BackupList),
    /// Restore a backup into a scratch server and compare; nothing else is proof that it can be
    Verify(BackupVerify),
}

/// Where backups are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BackupPlace {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The folder of all layers' backups [default: `backup.dir` of the target]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<String>,
    /// The layer [default: `backup.layer` of the target, else its name]
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How it is done.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BackupWork {
    /// Only look and show
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Answer yes to what would be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The deadline
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `workplan backup create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackupCreate {
    /// A database or server: a name of the target file, or a `postgresql://` URL; several by giving
    /// it again [default: what the target says]
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) database: Vec<String>,
    /// A release, `namespace/name`; not there yet, and refused: name its databases and files
    #[arg(long, value_name = "RELEASE")]
    pub(crate) release: Vec<String>,
    /// A file; several by giving it again
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Vec<String>,
    #[command(flatten)]
    pub(crate) place: BackupPlace,
    #[command(flatten)]
    pub(crate) work: BackupWork,
}

/// `workplan backup list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackupList {
    #[command(flatten)]
    pub(crate) place: BackupPlace,
}

/// `workplan backup verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackupVerify {
    /// The backup, by its time [default: the newest]
    pub(crate) backup: Option<String>,
    /// SHA-256 of its manifest, for one that no private key sealed
    #[arg(long, value_name = "SHA256")]
    pub(crate) manifest: Option<String>,
    #[command(flatten)]
    pub(crate) place: BackupPlace,
    #[command(flatten)]
    pub(crate) work: BackupWork,
}
