//! JSON documents, one file each. All begin with `"schema": "workplan/NAME/v1"`; fields are added
//! freely, and none changes its meaning.

mod backups;
mod check;
mod explain;
mod log;
mod report;
mod rollback;
mod runs;
mod single;
mod status;

pub(crate) use backups::BackupsDocument;
pub(crate) use check::CheckDocument;
pub(crate) use explain::ExplainDocument;
pub(crate) use log::{EventLine, LogDocument};
pub(crate) use report::{ReportClause, ReportDocument, ReportStep, ReportTask};
pub(crate) use rollback::{Losing, RollbackDocument, RollbackStep};
pub(crate) use runs::RunsDocument;
pub(crate) use single::DoDocument;
pub(crate) use status::{StatusDocument, StatusRun, StatusStep};
