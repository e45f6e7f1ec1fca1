//! All kinds that the binary knows.

use workplan_engine::kind::Registry;

use crate::app::{AppCheck, AppDrain, AppStop, TrafficOpen};
use crate::backup::{BackupCreate, BackupRecent, BackupVerify};
use crate::command::Command;
use crate::files::{FileContent, FileEdit, MakeTarget};
use crate::gate::{Approve, Manual};
use crate::git::GitMove;
use crate::ha::{HaCheck, HaFailover};
use crate::http::HttpCheck;
use crate::postgres;
use crate::release::{PartGone, ReleaseDeploy};
use crate::smoke::Smoke;
use crate::values::{SecretRequire, ValuesCapture, ValuesSet};

/// The catalogue: every kind that a plan may use.
#[must_use]
pub fn catalogue() -> Registry {
    Registry::new()
        .with(AppCheck)
        .with(AppDrain)
        .with(AppStop)
        .with(Approve)
        .with(BackupCreate)
        .with(BackupRecent)
        .with(BackupVerify)
        .with(Command)
        .with(FileContent)
        .with(FileEdit)
        .with(GitMove)
        .with(HaCheck)
        .with(HaFailover)
        .with(HttpCheck)
        .with(MakeTarget)
        .with(Manual)
        .with(PartGone)
        .with(ReleaseDeploy)
        .with(SecretRequire)
        .with(Smoke)
        .with(TrafficOpen)
        .with(ValuesCapture)
        .with(ValuesSet)
        .with(postgres::Compare)
        .with(postgres::Copy)
        .with(postgres::Database)
        .with(postgres::Fence)
        .with(postgres::Publish)
        .with(postgres::Role)
}
