//! All kinds that the binary knows.

use workplan_engine::kind::Registry;

use crate::command::Command;
use crate::files::{FileContent, FileEdit, MakeTarget};
use crate::gate::{Approve, Manual};
use crate::git::GitMove;
use crate::http::HttpCheck;
use crate::postgres;

/// The catalogue: every kind that a plan may use.
#[must_use]
pub fn catalogue() -> Registry {
    Registry::new()
        .with(Command)
        .with(FileContent)
        .with(HttpCheck)
        .with(Approve)
        .with(Manual)
        .with(postgres::Compare)
        .with(postgres::Copy)
        .with(postgres::Database)
        .with(postgres::Role)
        .with(FileEdit)
        .with(MakeTarget)
        .with(GitMove)
}
