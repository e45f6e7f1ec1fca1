//! What cannot run now: it waits for a person, or for what waits for one.

use super::{Mark, Resolver};
use crate::document::TaskStatus;
use crate::plan::{Plan, StepIx};

impl Resolver {
    /// What needs a person, or a blocked step, is blocked as well. What can be done without is
    /// done: the needs of a blocked step are due all the same.
    pub(super) fn block(&mut self, plan: &Plan) {
        for step in 0..self.marks.len() {
            if self.marks[step].is_due()
                && let Some(mark) = waits_for_people(plan, step)
            {
                self.marks[step] = mark;
            }
        }
        loop {
            if self.only.is_none() {
                self.block_dependents(plan);
            }
            if !self.block_brackets(plan) {
                return;
            }
        }
    }

    fn block_dependents(&mut self, plan: &Plan) {
        // The plan's order is the order of needs: one pass is enough.
        for step in 0..self.marks.len() {
            if !self.marks[step].is_due() {
                continue;
            }
            let blocker = plan.steps[step].needs.iter().find_map(|n| match &self.marks[*n] {
                Mark::Blocked { why, .. } => Some((*n, why.clone())),
                _ => None,
            });
            if let Some((need, why)) = blocker {
                let why = format!("it needs `{}`: {why}", plan.steps[need].id);
                self.marks[step] = Mark::Blocked { why, waits: true };
            }
        }
    }

    /// A bracket must not open when it cannot close, and nothing inside runs when it cannot open.
    fn block_brackets(&mut self, plan: &Plan) -> bool {
        let mut changed = false;
        for bracket in &plan.brackets {
            let all = || bracket.inside.iter().chain([&bracket.open, &bracket.close]);
            let stuck = all().find_map(|s| match &self.marks[*s] {
                Mark::Blocked { why, .. } => Some((*s, why.clone())),
                _ => None,
            });
            let Some((at, why)) = stuck else { continue };
            for step in all() {
                if self.marks[*step].is_due() {
                    let why = format!(
                        "`{}` could not open and close: `{}`: {why}",
                        bracket.name, plan.steps[at].id
                    );
                    self.marks[*step] = Mark::Blocked { why, waits: true };
                    changed = true;
                }
            }
        }
        changed
    }
}

/// The mark of a step whose task's status forbids it.
pub(super) fn held(plan: &Plan, step: StepIx) -> Option<Mark> {
    let task = &plan.tasks[plan.steps[step].task];
    let why = format!("task `{}` is {}", task.id, task.status.as_str());
    task.is_held().then_some(Mark::Blocked { why, waits: false })
}

/// The mark of a step that comes after a person's task which is not done.
fn waits_for_people(plan: &Plan, step: StepIx) -> Option<Mark> {
    let people = &plan.steps[step].needs_people;
    let person =
        &plan.tasks[*people.iter().find(|t| plan.tasks[**t].status != TaskStatus::Done)?];
    let why =
        format!("it needs `{}`, a person's task that is {}", person.id, person.status.as_str());
    Some(Mark::Blocked { why, waits: true })
}
