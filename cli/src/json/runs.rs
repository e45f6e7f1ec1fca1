//! What `runs --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::StatusRun;
use crate::view::RunView;

/// The runs of a state folder.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RunsDocument {
    /// `workplan/runs/v1`.
    schema: &'static str,
    /// Newest first.
    runs: Vec<RunsEntry>,
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RunsEntry {
    #[serde(flatten)]
    run: StatusRun,
    /// Whether it can be resumed, rolled back or abandoned.
    unfinished: bool,
}

impl RunsDocument {
    /// Of runs, newest first.
    pub(crate) fn new(views: &[RunView]) -> Self {
        let runs = views.iter().map(|view| RunsEntry {
            run: StatusRun::new(view),
            unfinished: view.state.is_unfinished(),
        });
        Self { schema: "workplan/runs/v1", runs: runs.collect() }
    }
}
