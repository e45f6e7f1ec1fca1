//! What `status --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use workplan_engine::journal::StateDir;

use crate::term::iso_ms;
use crate::view::RunView;

/// A run as it is now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusDocument {
    /// `workplan/status/v1`.
    schema: &'static str,
    /// The run; `null` where there is none.
    run: Option<StatusRun>,
    /// Its steps, each after all that it needs.
    steps: Vec<StatusStep>,
    /// Brackets that are open now: what is down.
    open_brackets: Vec<StatusBracket>,
    /// Commands that go on from here.
    next: Vec<String>,
}

/// The run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusRun {
    /// Its id.
    pub(crate) id: String,
    /// `running`, `interrupted`, `failed`, `waiting`, `succeeded`, `rolling_back`, `rolled_back`,
    /// `rollback_incomplete` or `abandoned`.
    pub(crate) state: String,
    /// Why, in words.
    pub(crate) reason: Option<String>,
    /// The workplan's id.
    pub(crate) workplan: String,
    /// The workplan's file.
    pub(crate) path: String,
    /// The target's name.
    pub(crate) target: String,
    /// Who works on it, or did last.
    pub(crate) owner: StatusOwner,
    /// RFC 3339.
    pub(crate) started_at: String,
    /// RFC 3339; `null` while it is not over.
    pub(crate) ended_at: Option<String>,
}

/// A process.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusOwner {
    /// Its number.
    pub(crate) pid: i32,
    /// Its machine.
    pub(crate) host: String,
    /// Whether it lives; `null` where that cannot be told from this machine.
    pub(crate) alive: Option<bool>,
}

/// A step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusStep {
    /// The full name.
    pub(crate) id: String,
    /// `pending`, `running`, `done`, `adopted`, `skipped`, `failed`, `unknown`, `waiting`,
    /// `undone` or `undo_failed`.
    pub(crate) state: &'static str,
    /// How often it was begun.
    pub(crate) attempts: u32,
    /// Why it is where it is.
    pub(crate) reason: Option<String>,
    /// RFC 3339.
    pub(crate) started_at: Option<String>,
    /// RFC 3339.
    pub(crate) ended_at: Option<String>,
    /// The output of its last attempt.
    pub(crate) log: Option<String>,
}

/// A bracket.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusBracket {
    /// Its name.
    pub(crate) name: String,
    /// RFC 3339.
    pub(crate) open_since: String,
    /// How long it may be open, in seconds.
    pub(crate) budget_s: Option<f64>,
    /// Why it is held open for a person.
    pub(crate) held: Option<String>,
    /// Why it is being released.
    pub(crate) releasing: Option<String>,
}

impl StatusDocument {
    /// Of a run, or of none.
    pub(crate) fn new(dir: &StateDir, view: Option<&RunView>) -> Self {
        Self {
            schema: "workplan/status/v1",
            run: view.map(StatusRun::new),
            steps: view.map(|v| StatusStep::all(dir, v)).unwrap_or_default(),
            open_brackets: view.map(StatusBracket::all).unwrap_or_default(),
            next: view.map(|v| v.next().into_iter().map(|(c, _)| c).collect()).unwrap_or_default(),
        }
    }
}

impl StatusRun {
    /// Of a run.
    pub(crate) fn new(view: &RunView) -> Self {
        let state = &view.state;
        Self {
            id: state.run.clone(),
            state: view.word().to_owned(),
            reason: view.reason(),
            workplan: state.plan.workplan.id.clone(),
            path: state.plan.workplan.path.display().to_string(),
            target: state.plan.target.name.clone(),
            owner: StatusOwner {
                pid: state.owner.pid,
                host: state.owner.host.clone(),
                alive: view.alive,
            },
            started_at: iso_ms(state.started_ms),
            ended_at: state.ended_ms.map(iso_ms),
        }
    }
}

impl StatusStep {
    /// All steps of a run.
    pub(crate) fn all(dir: &StateDir, view: &RunView) -> Vec<Self> {
        (0..view.state.steps.len()).map(|ix| Self::new(dir, view, ix)).collect()
    }

    /// One step of a run.
    pub(crate) fn new(dir: &StateDir, view: &RunView, ix: usize) -> Self {
        let rec = &view.state.steps[ix];
        Self {
            id: view.state.plan.steps[ix].id.clone(),
            state: view.step_word(ix),
            attempts: rec.attempts,
            reason: view.step_reason(ix),
            started_at: rec.started_ms.map(iso_ms),
            ended_at: rec.ended_ms.map(iso_ms),
            log: view.log(dir, ix).map(|p| p.display().to_string()),
        }
    }
}

impl StatusBracket {
    fn all(view: &RunView) -> Vec<Self> {
        view.state
            .open_brackets()
            .filter_map(|ix| {
                let state = &view.state.brackets[ix];
                let plan = &view.state.plan.brackets[ix];
                Some(Self {
                    name: plan.name.clone(),
                    open_since: iso_ms(state.open_since_ms?),
                    budget_s: plan.budget_ms.map(|ms| ms as f64 / 1000.0),
                    held: state.held.clone(),
                    releasing: state.releasing.clone(),
                })
            })
            .collect()
    }
}
