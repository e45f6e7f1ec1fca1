//! All kinds that the binary knows.

use workplan_engine::kind::Registry;

use crate::backup::{BackupCreate, BackupRecent, BackupVerify};
use crate::command::Command;
use crate::files::FileContent;
use crate::gate::{Approve, Manual};
use crate::http::HttpCheck;

/// The catalogue: every kind that a plan may use.
#[must_use]
pub fn catalogue() -> Registry {
    Registry::new()
        .with(BackupCreate)
        .with(BackupRecent)
        .with(BackupVerify)
        .with(Command)
        .with(FileContent)
        .with(Approve)
        .with(Manual)
        .with(HttpCheck)
}
