//! All kinds that the binary knows.

use workplan_engine::kind::Registry;

use crate::command::Command;
use crate::files::{FileContent, FileEdit, MakeTarget};
use crate::gate::{Approve, Manual};
use crate::git::GitMove;
use crate::http::HttpCheck;
use crate::postgres;
use crate::release::ReleaseDeploy;
use crate::values::ValuesSet;

/// The catalogue: every kind that a plan may use.
#[must_use]
pub fn catalogue() -> Registry {
    Registry::new()
        .with(Approve)
        .with(Command)
        .with(FileContent)
        .with(FileEdit)
        .with(GitMove)
        .with(ValuesSet)
        .with(HttpCheck)
        .with(MakeTarget)
        .with(Manual)
        .with(ReleaseDeploy)
        .with(postgres::Compare)
        .with(postgres::Database)
        .with(postgres::Role)
}
