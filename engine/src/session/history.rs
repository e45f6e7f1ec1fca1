//! What is on record of each step from earlier runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::SessionError;
use super::evidence_file;
use super::select;
use crate::document::TaskStatus;
use crate::journal::{Journal, RunFilter};
use crate::kind::Past;
use crate::plan::{Plan, StepIx};
use crate::run::{Event, StepState};

/// Records by step, and the steps that were changed or added since the last finished run.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) past: HashMap<StepIx, Past>,
    pub(super) edited: BTreeSet<StepIx>,
    /// Milliseconds that a step with this meaning took in the last run that finished.
    pub(super) took_ms: HashMap<StepIx, u64>,
}

/// Reads the records of earlier runs of this workplan on this target. Where the journal knows of
/// none (a fresh clone), committed evidence of finished tasks stands in.
pub(super) fn load(journal: Option<&Journal>, plan: &Plan) -> Result<History, SessionError> {
    let mut history = History::default();
    let runs = match journal {
        Some(journal) => journal.runs(&RunFilter {
            workplan: Some(plan.workplan.id.clone()),
            target: Some(plan.target.identity.clone()),
            ..RunFilter::default()
        })?,
        None => Vec::new(),
    };
    let Some(journal) = journal.filter(|_| !runs.is_empty()) else {
        history.past = committed(plan);
        return Ok(history);
    };
    for (ix, step) in plan.steps.iter().enumerate() {
        let row = journal.history(
            &plan.target.identity,
            &plan.workplan.id,
            step.meaning.as_str(),
            &step.id,
        )?;
        let Some(row) = row else { continue };
        let record = format!("run {}", row.run);
        let past = match row.outcome.as_str() {
            "done" => Past::Succeeded { record, outputs: outputs(journal, row.seq)? },
            "failed" => Past::Failed,
            "begun" => Past::Interrupted(format!("{record} was interrupted in it")),
            "unknown" => Past::Interrupted(format!("{record} could not tell what it did")),
            _ => continue,
        };
        history.past.insert(ix, past);
    }
    if let Some(last) = runs.iter().find(|r| r.state == "succeeded") {
        let state = select::load_run(journal, &last.run)?;
        history.took_ms = took(&state, plan);
        if state.asked.is_none() {
            history.edited = edited(&state, plan);
        }
    }
    Ok(history)
}

/// Steps that a finished run did not have, or had with another meaning.
fn edited(last: &crate::run::RunState, plan: &Plan) -> BTreeSet<StepIx> {
    (0..plan.steps.len())
        .filter(|ix| {
            let step = &plan.steps[*ix];
            match last.step(&step.id) {
                None => true,
                Some(at) => {
                    last.plan.steps[at].meaning != step.meaning
                        && last.steps[at].state != StepState::Undone
                }
            }
        })
        .collect()
}

fn took(last: &crate::run::RunState, plan: &Plan) -> HashMap<StepIx, u64> {
    let took = |step: &crate::plan::PlanStep| {
        let at = last.step(&step.id).filter(|at| last.plan.steps[*at].meaning == step.meaning)?;
        let rec = &last.steps[at];
        let (from, to) = (rec.started_ms?, rec.ended_ms?);
        u64::try_from(to - from).ok().filter(|_| rec.state == StepState::Done)
    };
    plan.steps.iter().enumerate().filter_map(|(ix, s)| Some((ix, took(s)?))).collect()
}

fn outputs(
    journal: &Journal,
    seq: u64,
) -> Result<BTreeMap<String, serde_json::Value>, SessionError> {
    let Some(stored) = journal.event(seq)? else { return Ok(BTreeMap::new()) };
    Ok(match select::decode(&stored)? {
        Event::StepDone { evidence, .. } | Event::StepAdopted { evidence, .. } => evidence.outputs,
        _ => BTreeMap::new(),
    })
}

/// Evidence that was committed beside the workplan, for tasks that say `done`. Without it such a
/// task is only a claim, as far as nothing can be looked at.
fn committed(plan: &Plan) -> HashMap<StepIx, Past> {
    let mut past = HashMap::new();
    if plan.tasks.iter().all(|t| t.status != TaskStatus::Done) {
        return past;
    }
    let evidence = evidence_file::accepted(plan);
    for (ix, step) in plan.steps.iter().enumerate() {
        if plan.tasks[step.task].status != TaskStatus::Done {
            continue;
        }
        let key = (step.id.clone(), step.meaning.to_string());
        past.insert(
            ix,
            match evidence.get(&key) {
                Some((file, outputs)) => {
                    Past::Succeeded { record: format!("evidence/{file}"), outputs: outputs.clone() }
                }
                None => Past::Claimed,
            },
        );
    }
    past
}
