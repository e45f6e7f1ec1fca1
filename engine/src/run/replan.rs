//! A plan that was edited between run and resume.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::StepRevision;
use super::state::{BracketState, RunState, StepRec, index};
use crate::plan::{Plan, StepIx};

impl RunState {
    /// Carries the records over to an edited plan.
    pub(super) fn replan(&mut self, plan: &Plan, revisions: &[StepRevision]) {
        let old = std::mem::take(&mut self.index);
        let mut records: Vec<Option<StepRec>> =
            std::mem::take(&mut self.steps).into_iter().map(Some).collect();
        let mut source: HashMap<&str, String> = HashMap::new();
        let mut fresh: Vec<&str> = Vec::new();
        for revision in revisions {
            match revision {
                StepRevision::Renamed { from, to } => {
                    source.insert(to, from.clone());
                }
                StepRevision::Changed { step, kept: Some(kept) } => {
                    source.insert(kept, step.clone());
                    fresh.push(step);
                }
                _ => {}
            }
        }
        // Kept old meanings take their record first; the changed step then starts without one.
        let mut next: Vec<StepRec> = vec![StepRec::default(); plan.steps.len()];
        let mut order: Vec<StepIx> = (0..plan.steps.len()).collect();
        order.sort_by_key(|ix| !plan.steps[*ix].retired);
        for ix in order {
            let id = plan.steps[ix].id.as_str();
            if fresh.contains(&id) {
                continue;
            }
            let from = source.get(id).map_or(id, String::as_str);
            if let Some(rec) = old.get(from).and_then(|at| records[*at].take()) {
                next[ix] = rec;
            }
        }
        self.steps = next;
        let mut brackets = vec![BracketState::default(); plan.brackets.len()];
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if let Some(at) = self.bracket(&bracket.name) {
                brackets[ix] = self.brackets[at].clone();
            }
        }
        self.brackets = brackets;
        self.plan = Arc::new(plan.clone());
        self.index = index(plan);
    }
}
