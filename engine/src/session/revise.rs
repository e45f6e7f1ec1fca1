//! What an edit of the sources between run and resume did: only what it touches is affected.

use std::collections::{HashMap, HashSet};

use crate::plan::{Plan, StepIx};
use crate::run::{RunState, StepRevision, StepState};

/// The plan to go on with, and what changed; `None` where the meaning is the same.
pub(super) fn revise(state: &RunState, fresh: &Plan) -> Option<(Plan, Vec<StepRevision>)> {
    let old = &state.plan;
    // A status means something here where it is all that is known of a task.
    let claims = |plan: &Plan| -> Vec<(String, crate::document::TaskStatus)> {
        let people = plan.tasks.iter().filter(|t| t.steps.is_empty());
        people.map(|t| (t.full_id.clone(), t.status)).collect()
    };
    let same = old.steps.iter().all(|s| !s.retired)
        && old.meaning() == fresh.meaning()
        && claims(old) == claims(fresh);
    if same {
        return None;
    }
    let mut plan = fresh.clone();
    let mut revisions = Vec::new();
    let now: HashMap<&str, StepIx> =
        fresh.steps.iter().enumerate().map(|(ix, s)| (s.id.as_str(), ix)).collect();
    let before: HashMap<&str, StepIx> =
        old.steps.iter().enumerate().map(|(ix, s)| (s.id.as_str(), ix)).collect();
    let renamed = renames(old, fresh, &now, &before);
    let gone_by_rename: HashSet<&str> = renamed.values().map(String::as_str).collect();
    for (ix, step) in fresh.steps.iter().enumerate() {
        match before.get(step.id.as_str()) {
            Some(at) if !old.steps[*at].retired => {
                if old.steps[*at].meaning == step.meaning {
                    continue;
                }
                let kept = state.steps[*at].state.is_done().then(|| {
                    let kept = retired_name(&step.id, &before);
                    retire(&mut plan, old, *at, &kept, &now, &renamed);
                    kept
                });
                revisions.push(StepRevision::Changed { step: step.id.clone(), kept });
            }
            _ => match renamed.get(&ix) {
                Some(from) => revisions
                    .push(StepRevision::Renamed { from: from.clone(), to: step.id.clone() }),
                None => revisions.push(StepRevision::Added { step: step.id.clone() }),
            },
        }
    }
    for (at, step) in old.steps.iter().enumerate() {
        let id = step.id.as_str();
        let still_there = now.contains_key(id) && !step.retired;
        if still_there || gone_by_rename.contains(id) {
            continue;
        }
        let rec = &state.steps[at];
        let matters = rec.state.is_done()
            || matches!(
                rec.state,
                StepState::Running
                    | StepState::Unknown
                    | StepState::Undoing
                    | StepState::UndoFailed
            );
        if matters {
            retire(&mut plan, old, at, id, &now, &renamed);
        }
        if !step.retired {
            revisions.push(StepRevision::Removed { step: step.id.clone() });
        }
    }
    Some((plan, revisions))
}

/// New steps that mean exactly what one vanished step meant: the same work under another name.
fn renames(
    old: &Plan,
    fresh: &Plan,
    now: &HashMap<&str, StepIx>,
    before: &HashMap<&str, StepIx>,
) -> HashMap<StepIx, String> {
    let mut vanished: HashMap<&str, Vec<StepIx>> = HashMap::new();
    for (ix, step) in old.steps.iter().enumerate() {
        if !step.retired && !now.contains_key(step.id.as_str()) {
            vanished.entry(step.meaning.as_str()).or_default().push(ix);
        }
    }
    let mut new: HashMap<&str, Vec<StepIx>> = HashMap::new();
    for (ix, step) in fresh.steps.iter().enumerate() {
        if !before.contains_key(step.id.as_str()) {
            new.entry(step.meaning.as_str()).or_default().push(ix);
        }
    }
    new.into_iter()
        .filter_map(|(meaning, list)| match (&list[..], vanished.get(meaning).map(Vec::as_slice)) {
            // Two of a kind could be either: then nothing is guessed.
            ([to], Some([from])) => Some((*to, old.steps[*from].id.clone())),
            _ => None,
        })
        .collect()
}

/// A name for an old meaning that no step has.
fn retired_name(id: &str, before: &HashMap<&str, StepIx>) -> String {
    (1..)
        .map(|n| format!("{id}@{n}"))
        .find(|name| !before.contains_key(name.as_str()))
        .unwrap_or_else(|| id.to_owned())
}

/// Puts an old step at the end of the plan, so that it can be taken back.
fn retire(
    plan: &mut Plan,
    old: &Plan,
    at: StepIx,
    name: &str,
    now: &HashMap<&str, StepIx>,
    renamed: &HashMap<StepIx, String>,
) {
    let mut step = old.steps[at].clone();
    step.id = name.to_owned();
    step.retired = true;
    step.proves = false;
    let place = |ix: &StepIx| {
        let id = old.steps[*ix].id.as_str();
        now.get(id)
            .copied()
            .or_else(|| renamed.iter().find(|(_, from)| *from == id).map(|(to, _)| *to))
    };
    step.needs = step.needs.iter().filter_map(place).collect();
    step.holds = Vec::new();
    step.needs_people = Vec::new();
    let task = &old.tasks[step.task].id;
    step.task = plan.tasks.iter().position(|t| t.id == *task).unwrap_or(0);
    if plan.tasks.is_empty() {
        plan.tasks.push(old.tasks[old.steps[at].task].clone());
        plan.tasks[0].steps.clear();
    }
    plan.steps.push(step);
}
