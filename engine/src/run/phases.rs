//! From one mode of the machine to the next: what is interrupted, what is due, what holds, what can
//! start, and how it ends.

use super::decide::{Known, Machine, Mode, Stop};
use super::resolve::{Mark, Resolver};
use super::state::{Direction, StepState};
use super::{Action, Ending, Event, Purpose};
use crate::kind::Wait;
use crate::plan::Plan;

impl Machine {
    /// Goes from one mode to the next, and starts what can be started.
    pub(super) fn advance(&mut self) {
        loop {
            let before = self.mode.clone();
            match self.mode {
                Mode::Triage => self.after_triage(),
                Mode::Resolve => self.after_resolve(),
                Mode::Holds => self.after_holds(),
                Mode::Forward => self.forward(),
                Mode::Release(bracket) => self.release(bracket),
                Mode::Undo => self.undo_next(),
                Mode::Ended => {}
            }
            if self.mode == before {
                return;
            }
        }
    }

    fn after_triage(&mut self) {
        if self.in_flight > 0 {
            return;
        }
        if self.killed {
            return self.end(Ending::Interrupted, "stopped at once".to_owned());
        }
        self.close_what_is_closed();
        if self.state.direction != Direction::Forward {
            self.mode = Mode::Undo;
            return;
        }
        let releasing =
            (0..self.state.brackets.len()).find(|b| self.state.brackets[*b].releasing.is_some());
        if let Some(bracket) = releasing {
            let why = self.state.brackets[bracket].releasing.clone().unwrap_or_default();
            self.stop_with(Ending::Failed, why);
            self.mode = Mode::Release(bracket);
            return;
        }
        if self.stop.is_some() {
            return self.leave();
        }
        for bracket in self.state.open_brackets().collect::<Vec<_>>() {
            self.wake_budget(bracket);
        }
        self.resolve();
    }

    /// Finds out what is due.
    pub(super) fn resolve(&mut self) {
        let plan = self.plan();
        self.seen_outputs.clear();
        let scope = self.state.asked.clone();
        self.resolver = Some(Resolver::start(&plan, scope.as_ref(), &Known(self)));
        self.mode = Mode::Resolve;
    }

    fn after_resolve(&mut self) {
        if self.stop.is_some() {
            if self.in_flight == 0 {
                self.conclude();
            }
            return;
        }
        let Some(resolver) = &mut self.resolver else { return };
        for step in resolver.take_looks() {
            self.act(step, Action::Look { step, purpose: Purpose::Resolve });
        }
        let finished =
            self.in_flight == 0 && self.resolver.as_ref().is_some_and(Resolver::is_finished);
        if !finished {
            return;
        }
        if std::mem::take(&mut self.again) {
            self.resolve();
            return self.after_resolve();
        }
        let Some(resolver) = self.resolver.take() else { return };
        let plan = self.plan();
        self.marks = resolver.finish(&plan);
        if self.options.resolve_only {
            self.mode = Mode::Ended;
            return;
        }
        self.take_marks(&plan);
        self.look_at_holds(&plan);
        self.mode = if self.in_flight > 0 { Mode::Holds } else { Mode::Forward };
    }

    /// What was done before a death may have gone since: said before anything is begun, not only
    /// when the step comes up that relies on it.
    fn look_at_holds(&mut self, plan: &Plan) {
        if self.state.steps.iter().all(|rec| rec.attempts == 0) {
            return;
        }
        for step in (0..plan.steps.len()).filter(|s| self.due[*s]).collect::<Vec<_>>() {
            for held in &plan.steps[step].holds {
                if self.state.steps[*held].state.is_done() && !self.due[*held] {
                    self.look(*held, Purpose::Hold(step));
                }
            }
        }
    }

    fn after_holds(&mut self) {
        if self.in_flight == 0 {
            self.mode = Mode::Forward;
        }
    }

    fn forward(&mut self) {
        while self.stop.is_none() && self.in_flight < self.options.jobs.max(1) {
            let Some(step) = self.ready.pop_first() else { break };
            self.start(step);
        }
        if self.in_flight > 0 || (self.stop.is_none() && !self.waiting_retry.is_empty()) {
            return;
        }
        if self.stop.is_none() && !self.ready.is_empty() {
            return;
        }
        self.conclude();
    }

    /// Nothing is under way and nothing can be started.
    fn conclude(&mut self) {
        if self.killed {
            return self.end(Ending::Interrupted, "stopped at once".to_owned());
        }
        if self.stop.is_none() && std::mem::take(&mut self.again) {
            return self.resolve();
        }
        if self.stop.is_none() {
            let left = self.due.iter().position(|due| *due);
            let (ending, reason) = match (self.first_waiting(), left) {
                (Some(reason), _) => (Ending::Waiting, reason),
                (None, Some(step)) => {
                    (Ending::Failed, format!("`{}` could not be started", self.name(step)))
                }
                (None, None) => (Ending::Succeeded, "all goals are reached".to_owned()),
            };
            self.stop_with(ending, reason);
        }
        self.leave();
    }

    /// What a person has to do before the run can go on.
    pub(super) fn first_waiting(&self) -> Option<String> {
        for (ix, rec) in self.state.steps.iter().enumerate() {
            let name = &self.state.plan.steps[ix].id;
            match rec.state {
                StepState::Unknown => {
                    return Some(format!(
                        "`{name}` cannot be told: {}",
                        rec.reason.as_deref().unwrap_or("")
                    ));
                }
                StepState::Waiting => {
                    return Some(match &rec.wait {
                        Some((gate, Wait::Gate { message, .. })) => {
                            format!("gate `{gate}`: {message}")
                        }
                        Some((_, Wait::Manual { instructions })) => {
                            format!("`{name}` is a person's work: {instructions}")
                        }
                        None => format!("`{name}` waits"),
                    });
                }
                _ => {}
            }
        }
        self.marks.iter().enumerate().find_map(|(ix, mark)| match mark {
            Mark::Blocked { why, waits: true } => {
                Some(format!("`{}` cannot run: {why}", self.state.plan.steps[ix].id))
            }
            _ => None,
        })
    }

    pub(super) fn end(&mut self, ending: Ending, mut reason: String) {
        for bracket in self.state.open_brackets() {
            let name = format!("`{}`", self.state.plan.brackets[bracket].name);
            if !reason.contains(&name) {
                reason = format!("{reason}; {name} is still open");
            }
        }
        self.emit(Event::RunEnded { state: ending.as_str().to_owned(), reason });
        self.actions.push(Action::Finish(ending));
        self.mode = Mode::Ended;
    }

    pub(super) fn stop_with(&mut self, ending: Ending, reason: String) {
        if self.stop.is_none() {
            self.stop = Some(Stop { ending, reason });
        }
    }
}
