//! Brackets: opened and closed around others, and released or held on every way out.

use std::cmp::Reverse;

use super::decide::{Machine, Mode};
use super::state::StepState;
use super::undo::UndoQueue;
use super::{Ending, Event, Purpose, Timer};
use crate::plan::{Bracket, OnFailure, StepIx};

impl Machine {
    /// A step that opens a bracket was begun, or found so.
    pub(super) fn opened(&mut self, step: StepIx) {
        let plan = self.plan();
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if bracket.open == step && self.state.brackets[ix].open_since_ms.is_none() {
                self.emit(Event::BracketOpened {
                    bracket: bracket.name.clone(),
                    budget_ms: bracket.budget_ms,
                });
                self.wake_budget(ix);
            }
        }
    }

    pub(super) fn wake_budget(&mut self, bracket: usize) {
        if let Some(after_ms) = self.state.plan.brackets[bracket].budget_ms {
            self.wake(Timer::Budget(bracket), after_ms);
        }
    }

    /// A step that closes a bracket is done.
    pub(super) fn closed(&mut self, step: StepIx) {
        let plan = self.plan();
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if bracket.close == step && self.state.brackets[ix].open_since_ms.is_some() {
                self.emit(Event::BracketClosed { bracket: bracket.name.clone() });
            }
        }
    }

    pub(super) fn budget_spent(&mut self, bracket: usize) {
        let plan = self.plan();
        let spec = &plan.brackets[bracket];
        let open = self.state.brackets[bracket].open_since_ms.is_some()
            && self.state.brackets[bracket].releasing.is_none();
        // During the release of another bracket this one is next; its undo must not be ended.
        if !open || matches!(self.mode, Mode::Release(_) | Mode::Undo) {
            return;
        }
        let budget = crate::duration::format(std::time::Duration::from_millis(
            spec.budget_ms.unwrap_or_default(),
        ));
        if let Some(why) = self.why_held(bracket) {
            let why = format!("its budget of {budget} is spent; {why}");
            return self.emit(Event::BracketHeld { bracket: spec.name.clone(), why });
        }
        self.stop_with(
            Ending::Failed,
            format!("the budget of `{}`, {budget}, is spent", spec.name),
        );
        self.stop_all();
    }

    /// What opened a bracket is taken back: the service is there again.
    pub(super) fn bracket_undone(&mut self, step: StepIx) {
        if matches!(self.mode, Mode::Release(_)) {
            return;
        }
        let plan = self.plan();
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if bracket.open == step && self.state.brackets[ix].open_since_ms.is_some() {
                self.emit(Event::BracketClosed { bracket: bracket.name.clone() });
            }
        }
    }

    /// What closed a bracket was done by an attempt whose end was not noted, or by a person.
    pub(super) fn close_what_is_closed(&mut self) {
        let plan = self.plan();
        for ix in self.state.open_brackets().collect::<Vec<_>>() {
            let state = &self.state.brackets[ix];
            if state.releasing.is_none()
                && self.state.steps[plan.brackets[ix].close].state.is_done()
            {
                self.emit(Event::BracketClosed { bracket: plan.brackets[ix].name.clone() });
            }
        }
    }

    /// Ends the run for this process as [`Machine::stop_with`] said it. Before that each open
    /// bracket is released or held, the innermost first: nobody finds the service down in the
    /// morning without a word about it. A step that waits for a person is no reason to leave the
    /// service down: what is inside is taken back then too.
    pub(super) fn leave(&mut self) {
        let plan = self.plan();
        let Some(stop) = self.stop.clone() else { return };
        let left = self.state.open_brackets().filter(|b| !self.held.contains(b));
        let mut left: Vec<usize> = left.collect();
        // What opens later in the plan's order is further in.
        left.sort_by_key(|b| Reverse(plan.brackets[*b].open));
        for bracket in left {
            match self.why_held(bracket) {
                Some(why) => self.hold(bracket, &why),
                None => {
                    let name = plan.brackets[bracket].name.clone();
                    self.emit(Event::BracketReleasing { bracket: name, why: stop.reason });
                    self.undo_tried.clear();
                    self.undo_queue = None;
                    self.mode = Mode::Release(bracket);
                    return;
                }
            }
        }
        let mut ending = stop.ending;
        if ending == Ending::Waiting && self.first_waiting().is_none() {
            // What was waited for is taken back: there is no question left to answer.
            ending = Ending::Failed;
        }
        let notes = std::mem::take(&mut self.notes);
        let reason = std::iter::once(stop.reason).chain(notes).collect::<Vec<_>>().join("; ");
        self.end(ending, reason);
    }

    /// Why a bracket is not released.
    fn why_held(&self, bracket: usize) -> Option<String> {
        let spec = &self.state.plan.brackets[bracket];
        if self.state.is_past_no_return_of(bracket) {
            return Some("the point of no return is passed".to_owned());
        }
        if spec.on_failure == OnFailure::Hold {
            return Some("it is to be held".to_owned());
        }
        // What is inside of a bracket that is held stays as it is, and so does what is around it.
        let nested = |b: &&Bracket| spec.inside.contains(&b.open) || b.inside.contains(&spec.open);
        let other = self.held.iter().map(|b| &self.state.plan.brackets[*b]).find(nested)?;
        Some(format!("`{}` stays open", other.name))
    }

    fn hold(&mut self, bracket: usize, why: &str) {
        let name = self.state.plan.brackets[bracket].name.clone();
        let reason = self.stop.as_ref().map_or("", |s| s.reason.as_str());
        self.notes.push(format!("`{name}` stays open: {why}"));
        self.held.insert(bracket);
        let why = format!("{reason}; {why}");
        self.emit(Event::BracketHeld { bracket: name, why });
    }

    /// What is inside a bracket goes back in reverse, with all that relies on it, then its opening;
    /// `close` never runs.
    pub(super) fn release(&mut self, bracket: usize) {
        if self.in_flight > 0 {
            return;
        }
        if self.is_killed() {
            return self.end(Ending::Interrupted, "stopped at once".to_owned());
        }
        if let Some(why) = self.release_stuck.take() {
            self.hold(bracket, &why);
            return self.leave();
        }
        let queue = self.undo_queue.take();
        let mut queue = queue.unwrap_or_else(|| UndoQueue::release(self, bracket));
        if let Some(step) = queue.next(self) {
            self.undo_queue = Some(queue);
            self.undo_tried.insert(step);
            return self.look(step, Purpose::UndoBefore);
        }
        let plan = self.plan();
        let spec = &plan.brackets[bracket];
        let open = &self.state.steps[spec.open];
        if is_begun(open.state) {
            let why = open.kept.clone().or_else(|| open.reason.clone()).unwrap_or_default();
            let why = format!("`{}` is not taken back: {why}", plan.steps[spec.open].id);
            self.hold(bracket, &why);
            return self.leave();
        }
        self.emit(Event::BracketReleased { bracket: spec.name.clone() });
        self.notes.push(format!("`{}` was released", spec.name));
        self.leave();
    }
}

/// It may have done something that is still there.
fn is_begun(state: StepState) -> bool {
    state.is_done()
        || matches!(
            state,
            StepState::Undoing | StepState::UndoFailed | StepState::Running | StepState::Unknown
        )
}
