//! Going back: rollback of a run, and release of a bracket.

use super::decide::{Machine, Mode};
use super::state::{Direction, StepState};
use super::{Action, Ending, Event, Purpose, Sight};
use crate::kind::{ErrorCause, Observation, Seen, StepError, UndoPlan};
use crate::plan::StepIx;

impl Machine {
    /// One step of a rollback at a time, in reverse order of completion.
    pub(super) fn undo_next(&mut self) {
        if self.in_flight > 0 {
            return;
        }
        if let Some((ending, reason)) = self.stopping() {
            return self.end(ending, reason);
        }
        let after = match &self.state.direction {
            Direction::Back { to: Some(to) } => {
                self.state.step(to).map_or(0, |ix| self.state.steps[ix].done_order)
            }
            _ => 0,
        };
        let candidates: Vec<StepIx> = (0..self.state.steps.len())
            .filter(|ix| self.state.steps[*ix].done_order > after)
            .collect();
        if let Some(step) = self.next_to_undo(&candidates) {
            return self.look(step, Purpose::UndoBefore);
        }
        let (ending, reason) = self.rollback_ending(&candidates);
        self.end(ending, reason);
    }

    /// The step that was completed last among those that still stand and that nothing standing
    /// relies on.
    fn next_to_undo(&mut self, candidates: &[StepIx]) -> Option<StepIx> {
        let mut order: Vec<StepIx> = candidates
            .iter()
            .copied()
            .filter(|ix| !self.undo_tried.contains(ix) && self.stands(*ix))
            .collect();
        order.sort_by_key(|ix| std::cmp::Reverse(self.state.steps[*ix].done_order));
        let dependents = self.state.plan.dependents();
        let step = order
            .into_iter()
            .find(|ix| !dependents[*ix].iter().any(|d| self.stands_in_the_way(*d)))?;
        self.undo_tried.insert(step);
        Some(step)
    }

    /// It is done, or its undo did not come to an end.
    fn stands(&self, step: StepIx) -> bool {
        let rec = &self.state.steps[step];
        rec.kept.is_none()
            && (rec.state.is_done()
                || matches!(rec.state, StepState::Undoing | StepState::UndoFailed))
    }

    fn stands_in_the_way(&self, step: StepIx) -> bool {
        self.stands(step)
            || matches!(self.state.steps[step].state, StepState::Unknown | StepState::Running)
    }

    fn rollback_ending(&self, candidates: &[StepIx]) -> (Ending, String) {
        let name = |ix: &StepIx| self.state.plan.steps[*ix].id.clone();
        let with = |states: &[StepState]| {
            (0..self.state.steps.len())
                .filter(|ix| states.contains(&self.state.steps[*ix].state))
                .map(|ix| name(&ix))
                .collect::<Vec<_>>()
        };
        let failed = with(&[StepState::UndoFailed]);
        if !failed.is_empty() {
            let reason = format!("`{}` could not be taken back", failed.join("`, `"));
            return (Ending::RollbackIncomplete, reason);
        }
        let unknown = with(&[StepState::Unknown, StepState::Running, StepState::Undoing]);
        if let Some(first) = unknown.first() {
            let why = self
                .state
                .step(first)
                .and_then(|ix| self.state.steps[ix].reason.clone())
                .unwrap_or_default();
            return (Ending::Waiting, format!("`{first}` cannot be told: {why}"));
        }
        let kept: Vec<String> = candidates
            .iter()
            .filter(|ix| {
                self.state.steps[**ix].kept.is_some() && self.state.steps[**ix].state.is_done()
            })
            .filter(
                |ix| !matches!(self.state.steps[**ix].kept.as_deref(), Some(why) if why == NOTHING),
            )
            .map(name)
            .collect();
        if kept.is_empty() {
            (Ending::RolledBack, "all is taken back".to_owned())
        } else {
            let reason = format!("taken back; `{}` had no way back and stays", kept.join("`, `"));
            (Ending::RolledBack, reason)
        }
    }

    pub(super) fn seen_before_undo(&mut self, step: StepIx, sight: Sight, repaired: bool) {
        // A cancel ends a rollback after the current step, but it is what a release is for.
        let cancelled = self.stopping().is_some_and(|(e, _)| e == Ending::Interrupted);
        if cancelled && !matches!(self.mode, Mode::Release(_)) {
            return;
        }
        let name = self.name(step);
        match sight.undo {
            UndoPlan::Can(_) => {}
            UndoPlan::NotNeeded => {
                return self.emit(Event::UndoSkipped { step: name, why: NOTHING.to_owned() });
            }
            UndoPlan::Cannot(why) => return self.emit(Event::UndoSkipped { step: name, why }),
        }
        match sight.observation.seen.clone() {
            Seen::Done => self.undo_now(step),
            Seen::Absent => {
                let why = "nothing of it was there any more".to_owned();
                self.emit(Event::UndoDone { step: name, why });
                self.bracket_undone(step);
            }
            Seen::Half(what) if !repaired => {
                self.emit(Event::UndoIntent { step: name });
                self.act(step, Action::Repair { step, what, then: Purpose::UndoRepaired });
            }
            Seen::Half(what) => {
                let why = format!("still half done after a repair: {what}");
                self.undo_unknown(step, why, sight.observation);
            }
            // In a release the service matters most, and an undo may be repeated by contract.
            Seen::Unknown(_) if self.releases_interrupted(step) => self.undo_now(step),
            Seen::Unknown(why) => self.undo_unknown(step, why, sight.observation),
        }
    }

