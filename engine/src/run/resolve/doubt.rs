//! What a step that acts makes doubtful.

use super::blocked::held;
use super::{Knowledge, Mark, Resolver};
use crate::kind::{Class, Observation, Seen};
use crate::plan::{Plan, StepIx};

impl Resolver {
    /// A step that is so reads what others write: it is so only if they are.
    pub(super) fn visit_sources(&mut self, plan: &Plan, know: &dyn Knowledge, step: StepIx) {
        if self.only.is_some() || !matches!(self.marks[step], Mark::So(_)) {
            return;
        }
        for source in &plan.steps[step].sources {
            if !self.visited[*source] {
                self.casual.insert(*source);
                self.visit(plan, know, *source);
            }
        }
        let acts = |s: &&StepIx| self.marks[**s].is_due() && !self.asking.contains(*s);
        if let Some(source) = plan.steps[step].sources.iter().find(acts) {
            self.outdated(plan, know, step, *source);
        }
    }

    /// The later step of this plan that has to settle why a step is not so any more, and the record
    /// that it was so.
    pub(super) fn superseded(
        &self,
        plan: &Plan,
        know: &dyn Knowledge,
        step: StepIx,
        seen: &Observation,
    ) -> Option<(StepIx, String)> {
        let later = plan.steps[step].superseded_by?;
        let differs = matches!(seen.seen, Seen::Absent | Seen::Half(_)) && !seen.not_looked;
        if !differs || self.only.is_some() || held(plan, later).is_some() {
            return None;
        }
        // One that nobody asks for settles nothing now; done before, it has.
        let asked = match &self.task {
            Some(task) => plan.tasks[plan.steps[later].task].id == *task,
            None => true,
        };
        if !asked && know.done_before(later).is_none() {
            return None;
        }
        Some((later, know.done_before(step)?))
    }

    /// A step is due and asks nobody: what was seen of those after it may not hold.
    pub(super) fn doubt(&mut self, plan: &Plan, know: &dyn Knowledge, step: StepIx) {
        for later in self.doubts[step].clone() {
            if matches!(self.marks[later], Mark::So(_)) {
                self.outdated(plan, know, later, step);
            }
        }
        self.overwrite(plan, know, step);
    }

    /// A proof that stands, or a step that is so, but not any more once `need` has acted.
    pub(super) fn outdated(
        &mut self,
        plan: &Plan,
        know: &dyn Knowledge,
        step: StepIx,
        need: StepIx,
    ) {
        let seen = match std::mem::replace(&mut self.marks[step], Mark::Deferred) {
            Mark::So(seen) => Some(*seen),
            _ => None,
        };
        let by = &plan.steps[need].id;
        let why = match plan.steps[step].class {
            Class::Proof => format!("what it proves changes with `{by}`"),
            _ if self.overwritten[step] == Some(need) => {
                format!("`{by}` comes first and changes the same")
            }
            _ => format!("what it reads changes with `{by}`"),
        };
        self.due(plan, know, step, why, seen);
    }

    /// What a step changes that acts is not seen by later steps that change it too: that they are
    /// so now (a service is down, for another outage) says nothing of when their turn comes.
    ///
    /// Each step is told once, by whoever comes first: a file that 100,000 steps change costs no
    /// more than its length. The end of a bracket that stays shut is left out: the outage of another
    /// one is not its business.
    fn overwrite(&mut self, plan: &Plan, know: &dyn Knowledge, writer: StepIx) {
        let mut stack = self.rewrites[writer].clone();
        while let Some(step) = stack.pop() {
            if self.overwritten[step].is_some() {
                continue;
            }
            self.overwritten[step] = Some(writer);
            stack.extend(&self.rewrites[step]);
            if matches!(self.marks[step], Mark::So(_)) && !self.alone.contains(&step) {
                self.outdated(plan, know, step, writer);
            }
        }
    }
}
