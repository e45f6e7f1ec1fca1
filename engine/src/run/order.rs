//! What comes before what: marks become events, and due steps become ready.

use super::decide::Machine;
use super::resolve::Mark;
use super::state::StepState;
use super::{Event, Evidence};
use crate::plan::{Plan, StepIx};

/// Who waits for whom. A step that is not due is passed through: what comes after it still waits
/// for what comes before it, as `needs` says it of the two.
#[derive(Debug, Clone)]
pub(super) struct Order {
    dependents: Vec<Vec<StepIx>>,
    /// Openings of brackets that wait for a step although they do not need it.
    openings: Vec<Vec<StepIx>>,
    /// How many of those that a step waits for are still in its way.
    unmet: Vec<usize>,
    /// It stands in nobody's way any more.
    passed: Vec<bool>,
}

impl Order {
    pub(super) fn new(plan: &Plan) -> Self {
        let count = plan.steps.len();
        Self {
            dependents: plan.dependents(),
            openings: vec![Vec::new(); count],
            unmet: vec![0; count],
            passed: vec![false; count],
        }
    }

    fn reset(&mut self, plan: &Plan) {
        for (step, planned) in plan.steps.iter().enumerate() {
            self.unmet[step] = planned.needs.len();
        }
        self.openings.iter_mut().for_each(Vec::clear);
        self.passed.fill(false);
    }

    /// `opening` begins only after `step` has passed.
    fn wait(&mut self, opening: StepIx, step: StepIx) {
        self.openings[step].push(opening);
        self.unmet[opening] += 1;
    }

    fn undo_waits(&mut self) {
        for waiting in &mut self.openings {
            for opening in waiting.drain(..) {
                self.unmet[opening] -= 1;
            }
        }
    }

    /// Whether every step would come up at last.
    fn has_no_cycle(&self) -> bool {
        let mut unmet = self.unmet.clone();
        let mut stack: Vec<StepIx> = (0..unmet.len()).filter(|s| unmet[*s] == 0).collect();
        let mut seen = 0;
        while let Some(step) = stack.pop() {
            seen += 1;
            for next in self.dependents[step].iter().chain(&self.openings[step]) {
                unmet[*next] -= 1;
                if unmet[*next] == 0 {
                    stack.push(*next);
                }
            }
        }
        seen == unmet.len()
    }
}

impl Machine {
    /// Says what is so and what is not needed, and makes ready what can begin.
    pub(super) fn take_marks(&mut self, plan: &Plan) {
        for step in 0..plan.steps.len() {
            let state = self.state.steps[step].state;
            self.due[step] = self.marks[step].is_due() && state != StepState::Unknown;
            match &self.marks[step] {
                Mark::So(seen) => {
                    let seen = (**seen).clone();
                    self.found_so(step, seen);
                }
                Mark::NotNeeded(why) | Mark::Blocked { why, .. }
                    if state == StepState::Pending && !plan.steps[step].retired =>
                {
                    let reason = why.clone();
                    let blocked = matches!(self.marks[step], Mark::Blocked { .. });
                    self.emit(Event::StepSkipped {
                        step: plan.steps[step].id.clone(),
                        reason,
                        so: false,
                        blocked,
                        evidence: None,
                    });
                }
                _ => {}
            }
        }
        self.order.reset(plan);
        self.hold_back_openings(plan);
        self.ready.clear();
        for step in 0..plan.steps.len() {
            self.come_up(step);
        }
    }

    /// A step that was begun by this run and is so is adopted; any other is passed by.
    pub(super) fn found_so(&mut self, step: StepIx, seen: crate::kind::Observation) {
        let name = self.name(step);
        let rec = &self.state.steps[step];
        let ours = rec.attempts > 0 && !rec.forgotten || rec.state == StepState::Running;
        if ours {
            let evidence = Box::new(Evidence::seen(seen));
            return self.emit(Event::StepAdopted { step: name, evidence });
        }
        let reason = match &seen.record {
            Some(record) => format!("done before: {record}"),
            None => "it is so".to_owned(),
        };
        let evidence = Some(Box::new(Evidence::seen(seen)));
        self.emit(Event::StepSkipped { step: name, reason, so: true, blocked: false, evidence });
    }

    /// A bracket opens only when nothing but its own steps stands between it and its end: the
    /// service must not be down while a gate or a long step outside of it is waited for.
    fn hold_back_openings(&mut self, plan: &Plan) {
        let opening = |b: &&crate::plan::Bracket| self.due[b.open];
        let brackets: Vec<_> = plan.brackets.iter().filter(opening).collect();
        let mut inner = vec![false; if brackets.is_empty() { 0 } else { plan.steps.len() }];
        for bracket in &brackets {
            let own: Vec<StepIx> =
                bracket.inside.iter().copied().chain([bracket.close, bracket.open]).collect();
            own.iter().for_each(|s| inner[*s] = true);
            for step in own.iter().filter(|s| **s != bracket.open) {
                for need in plan.steps[*step].needs.iter().filter(|n| !inner[**n]) {
                    self.order.wait(bracket.open, *need);
                }
            }
            own.iter().for_each(|s| inner[*s] = false);
        }
        // Brackets that cross each other may wait for each other; then their own order must do.
        if brackets.len() > 1 && !self.order.has_no_cycle() {
            self.order.undo_waits();
        }
        for bracket in brackets {
            for step in bracket.inside.iter().chain([&bracket.close]) {
                if self.state.steps[*step].state == StepState::Unknown {
                    self.order.wait(bracket.open, *step);
                }
            }
        }
    }

    /// A step for which nothing has to be waited any more begins, or is passed through.
    fn come_up(&mut self, first: StepIx) {
        let mut stack = vec![first];
        while let Some(step) = stack.pop() {
            if self.order.unmet[step] > 0 || self.order.passed[step] {
                continue;
            }
            if self.due[step] {
                self.ready.insert(step);
            } else if self.state.steps[step].state != StepState::Unknown {
                stack.extend(self.pass(step));
            }
        }
    }

    /// It stands in nobody's way any more; gives those that waited for it.
    fn pass(&mut self, step: StepIx) -> Vec<StepIx> {
        self.order.passed[step] = true;
        let openings = self.order.openings[step].iter();
        let next: Vec<StepIx> =
            self.order.dependents[step].iter().chain(openings).copied().collect();
        for step in &next {
            self.order.unmet[*step] -= 1;
        }
        next
    }

    /// A step is done, adopted or found so.
    pub(super) fn finish_step(&mut self, step: StepIx) {
        self.due[step] = false;
        if self.order.passed[step] || self.order.unmet[step] > 0 {
            // What stands before it (an answer may come early) lets it pass later.
            return;
        }
        for next in self.pass(step) {
            self.come_up(next);
        }
    }
}
