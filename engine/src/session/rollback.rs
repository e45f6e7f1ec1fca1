//! Taking a run back.

use std::time::Duration;

use tokio::sync::mpsc;

use super::driver::{Driver, MachineOptions, open};
use super::guard::guard;
use super::history::History;
use super::look_back::loss;
use super::select::{load_run, neighbours};
use super::{Control, Outcome, Reporter, SessionError, World};
use crate::journal::{Journal, StateDir};
use crate::run::{Event, RunPhase, RunState, StepState};

/// How a run is taken back.
#[derive(Debug, Clone)]
pub struct RollbackOptions {
    /// The step that stays.
    pub to: Option<String>,
    /// What would be lost is accepted.
    pub accept_loss: bool,
    /// What running steps get after the first cancel.
    pub grace: Duration,
}

/// Takes a run back.
///
/// # Errors
/// As [`super::resume`], and when a later run builds on it or a point of no return is passed.
pub async fn rollback(
    world: &World,
    state_dir: &StateDir,
    run: &str,
    options: RollbackOptions,
    reporter: &mut dyn Reporter,
    control: mpsc::UnboundedReceiver<Control>,
) -> Result<Outcome, SessionError> {
    let (mut held, journal, mut state) = open(world, state_dir, run)?;
    rollback_scope(&journal, &state, options.to.as_deref())?;
    let accepted = options.accept_loss || state.accept_loss;
    let loss = loss(world, &state).await?;
    if let Some(loss) = &loss
        && !accepted
    {
        return Err(SessionError::PastNoReturn { loss: Box::new(loss.clone()) });
    }
    held.guarded = guard(world, &journal, &state.plan, &held.owner, state.single).await?;
    let event = Event::RollbackStarted {
        owner: held.process.clone(),
        to: options.to.clone(),
        accept_loss: options.accept_loss,
        loss: loss.map(|loss| loss.words()).unwrap_or_default(),
    };
    let mut driver = Driver::new(world, state_dir, held, journal, run)?;
    driver.commit_first(&mut state, event, reporter)?;
    let machine = MachineOptions { jobs: 1, grace: options.grace, history: History::default() };
    driver.drive(state, machine, None, reporter, control).await
}

/// The steps that a rollback would take back, last first.
///
/// # Errors
/// When the run was taken back or given up already, a later run builds on it, or `to` is no step
/// that was done.
pub fn rollback_scope(
    journal: &Journal,
    state: &RunState,
    to: Option<&str>,
) -> Result<Vec<usize>, SessionError> {
    if let RunPhase::Ended { state: ended, .. } = &state.phase
        && matches!(ended.as_str(), "rolled_back" | "abandoned")
    {
        return Err(finished(state));
    }
    let own = journal.run_row(&state.run)?;
    for row in journal.runs(&neighbours(&state.plan))? {
        let later = row.first_seq > own.first_seq
            && !matches!(row.state.as_str(), "rolled_back" | "abandoned")
            && !row.workplan.starts_with("do:");
        if later && did_something(journal, &row.run)? {
            return Err(SessionError::Superseded { run: state.run.clone(), later: row.run });
        }
    }
    let after = match to {
        None => 0,
        Some(name) => match state.step(name).map(|ix| &state.steps[ix]) {
            Some(rec) if rec.state.is_done() => rec.done_order,
            Some(_) => {
                return Err(SessionError::NotNow {
                    what: format!("`{name}` was not done in run {}", state.run),
                    help: "name a step that was done; it stays, and what was done after it is taken back".to_owned(),
                });
            }
            None => {
                let names = state.plan.steps.iter().map(|s| s.id.as_str());
                return Err(SessionError::Unknown {
                    what: format!("run {} has no step `{name}`", state.run),
                    help: crate::text::did_you_mean(name, names),
                });
            }
        },
    };
    let mut steps: Vec<usize> = (0..state.steps.len())
        .filter(|ix| {
            let rec = &state.steps[*ix];
            let stands = rec.state.is_done()
                || matches!(rec.state, StepState::Undoing | StepState::UndoFailed);
            stands && rec.done_order > after
        })
        .collect();
    steps.sort_by_key(|ix| std::cmp::Reverse(state.steps[*ix].done_order));
    Ok(steps)
}

/// A run in which nothing was done is in nobody's way.
fn did_something(journal: &Journal, run: &str) -> Result<bool, SessionError> {
    Ok(load_run(journal, run)?.steps.iter().any(|r| r.state.is_done()))
}

pub(super) fn finished(state: &RunState) -> SessionError {
    let ended = match &state.phase {
        RunPhase::Ended { state, .. } => state.replace('_', " "),
        RunPhase::Live => "running".to_owned(),
    };
    SessionError::NotNow {
        what: format!("run {} is finished: {ended}", state.run),
        help: "there is nothing to go on with".to_owned(),
    }
}
