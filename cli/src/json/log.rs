//! What `log --json` prints: events as lines, or the output of one attempt.

use schemars::JsonSchema;
use serde::Serialize;
use workplan_engine::journal::StoredEvent;

/// The output of one attempt of a step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogDocument {
    /// `workplan/log/v1`.
    pub(crate) schema: &'static str,
    /// The run.
    pub(crate) run: String,
    /// The step.
    pub(crate) step: String,
    /// The attempt, from 1.
    pub(crate) attempt: u32,
    /// The file.
    pub(crate) file: String,
    /// Its lines.
    pub(crate) lines: Vec<String>,
}

/// A committed event as one line.
#[derive(Debug, Serialize)]
pub(crate) struct EventLine<'e> {
    schema: &'static str,
    #[serde(flatten)]
    event: &'e StoredEvent,
}

impl<'e> EventLine<'e> {
    /// Of an event.
    pub(crate) fn new(event: &'e StoredEvent) -> Self {
        Self { schema: "workplan/events/v1", event }
    }
}
