//! A plan: typed steps, their order, and what they prove.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

use super::graph::Graph;
use super::policy::PlanDemand;
use crate::digest::Digest;
use crate::document::TaskStatus;
use crate::kind::{Class, Place, With};

/// Index of a step in [`Plan::steps`].
pub type StepIx = usize;
/// Index of a task in [`Plan::tasks`].
pub type TaskIx = usize;

/// A resolved plan. What the journal keeps of it is this, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The workplan.
    pub workplan: WorkplanRef,
    /// Where it happens.
    pub target: TargetRef,
    /// The tasks in the order of the file. Steps that stand outside of any task belong to a task
    /// with an empty id.
    pub tasks: Vec<PlanTask>,
    /// The steps; each after all that it needs.
    pub steps: Vec<PlanStep>,
    /// The brackets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brackets: Vec<Bracket>,
    /// What must be so before anything starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<PlanPrecondition>,
    /// Proofs without which the workplan is not finished, from the policies that it is held to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<PlanDemand>,
}

/// Which workplan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkplanRef {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The file, as an absolute path.
    pub path: PathBuf,
}

/// Which target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRef {
    /// Its name: the target file's, or `local` for the implicit one.
    pub name: String,
    /// `local` or `kubernetes`.
    pub kind: String,
    /// What makes it this one and no other.
    pub identity: String,
    /// Whether this is the workplan's target of record.
    pub of_record: bool,
    /// Whether people depend on it.
    #[serde(default)]
    pub live: bool,
    /// Whether no target was given.
    #[serde(default)]
    pub implicit: bool,
    /// Environment variables that its secret references name; no child gets them unasked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<String>,
    /// The folder that relative paths in the target file start from: the one that holds `targets/`,
    /// else the file's own. Empty for the implicit target.
    #[serde(default)]
    pub folder: PathBuf,
    /// The values of the target file. Passwords in them are references.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
}

impl TargetRef {
    /// The target as kinds see it.
    #[must_use]
    pub fn place(&self) -> Place {
        let mut place = Place::new(&self.name, &self.kind, &self.identity);
        place.live = self.live;
        place.folder.clone_from(&self.folder);
        place.values.clone_from(&self.values);
        place
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTask {
    /// The short id, for example `T01`; empty for steps outside of tasks.
    pub id: String,
    /// The full id.
    pub full_id: String,
    /// The title.
    pub title: String,
    /// The status in the Markdown when the plan was made.
    pub status: TaskStatus,
    /// Its steps.
    pub steps: Vec<StepIx>,
    /// The tasks it comes after.
    pub needs: Vec<TaskIx>,
    /// What "Done when" asks for.
    pub clauses: Vec<PlanClause>,
}

impl PlanTask {
    /// Whether its status forbids its steps.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.status, TaskStatus::Blocked | TaskStatus::Cancelled)
    }
}

/// An acceptance clause and the steps that prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanClause {
    /// The clause.
    pub text: String,
    /// The steps bound to it.
    pub steps: Vec<StepIx>,
}

/// How often an attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first.
    pub max: u32,
    /// The wait before the first of them, in milliseconds; it doubles each time, up to 5 minutes.
    pub backoff_ms: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// The full name: `T02.copy`, or `copy` outside of tasks.
    pub id: String,
    /// Its task.
    pub task: TaskIx,
    /// Its kind.
    pub kind: String,
    /// What "already done" means for it.
    pub class: Class,
    /// Its parameters; references to outputs of other steps still stand in them.
    pub with: With,
    /// The steps it comes after.
    pub needs: Vec<StepIx>,
    /// The person's tasks (without steps) that must be done before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_people: Vec<TaskIx>,
    /// The deadline of one attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Further attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The steps whose result must still stand when this one begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<StepIx>,
    /// The steps before it that give or last change what it reads: whose outputs it uses, and who
    /// writes a resource that it reads. That it is so says something only while they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<StepIx>,
    /// The steps before it that last change what it changes as well. That it is so says nothing
    /// once they act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overwrites: Vec<StepIx>,
    /// The last of the later steps that bring about the same from what a step in between changes:
    /// once this one was done, a difference is that one's to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<StepIx>,
    /// What comes after it cannot be taken back without loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub point_of_no_return: bool,
    /// Runs in every run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
    /// It is gone from the workplan; what it did in this run can still be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Whether it proves a clause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proves: bool,
    /// Digest of kind and parameters: what the step means, wherever it stands.
    pub meaning: Digest,
}

