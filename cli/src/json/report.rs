//! What `report --json` prints, and what the page is made of.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use workplan_engine::journal::StateDir;
use workplan_engine::run::{StepState, task_progress};

use super::{StatusRun, StatusStep};
use crate::render::given_back;
use crate::view::RunView;

/// A run with its proofs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReportDocument {
    /// `workplan/report/v1`.
    schema: &'static str,
    /// The run.
    pub(crate) run: StatusRun,
    /// The workplan's title.
    pub(crate) title: String,
    /// The tasks in the order of the workplan.
    pub(crate) tasks: Vec<ReportTask>,
    /// The steps, each after all that it needs.
    pub(crate) steps: Vec<ReportStep>,
    /// Hash of the run's newest event: it stands for all of them.
    pub(crate) head: String,
    /// Position of that event in the journal.
    pub(crate) head_seq: u64,
}

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReportTask {
    /// The full id.
    pub(crate) id: String,
    /// The title.
    pub(crate) title: String,
    /// The status before the run.
    pub(crate) before: String,
    /// The status by the evidence; `null` where the run says nothing about it.
    pub(crate) status: Option<&'static str>,
    /// The acceptance clauses beside what proves them.
    pub(crate) clauses: Vec<ReportClause>,
    /// It has no steps.
    pub(crate) by_hand: bool,
}

/// A clause.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReportClause {
    /// The clause.
    pub(crate) text: String,
    /// The steps bound to it.
    pub(crate) by: Vec<String>,
    /// Whether all of them passed with evidence that proves.
    pub(crate) proven: bool,
    /// Why it is not proven.
    pub(crate) why_not: Option<String>,
}

/// A step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReportStep {
    /// Where it is.
    #[serde(flatten)]
    pub(crate) status: StatusStep,
    /// Its kind.
    pub(crate) kind: String,
    /// Milliseconds from its first attempt to its end; `null` where it was taken back.
    pub(crate) took_ms: Option<i64>,
    /// What was seen.
    pub(crate) facts: Vec<(String, Value)>,
    /// What it gave.
    pub(crate) outputs: Vec<(String, Value)>,
    /// It rests on an exit code alone.
    pub(crate) weak: bool,
    /// Who says so, where it is a person's word.
    pub(crate) person: Option<String>,
    /// The last error.
    pub(crate) error: Option<String>,
}

impl ReportDocument {
    /// Of a run.
    pub(crate) fn new(dir: &StateDir, view: &RunView) -> Self {
        let plan = &view.state.plan;
        Self {
            schema: "workplan/report/v1",
            run: StatusRun::new(view),
            title: plan.workplan.title.clone(),
            tasks: (0..plan.tasks.len()).filter_map(|ix| task(view, ix)).collect(),
            steps: StatusStep::all(dir, view)
                .into_iter()
                .enumerate()
                .map(|(ix, s)| step(view, ix, s))
                .collect(),
            head: view.row.head_hash.to_string(),
            head_seq: view.row.head_seq,
        }
    }
}

fn task(view: &RunView, ix: usize) -> Option<ReportTask> {
    let plan = &view.state.plan;
    let task = &plan.tasks[ix];
    if task.id.is_empty() {
        return None;
    }
    let progress = task_progress(plan, &view.state, ix);
    Some(ReportTask {
        id: task.full_id.clone(),
        title: task.title.clone(),
        before: task.status.as_str().to_owned(),
        status: match given_back(&view.state, ix) {
            // The rollback wrote the old one.
            Some(_) => None,
            None => progress.status.map(|s| s.as_str()),
        },
        clauses: progress
            .clauses
            .into_iter()
            .map(|c| ReportClause { text: c.text, by: c.by, proven: c.proven, why_not: c.why_not })
            .collect(),
        by_hand: task.steps.is_empty(),
    })
}

fn step(view: &RunView, ix: usize, status: StatusStep) -> ReportStep {
    let rec = &view.state.steps[ix];
    let evidence = rec.evidence.clone().unwrap_or_default();
    let shown = |fact: &workplan_engine::kind::Fact| match &fact.value {
        Some(value) => value.clone(),
        None => format!("sha256:{}", fact.digest.short()).into(),
    };
    ReportStep {
        status,
        kind: view.state.plan.steps[ix].kind.clone(),
        // What was taken back stood as done for a time that says nothing.
        took_ms: (rec.started_ms.zip(rec.ended_ms))
            .filter(|_| rec.state != StepState::Undone)
            .map(|(from, to)| to - from),
        facts: evidence.facts.0.iter().map(|(name, fact)| (name.clone(), shown(fact))).collect(),
        outputs: evidence.outputs.into_iter().collect(),
        weak: evidence.weak,
        person: evidence.person.map(|p| format!("{}: {}", p.who, p.reason)),
        error: rec.last_error().map(|e| e.what.clone()),
    }
}
