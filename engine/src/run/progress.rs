//! What a run has come to for each task: its clauses, their proofs, its status.

use crate::document::TaskStatus;
use crate::plan::{Plan, TaskIx};

use super::Scope;
use super::state::{RunState, StepRec, StepState};

/// A clause and what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseProof {
    /// The clause.
    pub text: String,
    /// The steps that prove it, by name.
    pub by: Vec<String>,
    /// Whether all of them passed with evidence that proves.
    pub proven: bool,
    /// Why it is not proven.
    pub why_not: Option<String>,
}

/// Where a task is after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskProgress {
    /// The status that it has by the evidence; `None` where the run says nothing about it.
    pub status: Option<TaskStatus>,
    /// Its clauses.
    pub clauses: Vec<ClauseProof>,
    /// The run did something for it, or looked and found it so.
    pub touched: bool,
}

/// Where a task is.
#[must_use]
pub fn task_progress(plan: &Plan, state: &RunState, task: TaskIx) -> TaskProgress {
    let planned = &plan.tasks[task];
    let clauses: Vec<ClauseProof> = planned
        .clauses
        .iter()
        .map(|clause| {
            let by: Vec<String> = clause.steps.iter().map(|s| plan.steps[*s].id.clone()).collect();
            let why_not = if clause.steps.is_empty() {
                Some("no step is bound to it".to_owned())
            } else {
                clause.steps.iter().find_map(|s| why_not(plan, state, *s))
            };
            ClauseProof { text: clause.text.clone(), by, proven: why_not.is_none(), why_not }
        })
        .collect();
    let steps: Vec<_> = planned
        .steps
        .iter()
        .filter(|s| !plan.steps[**s].retired)
        .map(|s| &state.steps[*s])
        .collect();
    let touched = steps.iter().any(|r| {
        r.attempts > 0
            || r.so
            || r.state.is_done()
            || !matches!(r.state, StepState::Pending | StepState::Skipped)
    });
    if steps.is_empty() || planned.is_held() || planned.id.is_empty() || !touched {
        return TaskProgress { status: None, clauses, touched };
    }
    // A step that nothing asks for is as good as passed only where all of the task was looked at;
    // a blocked one never is.
    let whole = match &state.asked {
        None | Some(Scope::From(_)) => true,
        Some(Scope::Task(asked)) => *asked == planned.id,
        Some(Scope::Only(_)) => false,
    };
    let passed = |r: &&StepRec| {
        r.state.is_done() || r.state == StepState::Skipped && (r.so || whole && !r.blocked)
    };
    let finished = steps.iter().all(passed);
    let proven = clauses.iter().all(|c| c.proven);
    let begun =
        steps.iter().any(|r| r.attempts > 0 || r.state.is_done() || r.state == StepState::Waiting);
    let status = if finished && proven {
        Some(TaskStatus::Done)
    } else if begun || finished {
        Some(TaskStatus::InProgress)
    } else {
        None
    };
    TaskProgress { status, clauses, touched }
}

/// Why a step does not prove a clause.
fn why_not(plan: &Plan, state: &RunState, step: usize) -> Option<String> {
    let (name, rec) = (&plan.steps[step].id, &state.steps[step]);
    let passed = rec.state.is_done() || rec.state == StepState::Skipped && rec.so;
    if !passed {
        return Some(format!("`{name}` is {}", rec.state.as_str()));
    }
    let weak = rec.evidence.as_ref().is_some_and(|e| e.weak && e.person.is_none());
    weak.then(|| format!("`{name}` has no `check`: that it ran without an error proves nothing"))
}