impl PlanStep {
    /// The deadline of one attempt.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

/// What happens to an open bracket when something in it fails or its budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// What is inside is taken back, then the opening itself.
    Release,
    /// It stays open for a person.
    Hold,
}

/// An outage: opened before and closed after the steps inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    /// Its name.
    pub name: String,
    /// The step that opens it.
    pub open: StepIx,
    /// The step that closes it.
    pub close: StepIx,
    /// What needs `open` and is needed by `close`.
    pub inside: Vec<StepIx>,
    /// How long it may be open, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u64>,
    /// What to do on failure or expiry.
    pub on_failure: OnFailure,
    /// A question that must be approved before it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
}

/// A line of the workplan's own list, bound to a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanPrecondition {
    /// The line.
    pub text: String,
    /// The kind of the check.
    pub kind: String,
    /// Its parameters.
    pub with: With,
}

impl Plan {
    /// The step of a full name.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<StepIx> {
        self.steps.iter().position(|s| s.id == id)
    }

    /// Digest of all that the plan means: steps, what they need, brackets, clauses and target.
    /// Statuses, dates, titles, comments, blanks and the order in the files do not count; of a
    /// status only whether it keeps the task's steps from running.
    #[must_use]
    pub fn meaning(&self) -> Digest {
        let name = |ix: &StepIx| self.steps[*ix].id.clone();
        let names = |list: &[StepIx]| {
            let mut names: Vec<String> = list.iter().map(name).collect();
            names.sort();
            names
        };
        let mut steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| {
                json!([
                    s.id,
                    s.meaning,
                    names(&s.needs),
                    names(&s.holds),
                    s.point_of_no_return,
                    s.always,
                    s.timeout_ms,
                    s.retry,
                    s.needs_people
                        .iter()
                        .map(|t| self.tasks[*t].full_id.clone())
                        .collect::<Vec<_>>(),
                ])
            })
            .collect();
        let mut brackets: Vec<Value> = self
            .brackets
            .iter()
            .map(|b| {
                json!([b.name, name(&b.open), name(&b.close), b.budget_ms, b.on_failure, b.gate])
            })
            .collect();
        let mut tasks: Vec<Value> = self
            .tasks
            .iter()
            .map(|t| {
                let clauses: Vec<Value> = t
                    .clauses
                    .iter()
                    .map(|c| json!([crate::document::Clause::key(&c.text), names(&c.steps)]))
                    .collect();
                json!([t.full_id, t.is_held(), clauses])
            })
            .collect();
        let mut preconditions: Vec<Value> = self
            .preconditions
            .iter()
            .map(|p| json!([crate::document::Clause::key(&p.text), p.kind, p.with]))
            .collect();
        for list in [&mut steps, &mut brackets, &mut tasks, &mut preconditions] {
            list.sort_by_cached_key(crate::digest::canonical);
        }
        Digest::of_json(&json!({
            "workplan": self.workplan.id,
            "target": [self.target.kind, self.target.identity, self.target.of_record, self.target.live],
            "tasks": tasks,
            "steps": steps,
            "brackets": brackets,
            "preconditions": preconditions,
        }))
    }

    /// Its steps and what they need.
    #[must_use]
    pub fn graph(&self) -> Graph {
        let needs: Vec<Vec<StepIx>> = self.steps.iter().map(|s| s.needs.clone()).collect();
        Graph::new(&needs)
    }

    /// For each step, the steps that need it.
    #[must_use]
    pub fn dependents(&self) -> Vec<Vec<StepIx>> {
        let mut out = vec![Vec::new(); self.steps.len()];
        for (ix, step) in self.steps.iter().enumerate() {
            for need in &step.needs {
                out[*need].push(ix);
            }
        }
        out
    }
}
