//! What is on record: the past of a step, and the outputs that others refer to.

use super::Purpose;
use super::decide::Machine;
use super::state::{INTERRUPTED, StepState, UNDO_INTERRUPTED};
use crate::kind::{Class, ErrorCause, Past};
use crate::plan::{Reference, StepIx, Template};

impl Machine {
    /// What is on record of a step, for a look with this purpose.
    #[must_use]
    pub fn past(&self, step: StepIx, purpose: &Purpose) -> Past {
        let rec = &self.state.steps[step];
        let going_back = matches!(purpose, Purpose::UndoBefore | Purpose::UndoRepaired);
        let interrupted = |why: &str| {
            Past::Interrupted(rec.interruption.clone().unwrap_or_else(|| why.to_owned()))
        };
        if *purpose == Purpose::UndoAfter {
            return Past::Never;
        }
        match rec.state {
            StepState::UndoFailed if rec.interruption.is_some() => interrupted(INTERRUPTED),
            // An undo that failed may be tried again, but what it left is not known.
            StepState::UndoFailed if !going_back => Past::Interrupted("its undo failed".to_owned()),
            StepState::Done | StepState::Adopted | StepState::UndoFailed => Past::Succeeded {
                record: format!("run {}", self.state.run),
                outputs: rec.evidence.as_ref().map(|e| e.outputs.clone()).unwrap_or_default(),
            },
            StepState::Running | StepState::Unknown => interrupted(INTERRUPTED),
            StepState::Undoing => interrupted(UNDO_INTERRUPTED),
            _ if rec.forgotten => Past::Never,
            StepState::Failed | StepState::Pending | StepState::Skipped | StepState::Waiting
                if rec.attempts > 0 =>
            {
                match &rec.error {
                    Some(error)
                        if matches!(error.cause, ErrorCause::TimedOut | ErrorCause::Cancelled) =>
                    {
                        Past::Interrupted(error.what.clone())
                    }
                    _ => Past::Failed,
                }
            }
            _ if self.is_outdated(step) => Past::Never,
            _ => self.options.past.get(&step).cloned().unwrap_or(Past::Never),
        }
    }

    /// A proof of an earlier run says nothing about what this run has made: a backup of now is not
    /// known to restore because the last one was.
    fn is_outdated(&self, step: StepIx) -> bool {
        let planned = &self.state.plan.steps[step];
        let acted = |before: &StepIx| {
            let rec = &self.state.steps[*before];
            let changes = self.state.plan.steps[*before].class != Class::Proof;
            changes && rec.attempts > 0 && rec.state.is_done() && !rec.forgotten
        };
        planned.class == Class::Proof && planned.needs.iter().chain(&planned.sources).any(acted)
    }

    /// The value of an output, where it is known.
    #[must_use]
    pub fn output(&self, step: StepIx, name: &str) -> Option<serde_json::Value> {
        let rec = &self.state.steps[step];
        if rec.forgotten {
            return None;
        }
        if let Some(value) = rec.evidence.as_ref().and_then(|e| e.outputs.get(name)) {
            return Some(value.clone());
        }
        if let Some(Past::Succeeded { outputs, .. }) = self.options.past.get(&step)
            && let Some(value) = outputs.get(name)
        {
            return Some(value.clone());
        }
        self.seen_outputs.get(&step)?.get(name).cloned()
    }

    /// Whether all outputs that a step's parameters refer to are known.
    pub(super) fn outputs_known(&self, step: StepIx) -> bool {
        let mut known = true;
        let planned = &self.state.plan.steps[step];
        for value in planned.with.0.values() {
            known &= self.value_known(planned.task, value);
        }
        known
    }

    fn value_known(&self, task: usize, value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) if text.contains("${{") => {
                Template::parse(text).ok().is_none_or(|t| {
                    t.references().all(|(r, _)| match r {
                        Reference::Output(step, name) => {
                            self.find(task, step).is_some_and(|ix| self.output(ix, name).is_some())
                        }
                        _ => true,
                    })
                })
            }
            serde_json::Value::Array(items) => items.iter().all(|v| self.value_known(task, v)),
            serde_json::Value::Object(map) => map.values().all(|v| self.value_known(task, v)),
            _ => true,
        }
    }

    /// The step that a reference in a step of `task` names.
    #[must_use]
    pub fn find(&self, task: usize, name: &str) -> Option<StepIx> {
        let own = &self.state.plan.tasks[task].id;
        self.state.step(&format!("{own}.{name}")).or_else(|| self.state.step(name))
    }
}