    fn releases_interrupted(&self, step: StepIx) -> bool {
        matches!(self.mode, Mode::Release(_))
            && matches!(
                self.state.steps[step].state,
                StepState::Unknown | StepState::Running | StepState::Undoing
            )
    }

    fn undo_now(&mut self, step: StepIx) {
        let name = self.name(step);
        let plan = self.plan();
        // Taking back what closed a bracket opens it again.
        for (ix, bracket) in plan.brackets.iter().enumerate() {
            if bracket.close == step && self.state.brackets[ix].open_since_ms.is_none() {
                self.emit(Event::BracketOpened { bracket: bracket.name.clone(), budget_ms: None });
            }
        }
        self.emit(Event::UndoIntent { step: name });
        self.act(step, Action::Undo { step });
    }

    fn undo_unknown(&mut self, step: StepIx, why: String, seen: Observation) {
        let name = self.name(step);
        if matches!(self.mode, Mode::Release(_)) {
            self.release_stuck = Some(format!("`{name}` cannot be told: {why}"));
        }
        self.emit(Event::StepUnknown { step: name, why, facts: seen.facts, error: None });
    }

    pub(super) fn undone(&mut self, step: StepIx, result: Result<(), Box<StepError>>) {
        if self.is_killed() {
            return;
        }
        match result {
            Ok(()) => self.look(step, Purpose::UndoAfter),
            // It may have been taken back or not: looked at when the rollback goes on.
            Err(error)
                if error.cause == ErrorCause::Cancelled
                    && !matches!(self.mode, Mode::Release(_)) => {}
            Err(error) => self.undo_failed(step, *error),
        }
    }

    fn undo_failed(&mut self, step: StepIx, error: StepError) {
        let name = self.name(step);
        if matches!(self.mode, Mode::Release(_)) {
            self.release_stuck = Some(format!("the undo of `{name}` failed: {}", error.what));
        }
        self.emit(Event::UndoFailed { step: name, error: Box::new(error) });
    }

    pub(super) fn seen_after_undo(&mut self, step: StepIx, seen: &Observation) {
        let name = self.name(step);
        let what = match &seen.seen {
            Seen::Absent => {
                self.emit(Event::UndoDone { step: name, why: "taken back".to_owned() });
                return self.bracket_undone(step);
            }
            Seen::Done => format!("the undo of `{name}` ran without an error, but it is still so"),
            Seen::Half(what) => format!("the undo of `{name}` left it half done: {what}"),
            Seen::Unknown(why) => {
                format!("after the undo of `{name}` its state cannot be told: {why}")
            }
        };
        self.undo_failed(step, StepError::failed(what));
    }

    /// What opened a bracket is taken back: the service is there again.
    fn bracket_undone(&mut self, step: StepIx) {
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

    /// What is inside a bracket goes back in reverse, then its opening; `close` never runs.
    pub(super) fn release(&mut self, bracket: usize) {
        if self.in_flight > 0 {
            return;
        }
        let (ending, reason) = self.stopping().unwrap_or((Ending::Failed, "released".to_owned()));
        if self.is_killed() {
            return self.end(Ending::Interrupted, "stopped at once".to_owned());
        }
        let plan = self.plan();
        let spec = &plan.brackets[bracket];
        if let Some(why) = self.release_stuck.take() {
            self.emit(Event::BracketHeld { bracket: spec.name.clone(), why: why.clone() });
            return self.end(ending, format!("{reason}; `{}` stays open: {why}", spec.name));
        }
        // Interrupted steps inside come first: whatever they did, they did last.
        let interrupted = spec.inside.iter().copied().filter(|ix| {
            !self.undo_tried.contains(ix)
                && self.state.steps[*ix].kept.is_none()
                && matches!(
                    self.state.steps[*ix].state,
                    StepState::Unknown | StepState::Running | StepState::Undoing
                )
        });
        if let Some(step) = interrupted.max_by_key(|ix| *ix) {
            self.undo_tried.insert(step);
            return self.look(step, Purpose::UndoBefore);
        }
        let mut order: Vec<StepIx> = spec
            .inside
            .iter()
            .copied()
            .filter(|ix| !self.undo_tried.contains(ix) && self.stands(*ix))
            .collect();
        order.sort_by_key(|ix| std::cmp::Reverse(self.state.steps[*ix].done_order));
        // What opened it goes back last, also when its own attempt failed or was interrupted.
        let open = &self.state.steps[spec.open];
        let opening = open.state.is_done()
            || matches!(
                open.state,
                StepState::Undoing
                    | StepState::UndoFailed
                    | StepState::Running
                    | StepState::Unknown
            );
        if order.is_empty()
            && opening
            && open.kept.is_none()
            && !self.undo_tried.contains(&spec.open)
        {
            order.push(spec.open);
        }
        if let Some(step) = order.first().copied() {
            self.undo_tried.insert(step);
            return self.look(step, Purpose::UndoBefore);
        }
        self.emit(Event::BracketReleased { bracket: spec.name.clone() });
        let next = self.state.open_brackets().last();
        if let Some(next) = next {
            let name = plan.brackets[next].name.clone();
            self.emit(Event::BracketReleasing { bracket: name, why: reason });
            self.undo_tried.clear();
            self.mode = Mode::Release(next);
            return;
        }
        self.end(ending, format!("{reason}; `{}` was released", spec.name));
    }
}

/// Why undo passed a step by that has nothing to take back.
const NOTHING: &str = "there is nothing to take back";
