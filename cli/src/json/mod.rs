//! JSON documents, one file each. All begin with `"schema": "workplan/NAME/v1"`; fields are added
//! freely, and none changes its meaning.

mod check;
mod explain;
mod log;
mod runs;
mod status;

pub(crate) use check::CheckDocument;
pub(crate) use explain::ExplainDocument;
pub(crate) use log::{EventLine, LogDocument};
pub(crate) use runs::{RunsDocument, RunsEntry};
pub(crate) use status::{StatusBracket, StatusDocument, StatusOwner, StatusRun, StatusStep};
