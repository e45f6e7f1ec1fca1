//! What `explain --json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use workplan_engine::journal::StateDir;

use super::StatusStep;
use crate::view::RunView;

/// All that is known about a step of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainDocument {
    /// `workplan/explain/v1`.
    schema: &'static str,
    /// The run.
    run: String,
    /// Where the step is.
    step: StatusStep,
    /// Its kind.
    kind: String,
    /// Its parameters. Secrets are references.
    with: Value,
    /// The steps that it comes after.
    needs: Vec<String>,
    /// The steps that come after it.
    needed_by: Vec<String>,
    /// The brackets that it is a part of.
    brackets: Vec<String>,
    /// What comes after it cannot be taken back without loss.
    point_of_no_return: bool,
    /// What proves it, as the journal has it.
    evidence: Value,
    /// The last error, as the journal has it.
    error: Value,
}

impl ExplainDocument {
    /// Of a step.
    pub(crate) fn new(dir: &StateDir, view: &RunView, ix: usize) -> Self {
        let plan = &view.state.plan;
        let step = &plan.steps[ix];
        let rec = &view.state.steps[ix];
        let name = |ix: &usize| plan.steps[*ix].id.clone();
        let json = |value: Result<Value, serde_json::Error>| value.unwrap_or(Value::Null);
        Self {
            schema: "workplan/explain/v1",
            run: view.id().to_owned(),
            step: StatusStep::new(dir, view, ix),
            kind: step.kind.clone(),
            with: Value::Object(step.with.0.clone()),
            needs: step.needs.iter().map(name).collect(),
            needed_by: plan.dependents()[ix].iter().map(name).collect(),
            brackets: plan
                .brackets
                .iter()
                .filter(|b| b.open == ix || b.close == ix || b.inside.contains(&ix))
                .map(|b| b.name.clone())
                .collect(),
            point_of_no_return: step.point_of_no_return,
            evidence: json(serde_json::to_value(&rec.evidence)),
            error: json(serde_json::to_value(rec.last_error())),
        }
    }
}
