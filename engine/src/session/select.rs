//! Runs in the journal.

use crate::journal::{Journal, RunFilter, RunRow, StoredEvent};
use crate::plan::Plan;
use crate::run::{Event, RunState};

use super::SessionError;

/// The state of a run, from its events; their chain is verified on the way.
///
/// # Errors
/// When the run is not there or its events cannot be trusted.
pub fn load_run(journal: &Journal, run: &str) -> Result<RunState, SessionError> {
    let stored = journal.events(run)?;
    fold(&stored)
}

pub(super) fn fold(stored: &[StoredEvent]) -> Result<RunState, SessionError> {
    let mut state: Option<RunState> = None;
    for event in stored {
        let at = event.at.as_millisecond();
        let decoded = decode(event)?;
        match (&mut state, &decoded) {
            (Some(state), decoded) => state.apply(at, decoded),
            (None, Event::RunStarted(started)) => state = Some(RunState::begin(at, started)),
            (None, _) => {}
        }
    }
    state.ok_or_else(|| SessionError::Internal("a run without a beginning".to_owned()))
}

/// The event of a journal's row.
pub(super) fn decode(stored: &StoredEvent) -> Result<Event, SessionError> {
    let value = serde_json::json!({"kind": stored.kind, "data": stored.data});
    serde_json::from_value(value).map_err(|e| {
        SessionError::Internal(format!(
            "event {} (`{}`) was written by a version that is not known here: {e}",
            stored.seq, stored.kind
        ))
    })
}

/// The runs that share a target with a plan, as far as they are in each other's way. Without a
/// target, several workplans share a state folder and are not.
#[must_use]
pub fn neighbours(plan: &Plan) -> RunFilter {
    RunFilter {
        target: Some(plan.target.identity.clone()),
        workplan: plan.target.implicit.then(|| plan.workplan.id.clone()),
        ..RunFilter::default()
    }
}

/// Runs that can be gone on with, newest first.
///
/// # Errors
/// When the journal cannot be read.
pub fn unfinished(journal: &Journal, filter: &RunFilter) -> Result<Vec<RunRow>, SessionError> {
    let mut rows = journal.runs(&RunFilter { unfinished: true, ..filter.clone() })?;
    // A single step that failed is over: there is nothing after it to go on to.
    rows.retain(|r| !(r.workplan.starts_with("do:") && r.state == "failed"));
    Ok(rows)
}
